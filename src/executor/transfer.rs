//! Moves without a rewrite: whole files byte for byte to another place, or another storage class where they are.
//!
//! A copy is complete under a fresh name before [`Executor::transfer`] returns; a failed one is removed. Killed, it leaves
//! a file that nothing refers to (I6). A change of class may be repeated as often as one likes.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Executor, shown};
use crate::error::{Context, Result};
use crate::model::{ChunkWays, NewFile, Outcome, ReclassTask, Route, TransferTask};

impl Executor {
    /// Copies one file to its new place.
    ///
    /// # Errors
    /// `Corrupt` when the file is not the one that was committed, otherwise what the stores say.
    pub async fn transfer(&self, task: &TransferTask) -> Result<Outcome> {
        let start = Instant::now();
        let input = &task.input;
        let name = input.path.rsplit('/').next().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("parquet", |(_, ending)| ending);
        let path = format!("{}/{:05}-00000-{}.{ending}", task.directory, task.id, self.ambient.uuid());
        let what = || format!("moving {} ({})", input.path, shown(&task.partition));
        let copied = self.store.transfer(&input.path, &path, input.size, task.storage_class.as_deref()).await;
        let confirmed = match (copied, &task.storage_class) {
            (Ok(_), Some(class)) => self.store.confirm_class(&path, class).await,
            (copied, _) => copied.map(|_| ()),
        };
        if let Err(error) = confirmed {
            self.remove(&[&path]).await;
            return Err(error).while_doing(what);
        }
        self.progress.read(input.size);
        self.progress.wrote(input.size);
        self.progress.file_done();
        self.progress.task_done();
        let file = NewFile {
            path,
            size: input.size,
            records: input.records,
            // The committer takes over what the manifest says.
            columns: BTreeMap::new(),
            split_offsets: Vec::new(),
            sort_order_id: None,
            vector: None,
            partition: None,
        };
        Ok(Outcome {
            task: task.id,
            spec_id: task.spec_id,
            from_specs: Vec::new(),
            inputs: vec![input.path.clone()],
            outputs: vec![file],
            route: Route::Transfer,
            rows_in: input.records,
            rows_deleted: 0,
            applied: Vec::new(),
            // The file keeps what it has, or gets, wherever it is.
            without_ids: false,
            chunks: ChunkWays::default(),
            rows_out: input.records,
            bytes_read: input.size,
            bytes_written: input.size,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Gives one file another storage class where it is; the class is read back.
    ///
    /// # Errors
    /// `Unsupported` where the store can't, `Conflict` when the file was replaced meanwhile, otherwise what the store says.
    pub async fn reclass(&self, task: &ReclassTask) -> Result<()> {
        let what = || format!("changing the storage class of {}", task.path);
        self.store.set_class(&task.path, &task.storage_class).await.while_doing(what)?;
        self.progress.read(task.size);
        self.progress.task_done();
        Ok(())
    }

    /// Outputs, once each is seen to have the class that it should have; all are removed where one has not.
    pub(super) async fn with_class(&self, outputs: Vec<NewFile>, class: Option<&str>) -> Result<Vec<NewFile>> {
        let Some(class) = class else { return Ok(outputs) };
        for output in &outputs {
            if let Err(error) = self.store.confirm_class(&output.path, class).await {
                self.remove(&outputs.iter().map(|output| output.path.as_str()).collect::<Vec<_>>()).await;
                return Err(error);
            }
        }
        Ok(outputs)
    }

    async fn remove(&self, paths: &[&str]) {
        for path in paths {
            if let Err(error) = self.store.delete(path).await {
                tracing::warn!(file = path, %error, "an output of a failed move could not be removed");
            }
        }
    }
}
