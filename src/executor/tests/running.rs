//! Tasks of a bench, and what runs them.

use super::*;

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
            id: 0,
            spec_id: 0,
            partition: String::new(),
            why: TaskReason::EnoughFiles { files: 1 },
            route,
            route_why: RouteReason::AllFit,
            inputs: self.inputs.clone(),
            deletes: self.deletes.clone(),
            respec: self.respec.clone(),
            keeps_spec: None,
            arrangement: self.policy.arrangement.clone(),
            sort_order_id: self.policy.arrangement.order_id(),
            output: OutputSpec { directory: self.out(), files: 1, bytes, cut_bytes: bytes, storage_class: None },
            estimate: Estimate { bytes_read: bytes, bytes_written: bytes, seconds: 0.0, memory: 0 },
        }
    }

    /// An executor whose ids come from a seed.
    pub(super) fn executor(&self, seed: u64) -> Executor {
        let settings = ExecutorSettings { memory: self.memory, workers: 2, spill: self.spill.clone() };
        Executor::new(settings, store(), Arc::new(Ambient::manual(0, seed)), Arc::default())
    }
}
