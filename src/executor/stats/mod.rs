//! Statistics of a finished file, as a manifest wants them (spec, "Data file fields").

mod bound;
mod modes;
mod truncate;

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{PrimitiveType, Schema, Type};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescriptor;

pub(crate) use bound::Bound;
pub use modes::{MetricsMode, MetricsModes};
pub(crate) use truncate::{lower as lower_bound, upper as upper_bound};

use crate::error::Result;
use crate::model::{ColumnStats, is_row_lineage};

/// What the footer of one file says about one leaf column, over all row groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Leaf {
    /// Compressed bytes.
    pub(crate) size: u64,
    /// Values including nulls.
    pub(crate) values: u64,
    /// Nulls, if every row group tells.
    pub(crate) nulls: Option<u64>,
    /// Bounds, if every row group with values has them.
    pub(crate) bounds: Option<(Bound, Bound)>,
    /// Whether the bounds are values that really occur.
    pub(crate) exact: bool,
    /// Whether the column is inside a list or a map.
    pub(crate) repeated: bool,
}

/// Statistics by field id for a file whose columns carry field ids.
///
/// `nans` are counts by leaf column where they were counted; without them a floating-point column has none recorded.
/// Bounds inside lists and maps are left out, as the reference implementation does.
///
/// # Errors
/// None today; kept fallible for types that may need it.
pub fn file_columns(
    metadata: &ParquetMetaData,
    schema: &Schema,
    modes: &MetricsModes,
    nans: Option<&HashMap<usize, u64>>,
) -> Result<BTreeMap<i32, ColumnStats>> {
    let mut columns = BTreeMap::new();
    for (index, leaf) in leaves(metadata, schema) {
        let (leaf_index, leaf) = leaf;
        if is_row_lineage(index) {
            continue;
        }
        let mode = modes.of(index);
        if mode == MetricsMode::None {
            columns.insert(index, ColumnStats { size: Some(leaf.size), ..ColumnStats::default() });
            continue;
        }
        let kind = primitive(schema, index);
        let float = matches!(kind, Some(PrimitiveType::Float | PrimitiveType::Double));
        let counted = nans.filter(|_| float && !leaf.repeated).map(|all| all.get(&leaf_index).copied().unwrap_or(0));
        let (lower, upper) = match (&leaf.bounds, leaf.repeated, mode) {
            (Some((low, high)), false, MetricsMode::Full) => (Some(low.to_bytes()), Some(high.to_bytes())),
            (Some((low, high)), false, MetricsMode::Truncate(length)) => {
                (truncate::lower(low, kind, length), truncate::upper(high, kind, length))
            }
            _ => (None, None),
        };
        columns.insert(
            index,
            ColumnStats {
                size: Some(leaf.size),
                values: Some(leaf.values),
                nulls: leaf.nulls,
                nans: counted,
                lower,
                upper,
            },
        );
    }
    Ok(columns)
}

/// The type of a field, if it is primitive.
pub(crate) fn primitive(schema: &Schema, id: i32) -> Option<&PrimitiveType> {
    match schema.field_by_id(id)?.field_type.as_ref() {
        Type::Primitive(kind) => Some(kind),
        _ => None,
    }
}

/// What a footer says, by field id: (leaf column, figures).
pub(crate) fn leaves(metadata: &ParquetMetaData, schema: &Schema) -> BTreeMap<i32, (usize, Leaf)> {
    leaves_of(metadata, schema, |_| true)
}

/// The same for some row groups.
pub(crate) fn leaves_of(
    metadata: &ParquetMetaData,
    schema: &Schema,
    wanted: impl Fn(usize) -> bool,
) -> BTreeMap<i32, (usize, Leaf)> {
    let descriptor = metadata.file_metadata().schema_descr();
    let mut found = BTreeMap::new();
    for (index, column) in descriptor.columns().iter().enumerate() {
        let info = column.self_type().get_basic_info();
        if !info.has_id() {
            continue;
        }
        let kind = primitive(schema, info.id());
        let mut leaf = Leaf { nulls: Some(0), exact: true, repeated: column.max_rep_level() > 0, ..Leaf::default() };
        let mut unknown = false;
        let groups = metadata.row_groups().iter().enumerate().filter(|(group, _)| wanted(*group));
        for chunk in groups.map(|(_, group)| group.column(index)) {
            leaf.size += u64::try_from(chunk.compressed_size()).unwrap_or(0);
            leaf.values += u64::try_from(chunk.num_values()).unwrap_or(0);
            let statistics = chunk.statistics();
            let nulls = statistics.and_then(|s| s.null_count_opt());
            leaf.nulls = leaf.nulls.zip(nulls).map(|(sum, nulls)| sum + nulls);
            let all_null = nulls == u64::try_from(chunk.num_values()).ok();
            let bounds = statistics.filter(|_| in_own_unit(column, kind)).and_then(|s| Bound::of(s, kind));
            match (bounds, kind) {
                (Some((low, high, exact)), Some(_)) => {
                    leaf.exact &= exact;
                    leaf.bounds = Some(match leaf.bounds.take() {
                        None => (low, high),
                        Some((l, h)) => (l.least(low), h.greatest(high)),
                    });
                }
                // Nothing but nulls has no bounds, and does not spoil those of the others.
                _ if all_null => {}
                _ => unknown = true,
            }
        }
        if unknown {
            leaf.bounds = None;
        }
        found.insert(info.id(), (index, leaf));
    }
    found
}

/// Whether times are in the unit of the table's type: a file may have another one, or dates from before a promotion.
fn in_own_unit(column: &ColumnDescriptor, kind: Option<&PrimitiveType>) -> bool {
    let wanted = match kind {
        Some(PrimitiveType::Time | PrimitiveType::Timestamp | PrimitiveType::Timestamptz) => TimeUnit::MICROS,
        Some(PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) => TimeUnit::NANOS,
        _ => return true,
    };
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp { unit, .. } | LogicalType::Time { unit, .. }), _) => *unit == wanted,
        (Some(_), _) | (None, ConvertedType::DATE | ConvertedType::TIME_MILLIS | ConvertedType::TIMESTAMP_MILLIS) => {
            false
        }
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests;
