//! The swap itself, and finding out how it ended.
//!
//! When a reply is lost, the swap may have taken effect, may still take effect, or never will. Our swap demands that
//! `main` is the parent snapshot, so:
//! - our snapshot is in fresh metadata: it took effect;
//! - it is not, and `main` has moved on from the parent without it: it never can, because its condition will not hold
//!   again. "Without it" is read from the chain of parents, not from absence alone: our snapshot may have landed, and have
//!   been expired by somebody else since;
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
pub(super) const ROUNDS: u32 = 6;
/// The first wait between two looks; it doubles.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);

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
            match passed_by(&fresh, table.metadata.current_snapshot_id(), id) {
                Some(Passed::With) => {
                    let metadata_location = fresh.metadata_location;
                    return Ok(CommitResult::Committed { snapshot_id: id, metadata_location });
                }
                Some(Passed::Without) => {
                    return Ok(CommitResult::Rejected { reason: format!("{reason}; another commit was first") });
                }
                Some(Passed::NotYet) => {}
                None => continue,
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

/// How `main` moved on from the parent of our snapshot.
#[derive(Debug, PartialEq, Eq)]
enum Passed {
    /// It did not.
    NotYet,
    /// Our snapshot is in its history.
    With,
    /// Our snapshot is not.
    Without,
}

/// Follows the parents of `main`; `None` when the chain ends before it tells (a rollback, or expired snapshots).
fn passed_by(fresh: &LoadedTable, parent: Option<i64>, ours: i64) -> Option<Passed> {
    let mut at = fresh.metadata.current_snapshot_id();
    if at == parent {
        return Some(Passed::NotYet);
    }
    loop {
        match at {
            Some(id) if id == ours => return Some(Passed::With),
            _ if at == parent => return Some(Passed::Without),
            // A snapshot remembers its parent's id even when the parent itself has expired.
            Some(id) => at = fresh.metadata.snapshot_by_id(id)?.parent_snapshot_id(),
            None => return None,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::lake::{Props, Store};
    use crate::model::TableName;

    /// A table whose snapshots are (id, parent), the last of them current.
    fn table(snapshots: &[(i64, Option<i64>)]) -> LoadedTable {
        let document = json!({
            "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://b/t",
            "last-sequence-number": 9, "last-updated-ms": 100, "last-column-id": 1, "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": []}], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "current-snapshot-id": snapshots.last().unwrap().0,
            "snapshots": snapshots.iter().map(|(id, parent)| json!({"snapshot-id": id, "parent-snapshot-id": parent,
                "sequence-number": id, "timestamp-ms": id, "manifest-list": "l", "summary": {"operation": "append"}}))
                .collect::<Vec<_>>(),
        });
        LoadedTable {
            name: TableName::new(["db"], "t"),
            metadata_location: "m".into(),
            metadata: Arc::new(serde_json::from_value(document.clone()).unwrap()),
            document: Arc::new(document),
            store: Arc::new(Store::new(Props::new())),
        }
    }

    #[test]
    fn should_tell_from_the_chain_of_parents_how_main_moved_on() {
        let told = |snapshots: &[(i64, Option<i64>)]| passed_by(&table(snapshots), Some(1), 2);
        assert_eq!(told(&[(1, None)]), Some(Passed::NotYet));
        assert_eq!(told(&[(1, None), (3, Some(1)), (4, Some(3))]), Some(Passed::Without));
        // Ours landed, somebody built on it, and it was expired before we looked: its files are live.
        assert_eq!(told(&[(1, None), (3, Some(2))]), Some(Passed::With));
        // Too much has expired to tell: nothing may be deleted.
        assert_eq!(told(&[(5, Some(4))]), None);
    }
}
