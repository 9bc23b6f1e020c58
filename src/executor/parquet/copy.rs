//! The row-group byte copy: encoded column chunks move as they are, no value is decoded.

use std::ops::Range;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};

use super::footer::Footing;
use super::output::{Files, write_error};
use super::{Output, writer_properties};
use crate::error::{Error, Result};
use crate::executor::cut::Cutter;
use crate::executor::opening::Walk;
use crate::executor::sink::Sink;
use crate::executor::source::{Chunks, Source, chunk_range, dictionary_offset};
use crate::executor::verify::Before;
use crate::executor::{Job, Written};
use crate::lake::damaged;
use crate::lake::parquet_schema::{schema_hash, write_schema};
use crate::model::{ChunkSum, ChunkWays};

/// Copies all row groups of the inputs, in order, into files of the right size.
pub(crate) fn copy(job: &Job, walk: Walk<'_>, written: &Written) -> Result<(Vec<Output>, Before)> {
    let schema = write_schema(&job.table.schema)?;
    let props = Arc::new(writer_properties(&job.policy, &job.table.schema, &schema.parquet)?);
    let cutter = Cutter::new(job.policy.target_file_size_bytes, walk.bytes(), walk.bytes());
    let files = Files::new(job, written, &schema, props.clone())?;
    let mut copying =
        Copying { job, schema: &schema.parquet, props, files, cutter, outputs: Vec::new(), at_hand: None };
    match copying.all(walk) {
        Ok(before) => Ok((copying.outputs, before)),
        Err(error) => {
            copying.at_hand.iter_mut().for_each(|file| file.sink.abort());
            Err(error)
        }
    }
}

/// A copy on its way.
struct Copying<'a> {
    job: &'a Job,
    schema: &'a SchemaDescPtr,
    props: WriterPropertiesPtr,
    files: Files<'a>,
    cutter: Cutter,
    outputs: Vec<Output>,
    at_hand: Option<Copy>,
}

impl Copying<'_> {
    fn all(&mut self, mut walk: Walk<'_>) -> Result<Before> {
        let wanted = schema_hash(self.schema);
        while let Some((_, source)) = walk.next()? {
            if schema_hash(source.metadata.file_metadata().schema_descr()) != wanted {
                let why = format!("{} is not in the schema that the plan saw", source.path);
                return Err(Error::conflict(why).hint("plan again"));
            }
            tracing::debug!(file = source.path, "copying");
            self.cutter.expect(walk.bytes());
            let groups = source.metadata.row_groups().iter().enumerate();
            for (index, group) in groups.filter(|(_, group)| group.num_rows() > 0) {
                self.one(&source, index, u64::try_from(group.compressed_size()).unwrap_or(0))?;
            }
        }
        self.job.lanes.leave();
        self.finish()?;
        Ok(walk.before())
    }

    /// Copies a row group of so many bytes.
    fn one(&mut self, source: &Source, index: usize, bytes: u64) -> Result<()> {
        if self.cutter.close_before(bytes) {
            self.finish()?;
            self.cutter.closed();
        }
        let file = match &mut self.at_hand {
            Some(file) => file,
            none => none.insert(Copy::begin(self.files.create()?)?),
        };
        let chunks = self.job.runtime.block_on(source.row_group(index))?;
        file.add(source, index, &chunks, self.schema)?;
        self.cutter.wrote(bytes, bytes);
        self.job.progress.read(bytes);
        Ok(())
    }

    /// Completes the file at hand.
    fn finish(&mut self) -> Result<()> {
        let Some(Copy { mut sink, footing, chunks }) = self.at_hand.take() else { return Ok(()) };
        let metadata = footing.write(&self.props, self.schema, &mut sink).map_err(|error| {
            sink.abort();
            write_error(sink.location(), error)
        })?;
        self.outputs.push(self.files.complete(&mut sink, metadata, None, chunks)?);
        Ok(())
    }
}

