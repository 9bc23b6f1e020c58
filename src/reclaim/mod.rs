//! Removal of files. The only place that deletes what a table may once have had.
//!
//! - Outputs that were written and definitely not committed ([`discard`]). They are named one by one by whoever made
//!   them, so nothing reachable can be among them (I7).
//! - Files that no retained metadata reaches ([`Reach`] finds them after an expiry, [`Remover`] removes them): only below
//!   the table's own locations, whatever is asked.

mod candidates;
mod heads;
mod lineage;
pub mod listing;
pub mod orphans;
pub mod quarantine;
mod reach;
pub mod reachable;
mod remove;
pub mod sorted;

pub use heads::Heads;
pub use reach::Reach;
pub use remove::{Doomed, Remover};
pub use sorted::Spill;

use crate::lake::Store;

/// Removes outputs that no metadata names. A file that can't be removed is logged and left for orphan removal.
pub async fn discard(store: &Store, paths: &[String]) {
    for path in paths {
        match store.delete(path).await {
            Ok(()) => tracing::debug!(file = path, "discarded an output that was not committed"),
            Err(error) => tracing::warn!(file = path, %error, "an output that was not committed could not be removed"),
        }
    }
}
