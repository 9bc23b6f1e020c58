//! What a table's metadata refers to: a walk over all of it, each manifest read once.
//!
//! Reached are, from the metadata that is current: the metadata file itself and every older one in its log; the manifest
//! list of every snapshot (those of all branches and tags are among them); their manifests; the live entries of those;
//! statistics and partition statistics. Older metadata files are kept, but not read: what they name and the current one
//! does not was expired on purpose, and no catalog can lead a reader there any more.

use std::collections::HashSet;
use std::hash::Hasher;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use twox_hash::XxHash64;

use super::sorted::{Sorted, Sorter, Spill};
use crate::error::{Context, Error, Result};
use crate::lake::references::{self, ManifestRef};
use crate::lake::{LoadedTable, match_key};

/// Manifest lists read side by side.
const LISTS_AT_ONCE: usize = 16;
/// Manifests read side by side; each is in memory as a whole.
const MANIFESTS_AT_ONCE: usize = 4;
/// References handed over at a time.
const BATCH: usize = 1024;
/// So many batches wait to be sorted.
const QUEUE: usize = 8;

/// Something that metadata refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What it is matched by.
    pub key: String,
    /// Whether the table can't be read without it. Statistics and older metadata files are kept, but not missed.
    pub needed: bool,
}

/// Manifest lists and manifests that were walked already: a hash of 128 bits each instead of a path.
#[derive(Debug, Clone, Default)]
pub struct Seen(HashSet<u128>);

impl Seen {
    fn is_new(&mut self, path: &str) -> bool {
        let half = |seed: u64| {
            let mut hasher = XxHash64::with_seed(seed);
            hasher.write(path.as_bytes());
            u128::from(hasher.finish())
        };
        self.0.insert(half(1) << 64 | half(2))
    }
}

/// Walks over everything that is not in `seen` yet, and hands out what it refers to.
///
/// # Errors
/// `Corrupt` when a manifest list or manifest is missing or can't be read, `Unsupported` for encrypted ones and for
/// locations that can't be compared, `Unavailable` when the store does not answer or nobody takes the references.
pub async fn walk(table: &LoadedTable, seen: &mut Seen, to: &mpsc::Sender<Vec<Reference>>) -> Result<()> {
    let what = || format!("walking over the metadata of {}", table.name);
    send(to, direct(table)?).await?;
    let lists: Vec<String> = table
        .metadata
        .snapshots()
        .map(|snapshot| snapshot.manifest_list().to_owned())
        .filter(|list| seen.is_new(list))
        .collect();
    let store = &table.store;
    let mut reading = stream::iter(&lists)
        .map(|list| async move { references::manifests_of(store, list).await.map(|(manifests, _)| manifests) })
        .buffer_unordered(LISTS_AT_ONCE);
    let mut manifests = Vec::new();
    while let Some(found) = reading.next().await {
        manifests.extend(found.while_doing(what)?.into_iter().filter(|manifest| seen.is_new(&manifest.path)));
    }
    for some in manifests.chunks(BATCH) {
        send(to, some.iter().map(|manifest| needed(&manifest.path)).collect::<Result<_>>()?).await?;
    }
    stream::iter(manifests.iter().map(Ok))
        .try_for_each_concurrent(MANIFESTS_AT_ONCE, |manifest| entries(table, manifest, to.clone()))
        .await
        .while_doing(what)
}

/// What the metadata file itself names.
fn direct(table: &LoadedTable) -> Result<Vec<Reference>> {
    let mut found = vec![needed(&table.metadata_location)?];
    for snapshot in table.metadata.snapshots() {
        found.push(needed(snapshot.manifest_list())?);
    }
    let texts = |list: &'static str, field: &'static str| {
        let all = table.document.get(list).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(move |item| item.get(field)?.as_str())
    };
    let kept = texts("metadata-log", "metadata-file")
        .chain(texts("statistics", "statistics-path"))
        .chain(texts("partition-statistics", "statistics-path"));
    for path in kept {
        found.push(Reference { key: match_key(path)?, needed: false });
    }
    Ok(found)
}

fn needed(path: &str) -> Result<Reference> {
    Ok(Reference { key: match_key(path)?, needed: true })
}

/// The live entries of one manifest. An entry that says that a file was deleted refers to nothing any more: snapshots
/// that still have the file have another manifest with it.
async fn entries(table: &LoadedTable, manifest: &ManifestRef, to: mpsc::Sender<Vec<Reference>>) -> Result<()> {
    references::file_batches_of(&table.store, manifest, BATCH, move |files| {
        let live = files.iter().filter(|file| file.live).map(|file| needed(&file.path)).collect::<Result<_>>()?;
        to.blocking_send(live).map_err(|_| nobody())
    })
    .await
}

async fn send(to: &mpsc::Sender<Vec<Reference>>, batch: Vec<Reference>) -> Result<()> {
    to.send(batch).await.map_err(|_| nobody())
}

fn nobody() -> Error {
    Error::unavailable("references could not be sorted").hint("the reason is in the log; nothing was changed")
}

/// Everything that a table's metadata refers to, in order. An entry's second figure is 1 when the table needs the file.
///
/// # Errors
/// As [`walk`], and `Exhausted` when there is no more temporary space.
pub async fn reachable(table: &LoadedTable, seen: &mut Seen, spill: &Spill) -> Result<Sorted> {
    let (send, mut receive) = mpsc::channel::<Vec<Reference>>(QUEUE);
    let mut sorter = Sorter::new(spill);
    let sorting = tokio::task::spawn_blocking(move || {
        while let Some(batch) = receive.blocking_recv() {
            for Reference { key, needed } in batch {
                sorter.push(&key, 0, i64::from(needed))?;
            }
        }
        sorter.finish()
    });
    let walked = walk(table, seen, &send).await;
    drop(send);
    // When sorting failed, walking failed too, for nobody took its references: the first reason is of interest.
    let sorted = sorting.await.map_err(|e| Error::internal("sorting references failed").caused_by(e))??;
    walked.map(|()| sorted)
}

/// Those of some files that metadata refers to, as far as it is not in `seen` yet. For a look right before a removal:
/// memory is that of the files asked about, however much the table refers to.
///
/// # Errors
/// As [`walk`].
pub async fn referred(table: &LoadedTable, seen: &mut Seen, files: HashSet<String>) -> Result<HashSet<String>> {
    let (send, mut receive) = mpsc::channel::<Vec<Reference>>(QUEUE);
    let matching = async {
        let mut hit = HashSet::new();
        while let Some(batch) = receive.recv().await {
            hit.extend(batch.into_iter().map(|reference| reference.key).filter(|key| files.contains(key)));
        }
        hit
    };
    let walking = async {
        let walked = walk(table, seen, &send).await;
        drop(send);
        walked
    };
    let (walked, hit) = futures::join!(walking, matching);
    walked.map(|()| hit)
}
