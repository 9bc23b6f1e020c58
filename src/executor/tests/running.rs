//! Tasks of a bench, and what runs them.

use super::*;
use crate::model::Arrangement;

/// A task that becomes one file of so many bytes.
pub(in crate::executor) fn plain_task(
    route: Route,
    inputs: Vec<InputFile>,
    bytes: u64,
    directory: &str,
) -> RewriteTask {
    RewriteTask {
        id: 0,
        spec_id: 0,
        partition: String::new(),
        why: TaskReason::RewriteAll,
        route,
        route_why: RouteReason::AllFit,
        inputs,
        deletes: Vec::new(),
        respec: None,
        keeps_spec: None,
        arrangement: Arrangement::BinPack,
        sort_order_id: None,
        output: OutputSpec { directory: directory.to_owned(), files: 1, bytes, cut_bytes: bytes, storage_class: None },
        estimate: Estimate { bytes_read: bytes, bytes_written: bytes, seconds: 0.0, memory: 0 },
    }
}

impl Bench {
    /// Rewrites all inputs as one task.
    pub(super) async fn rewrite(&self, route: Route) -> Result<Outcome> {
        self.executor(if route == Route::Copy { 4 } else { 3 })
            .rewrite(&self.task(route), &self.table, &self.policy)
            .await
    }

    /// The task of all inputs.
    pub(super) fn task(&self, route: Route) -> RewriteTask {
        let bytes = self.inputs.iter().map(|input| input.size).sum();
        RewriteTask {
            deletes: self.deletes.clone(),
            respec: self.respec.clone(),
            arrangement: self.policy.arrangement.clone(),
            sort_order_id: self.policy.arrangement.order_id(),
            ..plain_task(route, self.inputs.clone(), bytes, &self.out())
        }
    }

    /// An executor whose ids come from a seed.
    pub(super) fn executor(&self, seed: u64) -> Executor {
        let settings = ExecutorSettings { memory: self.memory, workers: 2, spill: self.spill.clone() };
        Executor::new(settings, store(), Arc::new(Ambient::manual(0, seed)), Arc::default())
    }
}
