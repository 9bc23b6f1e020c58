//! The physical schema of what icewright writes: an Iceberg schema as a Parquet schema, by the spec's Appendix A.

use std::hash::Hasher;
use std::sync::Arc;

use arrow_schema::SchemaRef as ArrowSchemaRef;
use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Type};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::schema::types::{ColumnDescriptor, SchemaDescPtr, SchemaDescriptor, Type as ParquetType};
use twox_hash::XxHash64;

use crate::error::{Error, Result};

/// An Iceberg schema in both physical forms.
#[derive(Debug, Clone)]
pub struct WriteSchema {
    /// What columns look like in memory.
    pub arrow: ArrowSchemaRef,
    /// What they look like in a file, field ids included.
    pub parquet: SchemaDescPtr,
}

/// The physical schema for an Iceberg schema.
///
/// # Errors
/// `Unsupported` for a type that can't be written (v3's variant, geometry, unknown).
pub fn write_schema(schema: &Schema) -> Result<WriteSchema> {
    let fields = schema.as_struct().fields().iter().map(field).collect::<Result<Vec<_>>>()?;
    let root = ParquetType::group_type_builder("table").with_fields(fields).build().map_err(invalid)?;
    let parquet = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let arrow = Arc::new(parquet_to_arrow_schema(&parquet, None).map_err(invalid)?);
    Ok(WriteSchema { arrow, parquet })
}

fn invalid(error: parquet::errors::ParquetError) -> Error {
    Error::internal("the table's schema has no Parquet form").caused_by(error)
}

fn field(field: &NestedFieldRef) -> Result<Arc<ParquetType>> {
    let repetition = if field.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    typed(&field.name, field.id, repetition, &field.field_type)
}

fn typed(name: &str, id: i32, repetition: Repetition, kind: &Type) -> Result<Arc<ParquetType>> {
    let group = |fields: Vec<Arc<ParquetType>>, logical: Option<LogicalType>| {
        ParquetType::group_type_builder(name)
            .with_id(Some(id))
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_fields(fields)
            .build()
            .map(Arc::new)
            .map_err(invalid)
    };
    let repeated = |name: &str, fields: Vec<Arc<ParquetType>>| {
        ParquetType::group_type_builder(name)
            .with_repetition(Repetition::REPEATED)
            .with_fields(fields)
            .build()
            .map(Arc::new)
            .map_err(invalid)
    };
    match kind {
        Type::Primitive(primitive_type) => primitive(name, id, repetition, primitive_type),
        Type::Struct(fields) => group(fields.fields().iter().map(field).collect::<Result<Vec<_>>>()?, None),
        Type::List(list) => {
            let element = &list.element_field;
            let optional = if element.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
            let element = typed("element", element.id, optional, &element.field_type)?;
            group(vec![repeated("list", vec![element])?], Some(LogicalType::List))
        }
        Type::Map(map) => {
            let value_optional = if map.value_field.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
            let key = typed("key", map.key_field.id, Repetition::REQUIRED, &map.key_field.field_type)?;
            let value = typed("value", map.value_field.id, value_optional, &map.value_field.field_type)?;
            group(vec![repeated("key_value", vec![key, value])?], Some(LogicalType::Map))
        }
    }
}

