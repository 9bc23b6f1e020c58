//! Expiry of one table: load, plan, commit, and only then remove what nothing reaches any more.
//!
//! The order of writes, and what a crash leaves behind at each step (I6):
//! 1. One commit lets snapshots, references and old metadata versions go. Crash: before or after it. While its result is
//!    unknown nothing is deleted (I5).
//! 2. From *fresh* metadata it is computed what is reachable now. Crash: files that nothing refers to.
//! 3. Data and delete files are removed, then manifests, then lists and statistics, then metadata files. Crash: as 2.

use std::collections::HashMap;
use std::time::Instant;

use futures::stream;

use super::compact::finish;
use super::{Maintenance, PolicyFor, own_locations};
use crate::committer::{Committer, Expired, Retry};
use crate::error::{Context, Error, Kind, Result};
use crate::lake::{LoadedTable, history, in_use};
use crate::model::{ExpirePlan, ExpirePolicy, Removal, Status, TableName, TableReport};
use crate::planner;
use crate::reclaim::{Doomed, Heads, Reach, Remover};

/// An expiry with what it was planned from.
#[derive(Debug)]
pub struct PlannedExpiry {
    /// The table as its catalog had it.
    pub loaded: LoadedTable,
    /// What expires.
    pub plan: ExpirePlan,
}

