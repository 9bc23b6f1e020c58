//! Runs the tasks of a plan and commits them in batches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;

use super::{Maintenance, depth, table_context};
use crate::committer::{CommitResult, Committer, Replaced};
use crate::error::{Error, Kind, Result};
use crate::executor::{Executor, TableContext};
use crate::lake::{LoadedTable, metadata};
use crate::model::{
    Base, Codec, CompactPlan, CompactPolicy, DeleteKey, Outcome, PartialProgress, ReclassTask, RewriteTask, Route,
    Status, TableName, TableReport, TableState, TransferTask, has_row_lineage, with_row_lineage,
};
use crate::planner::compact::Clustering;
use crate::reclaim;

/// What a run does, whatever operation planned it.
pub(super) struct Work<'a> {
    pub(super) table: &'a TableName,
    pub(super) base: Option<&'a Base>,
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) side_by_side: u64,
    pub(super) partial_progress: PartialProgress,
    /// Failures that would hit every piece alike: nothing more is begun after one.
    pub(super) hopeless: &'static [Kind],
    /// The deletes that are to go when no live data file can match them; `None` when none may go.
    pub(super) retire: Option<Vec<DeleteKey>>,
    /// What every snapshot's summary says.
    pub(super) summary: BTreeMap<String, String>,
    /// Whether later runs may learn from this one how much a codec shrinks.
    pub(super) tells_ratios: bool,
    /// Where files lie, in runs that put rows in order.
    pub(super) clustering: Option<Clustering>,
}

/// One task, and what it is committed together with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// Pieces of one unit are committed together or not at all.
    pub(super) unit: u32,
    pub(super) doing: Doing<'a>,
}

/// What a piece does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing<'a> {
    /// Files are rewritten by a policy.
    Rewrite(&'a RewriteTask, &'a CompactPolicy),
    /// A file is copied whole.
    Transfer(&'a TransferTask),
    /// A file's class changes; there is nothing to commit.
    Reclass(&'a ReclassTask),
}

impl Piece<'_> {
    fn id(&self) -> u32 {
        match self.doing {
            Doing::Rewrite(task, _) => task.id,
            Doing::Transfer(task) => task.id,
            Doing::Reclass(task) => task.id,
        }
    }

    fn bytes(&self) -> u64 {
        match self.doing {
            Doing::Rewrite(task, _) => task.estimate.bytes_read,
            Doing::Transfer(task) => task.input.size,
            Doing::Reclass(task) => task.size,
        }
    }

    fn rewrite(&self) -> Option<&RewriteTask> {
        match self.doing {
            Doing::Rewrite(task, _) => Some(task),
            Doing::Transfer(_) | Doing::Reclass(_) => None,
        }
    }

    #[tracing::instrument(target = "spans", name = "group", skip_all, fields(task = self.id(), bytes = self.bytes()))]
    async fn run(&self, executor: &Executor, context: &TableContext) -> Result<Option<Outcome>> {
        match self.doing {
            Doing::Rewrite(task, policy) => executor.rewrite(task, context, policy).await.map(Some),
            Doing::Transfer(task) => executor.transfer(task).await.map(Some),
            Doing::Reclass(task) => executor.reclass(task).await.map(|()| None),
        }
    }
}

impl<'a> Work<'a> {
    /// The work of a compaction: every group by itself.
    pub(super) fn compaction(plan: &'a CompactPlan, state: &TableState) -> Self {
        let piece = |task: &'a RewriteTask| Piece { unit: task.id, doing: Doing::Rewrite(task, &plan.policy) };
        Self {
            table: &plan.table,
            base: plan.base.as_ref(),
            pieces: plan.rewrites().map(piece).collect(),
            side_by_side: plan.policy.max_concurrent_file_group_rewrites,
            // A delete file goes when it was written anew for all of its data files: that takes one commit.
            partial_progress: PartialProgress {
                max_commits: if plan.policy.only_deletes { 1 } else { plan.policy.partial_progress.max_commits },
                ..plan.policy.partial_progress
            },
            hopeless: &[Kind::Exhausted],
            // Where deletes are written anew, what they stand for goes in any case.
            retire: (plan.policy.remove_dangling_deletes || plan.policy.only_deletes)
                .then(|| plan.retired().map(|delete| delete.key.clone()).collect()),
            summary: BTreeMap::new(),
            tells_ratios: true,
            clustering: depth::clustering(state, &plan.policy),
        }
    }
}

