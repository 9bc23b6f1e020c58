//! Key columns as bytes: equal keys are equal bytes, different ones are not.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

use super::hashed::hash;
use crate::error::{Error, Result};

/// The keys of one batch of rows. Those of a single column are the column's own bytes; a null has none. Those of several
/// columns, where a null is a value like others, are put together.
pub(super) struct Keys {
    bytes: Bytes,
    nulls: Option<NullBuffer>,
    rows: usize,
}

enum Bytes {
    Column(Values),
    Joined { bytes: Vec<u8>, ends: Vec<usize> },
}

struct Column {
    values: Values,
    nulls: Option<NullBuffer>,
}

enum Values {
    /// Values of one width.
    Fixed {
        bytes: Buffer,
        offset: usize,
        width: usize,
    },
    /// Texts and bytes.
    Variable {
        bytes: Buffer,
        offsets: OffsetBuffer<i32>,
    },
    Bits(BooleanBuffer),
}

/// The width of keys of columns of these types, where all have the same.
pub(super) fn width(kinds: &[&DataType]) -> Option<usize> {
    match kinds {
        [DataType::Boolean] => Some(1),
        [DataType::FixedSizeBinary(width)] => usize::try_from(*width).ok(),
        [one] => one.primitive_width(),
        _ => None,
    }
    .filter(|width| *width > 0)
}

impl Values {
    fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Fixed { bytes, offset, width } => &bytes[(offset + row) * width..][..*width],
            Self::Variable { bytes, offsets } => &bytes[at(offsets[row])..at(offsets[row + 1])],
            Self::Bits(bits) => &[[0], [1]][usize::from(bits.value(row))],
        }
    }
}

fn at(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

impl Keys {
    /// The keys of a batch of key columns.
    pub(super) fn of(batch: &[ArrayRef]) -> Result<Self> {
        let rows = batch.first().map_or(0, |column| column.len());
        let mut columns = batch.iter().map(column).collect::<Result<Vec<_>>>()?;
        if columns.len() == 1
            && let Some(Column { values, nulls }) = columns.pop()
        {
            return Ok(Self { bytes: Bytes::Column(values), nulls, rows });
        }
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(rows));
        for row in 0..rows {
            append(&columns, row, &mut bytes);
            ends.push(bytes.len());
        }
        Ok(Self { bytes: Bytes::Joined { bytes, ends }, nulls: None, rows })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the key of a row is the null.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The rows whose key is the null.
    pub(super) fn nulls(&self) -> impl Iterator<Item = usize> {
        let some = self.nulls.iter().filter(|nulls| nulls.null_count() > 0);
        some.flat_map(|nulls| (0..nulls.len()).filter(|row| nulls.is_null(*row)))
    }

    /// The key of a row; of one that is null, anything.
    pub(super) fn get(&self, row: usize) -> &[u8] {
        match &self.bytes {
            Bytes::Column(values) => values.get(row),
            Bytes::Joined { bytes, ends } => &bytes[row.checked_sub(1).map_or(0, |before| ends[before])..ends[row]],
        }
    }

    /// The hashes of all keys.
    pub(super) fn hash_into(&self, hashes: &mut Vec<u64>) {
        hashes.clear();
        match &self.bytes {
            Bytes::Column(Values::Fixed { bytes, offset, width }) => {
                let bytes = &bytes[offset * width..(offset + self.rows) * width];
                // The compiler knows what to do when it knows the width.
                match width {
                    4 => hashes.extend(bytes.as_chunks::<4>().0.iter().map(|key| hash(key))),
                    8 => hashes.extend(bytes.as_chunks::<8>().0.iter().map(|key| hash(key))),
                    16 => hashes.extend(bytes.as_chunks::<16>().0.iter().map(|key| hash(key))),
                    width => hashes.extend(bytes.chunks_exact(*width).map(hash)),
                }
            }
            Bytes::Column(Values::Variable { bytes, offsets }) => {
                hashes.extend(offsets.windows(2).map(|ends| hash(&bytes[at(ends[0])..at(ends[1])])));
            }
            _ => hashes.extend((0..self.rows).map(|row| hash(self.get(row)))),
        }
    }
}

/// Appends the key of a row of several columns.
fn append(columns: &[Column], row: usize, key: &mut Vec<u8>) {
    for (number, column) in columns.iter().enumerate() {
        if column.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            key.push(0);
            continue;
        }
        key.push(1);
        let value = column.values.get(row);
        // With its length, or two texts could be divided in two ways. The last one ends where the key does.
        if matches!(column.values, Values::Variable { .. }) && number + 1 < columns.len() {
            // Offsets of texts are below 2^31.
            key.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        key.extend_from_slice(value);
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

    fn keys(batch: &[ArrayRef]) -> Vec<Option<Vec<u8>>> {
        let keys = Keys::of(batch).unwrap();
        let mut hashes = Vec::new();
        keys.hash_into(&mut hashes);
        let nulls: Vec<usize> = keys.nulls().collect();
        assert_eq!(nulls, (0..keys.rows()).filter(|row| keys.is_null(*row)).collect::<Vec<_>>());
        let living = |row: &usize| !keys.is_null(*row);
        assert!((0..keys.rows()).filter(living).all(|row| hashes[row] == hash(keys.get(row))));
        (0..keys.rows()).map(|row| living(&row).then(|| keys.get(row).to_vec())).collect()
    }

    #[test]
    fn should_tell_all_keys_apart_and_none_twice() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("ab"), None, Some(""), Some("a"), None]));
        let b: ArrayRef =
            Arc::new(StringArray::from(vec![Some("bc"), Some("c"), Some(""), None, Some("bc"), Some("")]));
        let made = keys(&[a, b]);
        assert_eq!((&made[0], &made[2]), (&made[4], &made[5]));
        let mut seen: HashMap<&Option<Vec<u8>>, u32> = HashMap::new();
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
