//! Key columns as bytes: equal keys are equal bytes, different ones are not.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use crate::error::{Error, Result};

/// The keys of one batch of rows.
pub(super) struct Keys {
    columns: Vec<Column>,
    rows: usize,
}

struct Column {
    values: Values,
    nulls: Option<NullBuffer>,
}

enum Values {
    /// Values of one width.
    Fixed {
        bytes: arrow_buffer::Buffer,
        offset: usize,
        width: usize,
    },
    /// Texts and bytes.
    Variable {
        bytes: arrow_buffer::Buffer,
        offsets: arrow_buffer::OffsetBuffer<i32>,
    },
    Bits(arrow_buffer::BooleanBuffer),
}

impl Keys {
    /// Prepares a batch of key columns.
    pub(super) fn of(batch: &[ArrayRef]) -> Result<Self> {
        let rows = batch.first().map_or(0, |column| column.len());
        Ok(Self { columns: batch.iter().map(column).collect::<Result<_>>()?, rows })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends the key of a row.
    pub(super) fn append(&self, row: usize, key: &mut Vec<u8>) {
        for (number, column) in self.columns.iter().enumerate() {
            if column.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                key.push(0);
                continue;
            }
            key.push(1);
            match &column.values {
                Values::Fixed { bytes, offset, width } => {
                    let start = (offset + row) * width;
                    key.extend_from_slice(&bytes[start..start + width]);
                }
                Values::Variable { bytes, offsets } => {
                    let (start, end) = (offsets[row], offsets[row + 1]);
                    // With its length, or two texts could be divided in two ways. The last one ends where the key does.
                    if number + 1 < self.columns.len() {
                        key.extend_from_slice(&(end - start).to_le_bytes());
                    }
                    let at = |n: i32| usize::try_from(n).unwrap_or(0);
                    key.extend_from_slice(&bytes[at(start)..at(end)]);
                }
                Values::Bits(bits) => key.push(u8::from(bits.value(row))),
            }
        }
    }
}

fn column(array: &ArrayRef) -> Result<Column> {
    // A column below structs is null where a parent is.
    let (mut array, mut nulls) = (array.clone(), array.logical_nulls());
    while let Some(parent) = array.as_struct_opt() {
        let child = parent.columns().first().cloned();
        array = child.ok_or_else(|| Error::internal("a struct without the delete column"))?;
        nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
    }
    Ok(Column { values: values(&array)?, nulls })
}

fn values(array: &ArrayRef) -> Result<Values> {
    let canonical: ArrayRef = match array.data_type() {
        DataType::Float32 => {
            let one_nan = |v: f32| if v.is_nan() { f32::NAN } else { v };
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(one_nan))
        }
        DataType::Float64 => {
            let one_nan = |v: f64| if v.is_nan() { f64::NAN } else { v };
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(one_nan))
        }
        _ => array.clone(),
    };
    Ok(match canonical.data_type() {
        DataType::Boolean => Values::Bits(canonical.as_boolean().values().clone()),
        DataType::Utf8 => {
            let array = canonical.as_string::<i32>();
            Values::Variable { bytes: array.values().clone(), offsets: array.offsets().clone() }
        }
        DataType::Binary => {
            let array = canonical.as_binary::<i32>();
            Values::Variable { bytes: array.values().clone(), offsets: array.offsets().clone() }
        }
        kind => {
            let width = match kind {
                DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
                kind => kind.primitive_width(),
            };
            let width = width.ok_or_else(|| {
                Error::unsupported(format!("a delete column is of type {kind}, which can't be compared"))
            })?;
            let data = canonical.to_data();
            let bytes = data.buffers().first().cloned().unwrap_or_else(|| Vec::<u8>::new().into());
            Values::Fixed { bytes, offset: data.offset(), width }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow_array::{BooleanArray, Float64Array, Int32Array, StringArray, StructArray};
    use arrow_schema::{Field, Fields};

    use super::*;

    fn keys(batch: &[ArrayRef]) -> Vec<Vec<u8>> {
        let keys = Keys::of(batch).unwrap();
        (0..keys.rows())
            .map(|row| {
                let mut key = Vec::new();
                keys.append(row, &mut key);
                key
            })
            .collect()
    }

    #[test]
    fn should_tell_all_keys_apart_and_none_twice() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("ab"), None, Some(""), Some("a"), None]));
        let b: ArrayRef =
            Arc::new(StringArray::from(vec![Some("bc"), Some("c"), Some(""), None, Some("bc"), Some("")]));
        let made = keys(&[a, b]);
        assert_eq!((&made[0], &made[2]), (&made[4], &made[5]));
        let mut seen: HashMap<&Vec<u8>, u32> = HashMap::new();
        made.iter().for_each(|key| *seen.entry(key).or_default() += 1);
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn should_take_null_for_null_and_nan_for_nan_but_not_zero_for_minus_zero() {
        let odd = f64::from_bits(0x7ff8_0000_0000_0001);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![
            None,
            None,
            Some(f64::NAN),
            Some(odd),
            Some(-f64::NAN),
            Some(0.0),
            Some(-0.0),
        ]));
        let made = keys(&[floats]);
        assert_eq!(made[0], made[1]);
        assert_eq!((&made[2], &made[2]), (&made[3], &made[4]));
        assert_ne!(made[5], made[6]);
        assert_ne!(made[0], made[5]);
    }

    #[test]
    fn should_see_through_slices_and_null_parents() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None, Some(2)]));
        assert_eq!(keys(&[numbers.slice(1, 3)]), keys(std::slice::from_ref(&numbers))[1..]);
        let bits: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]));
        assert_eq!(keys(&[bits.slice(1, 3)]), keys(&[bits])[1..]);
        let fields: Fields = vec![Field::new("n", DataType::Int32, true)].into();
        let parents = NullBuffer::from(vec![true, false, true, true]);
        let nested: ArrayRef = Arc::new(StructArray::new(fields, vec![numbers], Some(parents)));
        let made = keys(&[nested]);
        assert_eq!(made[1], made[2], "below a null parent everything is null");
        assert_ne!(made[1], made[3]);
    }
}