impl Maintenance {
    /// Expires what a table's policy lets go, and removes the files that only this reached. What went wrong is in the
    /// report; what was committed before stays committed.
    #[tracing::instrument(target = "spans", name = "expire", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn expire(&self, name: &TableName, policy_for: &PolicyFor<'_, ExpirePolicy>) -> TableReport {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::NothingToDo);
        if let Err(error) = self.expire_checked(name, policy_for, &mut report).await {
            tracing::warn!(table = %name, kind = ?error.kind(), %error, "expiry did not finish");
            report = report.failed(&error);
        }
        finish(report, start)
    }

    /// What an expiry would do, and what it would free. Changes nothing.
    #[tracing::instrument(target = "spans", name = "expire", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn expire_dry_run(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ExpirePolicy>,
    ) -> (TableReport, Option<ExpirePlan>) {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::DryRun);
        match self.plan_expiry(name, policy_for, true).await {
            Ok(PlannedExpiry { plan, .. }) => {
                describe(&mut report, &plan);
                if plan.is_empty() {
                    report.status = Status::NothingToDo;
                }
                (finish(report, start), Some(plan))
            }
            Err(error) => (finish(report.failed(&error), start), None),
        }
    }

    /// Plans an expiry; `count` also finds out what it would free, which reads manifests. Changes nothing.
    ///
    /// # Errors
    /// Whatever loading or planning refuses: see [`Kind`].
    #[tracing::instrument(target = "spans", name = "plan", skip_all, fields(table = %name))]
    pub async fn plan_expiry(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ExpirePolicy>,
        count: bool,
    ) -> Result<PlannedExpiry> {
        let loaded = self.catalog.load_table(name).await?;
        let policy = policy_for(name, loaded.metadata.properties())?;
        let mut plan = self.plan_expiry_of(&loaded, &policy).await.while_doing(|| format!("planning for {name}"))?;
        if count && !plan.is_empty() {
            plan.frees = Some(count_freed(&loaded, &plan).await?);
        }
        tracing::debug!(table = %name, expired = plan.expired.len(), kept = plan.kept.len(), "planned an expiry");
        Ok(PlannedExpiry { loaded, plan })
    }

    async fn plan_expiry_of(&self, loaded: &LoadedTable, policy: &ExpirePolicy) -> Result<ExpirePlan> {
        refuse_unsupported(loaded)?;
        let now = self.ambient.now_ms();
        let mut history = history(loaded)?;
        let mut plan = planner::expire::plan(&history, policy, now)?;
        if policy.clean_expired_metadata && (history.specs.len() > 1 || history.schemas.len() > 1) {
            let mut seen = HashMap::new();
            for kept in &plan.kept {
                let Some(snapshot) = loaded.metadata.snapshot_by_id(kept.id) else { continue };
                let in_use = in_use(loaded, snapshot, &mut seen).await?;
                history.specs_in_use.insert(kept.id, in_use.specs);
                history.schemas_in_use.insert(kept.id, in_use.schemas);
            }
            plan = planner::expire::plan(&history, policy, now)?;
        }
        Ok(plan)
    }

    async fn expire_checked(
        &self,
        name: &TableName,
        policy_for: &PolicyFor<'_, ExpirePolicy>,
        report: &mut TableReport,
    ) -> Result<()> {
        let mut retry: Option<Retry> = None;
        loop {
            let PlannedExpiry { loaded, plan } = self.plan_expiry(name, policy_for, false).await?;
            describe(report, &plan);
            if plan.is_empty() {
                return Ok(());
            }
            let Some(reason) = self.carry_out(&loaded, &plan, report).await? else { return Ok(()) };
            let retry = retry.get_or_insert_with(|| Retry::from_properties(loaded.metadata.properties()));
            if !retry.wait(&self.ambient).await {
                return Err(Error::conflict(format!("other writers were always first at {name}: {reason}"))
                    .hint("run again later, or raise the table property commit.retry.num-retries"));
            }
            tracing::info!(table = %name, reason, "another writer was first, planning again");
        }
    }

    /// Commits and reclaims. A reason comes back when another writer was first.
    async fn carry_out(
        &self,
        loaded: &LoadedTable,
        plan: &ExpirePlan,
        report: &mut TableReport,
    ) -> Result<Option<String>> {
        let name = &loaded.name;
        // Before the commit: a table whose files must not be removed keeps its snapshots.
        own_locations(loaded, &plan.policy.tiers)?;
        let committer = Committer::new(self.catalog.clone(), self.ambient.clone());
        let expired = committer.expire(loaded, plan).await.while_doing(|| format!("committing to {name}"))?;
        let fresh = match expired {
            Expired::Committed(fresh) => fresh,
            Expired::Rejected { reason } => return Ok(Some(reason)),
            Expired::Unknown { reason } => {
                let what = format!("whether the expiry of {name} took effect is unknown: {reason}");
                return Err(Error::unavailable(what)
                    .hint("run again later; no file was removed, and what is left over is found by remove-orphans"));
            }
        };
        report.status = Status::Committed;
        report.snapshots_after = Some(fresh.metadata.snapshots().len() as u64);
        report.metadata_versions_after = Some(fresh.metadata.metadata_log().len() as u64);
        self.progress.committed();
        self.reclaim(loaded, &fresh, plan, report).await.while_doing(|| {
            format!("snapshots of {name} have expired, but not all of their files were removed (they are orphans now)")
        })?;
        Ok(None)
    }

    /// Removes what the fresh table does not reach any more.
    #[tracing::instrument(target = "spans", name = "reclaim", skip_all, fields(table = %fresh.name))]
    async fn reclaim(
        &self,
        before: &LoadedTable,
        fresh: &LoadedTable,
        plan: &ExpirePlan,
        report: &mut TableReport,
    ) -> Result<()> {
        let within = own_locations(fresh, &plan.policy.tiers)?;
        let max_per_second = plan.policy.max_per_second;
        let remover = Remover { store: &fresh.store, within: &within, ambient: &self.ambient, max_per_second };
        let mut reach = Reach::begin(&fresh.store, Heads::committed(before, fresh, plan)).await?;
        report.add_removal(&Removal::default());
        while let Some(files) = reach.next_files().await? {
            report.add_removal(&remover.remove(stream::iter(files)).await?);
        }
        for doomed in reach.rest() {
            report.add_removal(&remover.remove(stream::iter(doomed)).await?);
        }
        Ok(())
    }

    /// Carries out a saved plan, if everything in it may still expire under its own policy.
    pub(super) async fn apply_expiry(
        &self,
        plan: &ExpirePlan,
        loaded: &LoadedTable,
        dry_run: bool,
        report: &mut TableReport,
    ) -> Result<()> {
        plan.policy.validate()?;
        self.refuse_moved(plan, loaded).await?;
        // What the plan would free is a promise; what is freed is counted anew.
        describe(report, &ExpirePlan { frees: plan.frees.clone().filter(|_| dry_run), ..plan.clone() });
        report.snapshots_before = Some(loaded.metadata.snapshots().len() as u64);
        report.snapshots_after = Some((loaded.metadata.snapshots().len() - plan.expired.len()) as u64);
        if dry_run || plan.is_empty() {
            return Ok(());
        }
        match self.carry_out(loaded, plan, report).await? {
            None => Ok(()),
            Some(reason) => Err(Error::conflict(format!("another writer was first at {}: {reason}", plan.table))
                .hint("apply the plan again: it is checked against the table as it is then")),
        }
    }

    /// What expires is decided anew with the plan's own policy: a snapshot that a branch or tag holds by now stays.
    async fn refuse_moved(&self, plan: &ExpirePlan, loaded: &LoadedTable) -> Result<()> {
        let stale = |what: String| {
            Error::conflict(format!("the plan for {} is stale: {what}", plan.table))
                .hint("plan again; nothing was changed")
        };
        let now = match self.plan_expiry_of(loaded, &plan.policy).await {
            Err(error) if error.kind() == Kind::InvalidInput => return Err(stale(error.to_string())),
            other => other?,
        };
        let may = |id: i64| now.expired.iter().any(|gone| gone.id == id);
        if let Some(gone) = plan.expired.iter().find(|gone| !may(gone.id)) {
            let held = now.kept.iter().find(|kept| kept.id == gone.id);
            let why =
                held.map_or_else(|| "has expired already".to_owned(), |kept| format!("is to be kept: {}", kept.why));
            return Err(stale(format!("snapshot {} {why}", gone.id)));
        }
        if let Some(gone) = plan.refs.iter().find(|gone| !now.refs.contains(gone)) {
            return Err(stale(format!("branch or tag {} has moved", gone.name)));
        }
        let unused = plan.specs.iter().all(|id| now.specs.contains(id));
        if !unused || !plan.schemas.iter().all(|id| now.schemas.contains(id)) {
            return Err(stale("a spec or schema that it would remove is in use".to_owned()));
        }
        Ok(())
    }
}

