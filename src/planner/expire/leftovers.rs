//! Partition specs and schemas that nothing uses any more.

use std::collections::BTreeSet;

use crate::model::{History, KeptSnapshot};

/// Specs and schemas without use. A spec is in use while a manifest of a kept snapshot has it; a schema while it was current
/// for a kept snapshot, or while it alone has a column by which rows of one are deleted or partitioned. Where the manifests of
/// a kept snapshot were not looked at, all of them stay.
pub(super) fn unused(history: &History, kept: &[KeptSnapshot]) -> (Vec<i32>, Vec<i32>) {
    let mut schemas = Some(BTreeSet::from([history.current_schema]));
    let mut specs = Some(BTreeSet::from([history.default_spec]));
    for snapshot in kept {
        let its_own = history.snapshots.get(&snapshot.id).and_then(|snapshot| snapshot.schema_id);
        schemas = match (schemas, history.schemas_in_use.get(&snapshot.id)) {
            (Some(schemas), Some(more)) => Some(&(&schemas | more) | &its_own.into_iter().collect()),
            _ => None,
        };
        specs = match (specs, history.specs_in_use.get(&snapshot.id)) {
            (Some(specs), Some(more)) => Some(&specs | more),
            _ => None,
        };
    }
    let without = |all: &BTreeSet<i32>, used: Option<BTreeSet<i32>>| {
        used.map_or_else(Vec::new, |used| all.difference(&used).copied().collect())
    };
    (without(&history.specs, specs), without(&history.schemas, schemas))
}
