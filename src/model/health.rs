//! The health of a table: what `inspect` shows.

use serde::Serialize;

use super::{MIB, OverlapDepth, PartitionDepth, SkipReason};

/// Upper edges of the size classes, in bytes.
const CLASSES: [(u64, &str); 8] = [
    (MIB, "< 1 MiB"),
    (8 * MIB, "1–8 MiB"),
    (32 * MIB, "8–32 MiB"),
    (128 * MIB, "32–128 MiB"),
    (256 * MIB, "128–256 MiB"),
    (512 * MIB + 1, "256–512 MiB"),
    (1024 * MIB, "512–1024 MiB"),
    (u64::MAX, "≥ 1 GiB"),
];
/// One class of a histogram of file sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeClass {
    /// Its name, such as `8–32 MiB`.
    pub name: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl SizeClass {
    /// Sorts file sizes into classes; empty classes are there too.
    pub fn sort(sizes: impl Iterator<Item = u64>) -> Vec<Self> {
        let mut classes: Vec<Self> =
            CLASSES.iter().map(|(_, name)| Self { name: (*name).to_owned(), files: 0, bytes: 0 }).collect();
        for size in sizes {
            let class = CLASSES.iter().position(|(edge, _)| size < *edge).unwrap_or(CLASSES.len() - 1);
            classes[class].files += 1;
            classes[class].bytes += size;
        }
        classes
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionHealth {
    /// The partition as a path, empty when unpartitioned.
    pub partition: String,
    /// Data files.
    pub files: u64,
    /// Data files below `min-file-size-bytes`.
    pub small_files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Something that is due, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Due {
    /// The operation.
    pub operation: String,
    /// Whether it is due.
    pub due: bool,
    /// Why, or why not.
    pub why: String,
}

/// How many files are left alone for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// The reason, of the first file that has it.
    #[serde(flatten)]
    pub why: SkipReason,
    /// Files.
    pub files: u64,
}

/// The health of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Format version.
    pub format_version: u8,
    /// Where the table is.
    pub location: String,
    /// The current snapshot.
    pub snapshot_id: Option<i64>,
    /// Milliseconds since that snapshot was made.
    pub snapshot_age_ms: Option<i64>,
    /// Live data files.
    pub files: u64,
    /// Data files below `min-file-size-bytes`.
    pub small_files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their sizes.
    pub sizes: Vec<SizeClass>,
    /// Partitions with data.
    pub partitions: u64,
    /// The partitions with the most small files, at most ten.
    pub worst_partitions: Vec<PartitionHealth>,
    /// How deep files lie over one another by the columns that rows are arranged by: those that were asked for, or the
    /// first of the table's sort order. None where there is no such order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlap_depth: Vec<OverlapDepth>,
    /// The partitions in which they lie deepest, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deepest_partitions: Vec<PartitionDepth>,
    /// Position delete files and deletion vectors.
    pub position_delete_files: u64,
    /// Equality delete files.
    pub equality_delete_files: u64,
    /// Data files that deletes may apply to.
    pub files_with_deletes: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Milliseconds since the oldest snapshot was made.
    pub oldest_snapshot_age_ms: Option<i64>,
    /// Branches and tags, `main` included.
    pub refs: u64,
    /// Bytes of the current metadata file.
    pub metadata_bytes: u64,
    /// Older metadata files in the log.
    pub metadata_versions: u64,
    /// Manifests of the current snapshot.
    pub manifests: u64,
    /// Their bytes.
    pub manifest_bytes: u64,
    /// What is due and why.
    pub due: Vec<Due>,
    /// Files that a compaction would leave alone, by reason.
    pub left_alone: Vec<LeftAlone>,
}
