//! Finding a table's columns in a file, and bringing their values into the table's current types.
//!
//! Columns are matched by field id (spec, "Column Projection"); files without ids by the table's name mapping. A column
//! that was added later is null in older files, one that was dropped is left out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, NameMapping};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::TableContext;
use super::source::Source;
use crate::error::{Error, Result};

/// Where each top-level column of the table is in one file; `None` when the file is older than the column.
#[derive(Debug, Clone)]
pub(crate) struct Matched {
    pub(crate) roots: Vec<Option<usize>>,
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Id,
    Name,
}

/// Matches a file's columns with the table's.
///
/// # Errors
/// `Unsupported` for a file without field ids in a table without a name mapping; `Corrupt` when a required column is
/// missing.
pub(crate) fn match_columns(source: &Source, target: &Schema, table: &TableContext) -> Result<Matched> {
    let fields = source.schema().fields();
    let by = if fields.iter().any(|field| id(field).is_some()) { By::Id } else { By::Name };
    let mapping = match by {
        By::Id => None,
        By::Name => Some(name_mapping(source, table)?),
    };
    let mut roots = Vec::with_capacity(target.fields().len());
    for wanted in target.fields() {
        let found = match &mapping {
            None => fields.iter().position(|field| id(field) == id(wanted)),
            Some(mapping) => {
                let names = mapping.fields().iter().find(|mapped| mapped.field_id() == id(wanted));
                fields.iter().position(|field| names.is_some_and(|mapped| mapped.names().contains(field.name())))
            }
        };
        if found.is_none() && !wanted.is_nullable() {
            return Err(Error::corrupt(format!("{} lacks the required column {}", source.path, wanted.name()))
                .hint("the file does not belong to this table's schema; nothing was changed"));
        }
        roots.push(found);
    }
    Ok(Matched { roots, by })
}

fn name_mapping(source: &Source, table: &TableContext) -> Result<NameMapping> {
    let text = table.properties.get(DEFAULT_SCHEMA_NAME_MAPPING).ok_or_else(|| {
        Error::unsupported(format!("{} has no field ids and table {} no name mapping", source.path, table.table))
            .hint("set the table property schema.name-mapping.default, or leave the file out with --where")
    })?;
    serde_json::from_str(text).map_err(|e| {
        Error::invalid(format!("the property {DEFAULT_SCHEMA_NAME_MAPPING} of {} can't be read", table.table))
            .caused_by(e)
    })
}

/// A field's Iceberg id.
pub(crate) fn id(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

impl Matched {
    /// Brings values of a file into the table's type.
    ///
    /// # Errors
    /// `Unsupported` when the types can't be promoted into one another.
    pub(crate) fn align(&self, values: &ArrayRef, from: &Field, to: &Field) -> Result<ArrayRef> {
        align(values, from, to, self.by)
    }
}

fn align(values: &ArrayRef, from: &Field, to: &Field, by: By) -> Result<ArrayRef> {
    let failed = |e: arrow_schema::ArrowError| {
        Error::corrupt(format!("column {} can't be brought into the table's type", to.name())).caused_by(e)
    };
    match (from.data_type(), to.data_type()) {
        (DataType::Struct(have), DataType::Struct(want)) => {
            let array = values.as_struct();
            let children = want.iter().map(|child| align_child(array, have, child, by)).collect::<Result<Vec<_>>>()?;
            let made = StructArray::try_new_with_length(want.clone(), children, array.nulls().cloned(), array.len());
            Ok(Arc::new(made.map_err(failed)?))
        }
        (DataType::List(have), DataType::List(want)) => {
            let array = values.as_list::<i32>();
            let inner = align(array.values(), have, want, by)?;
            let made = ListArray::try_new(want.clone(), array.offsets().clone(), inner, array.nulls().cloned());
            Ok(Arc::new(made.map_err(failed)?))
        }
        (DataType::Map(have, _), DataType::Map(want, sorted)) => {
            let array = values.as_map();
            let entries = align_entries(array.entries(), have, want, by)?;
            let made =
                MapArray::try_new(want.clone(), array.offsets().clone(), entries, array.nulls().cloned(), *sorted);
            Ok(Arc::new(made.map_err(failed)?))
        }
        (have, want) if have == want => Ok(values.clone()),
        (have, want) if may_become(have, want) => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(values, want, &strict).map_err(failed)
        }
        (have, want) => {
            Err(Error::unsupported(format!("column {} is {have} in a file and {want} in the table", to.name()))
                .hint("this is no promotion that Iceberg allows; nothing was changed"))
        }
    }
}

fn align_child(array: &StructArray, have: &Fields, want: &FieldRef, by: By) -> Result<ArrayRef> {
    let found = have.iter().position(|field| match by {
        By::Id => id(field) == id(want),
        By::Name => field.name() == want.name(),
    });
    match found {
        Some(index) => align(array.column(index), &have[index], want, by),
        None if want.is_nullable() => Ok(new_null_array(want.data_type(), array.len())),
        None => Err(Error::corrupt(format!("a file lacks the required field {}", want.name()))),
    }
}

/// Keys and values of a map stand at fixed places, whatever they are called.
fn align_entries(entries: &StructArray, have: &FieldRef, want: &FieldRef, by: By) -> Result<StructArray> {
    let (DataType::Struct(have), DataType::Struct(want)) = (have.data_type(), want.data_type()) else {
        return Err(Error::internal("map entries are not a struct"));
    };
    let children = have
        .iter()
        .zip(want)
        .zip(entries.columns())
        .map(|((have, want), values)| align(values, have, want, by))
        .collect::<Result<Vec<_>>>()?;
    StructArray::try_new(want.clone(), children, entries.nulls().cloned())
        .map_err(|e| Error::corrupt("map entries can't be brought into the table's type").caused_by(e))
}

/// Iceberg's promotions, and physical variants of one and the same logical type.
fn may_become(have: &DataType, want: &DataType) -> bool {
    use DataType::*;
    match (have, want) {
        (Int8 | Int16 | UInt8 | UInt16, Int32)
        | (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64)
        | (Float32, Float64)
        | (LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView, Utf8)
        | (LargeBinary | BinaryView | Utf8, Binary)
        | (Timestamp(_, _), Timestamp(_, _))
        | (Time32(_), Time64(_)) => true,
        (Decimal128(p, s), Decimal128(q, t)) => s == t && p <= q,
        (FixedSizeBinary(a), FixedSizeBinary(b)) => a == b,
        (Dictionary(_, inner), want) => inner.as_ref() == want || may_become(inner, want),
        _ => false,
    }
}
