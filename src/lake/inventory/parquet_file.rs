//! A listing as Parquet.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::FileInfo;
use super::location;
use crate::error::{Error, Result};

/// The columns of an inventory that are of interest.
const COLUMNS: [&str; 6] = ["bucket", "key", "size", "last_modified_date", "is_latest", "is_delete_marker"];
const ROWS: usize = 8192;

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid("the listing is no Parquet file of an inventory")
        .hint("let the inventory have bucket, key, size and last_modified_date")
        .caused_by(error)
}

/// Reads all rows; `take` says whether it wants more.
pub(super) fn read(file: File, take: &mut dyn FnMut(FileInfo) -> bool) -> Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(wrong)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    let reader = builder.with_projection(mask).with_batch_size(ROWS).build().map_err(wrong)?;
    for batch in reader {
        let batch = batch.map_err(wrong)?;
        let column = |name: &str, kind: &DataType| -> Result<ArrayRef> {
            let Some(array) = batch.column_by_name(name) else {
                return Err(Error::invalid(format!("the listing has no column {name}"))
                    .hint("let the inventory have bucket, key, size and last_modified_date"));
            };
            cast(array, kind).map_err(wrong)
        };
        let (buckets, keys) = (column("bucket", &DataType::Utf8)?, column("key", &DataType::Utf8)?);
        let sizes = column("size", &DataType::Int64)?;
        let times = column("last_modified_date", &DataType::Timestamp(TimeUnit::Millisecond, None))?;
        let (buckets, keys) = (buckets.as_string::<i32>(), keys.as_string::<i32>());
        let (sizes, times) = (sizes.as_primitive::<Int64Type>(), times.as_primitive::<TimestampMillisecondType>());
        for row in 0..batch.num_rows() {
            if says(&batch, "is_latest", row) == Some(false) || says(&batch, "is_delete_marker", row) == Some(true) {
                continue;
            }
            if keys.is_null(row) || times.is_null(row) || sizes.is_null(row) {
                return Err(Error::invalid("the listing has a row without key, size or time"));
            }
            let bucket = if buckets.is_null(row) { "" } else { buckets.value(row) };
            let Some(location) = location(bucket, keys.value(row)) else { continue };
            let size = u64::try_from(sizes.value(row)).unwrap_or(0);
            if !take(FileInfo { location, size, modified_ms: times.value(row) }) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn says(batch: &RecordBatch, column: &str, row: usize) -> Option<bool> {
    let flags = batch.column_by_name(column)?.as_boolean_opt()?;
    (!flags.is_null(row)).then(|| flags.value(row))
}
