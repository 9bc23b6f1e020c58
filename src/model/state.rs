//! What is there: one consistent picture of a table at one snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::spec::{Datum, Struct, TableMetadata};

use serde::{Deserialize, Serialize};

use super::{Codec, DeleteKey, FileBounds, Footer, TableName};

/// Index into [`TableState::partitions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub u32);

/// One partition: a spec and a tuple of values. Interned, because thousands of files share one.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// The partition spec that the values belong to.
    pub spec_id: i32,
    /// The values, in the spec's order.
    pub values: Struct,
    /// The partition as a path (`ts_year=2023/region=eu`), empty when the spec has no fields.
    pub path: String,
}

/// A data file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Apache Avro.
    Avro,
    /// Apache ORC.
    Orc,
    /// Puffin (deletion vectors only).
    Puffin,
}

/// A live data file.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// Location as the manifest has it; shared with the plan, which speaks of every file.
    pub path: Arc<str>,
    /// Its format.
    pub format: FileFormat,
    /// Its partition.
    pub partition: PartitionId,
    /// Rows.
    pub records: u64,
    /// Bytes.
    pub size: u64,
    /// Data sequence number (0 in v1 tables).
    pub sequence_number: i64,
    /// Sequence number of the commit that added the file itself; a rewrite leaves the data's number behind it.
    pub file_sequence_number: i64,
    /// The id of its first row, from format version 3 on: its own, or inherited.
    pub first_row_id: Option<i64>,
    /// The snapshot that added it, if the manifest says so.
    pub snapshot_id: Option<i64>,
    /// The sort order that the file claims; `None` or 0 means unsorted.
    pub sort_order_id: Option<i32>,
    /// Whether the manifest carries key metadata (encrypted file).
    pub encrypted: bool,
    /// Bounds by field id, only for the fields that were asked for when the state was loaded.
    pub bounds: FileBounds,
}

/// What kind of deletes a delete file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteContent {
    /// Positions in data files (v2 files and v3 deletion vectors).
    Position,
    /// Rows equal to those of the file on [`DeleteFile::equality_ids`].
    Equality,
}

/// Where a deletion vector lies in its Puffin file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A live delete file, or one deletion vector of a file that holds several.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteFile {
    /// Location as the manifest has it.
    pub path: String,
    /// Positions or equality.
    pub content: DeleteContent,
    /// Its format ([`FileFormat::Puffin`] for deletion vectors).
    pub format: FileFormat,
    /// Its partition.
    pub partition: PartitionId,
    /// Deleted positions, or rows of an equality delete.
    pub records: u64,
    /// Bytes.
    pub size: u64,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Sequence number of the commit that added the file itself.
    pub file_sequence_number: i64,
    /// Where a deletion vector lies in the file.
    pub vector: Option<Blob>,
    /// Whether the manifest carries key metadata (encrypted file).
    pub encrypted: bool,
    /// The only data file that it refers to, if it says so (or its file-path bounds do).
    pub referenced_data_file: Option<String>,
    /// Field ids of an equality delete; empty otherwise.
    pub equality_ids: Vec<i32>,
}

impl DeleteFile {
    /// Its name.
    pub fn key(&self) -> DeleteKey {
        DeleteKey { path: self.path.clone(), offset: self.vector.map(|blob| blob.offset) }
    }
}

/// What a manifest list says of one partition field over all entries of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRange {
    /// Whether an entry has no value.
    pub nulls: bool,
    /// Whether an entry is not a number.
    pub nans: bool,
    /// The least value; `None` when all are null or not a number.
    pub lower: Option<Datum>,
    /// The greatest.
    pub upper: Option<Datum>,
}

/// One manifest of the snapshot, as the manifest list describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestInfo {
    /// Location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Whether it lists delete files.
    pub deletes: bool,
    /// Entries that are live (added and existing).
    pub live: u64,
    /// The partition spec of its entries.
    pub spec_id: i32,
    /// The range of each partition field, in the order of the spec; `None` when the list does not tell.
    pub ranges: Option<Vec<FieldRange>>,
}

/// Footers of files by path.
pub type Footers = HashMap<String, Footer, foldhash::fast::RandomState>;

/// What is there: one consistent picture of a table at one snapshot.
///
/// Loaded by `lake`, read by `planner`. Memory is proportional to live files.
#[derive(Debug, Clone)]
pub struct TableState {
    /// The table's name in its catalog.
    pub name: TableName,
    /// Where the metadata was read.
    pub metadata_location: String,
    /// Bytes of that metadata file; 0 when the store does not tell.
    pub metadata_size: u64,
    /// The table's metadata: schemas, specs, snapshots, properties.
    pub metadata: Arc<TableMetadata>,
    /// The snapshot that the files belong to; `None` for a table without data.
    pub snapshot_id: Option<i64>,
    /// That snapshot's sequence number (0 when there is none, and in v1 tables).
    pub sequence_number: i64,
    /// Partitions in use, each once, ordered by spec and path.
    pub partitions: Vec<Partition>,
    /// Live data files, ordered by path.
    pub files: Vec<DataFile>,
    /// Live delete files, ordered by path.
    pub deletes: Vec<DeleteFile>,
    /// Manifests of the snapshot, in its order.
    pub manifests: Vec<ManifestInfo>,
    /// Footers of the files that the planner asked for, by path.
    pub footers: Footers,
    /// Storage classes of the files that the planner asked for, by path; a file whose store has no classes is absent.
    pub classes: BTreeMap<String, String>,
    /// Output bytes per input byte when a file in this codec is rewritten under the current policy: from summaries of
    /// earlier rewrites, or from a sample. A codec without an entry counts as 1.
    pub ratios: BTreeMap<Codec, f64>,
}

impl TableState {
    /// The partition with this id.
    pub fn partition(&self, id: PartitionId) -> &Partition {
        &self.partitions[id.0 as usize]
    }

    /// The index of the data file with this path.
    pub fn file_index(&self, path: &str) -> Option<usize> {
        self.files.binary_search_by(|file| (*file.path).cmp(path)).ok()
    }

    /// Bytes of all live data files.
    pub fn data_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Rows of all live data files, deleted ones included.
    pub fn data_rows(&self) -> u64 {
        self.files.iter().map(|file| file.records).sum()
    }
}
