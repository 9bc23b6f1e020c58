//! Removal of orphans: list, reach, compare, look again, remove.
//!
//! The order is what makes it safe (I7): a file that was written and committed after the listing began is not in the
//! listing; one that was listed and committed since is in the metadata, which is loaded after the listing, and once more
//! before every batch that is removed. What is written and not yet committed is young. A crash leaves fewer orphans.

mod guards;
mod remove;
mod scan;

use std::sync::Arc;
use std::time::Instant;

use iceberg::spec::TableMetadata;
use tokio::sync::OnceCell;

pub use guards::Neighbour;
pub use scan::OrphanScan;

use super::compact::finish;
use super::{Maintenance, PolicyFor};
use crate::error::Result;
use crate::model::{OrphanPlan, OrphanPolicy, Status, TableName, TableReport};
pub use crate::reclaim::Spill;
pub use crate::reclaim::quarantine::{Restored, restore};

/// Further locations of a table that configuration adds, such as tiers.
pub type LocationsFor<'a> = dyn Fn(&TableName, &TableMetadata) -> Result<Vec<String>> + Send + Sync + 'a;

/// What is the same for all tables of one run.
pub struct OrphanRun<'a> {
    /// Resolves a table's policy.
    pub policy_for: Box<PolicyFor<'a, OrphanPolicy>>,
    /// Further locations of a table.
    pub locations_for: Box<LocationsFor<'a>>,
    /// A listing that was made elsewhere (see [`crate::lake::inventory`]), instead of asking the store.
    pub listing: Option<String>,
    /// Where sorted runs go that don't fit into memory.
    pub spill: Spill,
    /// So many orphans are named in the plan; all of them are counted.
    pub most_named: usize,
    /// The locations of all tables of the catalog, looked up once.
    pub neighbours: Arc<OnceCell<Vec<Neighbour>>>,
}

impl std::fmt::Debug for OrphanRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrphanRun").field("listing", &self.listing).field("spill", &self.spill).finish_non_exhaustive()
    }
}

impl Maintenance {
    /// Which files of a table are orphans. Changes nothing.
    ///
    /// # Errors
    /// See [`Maintenance::scan_orphans`].
    pub async fn plan_orphans(&self, name: &TableName, run: &OrphanRun<'_>) -> Result<OrphanPlan> {
        Ok(self.scan_orphans(name, run).await?.plan)
    }

    /// Finds orphans, and removes them (or moves them into quarantine) if `remove` says so. What went wrong is in the
    /// report.
    #[tracing::instrument(target = "spans", name = "remove-orphans", skip_all,
        fields(table = %name, otel.status_code = tracing::field::Empty))]
    pub async fn remove_orphans(
        &self,
        name: &TableName,
        run: &OrphanRun<'_>,
        remove: bool,
    ) -> (TableReport, Option<OrphanPlan>) {
        let start = Instant::now();
        let mut report = TableReport::new(name.clone(), Status::NothingToDo);
        let mut plan = None;
        if let Err(error) = self.orphans_of(name, run, remove, &mut report, &mut plan).await {
            tracing::warn!(table = %name, kind = ?error.kind(), %error, "orphan removal did not finish");
            report = report.failed(&error);
        }
        (finish(report, start), plan)
    }

    async fn orphans_of(
        &self,
        name: &TableName,
        run: &OrphanRun<'_>,
        remove: bool,
        report: &mut TableReport,
        plan: &mut Option<OrphanPlan>,
    ) -> Result<()> {
        let mut scan = self.scan_orphans(name, run).await?;
        *plan = Some(scan.plan.clone());
        if scan.plan.is_empty() {
            return Ok(());
        }
        if !remove {
            report.status = Status::DryRun;
            report.add_removal(&scan.by_kind);
            return Ok(());
        }
        self.remove_found(&mut scan, run.listing.is_some(), report).await
    }
}
