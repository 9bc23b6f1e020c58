//! Quarantine: orphans are moved away instead of being removed, and can be brought back.
//!
//! The order is what makes it safe: first a manifest says what goes where, then the copies are made and looked at, then
//! the originals go. A kill in between leaves files in both places, or a manifest that names copies that were never made;
//! bringing back does not mind either.

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::sorted::Entry;
use super::{Doomed, Remover};
use crate::error::{Error, Result};
use crate::lake::{Store, match_key};
use crate::model::{Count, Removal, TableName, orphan_kind};

/// Files copied side by side.
const AT_ONCE: usize = 16;
/// What manifests are called: `icewright-quarantine-00000.jsonl`.
const MANIFEST: &str = "icewright-quarantine-";

/// A file that was moved: one line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Moved {
    /// The table it lay with.
    table: TableName,
    /// Where it was.
    from: String,
    /// Where it is.
    to: String,
    /// Bytes.
    size: u64,
    /// When it was last written, milliseconds since 1970.
    modified_ms: i64,
}

/// Moves files of one run over one table away.
#[derive(Debug)]
pub struct Quarantine {
    folder: String,
    table: TableName,
    manifests: u32,
}

impl Quarantine {
    /// Below `prefix`, in a folder of its own that is called after the table and `id`.
    pub fn new(prefix: &str, table: &TableName, id: &str) -> Self {
        Self { folder: format!("{}/{table}-{id}", prefix.trim_end_matches('/')), table: table.clone(), manifests: 0 }
    }

    /// Moves files that lie below the remover's locations. What can't be moved stays and is counted.
    ///
    /// # Errors
    /// When the manifest can't be written: then nothing was moved.
    pub async fn take(&mut self, files: Vec<Entry>, remover: &Remover<'_>) -> Result<Removal> {
        let store = remover.store;
        let roots: Vec<&str> = remover.within.canonical().collect();
        let mut moves = Vec::new();
        let mut removal = Removal::default();
        for file in files {
            let Some(number) = roots.iter().position(|root| file.key.starts_with(root)) else {
                removal.outside += 1;
                continue;
            };
            moves.push(Moved {
                table: self.table.clone(),
                to: format!("{}/{number}/{}", self.folder, &file.key[roots[number].len()..]),
                from: file.key,
                size: file.size,
                modified_ms: file.modified_ms,
            });
        }
        if moves.is_empty() {
            return Ok(removal);
        }
        self.write(store, &moves).await?;
        let copied: Vec<Option<Doomed>> = stream::iter(moves)
            .map(|file| async move {
                match store.copy(&file.from, &file.to, file.size).await {
                    Ok(()) => Some(Doomed { kind: orphan_kind(&file.from), path: file.from, size: file.size }),
                    Err(error) => {
                        tracing::warn!(file = file.from, %error, "a file could not be moved and stays");
                        None
                    }
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        removal.failed += copied.iter().filter(|file| file.is_none()).count() as u64;
        removal.merge(&remover.remove(stream::iter(copied.into_iter().flatten())).await?);
        Ok(removal)
    }

    async fn write(&mut self, store: &Store, moves: &[Moved]) -> Result<()> {
        let mut text = String::new();
        for line in moves {
            text += &serde_json::to_string(line)
                .map_err(|e| Error::internal("a line of a quarantine's manifest can't be written").caused_by(e))?;
            text.push('\n');
        }
        let location = format!("{}/{MANIFEST}{:05}.jsonl", self.folder, self.manifests);
        self.manifests += 1;
        store.write(&location, text.into()).await
    }
}

/// What was brought back, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Manifests that were read.
    pub manifests: u64,
    /// Files that are where they were again.
    pub restored: Count,
    /// Files that are there already: nothing is ever replaced.
    pub in_place: Count,
    /// Files that are in neither place.
    pub gone: u64,
    /// Files that could not be brought back; the log says why.
    pub failed: u64,
}

/// Brings everything back that was moved below a location. Manifests whose files are all back are removed.
///
/// # Errors
/// `InvalidInput` when there is no quarantine, `Corrupt` for a manifest that can't be read or that names places it may
/// not, `Unavailable` when the store does not answer.
pub async fn restore(store: &Store, prefix: &str, dry_run: bool) -> Result<Restored> {
    let prefix = prefix.trim_end_matches('/');
    let name = |location: &str| location.rsplit('/').next().unwrap_or_default().to_owned();
    let mut manifests: Vec<String> = store
        .list(prefix)?
        .map_ok(|info| info.location)
        .try_filter(|location| futures::future::ready(name(location).starts_with(MANIFEST)))
        .try_collect()
        .await?;
    if manifests.is_empty() {
        return Err(Error::invalid(format!("there is no quarantine below {prefix}"))
            .hint("name the location that --quarantine was given, or a folder in it"));
    }
    manifests.sort();
    let below = format!("{}/", match_key(prefix)?);
    let mut all = Restored::default();
    for manifest in &manifests {
        all.manifests += 1;
        let lines = read(store, manifest, &below).await?;
        let failed_before = all.failed;
        let mut results = stream::iter(&lines).map(|file| back(store, file, dry_run)).buffer_unordered(AT_ONCE);
        while let Some((file, result)) = results.next().await {
            match result {
                Ok(Back::Restored) => all.restored.add(file.size),
                Ok(Back::InPlace) => all.in_place.add(file.size),
                Ok(Back::Gone) => all.gone += 1,
                Err(error) => {
                    tracing::warn!(file = file.to, %error, "a file could not be brought back");
                    all.failed += 1;
                }
            }
        }
        drop(results);
        if !dry_run && all.failed == failed_before {
            store.delete(manifest).await?;
        }
    }
    Ok(all)
}

async fn read(store: &Store, manifest: &str, below: &str) -> Result<Vec<Moved>> {
    let damaged = |line: usize, what: &str| {
        Error::corrupt(format!("line {line} of {manifest} {what}"))
            .hint("the files are still in quarantine: look at it")
    };
    let bytes = store.read(manifest).await?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().map(|(number, line)| {
        let file: Moved = serde_json::from_str(line).map_err(|e| damaged(number + 1, "can't be read").caused_by(e))?;
        // A manifest that was tampered with must not move files about.
        if !match_key(&file.to)?.starts_with(below) || match_key(&file.from)?.starts_with(below) {
            return Err(damaged(number + 1, "names a place that is not its own"));
        }
        Ok(file)
    });
    lines.collect()
}

enum Back {
    Restored,
    InPlace,
    Gone,
}

async fn back<'a>(store: &Store, file: &'a Moved, dry_run: bool) -> (&'a Moved, Result<Back>) {
    let work = async {
        let there = store.head(&file.from).await?;
        let here = store.head(&file.to).await?;
        match (there, here) {
            (Some(there), here) => {
                // The original never went, or was brought back by a run that was killed: the copy is not needed.
                if !dry_run && here.is_some() && there.size == file.size {
                    store.delete(&file.to).await?;
                }
                Ok(Back::InPlace)
            }
            (None, None) => Ok(Back::Gone),
            (None, Some(_)) if dry_run => Ok(Back::Restored),
            (None, Some(_)) => {
                if !store.copy_if_absent(&file.to, &file.from, file.size).await? {
                    return Ok(Back::InPlace);
                }
                store.delete(&file.to).await?;
                Ok(Back::Restored)
            }
        }
    };
    (file, work.await)
}

#[cfg(test)]
mod tests;
