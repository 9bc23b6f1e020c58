//! The look: which files are orphans. Changes nothing.

use super::guards::{
    neighbours, refuse_disabled, refuse_missing, refuse_neighbours, refuse_outside, refuse_quarantine_inside,
    refuse_strangers, refuse_suspicious,
};
use super::{Maintenance, OrphanRun};
use crate::error::{Context, Error, Result};
use crate::lake::{LoadedTable, TableLocations, inventory};
use crate::model::{Orphan, OrphanPlan, Removal, TableName};
use crate::reclaim::listing;
use crate::reclaim::orphans::{Found, Rules, compare};
use crate::reclaim::reachable::{Seen, reachable};
use crate::reclaim::sorted::Sorted;

/// What a look at a table found.
#[derive(Debug)]
pub struct OrphanScan {
    /// What should happen.
    pub plan: OrphanPlan,
    /// The orphans by kind.
    pub by_kind: Removal,
    pub(super) loaded: LoadedTable,
    pub(super) within: TableLocations,
    pub(super) seen: Seen,
    pub(super) orphans: Sorted,
}

impl Maintenance {
    /// Looks for a table's orphans: the listing first, then fresh metadata, so that nothing committed meanwhile can be
    /// among them (I7).
    ///
    /// # Errors
    /// `Unsupported` when a guard refuses (see the README), `InvalidInput` without the right to list, `Conflict` when
    /// the table's locations changed meanwhile, `Exhausted` when there is no more temporary space, and what reading
    /// metadata says.
    #[tracing::instrument(target = "spans", name = "plan", skip_all, fields(table = %name))]
    pub async fn scan_orphans(&self, name: &TableName, run: &OrphanRun<'_>) -> Result<OrphanScan> {
        let before = self.catalog.load_table(name).await?;
        let policy = (run.policy_for)(name, before.metadata.properties())?;
        policy.validate()?;
        refuse_disabled(&before)?;
        refuse_outside(&before, self.catalog.warehouse(), policy.i_know)?;
        let places =
            |table: &LoadedTable| TableLocations::of(&table.metadata, &(run.locations_for)(name, &table.metadata)?);
        let within = places(&before).while_doing(|| format!("looking for orphans of {name}"))?;
        let around = run.neighbours.get_or_try_init(|| neighbours(&*self.catalog, &*run.locations_for)).await?;
        refuse_neighbours(name, &within, around, policy.i_know)?;
        refuse_quarantine_inside(&policy, &within, around)?;

        let now_ms = self.ambient.now_ms();
        let mut listed = match &run.listing {
            None => listing::list(&before.store, &within, &run.spill).await?,
            Some(file) => {
                let files = inventory::read(&before.store, file, &run.spill.dir).await?;
                listing::sort(files, &within, &run.spill).await?
            }
        };
        tracing::debug!(table = %name, "listed");
        let loaded = self.catalog.load_table(name).await?;
        if places(&loaded)? != within || loaded.metadata.uuid() != before.metadata.uuid() {
            return Err(Error::conflict(format!("table {name} moved while its files were listed")).hint("run again"));
        }
        let mut seen = Seen::default();
        let mut referred = reachable(&loaded, &mut seen, &run.spill).await?;
        tracing::debug!(table = %name, "walked over the metadata");

        let found = {
            let (within, store, spill) = (within.clone(), loaded.store.clone(), run.spill.clone());
            let partition_fields = partition_fields(&loaded);
            let older_than_ms = policy.older_than_ms;
            let work = move || {
                let fields = &partition_fields;
                let rules = Rules { within: &within, store: &store, now_ms, older_than_ms, partition_fields: fields };
                compare(&mut listed, &mut referred, &rules, &spill)
            };
            // Reading temporary files is work for a thread that may wait.
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|e| Error::internal("comparing the listing failed").caused_by(e))??
        };
        refuse_missing(&loaded, &found).await?;
        refuse_strangers(&loaded, &found.metadata_files, policy.i_know).await?;
        refuse_suspicious(name, &found, &policy)?;
        let Found { mut orphans, by_kind, .. } = found;
        let plan = OrphanPlan {
            table: name.clone(),
            table_uuid: loaded.metadata.uuid().to_string(),
            metadata_location: loaded.metadata_location.clone(),
            created_ms: now_ms,
            policy,
            locations: found.by_location,
            listed: found.listed,
            referenced: found.referenced,
            elsewhere: found.elsewhere,
            orphans: named(&mut orphans, run.most_named)?,
            found: found.found,
            left_alone: found.left_alone,
        };
        Ok(OrphanScan { plan, by_kind, loaded, within, seen, orphans })
    }
}

fn partition_fields(table: &LoadedTable) -> Vec<String> {
    let specs = table.metadata.partition_specs_iter();
    specs.flat_map(|spec| spec.fields().iter().map(|field| field.name.clone()).collect::<Vec<_>>()).collect()
}

fn named(orphans: &mut Sorted, most: usize) -> Result<Vec<Orphan>> {
    let some = orphans.iter()?.take(most);
    some.map(|entry| entry.map(|e| Orphan { path: e.key, size: e.size, modified_ms: e.modified_ms })).collect()
}