/// One execution of one plan.
pub(super) struct Run<'a> {
    maintenance: &'a Maintenance,
    loaded: &'a LoadedTable,
    state: &'a TableState,
    work: Work<'a>,
    base: &'a Base,
    report: &'a mut TableReport,
    sizes: HashMap<String, u64>,
    /// The tasks that are done for good: committed, or changed in place.
    pub(super) done: Vec<u32>,
}

impl<'a> Run<'a> {
    /// Prepares a run that has something to do.
    pub(super) fn new(
        maintenance: &'a Maintenance,
        loaded: &'a LoadedTable,
        state: &'a TableState,
        work: Work<'a>,
        report: &'a mut TableReport,
    ) -> Result<Self> {
        let Some(base) = work.base else {
            return Err(Error::internal(format!("the plan for {} has tasks but no base snapshot", work.table)));
        };
        let sizes = state.files.iter().map(|file| (file.path.to_string(), file.size)).collect();
        Ok(Self { maintenance, loaded, state, work, base, report, sizes, done: Vec::new() })
    }

    /// Executes and commits everything; returns how many groups another writer took away.
    ///
    /// A group that fails is remembered while the others go on (one poisonous group must not hold up a table), unless
    /// partial progress is off or the failure would hit every group alike.
    pub(super) async fn go(&mut self) -> Result<usize> {
        let (context, mut executor) = self.executor()?;
        executor.expect(self.work.pieces.iter().filter_map(Piece::rewrite));
        let committer = Committer::new(self.maintenance.catalog.clone(), self.maintenance.ambient.clone());
        let pieces = self.work.pieces.clone();
        let (hopeless, partial_progress) = (self.work.hopeless, self.work.partial_progress);
        self.maintenance.progress.expect(pieces.len() as u64, pieces.iter().map(Piece::bytes).sum());
        self.report.groups = Some(self.report.groups.unwrap_or(0) + pieces.len() as u64);
        let mut units = Units::of(&pieces);
        let mut rhythm = Rhythm::new(&partial_progress);
        let side_by_side = usize::try_from(self.work.side_by_side).unwrap_or(1);
        let nothing_but_deletes = pieces.is_empty() && self.work.retire.as_ref().is_some_and(|keys| !keys.is_empty());
        let stopping = AtomicBool::new(false);
        let mut results = futures::stream::iter(pieces)
            .map(|piece| {
                let (executor, context, stopping) = (&executor, &context, &stopping);
                async move {
                    let stopped = stopping.load(Ordering::Relaxed);
                    (piece, if stopped { None } else { Some(piece.run(executor, context).await) })
                }
            })
            .buffer_unordered(side_by_side);
        let (mut batch, mut dropped, mut first_error) = (Vec::new(), 0, None);
        while let Some((piece, finished)) = results.next().await {
            let outcome = match finished {
                Some(Ok(outcome)) => {
                    if outcome.is_none() {
                        self.done.push(piece.id());
                    }
                    Ok(outcome)
                }
                Some(Err(error)) => {
                    let (table, task) = (self.work.table, piece.id());
                    tracing::warn!(%table, task, kind = ?error.kind(), %error, "a group failed");
                    if !partial_progress.enabled || hopeless.contains(&error.kind()) {
                        stopping.store(true, Ordering::Relaxed);
                    }
                    first_error.get_or_insert(error);
                    Err(())
                }
                None => Err(()),
            };
            match units.finished(piece.unit, outcome) {
                Unit::Complete(outcomes) => batch.extend(outcomes),
                Unit::Failed(outcomes) => self.discard(&outcomes).await,
                Unit::Open => {}
            }
            if rhythm.is_time() {
                dropped += self.commit(&committer, std::mem::take(&mut batch)).await?;
            }
        }
        drop(results);
        if first_error.is_some() && !partial_progress.enabled {
            self.discard(&batch).await;
        } else if !batch.is_empty() || nothing_but_deletes {
            dropped += self.commit(&committer, batch).await?;
        }
        first_error.map_or(Ok(dropped), Err)
    }

