//! Texts that come from dictionaries go through a sort as numbers: the dictionaries of all inputs become one, whose numbers
//! are in the order of its values. Numbers are compared and moved instead of texts, spilled in their place, and written as
//! what they are: the indices of a dictionary. No value is hashed on the way but those of the inputs' dictionaries.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Encoding, PageType};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::merge::{Known, Rules};
use crate::error::{Context, Error, Result};
use crate::executor::Job;
use crate::executor::columns::Matched;
use crate::executor::source::{Chunks, Source, dictionary_offset};
use crate::executor::threads::guarded;
use crate::lake::damaged;
use crate::lake::parquet_schema::WriteSchema;

/// Dictionaries of all columns of a task take no more bytes than this, tables to find values in included.
const MOST_BYTES: usize = 16 << 20;
/// What a value takes beside its bytes: its places in two tables.
const BESIDE_VALUE: usize = 64;
/// Values that come less often than so many times are not worth the numbers.
const REPEATED: u64 = 4;
/// Dictionary pages that are read at a time.
const READ_AT_ONCE: usize = 16;

/// Which columns of a task are numbered.
pub(super) struct Numbers {
    /// By top-level column.
    columns: Vec<Option<Arc<Numbering>>>,
    schema: SchemaRef,
    bytes: usize,
}

/// The numbers of one column's values.
pub(super) struct Numbering {
    pub(super) known: Arc<Known>,
    numbers: HashMap<Box<[u8]>, u32>,
}

/// A dictionary page of an input: its source, row group, top-level column and leaf.
type Place = (usize, usize, usize, usize);

impl Numbers {
    /// Looks for columns of texts or bytes that are written with dictionaries throughout. Those that more than the order is
    /// wanted of (`asked`) stay as they are.
    ///
    /// # Errors
    /// As reading the inputs does.
    pub(super) fn find(
        job: &Job,
        sources: &[Source],
        schema: &WriteSchema,
        matched: &[Matched],
        rules: &[Rules],
        asked: &HashSet<usize>,
    ) -> Result<Self> {
        let roots = (0..schema.arrow.fields().len()).filter(|root| !asked.contains(root));
        let places: Vec<Place> =
            roots.filter_map(|root| dictionaries(sources, schema, matched, rules, root)).flatten().collect();
        let mut values: BTreeMap<usize, BTreeSet<Box<[u8]>>> = BTreeMap::new();
        // Columns that are too large: what is left of them is not read.
        let over: RefCell<HashSet<usize>> = RefCell::default();
        let reading = futures::stream::iter(places).map(|place| {
            let (number, group, root, leaf) = place;
            let (source, over) = (sources[number].clone(), &over);
            async move {
                if over.borrow().contains(&root) {
                    return Ok((place, None));
                }
                let chunk = source.metadata.row_group(group).column(leaf);
                let window = source.window(dictionary_range(chunk).unwrap_or(0..0)).await?;
                Ok::<_, Error>((place, Some(window)))
            }
        });
        let mut coming = reading.buffered(READ_AT_ONCE);
        let mut bytes = 0;
        while let Some(((number, group, root, leaf), window)) = job.runtime.block_on(coming.try_next())? {
            let Some(window) = window.filter(|_| !over.borrow().contains(&root)) else { continue };
            let source = &sources[number];
            let chunk = source.metadata.row_group(group).column(leaf);
            let page =
                guarded(|| dictionary(source, chunk, window)).while_doing(|| format!("reading {}", source.path))?;
            let found = values.entry(root).or_default();
            for value in page.values() {
                if !found.contains(value) {
                    bytes += value.len() + BESIDE_VALUE;
                    found.insert(value.into());
                }
            }
            if bytes > MOST_BYTES {
                // The column that is read is the one that is too much.
                over.borrow_mut().insert(root);
                let gone = std::mem::take(found);
                bytes -= gone.iter().map(|value| value.len() + BESIDE_VALUE).sum::<usize>();
            }
        }
        let rows: u64 = sources.iter().map(Source::rows).sum();
        values.retain(|root, found| !over.borrow().contains(root) && rows >= found.len() as u64 * REPEATED);
        Self::of(&schema.arrow, values)
    }

    fn of(schema: &Schema, values: BTreeMap<usize, BTreeSet<Box<[u8]>>>) -> Result<Self> {
        let mut columns = vec![None; schema.fields().len()];
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        let mut bytes = 0;
        for (root, values) in values {
            bytes += values.iter().map(|value| value.len() + BESIDE_VALUE).sum::<usize>();
            let known = Known::of(values.iter().map(AsRef::as_ref))
                .map_err(|stop| Error::internal(format!("a dictionary can't be made: {stop:?}")))?;
            columns[root] =
                Some(Arc::new(Numbering { known: Arc::new(known), numbers: values.into_iter().zip(0..).collect() }));
            fields[root] = Arc::new(fields[root].as_ref().clone().with_data_type(DataType::UInt32));
        }
        Ok(Self { columns, schema: Arc::new(Schema::new(fields)), bytes })
    }

    /// The table's columns, with numbers in the place of those that are numbered.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How a column is numbered, if it is.
    pub(super) fn column(&self, root: usize) -> Option<&Arc<Numbering>> {
        self.columns[root].as_ref()
    }

