//! Snapshots, references and metadata versions of a table: what expiry decides on.

use std::collections::{BTreeMap, BTreeSet};

use super::TableName;

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its id.
    pub id: i64,
    /// The snapshot it was made from; that one may have expired.
    pub parent: Option<i64>,
    /// Its sequence number (0 in v1 tables).
    pub sequence_number: i64,
    /// When it was made, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The schema that was current then.
    pub schema_id: Option<i32>,
    /// Whether statistics were recorded for it.
    pub has_statistics: bool,
    /// Whether partition statistics were recorded for it.
    pub has_partition_statistics: bool,
}

/// What a reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// A branch: its whole history may be kept.
    Branch,
    /// A tag: one snapshot is kept.
    Tag,
}

/// A branch or a tag with its own retention, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefInfo {
    /// Its name.
    pub name: String,
    /// Branch or tag.
    pub kind: RefKind,
    /// The snapshot that it points at.
    pub snapshot_id: i64,
    /// `min-snapshots-to-keep`.
    pub min_snapshots_to_keep: Option<u64>,
    /// `max-snapshot-age-ms`.
    pub max_snapshot_age_ms: Option<u64>,
    /// `max-ref-age-ms`.
    pub max_ref_age_ms: Option<u64>,
}

/// The history of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The table.
    pub table: TableName,
    /// Its id.
    pub table_uuid: String,
    /// The metadata file that this was read from.
    pub metadata_location: String,
    /// The current snapshot of `main`.
    pub current: Option<i64>,
    /// Snapshots by id.
    pub snapshots: BTreeMap<i64, SnapshotInfo>,
    /// References by name; `main` is among them when there is a current snapshot.
    pub refs: Vec<RefInfo>,
    /// The table property `gc.enabled`: files may be shared with other tables when it is false.
    pub gc_enabled: bool,
    /// Older metadata files in the log.
    pub metadata_versions: u64,
    /// The table property `write.metadata.previous-versions-max`, if it is set.
    pub previous_versions_max: Option<u64>,
    /// All partition specs.
    pub specs: BTreeSet<i32>,
    /// The default partition spec.
    pub default_spec: i32,
    /// All schemas.
    pub schemas: BTreeSet<i32>,
    /// The current schema.
    pub current_schema: i32,
    /// Partition specs of all manifests, by snapshot; read only where old specs are to be cleaned.
    pub specs_in_use: BTreeMap<i64, BTreeSet<i32>>,
    /// Schemas with columns that are gone from the current one, by which rows of a snapshot are deleted or partitioned; read
    /// only where old schemas are to be cleaned.
    pub schemas_in_use: BTreeMap<i64, BTreeSet<i32>>,
}

impl History {
    /// The branch or tag that everything reads by default.
    pub const MAIN: &'static str = "main";

    /// A snapshot and its ancestors, newest first, as far as they are still there.
    pub fn ancestors(&self, head: i64) -> Vec<&SnapshotInfo> {
        let mut found: Vec<&SnapshotInfo> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(head);
        while let Some(snapshot) = next.and_then(|id| self.snapshots.get(&id)) {
            // Damaged metadata may go in a circle.
            if !seen.insert(snapshot.id) {
                break;
            }
            found.push(snapshot);
            next = snapshot.parent;
        }
        found
    }
}