/// A file that takes row groups as they are. The crate's writer wants to see all bytes; here the kernel may move them.
struct Copy {
    sink: Sink,
    footing: Footing,
    chunks: ChunkWays,
}

impl Copy {
    fn begin(mut sink: Sink) -> Result<Self> {
        let footing = Footing::begin(&mut sink).map_err(|e| write_error(sink.location(), e))?;
        Ok(Self { sink, footing, chunks: ChunkWays::default() })
    }

    fn add(&mut self, source: &Source, index: usize, bytes: &Chunks, schema: &SchemaDescPtr) -> Result<()> {
        let broken = |e: ParquetError| damaged(&source.path, e);
        let group = source.metadata.row_group(index);
        let (mut at, mut stretches): (u64, Vec<Range<u64>>) = (self.sink.total(), Vec::new());
        let (mut columns, mut moves) = (Vec::new(), Vec::new());
        for (chunk, descriptor) in group.columns().iter().zip(schema.columns()) {
            let from = place(chunk).map_err(broken)?;
            // Both lie in files that exist: far from what an i64 holds.
            let by = at.cast_signed() - from.start.cast_signed();
            columns.push(rehome(chunk, descriptor, by).map_err(broken)?);
            moves.push(by);
            let length = from.end - from.start;
            at += length;
            self.chunks.copied.add(ChunkSum::one(length));
            // Chunks mostly follow each other, and are moved in one go.
            match stretches.last_mut() {
                Some(last) if last.end == from.start => last.end = from.end,
                _ => stretches.push(from),
            }
        }
        let made = RowGroupMetaData::builder(schema.clone())
            .set_total_byte_size(columns.iter().map(ColumnChunkMetaData::uncompressed_size).sum())
            .set_column_metadata(columns)
            .set_num_rows(group.num_rows())
            .set_file_offset(self.sink.total().cast_signed());
        self.footing.add(made, &source.metadata, index, &moves).map_err(broken)?;
        for stretch in stretches {
            bytes.copy_to(&mut self.sink, stretch).map_err(|error| match error {
                ParquetError::External(_) => write_error(self.sink.location(), error),
                other => damaged(&source.path, other),
            })?;
        }
        Ok(())
    }
}

/// Where a chunk lies in its file.
fn place(chunk: &ColumnChunkMetaData) -> parquet::errors::Result<Range<u64>> {
    chunk_range(chunk).ok_or_else(|| {
        let (start, length) = (chunk.data_page_offset(), chunk.compressed_size());
        ParquetError::General(format!("a column chunk of {length} bytes at {start}"))
    })
}

/// The chunk's metadata at its new place, under our own column descriptor: equal in everything that matters (the schema
/// hash says so), but writers differ in old annotations beside the new ones.
fn rehome(
    chunk: &ColumnChunkMetaData,
    descriptor: &ColumnDescPtr,
    by: i64,
) -> parquet::errors::Result<ColumnChunkMetaData> {
    let mut builder = ColumnChunkMetaData::builder(descriptor.clone())
        .set_compression(chunk.compression())
        .set_encodings_mask(*chunk.encodings_mask())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_num_values(chunk.num_values())
        .set_data_page_offset(chunk.data_page_offset().saturating_add(by))
        .set_dictionary_page_offset(dictionary_offset(chunk).map(|offset| offset + by))
        .set_unencoded_byte_array_data_bytes(chunk.unencoded_byte_array_data_bytes())
        .set_repetition_level_histogram(chunk.repetition_level_histogram().cloned())
        .set_definition_level_histogram(chunk.definition_level_histogram().cloned());
    if let Some(statistics) = chunk.statistics() {
        builder = builder.set_statistics(statistics.clone());
    }
    if let Some(pages) = chunk.page_encoding_stats() {
        builder = builder.set_page_encoding_stats(pages.clone());
    }
    builder.build()
}
