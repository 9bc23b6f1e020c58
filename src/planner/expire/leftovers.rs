//! Partition specs and schemas that nothing uses any more.

use std::collections::BTreeSet;

use crate::model::{History, KeptSnapshot};

/// Specs and schemas without use. A spec is in use while a manifest of a kept snapshot has it, a schema while it was
/// current for a kept snapshot. Where the manifests of a kept snapshot were not looked at, every spec stays.
pub(super) fn unused(history: &History, kept: &[KeptSnapshot]) -> (Vec<i32>, Vec<i32>) {
    let mut schemas = BTreeSet::from([history.current_schema]);
    let mut specs = Some(BTreeSet::from([history.default_spec]));
    for snapshot in kept {
        schemas.extend(history.snapshots.get(&snapshot.id).and_then(|snapshot| snapshot.schema_id));
        specs = match (specs, history.specs_in_use.get(&snapshot.id)) {
            (Some(specs), Some(more)) => Some(&specs | more),
            _ => None,
        };
    }
    let without = |all: &BTreeSet<i32>, used: &BTreeSet<i32>| all.difference(used).copied().collect();
    (specs.map_or_else(Vec::new, |used| without(&history.specs, &used)), without(&history.schemas, &schemas))
}
