//! The swap itself, and finding out how it ended.
//!
//! When a reply is lost, the swap may have taken effect, may still take effect, or never will. Our swap demands that
//! `main` is the parent snapshot, so:
//! - our snapshot is in fresh metadata: it took effect;
//! - it is not, and `main` has moved on: it never can, because its condition will never hold again;
//! - it is not, and `main` still is the parent: sending *the same* swap again is harmless. Should both arrive, the
//!   second fails its condition, and fresh metadata shows our snapshot.
//!
//! After a few rounds without an answer the result stays unknown, and nothing is deleted (I5).

use std::time::Duration;

use iceberg::spec::{Snapshot, SnapshotReference, SnapshotRetention};
use iceberg::{TableRequirement, TableUpdate};

use super::{CommitResult, Committer};
use crate::error::Result;
use crate::lake::{LoadedTable, Swap, TableChange};

/// The branch that is maintained.
const MAIN: &str = "main";
/// How often an unknown result is looked into.
const ROUNDS: u32 = 6;
/// The first wait between two looks; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);

impl Committer {
    /// Swaps in a snapshot and makes sure how that ended.
    pub(super) async fn swap(&self, table: &LoadedTable, snapshot: Snapshot) -> Result<CommitResult> {
        let id = snapshot.snapshot_id();
        let change = change(table, snapshot);
        let mut reason = match self.catalog.commit(table, &change).await? {
            Swap::Rejected { reason } => return Ok(CommitResult::Rejected { reason }),
            Swap::Committed { metadata_location } => return Ok(self.confirm(table, id, metadata_location).await),
            Swap::Unknown { reason } => reason,
        };
        let mut wait = FIRST_WAIT;
        for round in 1..=ROUNDS {
            tracing::warn!(table = %table.name, snapshot = id, round, reason, "whether the commit took effect is unknown, looking");
            tokio::time::sleep(self.ambient.jitter(wait)).await;
            wait *= 2;
            let fresh = match self.catalog.load_table(&table.name).await {
                Ok(fresh) => fresh,
                Err(error) => {
                    reason = error.to_string();
                    continue;
                }
            };
            if fresh.metadata.snapshot_by_id(id).is_some() {
                let metadata_location = fresh.metadata_location;
                return Ok(CommitResult::Committed { snapshot_id: id, metadata_location });
            }
            if fresh.metadata.current_snapshot_id() != table.metadata.current_snapshot_id() {
                return Ok(CommitResult::Rejected { reason: format!("{reason}; another commit was first") });
            }
            match self.catalog.commit(&fresh, &change).await {
                Ok(Swap::Committed { metadata_location }) => {
                    return Ok(self.confirm(table, id, metadata_location).await);
                }
                // It may be our own first try that was first: the next round looks.
                Ok(Swap::Rejected { reason: why } | Swap::Unknown { reason: why }) => reason = why,
                Err(error) => reason = error.to_string(),
            }
        }
        Ok(CommitResult::Unknown { reason })
    }

    /// A catalog that says "committed" is believed once the snapshot is seen.
    async fn confirm(&self, table: &LoadedTable, id: i64, metadata_location: String) -> CommitResult {
        match self.catalog.load_table(&table.name).await {
            Ok(fresh) if fresh.metadata.snapshot_by_id(id).is_none() => CommitResult::Unknown {
                reason: "the catalog accepted the commit, but the table does not show it".to_owned(),
            },
            // A failing look does not make an accepted commit doubtful.
            Ok(_) | Err(_) => CommitResult::Committed { snapshot_id: id, metadata_location },
        }
    }
}

/// Adds the snapshot and moves `main` to it, if `main` is where we saw it. The branch keeps its retention (I12).
fn change(table: &LoadedTable, snapshot: Snapshot) -> TableChange {
    let kept = |key: &str| table.document.get("refs")?.get(MAIN)?.get(key)?.as_i64();
    let retention = SnapshotRetention::Branch {
        min_snapshots_to_keep: kept("min-snapshots-to-keep").and_then(|n| i32::try_from(n).ok()),
        max_snapshot_age_ms: kept("max-snapshot-age-ms"),
        max_ref_age_ms: kept("max-ref-age-ms"),
    };
    let id = snapshot.snapshot_id();
    TableChange {
        requirements: vec![
            TableRequirement::UuidMatch { uuid: table.metadata.uuid() },
            TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN.to_owned(),
                snapshot_id: table.metadata.current_snapshot_id(),
            },
        ],
        updates: vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef { ref_name: MAIN.to_owned(), reference: SnapshotReference::new(id, retention) },
        ],
    }
}
