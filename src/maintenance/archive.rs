//! Archival of one table, from loading to the last commit: data that has aged moves to its tier, a partition at a time.
//!
//! Old copies stay where they are: snapshots still need them, and only expiry removes them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use super::apply::refuse_stale;
use super::compact::{describe_after, describe_before, finish};
use super::execute::{Doing, Piece, Run, Work};
use super::{Maintenance, PolicyFor, table_context};
use crate::error::{Context, Error, Kind, Result};
use crate::executor;
use crate::lake::{LoadOptions, LoadedTable, load_state, read_footers};
use crate::model::{
    ArchivePlan, ArchivePolicy, ArchiveReport, ArchiveTask, Codec, Move, Recompress, Status, TableName, TableReport,
    TableState, Tier, has_row_lineage,
};
use crate::planner::archive::{self, TierRatios};

/// How often what a concurrent writer touched is planned anew within one run.
const ROUNDS: u32 = 3;
/// Failures that would hit every move alike: a bucket that refuses writes does not have to do so a thousand times.
const HOPELESS: [Kind; 3] = [Kind::Exhausted, Kind::InvalidInput, Kind::Unavailable];

/// A plan with what it was made from.
#[derive(Debug)]
pub struct PlannedArchive {
    /// The table as its catalog had it.
    pub loaded: LoadedTable,
    /// Its files.
    pub state: TableState,
    /// What should happen.
    pub plan: ArchivePlan,
}

impl Maintenance {
    /// Loads a table and plans which of its data moves to other tiers. Changes nothing.
    ///
    /// # Errors
    /// Whatever loading or planning refuses: see [`crate::error::Kind`].
    #[tracing::instrument(target = "spans", name = "plan", skip_all, fields(table = %name))]
    pub async fn plan_archive(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ArchivePolicy>,
    ) -> Result<PlannedArchive> {
        let loaded = self.catalog.load_table(name).await?;
        let policy = policy_for(name, loaded.metadata.properties())?;
        let bounds_for = archive::fields_wanted(&loaded.metadata, &policy)?;
        let mut state = load_state(&loaded, &LoadOptions { bounds_for, ..LoadOptions::default() }).await?;
        let what = || format!("looking at the files of {name}");
        let now_ms = self.ambient.now_ms();
        let places: Vec<_> = policy.tiers.iter().map(Tier::place).collect();
        state.classes = loaded.store.classes_of(&archive::classes_wanted(&state, &places)).await.while_doing(what)?;
        let wanted = archive::footers_wanted(&state, &policy, now_ms)?;
        let sizes: HashMap<&str, u64> = state.files.iter().map(|file| (&*file.path, file.size)).collect();
        let sized = |path: &String| sizes.get(path.as_str()).map(|size| (path.clone(), *size));
        let files: Vec<(String, u64)> = wanted.iter().filter_map(|(path, _)| sized(path)).collect();
        state.footers =
            read_footers(&loaded.store, &files, loaded.metadata.current_schema()).await.while_doing(what)?;
        let ratios = self.sample_tiers(&loaded, &state, &policy, &wanted).await.while_doing(what)?;
        let plan = archive::plan(&state, &policy, &ratios, now_ms)?;
        tracing::debug!(table = %name, tasks = plan.tasks.len(), stays = plan.stays.len(), "planned an archival");
        Ok(PlannedArchive { loaded, state, plan })
    }