    fn executor(&self) -> Result<(TableContext, Executor)> {
        let Some(schema) = self.loaded.metadata.schema_by_id(self.base.schema_id) else {
            return Err(Error::conflict(format!(
                "table {} has no schema {} any more",
                self.work.table, self.base.schema_id
            ))
            .hint("plan again"));
        };
        let mut schema = schema.clone();
        if let Some(column) = metadata::unknown_default(&self.loaded.document, &schema) {
            return Err(Error::unsupported(format!("the default of column {column} can't be read"))
                .hint("older files would lose it: nothing was changed"));
        }
        if has_row_lineage(&self.loaded.metadata) {
            let with = with_row_lineage(&schema).map_err(|e| {
                Error::unsupported(format!("{} has a column of a reserved name", self.work.table)).caused_by(e)
            });
            schema = Arc::new(with?);
        }
        let executor = Executor::new(
            self.maintenance.resources.clone(),
            self.loaded.store.clone(),
            self.maintenance.ambient.clone(),
            Arc::clone(&self.maintenance.progress),
        );
        Ok((table_context(self.loaded, schema), executor))
    }

    #[tracing::instrument(target = "spans", name = "commit", skip_all,
        fields(table = %self.work.table, groups = batch.len()))]
    async fn commit(&mut self, committer: &Committer, batch: Vec<Outcome>) -> Result<usize> {
        let table = self.work.table;
        let summary = self.summary(&batch);
        let replaced =
            committer.replace_and_retire(table, self.base, &batch, self.work.retire.as_deref(), &summary).await;
        let Replaced { result, committed_tasks, dropped, retired, attempts } = match replaced {
            Ok(replaced) => replaced,
            Err(error) => {
                // An error (rather than an unknown result) means that nothing of this batch reached the catalog.
                self.discard(&batch).await;
                return Err(error);
            }
        };
        let conflicts = u64::from(attempts.saturating_sub(1));
        self.report.commit_conflicts = Some(self.report.commit_conflicts.unwrap_or(0) + conflicts);
        if let CommitResult::Unknown { reason } = &result {
            return Err(Error::unavailable(format!("whether the commit to {table} took effect is unknown: {reason}"))
                .hint(
                    "run again later: either way no row is lost, and files of a lost commit are removed as orphans",
                ));
        }
        let committed: HashSet<u32> = committed_tasks.into_iter().collect();
        let (kept, gone): (Vec<_>, Vec<_>) = batch.into_iter().partition(|outcome| committed.contains(&outcome.task));
        self.discard(&gone).await;
        match result {
            CommitResult::Committed { snapshot_id, .. } => {
                self.record(snapshot_id, &kept, retired.len() as u64);
                self.maintenance.progress.committed();
            }
            CommitResult::Rejected { reason } => {
                return Err(Error::conflict(format!("other writers were always first at {table}: {reason}"))
                    .hint("run again later, or raise the table property commit.retry.num-retries"));
            }
            CommitResult::NothingLeft | CommitResult::Unknown { .. } => {}
        }
        for group in &dropped {
            tracing::info!(%table, task = group.task, reason = ?group.reason, "a group was changed by another writer");
        }
        Ok(dropped.len())
    }

    /// What later runs learn from: how much this codec shrank.
    fn summary(&self, batch: &[Outcome]) -> BTreeMap<String, String> {
        if !self.work.tells_ratios {
            return self.work.summary.clone();
        }
        let mut by_codec: BTreeMap<Codec, (u64, u64)> = BTreeMap::new();
        for outcome in batch.iter().filter(|outcome| matches!(outcome.route, Route::Merge | Route::Encode)) {
            let codecs: HashSet<Option<Codec>> = outcome
                .inputs
                .iter()
                .map(|path| self.state.footers.get(path).and_then(|footer| footer.main_codec()))
                .collect();
            if let (1, Some(Some(codec))) = (codecs.len(), codecs.iter().next()) {
                let sums = by_codec.entry(*codec).or_default();
                sums.0 += outcome.bytes_read;
                sums.1 += outcome.bytes_written;
            }
        }
        by_codec
            .into_iter()
            .filter(|(_, (input, _))| *input > 0)
            .map(|(codec, (input, output))| {
                (format!("icewright.ratio.{codec}"), format!("{:.4}", output as f64 / input as f64))
            })
            .chain(self.work.summary.clone())
            .collect()
    }

    fn record(&mut self, snapshot_id: i64, committed: &[Outcome], retired: u64) {
        self.done.extend(committed.iter().map(|outcome| outcome.task));
        if let Some(clustering) = &mut self.work.clustering {
            let tasks = self.work.pieces.iter().filter_map(Piece::rewrite);
            depth::committed(clustering, self.loaded, tasks, committed);
            self.report.depth_after = clustering.table();
        }
        let report = &mut *self.report;
        let add = |field: &mut Option<u64>, by: u64| *field = Some(field.unwrap_or(0) + by);
        let replaced: HashSet<&str> =
            committed.iter().flat_map(|outcome| outcome.replaced().iter().map(String::as_str)).collect();
        for path in &replaced {
            self.sizes.remove(*path);
        }
        let (replaced, anew): (Vec<_>, Vec<_>) = committed.iter().partition(|outcome| outcome.replaces_inputs());
        for output in replaced.iter().flat_map(|outcome| &outcome.outputs) {
            self.sizes.insert(output.path.clone(), output.size);
        }
        report.status = Status::Committed;
        report.snapshot_id = Some(snapshot_id);
        add(&mut report.bytes_read, committed.iter().map(|outcome| outcome.bytes_read).sum());
        add(&mut report.bytes_written, committed.iter().map(|outcome| outcome.bytes_written).sum());
        for outcome in committed.iter().filter(|outcome| !outcome.chunks.is_empty()) {
            report.chunks.get_or_insert_default().merge(&outcome.chunks);
        }
        add(&mut report.groups_committed, committed.len() as u64);
        add(&mut report.snapshots_after, 1);
        report.sizes_after = self.sizes.values().copied().collect();
        let new: usize = anew.iter().map(|outcome| outcome.outputs.len()).sum();
        report.delete_files_after = report.delete_files_after.map(|files| (files + new as u64).saturating_sub(retired));
        let rows: u64 = replaced.iter().map(|outcome| outcome.rows_deleted).sum();
        report.rows = report.rows.map(|all| all.saturating_sub(rows));
        report.rows_deleted = Some(report.rows_deleted.unwrap_or(0) + rows);
        report.files_after = Some(report.sizes_after.len() as u64);
        report.bytes_after = Some(report.sizes_after.iter().sum());
    }

    async fn discard<'o>(&self, outcomes: impl IntoIterator<Item = &'o Outcome>) {
        let paths: Vec<String> = outcomes.into_iter().flat_map(Outcome::written).map(str::to_owned).collect();
        reclaim::discard(&self.loaded.store, &paths).await;
    }
}

