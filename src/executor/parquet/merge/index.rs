//! The pages of one output column chunk, and what is said about them: offsets, page index, statistics.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use iceberg::spec::PrimitiveType;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnDescPtr;

use super::blocks::{Blocks, Pool, Reader};
use super::bounds::{Extent, Limits, statistics};
use super::header::encoding;
use super::stop::{Result, Stop};
use crate::executor::stats::{Bound, lower_bound, upper_bound};

/// Bounds of byte arrays in the page index are cut to so many characters.
const INDEX_BOUND: usize = 64;

/// A finished column chunk.
pub(crate) struct Merged {
    pub(crate) bytes: Segments,
    pub(crate) close: ColumnCloseResult,
    /// NaNs among its values.
    pub(crate) nans: u64,
    /// Nulls that went with deleted rows, where the column is flat.
    pub(crate) removed_nulls: u64,
}

/// A chunk's bytes: the dictionary, known last, stands first.
#[derive(Debug, Clone)]
pub(crate) struct Segments {
    dictionary: Bytes,
    pages: Arc<Blocks>,
}

/// One page's place and content.
#[derive(Debug)]
struct Place {
    offset: usize,
    size: usize,
    levels: usize,
    rows: usize,
    nulls: usize,
    limits: Limits,
}

/// The pages of a chunk being made.
#[derive(Debug)]
pub(super) struct Pages {
    bytes: Blocks,
    header: Vec<u8>,
    places: Vec<Place>,
    encodings: BTreeMap<i32, i32>,
    extent: Extent,
    uncompressed: usize,
    levels: usize,
    rows: usize,
    nulls: usize,
}

/// What a page holds.
pub(super) struct Content<'a> {
    pub(super) encoding: i32,
    pub(super) levels: usize,
    pub(super) rows: usize,
    pub(super) nulls: usize,
    pub(super) extent: &'a Extent,
    pub(super) uncompressed: usize,
}

