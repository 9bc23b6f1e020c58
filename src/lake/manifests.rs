//! Reading manifest lists and manifests, with errors that say which file of which table is damaged.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::types::Value;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    DataFile, FormatVersion, Manifest, ManifestContentType, ManifestEntry, ManifestEntryRef, ManifestFile,
    ManifestList, ManifestStatus, Schema, Snapshot, Type,
};

use super::entries::{LiveEntries, read_live};
use super::partition_types::{PartitionTypes, copied, promoted, promoted_file};
use super::{LoadedTable, Store, file_io, types};
use crate::error::{Context, Error, Kind, Result};
use crate::model::widened;

/// How many manifests are read side by side.
pub const MANIFESTS_AT_ONCE: usize = 16;

/// The manifests of a snapshot, in its order.
///
/// # Errors
/// `Corrupt` when the list is missing or can't be read, `Unavailable` when the store does not answer.
pub async fn read_manifest_list(table: &LoadedTable, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
    let path = snapshot.manifest_list();
    let what = || format!("reading the manifest list of snapshot {} of {}", snapshot.snapshot_id(), table.name);
    let bytes = table.store.read(path).await.while_doing(what)?;
    let parse = |version: FormatVersion| ManifestList::parse_with_version(&bytes, version);
    let list = match table.metadata.format_version() {
        // An upgraded table still has lists of the older version.
        FormatVersion::V1 => parse(FormatVersion::V1),
        FormatVersion::V2 => parse(FormatVersion::V2).or_else(|_| parse(FormatVersion::V1)),
        FormatVersion::V3 => {
            parse(FormatVersion::V3).or_else(|_| parse(FormatVersion::V2)).or_else(|_| parse(FormatVersion::V1))
        }
    };
    let list = list.map_err(|e| damaged(path, e)).while_doing(what)?;
    let mut manifests: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
    if manifests.iter().any(|manifest| manifest.added_files_count.is_none()) {
        restore_counts(&bytes, &mut manifests);
    }
    Ok(manifests)
}

/// Fills in the counts of a version 1 list. Writers since Iceberg 1.5 call the fields `added_files_count` and so on; the
/// `iceberg` crate (0.10.1) only knows the older names there and drops the figures, which Spark then asks for in vain.
fn restore_counts(bytes: &[u8], manifests: &mut [ManifestFile]) {
    let Ok(reader) = apache_avro::Reader::new(bytes) else { return };
    let number = |value: &Value| match value {
        Value::Union(_, inner) => match inner.as_ref() {
            Value::Int(n) => u32::try_from(*n).ok(),
            _ => None,
        },
        Value::Int(n) => u32::try_from(*n).ok(),
        _ => None,
    };
    for (record, manifest) in reader.flatten().zip(manifests) {
        let Value::Record(fields) = record else { continue };
        for (name, value) in &fields {
            match name.as_str() {
                "added_files_count" => manifest.added_files_count = number(value),
                "existing_files_count" => manifest.existing_files_count = number(value),
                "deleted_files_count" => manifest.deleted_files_count = number(value),
                _ => {}
            }
        }
    }
}

/// One manifest with its entries; sequence numbers are inherited as the spec says.
///
/// # Errors
/// `Corrupt` when it is missing or can't be read, `Unavailable` when the store does not answer, `Unsupported` when it is
/// encrypted.
pub async fn read_manifest(store: &Arc<Store>, manifest: &ManifestFile) -> Result<Manifest> {
    let path = &manifest.manifest_path;
    if manifest.key_metadata.is_some() {
        return Err(
            Error::unsupported(format!("manifest {path} is encrypted")).hint("encrypted tables are not supported")
        );
    }
    let loaded = match manifest.load_manifest(&file_io(store)).await {
        Ok(loaded) => loaded,
        Err(error) => match born_here(&error) {
            Some((kind, message)) => return Err(Error::new(kind, message).hint("check the store and run again")),
            None => {
                let bytes = store.read(path).await?;
                mended(&bytes, manifest.added_snapshot_id).ok_or_else(|| damaged(path, error))?
            }
        },
    };
    Ok(inheriting(loaded, manifest))
}

