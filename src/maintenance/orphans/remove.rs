//! The removal: batch by batch, each looked at once more right before it goes.

use std::collections::HashSet;

use futures::stream;

use super::guards::{
    neighbours, refuse_disabled, refuse_neighbours, refuse_quarantine_inside, refuse_skewed, unchanged,
};
use super::{Maintenance, OrphanScan};
use crate::error::{Error, Result};
use crate::lake::{LoadedTable, TableLocations, match_key};
use crate::model::{OrphanPlan, OrphanPolicy, Removal, Status, TableReport, orphan_kind};
use crate::reclaim::quarantine::Quarantine;
use crate::reclaim::reachable::{Seen, referred};
use crate::reclaim::sorted::Entry;
use crate::reclaim::{Doomed, Remover};

/// So many files are removed between two looks at the table.
const BATCH: usize = 20_000;

impl Maintenance {
    /// Removes what a scan found. `look_up` says that the listing may be old: each file is looked up before it goes.
    pub(super) async fn remove_found(
        &self,
        scan: &mut OrphanScan,
        look_up: bool,
        report: &mut TableReport,
    ) -> Result<()> {
        refuse_skewed(&scan.loaded, &self.ambient).await?;
        let mut pass = Pass::new(self, &scan.loaded, &scan.within, &scan.seen, &scan.plan.policy);
        let mut orphans = scan.orphans.iter()?;
        loop {
            let batch: Vec<Entry> = orphans.by_ref().take(BATCH).collect::<Result<_>>()?;
            if batch.is_empty() {
                return pass.end();
            }
            pass.remove(batch, look_up, report).await?;
        }
    }

    /// Removes what a saved plan names, as far as it still is as it was.
    pub(in crate::maintenance) async fn apply_orphans(
        &self,
        plan: &OrphanPlan,
        loaded: &LoadedTable,
        dry_run: bool,
        report: &mut TableReport,
    ) -> Result<()> {
        plan.policy.validate()?;
        refuse_disabled(loaded)?;
        let written: Vec<String> = plan.locations.keys().cloned().collect();
        let within = TableLocations::of(&loaded.metadata, &written)?;
        if within.written().map(str::to_owned).collect::<Vec<_>>() != written {
            return Err(Error::conflict(format!(
                "table {} has other locations than when the plan was made",
                plan.table
            ))
            .hint("plan again"));
        }
        if !plan.is_complete() {
            return Err(Error::invalid(format!(
                "the plan names {} of {} orphans of {}: there are too many for a plan",
                plan.orphans.len(),
                plan.found.files,
                plan.table
            ))
            .hint("run icewright remove-orphans --delete"));
        }
        // A plan knows the table's own tiers and not those of others; locations themselves are enough to see a clash.
        let around = neighbours(&*self.catalog, &|_, _| Ok(Vec::new())).await?;
        refuse_neighbours(&plan.table, &within, &around, plan.policy.i_know)?;
        refuse_quarantine_inside(&plan.policy, &within, &around)?;
        let files: Vec<Entry> = plan
            .orphans
            .iter()
            .map(|o| Ok(Entry { key: match_key(&o.path)?, size: o.size, modified_ms: o.modified_ms }))
            .collect::<Result<_>>()?;
        if dry_run || files.is_empty() {
            files.iter().for_each(|file| report.add_removal(&one(file)));
            return Ok(());
        }
        refuse_skewed(loaded, &self.ambient).await?;
        // Nothing was seen yet: the look before the removal walks over all of the metadata.
        let nothing = Seen::default();
        let mut pass = Pass::new(self, loaded, &within, &nothing, &plan.policy);
        pass.looked_at = None;
        pass.remove(files, true, report).await?;
        pass.end()
    }
}

fn one(file: &Entry) -> Removal {
    let mut removal = Removal::default();
    removal.add(orphan_kind(&file.key), file.size);
    removal
}

/// One pass of removal over one table.
struct Pass<'a> {
    maintenance: &'a Maintenance,
    loaded: LoadedTable,
    within: &'a TableLocations,
    /// What the scan walked over; whatever is not in there is new.
    seen: &'a Seen,
    /// The metadata file that the scan walked over; `None` when there was no scan.
    looked_at: Option<String>,
    policy: &'a OrphanPolicy,
    /// Where files go instead of being removed.
    quarantine: Option<Quarantine>,
    failed: u64,
    /// Files that were found to be needed, or not as they were, right before they would have gone.
    spared: u64,
}

impl<'a> Pass<'a> {
    fn new(
        maintenance: &'a Maintenance,
        loaded: &LoadedTable,
        within: &'a TableLocations,
        seen: &'a Seen,
        policy: &'a OrphanPolicy,
    ) -> Self {
        let looked_at = Some(loaded.metadata_location.clone());
        let id = format!("{}-{}", maintenance.ambient.now_ms(), &maintenance.ambient.uuid().simple().to_string()[..8]);
        let quarantine = policy.quarantine.as_ref().map(|prefix| Quarantine::new(prefix, &loaded.name, &id));
        let loaded = loaded.clone();
        Self { maintenance, loaded, within, seen, looked_at, policy, quarantine, failed: 0, spared: 0 }
    }

    async fn remove(&mut self, mut batch: Vec<Entry>, look_up: bool, report: &mut TableReport) -> Result<()> {
        let asked = batch.len();
        self.spare_referred(&mut batch).await?;
        if look_up {
            batch = unchanged(&self.loaded.store, batch).await?;
        }
        self.spared += (asked - batch.len()) as u64;
        let remover = Remover {
            store: &self.loaded.store,
            within: self.within,
            ambient: &self.maintenance.ambient,
            max_per_second: self.policy.max_per_second,
        };
        let removal = match &mut self.quarantine {
            Some(quarantine) => quarantine.take(batch, &remover).await?,
            None => {
                let doomed = |file: Entry| Doomed { kind: orphan_kind(&file.key), path: file.key, size: file.size };
                remover.remove(stream::iter(batch.into_iter().map(doomed))).await?
            }
        };
        self.failed += removal.failed;
        report.add_removal(&removal);
        if removal.files() > 0 {
            report.status = Status::Committed;
        }
        Ok(())
    }

    /// The second look: what the table has come to refer to since the scan stays. The age of orphans makes that unlikely;
    /// this makes it harmless.
    async fn spare_referred(&mut self, batch: &mut Vec<Entry>) -> Result<()> {
        let name = &self.loaded.name;
        let fresh = self.maintenance.catalog.load_table(name).await?;
        if fresh.metadata.uuid() != self.loaded.metadata.uuid() {
            return Err(Error::conflict(format!("table {name} was replaced by another one meanwhile"))
                .hint("run again; what was removed so far was an orphan of the older one"));
        }
        refuse_disabled(&fresh)?;
        if self.looked_at.as_deref() != Some(fresh.metadata_location.as_str()) {
            let keys: HashSet<String> = batch.iter().map(|file| file.key.clone()).collect();
            let needed = referred(&fresh, &mut self.seen.clone(), keys).await?;
            batch.retain(|file| !needed.contains(&file.key));
        }
        self.loaded = fresh;
        Ok(())
    }

    fn end(self) -> Result<()> {
        if self.spared > 0 {
            tracing::info!(table = %self.loaded.name, files = self.spared, "left alone: changed or committed meanwhile");
        }
        if self.failed > 0 {
            return Err(Error::unavailable(format!(
                "{} orphans of table {} could not be removed",
                self.failed, self.loaded.name
            ))
            .hint("the log says why, file by file; run again: it goes on where this run stopped"));
        }
        Ok(())
    }
}
