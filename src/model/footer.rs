//! What a Parquet footer says about a file, as far as planning needs it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Parquet compression codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// Not compressed.
    Uncompressed,
    /// Snappy.
    Snappy,
    /// Gzip.
    Gzip,
    /// LZO (can't be read by anything here).
    Lzo,
    /// Brotli.
    Brotli,
    /// LZ4 in Hadoop's frame.
    Lz4,
    /// LZ4, raw blocks.
    Lz4Raw,
    /// Zstandard.
    Zstd,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncompressed => "uncompressed",
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::Lzo => "lzo",
            Self::Brotli => "brotli",
            Self::Lz4 => "lz4",
            Self::Lz4Raw => "lz4_raw",
            Self::Zstd => "zstd",
        })
    }
}

/// How many compressed bytes of a file are in one codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnCodec {
    /// The codec.
    pub codec: Codec,
    /// Compressed bytes of all column chunks in it.
    pub bytes: u64,
}

/// One row group of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroup {
    /// Rows.
    pub rows: u64,
    /// Bytes on disk.
    pub compressed: u64,
    /// Bytes of the encoded pages before compression.
    pub uncompressed: u64,
}

/// What a Parquet footer says about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Codecs with their share, most bytes first; ties by codec.
    pub codecs: Vec<ColumnCodec>,
    /// Row groups in file order.
    pub row_groups: Vec<RowGroup>,
    /// A hash of the physical schema: leaf paths, field ids, physical and logical types, repetition. Equal hashes mean
    /// that encoded column chunks may stand in one file.
    pub schema_hash: u64,
    /// Whether the physical schema is just what icewright itself would write for the table's current schema.
    pub schema_is_current: bool,
    /// Whether every column chunk is known to be inside the `compatible` profile: v1 data pages, PLAIN and dictionary
    /// encodings, booleans PLAIN (I13). False also when the footer does not tell.
    pub compatible: bool,
    /// How icewright arranged the rows, if it did ([`Arrangement::mark`](super::Arrangement::mark)), by the names that
    /// columns have now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrangement: Option<String>,
    /// The writer that made the file (`created_by`), if it says so.
    pub created_by: Option<String>,
}

impl Footer {
    /// The key of a footer's own metadata that [`Footer::arrangement`] is kept under.
    pub const ARRANGEMENT: &str = "icewright.arrangement";
    /// The same by field ids ([`Arrangement::mark_by_ids`](super::Arrangement::mark_by_ids)), which counts where it is there.
    pub const ARRANGEMENT_IDS: &str = "icewright.arrangement.ids";

    /// The codec that holds most bytes; `None` for a file without column chunks.
    pub fn main_codec(&self) -> Option<Codec> {
        self.codecs.first().map(|share| share.codec)
    }

    /// Whether every column chunk with data is in `codec` (or not compressed at all because that was smaller).
    pub fn is_all(&self, codec: Codec) -> bool {
        self.main_codec().is_none_or(|main| main == codec)
            && self.codecs.iter().all(|share| share.codec == codec || share.codec == Codec::Uncompressed)
    }
}
