//! Rewriting the manifests of one table, from loading to the commit.

use std::collections::HashSet;
use std::time::Instant;

use super::compact::finish;
use super::{Maintenance, PolicyFor};
use crate::committer::{CommitResult, Committer};
use crate::error::{Error, Result};
use crate::lake::{LoadOptions, LoadedTable, load_state};
use crate::model::{ManifestPlan, ManifestPolicy, Status, TableName, TableReport, TableState};
use crate::planner;

/// How often a table is planned anew within one run, when all that was planned is gone.
const ROUNDS: u32 = 3;

/// A plan with the state that it was made from: the manifest list alone.
#[derive(Debug)]
pub struct PlannedManifests {
    /// The table's manifests; its files are not loaded.
    pub state: TableState,
    /// What should happen.
    pub plan: ManifestPlan,
}

impl Maintenance {
    /// Reads a table's manifest list and plans the rewrite of its manifests. Changes nothing.
    ///
    /// # Errors
    /// Whatever loading or planning refuses: see [`crate::error::Kind`].
    #[tracing::instrument(target = "spans", name = "plan", skip_all, fields(table = %name))]
    pub async fn plan_manifests(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ManifestPolicy>,
    ) -> Result<PlannedManifests> {
        let loaded = self.catalog.load_table(name).await?;
        let policy = policy_for(name, loaded.metadata.properties())?;
        let state = manifests_only(&loaded).await?;
        let plan = planner::manifests::plan(&state, &policy, self.ambient.now_ms())?;
        Ok(PlannedManifests { state, plan })
    }

    /// Rewrites a table's manifests, if it pays.
    #[tracing::instrument(target = "spans", name = "rewrite-manifests", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn rewrite_manifests(&self, name: &TableName, policy_for: &PolicyFor<'_, ManifestPolicy>) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::NothingToDo);
        if let Err(error) = self.rewrite_manifests_rounds(name, policy_for, &mut report).await {
            tracing::warn!(table = %name, kind = ?error.kind(), %error, "rewriting manifests did not finish");
            report = report.failed(&error);
        }
        finish(report, start)
    }

    /// What a rewrite would do, as a report. Changes nothing.
    #[tracing::instrument(target = "spans", name = "rewrite-manifests", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn rewrite_manifests_dry_run(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ManifestPolicy>,
    ) -> (TableReport, Option<ManifestPlan>) {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::DryRun);
        match self.plan_manifests(name, policy_for).await {
            Ok(PlannedManifests { state, plan }) => {
                describe(&mut report, &state, &plan);
                report.manifests_after = Some(plan.counts().1);
                if plan.is_empty() {
                    report.status = Status::NothingToDo;
                }
                (finish(report, start), Some(plan))
            }
            Err(error) => (finish(report.failed(&error), start), None),
        }
    }

    async fn rewrite_manifests_rounds(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ManifestPolicy>,
        report: &mut TableReport,
    ) -> Result<()> {
        for _ in 0..ROUNDS {
            let PlannedManifests { state, plan } = self.plan_manifests(name, policy_for).await?;
            describe(report, &state, &plan);
            if plan.is_empty() || self.commit_manifests(&plan, report).await? {
                return Ok(());
            }
        }
        Err(Error::conflict(format!("the manifests of {name} were replaced by others {ROUNDS} times"))
            .hint("run again when the writers are quieter"))
    }

    /// Runs a saved plan on a table that is still the one it was made for.
    pub(super) async fn apply_manifests(
        &self,
        plan: &ManifestPlan,
        loaded: &LoadedTable,
        dry_run: bool,
        report: &mut TableReport,
    ) -> Result<()> {
        plan.policy.validate()?;
        let state = manifests_only(loaded).await?;
        describe(report, &state, plan);
        let live: HashSet<&str> = state.manifests.iter().map(|manifest| manifest.path.as_str()).collect();
        let stale = || Error::conflict(format!("the plan for {} is stale", plan.table));
        if let Some(gone) =
            plan.tasks.iter().flat_map(|task| &task.manifests).find(|path| !live.contains(path.as_str()))
        {
            return Err(stale()
                .while_doing(format!("{gone} is no longer a manifest of the table"))
                .hint("plan again; nothing was changed"));
        }
        if dry_run || plan.is_empty() || self.commit_manifests(plan, report).await? {
            return Ok(());
        }
        Err(stale().hint("another writer replaced its manifests: plan again; nothing was changed"))
    }

    /// Commits; `false` when there is nothing left of the plan.
    async fn commit_manifests(&self, plan: &ManifestPlan, report: &mut TableReport) -> Result<bool> {
        let committer = Committer::new(self.catalog.clone(), self.ambient.clone());
        let done = committer.rewrite_manifests(plan, self.resources.memory).await?;
        match done.result {
            CommitResult::Committed { snapshot_id, .. } => {
                report.status = Status::Committed;
                report.snapshot_id = Some(snapshot_id);
                report.manifests_before = Some(done.before);
                report.manifests_after = Some(done.after);
                report.groups_committed = Some(done.groups);
                report.snapshots_after = report.snapshots_after.map(|snapshots| snapshots + 1);
                self.progress.committed();
                Ok(true)
            }
            CommitResult::NothingLeft => Ok(false),
            CommitResult::Rejected { reason } => {
                Err(Error::conflict(format!("other writers were always first at {}: {reason}", plan.table))
                    .hint("run again later, or raise the table property commit.retry.num-retries"))
            }
            CommitResult::Unknown { reason } => Err(Error::unavailable(format!(
                "whether the commit to {} took effect is unknown: {reason}",
                plan.table
            ))
            .hint("run again later: no row is touched, and files of a lost commit are removed as orphans")),
        }
    }
}

async fn manifests_only(loaded: &LoadedTable) -> Result<TableState> {
    load_state(loaded, &LoadOptions { manifests_only: true, ..LoadOptions::default() }).await
}

/// Fills in how the table was found.
fn describe(report: &mut TableReport, state: &TableState, plan: &ManifestPlan) {
    let manifests = state.manifests.len() as u64;
    let snapshots = state.metadata.snapshots().len() as u64;
    report.manifests_before = Some(manifests);
    report.manifests_after = Some(manifests);
    report.snapshots_before = Some(snapshots);
    report.snapshots_after = Some(snapshots);
    report.groups = Some(plan.tasks.iter().filter(|task| !task.manifests.is_empty()).count() as u64);
    report.groups_committed = Some(0);
}
