//! Reading one top-level column of one row group, in the table's type.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::{DataType, Field};
use arrow_select::filter::filter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::pieces::Piece;
use crate::error::{Error, Result};
use crate::executor::columns::Matched;
use crate::executor::deletes::Mask;
use crate::executor::source::{Chunks, Source};
use crate::lake::damaged;

/// Rows decoded at a time: small enough for the cache, large enough to forget the overhead.
const ROWS_AT_ONCE: usize = 8192;

/// What is read of one row group: its bytes, and which rows of the file are deleted.
#[derive(Debug, Clone)]
pub(crate) struct RowGroupInput {
    pub(crate) chunks: Chunks,
    pub(crate) mask: Mask,
}

/// Reads the living rows of one top-level column of one whole row group in the table's type.
pub(crate) fn read_root(
    source: &Source,
    matched: &Matched,
    root: usize,
    field: &Field,
    row_group: usize,
    input: &RowGroupInput,
    take: &mut dyn FnMut(&ArrayRef) -> Result<()>,
) -> Result<()> {
    let group = source.metadata.row_group(row_group);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0);
    let piece = Piece { source: 0, row_group, offset: 0, rows, bytes: 0 };
    read_piece(source, matched, root, field, piece, input, take).map(|_| ())
}

/// The same for some rows of a row group. Says how many nulls went with deleted rows.
pub(super) fn read_piece(
    source: &Source,
    matched: &Matched,
    root: usize,
    field: &Field,
    piece: Piece,
    input: &RowGroupInput,
    take: &mut dyn FnMut(&ArrayRef) -> Result<()>,
) -> Result<u64> {
    let first = source.first_row(piece.row_group) + piece.offset;
    let rows = usize::try_from(piece.rows).map_err(|e| Error::corrupt("too many rows").caused_by(e))?;
    let Some(column) = matched.roots[root] else {
        let removed = input.mask.deleted(first, piece.rows);
        let mut left = rows - usize::try_from(removed).unwrap_or(0).min(rows);
        while left > 0 {
            let some = left.min(ROWS_AT_ONCE);
            take(&new_null_array(field.data_type(), some))?;
            left -= some;
        }
        return Ok(removed);
    };
    let bad = |e: parquet::errors::ParquetError| damaged(&source.path, e);
    let descriptor = source.metadata.file_metadata().schema_descr();
    let group = source.metadata.row_group(piece.row_group);
    let leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == column);
    let (mut start, mut end) = (u64::MAX, 0);
    for leaf in leaves {
        let (offset, length) = group.column(leaf).byte_range();
        start = start.min(offset);
        end = end.max(offset.saturating_add(length));
    }
    // One read for the whole column chunk; pages are then decoded from memory.
    let window = input.chunks.preload(start..end).map_err(bad)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(window, source.arrow.clone())
        .with_projection(ProjectionMask::roots(descriptor, [column]))
        .with_row_groups(vec![piece.row_group])
        .with_batch_size(ROWS_AT_ONCE)
        .with_offset(usize::try_from(piece.offset).unwrap_or(usize::MAX))
        .with_limit(rows)
        .build()
        .map_err(bad)?;
    let have = source.schema().field(column).clone();
    let (mut seen, mut removed_nulls) = (0, 0);
    for batch in reader {
        let batch = batch.map_err(|e| bad(e.into()))?;
        let living = input.mask.living(first + seen as u64, batch.num_rows());
        seen += batch.num_rows();
        let mut values = matched.align(batch.column(0), &have, field)?;
        if let Some(living) = living {
            let nulls = values.null_count();
            values = filter(&values, &living).map_err(|e| Error::internal("rows can't be left out").caused_by(e))?;
            removed_nulls += (nulls - values.null_count()) as u64;
        }
        if !values.is_empty() {
            take(&values)?;
        }
    }
    if seen != rows {
        return Err(Error::corrupt(format!("a row group has {seen} rows instead of {rows}"))
            .hint("the file is damaged: restore it; nothing was changed"));
    }
    Ok(removed_nulls)
}

/// Counts NaNs of floating-point leaves that are not inside lists or maps.
pub(super) fn count_nans(values: &ArrayRef, first_leaf: usize, nans: &mut HashMap<usize, u64>) -> usize {
    match values.data_type() {
        DataType::Float32 => {
            let count = values.as_primitive::<Float32Type>().iter().flatten().filter(|v| v.is_nan()).count();
            *nans.entry(first_leaf).or_default() += count as u64;
            1
        }
        DataType::Float64 => {
            let count = values.as_primitive::<Float64Type>().iter().flatten().filter(|v| v.is_nan()).count();
            *nans.entry(first_leaf).or_default() += count as u64;
            1
        }
        DataType::Struct(_) => {
            values.as_struct().columns().iter().fold(0, |leaf, child| leaf + count_nans(child, first_leaf + leaf, nans))
        }
        DataType::List(_) => leaves(values.as_list::<i32>().values().data_type()),
        DataType::Map(entry, _) => leaves(entry.data_type()),
        _ => 1,
    }
}

/// How many leaf columns a type has.
fn leaves(kind: &DataType) -> usize {
    match kind {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(field) | DataType::Map(field, _) => leaves(field.data_type()),
        _ => 1,
    }
}