/// A manifest that the `iceberg` crate (0.10.1) does not read though the spec allows it:
///
/// - one of version 1 without snapshot ids. Java makes such ones for files that a table adopts (Spark's `add_files`) and hands
///   them to tables of version 2 as they are: the ids are inherited.
/// - bounds that are dates, of a column that is a timestamp by now.
/// - a schema with types that it does not know.
fn mended(bytes: &[u8], snapshot_id: i64) -> Option<Manifest> {
    let reader = apache_avro::Reader::new(bytes).ok()?;
    let schema = reader.writer_schema().clone();
    let mut known: serde_json::Value = serde_json::from_slice(reader.user_metadata().get("schema")?).ok()?;
    types::stand_in(&mut known);
    let known = known.to_string();
    let columns: Schema = serde_json::from_str(&known).ok()?;
    let mut writer = apache_avro::Writer::new(&schema, Vec::new());
    for (key, value) in reader.user_metadata() {
        let value = if key == "schema" { known.as_bytes() } else { value };
        writer.add_user_metadata(key.clone(), value).ok()?;
    }
    for record in reader {
        let Value::Record(mut fields) = record.ok()? else { return None };
        for (name, value) in &mut fields {
            if let ("snapshot_id", Value::Union(null @ 0..=1, inner)) = (name.as_str(), &*value)
                && **inner == Value::Null
            {
                *value = Value::Union(1 - *null, Box::new(Value::Long(snapshot_id)));
            }
            if let ("data_file", Value::Record(file)) = (name.as_str(), value) {
                let bounds = file.iter_mut().filter(|(name, _)| name == "lower_bounds" || name == "upper_bounds");
                bounds.for_each(|(_, bounds)| widen(bounds, &columns));
            }
        }
        writer.append(Value::Record(fields)).ok()?;
    }
    Manifest::parse_avro(&writer.into_inner().ok()?).ok()
}

/// Bounds, by field id, in the types that the columns have now.
fn widen(bounds: &mut Value, columns: &Schema) {
    let Value::Union(_, bounds) = bounds else { return };
    let Value::Array(bounds) = bounds.as_mut() else { return };
    for bound in bounds {
        let Value::Record(pair) = bound else { continue };
        if let [(_, Value::Int(id)), (_, Value::Bytes(bytes))] = pair.as_mut_slice()
            && let Some(Type::Primitive(kind)) = columns.field_by_id(*id).map(|field| field.field_type.as_ref())
        {
            *bytes = widened(bytes, kind).into_owned();
        }
    }
}

/// The manifest with inherited sequence numbers (spec, "Sequence Number Inheritance"), without which older deletes would seem
/// to apply, where the `iceberg` crate (0.10.1) has not seen to them: it takes them for 0 in manifests of version 1 in a
/// table of a later version, and it has not read those that were mended.
fn inheriting(manifest: Manifest, file: &ManifestFile) -> Manifest {
    let first = *manifest.metadata().format_version() == FormatVersion::V1;
    let told = |entry: &ManifestEntryRef| entry.sequence_number().is_some() && entry.snapshot_id().is_some();
    let complete = if first { file.sequence_number == 0 } else { manifest.entries().iter().all(told) };
    if complete {
        return manifest;
    }
    let (entries, metadata) = manifest.into_parts();
    let entry = |entry: &ManifestEntryRef| {
        let inherited = if entry.status == ManifestStatus::Added { file.sequence_number } else { 0 };
        let own = |number: Option<i64>| number.filter(|_| !first).unwrap_or(inherited);
        ManifestEntry::builder()
            .status(entry.status)
            .snapshot_id(entry.snapshot_id().unwrap_or(file.added_snapshot_id))
            .sequence_number(own(entry.sequence_number()))
            .file_sequence_number(own(entry.file_sequence_number))
            .data_file(entry.data_file().clone())
            .build()
    };
    let entries = entries.iter().map(entry).collect();
    Manifest::new(metadata, entries)
}

