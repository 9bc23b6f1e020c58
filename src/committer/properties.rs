//! Table properties by the catalog's own compare-and-swap.

use std::collections::HashMap;

use iceberg::{TableRequirement, TableUpdate};

use super::Committer;
use crate::error::Result;
use crate::lake::{LoadedTable, Swap, TableChange};

impl Committer {
    /// Sets and removes properties, if the table is still as `base` has it. One try; what the result means is for the
    /// caller to decide.
    ///
    /// Catalogs that keep a pointer (SQL, files) swap only if nothing at all has changed since `base` was read. A REST
    /// catalog applies the change to whatever is current: there the caller looks again to see whose value stayed.
    ///
    /// # Errors
    /// As [`Catalog::commit`](crate::lake::Catalog::commit).
    pub async fn set_properties(
        &self,
        base: &LoadedTable,
        set: HashMap<String, String>,
        remove: Vec<String>,
    ) -> Result<Swap> {
        let mut updates = Vec::new();
        if !remove.is_empty() {
            updates.push(TableUpdate::RemoveProperties { removals: remove });
        }
        if !set.is_empty() {
            updates.push(TableUpdate::SetProperties { updates: set });
        }
        let requirements = vec![TableRequirement::UuidMatch { uuid: base.metadata.uuid() }];
        self.catalog.commit(base, &TableChange { requirements, updates }).await
    }
}
