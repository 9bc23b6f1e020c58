//! The row-group byte copy: encoded column chunks move as they are, no value is decoded.

use std::ops::Range;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr};

use super::footer::Footing;
use super::output::{Files, write_error};
use super::{Output, writer_properties};
use crate::error::{Error, Result};
use crate::executor::cut::Cutter;
use crate::executor::sink::Sink;
use crate::executor::source::{Chunks, Source, chunk_range, dictionary_offset};
use crate::executor::{Job, Written};
use crate::lake::damaged;
use crate::lake::parquet_schema::{schema_hash, write_schema};
use crate::model::{ChunkSum, ChunkWays};

/// Copies all row groups of the inputs, in order, into files of the right size.
pub(crate) fn copy(job: &Job, written: &Written) -> Result<Vec<Output>> {
    let schema = write_schema(&job.table.schema)?;
    let wanted = schema_hash(&schema.parquet);
    for source in &job.sources {
        if schema_hash(source.metadata.file_metadata().schema_descr()) != wanted {
            return Err(
                Error::conflict(format!("{} is not in the schema that the plan saw", source.path)).hint("plan again")
            );
        }
    }
    let props = Arc::new(writer_properties(&job.policy, &job.table.schema, &schema.parquet)?);
    let mut files = Files::new(job, written, &schema, props.clone())?;
    let total = job.sources.iter().map(|source| data_bytes(&source.metadata)).sum();
    let mut cutter = Cutter::new(job.policy.target_file_size_bytes, total, total);
    let (mut outputs, mut at_hand): (Vec<Output>, Option<Copy>) = (Vec::new(), None);
    let finish = |files: &Files, mut file: Copy| -> Result<Output> {
        let metadata = match file.footing.write(&props, &schema.parquet, &mut file.sink) {
            Ok(metadata) => metadata,
            Err(error) => {
                file.sink.abort();
                return Err(write_error(file.sink.location(), error));
            }
        };
        files.complete(&mut file.sink, metadata, None, file.chunks)
    };
    for source in &job.sources {
        tracing::debug!(file = source.path, "copying");
        for (index, group) in source.metadata.row_groups().iter().enumerate() {
            if group.num_rows() == 0 {
                continue;
            }
            let bytes = u64::try_from(group.compressed_size()).unwrap_or(0);
            if cutter.close_before(bytes)
                && let Some(file) = at_hand.take()
            {
                outputs.push(finish(&files, file)?);
                cutter.closed();
            }
            let file = match &mut at_hand {
                Some(file) => file,
                none => none.insert(Copy::begin(files.create()?)?),
            };
            let chunks = job.runtime.block_on(source.row_group(index))?;
            if let Err(error) = file.add(source, index, &chunks, &schema.parquet) {
                file.sink.abort();
                return Err(error);
            }
            cutter.wrote(bytes, bytes);
            job.progress.read(bytes);
        }
    }
    job.lanes.leave();
    if let Some(file) = at_hand {
        outputs.push(finish(&files, file)?);
    }
    Ok(outputs)
}

fn data_bytes(metadata: &ParquetMetaData) -> u64 {
    metadata.row_groups().iter().map(|group| u64::try_from(group.compressed_size()).unwrap_or(0)).sum()
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
