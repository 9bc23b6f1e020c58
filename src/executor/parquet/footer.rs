//! The footer of a file whose row groups were made elsewhere, page index included.

use std::io::Write;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    FileMetaData, ParquetColumnIndex, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader,
    ParquetMetaDataWriter, ParquetOffsetIndex, RowGroupMetaData, RowGroupMetaDataBuilder,
};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::SchemaDescPtr;

use crate::executor::sink::Sink;

/// What a Parquet file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";
/// The footer's length and the magic bytes behind it.
const TAIL: usize = 8;

/// What the footer will say of the row groups so far.
pub(super) struct Footing {
    row_groups: Vec<RowGroupMetaData>,
    /// A file has a page index for all of its row groups or for none: readers, parquet-rs among them, count on that.
    pages: Option<(ParquetColumnIndex, ParquetOffsetIndex)>,
}

impl Footing {
    /// Begins a file.
    pub(super) fn begin(sink: &mut Sink) -> Result<Self> {
        sink.write_all(MAGIC)?;
        Ok(Self { row_groups: Vec::new(), pages: Some((Vec::new(), Vec::new())) })
    }

    /// Adds a row group, with the page index that it had where it comes from; its chunks moved by so many bytes each.
    pub(super) fn add(
        &mut self,
        made: RowGroupMetaDataBuilder,
        from: &ParquetMetaData,
        index: usize,
        moves: &[i64],
    ) -> Result<()> {
        let ordinal = i16::try_from(self.row_groups.len())
            .map_err(|_| ParquetError::General(format!("a file of more than {} row groups", i16::MAX)))?;
        self.row_groups.push(made.set_ordinal(ordinal).build()?);
        let had =
            from.column_index().and_then(|all| all.get(index)).zip(from.offset_index().and_then(|all| all.get(index)));
        let had = had.filter(|(columns, offsets)| columns.len() == moves.len() && offsets.len() == moves.len());
        self.pages = self.pages.take().zip(had).map(|((mut all_columns, mut all_offsets), (columns, offsets))| {
            let mut offsets = offsets.clone();
            for (chunk, by) in offsets.iter_mut().zip(moves) {
                for page in &mut chunk.page_locations {
                    page.offset = page.offset.saturating_add(*by);
                }
            }
            all_columns.push(columns.clone());
            all_offsets.push(offsets);
            (all_columns, all_offsets)
        });
        Ok(())
    }

    /// Writes page index and footer behind the row groups, and returns what a reader will find there.
    pub(super) fn write(
        self,
        properties: &WriterProperties,
        schema: &SchemaDescPtr,
        sink: &mut Sink,
    ) -> Result<ParquetMetaData> {
        let rows = self.row_groups.iter().map(RowGroupMetaData::num_rows).sum();
        let (version, by) = (properties.writer_version().as_num(), properties.created_by().to_owned());
        let pairs = properties.key_value_metadata().cloned();
        let file = FileMetaData::new(version, rows, Some(by), pairs, schema.clone(), None);
        let whole = |row_groups| ParquetMetaDataBuilder::new(file.clone()).set_row_groups(row_groups);
        let Some((columns, offsets)) = self.pages else {
            let metadata = whole(self.row_groups).build();
            sink.write_all(&bytes_of(&metadata)?)?;
            return Ok(metadata);
        };
        // The crate's writer takes its own beginning for the file's, so it says where the index lies within what it wrote.
        // The index is passed on, and the footer written again with the places that are right.
        let indexed = whole(self.row_groups.clone()).set_column_index(Some(columns)).set_offset_index(Some(offsets));
        let relative = bytes_of(&indexed.build())?;
        let (index, footer) = split(&relative)?;
        let start = sink.total().cast_signed();
        sink.write_all(index)?;
        let found = ParquetMetaDataReader::decode_metadata(footer)?;
        let placed = self.row_groups.into_iter().zip(found.row_groups()).map(|(group, found)| {
            let columns = group.columns().iter().zip(found.columns()).map(|(column, found)| {
                let place = |offset: Option<i64>| offset.map(|offset| offset + start);
                let builder = column.clone().into_builder();
                builder
                    .set_column_index_offset(place(found.column_index_offset()))
                    .set_column_index_length(found.column_index_length())
                    .set_offset_index_offset(place(found.offset_index_offset()))
                    .set_offset_index_length(found.offset_index_length())
                    .build()
            });
            let columns = columns.collect::<Result<_, _>>()?;
            group.clone().into_builder().set_column_metadata(columns).build()
        });
        let metadata = whole(placed.collect::<Result<_, _>>()?).build();
        sink.write_all(&bytes_of(&metadata)?)?;
        Ok(metadata)
    }
}

fn bytes_of(metadata: &ParquetMetaData) -> Result<Vec<u8>, ParquetError> {
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, metadata).finish()?;
    Ok(bytes)
}

/// Splits what the crate's writer wrote into page index and footer.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let parts = bytes.split_last_chunk::<TAIL>().and_then(|(before, tail)| {
        let length = u32::from_le_bytes(*tail.first_chunk()?);
        before.split_at_checked(before.len().checked_sub(usize::try_from(length).ok()?)?)
    });
    parts.ok_or_else(|| ParquetError::General("a footer without an end".to_owned()))
}