fn primitive(name: &str, id: i32, repetition: Repetition, kind: &PrimitiveType) -> Result<Arc<ParquetType>> {
    let timestamp = |utc| LogicalType::Timestamp { is_adjusted_to_u_t_c: utc, unit: TimeUnit::MICROS };
    let nanos = |utc| LogicalType::Timestamp { is_adjusted_to_u_t_c: utc, unit: TimeUnit::NANOS };
    // (physical type, logical type, fixed length, precision, scale)
    let (physical, logical, length, precision, scale) = match kind {
        PrimitiveType::Boolean => (Physical::BOOLEAN, None, -1, -1, -1),
        PrimitiveType::Int => (Physical::INT32, None, -1, -1, -1),
        PrimitiveType::Long => (Physical::INT64, None, -1, -1, -1),
        PrimitiveType::Float => (Physical::FLOAT, None, -1, -1, -1),
        PrimitiveType::Double => (Physical::DOUBLE, None, -1, -1, -1),
        PrimitiveType::Date => (Physical::INT32, Some(LogicalType::Date), -1, -1, -1),
        PrimitiveType::Time => (
            Physical::INT64,
            Some(LogicalType::Time { is_adjusted_to_u_t_c: false, unit: TimeUnit::MICROS }),
            -1,
            -1,
            -1,
        ),
        PrimitiveType::Timestamp => (Physical::INT64, Some(timestamp(false)), -1, -1, -1),
        PrimitiveType::Timestamptz => (Physical::INT64, Some(timestamp(true)), -1, -1, -1),
        PrimitiveType::TimestampNs => (Physical::INT64, Some(nanos(false)), -1, -1, -1),
        PrimitiveType::TimestamptzNs => (Physical::INT64, Some(nanos(true)), -1, -1, -1),
        PrimitiveType::String => (Physical::BYTE_ARRAY, Some(LogicalType::String), -1, -1, -1),
        PrimitiveType::Binary => (Physical::BYTE_ARRAY, None, -1, -1, -1),
        PrimitiveType::Uuid => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), 16, -1, -1),
        PrimitiveType::Fixed(length) => {
            (Physical::FIXED_LEN_BYTE_ARRAY, None, i32::try_from(*length).unwrap_or(i32::MAX), -1, -1)
        }
        PrimitiveType::Decimal { precision, scale } => {
            let (precision, scale) = (i32::try_from(*precision).unwrap_or(0), i32::try_from(*scale).unwrap_or(0));
            let (physical, length) = match precision {
                ..=9 => (Physical::INT32, -1),
                10..=18 => (Physical::INT64, -1),
                _ => (Physical::FIXED_LEN_BYTE_ARRAY, decimal_length(precision)),
            };
            (physical, Some(LogicalType::Decimal { precision, scale }), length, precision, scale)
        }
    };
    ParquetType::primitive_type_builder(name, physical)
        .with_id(Some(id))
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_length(length)
        .with_precision(precision)
        .with_scale(scale)
        .build()
        .map(Arc::new)
        .map_err(invalid)
}

/// The fewest bytes that hold every decimal of a precision (spec, Appendix A: "minimum number of bytes").
fn decimal_length(precision: i32) -> i32 {
    let bits = f64::from(precision) * std::f64::consts::LOG2_10 + 1.0;
    let mut length = 1;
    while f64::from(length) * 8.0 < bits {
        length += 1;
    }
    length
}

/// A hash of a physical schema. Equal hashes mean that encoded column chunks of both may stand in one file: the same
/// leaves by path and field id, of the same physical and logical types and nesting.
pub fn schema_hash(schema: &SchemaDescriptor) -> u64 {
    let mut hash = XxHash64::with_seed(0);
    for column in schema.columns() {
        let info = column.self_type().get_basic_info();
        let id = if info.has_id() { info.id() } else { -1 };
        let text = format!(
            "{}|{id}|{:?}|{}|{}|{}|{}\n",
            column.path().string(),
            column.physical_type(),
            column.type_length(),
            logical(column),
            column.max_def_level(),
            column.max_rep_level(),
        );
        hash.write(text.as_bytes());
    }
    // Nested fields carry ids too: two structs with equal leaves may still be different columns.
    for field in schema.root_schema().get_fields() {
        nested_ids(field, &mut hash);
    }
    hash.finish()
}

/// Whether values and levels of a file's leaf column are those of a table's, byte for byte. The top-level column is known
/// to be the right one; below it the leaf is told by its field id, or by its name where the file has no ids.
pub fn same_leaf(file: &ColumnDescriptor, table: &ColumnDescriptor) -> bool {
    same_field(file, table) && levels(file) == levels(table) && same_values(file, table)
}

/// Whether values of a file's leaf column become those of a table's one by one: after a promotion (spec, "Schema Evolution"),
/// where the same times are counted in finer steps, or where only one of them has a column of its own as required.
pub fn evolved_leaf(file: &ColumnDescriptor, table: &ColumnDescriptor) -> bool {
    let decimals = is_decimal(file) && is_decimal(table) && file.type_scale() == table.type_scale();
    let more_digits = decimals && file.type_precision() <= table.type_precision();
    let finer = Clock::of(file).zip(Clock::of(table)).is_some_and(|(file, table)| file.may_become(table));
    let numbers = logical(file).is_empty() && logical(table).is_empty();
    let own = |column: &ColumnDescriptor| column.path().parts().len() == 1 && column.max_rep_level() == 0;
    same_field(file, table)
        && (levels(file) == levels(table) || (own(file) && own(table)))
        && (more_digits || finer || numbers || same_values(file, table))
}

