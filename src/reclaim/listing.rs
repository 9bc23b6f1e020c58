//! What is there: everything below a table's locations, in order.

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::sorted::{Sorted, Sorter, Spill};
use crate::error::{Error, Kind, Result};
use crate::lake::{FileInfo, Store, TableLocations, match_key};

/// Files handed to the sort at a time.
const BATCH: usize = 1024;
/// So many batches wait to be sorted.
const QUEUE: usize = 8;
/// Locations that are listed side by side.
const LISTINGS_AT_ONCE: usize = 4;

/// Lists all of a table's locations.
///
/// # Errors
/// `InvalidInput` without the right to list, or for a location that is not there; `Unavailable` when the store does not
/// answer; `Exhausted` when there is no more temporary space.
pub async fn list(store: &Store, within: &TableLocations, spill: &Spill) -> Result<Sorted> {
    let listings = within.written().map(|root| store.list(root)).collect::<Result<Vec<_>>>()?;
    let all = stream::iter(listings).flatten_unordered(LISTINGS_AT_ONCE).map_err(|error| match error.kind() {
        // For other callers a missing file means a damaged table; here a bucket is missing.
        Kind::Corrupt => Error::invalid(error.to_string()).hint("check the table's locations, and those of its tiers"),
        _ => error,
    });
    sort(all, within, spill).await
}

/// Brings a listing into order. What lies outside of the table's locations is left out.
///
/// # Errors
/// Those of the listing, and `Exhausted` when there is no more temporary space.
pub async fn sort(
    listing: impl Stream<Item = Result<FileInfo>> + Send,
    within: &TableLocations,
    spill: &Spill,
) -> Result<Sorted> {
    let (send, mut receive) = mpsc::channel::<Vec<FileInfo>>(QUEUE);
    let mut sorter = Sorter::new(spill);
    let within = within.clone();
    let sorting = tokio::task::spawn_blocking(move || {
        while let Some(batch) = receive.blocking_recv() {
            for file in batch {
                // A name that can't be matched can't be removed either.
                let Ok(key) = match_key(&file.location) else { continue };
                if within.root_of(&key).is_some() {
                    sorter.push(&key, file.size, file.modified_ms)?;
                }
            }
        }
        sorter.finish()
    });
    let mut batches = std::pin::pin!(listing.try_ready_chunks(BATCH));
    let mut failed = None;
    while let Some(batch) = batches.next().await {
        match batch {
            Ok(batch) => {
                if send.send(batch).await.is_err() {
                    // Sorting gave up; it says why below.
                    break;
                }
            }
            Err(error) => {
                failed = Some(error.1);
                break;
            }
        }
    }
    drop(send);
    let sorted = sorting.await.map_err(|e| Error::internal("sorting the listing failed").caused_by(e))??;
    failed.map_or(Ok(sorted), Err)
}
