//! Reading a column chunk page by page: levels and encoded values, nothing more.

use parquet::basic::{Compression, Type as Physical};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use super::bounds::Order;
use super::codec::Codecs;
use super::dictionary::{Dictionary, Layout};
use super::header::{Header, Kind, encoding};
use super::levels::Levels;
use super::page::Page;
use super::stop::{Result, damaged, unfit};
use super::widen::Widen;
use super::{delta, hybrid, split};
use crate::lake::parquet_schema::Clock;

/// More values in one page than any writer makes: not worth the memory of its levels.
const MOST_IN_A_PAGE: usize = 1 << 24;

/// What a leaf column is, whichever file it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) physical: Physical,
    pub(super) layout: Layout,
    pub(super) order: Order,
    /// Of dates and times: how many of their steps make up a day.
    pub(super) per_day: Option<i64>,
    pub(super) max_definition: u32,
    pub(super) max_repetition: u32,
}

impl Shape {
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self> {
        let physical = column.physical_type();
        let layout = match physical {
            // Unpacked while they are here.
            Physical::BOOLEAN => Layout::Fixed(1),
            Physical::INT32 | Physical::FLOAT => Layout::Fixed(4),
            Physical::INT64 | Physical::DOUBLE => Layout::Fixed(8),
            Physical::INT96 => Layout::Fixed(12),
            Physical::BYTE_ARRAY => Layout::Bytes,
            Physical::FIXED_LEN_BYTE_ARRAY => match usize::try_from(column.type_length()) {
                Ok(width) if width > 0 => Layout::Fixed(width),
                _ => return unfit("its values have no length"),
            },
        };
        let level = |level: i16| u32::try_from(level).unwrap_or(0);
        Ok(Self {
            physical,
            layout,
            order: Order::of(column),
            per_day: Clock::of(column).map(|clock| clock.per_day),
            max_definition: level(column.max_def_level()),
            max_repetition: level(column.max_rep_level()),
        })
    }
}

/// A column chunk being read.
pub(super) struct Chunk<'a> {
    /// What the file has; `layout` is that of what goes on.
    shape: Shape,
    layout: Layout,
    widen: Option<Widen>,
    /// The definition level that all values get, where only one of file and table has the column as required.
    all_defined: Option<u32>,
    bytes: &'a [u8],
    codec: Compression,
    at: usize,
    /// Whether a data page was read.
    begun: bool,
    levels_left: usize,
    uncompressed_left: usize,
    pub(super) dictionary: Option<Dictionary>,
    /// A dictionary of earlier, for its buffers.
    spare: Option<Dictionary>,
}

impl<'a> Chunk<'a> {
    /// Of a column whose values are to have this shape.
    pub(super) fn new(
        wanted: Shape,
        metadata: &ColumnChunkMetaData,
        bytes: &'a [u8],
        spare: Option<Dictionary>,
    ) -> Result<Self> {
        let size = |n: i64| usize::try_from(n).or_else(|_| damaged("a column chunk has a negative size"));
        let shape = Shape::of(metadata.column_descr())?;
        Ok(Self {
            shape,
            layout: wanted.layout,
            widen: Widen::between(&shape, &wanted)?,
            all_defined: (shape.max_definition != wanted.max_definition).then_some(wanted.max_definition),
            bytes,
            codec: metadata.compression(),
            at: 0,
            begun: false,
            levels_left: size(metadata.num_values())?,
            uncompressed_left: size(metadata.uncompressed_size())?,
            dictionary: None,
            spare,
        })
    }

