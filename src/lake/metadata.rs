//! Table metadata as a document: parsed leniently, changed on the raw JSON, so that what the typed form does not know
//! survives a commit (I12).

use std::collections::HashSet;
use std::io::Read;

use flate2::read::GzDecoder;
use iceberg::TableUpdate;
use iceberg::spec::{Schema, TableMetadata};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{TableChange, types};
use crate::error::{Error, Result};

/// How many older metadata files the log keeps when the table does not say (Iceberg's default).
const PREVIOUS_VERSIONS_MAX: usize = 100;

/// Parses a metadata file, plain or gzipped.
///
/// # Errors
/// `Corrupt` when it is not Iceberg metadata, `Unsupported` for a format version that is not known.
pub fn parse(location: &str, bytes: &[u8]) -> Result<(Value, TableMetadata)> {
    let damaged = |what: &str| {
        Error::corrupt(format!("{location} is not readable table metadata: {what}"))
            .hint("roll the catalog's pointer back to the previous metadata file; nothing was changed")
    };
    let plain;
    let text: &[u8] = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut buffer = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut buffer).map_err(|e| damaged("broken gzip").caused_by(e))?;
        plain = buffer;
        &plain
    } else {
        bytes
    };
    let document: Value = serde_json::from_slice(text).map_err(|e| damaged("broken JSON").caused_by(e))?;
    match document.get("format-version").and_then(Value::as_u64) {
        Some(1..=3) => {}
        Some(other) => {
            return Err(Error::unsupported(format!("{location} has format version {other}"))
                .hint("icewright knows versions 1 to 3"));
        }
        None => return Err(damaged("it has no format-version")),
    }
    let metadata = typed(location, &document)?;
    Ok((document, metadata))
}

/// The older metadata files that a metadata file names, oldest first; `None` when it can't be read.
pub fn log_of(bytes: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Document {
        #[serde(default)]
        metadata_log: Vec<Entry>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Entry {
        metadata_file: String,
    }
    let document: Document = if bytes.starts_with(&[0x1f, 0x8b]) {
        serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(bytes))).ok()?
    } else {
        serde_json::from_slice(bytes).ok()?
    };
    Some(document.metadata_log.into_iter().map(|entry| entry.metadata_file).collect())
}

/// The typed form of a document.
///
/// # Errors
/// `Corrupt` when it is not valid table metadata.
pub fn typed(location: &str, document: &Value) -> Result<TableMetadata> {
    // From a reference: a table with 70,000 snapshots has a document of hundreds of megabytes in memory.
    // Columns of types that the typed form does not know stand in it as binary ones.
    let known = types::with_stand_ins(document);
    TableMetadata::deserialize(known.as_ref().unwrap_or(document)).map_err(|e| {
        Error::corrupt(format!("{location} is not valid table metadata"))
            .hint("check which program wrote it; nothing was changed")
            .caused_by(e)
    })
}

/// Checks a change's requirements against a document's typed form, and that nobody else has given out its row ids: a
/// commit to another branch may have.
///
/// # Errors
/// The first requirement that fails, in words.
pub fn check(metadata: &TableMetadata, change: &TableChange) -> std::result::Result<(), String> {
    for update in &change.updates {
        if let TableUpdate::AddSnapshot { snapshot } = update
            && let Some(first) = snapshot.first_row_id()
            && first < metadata.next_row_id()
        {
            return Err(format!("row ids from {first} on were given out by another commit"));
        }
    }
    change.requirements.iter().try_for_each(|requirement| requirement.check(Some(metadata)).map_err(|e| e.to_string()))
}

/// The document with a change applied, and with the previous metadata file added to the log.
///
/// # Errors
/// `Unsupported` for a kind of update that is not made here, `Internal` when the result would not be valid metadata.
pub fn apply(document: &Value, change: &TableChange, previous: &str, now_ms: i64) -> Result<Value> {
    let mut changed = without_expired(document, change);
    let Some(table) = changed.as_object_mut() else {
        return Err(Error::corrupt(format!("{previous} is not a JSON object")));
    };
    let last_updated = table.get("last-updated-ms").and_then(Value::as_i64).unwrap_or(0);
    // Time never runs backwards in a table, whatever the clocks of its writers say.
    let now_ms = now_ms.max(last_updated + 1);
    for update in &change.updates {
        one(table, update, now_ms)?;
    }
    push(table, "metadata-log", json!({"timestamp-ms": last_updated, "metadata-file": previous}));
    let keep = property(table, "write.metadata.previous-versions-max")
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or(PREVIOUS_VERSIONS_MAX)
        .max(1);
    if let Some(Value::Array(log)) = table.get_mut("metadata-log") {
        log.drain(..log.len().saturating_sub(keep));
    }
    table.insert("last-updated-ms".into(), json!(now_ms));
    typed(previous, &changed).map_err(|e| Error::internal("the changed metadata would not be valid").caused_by(e))?;
    Ok(changed)
}

