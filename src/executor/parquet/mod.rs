//! Parquet in, Parquet out: one file per way to get there.

mod copy;
mod decode;
mod encode;
mod output;
mod pieces;
mod props;

use ::parquet::file::metadata::ParquetMetaData;

pub(crate) use copy::copy;
pub(crate) use decode::read_root;
pub(crate) use encode::encode;
pub(crate) use props::writer_properties;

use crate::model::NewFile;

/// A finished output with its footer, for verification.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) file: NewFile,
    pub(crate) metadata: ParquetMetaData,
}