/// Units of work: what of each is still to come, and what came of it.
struct Units {
    left: HashMap<u32, (usize, bool, Vec<Outcome>)>,
}

/// How a unit stands.
enum Unit {
    /// Something of it is still under way.
    Open,
    /// All of it succeeded.
    Complete(Vec<Outcome>),
    /// Something of it failed: this is to be discarded.
    Failed(Vec<Outcome>),
}

impl Units {
    fn of(pieces: &[Piece<'_>]) -> Self {
        let mut left: HashMap<u32, (usize, bool, Vec<Outcome>)> = HashMap::new();
        for piece in pieces {
            left.entry(piece.unit).or_default().0 += 1;
        }
        Self { left }
    }

    fn finished(&mut self, unit: u32, outcome: std::result::Result<Option<Outcome>, ()>) -> Unit {
        let Some((left, failed, outcomes)) = self.left.get_mut(&unit) else { return Unit::Open };
        *left -= 1;
        match outcome {
            Ok(outcome) => outcomes.extend(outcome),
            Err(()) => *failed = true,
        }
        match (*left, *failed) {
            (0, false) => Unit::Complete(std::mem::take(outcomes)),
            (0, true) => Unit::Failed(std::mem::take(outcomes)),
            _ => Unit::Open,
        }
    }
}

/// When a batch of finished groups is committed before all groups are done.
struct Rhythm {
    commits_left: u64,
    interval: Duration,
    last: Instant,
}

impl Rhythm {
    fn new(wanted: &PartialProgress) -> Self {
        // The last commit is the one at the end.
        let commits_left = if wanted.enabled { wanted.max_commits.saturating_sub(1) } else { 0 };
        Self { commits_left, interval: Duration::from_millis(wanted.min_interval_ms), last: Instant::now() }
    }

    fn is_time(&mut self) -> bool {
        if self.commits_left == 0 || self.last.elapsed() < self.interval {
            return false;
        }
        self.commits_left -= 1;
        self.last = Instant::now();
        true
    }
}
