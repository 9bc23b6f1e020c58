//! How much will inputs shrink? Asked once a table and codec, before anything was ever rewritten.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};

use super::columns::match_columns;
use super::deletes::Mask;
use super::parquet::{RowGroupInput, read_root, writer_properties};
use super::{TableContext, source};
use crate::error::{Error, Result};
use crate::lake::Store;
use crate::lake::parquet_schema::write_schema;
use crate::model::{Codec, CompactPolicy, Footer};

/// Files that are tried for each codec.
const FILES: usize = 2;
/// Row groups larger than this are not worth the wait.
const LARGEST_ROW_GROUP: u64 = 64 << 20;

/// Encodes the first row group of a few files of each codec and says how many bytes come out for each byte in.
///
/// # Errors
/// As reading the files does; a file that can't be encoded is passed over (the rewrite itself will say why).
pub async fn sample_ratio(
    store: &Arc<Store>,
    files: &[(String, u64)],
    footers: &BTreeMap<String, Footer>,
    table: &TableContext,
    policy: &CompactPolicy,
) -> Result<BTreeMap<Codec, f64>> {
    let mut chosen: BTreeMap<Codec, Vec<(String, u64)>> = BTreeMap::new();
    for (path, size) in files {
        let Some(footer) = footers.get(path) else { continue };
        let (Some(codec), Some(first)) = (footer.main_codec(), footer.row_groups.first()) else { continue };
        let of_codec = chosen.entry(codec).or_default();
        if of_codec.len() < FILES && first.rows > 0 && first.uncompressed <= LARGEST_ROW_GROUP {
            of_codec.push((path.clone(), *size));
        }
    }
    let mut ratios = BTreeMap::new();
    for (codec, files) in chosen {
        let (mut input, mut output) = (0u64, 0u64);
        let tried = files.iter().map(|(path, size)| one(store, path, *size, table, policy));
        for (tried, (path, _)) in futures::future::join_all(tried).await.into_iter().zip(&files) {
            match tried {
                Ok((read, written)) => {
                    input += read;
                    output += written;
                }
                Err(error) => tracing::debug!(file = path, %error, "could not be sampled"),
            }
        }
        if input > 0 {
            ratios.insert(codec, output as f64 / input as f64);
        }
    }
    Ok(ratios)
}

async fn one(
    store: &Arc<Store>,
    path: &str,
    size: u64,
    table: &TableContext,
    policy: &CompactPolicy,
) -> Result<(u64, u64)> {
    let source = source::open(store, path, size).await?;
    let input = RowGroupInput { chunks: source.row_group(0).await?, mask: Mask::default() };
    let (table, policy) = (table.clone(), policy.clone());
    let work = move || -> Result<(u64, u64)> {
        let schema = write_schema(&table.schema)?;
        let matched = match_columns(&source, &schema.arrow, &table)?;
        let mut columns: Vec<Vec<ArrayRef>> = Vec::new();
        for (root, field) in schema.arrow.fields().iter().enumerate() {
            let mut batches = Vec::new();
            read_root(&source, &matched, root, field, 0, &input, &mut |values| {
                batches.push(values.clone());
                Ok(())
            })?;
            columns.push(batches);
        }
        let failed = |e: parquet::errors::ParquetError| Error::internal("a sample could not be encoded").caused_by(e);
        let props = writer_properties(&policy, &table.schema, &schema.parquet)?;
        let options = ArrowWriterOptions::new()
            .with_properties(props)
            .with_skip_arrow_metadata(true)
            .with_parquet_schema(schema.parquet.as_ref().clone());
        let mut writer =
            ArrowWriter::try_new_with_options(std::io::sink(), schema.arrow.clone(), options).map_err(failed)?;
        for index in 0..columns.first().map_or(0, Vec::len) {
            let arrays = columns.iter().map(|batches| batches[index].clone()).collect();
            let batch = RecordBatch::try_new(schema.arrow.clone(), arrays)
                .map_err(|e| Error::internal("a sample could not be put together").caused_by(e))?;
            writer.write(&batch).map_err(failed)?;
        }
        let metadata = writer.close().map_err(failed)?;
        let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
        let written = metadata.row_groups().iter().map(|group| bytes(group.compressed_size())).sum();
        Ok((bytes(source.metadata.row_group(0).compressed_size()), written))
    };
    let guarded = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    match tokio::task::spawn_blocking(guarded).await {
        Ok(Ok(result)) => result,
        _ => Err(Error::corrupt(format!("{path} could not be decoded"))),
    }
}
