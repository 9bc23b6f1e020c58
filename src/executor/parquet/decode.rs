//! Reading one top-level column of one row group, in the table's type.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
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
    let (mut seen, mut removed_nulls) = (0, 0);
    let mut pass = |values: ArrayRef, seen: usize| {
        let values = source.lineage.fill(field, values, first + seen as u64);
        let (values, removed) = living(values, &input.mask, first + seen as u64)?;
        removed_nulls += removed;
        if values.is_empty() { Ok(()) } else { take(&values) }
    };
    let Some(column) = matched.roots[root] else {
        while seen < rows {
            let some = (rows - seen).min(ROWS_AT_ONCE);
            pass(matched.missing(field, some)?, seen)?;
            seen += some;
        }
        return Ok(removed_nulls);
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
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(window, source.arrays().map_err(bad)?)
        .with_projection(ProjectionMask::roots(descriptor, [column]))
        .with_row_groups(vec![piece.row_group])
        .with_batch_size(ROWS_AT_ONCE)
        .with_offset(usize::try_from(piece.offset).unwrap_or(usize::MAX))
        .with_limit(rows)
        .build()
        .map_err(bad)?;
    let have = source.schema().field(column).clone();
    for batch in reader {
        let batch = batch.map_err(|e| bad(e.into()))?;
        pass(matched.align(batch.column(0), &have, field)?, seen)?;
        seen += batch.num_rows();
    }
    if seen != rows {
        return Err(Error::corrupt(format!("a row group has {seen} rows instead of {rows}"))
            .hint("the file is damaged: restore it; nothing was changed"));
    }
    Ok(removed_nulls)
}

/// The values of living rows, and how many nulls went with the others.
fn living(values: ArrayRef, mask: &Mask, first: u64) -> Result<(ArrayRef, u64)> {
    let Some(living) = mask.living(first, values.len()) else { return Ok((values, 0)) };
    let left = filter(&values, &living).map_err(|e| Error::internal("rows can't be left out").caused_by(e))?;
    let removed = (values.null_count() - left.null_count()) as u64;
    Ok((left, removed))
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
