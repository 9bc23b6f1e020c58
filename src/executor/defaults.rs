//! Values of columns that are younger than a file (spec, "Default values": `initial-default`).

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use iceberg::spec::{Literal, PrimitiveLiteral};

use crate::error::{Error, Result};

/// So many rows of one value.
///
/// # Errors
/// `Unsupported` for a value that has no form in this type.
pub(super) fn constant(column: &str, value: &Literal, kind: &DataType, rows: usize) -> Result<ArrayRef> {
    let unsupported = || {
        Error::unsupported(format!("the default of column {column} can't be written as {kind}"))
            .hint("files from before the column was added are left alone: leave them out with --where")
    };
    let Literal::Primitive(value) = value else { return Err(unsupported()) };
    Ok(match (value, kind) {
        (PrimitiveLiteral::Boolean(v), DataType::Boolean) => Arc::new(BooleanArray::from(vec![*v; rows])),
        (PrimitiveLiteral::Int(v), DataType::Int32) => Arc::new(Int32Array::from_value(*v, rows)),
        (PrimitiveLiteral::Int(v), DataType::Date32) => Arc::new(Date32Array::from_value(*v, rows)),
        (PrimitiveLiteral::Long(v), DataType::Int64) => Arc::new(Int64Array::from_value(*v, rows)),
        (PrimitiveLiteral::Long(v), DataType::Time64(TimeUnit::Microsecond)) => {
            Arc::new(Time64MicrosecondArray::from_value(*v, rows))
        }
        (PrimitiveLiteral::Long(v), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            Arc::new(TimestampMicrosecondArray::from_value(*v, rows).with_timezone_opt(zone.clone()))
        }
        (PrimitiveLiteral::Long(v), DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
            Arc::new(TimestampNanosecondArray::from_value(*v, rows).with_timezone_opt(zone.clone()))
        }
        (PrimitiveLiteral::Float(v), DataType::Float32) => Arc::new(Float32Array::from_value(v.into_inner(), rows)),
        (PrimitiveLiteral::Double(v), DataType::Float64) => Arc::new(Float64Array::from_value(v.into_inner(), rows)),
        (PrimitiveLiteral::String(v), DataType::Utf8) => Arc::new(StringArray::from(vec![v.as_str(); rows])),
        (PrimitiveLiteral::Binary(v), DataType::Binary) => Arc::new(BinaryArray::from(vec![v.as_slice(); rows])),
        (PrimitiveLiteral::Binary(v), DataType::FixedSizeBinary(length)) if v.len() == *length as usize => {
            fixed(v, *length, rows).ok_or_else(unsupported)?
        }
        (PrimitiveLiteral::UInt128(v), DataType::FixedSizeBinary(16)) => {
            fixed(&v.to_be_bytes(), 16, rows).ok_or_else(unsupported)?
        }
        (PrimitiveLiteral::Int128(v), DataType::Decimal128(precision, scale)) => {
            let values = Decimal128Array::from_value(*v, rows).with_precision_and_scale(*precision, *scale);
            Arc::new(values.map_err(|e| unsupported().caused_by(e))?)
        }
        _ => return Err(unsupported()),
    })
}

fn fixed(value: &[u8], length: i32, rows: usize) -> Option<ArrayRef> {
    let all = FixedSizeBinaryArray::try_new(length, value.repeat(rows).into(), None).ok()?;
    Some(Arc::new(all))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn should_repeat_a_default_in_the_type_of_its_column() {
        let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let cases = [
            (Literal::int(7), DataType::Int32),
            (Literal::int(19_000), DataType::Date32),
            (Literal::long(5), zone),
            (Literal::double(1.5), DataType::Float64),
            (Literal::string("n/a"), DataType::Utf8),
            (Literal::Primitive(PrimitiveLiteral::UInt128(1)), DataType::FixedSizeBinary(16)),
            (Literal::Primitive(PrimitiveLiteral::Int128(-5)), DataType::Decimal128(10, 2)),
        ];
        for (value, kind) in cases {
            let made = constant("c", &value, &kind, 3).unwrap();
            assert_eq!((made.len(), made.null_count(), made.data_type()), (3, 0, &kind));
        }
        assert!(constant("c", &Literal::int(7), &DataType::Utf8, 3).is_err(), "another type");
        let short = Literal::Primitive(PrimitiveLiteral::Binary(vec![1]));
        assert!(constant("c", &short, &DataType::FixedSizeBinary(4), 3).is_err(), "another length");
    }
}