    /// Moves what has aged. What went wrong is in the report; what was committed before stays committed.
    #[tracing::instrument(target = "spans", name = "archive", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn archive(&self, name: &TableName, policy_for: &PolicyFor<'_, ArchivePolicy>) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::NothingToDo);
        let result = self.archive_rounds(name, policy_for, &mut report).await;
        // Where data really is now, also after a run that stopped halfway.
        if report.status == Status::Committed
            && let (Some(told), Ok(now)) = (&mut report.archive, self.plan_archive(name, policy_for).await)
        {
            told.tiers_after = now.plan.before;
        }
        if let Err(error) = result {
            tracing::warn!(table = %name, kind = ?error.kind(), %error, "the archival did not finish");
            report = report.failed(&error);
        }
        finish(report, start)
    }

    /// What an archival would do, as a report. Changes nothing.
    #[tracing::instrument(target = "spans", name = "archive", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn archive_dry_run(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ArchivePolicy>,
    ) -> (TableReport, Option<ArchivePlan>) {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::DryRun);
        match self.plan_archive(name, policy_for).await {
            Ok(PlannedArchive { state, plan, .. }) => {
                describe_before(&mut report, &state);
                report.groups = Some(plan.tasks.len() as u64);
                report.files_after = Some(plan.after.iter().map(|used| used.files).sum());
                report.bytes_after = Some(plan.after.iter().map(|used| used.bytes).sum());
                report.archive = Some(plan.report());
                if plan.is_empty() {
                    report.status = Status::NothingToDo;
                }
                (finish(report, start), Some(plan))
            }
            Err(error) => (finish(report.failed(&error), start), None),
        }
    }

    async fn archive_rounds(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ArchivePolicy>,
        report: &mut TableReport,
    ) -> Result<()> {
        for round in 1..=ROUNDS {
            let PlannedArchive { loaded, state, plan } = self.plan_archive(name, policy_for).await?;
            if round == 1 {
                describe_before(report, &state);
                let tiers = plan.before.clone();
                report.archive =
                    Some(ArchiveReport { tiers_before: tiers.clone(), tiers_after: tiers, ..ArchiveReport::default() });
            } else {
                describe_after(report, &state);
            }
            if plan.is_empty() {
                return Ok(());
            }
            let dropped = self.run_archive(&loaded, &state, &plan, report).await?;
            if dropped == 0 {
                return Ok(());
            }
            tracing::info!(table = %name, round, groups = dropped, "groups were changed by another writer, planning again");
        }
        Err(Error::conflict(format!("table {name} kept changing under {ROUNDS} rounds of planning"))
            .hint("run again when the writers are quieter, or leave their partitions out with --where"))
    }

    /// Runs a saved plan, if the table is still the one that it was made from.
    pub(super) async fn apply_archive(
        &self,
        plan: &ArchivePlan,
        loaded: &LoadedTable,
        dry_run: bool,
        report: &mut TableReport,
    ) -> Result<()> {
        let state = load_state(loaded, &LoadOptions::default()).await?;
        describe_before(report, &state);
        let tiers = plan.before.clone();
        report.archive =
            Some(ArchiveReport { tiers_before: tiers.clone(), tiers_after: tiers, ..ArchiveReport::default() });
        let inputs = plan.tasks.iter().flat_map(|task| task.inputs());
        refuse_stale(&plan.table, inputs.map(|input| (&input.path, input.sequence_number)), &state)?;
        report.groups = Some(plan.tasks.len() as u64);
        if dry_run || plan.is_empty() {
            report.archive = Some(plan.report());
            return Ok(());
        }
        report.groups = Some(0);
        match self.run_archive(loaded, &state, plan, report).await? {
            0 => Ok(()),
            dropped => Err(Error::conflict(format!(
                "{dropped} groups of the plan for {} were changed by another writer and left alone",
                plan.table
            ))
            .hint("plan again: what was committed is not planned twice")),
        }
    }

    /// Runs a plan; what it came to is in the report also when it fails halfway.
    async fn run_archive(
        &self,
        loaded: &LoadedTable,
        state: &TableState,
        plan: &ArchivePlan,
        report: &mut TableReport,
    ) -> Result<usize> {
        let mut run = Run::new(self, loaded, state, work(plan, state), report)?;
        let result = run.go().await;
        let done: HashSet<u32> = std::mem::take(&mut run.done).into_iter().collect();
        let done: Vec<&ArchiveTask> = plan.tasks.iter().filter(|task| done.contains(&task.id())).collect();
        let reclassed = done.iter().filter(|task| matches!(task.task, Move::Reclass(_))).count() as u64;
        if reclassed > 0 {
            report.status = Status::Committed;
            report.groups_committed = Some(report.groups_committed.unwrap_or(0) + reclassed);
        }
        let told = report.archive.get_or_insert_default();
        for task in &done {
            told.moved_files += task.files();
            told.moved_bytes += task.bytes();
            told.cost_once += task.money.once;
            told.saved_monthly += task.money.saved();
        }
        if done.len() == plan.tasks.len() {
            told.tiers_after.clone_from(&plan.after);
        }
        result
    }

    /// Measures how inputs will shrink in each tier's own encoding, where that may decide something.
    async fn sample_tiers(
        &self,
        loaded: &LoadedTable,
        state: &TableState,
        policy: &ArchivePolicy,
        wanted: &[(String, usize)],
    ) -> Result<TierRatios> {
        let hot = policy.tiers.first().map(|tier| (tier.policy.zstd_level, tier.policy.encodings));
        let table = table_context(loaded, loaded.metadata.current_schema().clone());
        let mut ratios = TierRatios::new();
        let targets: BTreeSet<usize> = wanted.iter().map(|(_, to)| *to).collect();
        for to in targets {
            let tier = &policy.tiers[to];
            let other = hot != Some((tier.policy.zstd_level, tier.policy.encodings));
            let telling = |codec: Codec| codec != tier.policy.codec || (other && tier.recompress == Recompress::Auto);
            let sample: Vec<(String, u64)> = wanted
                .iter()
                .filter(|(path, tier)| {
                    let codec = state.footers.get(path).and_then(|footer| footer.main_codec());
                    *tier == to && codec.is_some_and(telling)
                })
                .filter_map(|(path, _)| {
                    let index = state.file_index(path)?;
                    Some((path.clone(), state.files[index].size))
                })
                .collect();
            if sample.is_empty() {
                continue;
            }
            let measured: BTreeMap<Codec, f64> =
                executor::sample_ratio(&loaded.store, &sample, &state.footers, &table, &tier.policy)
                    .await?
                    .into_iter()
                    .collect();
            tracing::debug!(table = %state.name, tier = tier.name, ?measured, "sampled the compression ratio");
            ratios.insert(to, measured);
        }
        Ok(ratios)
    }
}

