//! What a fleet of tables looks like from afar: cheap figures of each table, for ranking, metrics and reports.

use std::collections::BTreeMap;

use serde::Serialize;

use super::TableName;

/// The tier of files that lie in no other tier's location.
pub const HOT: &str = "hot";

/// How closely a table was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closeness {
    /// Its metadata file alone: the newest snapshot's own totals.
    Metadata,
    /// Its manifest list too.
    ManifestList,
    /// Every manifest: figures by file are exact.
    Manifests,
}

/// What a compaction could gain, and what it would touch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Candidates {
    /// Files worth merging. An upper bound unless every manifest was read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The files that they would become.
    pub outputs: u64,
}

impl Candidates {
    /// Files that queries would no longer have to open.
    pub fn gain(&self) -> u64 {
        self.files.saturating_sub(self.outputs)
    }
}

/// What earlier maintenance left in a table's own properties, so that a scheduler that starts anew knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunMemory {
    /// When the last run ended, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_ms: Option<i64>,
    /// When the last run of each operation ended, milliseconds since 1970.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub last_runs: BTreeMap<String, i64>,
    /// How often runs failed since the last one that did not.
    pub failures: u32,
    /// Who holds the table's lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// Until when, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until_ms: Option<i64>,
}

/// A table from afar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSummary {
    /// The table.
    pub table: TableName,
    /// How closely it was looked at.
    pub closeness: Closeness,
    /// Live data files.
    pub files: u64,
    /// Live data files below the smallest size that is left alone; an upper bound unless every manifest was read.
    pub small_files: u64,
    /// Bytes of live data files by tier.
    pub bytes: BTreeMap<String, u64>,
    /// Rows of live data files, deleted ones included.
    pub rows: u64,
    /// Live delete files.
    pub delete_files: u64,
    /// Deletes in them: positions, and rows of equality deletes.
    pub deletes: u64,
    /// What a compaction could gain.
    pub candidates: Candidates,
    /// Snapshots.
    pub snapshots: u64,
    /// When the oldest one was made, milliseconds since 1970.
    pub oldest_snapshot_ms: Option<i64>,
    /// When the newest one with new rows was made, milliseconds since 1970: rewrites do not count.
    pub last_data_ms: Option<i64>,
    /// Bytes of metadata file, manifest list and manifests, as far as they were looked at.
    pub metadata_bytes: u64,
    /// Older metadata files in the log.
    pub metadata_versions: u64,
    /// Manifests of the current snapshot; 0 when the list was not read.
    pub manifests: u64,
    /// Bytes that writers added, in retained snapshots.
    pub bytes_added: u64,
    /// Bytes that rewrites added, in retained snapshots.
    pub bytes_rewritten: u64,
    /// Between the oldest and the newest retained snapshot, milliseconds.
    pub history_ms: u64,
    /// What earlier maintenance left.
    pub memory: RunMemory,
}

impl TableSummary {
    /// Bytes of all tiers.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// Deleted rows over rows, 0 to 1.
    pub fn delete_ratio(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { (self.deletes as f64 / self.rows as f64).min(1.0) }
    }

    /// Bytes written, rewrites included, over bytes that writers added; `None` when retained snapshots do not tell.
    pub fn write_amplification(&self) -> Option<f64> {
        (self.bytes_added > 0).then(|| (self.bytes_added + self.bytes_rewritten) as f64 / self.bytes_added as f64)
    }
}
