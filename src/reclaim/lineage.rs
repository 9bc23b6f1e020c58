//! Metadata files that fell off a table's log, now or earlier.
//!
//! Most writers shorten the log and leave the files behind. Each metadata file names its predecessors in its own log, so
//! the table's own history tells which they are: nothing is guessed from names or listings.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::Doomed;
use super::candidates::key;
use crate::error::{Kind, Result};
use crate::lake::{Store, metadata};
use crate::model::FileKind;

/// So many metadata files are opened to look further back; the next run goes on from there.
const STEPS: usize = 50;
/// Files looked up side by side.
const AT_ONCE: usize = 32;

/// The files that have fallen off, as far as they are still there, with their sizes. `kept` is the log with the current
/// file, oldest first; none of these is ever among them.
pub(super) async fn fallen(store: &Arc<Store>, falling: Vec<String>, kept: &[String]) -> Result<Vec<Doomed>> {
    let mut met: HashSet<u128> = kept.iter().map(|file| key(file)).collect();
    let mut found = Vec::new();
    let mut next = falling;
    let mut oldest = kept.first().cloned();
    for _ in 0..STEPS {
        let new: Vec<String> = next.into_iter().filter(|file| is_metadata(file) && met.insert(key(file))).collect();
        let present = present(store, new).await?;
        oldest = present.first().map(|file| file.path.clone()).or(oldest);
        found.extend(present);
        let Some(open) = oldest.take() else { break };
        next = match store.read(&open).await {
            Ok(bytes) => metadata::log_of(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == Kind::Corrupt => break,
            Err(error) => return Err(error),
        };
    }
    Ok(found)
}

/// A log may say anything; what is not named like metadata is not removed as such.
fn is_metadata(file: &str) -> bool {
    file.ends_with(".metadata.json") || file.ends_with(".metadata.json.gz")
}

async fn present(store: &Arc<Store>, files: Vec<String>) -> Result<Vec<Doomed>> {
    let doomed = |path: String, size: u64| Doomed { kind: FileKind::Metadata, path, size };
    stream::iter(files)
        .map(|file| async move { store.head(&file).await })
        .buffered(AT_ONCE)
        .try_filter_map(|info| ready(Ok(info.map(|info| doomed(info.location, info.size)))))
        .try_collect()
        .await
}
