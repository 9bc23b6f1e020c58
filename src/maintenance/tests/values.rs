//! Values of all kinds, as a reader and a writer go by them that share no code with what they check.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;

/// A value, where equal ones are equal whatever type their file had: null is null, NaN is NaN, and -0.0 is not 0.0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// The bits of a float that has one NaN.
    Float(u64),
    /// All decimals of a column have one scale.
    Decimal(i128),
    /// Microseconds since 1970, also of a date.
    Time(i64),
    Text(String),
    Bytes(Vec<u8>),
}

const DAY: i64 = 86_400_000_000;

impl Value {
    pub(super) fn float(value: f64) -> Self {
        Self::Float(if value.is_nan() { f64::NAN } else { value }.to_bits())
    }

    pub(super) fn day(days: i64) -> Self {
        Self::Time(days * DAY)
    }

    pub(super) fn int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(value) = self { Some(value) } else { None }
    }

    fn number(&self) -> Option<f64> {
        if let Self::Float(bits) = self { Some(f64::from_bits(*bits)) } else { None }
    }

    fn decimal(&self) -> Option<i128> {
        if let Self::Decimal(value) = self { Some(*value) } else { None }
    }

    fn micros(&self) -> Option<i64> {
        if let Self::Time(value) = self { Some(*value) } else { None }
    }

    fn bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// The value of a column in a file.
    pub(super) fn of(column: &ArrayRef, index: usize) -> Self {
        if column.is_null(index) {
            return Self::Null;
        }
        match column.data_type() {
            DataType::Boolean => Self::Bool(column.as_boolean().value(index)),
            DataType::Int32 => Self::Int(column.as_primitive::<Int32Type>().value(index).into()),
            DataType::Int64 => Self::Int(column.as_primitive::<Int64Type>().value(index)),
            DataType::Float32 => Self::float(column.as_primitive::<Float32Type>().value(index).into()),
            DataType::Float64 => Self::float(column.as_primitive::<Float64Type>().value(index)),
            DataType::Decimal128(..) => Self::Decimal(column.as_primitive::<Decimal128Type>().value(index)),
            DataType::Date32 => Self::day(column.as_primitive::<Date32Type>().value(index).into()),
            DataType::Timestamp(..) => Self::Time(column.as_primitive::<TimestampMicrosecondType>().value(index)),
            DataType::Binary => Self::Bytes(column.as_binary::<i32>().value(index).to_owned()),
            _ => Self::Text(column.as_string::<i32>().value(index).to_owned()),
        }
    }
}

/// A column of values in one of the types that a table's writer uses.
pub(super) fn column<'v>(kind: &DataType, values: impl Iterator<Item = Option<&'v Value>>) -> ArrayRef {
    let narrow = |value: i64| i32::try_from(value).unwrap();
    match kind {
        DataType::Boolean => Arc::new(values.map(|v| v.and_then(Value::bool)).collect::<BooleanArray>()),
        DataType::Int32 => Arc::new(Int32Array::from_iter(values.map(|v| v.and_then(Value::int).map(narrow)))),
        DataType::Int64 => Arc::new(Int64Array::from_iter(values.map(|v| v.and_then(Value::int)))),
        DataType::Float32 => {
            Arc::new(Float32Array::from_iter(values.map(|v| v.and_then(Value::number).map(|v| v as f32))))
        }
        DataType::Float64 => Arc::new(Float64Array::from_iter(values.map(|v| v.and_then(Value::number)))),
        DataType::Decimal128(precision, scale) => {
            let values = Decimal128Array::from_iter(values.map(|v| v.and_then(Value::decimal)));
            Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Date32 => {
            Arc::new(Date32Array::from_iter(values.map(|v| v.and_then(Value::micros).map(|v| narrow(v / DAY)))))
        }
        DataType::Timestamp(..) => {
            Arc::new(TimestampMicrosecondArray::from_iter(values.map(|v| v.and_then(Value::micros))))
        }
        DataType::Binary => Arc::new(BinaryArray::from_iter(values.map(|v| v.and_then(Value::bytes)))),
        _ => Arc::new(StringArray::from_iter(values.map(|v| v.and_then(Value::text)))),
    }
}