fn one(table: &mut Map<String, Value>, update: &TableUpdate, now_ms: i64) -> Result<()> {
    let as_json = serde_json::to_value(update)
        .map_err(|e| Error::internal("a metadata update can't be written as JSON").caused_by(e))?;
    match update {
        TableUpdate::AddSnapshot { .. } => {
            let mut snapshot = as_json.get("snapshot").cloned().unwrap_or(Value::Null);
            let version = table.get("format-version").and_then(Value::as_u64).unwrap_or(1);
            if version == 1 {
                // Version 1 has no sequence numbers.
                if let Some(fields) = snapshot.as_object_mut() {
                    fields.remove("sequence-number");
                }
            } else if let Some(number) = snapshot.get("sequence-number").and_then(Value::as_i64) {
                table.insert("last-sequence-number".into(), json!(number));
            }
            let row_ids = ["first-row-id", "added-rows"].map(|key| snapshot.get(key).and_then(Value::as_u64));
            if let (3.., [Some(first), Some(added)]) = (version, row_ids) {
                let known = table.get("next-row-id").and_then(Value::as_u64).unwrap_or(0);
                table.insert("next-row-id".into(), json!(known.max(first.saturating_add(added))));
            }
            push(table, "snapshots", snapshot);
        }
        TableUpdate::SetSnapshotRef { ref_name, reference } => {
            let refs = table.entry("refs").or_insert_with(|| json!({}));
            let mut value = serde_json::to_value(reference)
                .map_err(|e| Error::internal("a snapshot reference can't be written as JSON").caused_by(e))?;
            // Retention that the update does not speak of stays as it is, and so do fields that we don't know.
            if let (Some(old), Some(new)) = (refs.get(ref_name).and_then(Value::as_object), value.as_object_mut()) {
                for (key, kept) in old {
                    if new.get(key).is_none_or(Value::is_null) {
                        new.insert(key.clone(), kept.clone());
                    }
                }
            }
            if let Some(refs) = refs.as_object_mut() {
                refs.insert(ref_name.clone(), value);
            }
            if ref_name == "main" {
                table.insert("current-snapshot-id".into(), json!(reference.snapshot_id));
                let entry = json!({"timestamp-ms": now_ms, "snapshot-id": reference.snapshot_id});
                push(table, "snapshot-log", entry);
            }
        }
        TableUpdate::RemoveSnapshotRef { ref_name } => {
            if let Some(refs) = table.get_mut("refs").and_then(Value::as_object_mut) {
                refs.remove(ref_name);
            }
            if ref_name == "main" {
                table.insert("current-snapshot-id".into(), json!(-1));
            }
        }
        TableUpdate::SetProperties { updates } => {
            let properties = table.entry("properties").or_insert_with(|| json!({}));
            if let Some(properties) = properties.as_object_mut() {
                properties.extend(updates.iter().map(|(key, value)| (key.clone(), json!(value))));
            }
        }
        TableUpdate::RemoveProperties { removals } => {
            if let Some(properties) = table.get_mut("properties").and_then(Value::as_object_mut) {
                removals.iter().for_each(|key| {
                    properties.remove(key);
                });
            }
        }
        TableUpdate::RemoveSnapshots { snapshot_ids } => remove_snapshots(table, snapshot_ids),
        TableUpdate::RemoveStatistics { snapshot_id } => {
            drop_where(table, "statistics", "snapshot-id", &[*snapshot_id])
        }
        TableUpdate::RemovePartitionStatistics { snapshot_id } => {
            drop_where(table, "partition-statistics", "snapshot-id", &[*snapshot_id]);
        }
        TableUpdate::RemovePartitionSpecs { spec_ids } => {
            let ids: Vec<i64> = spec_ids.iter().map(|id| i64::from(*id)).collect();
            drop_where(table, "partition-specs", "spec-id", &ids);
        }
        TableUpdate::RemoveSchemas { schema_ids } => {
            let ids: Vec<i64> = schema_ids.iter().map(|id| i64::from(*id)).collect();
            drop_where(table, "schemas", "schema-id", &ids);
        }
        _ => {
            let action = as_json.get("action").and_then(Value::as_str).unwrap_or("unknown").to_owned();
            return Err(Error::unsupported(format!("metadata update {action:?} is not made by this build")));
        }
    }
    Ok(())
}