/// The same as planning sees it: partitions are in the types that the table has for them now, and files of positions that
/// speak of one data file alone name it, where only their bounds said so.
///
/// # Errors
/// As [`read_manifest`].
pub async fn read_current(table: &LoadedTable, file: &ManifestFile) -> Result<Manifest> {
    let mut manifest = read_manifest(&table.store, file).await?;
    let (spec_id, mut types) = (file.partition_spec_id, PartitionTypes::default());
    if let Some(kinds) = types.of(&table.metadata, spec_id) {
        manifest = changed(manifest, |file| promoted_file(file, kinds, spec_id));
    }
    if file.content == ManifestContentType::Deletes {
        // The `iceberg` crate (0.10.1) knows no bounds of columns that are not the table's.
        let live = read_live(&table.store, file, &[]).await?.entries;
        let only: HashMap<String, String> =
            live.into_iter().filter_map(|entry| Some((entry.path.to_string(), entry.referenced_data_file?))).collect();
        manifest = changed(manifest, |file| {
            let new = file.referenced_data_file().is_none().then(|| only.get(file.file_path()))??;
            copied(file, spec_id).referenced_data_file(Some(new.clone())).build().ok()
        });
    }
    Ok(manifest)
}

/// The live files of a data manifest, their partitions in the types that the table has for them now: next to nothing beside
/// what [`read_current`] builds.
///
/// # Errors
/// As [`read_manifest`].
pub(crate) async fn read_current_live(table: &LoadedTable, file: &ManifestFile) -> Result<LiveEntries> {
    let mut live = read_live(&table.store, file, &[]).await?;
    if let Some(kinds) = PartitionTypes::default().of(&table.metadata, file.partition_spec_id) {
        for entry in &mut live.entries {
            if let Some(now) = promoted(&entry.partition, kinds) {
                entry.partition = now;
            }
        }
    }
    Ok(live)
}

/// The manifest with other files in place of some.
fn changed(manifest: Manifest, change: impl Fn(&DataFile) -> Option<DataFile>) -> Manifest {
    let changes: Vec<Option<DataFile>> = manifest.entries().iter().map(|entry| change(entry.data_file())).collect();
    if changes.iter().all(Option::is_none) {
        return manifest;
    }
    let (entries, metadata) = manifest.into_parts();
    let entry = |(entry, change): (ManifestEntryRef, Option<DataFile>)| {
        let mut entry = Arc::unwrap_or_clone(entry);
        if let Some(file) = change {
            entry.data_file = file;
        }
        entry
    };
    let entries = entries.into_iter().zip(changes).map(entry).collect();
    Manifest::new(metadata, entries)
}

/// Many manifests side by side, in the order given.
///
/// # Errors
/// As [`read_manifest`]; the first failure ends the reading.
pub async fn read_manifests(store: &Arc<Store>, manifests: &[ManifestFile]) -> Result<Vec<Manifest>> {
    futures::stream::iter(manifests)
        .map(|manifest| read_manifest(store, manifest))
        .buffered(MANIFESTS_AT_ONCE)
        .try_collect()
        .await
}

/// Finds our own error below one of the `iceberg` crate: its kind must not be lost.
fn born_here(error: &iceberg::Error) -> Option<(Kind, String)> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return Some((ours.kind(), ours.to_string()));
        }
        cause = inner.source();
    }
    None
}

fn damaged(path: &str, error: iceberg::Error) -> Error {
    Error::corrupt(format!("{path} is not a readable manifest"))
        .hint(
            "the table's metadata is damaged: roll back to an older snapshot, or restore the file; nothing was changed",
        )
        .caused_by(error)
}
