//! What running a task made: serialisable, so that it may cross a process boundary on its way to the committer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AppliedDelete, ChunkWays, PartitionValues, Route};

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

/// A deletion vector that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVector {
    /// The only data file whose rows it deletes.
    pub data_file: String,
    /// Where it begins in its Puffin file.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

/// A file that was written and is complete in the store; one deletion vector of a Puffin file that holds several.
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
    /// The deletion vector in it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<NewVector>,
    /// The values of its partition, where rows moved; otherwise it is that of the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionValues>,
}

/// What running one task made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The task's number in its plan.
    pub task: u32,
    /// The partition spec of outputs, and of inputs unless they are of [`Self::from_specs`].
    pub spec_id: i32,
    /// The specs of the inputs, where rows moved from one to another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_specs: Vec<i32>,
    /// Locations of the files that are replaced; of those whose deletes are, where the route [keeps them](Route::keeps_files).
    pub inputs: Vec<String>,
    /// The files that replace them, or the new delete files.
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
    /// The rows were rewritten while none of them had an id: it is lost if they have got one when this is committed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_ids: bool,
    /// How the column chunks of the outputs were made.
    #[serde(default, skip_serializing_if = "ChunkWays::is_empty")]
    pub chunks: ChunkWays,
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
        !self.route.keeps_files()
    }

    /// The data files that go.
    pub fn replaced(&self) -> &[String] {
        if self.replaces_inputs() { &self.inputs } else { &[] }
    }

    /// The data files that get new deletion vectors.
    pub fn vectors(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().filter_map(|output| output.vector.as_ref()).map(|vector| vector.data_file.as_str())
    }

    /// Locations of what was written, each once: deletion vectors share files.
    pub fn written(&self) -> BTreeSet<&str> {
        self.outputs.iter().map(|output| output.path.as_str()).collect()
    }
}
