//! Partition specs and schemas that the manifests of a snapshot need.

use std::collections::{BTreeSet, HashMap};

use iceberg::spec::{ManifestContentType, ManifestFile, Snapshot};

use super::LoadedTable;
use super::manifests::{read_manifest, read_manifest_list};
use crate::error::Result;

/// What is in use.
#[derive(Debug, Default)]
pub struct InUse {
    /// Partition specs.
    pub specs: BTreeSet<i32>,
    /// Schemas beside the current one: the newest with a column that is gone from it, by which rows are deleted or
    /// partitioned.
    pub schemas: BTreeSet<i32>,
}

/// Looks a snapshot's manifests through; delete manifests are read, each once (`seen`: their delete columns by location).
///
/// # Errors
/// `Corrupt` when the manifest list is missing or can't be read, `Unavailable` when the store does not answer.
pub async fn in_use(
    table: &LoadedTable,
    snapshot: &Snapshot,
    seen: &mut HashMap<String, Option<BTreeSet<i32>>>,
) -> Result<InUse> {
    let metadata = &table.metadata;
    let list = read_manifest_list(table, snapshot).await?;
    let specs: BTreeSet<i32> = list.iter().map(|file| file.partition_spec_id).collect();
    let sources = specs.iter().filter_map(|id| metadata.partition_spec_by_id(*id));
    let mut columns: BTreeSet<i32> = sources.flat_map(|spec| spec.fields()).map(|field| field.source_id).collect();
    for file in list.iter().filter(|file| file.content == ManifestContentType::Deletes) {
        if !seen.contains_key(&file.manifest_path) {
            seen.insert(file.manifest_path.clone(), delete_columns(table, file).await);
        }
        match seen.get(&file.manifest_path) {
            Some(Some(more)) => columns.extend(more),
            // What can't be read may need any.
            _ => return Ok(InUse { specs, schemas: metadata.schemas_iter().map(|s| s.schema_id()).collect() }),
        }
    }
    let newest_with = |id: &i32| {
        let with = metadata.schemas_iter().filter(|schema| schema.field_by_id(*id).is_some());
        with.map(|schema| schema.schema_id()).max()
    };
    let gone = columns.iter().filter(|id| metadata.current_schema().field_by_id(**id).is_none());
    let schemas = gone.filter_map(newest_with).collect();
    Ok(InUse { specs, schemas })
}

async fn delete_columns(table: &LoadedTable, file: &ManifestFile) -> Option<BTreeSet<i32>> {
    let manifest = read_manifest(&table.store, file).await.ok()?;
    let live = manifest.entries().iter().filter(|entry| entry.is_alive());
    Some(live.flat_map(|entry| entry.data_file().equality_ids().unwrap_or_default()).collect())
}