/// Steps of a day.
const MILLIS: i64 = 86_400_000;
const MICROS: i64 = MILLIS * 1_000;

/// What the values of a column of dates or times count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    kind: ClockKind,
    /// Its steps that make up a day.
    pub per_day: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClockKind {
    Date,
    Time { utc: bool },
    Timestamp { utc: bool },
}

impl Clock {
    /// `None` for a column of anything else.
    pub fn of(column: &ColumnDescriptor) -> Option<Self> {
        let steps = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => MILLIS,
            TimeUnit::MICROS => MICROS,
            TimeUnit::NANOS => MICROS * 1_000,
        };
        let (kind, per_day) = match (column.logical_type_ref(), column.converted_type()) {
            (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => (ClockKind::Date, 1),
            (Some(LogicalType::Time { is_adjusted_to_u_t_c: utc, unit }), _) => {
                (ClockKind::Time { utc: *utc }, steps(unit))
            }
            (Some(LogicalType::Timestamp { is_adjusted_to_u_t_c: utc, unit }), _) => {
                (ClockKind::Timestamp { utc: *utc }, steps(unit))
            }
            // Old annotations do not say whether local times are meant: their columns are decoded.
            _ => return None,
        };
        Some(Self { kind, per_day })
    }

    /// Whether times may be written as the other's: dates as times without a zone (spec, "Schema Evolution"), and what
    /// writers had in milliseconds as the microseconds that it is to Iceberg.
    fn may_become(self, other: Self) -> bool {
        match (self.kind, other.kind) {
            (ClockKind::Date, kind) => kind == ClockKind::Timestamp { utc: false },
            (have, want) => have == want && (self.per_day, other.per_day) == (MILLIS, MICROS),
        }
    }
}

fn same_field(file: &ColumnDescriptor, table: &ColumnDescriptor) -> bool {
    let (have, want) = (file.self_type().get_basic_info(), table.self_type().get_basic_info());
    let nested = table.path().parts().len() > 1;
    !nested
        || if have.has_id() { have.id() == want.id() } else { file.path().parts()[1..] == table.path().parts()[1..] }
}

fn levels(column: &ColumnDescriptor) -> (i16, i16) {
    (column.max_def_level(), column.max_rep_level())
}

fn same_values(file: &ColumnDescriptor, table: &ColumnDescriptor) -> bool {
    file.physical_type() == table.physical_type()
        && file.type_length().max(0) == table.type_length().max(0)
        && logical(file) == logical(table)
}

/// Whether a column's values are decimals, in the new annotation or in the old one.
pub fn is_decimal(column: &ColumnDescriptor) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }))
        || column.converted_type() == ConvertedType::DECIMAL
}

fn nested_ids(field: &ParquetType, hash: &mut XxHash64) {
    let info = field.get_basic_info();
    hash.write_i32(if info.has_id() { info.id() } else { -1 });
    if field.is_group() {
        field.get_fields().iter().for_each(|child| nested_ids(child, hash));
    }
}

/// The logical type in one spelling, whether the writer set the new annotation, the old one, or both.
fn logical(column: &ColumnDescriptor) -> String {
    if let Some(logical) = column.logical_type_ref() {
        // INT(32, signed) and INT(64, signed) say nothing that the physical type does not.
        return match logical {
            LogicalType::Integer { bit_width: 32 | 64, is_signed: true } => String::new(),
            other => format!("{other:?}"),
        };
    }
    match column.converted_type() {
        ConvertedType::NONE | ConvertedType::INT_32 | ConvertedType::INT_64 => String::new(),
        ConvertedType::UTF8 => format!("{:?}", LogicalType::String),
        ConvertedType::DATE => format!("{:?}", LogicalType::Date),
        ConvertedType::DECIMAL => {
            format!("{:?}", LogicalType::Decimal { precision: column.type_precision(), scale: column.type_scale() })
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_give_decimals_the_fewest_bytes() {
        // From the table of the Java implementation's TypeUtil.decimalRequiredBytes.
        assert_eq!([19, 20, 21, 28, 38].map(decimal_length), [9, 9, 9, 12, 16]);
    }
}
