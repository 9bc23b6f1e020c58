//! A task becomes files: inputs are copied or encoded anew, cut at the right size, measured and verified.
//!
//! Order of writes: outputs are written under fresh names and are complete (and synced, on a local disk) before
//! [`Executor::rewrite`] returns. Nothing here touches metadata. A failed task removes what it wrote; a killed one leaves
//! files that nothing refers to (I6).

mod budget;
mod columns;
mod content;
mod cut;
mod defaults;
mod deletes;
mod found;
mod lanes;
mod lineage;
mod opening;
mod parquet;
mod sample;
mod sink;
mod sort;
mod source;
pub mod stats;
mod threads;
mod transfer;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use iceberg::spec::{PartitionSpecRef, SchemaRef};
use tokio::runtime::Handle;

pub use sample::sample_ratio;

/// Inner parts, for the fuzzer and for benches of inner loops.
#[cfg(feature = "internals")]
pub mod internals {
    pub use super::parquet::{fuzz, kernels};
}

use crate::error::{Context, Error, Result};
use crate::lake::{Ambient, Spill, Store};
use crate::model::{ChunkWays, CompactPolicy, NewFile, Outcome, RewriteTask, Route, TableName, TaskDelete, Verify};
use crate::telemetry::Progress;
use budget::Budget;
use deletes::{MaskRoom, Masks, Shared};
use lanes::{Held, Lanes};
use opening::{Opening, Walk};

/// What the executor may use.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// Memory budget in bytes (I9).
    pub memory: u64,
    /// Threads that encode columns of one group.
    pub workers: usize,
    /// Where rows and keys go that do not fit into memory.
    pub spill: Spill,
}

impl ExecutorSettings {
    /// Settings with temporary files in the system's own folder, up to [`Spill::LIMIT`].
    pub fn new(memory: u64, workers: usize) -> Self {
        Self { memory, workers, spill: Spill::new(std::env::temp_dir(), Spill::LIMIT) }
    }
}

/// What a rewrite needs to know of its table.
#[derive(Debug, Clone)]
pub struct TableContext {
    /// The schema that outputs are written in; with the fields of row lineage where rows keep them.
    pub schema: SchemaRef,
    /// Its partition specs, by id: rows that move find their partitions by one of them.
    pub specs: BTreeMap<i32, PartitionSpecRef>,
    /// Its older schemas, newest first: equality deletes may compare columns that were dropped since.
    pub older_schemas: Vec<SchemaRef>,
    /// The table's properties (metrics modes, name mapping).
    pub properties: HashMap<String, String>,
    /// The table's name, for messages.
    pub table: TableName,
}

/// Runs tasks. Cheap to share: all tasks of one executor share its memory budget.
#[derive(Debug)]
pub struct Executor {
    settings: ExecutorSettings,
    budget: Budget,
    lanes: Lanes,
    /// Tasks that share deletes, and the memory for what was found of those that wait.
    shared: Shared,
    masks: MaskRoom,
    store: Arc<Store>,
    ambient: Arc<Ambient>,
    progress: Arc<Progress>,
}

/// Everything that one running task needs, on its own thread.
pub(crate) struct Job {
    pub(crate) task: Arc<RewriteTask>,
    pub(crate) table: TableContext,
    pub(crate) policy: CompactPolicy,
    /// The deleted rows of the inputs.
    pub(crate) masks: Masks,
    pub(crate) store: Arc<Store>,
    pub(crate) ambient: Arc<Ambient>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) workers: usize,
    pub(crate) lanes: Held,
    /// The most compressed bytes that a row group may hold in memory.
    pub(crate) row_group_bytes: u64,
    /// What a sort may hold, and where the rest goes.
    pub(crate) sort_memory: usize,
    pub(crate) spill: Spill,
    pub(crate) runtime: Handle,
}

impl Executor {
    /// An executor over one store.
    pub fn new(settings: ExecutorSettings, store: Arc<Store>, ambient: Arc<Ambient>, progress: Arc<Progress>) -> Self {
        let budget = Budget::new(settings.memory);
        let lanes = Lanes::new(settings.workers);
        let (shared, masks) = (Shared::default(), MaskRoom::new(0));
        Self { settings, budget, lanes, shared, masks, store, ambient, progress }
    }

