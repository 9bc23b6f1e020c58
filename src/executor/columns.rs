//! Finding a table's columns in a file, and bringing their values into the table's current types.
//!
//! Columns are matched by field id (spec, "Column Projection"); files without ids by the table's name mapping. A column
//! that was added later has its default in older files, or null; one that was dropped is left out.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, make_array, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, Literal, MappedField, NameMapping, SchemaRef};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::TableContext;
use super::defaults::constant;
use super::source::Source;
use crate::error::{Error, Result};

/// Where each top-level column of the table is in one file; `None` when the file is older than the column.
#[derive(Debug, Clone)]
pub(crate) struct Matched {
    pub(crate) roots: Vec<Option<usize>>,
    /// The names of fields in a file without ids; `None` where ids tell.
    names: Option<Arc<MappedField>>,
    schema: SchemaRef,
}

/// Matches a file's columns with the table's.
///
/// # Errors
/// `Unsupported` for a file without field ids in a table without a name mapping; `Corrupt` when a required column is
/// missing.
pub(crate) fn match_columns(source: &Source, target: &Schema, table: &TableContext) -> Result<Matched> {
    let fields = source.schema().fields();
    let by_id = fields.iter().any(|field| id(field).is_some());
    let names = if by_id { None } else { Some(Arc::new(name_mapping(source, table)?)) };
    let (schema, context) = (table.schema.clone(), Context { names: names.as_deref(), schema: &table.schema });
    let mut roots = Vec::with_capacity(target.fields().len());
    for wanted in target.fields() {
        let found = context.find(fields, wanted);
        if found.is_none() && !wanted.is_nullable() && context.default_of(wanted).is_none() {
            return Err(Error::corrupt(format!("{} lacks the required column {}", source.path, wanted.name()))
                .hint("the file does not belong to this table's schema; nothing was changed"));
        }
        roots.push(found);
    }
    Ok(Matched { roots, names, schema })
}

/// The table's name mapping, as the one field that all columns are in.
fn name_mapping(source: &Source, table: &TableContext) -> Result<MappedField> {
    let text = table.properties.get(DEFAULT_SCHEMA_NAME_MAPPING).ok_or_else(|| {
        Error::unsupported(format!("{} has no field ids and table {} no name mapping", source.path, table.table))
            .hint("set the table property schema.name-mapping.default, or leave the file out with --where")
    })?;
    let mapping: NameMapping = serde_json::from_str(text).map_err(|e| {
        Error::invalid(format!("the property {DEFAULT_SCHEMA_NAME_MAPPING} of {} can't be read", table.table))
            .caused_by(e)
    })?;
    Ok(MappedField::new(None, Vec::new(), mapping.fields().to_vec()))
}

/// A field's Iceberg id.
pub(crate) fn id(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

impl Matched {
    /// Whether the file has no field ids.
    pub(crate) fn by_name(&self) -> bool {
        self.names.is_some()
    }

    /// Brings values of a file into the table's type.
    ///
    /// # Errors
    /// `Unsupported` when the types can't be promoted into one another, `Corrupt` when a required column has nulls.
    pub(crate) fn align(&self, values: &ArrayRef, from: &Field, to: &Field) -> Result<ArrayRef> {
        let made = self.context().inside(to).align(values, from, to)?;
        if !to.is_nullable() && made.null_count() > 0 {
            return Err(Error::corrupt(format!("column {} is required, and has nulls in a file", to.name()))
                .hint("make the column optional, or write the file anew; nothing was changed"));
        }
        Ok(made)
    }

    /// Rows of a column that the file is older than: its default, or null.
    ///
    /// # Errors
    /// `Unsupported` for a default that can't be written.
    pub(crate) fn missing(&self, field: &Field, rows: usize) -> Result<ArrayRef> {
        self.context().missing(field, rows)
    }

    fn context(&self) -> Context<'_> {
        Context { names: self.names.as_deref(), schema: &self.schema }
    }
}

/// What tells fields of one level apart.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// The names of the fields of this level, in a file without ids.
    names: Option<&'a MappedField>,
    schema: &'a SchemaRef,
}

impl<'a> Context<'a> {
    /// The place of a field of the table in the file.
    fn find(&self, have: &Fields, want: &Field) -> Option<usize> {
        match self.names {
            None => have.iter().position(|field| id(field) == id(want)),
            Some(_) => {
                let mapped = self.mapped(want)?;
                have.iter().position(|field| mapped.names().contains(field.name()))
            }
        }
    }

