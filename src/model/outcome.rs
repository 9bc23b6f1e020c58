//! What running a task made: serialisable, so that it may cross a process boundary on its way to the committer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AppliedDelete, Route};

/// Statistics of one column (by Iceberg field id) in one file. Counts that a metrics mode leaves out are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// Compressed bytes of the column.
    pub size: Option<u64>,
    /// Values including nulls and NaNs.
    pub values: Option<u64>,
    /// Nulls.
    pub nulls: Option<u64>,
    /// NaNs, for floating-point columns.
    pub nans: Option<u64>,
    /// Lower bound in the spec's single-value serialisation, truncated downwards.
    pub lower: Option<Vec<u8>>,
    /// Upper bound in the spec's single-value serialisation, truncated upwards.
    pub upper: Option<Vec<u8>>,
}

/// A data file that was written and is complete in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub records: u64,
    /// Statistics by field id, as far as the table's metrics modes ask for them.
    pub columns: BTreeMap<i32, ColumnStats>,
    /// Offsets of the row groups, ascending.
    pub split_offsets: Vec<i64>,
    /// The sort order that the file's rows are in, where that is true.
    pub sort_order_id: Option<i32>,
}

/// What running one task made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The task's number in its plan.
    pub task: u32,
    /// The partition spec of inputs and outputs.
    pub spec_id: i32,
    /// Locations of the files that are replaced; of those whose deletes are, by [`Route::Deletes`].
    pub inputs: Vec<String>,
    /// The files that replace them; delete files, by [`Route::Deletes`].
    pub outputs: Vec<NewFile>,
    /// How it was done.
    pub route: Route,
    /// Rows read from the inputs.
    pub rows_in: u64,
    /// Rows written, or left to live.
    pub rows_out: u64,
    /// Rows that deletes removed, or mark as removed; `rows_in = rows_out + rows_deleted` (I2).
    #[serde(default)]
    pub rows_deleted: u64,
    /// The deletes that were applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<AppliedDelete>,
    /// Bytes of the inputs.
    pub bytes_read: u64,
    /// Bytes of the outputs.
    pub bytes_written: u64,
    /// Wall seconds.
    pub seconds: f64,
}

impl Outcome {
    /// Whether the inputs go when the outcome is committed; otherwise they stay, with new deletes.
    pub fn replaces_inputs(&self) -> bool {
        self.route != Route::Deletes
    }

    /// The data files that go.
    pub fn replaced(&self) -> &[String] {
        if self.replaces_inputs() { &self.inputs } else { &[] }
    }
}
