//! What manifest lists and manifests name, and nothing else: a small part of their fields, decoded quickly.
//!
//! Reachability reads every manifest list of a table and many manifests. Bounds and counts are of no interest there, so
//! entries are not built as values: unknown fields are skipped while decoding.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Store;
use super::avro::{Stopped, each_record};
use crate::error::{Context, Error, Result};
use crate::model::FileKind;

/// A manifest, as a manifest list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRef {
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The partition spec of its entries.
    pub spec_id: i32,
}

/// A data or delete file, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Data or deletes.
    pub kind: FileKind,
    /// Whether the entry is live (added or existing), or says that the file was deleted.
    pub live: bool,
}

#[derive(Deserialize)]
struct ListEntry {
    manifest_path: String,
    manifest_length: i64,
    partition_spec_id: i32,
    #[serde(default)]
    key_metadata: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ManifestEntry {
    status: i32,
    data_file: EntryFile,
}

#[derive(Deserialize)]
struct EntryFile {
    #[serde(default)]
    content: i32,
    file_path: String,
    file_size_in_bytes: i64,
}

/// The status of an entry whose file was deleted (spec, "Manifest entry fields").
const DELETED: i32 = 2;

/// The manifests that a manifest list names, and the list's own size.
///
/// # Errors
/// `Corrupt` when the list is missing or can't be read, `Unsupported` for encrypted manifests, `Unavailable` when the
/// store does not answer.
pub async fn manifests_of(store: &Arc<Store>, list: &str) -> Result<(Vec<ManifestRef>, u64)> {
    let bytes = read(store, list, "manifest list").await?;
    let size = bytes.len() as u64;
    let path = list.to_owned();
    let found = decode(move || {
        entries(&path, &bytes, |entry: ListEntry| {
            if entry.key_metadata.is_some() {
                return Err(Error::unsupported(format!("manifest {} is encrypted", entry.manifest_path))
                    .hint("encrypted tables are not supported"));
            }
            Ok(ManifestRef {
                path: entry.manifest_path,
                size: u64::try_from(entry.manifest_length).unwrap_or(0),
                spec_id: entry.partition_spec_id,
            })
        })
    })
    .await?;
    Ok((found, size))
}

/// The files that a manifest names.
///
/// # Errors
/// As [`manifests_of`].
pub async fn files_of(store: &Arc<Store>, manifest: &str) -> Result<Vec<FileRef>> {
    let bytes = read(store, manifest, "manifest").await?;
    let path = manifest.to_owned();
    decode(move || entries(&path, &bytes, |entry: ManifestEntry| Ok(file_ref(entry)))).await
}

/// Hands the files that a manifest names to `take`, some at a time: a manifest may name more than fit into memory. Runs
/// on a thread that may wait.
///
/// # Errors
/// As [`manifests_of`], `Corrupt` when the manifest is shorter than its list says, and what `take` says.
pub async fn file_batches_of(
    store: &Arc<Store>,
    manifest: &ManifestRef,
    size: usize,
    mut take: impl FnMut(Vec<FileRef>) -> Result<()> + Send + 'static,
) -> Result<()> {
    let path = manifest.path.clone();
    let bytes = read(store, &path, "manifest").await?;
    // An Avro file that was cut off between two blocks looks whole: files that it named would seem to be orphans.
    if (bytes.len() as u64) < manifest.size {
        let sizes = format!("it has {} bytes of {}", bytes.len(), manifest.size);
        return Err(damaged(&path, sizes.into()));
    }
    decode(move || {
        let mut batch = Vec::with_capacity(size);
        each_entry(&path, &bytes, |entry: ManifestEntry| {
            batch.push(file_ref(entry));
            if batch.len() == size {
                take(std::mem::replace(&mut batch, Vec::with_capacity(size)))?;
            }
            Ok(())
        })?;
        take(batch)
    })
    .await
}

async fn read(store: &Arc<Store>, path: &str, what: &str) -> Result<Bytes> {
    store.read(path).await.while_doing(|| format!("reading a {what}"))
}

fn file_ref(entry: ManifestEntry) -> FileRef {
    FileRef {
        path: entry.data_file.file_path,
        size: u64::try_from(entry.data_file.file_size_in_bytes).unwrap_or(0),
        kind: if entry.data_file.content == 0 { FileKind::Data } else { FileKind::Deletes },
        live: entry.status != DELETED,
    }
}

/// Decoding is work for a core: it must not hold up the requests that are under way.
async fn decode<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::corrupt("decoding a manifest failed").caused_by(e))
        .flatten()
}

fn entries<E, T>(path: &str, bytes: &[u8], mut each: impl FnMut(E) -> Result<T>) -> Result<Vec<T>>
where
    E: serde::de::DeserializeOwned,
{
    let mut found = Vec::new();
    each_entry(path, bytes, |entry| {
        found.push(each(entry)?);
        Ok(())
    })?;
    Ok(found)
}

fn each_entry<E: serde::de::DeserializeOwned>(
    path: &str,
    bytes: &[u8],
    each: impl FnMut(E) -> Result<()>,
) -> Result<()> {
    each_record(bytes, each).map_err(|stopped| match stopped {
        Stopped::Damaged(error) => damaged(path, error),
        Stopped::Taker(error) => error,
    })
}

fn damaged(path: &str, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::corrupt(format!("{path} is not a readable manifest"))
        .hint(
            "the table's metadata is damaged: roll back to an older snapshot, or restore the file; nothing was changed",
        )
        .caused_by(error)
}
