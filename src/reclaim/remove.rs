//! Removing many files: in bulk, at a limited rate, each failure tried again and reported.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{Stream, StreamExt};

use crate::error::Result;
use crate::lake::{Ambient, Store, TableLocations};
use crate::model::{FileKind, Removal};

/// The most files that one request removes (S3's limit).
const BULK: usize = 1000;
/// Requests under way at the same time.
const AT_ONCE: usize = 4;
/// How often a file that could not be removed is tried again.
const TRIES: u32 = 3;
/// The first wait before that; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A file that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// What it is.
    pub kind: FileKind,
    /// Where it is.
    pub path: String,
    /// Its bytes, 0 when unknown.
    pub size: u64,
}

/// Removes files one table no longer needs.
#[derive(Debug, Clone, Copy)]
pub struct Remover<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// Nothing outside of these is removed, whatever is asked (I7).
    pub within: &'a TableLocations,
    /// Waits.
    pub ambient: &'a Ambient,
    /// The most files a second; no limit when absent.
    pub max_per_second: Option<u64>,
}

impl Remover<'_> {
    /// Removes files as they come. What can't be removed after some tries is counted and logged, and is an orphan from
    /// then on: a later run finds it.
    ///
    /// # Errors
    /// Only when a location can't be understood; single failures are counted in the result.
    pub async fn remove(&self, files: impl Stream<Item = Doomed>) -> Result<Removal> {
        let bulk = self.max_per_second.map_or(BULK, |most| usize::try_from(most).unwrap_or(BULK).clamp(1, BULK));
        let started = tokio::time::Instant::now();
        let mut begun: u64 = 0;
        let mut removal = Removal::default();
        let mut chunks = std::pin::pin!(
            files
                .ready_chunks(bulk)
                .map(|chunk| {
                    let due = started + self.pause(begun);
                    begun += chunk.len() as u64;
                    async move {
                        tokio::time::sleep_until(due).await;
                        self.chunk(chunk).await
                    }
                })
                .buffer_unordered(AT_ONCE)
        );
        while let Some(done) = chunks.next().await {
            removal.merge(&done?);
        }
        Ok(removal)
    }

    /// How long after the start the next file may be removed when so many were before it.
    fn pause(&self, begun: u64) -> Duration {
        self.max_per_second.map_or(Duration::ZERO, |most| Duration::from_secs_f64(begun as f64 / most as f64))
    }

    async fn chunk(&self, chunk: Vec<Doomed>) -> Result<Removal> {
        let mut removal = Removal::default();
        let (mine, outside): (Vec<_>, Vec<_>) = chunk.into_iter().partition(|file| self.within.contains(&file.path));
        for file in &outside {
            tracing::info!(file = file.path, "left alone: outside of the table's locations");
        }
        removal.outside = outside.len() as u64;
        let mut left: HashMap<String, Doomed> = mine.into_iter().map(|file| (file.path.clone(), file)).collect();
        let mut wait = FIRST_WAIT;
        for attempt in 1..=TRIES {
            let mut paths: Vec<String> = left.keys().cloned().collect();
            paths.sort();
            let failed: HashMap<String, _> = self.store.delete_many(&paths).await?.into_iter().collect();
            left.retain(|path, file| {
                let gone = !failed.contains_key(path);
                if gone {
                    removal.add(file.kind, file.size);
                }
                !gone
            });
            if left.is_empty() {
                break;
            }
            if attempt < TRIES {
                tokio::time::sleep(self.ambient.jitter(wait)).await;
                wait *= 2;
                continue;
            }
            for (path, error) in &failed {
                tracing::warn!(file = path, %error, "a file could not be removed; it is an orphan now");
            }
        }
        removal.failed = left.len() as u64;
        Ok(removal)
    }
}
