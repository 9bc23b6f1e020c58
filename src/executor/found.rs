//! Deletes of tasks, found before a task begins: by itself, or together with the tasks that it shares deletes with.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::deletes::{Inputs, MaskRoom, Resolved, Shared, Together, memory_wanted, resolve};
use super::threads::apart;
use super::{Executor, TableContext};
use crate::error::{Error, Result};
use crate::model::{RewriteTask, TaskDelete};

impl Executor {
    /// Gets to know all tasks of a run, so that a delete file which several of them share is read once. Tasks that it is not
    /// told of are looked after one by one.
    pub fn expect<'t>(&mut self, tasks: impl IntoIterator<Item = &'t RewriteTask>) {
        let tasks: Vec<&RewriteTask> = tasks.into_iter().filter(|task| !task.deletes.is_empty()).collect();
        if tasks.is_empty() {
            return;
        }
        // A position takes two bytes at most, and one bit of every row will do.
        let most = |task: &&RewriteTask| -> u64 {
            let deleted = task.deletes.iter().map(|delete: &TaskDelete| delete.records).sum::<u64>().saturating_mul(2);
            let rows = task.inputs.iter().map(|input| input.records).sum::<u64>() / 8;
            deleted.min(rows).saturating_add(1024 * task.inputs.len() as u64)
        };
        self.masks = MaskRoom::new(self.budget.reserve(tasks.iter().map(most).fold(0, u64::saturating_add)));
        self.shared = Shared::new(tasks);
    }

    /// The deleted rows of a task.
    pub(super) async fn deletes_of(&self, task: &RewriteTask, table: &TableContext) -> Result<Resolved> {
        if task.deletes.is_empty() {
            return Ok(Resolved::default());
        }
        let together = self.shared.take(task).ok_or_else(|| Error::internal("a task is not there"))?;
        let found = together.found(task.id, async || self.find(&together, table).await).await?;
        found.ok_or_else(|| Error::internal(format!("deletes of group {} were handed out twice", task.id)))
    }

    async fn find(&self, together: &Arc<Together>, table: &TableContext) -> Result<HashMap<u32, Resolved>> {
        let lanes = self.lanes.acquire(&together.task).await?;
        let memory = self.budget.acquire_for_deletes(memory_wanted(&together.task)).await?;
        let (together, table, store) = (Arc::clone(together), table.clone(), Arc::clone(&self.store));
        let (bytes, room, spill) = (memory.bytes, self.masks.clone(), self.settings.spill.clone());
        let workers = lanes.workers.min(self.settings.workers).max(1);
        let runtime = Handle::current();
        let work = move || {
            let inputs = Inputs {
                task: &together.task,
                table: &table,
                store: &store,
                runtime: &runtime,
                workers,
                memory: bytes,
                spill: &spill,
            };
            resolve(&inputs, &together, &room)
        };
        apart(work).await
    }
}
