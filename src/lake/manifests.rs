//! Reading manifest lists and manifests, with errors that say which file of which table is damaged.

use std::sync::Arc;

use apache_avro::types::Value;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{FormatVersion, Manifest, ManifestFile, ManifestList, Snapshot};

use super::{LoadedTable, Store, file_io};
use crate::error::{Context, Error, Kind, Result};

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
    manifest.load_manifest(&file_io(store)).await.map_err(|error| match born_here(&error) {
        Some((kind, message)) => Error::new(kind, message).hint("check the store and run again"),
        None => damaged(path, error),
    })
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