    /// Reads the next page that has values; `false` after the last one.
    pub(super) fn next(&mut self, codecs: &mut Codecs, page: &mut Page) -> Result<bool> {
        while self.levels_left > 0 {
            let rest = &self.bytes[self.at..];
            if rest.is_empty() {
                return unfit("a column chunk ends before its last value");
            }
            let (header, length) = Header::read(rest)?;
            let Some(body) = rest.get(length..).and_then(|rest| rest.get(..header.compressed)) else {
                return damaged("a page reaches beyond its column chunk");
            };
            self.at += length + header.compressed;
            if header.crc.is_some_and(|crc| crc != crc32fast::hash(body)) {
                return damaged("a page has another checksum than its header says");
            }
            match self.uncompressed_left.checked_sub(header.uncompressed) {
                Some(left) => self.uncompressed_left = left,
                None => return unfit("its footer says less than its pages"),
            }
            match header.kind {
                Kind::Other => {}
                Kind::Dictionary { values, encoding } => {
                    self.take_dictionary(codecs, &header, values, encoding, body)?
                }
                Kind::Data { values, .. } | Kind::DataV2 { values, .. } => {
                    match self.levels_left.checked_sub(values) {
                        Some(left) => self.levels_left = left,
                        None => return damaged("pages have more values than their column chunk"),
                    }
                    if values > MOST_IN_A_PAGE {
                        return unfit("a page with very many values");
                    }
                    if values > 0 {
                        self.load(codecs, &header, values, body, page)?;
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn take_dictionary(
        &mut self,
        codecs: &mut Codecs,
        header: &Header,
        values: usize,
        encoding: i32,
        body: &[u8],
    ) -> Result<()> {
        if self.dictionary.is_some() {
            return damaged("a column chunk has two dictionaries");
        }
        if !matches!(encoding, encoding::PLAIN | encoding::PLAIN_DICTIONARY) {
            return unfit("its dictionary is not PLAIN");
        }
        let (mut plain, offsets) = self.spare.take().map(Dictionary::into_buffers).unwrap_or_default();
        codecs.decompress(self.codec, body, header.uncompressed, &mut plain)?;
        if let Some(widen) = self.widen {
            let mut wider = Vec::new();
            widen.apply(&plain, &mut wider)?;
            plain = wider;
        }
        self.dictionary = Some(Dictionary::read(self.layout, plain, offsets, values)?);
        Ok(())
    }

    fn load(
        &mut self,
        codecs: &mut Codecs,
        header: &Header,
        levels: usize,
        body: &[u8],
        page: &mut Page,
    ) -> Result<()> {
        let (max_r, max_d) = (self.shape.max_repetition, self.shape.max_definition);
        let mut at = 0;
        let used = match header.kind {
            Kind::DataV2 { encoding, definition, repetition, compressed, .. } => {
                let levels_end = repetition.saturating_add(definition);
                let (Some(head), Some(size)) = (body.get(..levels_end), header.uncompressed.checked_sub(levels_end))
                else {
                    return damaged("a page is smaller than its levels");
                };
                page.repetition = Levels::read(&head[..repetition], max_r, levels)?;
                page.definition = Levels::read(&head[repetition..], max_d, levels)?;
                let codec = if compressed { self.codec } else { Compression::UNCOMPRESSED };
                // Nothing but nulls is often not even compressed.
                codecs.decompress(codec, &body[levels_end..], size, &mut page.body)?;
                encoding
            }
            Kind::Data { encoding, definition, repetition, .. } => {
                codecs.decompress(self.codec, body, header.uncompressed, &mut page.body)?;
                page.repetition = v1_levels(&page.body, &mut at, repetition, max_r, levels)?;
                page.definition = v1_levels(&page.body, &mut at, definition, max_d, levels)?;
                encoding
            }
            Kind::Dictionary { .. } | Kind::Other => return damaged("no data page"),
        };
        if !std::mem::replace(&mut self.begun, true) && max_r > 0 && page.repetition.count(0..1, 0) == 0 {
            return damaged("a column chunk begins within a row");
        }
        page.begin(levels);
        let defined = page.definition.count(0..levels, max_d);
        self.decode(used, at, defined, page)?;
        if let Some(level) = self.all_defined {
            if defined < levels {
                return unfit("nulls in a column that the table has as required");
            }
            page.definition = Levels::Same(level);
        }
        if let Some(widen) = self.widen {
            page.replace_plain(|plain, wider| widen.apply(plain, wider))?;
        }
        Ok(())
    }

    /// Brings a page's values into one of two forms.
    fn decode(&self, encoding: i32, at: usize, count: usize, page: &mut Page) -> Result<()> {
        if encoding == encoding::PLAIN && self.shape.physical != Physical::BOOLEAN {
            let size = page.body.len() - at;
            match self.shape.layout {
                Layout::Fixed(width) if count * width > size => return damaged("a page has fewer values than it says"),
                Layout::Fixed(width) if count * width < size => return unfit("bytes after a page's last value"),
                // Those of byte arrays are checked one by one, when they are used.
                Layout::Fixed(_) | Layout::Bytes => {}
            }
            page.body_is_plain(at);
            return Ok(());
        }
        let Page { body, values: into, .. } = page;
        let values = &body[at..];
        if matches!(encoding, encoding::PLAIN_DICTIONARY | encoding::RLE_DICTIONARY) {
            let indices = into.begin_indices();
            let Some(dictionary) = &self.dictionary else { return damaged("indices without a dictionary") };
            if count > 0 {
                let Some((width, packed)) = values.split_first() else { return damaged("a page without indices") };
                hybrid::decode(packed, u32::from(*width), count, indices)?;
            }
            return dictionary.check(indices);
        }
        let shape = self.shape;
        let plain = into.begin_plain();
        match (encoding, shape.physical, shape.layout) {
            (encoding::PLAIN, Physical::BOOLEAN, _) => split::unpack_bools(values, count, plain),
            (encoding::RLE, Physical::BOOLEAN, _) => {
                let Some((_, packed)) = values.split_at_checked(4) else { return damaged("booleans are cut off") };
                let mut bools = Vec::new();
                hybrid::decode(packed, 1, count, &mut bools)?;
                plain.extend(bools.iter().map(|bit| u8::from(*bit != 0)));
                Ok(())
            }
            (encoding::DELTA_BINARY_PACKED, Physical::INT32, _) => delta::decode::<4>(values, count, plain),
            (encoding::DELTA_BINARY_PACKED, Physical::INT64, _) => delta::decode::<8>(values, count, plain),
            (encoding::DELTA_LENGTH_BYTE_ARRAY, Physical::BYTE_ARRAY, _) => delta::decode_bytes(values, count, plain),
            (encoding::DELTA_BYTE_ARRAY, Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY, layout) => {
                delta::decode_prefixed(values, layout, count, plain)
            }
            (encoding::BYTE_STREAM_SPLIT, _, Layout::Fixed(width)) => split::join(values, width, count, plain),
            (other, _, _) => unfit(format!("pages of encoding {other} are not moved")),
        }
    }
}

fn v1_levels(body: &[u8], at: &mut usize, encoding: i32, max: u32, count: usize) -> Result<Levels> {
    if max == 0 {
        return Ok(Levels::Same(0));
    }
    if encoding != encoding::RLE {
        return unfit("levels that are not RLE");
    }
    let Some(length) = body.get(*at..).and_then(|rest| rest.first_chunk::<4>()) else {
        return damaged("levels are cut off");
    };
    let start = *at + 4;
    let Some(levels) = body.get(start..).and_then(|rest| rest.get(..u32::from_le_bytes(*length) as usize)) else {
        return damaged("levels are cut off");
    };
    *at = start + levels.len();
    Levels::read(levels, max, count)
}
