//! Runs the tasks of a plan and commits them in batches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;

use super::{Maintenance, table_context};
use crate::committer::{CommitResult, Committer, Replaced};
use crate::error::{Error, Kind, Result};
use crate::executor::{Executor, TableContext};
use crate::lake::LoadedTable;
use crate::model::{Base, Codec, CompactPlan, Outcome, PartialProgress, Route, Status, TableReport, TableState};
use crate::reclaim;

/// One execution of one plan.
pub(super) struct Run<'a> {
    maintenance: &'a Maintenance,
    loaded: &'a LoadedTable,
    state: &'a TableState,
    plan: &'a CompactPlan,
    base: &'a Base,
    report: &'a mut TableReport,
    sizes: HashMap<String, u64>,
}

impl<'a> Run<'a> {
    /// Prepares a run of a plan that has tasks.
    pub(super) fn new(
        maintenance: &'a Maintenance,
        loaded: &'a LoadedTable,
        state: &'a TableState,
        plan: &'a CompactPlan,
        report: &'a mut TableReport,
    ) -> Result<Self> {
        let Some(base) = &plan.base else {
            return Err(Error::internal(format!("the plan for {} has tasks but no base snapshot", plan.table)));
        };
        let sizes = state.files.iter().map(|file| (file.path.clone(), file.size)).collect();
        Ok(Self { maintenance, loaded, state, plan, base, report, sizes })
    }

    /// Executes and commits everything; returns how many groups another writer took away.
    ///
    /// A group that fails is remembered while the others go on (one poisonous group must not hold up a table), unless
    /// partial progress is off or the failure would hit every group alike.
    pub(super) async fn go(&mut self) -> Result<usize> {
        let (context, executor) = self.executor()?;
        let committer = Committer::new(self.maintenance.catalog.clone(), self.maintenance.ambient.clone());
        let policy = &self.plan.policy;
        let tasks: Vec<_> = self.plan.rewrites().collect();
        let bytes = tasks.iter().map(|task| task.estimate.bytes_read).sum();
        self.maintenance.progress.expect(tasks.len() as u64, bytes);
        self.report.groups = Some(self.report.groups.unwrap_or(0) + tasks.len() as u64);
        let mut rhythm = Rhythm::new(&policy.partial_progress);
        let side_by_side = usize::try_from(policy.max_concurrent_file_group_rewrites).unwrap_or(1);
        let stopping = AtomicBool::new(false);
        let mut results = futures::stream::iter(tasks)
            .map(|task| {
                let (executor, context, stopping) = (&executor, &context, &stopping);
                async move {
                    if stopping.load(Ordering::Relaxed) {
                        return None;
                    }
                    Some((task.id, executor.rewrite(task, context, policy).await))
                }
            })
            .buffer_unordered(side_by_side);
        let (mut batch, mut dropped, mut first_error) = (Vec::new(), 0, None);
        while let Some(finished) = results.next().await {
            let Some((task, result)) = finished else { continue };
            match result {
                Ok(outcome) => batch.push(outcome),
                Err(error) => {
                    tracing::warn!(table = %self.plan.table, task, kind = ?error.kind(), %error, "a group failed");
                    if !policy.partial_progress.enabled || error.kind() == Kind::Exhausted {
                        stopping.store(true, Ordering::Relaxed);
                    }
                    first_error.get_or_insert(error);
                }
            }
            if rhythm.is_time() {
                dropped += self.commit(&committer, std::mem::take(&mut batch)).await?;
            }
        }
        drop(results);
        if first_error.is_some() && !policy.partial_progress.enabled {
            self.discard(&batch).await;
        } else if !batch.is_empty() {
            dropped += self.commit(&committer, batch).await?;
        }
        first_error.map_or(Ok(dropped), Err)
    }

    fn executor(&self) -> Result<(TableContext, Executor)> {
        let Some(schema) = self.loaded.metadata.schema_by_id(self.base.schema_id) else {
            return Err(Error::conflict(format!(
                "table {} has no schema {} any more",
                self.plan.table, self.base.schema_id
            ))
            .hint("plan again"));
        };
        let executor = Executor::new(
            self.maintenance.resources.clone(),
            self.loaded.store.clone(),
            self.maintenance.ambient.clone(),
            Arc::clone(&self.maintenance.progress),
        );
        Ok((table_context(self.loaded, schema.clone()), executor))
    }

    async fn commit(&mut self, committer: &Committer, batch: Vec<Outcome>) -> Result<usize> {
        let table = &self.plan.table;
        let summary = self.summary(&batch);
        let replaced = committer.replace(table, self.base, &batch, &summary).await;
        let Replaced { result, committed_tasks, dropped, .. } = match replaced {
            Ok(replaced) => replaced,
            Err(error) => {
                // An error (rather than an unknown result) means that nothing of this batch reached the catalog.
                self.discard(&batch).await;
                return Err(error);
            }
        };
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
                self.record(snapshot_id, &kept);
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
            .collect()
    }

    fn record(&mut self, snapshot_id: i64, committed: &[Outcome]) {
        let report = &mut *self.report;
        let add = |field: &mut Option<u64>, by: u64| *field = Some(field.unwrap_or(0) + by);
        let replaced: HashSet<&str> =
            committed.iter().flat_map(|outcome| outcome.inputs.iter().map(String::as_str)).collect();
        for path in &replaced {
            self.sizes.remove(*path);
        }
        for output in committed.iter().flat_map(|outcome| &outcome.outputs) {
            self.sizes.insert(output.path.clone(), output.size);
        }
        report.status = Status::Committed;
        report.snapshot_id = Some(snapshot_id);
        add(&mut report.bytes_read, committed.iter().map(|outcome| outcome.bytes_read).sum());
        add(&mut report.bytes_written, committed.iter().map(|outcome| outcome.bytes_written).sum());
        add(&mut report.groups_committed, committed.len() as u64);
        add(&mut report.snapshots_after, 1);
        report.sizes_after = self.sizes.values().copied().collect();
        report.files_after = Some(report.sizes_after.len() as u64);
        report.bytes_after = Some(report.sizes_after.iter().sum());
    }

    async fn discard<'o>(&self, outcomes: impl IntoIterator<Item = &'o Outcome>) {
        let paths: Vec<String> =
            outcomes.into_iter().flat_map(|outcome| outcome.outputs.iter().map(|file| file.path.clone())).collect();
        reclaim::discard(&self.loaded.store, &paths).await;
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
