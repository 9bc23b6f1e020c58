//! Everything that is due for one table, in the order in which one step feeds the next.
//!
//! Compaction leaves small manifests behind, and files that only older snapshots reach; merging manifests leaves the old
//! ones to those snapshots too; expiry lets the snapshots go, and removes what only they reached; what earlier crashes
//! left behind is found when nothing else is about to become unreferenced; what has aged moves to its tier last, compacted
//! by then. One report tells of all of it.

use std::time::Instant;

use super::compact::finish;
use super::orphans::OrphanRun;
use super::{Maintenance, PolicyFor};
use crate::error::Kind;
use crate::model::{
    ArchivePolicy, CompactPolicy, ExpirePolicy, ManifestPolicy, Operation, Plan, Status, TableName, TableReport,
};

/// What a maintenance run does, and by which policies.
pub struct MaintainRun<'a> {
    /// The steps; they are taken in the order of [`Operation::ALL`].
    pub steps: Vec<Operation>,
    /// Only show what would be done.
    pub dry_run: bool,
    /// How files are merged.
    pub compact: Box<PolicyFor<'a, CompactPolicy>>,
    /// How manifests are merged.
    pub manifests: Box<PolicyFor<'a, ManifestPolicy>>,
    /// How much history is kept.
    pub expire: Box<PolicyFor<'a, ExpirePolicy>>,
    /// What is an orphan.
    pub orphans: OrphanRun<'a>,
    /// Where ageing data belongs.
    pub archive: Box<PolicyFor<'a, ArchivePolicy>>,
}

impl std::fmt::Debug for MaintainRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaintainRun")
            .field("steps", &self.steps)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

impl Maintenance {
    /// Maintains a table. Each step plans on what the one before it left; a step that is refused, or that other writers
    /// were too quick for, does not keep the others from their work. After damage, or when something does not answer,
    /// nothing more is begun. The plans are those of a dry run.
    #[tracing::instrument(target = "spans", name = "maintain", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn maintain(&self, name: &TableName, run: &MaintainRun<'_>) -> (TableReport, Vec<Plan>) {
        let start = Instant::now();
        let status = if run.dry_run { Status::DryRun } else { Status::NothingToDo };
        let mut report = TableReport::new(name.clone(), status);
        let (mut plans, mut stopped) = (Vec::new(), false);
        for operation in Operation::ALL.into_iter().filter(|operation| run.steps.contains(operation)) {
            if stopped {
                report.skip_step(operation);
                continue;
            }
            let (step, plan) = self.step(operation, name, run).await;
            stopped = step.error.as_ref().is_some_and(|error| ends_a_run(error.kind));
            report.add_step(operation, step);
            plans.extend(plan);
        }
        (finish(report, start), plans)
    }

    async fn step(&self, operation: Operation, name: &TableName, run: &MaintainRun<'_>) -> (TableReport, Option<Plan>) {
        match (operation, run.dry_run) {
            (Operation::Compact, false) => (self.compact(name, &*run.compact).await, None),
            (Operation::Compact, true) => {
                let (report, plan) = self.compact_dry_run(name, &*run.compact).await;
                (report, plan.map(Plan::Compact))
            }
            (Operation::RewriteManifests, false) => (self.rewrite_manifests(name, &*run.manifests).await, None),
            (Operation::RewriteManifests, true) => {
                let (report, plan) = self.rewrite_manifests_dry_run(name, &*run.manifests).await;
                (report, plan.map(Plan::RewriteManifests))
            }
            (Operation::Expire, false) => (self.expire(name, &*run.expire).await, None),
            (Operation::Expire, true) => {
                let (report, plan) = self.expire_dry_run(name, &*run.expire).await;
                (report, plan.map(Plan::Expire))
            }
            (Operation::RemoveOrphans, dry_run) => {
                let (report, plan) = self.remove_orphans(name, &run.orphans, !dry_run).await;
                (report, plan.filter(|_| dry_run).map(Plan::RemoveOrphans))
            }
            (Operation::Archive, false) => (self.archive(name, &*run.archive).await, None),
            (Operation::Archive, true) => {
                let (report, plan) = self.archive_dry_run(name, &*run.archive).await;
                (report, plan.map(Plan::Archive))
            }
        }
    }
}

/// Whether nothing more should be begun on a table after such an error.
fn ends_a_run(kind: Kind) -> bool {
    match kind {
        Kind::Internal | Kind::Unavailable | Kind::Corrupt => true,
        Kind::InvalidInput | Kind::Unsupported | Kind::Conflict | Kind::Exhausted => false,
    }
}
