//! Running a saved plan, if it is untouched and the table is still the one that it was made for (I1).

use std::collections::HashMap;
use std::time::Instant;

use super::compact::{describe_before, finish};
use super::execute::{Run, Work};
use super::{Maintenance, depth};
use crate::error::{Error, Result};
use crate::lake::{LoadOptions, LoadedTable, load_state};
use crate::model::{CompactPlan, Plan, SavedPlan, Status, TableName, TableReport, TableState};
use crate::planner;

impl Maintenance {
    /// Runs a saved plan.
    #[tracing::instrument(target = "spans", name = "apply", skip_all,
        fields(table = %saved.plan.table(), operation = %saved.plan.operation(), otel.status_code = tracing::field::Empty))]
    pub async fn apply(&self, saved: &SavedPlan) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(saved.plan.table().clone(), Status::NothingToDo);
        if let Err(error) = self.apply_checked(saved, false, &mut report).await {
            report = report.failed(&error);
        }
        finish(report, start)
    }

    /// Checks a saved plan against its table as [`Maintenance::apply`] would. Changes nothing.
    pub async fn apply_dry_run(&self, saved: &SavedPlan) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(saved.plan.table().clone(), Status::DryRun);
        if let Err(error) = self.apply_checked(saved, true, &mut report).await {
            report = report.failed(&error);
        }
        finish(report, start)
    }

    async fn apply_checked(&self, saved: &SavedPlan, dry_run: bool, report: &mut TableReport) -> Result<()> {
        let plan = planner::verify_seal(saved)?;
        let loaded = self.catalog.load_table(plan.table()).await?;
        if plan.table_uuid() != loaded.metadata.uuid().to_string() {
            return Err(Error::conflict(format!(
                "the plan was made for another table that was called {}",
                plan.table()
            ))
            .hint("plan again"));
        }
        match plan {
            Plan::Compact(plan) => self.apply_compaction(plan, &loaded, dry_run, report).await,
            Plan::Expire(plan) => self.apply_expiry(plan, &loaded, dry_run, report).await,
            Plan::RewriteManifests(plan) => self.apply_manifests(plan, &loaded, dry_run, report).await,
            Plan::RemoveOrphans(plan) => self.apply_orphans(plan, &loaded, dry_run, report).await,
            Plan::Archive(plan) => self.apply_archive(plan, &loaded, dry_run, report).await,
        }
    }

    async fn apply_compaction(
        &self,
        plan: &CompactPlan,
        loaded: &LoadedTable,
        dry_run: bool,
        report: &mut TableReport,
    ) -> Result<()> {
        plan.policy.validate()?;
        let bounds_for = depth::fields(loaded, &plan.policy);
        let state = load_state(loaded, &LoadOptions { bounds_for, ..LoadOptions::default() }).await?;
        describe_before(report, &state);
        report.depth_before = depth::by_column(&state, &plan.policy);
        let inputs = plan.rewrites().flat_map(|task| &task.inputs);
        refuse_stale(&plan.table, inputs.map(|input| (&input.path, input.sequence_number)), &state)?;
        report.groups = Some(plan.tasks.len() as u64);
        if dry_run || plan.is_empty() {
            return Ok(());
        }
        report.groups = Some(0);
        report.depth_after.clone_from(&report.depth_before);
        let mut run = Run::new(self, loaded, &state, Work::compaction(plan, &state), report)?;
        let dropped = run.go().await?;
        if dropped > 0 {
            return Err(Error::conflict(format!(
                "{dropped} groups of the plan for {} were changed by another writer and left alone",
                plan.table
            ))
            .hint("plan again: what was committed is not planned twice"));
        }
        Ok(())
    }
}

/// Refuses a plan whose inputs have moved on, before any byte is read.
pub(super) fn refuse_stale<'a>(
    table: &TableName,
    inputs: impl Iterator<Item = (&'a String, i64)>,
    state: &TableState,
) -> Result<()> {
    let live: HashMap<&str, i64> = state.files.iter().map(|file| (&*file.path, file.sequence_number)).collect();
    for (path, sequence_number) in inputs {
        if live.get(path.as_str()) != Some(&sequence_number) {
            return Err(Error::conflict(format!(
                "the plan for {table} is stale: {path} is no longer a live file of the table"
            ))
            .hint("plan again; nothing was changed"));
        }
    }
    Ok(())
}
