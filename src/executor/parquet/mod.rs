//! Parquet in, Parquet out, on three ways: row groups copied whole ([`copy()`]), pages moved ([`merge`]), values decoded and
//! encoded ([`decode`], [`roots`]). The latter two share a pipeline ([`rewrite()`]) and are chosen column by column. Rows
//! that are put in order ([`sorted()`]) are decoded and encoded; texts go through as the numbers of their dictionaries
//! ([`numbers`]).

mod batches;
mod copy;
mod crew;
mod decode;
mod encoders;
mod footer;
mod merge;
mod numbers;
mod output;
mod partitions;
mod pieces;
mod props;
mod rewrite;
mod roots;
mod sorted;
mod streams;
mod trial;
mod writers;

use std::collections::HashMap;

use ::parquet::file::metadata::ParquetMetaData;

#[cfg(feature = "internals")]
pub use merge::{fuzz, kernels};

pub(crate) use copy::copy;
pub(crate) use decode::{RowGroupInput, read_root};
pub(crate) use output::write_error;
pub(crate) use props::writer_properties;
pub(crate) use rewrite::rewrite;
pub(crate) use sorted::sorted;
pub(crate) use trial::trial;

use crate::model::{ChunkWays, NewFile};

/// A finished output with its footer, for verification.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) file: NewFile,
    pub(crate) metadata: ParquetMetaData,
    /// Nulls that went with deleted rows, by top-level column; complete for columns that are no lists, maps or structs.
    pub(crate) removed_nulls: HashMap<usize, u64>,
    /// How its column chunks were made.
    pub(crate) chunks: ChunkWays,
}