    fn mapped(&self, want: &Field) -> Option<&'a MappedField> {
        self.names?.fields().iter().map(AsRef::as_ref).find(|mapped| mapped.field_id() == id(want))
    }

    /// The level below a field. Where the mapping has nothing of it, nothing is found there.
    fn inside(&self, want: &Field) -> Self {
        static NOTHING: LazyLock<MappedField> = LazyLock::new(|| MappedField::new(None, Vec::new(), Vec::new()));
        let names = self.names.map(|_| self.mapped(want).unwrap_or(&NOTHING));
        Self { names, ..*self }
    }

    fn default_of(&self, field: &Field) -> Option<&'a Literal> {
        self.schema.field_by_id(id(field)?)?.initial_default.as_ref()
    }

    fn missing(&self, field: &Field, rows: usize) -> Result<ArrayRef> {
        match self.default_of(field) {
            Some(value) => constant(field.name(), value, field.data_type(), rows),
            None => Ok(new_null_array(field.data_type(), rows)),
        }
    }

    /// Values of a field whose parts are on this level.
    fn align(&self, values: &ArrayRef, from: &Field, to: &Field) -> Result<ArrayRef> {
        let failed = |e: arrow_schema::ArrowError| {
            Error::corrupt(format!("column {} can't be brought into the table's type", to.name())).caused_by(e)
        };
        match (from.data_type(), to.data_type()) {
            (DataType::Struct(have), DataType::Struct(want)) => {
                let array = values.as_struct();
                let children = want.iter().map(|child| self.child(array, have, child)).collect::<Result<Vec<_>>>()?;
                let made =
                    StructArray::try_new_with_length(want.clone(), children, array.nulls().cloned(), array.len());
                Ok(Arc::new(made.map_err(failed)?))
            }
            (DataType::List(have), DataType::List(want)) => {
                let array = values.as_list::<i32>();
                let inner = self.inside(want).align(array.values(), have, want)?;
                let made = ListArray::try_new(want.clone(), array.offsets().clone(), inner, array.nulls().cloned());
                Ok(Arc::new(made.map_err(failed)?))
            }
            (DataType::Map(have, _), DataType::Map(want, sorted)) => {
                let array = values.as_map();
                let entries = self.entries(array.entries(), have, want)?;
                let made =
                    MapArray::try_new(want.clone(), array.offsets().clone(), entries, array.nulls().cloned(), *sorted);
                Ok(Arc::new(made.map_err(failed)?))
            }
            (have, want) if have == want => Ok(values.clone()),
            (have, want) if may_become(have, want) => {
                let strict = CastOptions { safe: false, ..CastOptions::default() };
                match (have, want) {
                    // INT96 has no zone; what writers mean is UTC, so that instants stay the numbers that they are.
                    (DataType::Timestamp(_, None), DataType::Timestamp(unit, Some(_))) => {
                        let local = cast_with_options(values, &DataType::Timestamp(*unit, None), &strict);
                        let instants = local.map_err(failed)?.to_data().into_builder().data_type(want.clone());
                        Ok(make_array(instants.build().map_err(failed)?))
                    }
                    _ => cast_with_options(values, want, &strict).map_err(failed),
                }
            }
            (have, want) => {
                Err(Error::unsupported(format!("column {} is {have} in a file and {want} in the table", to.name()))
                    .hint("this is no promotion that Iceberg allows; nothing was changed"))
            }
        }
    }

    fn child(&self, array: &StructArray, have: &Fields, want: &FieldRef) -> Result<ArrayRef> {
        match self.find(have, want) {
            Some(index) => self.inside(want).align(array.column(index), &have[index], want),
            None if want.is_nullable() || self.default_of(want).is_some() => self.missing(want, array.len()),
            None => Err(Error::corrupt(format!("a file lacks the required field {}", want.name()))),
        }
    }

    /// Keys and values of a map stand at fixed places, whatever they are called.
    fn entries(&self, entries: &StructArray, have: &FieldRef, want: &FieldRef) -> Result<StructArray> {
        let (DataType::Struct(have), DataType::Struct(want)) = (have.data_type(), want.data_type()) else {
            return Err(Error::internal("map entries are not a struct"));
        };
        let children = have
            .iter()
            .zip(want)
            .zip(entries.columns())
            .map(|((have, want), values)| self.inside(want).align(values, have, want))
            .collect::<Result<Vec<_>>>()?;
        StructArray::try_new(want.clone(), children, entries.nulls().cloned())
            .map_err(|e| Error::corrupt("map entries can't be brought into the table's type").caused_by(e))
    }
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
        | (Timestamp(_, _), Timestamp(TimeUnit::Microsecond, _))
        | (Timestamp(TimeUnit::Nanosecond, _), Timestamp(TimeUnit::Nanosecond, _))
        // Format version 3; a date has no zone.
        | (Date32, Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None))
        | (Time32(_), Time64(_)) => true,
        (Decimal128(p, s), Decimal128(q, t)) => s == t && p <= q,
        (FixedSizeBinary(a), FixedSizeBinary(b)) => a == b,
        (Dictionary(_, inner), want) => inner.as_ref() == want || may_become(inner, want),
        _ => false,
    }
}
