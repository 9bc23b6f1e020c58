//! Compaction of one table, from loading to the last commit.

use std::time::Instant;

use super::execute::{Run, Work};
use super::{Maintenance, Planned, PolicyFor, depth};
use crate::error::{Error, Result};
use crate::model::{CompactPlan, Status, TableName, TableReport, TableState};
use crate::telemetry::process;

/// How often groups that a concurrent writer touched are planned anew within one run.
const ROUNDS: u32 = 3;

impl Maintenance {
    /// Compacts a table. What went wrong is in the report; what was committed before stays committed.
    #[tracing::instrument(target = "spans", name = "compact", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn compact(&self, name: &TableName, policy_for: &PolicyFor<'_>) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::NothingToDo);
        if let Err(error) = self.compact_rounds(name, policy_for, &mut report).await {
            tracing::warn!(table = %name, kind = ?error.kind(), %error, "compaction did not finish");
            report = report.failed(&error);
        }
        finish(report, start)
    }

    /// What a compaction would do, as a report. Changes nothing.
    #[tracing::instrument(target = "spans", name = "compact", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn compact_dry_run(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_>,
    ) -> (TableReport, Option<CompactPlan>) {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::DryRun);
        match self.plan_compaction(name, policy_for).await {
            Ok(planned) => {
                describe_before(&mut report, &planned.state);
                report.depth_before = depth::by_column(&planned.state, &planned.plan.policy);
                let totals = &planned.plan.totals;
                report.groups = Some(planned.plan.tasks.len() as u64);
                report.ways = planned.plan.ways();
                report.files_after = Some(totals.files - totals.input_files + totals.output_files);
                report.delete_files_after =
                    Some(totals.delete_files + totals.new_delete_files - totals.retired_delete_files);
                report.bytes_after = Some(totals.bytes - totals.input_bytes + totals.output_bytes);
                if planned.plan.is_empty() {
                    report.status = Status::NothingToDo;
                }
                (finish(report, start), Some(planned.plan))
            }
            Err(error) => (finish(report.failed(&error), start), None),
        }
    }

    async fn compact_rounds(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_>,
        report: &mut TableReport,
    ) -> Result<()> {
        for round in 1..=ROUNDS {
            // A replica may lag: what it led to is planned anew on what the primary says.
            let loaded = match round {
                1 => self.load_to_look(name).await?,
                _ => self.catalog.load_table(name).await?,
            };
            let Planned { loaded, state, plan } = self.plan_compaction_of(loaded, policy_for, &[]).await?;
            if round == 1 {
                describe_before(report, &state);
                report.depth_before = depth::by_column(&state, &plan.policy);
                report.depth_after.clone_from(&report.depth_before);
            } else {
                describe_after(report, &state);
                report.depth_after = depth::by_column(&state, &plan.policy);
            }
            if plan.is_empty() {
                return Ok(());
            }
            let mut run = Run::new(self, &loaded, &state, Work::compaction(&plan, &state), report)?;
            let dropped = match run.go().await {
                Ok(0) => return Ok(()),
                Ok(dropped) => dropped,
                // Files that a replica still shows may be gone for good.
                Err(error) if round == 1 && self.catalog.replica().is_some() => {
                    tracing::warn!(table = %name, %error, "planned on a replica and failed, planning on the primary");
                    continue;
                }
                Err(error) => return Err(error),
            };
            tracing::info!(table = %name, round, groups = dropped, "groups were changed by another writer, planning again");
        }
        Err(Error::conflict(format!("table {name} kept changing under {ROUNDS} rounds of planning"))
            .hint("run again when the writers are quieter, or leave their partitions out with --where"))
    }
}

/// Fills in how the table was found.
pub(super) fn describe_before(report: &mut TableReport, state: &TableState) {
    let snapshots = state.metadata.snapshots().len() as u64;
    report.files_before = Some(state.files.len() as u64);
    report.files_after = report.files_before;
    report.delete_files_before = Some(state.deletes.len() as u64);
    report.delete_files_after = report.delete_files_before;
    report.bytes_before = Some(state.data_bytes());
    report.bytes_after = report.bytes_before;
    report.rows = Some(state.data_rows());
    report.bytes_read = Some(0);
    report.bytes_written = Some(0);
    report.groups = Some(0);
    report.groups_committed = Some(0);
    report.snapshots_before = Some(snapshots);
    report.snapshots_after = Some(snapshots);
    report.sizes_before = state.files.iter().map(|file| file.size).collect();
    report.sizes_after.clone_from(&report.sizes_before);
}

/// Fills in how the table is now, where others have been at work meanwhile.
pub(super) fn describe_after(report: &mut TableReport, state: &TableState) {
    report.files_after = Some(state.files.len() as u64);
    report.delete_files_after = Some(state.deletes.len() as u64);
    report.bytes_after = Some(state.data_bytes());
    report.snapshots_after = Some(state.metadata.snapshots().len() as u64);
    report.sizes_after = state.files.iter().map(|file| file.size).collect();
}

/// Adds what every report ends with.
pub(super) fn finish(mut report: TableReport, start: Instant) -> TableReport {
    if report.error.is_some() {
        tracing::Span::current().record("otel.status_code", "ERROR");
    }
    report.seconds = start.elapsed().as_secs_f64();
    report.peak_memory_bytes = process::peak_memory();
    report
}
