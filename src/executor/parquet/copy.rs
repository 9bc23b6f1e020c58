//! The row-group byte copy: encoded column chunks move as they are, no value is decoded.

use std::sync::Arc;

use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::schema::types::ColumnDescPtr;

use super::output::{Files, OpenFile, write_error};
use super::{Output, writer_properties};
use crate::error::{Error, Result};
use crate::executor::cut::Cutter;
use crate::executor::source::{Chunks, Source};
use crate::executor::{Job, Written};
use crate::lake::damaged;
use crate::lake::parquet_schema::{schema_hash, write_schema};
use crate::model::ChunkSum;

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
    let mut files = Files::new(job, written, &schema, props)?;
    let total = job.sources.iter().map(|source| data_bytes(&source.metadata)).sum();
    let mut cutter = Cutter::new(job.policy.target_file_size_bytes, total, total);
    let (mut outputs, mut at_hand): (Vec<Output>, Option<OpenFile>) = (Vec::new(), None);
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
                outputs.push(files.close(file)?);
                cutter.closed();
            }
            let file = match &mut at_hand {
                Some(file) => file,
                none => none.insert(OpenFile { nans: None, ..files.open()? }),
            };
            let chunks = job.runtime.block_on(source.row_group(index))?;
            if let Err(error) = row_group(file, source, index, &chunks) {
                file.writer.inner_mut().abort();
                return Err(error);
            }
            cutter.wrote(bytes, bytes);
            job.progress.read(bytes);
        }
    }
    job.lanes.leave();
    if let Some(file) = at_hand {
        outputs.push(files.close(file)?);
    }
    Ok(outputs)
}

fn data_bytes(metadata: &ParquetMetaData) -> u64 {
    metadata.row_groups().iter().map(|group| u64::try_from(group.compressed_size()).unwrap_or(0)).sum()
}

fn row_group(file: &mut OpenFile, source: &Source, index: usize, chunks: &Chunks) -> Result<()> {
    let location = file.writer.inner().location().to_owned();
    let descriptors: Vec<ColumnDescPtr> = file.writer.schema_descr().columns().to_vec();
    let group = source.metadata.row_group(index);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0);
    let copied = &mut file.chunks.copied;
    let mut writer = file.writer.next_row_group().map_err(|e| write_error(&location, e))?;
    for (column, (chunk, descriptor)) in group.columns().iter().zip(descriptors).enumerate() {
        let metadata = rehome(chunk, descriptor).map_err(|e| damaged(&source.path, e))?;
        let close = ColumnCloseResult {
            bytes_written: u64::try_from(metadata.compressed_size()).unwrap_or(0),
            rows_written: rows,
            metadata,
            bloom_filter: None,
            column_index: source.metadata.column_index().and_then(|all| all.get(index)?.get(column)).cloned(),
            offset_index: source.metadata.offset_index().and_then(|all| all.get(index)?.get(column)).cloned(),
        };
        copied.add(ChunkSum::one(close.bytes_written));
        writer.append_column(chunks, close).map_err(|e| write_error(&location, e))?;
    }
    writer.close().map_err(|e| write_error(&location, e))?;
    Ok(())
}

/// The chunk's metadata under our own column descriptor: equal in everything that matters (the schema hash says so), but
/// writers differ in old annotations beside the new ones.
fn rehome(chunk: &ColumnChunkMetaData, descriptor: ColumnDescPtr) -> parquet::errors::Result<ColumnChunkMetaData> {
    // Some writers say 0 where they mean "no dictionary".
    let dictionary = chunk.dictionary_page_offset().filter(|offset| *offset > 0);
    let mut builder = ColumnChunkMetaData::builder(descriptor)
        .set_compression(chunk.compression())
        .set_encodings_mask(*chunk.encodings_mask())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_num_values(chunk.num_values())
        .set_data_page_offset(chunk.data_page_offset())
        .set_dictionary_page_offset(dictionary)
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
