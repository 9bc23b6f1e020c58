//! The writers of columns of one task: where a dictionary was begun in vain, none is begun in later row groups, and values
//! are compressed at the level that suits them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterProperties;

use super::merge::{self, Choice, Known, Numbered, Pool, Rules};
use super::output::column_writers;
use super::roots::{Made, MadeLeaf};
use crate::error::{Error, Result};
use crate::lake::parquet_schema::WriteSchema;

/// Rows that tell which level suits a column: a page of them, as ZSTD has other ways with less.
const TOLD_BY: usize = 20_000;

/// Makes the writers of each row group.
pub(super) struct Writers<'a> {
    schema: &'a WriteSchema,
    properties: Arc<WriterProperties>,
    /// By leaf.
    rules: Vec<Rules>,
    factory: ArrowRowGroupWriterFactory,
    /// Leaves whose values are nearly unique, and the level for them.
    unique: BTreeMap<usize, i32>,
    /// The first rows of the row group at hand.
    first: Vec<RecordBatch>,
}

impl<'a> Writers<'a> {
    /// Nothing is known yet.
    pub(super) fn new(schema: &'a WriteSchema, properties: Arc<WriterProperties>, rules: Vec<Rules>) -> Result<Self> {
        let factory = column_writers(schema, properties.clone())?;
        Ok(Self { schema, properties, rules, factory, unique: BTreeMap::new(), first: Vec::new() })
    }

    /// Writers for one row group, by leaf.
    pub(super) fn begin(&self) -> Result<Vec<Option<ArrowColumnWriter>>> {
        let made = self.factory.create_column_writers(0);
        let made = made.map_err(|e| Error::internal("column writers can't be made").caused_by(e))?;
        Ok(made.into_iter().map(Some).collect())
    }

    /// The writer of a leaf whose values come as numbers.
    pub(super) fn numbered(&self, leaf: usize, known: Arc<Known>, choice: Choice, pool: Arc<Pool>) -> Result<Numbered> {
        Numbered::new(pool, self.schema.parquet.column(leaf), self.rules[leaf], choice, known)
            .map_err(|stop| Error::internal(format!("a column writer can't be made: {stop:?}")))
    }

    /// Looks at rows of the row group at hand.
    pub(super) fn saw(&mut self, rows: RecordBatch) {
        if self.first.iter().map(RecordBatch::num_rows).sum::<usize>() < TOLD_BY {
            self.first.push(rows);
        }
    }

    /// Learns from the row group at hand, which is done.
    pub(super) fn learn(&mut self, made: &[Made]) -> Result<()> {
        let leaves = made.iter().flat_map(|root| &root.leaves);
        let in_vain = leaves.enumerate().filter(|(_, leaf)| match leaf {
            MadeLeaf::Encoded(chunk) => gave_up(&chunk.close().metadata),
            MadeLeaf::Moved(_) | MadeLeaf::Numbered(_) => false,
        });
        let (before, rows) = (self.unique.len(), std::mem::take(&mut self.first));
        for (leaf, _) in in_vain {
            self.unique.insert(leaf, self.level(leaf, &rows));
        }
        if self.unique.len() > before {
            let mut builder = self.properties.as_ref().clone().into_builder();
            for (leaf, level) in &self.unique {
                let path = self.schema.parquet.column(*leaf).path().clone();
                builder = builder.set_column_dictionary_enabled(path.clone(), false);
                if let Ok(level) = ZstdLevel::try_new(*level) {
                    builder = builder.set_column_compression(path, Compression::ZSTD(level));
                }
            }
            self.factory = column_writers(self.schema, Arc::new(builder.build()))?;
        }
        Ok(())
    }

    /// The level that suits values of a column; that of the policy where they can't be had.
    fn level(&self, leaf: usize, rows: &[RecordBatch]) -> i32 {
        let (rules, root) = (&self.rules[leaf], self.schema.parquet.get_column_root_idx(leaf));
        let mut page = Vec::new();
        if rows.iter().all(|rows| plain(rows.column(root), &mut page).is_some())
            && let Ok(level) = merge::level(rules, &page)
        {
            return level;
        }
        rules.level
    }
}

/// Adds values about as pages hold them; `None` for those that pages hold in another form.
fn plain(values: &dyn Array, page: &mut Vec<u8>) -> Option<()> {
    let mut texts = |values: &mut dyn Iterator<Item = Option<&[u8]>>| {
        for value in values.flatten() {
            page.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
            page.extend_from_slice(value);
        }
        Some(())
    };
    match values.data_type() {
        DataType::Utf8 => texts(&mut values.as_string::<i32>().iter().map(|value| value.map(str::as_bytes))),
        DataType::Binary => texts(&mut values.as_binary::<i32>().iter()),
        DataType::Decimal128(..) => None,
        kind => {
            let (width, data) = (kind.primitive_width()?, values.to_data());
            let bytes = data.buffers().first()?.as_slice();
            page.extend_from_slice(bytes.get(data.offset() * width..(data.offset() + data.len()) * width)?);
            Some(())
        }
    }
}

/// Whether a dictionary became too large before half of the pages were written: hashing values costs more than all the
/// rest of their encoding, and each of them stands in the file with an index besides.
fn gave_up(chunk: &ColumnChunkMetaData) -> bool {
    let pages = |plain: bool| {
        let stats = chunk.page_encoding_stats().into_iter().flatten();
        let data = stats.filter(|stats| stats.page_type == PageType::DATA_PAGE);
        data.filter(|stats| (stats.encoding == Encoding::PLAIN) == plain).map(|stats| stats.count).sum::<i32>()
    };
    chunk.dictionary_page_offset().is_some() && pages(true) > pages(false)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Decimal128Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn should_see_values_as_pages_hold_them() {
        let page = |values: &dyn Array| {
            let mut page = vec![9];
            plain(values, &mut page).map(|()| page.split_off(1))
        };
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        assert_eq!(page(&numbers.slice(1, 1)).unwrap(), 2i64.to_le_bytes());
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("bcd")]));
        assert_eq!(page(&texts).unwrap(), b"\x01\0\0\0a\x03\0\0\0bcd");
        assert_eq!(page(&texts.slice(1, 2)).unwrap(), b"\x03\0\0\0bcd");
        assert_eq!(page(&Decimal128Array::from(vec![1])), None);
    }
}