    /// Rewrites one group of files. Waits until its memory is free; leaves nothing behind when it fails.
    ///
    /// # Errors
    /// `Corrupt` naming an input that can't be read, `Unsupported` for content that a rewrite would not keep,
    /// `Exhausted` for a full disk or a budget that is too small, `Unavailable` when the store does not answer,
    /// `Internal` when verification fails (I3).
    pub async fn rewrite(&self, task: &RewriteTask, table: &TableContext, policy: &CompactPolicy) -> Result<Outcome> {
        let start = Instant::now();
        let what = || format!("rewriting group {} ({}) of {}", task.id, shown(&task.partition), table.table);
        let deletes = self.deletes_of(task, table).await.while_doing(what)?;
        let (rows_deleted, applied) = (deletes.rows, deletes.applied);
        let shared = Arc::new(task.clone());
        // Of tasks that wait for processors the next one begins to open its files meanwhile.
        let (lanes, opening) = match self.lanes.try_acquire(task) {
            Some(lanes) => (lanes, None),
            None => {
                let _next = self.lanes.next().await?;
                let opening = self.opening(&shared);
                (self.lanes.acquire(task).await?, Some(opening))
            }
        };
        let workers = lanes.workers.min(self.settings.workers).max(1);
        let share = match task.route {
            Route::Sort => self.budget.acquire_to_sort(policy, workers, input_bytes(task)).await?,
            _ => self.budget.acquire(policy, workers, row_group_bytes(task, policy)).await?,
        };
        let opening = opening.unwrap_or_else(|| self.opening(&shared));
        let job = Job {
            task: shared,
            table: table.clone(),
            policy: policy.clone(),
            masks: deletes.masks,
            store: self.store.clone(),
            ambient: self.ambient.clone(),
            progress: self.progress.clone(),
            workers: share.workers,
            lanes,
            row_group_bytes: share.row_group_bytes,
            sort_memory: usize::try_from(share.to_sort).unwrap_or(usize::MAX),
            spill: self.settings.spill.clone(),
            runtime: Handle::current(),
        };
        let (outputs, chunks) = threads::apart(move || guarded(&job, opening)).await.while_doing(what)?;
        let outputs = self.with_class(outputs, task.output.storage_class.as_deref()).await.while_doing(what)?;
        self.progress.task_done();
        let written = outputs.iter().map(|file| file.records).sum();
        let rows_in: u64 = task.inputs.iter().map(|input| input.records).sum();
        let (rows_out, bytes_read) = match task.route {
            // What is read of the inputs is a few columns at most.
            Route::Deletes | Route::Vectors => (rows_in - written, task.deletes.iter().map(TaskDelete::bytes).sum()),
            _ => (written, task.inputs.iter().map(|input| input.size).sum()),
        };
        Ok(Outcome {
            task: task.id,
            spec_id: task.spec_id,
            from_specs: task.respec.as_ref().map(|respec| respec.from.clone()).unwrap_or_default(),
            inputs: task.inputs.iter().map(|input| input.path.clone()).collect(),
            route: task.route,
            rows_in,
            rows_deleted,
            applied,
            rows_out,
            without_ids: !task.route.keeps_files() && task.inputs.iter().all(|input| input.first_row_id.is_none()),
            chunks,
            bytes_read,
            bytes_written: bytes_of(&outputs),
            outputs,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

impl Executor {
    /// Begins to open the inputs of a task.
    fn opening(&self, task: &Arc<RewriteTask>) -> Opening {
        Opening::begin(Arc::clone(task), Arc::clone(&self.store), Handle::current())
    }
}

fn input_bytes(task: &RewriteTask) -> u64 {
    task.inputs.iter().map(|input| input.size).sum()
}

/// Bytes of files; those that hold several outputs count once.
fn bytes_of(outputs: &[NewFile]) -> u64 {
    let sizes: HashMap<&str, u64> = outputs.iter().map(|file| (file.path.as_str(), file.size)).collect();
    sizes.values().sum()
}

/// The input bytes of a full row group of this task.
fn row_group_bytes(task: &RewriteTask, policy: &CompactPolicy) -> u64 {
    let (bytes, rows) = task.inputs.iter().fold((0u64, 0u64), |(b, r), input| (b + input.size, r + input.records));
    let full = u128::from(bytes) * u128::from(policy.row_group_rows.min(rows)) / u128::from(rows.max(1));
    u64::try_from(full).unwrap_or(u64::MAX)
}

fn shown(partition: &str) -> &str {
    if partition.is_empty() { "unpartitioned" } else { partition }
}

/// Runs a job; whatever goes wrong, also a panic of a decoder on garbage, its outputs are removed.
fn guarded(job: &Job, opening: Opening) -> Result<(Vec<NewFile>, ChunkWays)> {
    let written = parking::Written::default();
    let result = catch_unwind(AssertUnwindSafe(|| run(job, opening, &written))).unwrap_or_else(|_| {
        Err(Error::corrupt("a decoder gave up on an input file")
            .hint("one of the group's files is damaged; --log debug names the file that was read last"))
    });
    if result.is_err() {
        remove(job, &written);
    }
    result
}

/// Removes what was written so far.
pub(crate) fn remove(job: &Job, written: &Written) {
    for path in written.take() {
        if let Err(error) = job.runtime.block_on(job.store.delete(&path)) {
            tracing::warn!(file = path, %error, "an output of a failed group could not be removed");
        }
    }
}

fn run(job: &Job, opening: Opening, written: &parking::Written) -> Result<(Vec<NewFile>, ChunkWays)> {
    let walk = Walk::new(job, opening);
    let (outputs, before) = match job.task.route {
        Route::Copy => parquet::copy(job, walk, written)?,
        Route::Merge | Route::Encode => parquet::rewrite(job, walk, written)?,
        Route::Sort => own_thread(|| parquet::sorted(job, walk, written))?,
        Route::Deletes => return Ok((deletes::write(job, written)?, ChunkWays::default())),
        Route::Vectors => return Ok((deletes::write_vectors(job, written)?, ChunkWays::default())),
        Route::Transfer => return Err(Error::internal("whole files are moved by the transfer, not by a rewrite")),
    };
    verify::stats(job, &before, &outputs)?;
    if job.policy.verify == Verify::Content {
        content::compare(job, &outputs)?;
    }
    let mut chunks = ChunkWays::default();
    outputs.iter().for_each(|output| chunks.merge(&output.chunks));
    Ok((outputs.into_iter().map(|output| output.file).collect(), chunks))
}

/// Runs something on a thread that ends with it. The allocator gives each thread a part of memory, and the parts of threads
/// that have ended to new ones; what many threads of a pool have given back it keeps for each of them (measured: 200 MB
/// more for every sort).
fn own_thread<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Names of files that were begun, so that a failure can remove them.
mod parking {
    use std::sync::{Mutex, PoisonError};

    #[derive(Debug, Default)]
    pub(crate) struct Written(Mutex<Vec<String>>);

    impl Written {
        pub(crate) fn add(&self, path: &str) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
        }

        pub(crate) fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

pub(crate) use parking::Written;

#[cfg(test)]
mod tests;