/// A copy of a document, without copying snapshots and statistics that the change removes anyway.
fn without_expired(document: &Value, change: &TableChange) -> Value {
    let mut expired: HashSet<i64> = HashSet::new();
    for update in &change.updates {
        if let TableUpdate::RemoveSnapshots { snapshot_ids } = update {
            expired.extend(snapshot_ids);
        }
    }
    let stays = |item: &&Value| item.get("snapshot-id").and_then(Value::as_i64).is_none_or(|id| !expired.contains(&id));
    let Some(table) = document.as_object() else { return document.clone() };
    let copied = table.iter().map(|(key, value)| {
        let value = match (key.as_str(), value) {
            ("snapshots" | "statistics" | "partition-statistics", Value::Array(items)) => {
                Value::Array(items.iter().filter(stays).cloned().collect())
            }
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    Value::Object(copied.collect())
}

/// Removes snapshots with their statistics. The log of current snapshots keeps only what follows the last gap, as the
/// reference implementation has it: time travel by timestamp would be wrong across a gap.
fn remove_snapshots(table: &mut Map<String, Value>, ids: &[i64]) {
    for key in ["snapshots", "statistics", "partition-statistics"] {
        drop_where(table, key, "snapshot-id", ids);
    }
    let left: HashSet<i64> = items(table, "snapshots").filter_map(|item| item.get("snapshot-id")?.as_i64()).collect();
    if let Some(Value::Array(log)) = table.get_mut("snapshot-log") {
        let known =
            |entry: &Value| entry.get("snapshot-id").and_then(Value::as_i64).is_some_and(|id| left.contains(&id));
        let after_gap = log.iter().rposition(|entry| !known(entry)).map_or(0, |gap| gap + 1);
        log.drain(..after_gap);
    }
}

fn items<'a>(table: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    table.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Removes the items of a list whose id is one of these.
fn drop_where(table: &mut Map<String, Value>, key: &str, id: &str, ids: &[i64]) {
    let ids: HashSet<i64> = ids.iter().copied().collect();
    if let Some(Value::Array(list)) = table.get_mut(key) {
        list.retain(|item| item.get(id).and_then(Value::as_i64).is_none_or(|found| !ids.contains(&found)));
    }
}

fn push(table: &mut Map<String, Value>, key: &str, value: Value) {
    match table.get_mut(key) {
        Some(Value::Array(items)) => items.push(value),
        _ => {
            table.insert(key.to_owned(), json!([value]));
        }
    }
}

fn property<'a>(table: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    table.get("properties")?.get(key)?.as_str()
}

/// A column whose default for older files is there but was not understood: the `iceberg` crate (0.10.1) takes such a one
/// for none.
pub fn unknown_default(document: &Value, schema: &Schema) -> Option<String> {
    fn find(kind: &Value, schema: &Schema) -> Option<String> {
        let of_field = |field: &Value| {
            let id = field.get("id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok())?;
            let here = field.get("initial-default").is_some_and(|value| !value.is_null());
            let known = schema.field_by_id(id).is_some_and(|field| field.initial_default.is_some());
            if here && !known {
                return Some(schema.name_by_field_id(id).unwrap_or("?").to_owned());
            }
            find(field.get("type")?, schema)
        };
        let fields = kind.get("fields").and_then(Value::as_array).into_iter().flatten();
        let inner = ["element", "key", "value"].iter().filter_map(|key| kind.get(key));
        fields.filter_map(of_field).next().or_else(|| inner.filter_map(|kind| find(kind, schema)).next())
    }
    let id = |schema: &Value| schema.get("schema-id").and_then(Value::as_i64);
    let mut schemas = document.get("schemas").and_then(Value::as_array).into_iter().flatten();
    find(schemas.find(|found| id(found) == Some(schema.schema_id().into()))?, schema)
}

/// The folder that metadata files go to: `write.metadata.path`, or `<location>/metadata`.
pub fn folder(metadata: &TableMetadata) -> String {
    metadata.properties().get("write.metadata.path").map_or_else(
        || format!("{}/metadata", metadata.location().trim_end_matches('/')),
        |path| path.trim_end_matches('/').to_owned(),
    )
}

/// The number in a metadata file's name: `00012-<uuid>.metadata.json` and `v12.metadata.json` are both 12.
pub fn version(location: &str) -> u64 {
    let name = location.rsplit('/').next().unwrap_or_default();
    let digits: String = name.trim_start_matches('v').chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Where the next metadata file of a table goes, for catalogs that keep a pointer to it.
pub fn next_location(metadata: &TableMetadata, current: &str, uuid: Uuid) -> String {
    let ending = if wants_gzip(metadata) { ".gz.metadata.json" } else { ".metadata.json" };
    format!("{}/{:05}-{uuid}{ending}", folder(metadata), version(current) + 1)
}

/// Whether the table asks for gzipped metadata (`write.metadata.compression-codec`).
pub fn wants_gzip(metadata: &TableMetadata) -> bool {
    metadata
        .properties()
        .get("write.metadata.compression-codec")
        .is_some_and(|codec| codec.eq_ignore_ascii_case("gzip"))
}

/// A document as the bytes of a metadata file.
///
/// # Errors
/// `Internal` when it can't be written.
pub fn to_bytes(document: &Value, gzip: bool) -> Result<Vec<u8>> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::internal("table metadata can't be written as JSON").caused_by(e)
    };
    if !gzip {
        return serde_json::to_vec(document).map_err(|e| failed(e.into()));
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    serde_json::to_writer(&mut encoder, document).map_err(|e| failed(e.into()))?;
    encoder.finish().map_err(|e| failed(e.into()))
}