impl Pages {
    pub(super) fn new(extent: Extent, pool: Arc<Pool>) -> Self {
        Self {
            bytes: Blocks::new(pool),
            header: Vec::new(),
            places: Vec::new(),
            encodings: BTreeMap::new(),
            extent,
            uncompressed: 0,
            levels: 0,
            rows: 0,
            nulls: 0,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends a compressed page.
    pub(super) fn append(&mut self, content: &Content<'_>, compressed: &[u8]) {
        let offset = self.bytes.len();
        let Content { encoding, levels, rows, nulls, extent, uncompressed } = *content;
        self.header.clear();
        super::header::write_data(&mut self.header, levels, encoding, uncompressed, compressed.len());
        self.uncompressed += self.header.len() + uncompressed;
        self.bytes.append(&self.header);
        self.bytes.append(compressed);
        *self.encodings.entry(encoding).or_default() += 1;
        self.extent.merge(&extent.limits);
        self.extent.nans += extent.nans;
        self.levels += levels;
        self.rows += rows;
        self.nulls += nulls;
        let size = self.bytes.len() - offset;
        self.places.push(Place { offset, size, levels, rows, nulls, limits: extent.limits.clone() });
    }

    /// Completes the chunk; `dictionary` is its page with how many bytes it has uncompressed, header included.
    pub(super) fn close(self, column: ColumnDescPtr, dictionary: Option<(Vec<u8>, usize)>) -> Result<Merged> {
        let failed = |error: ParquetError| Stop::Unfit(format!("its metadata can't be put together: {error}").into());
        let has_dictionary = dictionary.is_some();
        let (dictionary, dictionary_uncompressed) = dictionary.unwrap_or_default();
        let begin = dictionary.len();
        let compressed = begin + self.bytes.len();
        let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut builder = ColumnChunkMetaData::builder(column.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings_mask(self.mask(has_dictionary))
            .set_page_encoding_stats(self.page_stats(has_dictionary))
            .set_total_compressed_size(signed(compressed))
            .set_total_uncompressed_size(signed(self.uncompressed + dictionary_uncompressed))
            .set_num_values(signed(self.levels))
            .set_data_page_offset(signed(begin))
            .set_statistics(statistics(&self.extent.limits, &column, self.nulls as u64));
        if has_dictionary {
            builder = builder.set_dictionary_page_offset(Some(0));
        }
        let mut offsets = OffsetIndexBuilder::new();
        for place in &self.places {
            offsets.append_row_count(signed(place.rows));
            offsets.append_offset_and_size(signed(begin + place.offset), i32::try_from(place.size).unwrap_or(i32::MAX));
        }
        let close = ColumnCloseResult {
            bytes_written: compressed as u64,
            rows_written: self.rows as u64,
            metadata: builder.build().map_err(failed)?,
            bloom_filter: None,
            column_index: self.column_index(&column).map_err(failed)?,
            offset_index: Some(offsets.build()),
        };
        let bytes = Segments { dictionary: dictionary.into(), pages: self.bytes.into() };
        Ok(Merged { bytes, close, nans: self.extent.nans, removed_nulls: 0 })
    }

    fn mask(&self, dictionary: bool) -> EncodingMask {
        let mut mask = EncodingMask::new_from_encodings([Encoding::RLE].iter());
        self.encodings.keys().filter_map(|id| named(*id)).for_each(|encoding| mask.insert(encoding));
        if dictionary {
            mask.insert(Encoding::PLAIN);
        }
        mask
    }

    fn page_stats(&self, dictionary: bool) -> Vec<PageEncodingStats> {
        let dictionary = dictionary.then_some(PageEncodingStats {
            page_type: PageType::DICTIONARY_PAGE,
            encoding: Encoding::PLAIN,
            count: 1,
        });
        let data = self.encodings.iter().filter_map(|(id, count)| {
            Some(PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: named(*id)?, count: *count })
        });
        dictionary.into_iter().chain(data).collect()
    }

    /// The page index, unless a page with values has no limits: such a column can't have one.
    fn column_index(&self, column: &ColumnDescPtr) -> parquet::errors::Result<Option<ColumnIndexMetaData>> {
        let mut builder = ColumnIndexBuilder::new(column.physical_type());
        for place in &self.places {
            let nulls = i64::try_from(place.nulls).unwrap_or(i64::MAX);
            match shortened(&place.limits, column) {
                Some((low, high)) => builder.append(false, low, high, nulls),
                None if place.nulls == place.levels => builder.append(true, Vec::new(), Vec::new(), nulls),
                // Nothing but NaNs, or values without an order.
                None => return Ok(None),
            }
        }
        builder.set_boundary_order(self.boundary_order());
        builder.build().map(Some)
    }

    fn boundary_order(&self) -> BoundaryOrder {
        let pages: Vec<&Limits> =
            self.places.iter().map(|place| &place.limits).filter(|l| **l != Limits::None).collect();
        if pages.windows(2).all(|pair| pair[0].before(pair[1])) {
            BoundaryOrder::ASCENDING
        } else if pages.windows(2).all(|pair| pair[1].before(pair[0])) {
            BoundaryOrder::DESCENDING
        } else {
            BoundaryOrder::UNORDERED
        }
    }
}

/// Limits for the page index: long byte arrays are cut, the upper one is raised then.
fn shortened(limits: &Limits, column: &ColumnDescPtr) -> Option<(Vec<u8>, Vec<u8>)> {
    let (low, high) = limits.bytes()?;
    if column.physical_type() != Physical::BYTE_ARRAY {
        return Some((low, high));
    }
    let cut = |bytes: Vec<u8>, by: fn(&Bound, Option<&PrimitiveType>, usize) -> Option<Vec<u8>>| {
        let kind = if std::str::from_utf8(&bytes).is_ok() { PrimitiveType::String } else { PrimitiveType::Binary };
        let bound = Bound::Bytes(bytes);
        by(&bound, Some(&kind), INDEX_BOUND).unwrap_or_else(|| bound.to_bytes())
    };
    Some((cut(low, lower_bound), cut(high, upper_bound)))
}

/// An encoding by its id, as far as they are written here.
fn named(id: i32) -> Option<Encoding> {
    Some(match id {
        encoding::PLAIN => Encoding::PLAIN,
        encoding::RLE_DICTIONARY => Encoding::RLE_DICTIONARY,
        encoding::DELTA_BINARY_PACKED => Encoding::DELTA_BINARY_PACKED,
        encoding::DELTA_LENGTH_BYTE_ARRAY => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        encoding::BYTE_STREAM_SPLIT => Encoding::BYTE_STREAM_SPLIT,
        _ => return None,
    })
}

impl Length for Segments {
    fn len(&self) -> u64 {
        (self.dictionary.len() + self.pages.len()) as u64
    }
}

impl ChunkReader for Segments {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let mut dictionary = self.dictionary.clone();
        dictionary.advance(start.min(dictionary.len()));
        let at = start.saturating_sub(self.dictionary.len());
        Ok(Box::new(dictionary.reader().chain(Reader { blocks: self.pages.clone(), at })))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut bytes = Vec::new();
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            let all = self.len();
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a chunk of {all}")));
        }
        Ok(bytes.into())
    }
}
