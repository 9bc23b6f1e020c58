//! Reading a table's [`History`] out of its metadata.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::LoadedTable;
use crate::error::{Error, Result};
use crate::model::{History, RefInfo, RefKind, SnapshotInfo};

/// Snapshots, references and metadata versions of a table.
///
/// # Errors
/// `Corrupt` when a reference can't be read.
pub fn history(table: &LoadedTable) -> Result<History> {
    let metadata = &table.metadata;
    let with = |key: &str| -> HashSet<i64> {
        let all = table.document.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|entry| entry.get("snapshot-id")?.as_i64()).collect()
    };
    let (statistics, partition_statistics) = (with("statistics"), with("partition-statistics"));
    let snapshots: BTreeMap<i64, SnapshotInfo> = metadata
        .snapshots()
        .map(|snapshot| {
            let id = snapshot.snapshot_id();
            let info = SnapshotInfo {
                id,
                parent: snapshot.parent_snapshot_id(),
                sequence_number: snapshot.sequence_number(),
                timestamp_ms: snapshot.timestamp_ms(),
                schema_id: snapshot.schema_id(),
                has_statistics: statistics.contains(&id),
                has_partition_statistics: partition_statistics.contains(&id),
            };
            (id, info)
        })
        .collect();
    let properties = metadata.properties();
    Ok(History {
        table: table.name.clone(),
        table_uuid: metadata.uuid().to_string(),
        metadata_location: table.metadata_location.clone(),
        current: metadata.current_snapshot_id(),
        refs: refs(table)?,
        snapshots,
        gc_enabled: properties.get("gc.enabled").is_none_or(|text| !text.eq_ignore_ascii_case("false")),
        metadata_versions: metadata.metadata_log().len() as u64,
        previous_versions_max: properties
            .get("write.metadata.previous-versions-max")
            .and_then(|text| text.trim().parse().ok()),
        specs: metadata.partition_specs_iter().map(|spec| spec.spec_id()).collect(),
        default_spec: metadata.default_partition_spec_id(),
        schemas: metadata.schemas_iter().map(|schema| schema.schema_id()).collect(),
        current_schema: metadata.current_schema_id(),
        specs_in_use: BTreeMap::new(),
        schemas_in_use: BTreeMap::new(),
    })
}

/// Branches and tags by name. Older metadata has none: then the current snapshot is `main`.
fn refs(table: &LoadedTable) -> Result<Vec<RefInfo>> {
    let broken = |name: &str| {
        Error::corrupt(format!("branch or tag {name:?} of table {} can't be read", table.name))
            .hint("check which program wrote the metadata; nothing was changed")
    };
    let mut found = Vec::new();
    for (name, value) in table.document.get("refs").and_then(Value::as_object).into_iter().flatten() {
        let number = |key: &str| match value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(number) => number.as_u64().map(Some).ok_or_else(|| broken(name)),
        };
        found.push(RefInfo {
            name: name.clone(),
            kind: match value.get("type").and_then(Value::as_str) {
                Some("branch") => RefKind::Branch,
                Some("tag") => RefKind::Tag,
                _ => return Err(broken(name)),
            },
            snapshot_id: value.get("snapshot-id").and_then(Value::as_i64).ok_or_else(|| broken(name))?,
            min_snapshots_to_keep: number("min-snapshots-to-keep")?,
            max_snapshot_age_ms: number("max-snapshot-age-ms")?,
            max_ref_age_ms: number("max-ref-age-ms")?,
        });
    }
    if let Some(current) = table.metadata.current_snapshot_id()
        && !found.iter().any(|r| r.name == History::MAIN)
    {
        found.push(RefInfo {
            name: History::MAIN.to_owned(),
            kind: RefKind::Branch,
            snapshot_id: current,
            min_snapshots_to_keep: None,
            max_snapshot_age_ms: None,
            max_ref_age_ms: None,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