/// The work of an archival: a partition is one unit.
fn work<'p>(plan: &'p ArchivePlan, state: &TableState) -> Work<'p> {
    let mut units: HashMap<&str, u32> = HashMap::new();
    let pieces = plan
        .tasks
        .iter()
        .map(|task| {
            let next = u32::try_from(units.len()).unwrap_or(u32::MAX);
            let unit = *units.entry(task.partition()).or_insert(next);
            let doing = match &task.task {
                Move::Rewrite(rewrite) => Doing::Rewrite(rewrite, &plan.policy.tiers[task.to].policy),
                Move::Transfer(transfer) => Doing::Transfer(transfer),
                Move::Reclass(reclass) => Doing::Reclass(reclass),
            };
            Piece { unit, doing }
        })
        .collect();
    let mut summary = BTreeMap::from([("icewright.operation".to_owned(), "archive".to_owned())]);
    summary.extend(plan.policy.to.clone().map(|tier| (archive::BROUGHT_TO.to_owned(), tier)));
    Work {
        table: &plan.table,
        base: plan.base.as_ref(),
        pieces,
        side_by_side: plan.policy.max_concurrent,
        partial_progress: plan.policy.partial_progress,
        hopeless: &HOPELESS,
        // A deletion vector of a file that is gone is of no use to anybody. What else is left, a compaction retires.
        retire: has_row_lineage(&state.metadata).then(Vec::new),
        summary,
        tells_ratios: false,
        clustering: None,
    }
}
