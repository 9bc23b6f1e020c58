//! What a run did to a table: the document that `--json` prints and tables for people are made from.

use serde::Serialize;

use super::{ArchiveReport, ChunkWays, Operation, OverlapDepth, PlannedWay, Removal, TableName};
use crate::error::{Error, Kind};

/// The version of the JSON document.
pub const REPORT_VERSION: u32 = 1;

/// How a run over one table ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Something was committed.
    Committed,
    /// There was nothing to do.
    NothingToDo,
    /// A dry run: this is what would be done.
    DryRun,
    /// Refused: not supported, or a safety check; nothing was changed.
    Refused,
    /// Failed; what was committed before the failure stays.
    Failed,
}

/// An error as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorReport {
    /// What the caller must do.
    pub kind: Kind,
    /// What happened.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.to_string(), hint: error.hint_text().map(str::to_owned) }
    }
}

/// What a run did to one table. Figures that a verb does not have are absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableReport {
    /// The table.
    pub table: TableName,
    /// How it ended.
    pub status: Status,
    /// The newest snapshot that the run made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<i64>,
    /// Live data files before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_before: Option<u64>,
    /// Live data files after (expected ones, for a dry run).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_after: Option<u64>,
    /// Live delete files before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_files_before: Option<u64>,
    /// Live delete files after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_files_after: Option<u64>,
    /// Bytes of live data files before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_before: Option<u64>,
    /// Bytes of live data files after (expected ones, for a dry run).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_after: Option<u64>,
    /// Rows in live data files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Rows that deletes had removed from files that were rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_deleted: Option<u64>,
    /// Bytes of data files read by committed groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
    /// Bytes of data files written by committed groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_written: Option<u64>,
    /// How the column chunks that committed groups wrote were made, and why those were encoded anew that were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunkWays>,
    /// On which way the planned groups are to be rewritten, and why; of dry runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<PlannedWay>,
    /// Groups planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    /// Groups committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_committed: Option<u64>,
    /// Commits of data files that another writer's commit came before; they were tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_conflicts: Option<u64>,
    /// How deep files lay over one another before, in runs that put rows in order: by the leading column of the order, or
    /// by every column of a curve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depth_before: Vec<OverlapDepth>,
    /// The same after; absent in a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depth_after: Vec<OverlapDepth>,
    /// Snapshots before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots_before: Option<u64>,
    /// Snapshots after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots_after: Option<u64>,
    /// Manifests of the current snapshot before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests_before: Option<u64>,
    /// Manifests of the current snapshot after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests_after: Option<u64>,
    /// Older metadata files in the log before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_versions_before: Option<u64>,
    /// Older metadata files in the log after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_versions_after: Option<u64>,
    /// Files removed from storage (that would be removed, for a dry run).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_removed: Option<u64>,
    /// Their bytes, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_removed: Option<u64>,
    /// The same by kind of file, with what could not be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removal>,
    /// Data in storage tiers, before and after; of archivals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveReport>,
    /// Wall seconds.
    pub seconds: f64,
    /// The process's peak memory so far, where the system tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The steps of a maintenance run, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// What went wrong; `null` when nothing did.
    pub error: Option<ErrorReport>,
    /// Sizes of live data files before; for pictures only.
    #[serde(skip)]
    pub sizes_before: Vec<u64>,
    /// Sizes of live data files after; for pictures only.
    #[serde(skip)]
    pub sizes_after: Vec<u64>,
}

impl TableReport {
    /// An empty report.
    pub fn new(table: TableName, status: Status) -> Self {
        Self {
            table,
            status,
            snapshot_id: None,
            files_before: None,
            files_after: None,
            delete_files_before: None,
            delete_files_after: None,
            bytes_before: None,
            bytes_after: None,
            rows: None,
            rows_deleted: None,
            bytes_read: None,
            bytes_written: None,
            chunks: None,
            ways: Vec::new(),
            groups: None,
            groups_committed: None,
            commit_conflicts: None,
            depth_before: Vec::new(),
            depth_after: Vec::new(),
            snapshots_before: None,
            snapshots_after: None,
            manifests_before: None,
            manifests_after: None,
            metadata_versions_before: None,
            metadata_versions_after: None,
            files_removed: None,
            bytes_removed: None,
            removed: None,
            archive: None,
            seconds: 0.0,
            peak_memory_bytes: None,
            steps: Vec::new(),
            error: None,
            sizes_before: Vec::new(),
            sizes_after: Vec::new(),
        }
    }

    /// Records files that were removed, or would be.
    pub fn add_removal(&mut self, removal: &Removal) {
        let all = self.removed.get_or_insert_with(Removal::default);
        all.merge(removal);
        self.files_removed = Some(all.files());
        self.bytes_removed = Some(all.bytes());
    }

    /// Records an error; the status follows from its kind.
    #[must_use]
    pub fn failed(mut self, error: &Error) -> Self {
        self.status = if error.kind() == Kind::Unsupported { Status::Refused } else { Status::Failed };
        self.error = Some(ErrorReport::from(error));
        self
    }

    /// The process exit code that this table alone would give.
    pub fn exit_code(&self) -> u8 {
        self.error.as_ref().map_or(0, |error| error.kind.exit_code())
    }
}

/// What one step of a maintenance run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// The operation.
    pub operation: Operation,
    /// How it ended; `None` when it was not begun because an earlier step failed.
    #[serde(flatten)]
    pub report: Option<TableReport>,
}

/// The document of a run over tables.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The verb.
    pub command: String,
    /// One entry a table.
    pub tables: Vec<TableReport>,
}