/// Refuses what reachability could not be computed for, before anything is changed (I10).
fn refuse_unsupported(table: &LoadedTable) -> Result<()> {
    let name = &table.name;
    if table.metadata.properties().contains_key("encryption.key-id")
        || table.document.get("encryption-keys").and_then(|keys| keys.as_array()).is_some_and(|keys| !keys.is_empty())
    {
        return Err(Error::unsupported(format!("table {name} is encrypted")).hint("encrypted tables are not supported"));
    }
    if let Some(old) = table.metadata.snapshots().find(|snapshot| snapshot.manifest_list().is_empty()) {
        return Err(Error::unsupported(format!("snapshot {} of {name} has no manifest list", old.snapshot_id()))
            .hint("very old writers list manifests in the metadata itself; such tables are not supported"));
    }
    Ok(())
}

/// What would become free if nobody else did anything.
async fn count_freed(loaded: &LoadedTable, plan: &ExpirePlan) -> Result<Removal> {
    let within = own_locations(loaded, &plan.policy.tiers)?;
    let mut removal = Removal::default();
    let mut count = |file: Doomed| {
        if within.contains(&file.path) {
            removal.add(file.kind, file.size);
        } else {
            removal.outside += 1;
        }
    };
    let mut reach = Reach::begin(&loaded.store, Heads::planned(loaded, plan)).await?;
    while let Some(files) = reach.next_files().await? {
        files.for_each(&mut count);
    }
    reach.rest().into_iter().flatten().for_each(count);
    Ok(removal)
}

/// How the table was found, and what is to become of it.
fn describe(report: &mut TableReport, plan: &ExpirePlan) {
    report.snapshots_before.get_or_insert((plan.expired.len() + plan.kept.len()) as u64);
    report.snapshots_after = Some(plan.kept.len() as u64);
    report.metadata_versions_before.get_or_insert(plan.metadata_versions);
    let after = if plan.is_empty() { plan.metadata_versions } else { plan.metadata_versions + 1 };
    report.metadata_versions_after = Some(plan.trim_log_to.map_or(after, |keep| after.min(keep)));
    if let Some(frees) = &plan.frees {
        report.add_removal(frees);
    }
}
