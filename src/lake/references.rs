//! What manifest lists and manifests name, and nothing else: a small part of their fields, decoded quickly.
//!
//! Reachability reads every manifest list of a table and many manifests. Bounds and counts are of no interest there, so
//! entries are not built as values: unknown fields are skipped while decoding.

use std::io::ErrorKind;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::Semaphore;

use super::Store;
use super::avro::{Stopped, each_record};
use super::store::store_error;
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
    with_bytes(store, list, "manifest list", |path, bytes| {
        let mut found = Vec::new();
        each_entry(path, bytes, |entry: ListEntry| {
            if entry.key_metadata.is_some() {
                return Err(Error::unsupported(format!("manifest {} is encrypted", entry.manifest_path))
                    .hint("encrypted tables are not supported"));
            }
            found.push(ManifestRef {
                path: entry.manifest_path,
                size: u64::try_from(entry.manifest_length).unwrap_or(0),
                spec_id: entry.partition_spec_id,
            });
            Ok(())
        })?;
        Ok((found, bytes.len() as u64))
    })
    .await
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
    let expected = manifest.size;
    with_bytes(store, &manifest.path, "manifest", move |path, bytes| {
        // An Avro file that was cut off between two blocks looks whole: files that it named would seem to be orphans.
        if (bytes.len() as u64) < expected {
            return Err(damaged(path, format!("it has {} bytes of {expected}", bytes.len()).into()));
        }
        let mut batch = Vec::with_capacity(size);
        each_entry(path, bytes, |entry: ManifestEntry| {
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

/// This machine's own files are read no faster by more threads than keep its processors busy; each beyond them only holds
/// memory. Nobody who has a permit waits for another one.
static LOCAL_READS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2)));

/// Reads a file and decodes it on a thread that may take its time: requests that are under way are not held up.
async fn with_bytes<T: Send + 'static>(
    store: &Arc<Store>,
    location: &str,
    what: &'static str,
    decode: impl FnOnce(&str, &[u8]) -> Result<T> + Send + 'static,
) -> Result<T> {
    let doing = move || format!("reading a {what}");
    let path = location.to_owned();
    let Some(local) = store.local_path(location) else {
        let bytes = store.read(location).await.while_doing(doing)?;
        return on_a_thread(move || decode(&path, &bytes)).await;
    };
    let _permit = LOCAL_READS.acquire().await;
    on_a_thread(move || {
        let failed = |error: std::io::Error| {
            let error = match error.kind() {
                ErrorKind::NotFound => object_store::Error::NotFound { path: path.clone(), source: error.into() },
                _ => object_store::Error::Generic { store: "local", source: error.into() },
            };
            store_error("reading", &path, error)
        };
        let bytes = std::fs::read(&local).map_err(failed).while_doing(doing)?;
        decode(&path, &bytes)
    })
    .await
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::corrupt("decoding a manifest failed").caused_by(e))
        .flatten()
}

fn file_ref(entry: ManifestEntry) -> FileRef {
    FileRef {
        path: entry.data_file.file_path,
        size: u64::try_from(entry.data_file.file_size_in_bytes).unwrap_or(0),
        kind: if entry.data_file.content == 0 { FileKind::Data } else { FileKind::Deletes },
        live: entry.status != DELETED,
    }
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
