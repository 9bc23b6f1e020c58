//! Parquet footers, read without the rest of the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use iceberg::spec::Schema;
use parquet::arrow::async_reader::MetadataFetch;
use parquet::basic::{Compression, Encoding, PageType, Type as Physical};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
};
use parquet::schema::types::SchemaDescPtr;

use super::Store;
use super::parquet_schema::{schema_hash, write_schema};
use crate::error::{Error, Kind, Result};
use crate::model::{Arrangement, Codec, ColumnCodec, Footer, Footers, RowGroup};

/// How much of a file's end is read at first; nearly every footer fits.
const FIRST_READ: usize = 64 * 1024;

/// Reads the footers of many files.
///
/// # Errors
/// `Corrupt` naming the file that is missing, truncated or no Parquet file; `Unavailable` when the store does not
/// answer.
pub async fn read_footers(store: &Arc<Store>, files: &[(String, u64)], schema: &Schema) -> Result<Footers> {
    // A schema that can't be written is refused by the planner; its footers are still worth showing.
    let current = write_schema(schema).ok().map(|written| schema_hash(&written.parquet));
    let at_once = files.first().map_or(1, |(path, _)| store.opened_at_once(path));
    futures::stream::iter(files.iter().cloned())
        .map(|(path, size)| {
            let store = store.clone();
            async move {
                let metadata = read_metadata(&store, &path, size, PageIndexPolicy::Skip).await?;
                Ok((path, summarise(&metadata, schema, current)))
            }
        })
        .buffer_unordered(at_once)
        .try_collect()
        .await
}

/// A file's whole Parquet metadata.
///
/// # Errors
/// As [`read_footers`].
pub async fn read_metadata(
    store: &Arc<Store>,
    path: &str,
    size: u64,
    page_index: PageIndexPolicy,
) -> Result<ParquetMetaData> {
    read_metadata_like(store, path, size, page_index, None).await
}

/// The same; a file whose columns are those of another one shares their description with it: that is most of what is kept
/// of a small file.
///
/// # Errors
/// As [`read_footers`].
pub(crate) async fn read_metadata_like(
    store: &Arc<Store>,
    path: &str,
    size: u64,
    page_index: PageIndexPolicy,
    like: Option<SchemaDescPtr>,
) -> Result<ParquetMetaData> {
    let mut fetch = Fetch { store, path, read: Vec::new() };
    // Whole page statistics, not just a mask of encodings: they alone tell v1 pages from v2 pages.
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let reader = |options: ParquetMetaDataOptions| {
        ParquetMetaDataReader::new()
            .with_prefetch_hint(Some(FIRST_READ))
            .with_page_index_policy(page_index)
            .with_metadata_options(Some(options))
    };
    let bad = |error| damaged(path, error);
    let metadata = reader(options.clone()).load_and_finish(&mut fetch, size).await.map_err(bad)?;
    match like {
        Some(known) if *known == *metadata.file_metadata().schema_descr() => {
            reader(options.with_schema(known)).load_and_finish(&mut fetch, size).await.map_err(bad)
        }
        _ => Ok(metadata),
    }
}

/// The error for a data file that can't be read as Parquet; a storage failure keeps its own kind.
pub(crate) fn damaged(path: &str, error: parquet::errors::ParquetError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>()
            && ours.kind() != Kind::Corrupt
        {
            return Error::new(ours.kind(), ours.to_string())
                .hint(ours.hint_text().unwrap_or("run again later").to_owned());
        }
        cause = inner.source();
    }
    Error::corrupt(format!("data file {path} is not a readable Parquet file"))
        .hint("restore the file, or roll the table back to a snapshot without it; nothing was changed")
        .caused_by(error)
}

struct Fetch<'a> {
    store: &'a Arc<Store>,
    path: &'a str,
    /// What is there already.
    read: Vec<(u64, Bytes)>,
}

impl Fetch<'_> {
    fn known(&self, range: &Range<u64>) -> Option<Bytes> {
        self.read.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let end = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            (end <= bytes.len()).then(|| bytes.slice(from..end))
        })
    }
}

impl MetadataFetch for &mut Fetch<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            if let Some(bytes) = self.known(&range) {
                return Ok(bytes);
            }
            let start = range.start;
            let read = self.store.read_range(self.path, range).await;
            let bytes = read.map_err(|e| parquet::errors::ParquetError::External(Box::new(e)))?;
            self.read.push((start, bytes.clone()));
            Ok(bytes)
        }
        .boxed()
    }
}

fn summarise(metadata: &ParquetMetaData, schema: &Schema, current: Option<u64>) -> Footer {
    let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
    let hash = schema_hash(metadata.file_metadata().schema_descr());
    let mut bytes: BTreeMap<Codec, u64> = BTreeMap::new();
    let mut compatible = true;
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        *bytes.entry(codec_of(column.compression())).or_default() += unsigned(column.compressed_size());
        compatible &= is_compatible(column);
    }
    let mut codecs: Vec<ColumnCodec> = bytes.into_iter().map(|(codec, bytes)| ColumnCodec { codec, bytes }).collect();
    codecs.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.codec.cmp(&b.codec)));
    Footer {
        codecs,
        row_groups: metadata
            .row_groups()
            .iter()
            .map(|group| RowGroup {
                rows: unsigned(group.num_rows()),
                compressed: unsigned(group.compressed_size()),
                uncompressed: unsigned(group.total_byte_size()),
            })
            .collect(),
        schema_hash: hash,
        schema_is_current: current == Some(hash),
        compatible,
        arrangement: arrangement(metadata, schema),
        created_by: metadata.file_metadata().created_by().map(str::to_owned),
    }
}

/// How icewright arranged the rows of a file, if it did.
pub(crate) fn arrangement(metadata: &ParquetMetaData, schema: &Schema) -> Option<String> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key)?.value.as_deref();
    match value(Footer::ARRANGEMENT_IDS) {
        Some(mark) => Arrangement::mark_of_ids(mark, |id| schema.name_by_field_id(id)),
        // Older files have names alone.
        None => value(Footer::ARRANGEMENT).map(str::to_owned),
    }
}

/// A Parquet codec in our words.
pub fn codec_of(compression: Compression) -> Codec {
    match compression {
        Compression::UNCOMPRESSED => Codec::Uncompressed,
        Compression::SNAPPY => Codec::Snappy,
        Compression::GZIP(_) => Codec::Gzip,
        Compression::LZO => Codec::Lzo,
        Compression::BROTLI(_) => Codec::Brotli,
        Compression::LZ4 => Codec::Lz4,
        Compression::LZ4_RAW => Codec::Lz4Raw,
        Compression::ZSTD(_) => Codec::Zstd,
    }
}

/// Whether a column chunk is known to be inside the `compatible` profile (I13). The page statistics tell page kinds and
/// their encodings apart; without them, the plain list of encodings can't tell v1 pages from v2 ones.
fn is_compatible(column: &ColumnChunkMetaData) -> bool {
    let Some(pages) = column.page_encoding_stats() else {
        return false;
    };
    pages.iter().all(|page| match page.page_type {
        PageType::DATA_PAGE => match column.column_type() {
            Physical::BOOLEAN => page.encoding == Encoding::PLAIN,
            _ => is_plain_or_dictionary(page.encoding),
        },
        PageType::DICTIONARY_PAGE => matches!(page.encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY),
        PageType::DATA_PAGE_V2 => false,
        PageType::INDEX_PAGE => true,
    })
}

#[allow(deprecated, reason = "PLAIN_DICTIONARY is what older writers say for RLE_DICTIONARY")]
fn is_plain_or_dictionary(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::PLAIN | Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
}