    /// About how many bytes of memory all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A file's columns as arrays, with dictionaries where values are numbered.
    pub(super) fn reader(&self, source: &Source, matched: &Matched) -> parquet::errors::Result<ArrowReaderMetadata> {
        if self.columns.iter().all(Option::is_none) {
            return source.arrays();
        }
        let mut fields: Vec<Arc<Field>> = source.schema().fields().iter().cloned().collect();
        for (column, root) in self.columns.iter().zip(&matched.roots) {
            if let (Some(_), Some(root)) = (column, root) {
                let kind = Box::new(fields[*root].data_type().clone());
                let coded = DataType::Dictionary(Box::new(DataType::Int32), kind);
                fields[*root] = Arc::new(fields[*root].as_ref().clone().with_data_type(coded));
            }
        }
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        ArrowReaderMetadata::try_new(source.metadata.clone(), options)
    }
}

impl Numbering {
    /// The numbers of values that came with a dictionary. `last` remembers the numbers of that dictionary for the next rows.
    pub(super) fn of(&self, values: &ArrayRef, last: &mut Option<(ArrayRef, Vec<u32>)>) -> Result<ArrayRef> {
        let coded = values.as_dictionary::<Int32Type>();
        if !last.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, coded.values())) {
            *last = Some((coded.values().clone(), self.numbers_of(coded.values())?));
        }
        let numbers = last.as_ref().map_or(&[][..], |(_, numbers)| numbers);
        let at = |key: Option<i32>| {
            let number = |key: i32| usize::try_from(key).ok().and_then(|key| numbers.get(key).copied());
            key.map(|key| number(key).ok_or_else(strange)).transpose()
        };
        Ok(Arc::new(coded.keys().iter().map(at).collect::<Result<UInt32Array>>()?))
    }

    fn numbers_of(&self, values: &ArrayRef) -> Result<Vec<u32>> {
        let number =
            |value: Option<&[u8]>| value.and_then(|value| self.numbers.get(value)).copied().ok_or_else(strange);
        match values.data_type() {
            DataType::Utf8 => values.as_string::<i32>().iter().map(|value| number(value.map(str::as_bytes))).collect(),
            _ => values.as_binary::<i32>().iter().map(number).collect(),
        }
    }
}

fn strange() -> Error {
    Error::corrupt("a value is in no dictionary of its file")
        .hint("the file is damaged: restore it; nothing was changed")
}

/// The dictionary pages of a column, if all pages of all inputs speak of one.
fn dictionaries(
    sources: &[Source],
    schema: &WriteSchema,
    matched: &[Matched],
    rules: &[Rules],
    root: usize,
) -> Option<Vec<Place>> {
    let field = schema.arrow.field(root);
    let only = (0..schema.parquet.num_columns()).find(|leaf| schema.parquet.get_column_root_idx(*leaf) == root)?;
    if !matches!(field.data_type(), DataType::Utf8 | DataType::Binary) || rules[only].no_dictionary {
        return None;
    }
    let mut places = Vec::new();
    for (number, (source, matched)) in sources.iter().zip(matched).enumerate() {
        let there =
            matched.roots[root].filter(|there| source.schema().field(*there).data_type() == field.data_type())?;
        let descriptor = source.metadata.file_metadata().schema_descr();
        let leaf = (0..descriptor.num_columns()).find(|leaf| descriptor.get_column_root_idx(*leaf) == there)?;
        for (index, group) in source.metadata.row_groups().iter().enumerate().filter(|(_, group)| group.num_rows() > 0)
        {
            let chunk = group.column(leaf);
            let pages = chunk.page_encoding_stats()?;
            let data = pages.iter().filter(|page| page.page_type != PageType::DICTIONARY_PAGE);
            if !data.into_iter().all(|page| is_index(page.encoding)) {
                return None;
            }
            dictionary_range(chunk)?;
            places.push((number, index, root, leaf));
        }
    }
    (!places.is_empty()).then_some(places)
}

#[allow(deprecated, reason = "PLAIN_DICTIONARY is what older writers say for RLE_DICTIONARY")]
fn is_index(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
}

/// Where a chunk's dictionary page lies.
fn dictionary_range(chunk: &ColumnChunkMetaData) -> Option<std::ops::Range<u64>> {
    let start = u64::try_from(dictionary_offset(chunk)?).ok()?;
    let end = u64::try_from(chunk.data_page_offset()).ok()?;
    (end - start <= MOST_BYTES as u64).then_some(start..end)
}

/// Reads a dictionary page.
fn dictionary(source: &Source, chunk: &ColumnChunkMetaData, window: Chunks) -> Result<Known> {
    let bad = |e: parquet::errors::ParquetError| damaged(&source.path, e);
    let mut pages = SerializedPageReader::new(Arc::new(window), chunk, 0, None).map_err(bad)?;
    match pages.get_next_page().map_err(bad)? {
        Some(Page::DictionaryPage { buf, num_values, .. }) => {
            let read = Known::read(&buf, usize::try_from(num_values).unwrap_or(usize::MAX));
            read.map_err(|stop| Error::corrupt(format!("a dictionary page can't be read: {stop:?}")))
        }
        _ => Err(Error::corrupt("a column chunk does not begin with its dictionary")),
    }
}
