//! Places on a curve through up to eight columns.
//!
//! Each column's values become ranks first: where a value stands among those of a sample. Raw bits would let the column
//! with the widest type decide alone; ranks give each column the same say, whatever its type and skew.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use crate::error::{Error, Result};
use crate::model::Curve;

/// Bits of a rank: with eight columns, a place on the curve fills 128.
const BITS: u32 = 16;
/// Ranks that a column is divided into at the most.
const RANKS: usize = 1 << 12;

/// How the values of one column become ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranker {
    /// What all texts of the sample begin with: only what follows tells them apart.
    prefix: Vec<u8>,
    /// Least values of the ranks above 0, ascending.
    edges: Vec<u64>,
}

impl Ranker {
    /// Learns from a sample; one without values gives every row the same rank.
    pub(super) fn learn(sample: &[ArrayRef]) -> Result<Self> {
        let mut prefix: Option<Vec<u8>> = None;
        for text in sample.iter().flat_map(texts) {
            prefix = Some(match prefix {
                None => text.to_vec(),
                Some(known) => known.iter().zip(text).take_while(|(a, b)| a == b).map(|(a, _)| *a).collect(),
            });
        }
        let mut ranker = Self { prefix: prefix.unwrap_or_default(), edges: Vec::new() };
        let mut values = Vec::new();
        for array in sample {
            values.extend(ranker.numbers(array)?.into_iter().flatten());
        }
        values.sort_unstable();
        let count = values.len();
        let parts = count.min(RANKS);
        ranker.edges = (1..parts).map(|part| values[part * count / parts]).collect();
        ranker.edges.dedup();
        Ok(ranker)
    }

    /// The rank of each value, spread over [`BITS`] bits; nulls come first.
    pub(super) fn ranks(&self, array: &ArrayRef) -> Result<Vec<u32>> {
        let highest = self.edges.len() as u64 + 1;
        let spread = |rank: u64| u32::try_from((rank << BITS) / (highest + 1)).unwrap_or(u32::MAX);
        let numbers = self.numbers(array)?;
        Ok(numbers
            .into_iter()
            .map(|number| match number {
                None => 0,
                Some(number) => spread(self.edges.partition_point(|edge| *edge <= number) as u64 + 1),
            })
            .collect())
    }

    /// Values as numbers in the same order.
    fn numbers(&self, array: &ArrayRef) -> Result<Vec<Option<u64>>> {
        let signed = |value: i64| value.cast_unsigned() ^ (1 << 63);
        Ok(match array.data_type() {
            DataType::Boolean => array.as_boolean().iter().map(|v| v.map(u64::from)).collect(),
            DataType::Int32 => each(array.as_primitive::<Int32Type>(), |v| signed(v.into())),
            DataType::Date32 => each(array.as_primitive::<Date32Type>(), |v| signed(v.into())),
            DataType::Int64 => each(array.as_primitive::<Int64Type>(), signed),
            DataType::Time64(TimeUnit::Microsecond) => each(array.as_primitive::<Time64MicrosecondType>(), signed),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                each(array.as_primitive::<TimestampMicrosecondType>(), signed)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                each(array.as_primitive::<TimestampNanosecondType>(), signed)
            }
            DataType::Float32 => each(array.as_primitive::<Float32Type>(), |v| float(v.into())),
            DataType::Float64 => each(array.as_primitive::<Float64Type>(), float),
            DataType::Decimal128(precision, _) => {
                // The digits of a wide decimal are more than 64 bits: the lowest are left out.
                let bits = (f64::from(*precision) * std::f64::consts::LOG2_10).ceil() as u32 + 1;
                let shift = bits.saturating_sub(64);
                each(array.as_primitive::<Decimal128Type>(), |v| {
                    signed(i64::try_from(v >> shift).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX }))
                })
            }
            DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_) => {
                return Ok(self.text_numbers(array));
            }
            other => {
                return Err(Error::unsupported(format!("values of type {other} have no place on a curve"))
                    .hint("take columns of numbers, times, texts or booleans"));
            }
        })
    }

    /// What follows the common beginning, as the first eight bytes of it.
    fn text_numbers(&self, array: &ArrayRef) -> Vec<Option<u64>> {
        let number = |text: &[u8]| match text.strip_prefix(self.prefix.as_slice()) {
            Some(rest) => {
                let mut first = [0; 8];
                let length = rest.len().min(8);
                first[..length].copy_from_slice(&rest[..length]);
                u64::from_be_bytes(first)
            }
            None if text < self.prefix.as_slice() => 0,
            None => u64::MAX,
        };
        match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().iter().map(|v| v.map(|v| number(v.as_bytes()))).collect(),
            DataType::Binary => array.as_binary::<i32>().iter().map(|v| v.map(number)).collect(),
            _ => array.as_fixed_size_binary().iter().map(|v| v.map(number)).collect(),
        }
    }
}

fn each<T: arrow_array::ArrowPrimitiveType>(
    array: &arrow_array::PrimitiveArray<T>,
    number: impl Fn(T::Native) -> u64,
) -> Vec<Option<u64>> {
    array.iter().map(|value| value.map(&number)).collect()
}

/// The values of an array that are texts or bytes.
fn texts(array: &ArrayRef) -> Vec<&[u8]> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().flatten().map(str::as_bytes).collect(),
        DataType::Binary => array.as_binary::<i32>().iter().flatten().collect(),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// Floats in order: -0.0 is 0.0 and every NaN comes last.
fn float(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

/// The place of a row on the curve, from its rank in each column.
pub(super) fn place(curve: Curve, ranks: &mut [u32]) -> u128 {
    if curve == Curve::Hilbert {
        hilbert(ranks);
    }
    interleave(ranks)
}

fn interleave(ranks: &[u32]) -> u128 {
    let mut place = 0u128;
    for bit in (0..BITS).rev() {
        for rank in ranks {
            place = (place << 1) | u128::from((rank >> bit) & 1);
        }
    }
    place
}

/// Axes to the transposed Hilbert index, in place (J. Skilling, "Programming the Hilbert curve", AIP 2004).
fn hilbert(x: &mut [u32]) {
    let n = x.len();
    let highest = 1u32 << (BITS - 1);
    let mut q = highest;
    while q > 1 {
        let p = q - 1;
        for i in 0..n {
            if x[i] & q != 0 {
                x[0] ^= p;
            } else {
                let swap = (x[0] ^ x[i]) & p;
                x[0] ^= swap;
                x[i] ^= swap;
            }
        }
        q >>= 1;
    }
    for i in 1..n {
        x[i] ^= x[i - 1];
    }
    let mut t = 0;
    let mut q = highest;
    while q > 1 {
        if x[n - 1] & q != 0 {
            t ^= q - 1;
        }
        q >>= 1;
    }
    for value in x {
        *value ^= t;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn should_rank_in_order_whatever_the_type() {
        let ranks = |sample: ArrayRef, values: ArrayRef| Ranker::learn(&[sample]).unwrap().ranks(&values).unwrap();
        let numbers = |values: Vec<Option<i64>>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let sample = numbers((0..1000).map(|n| Some(n * n)).collect());
        let found = ranks(sample, numbers(vec![None, Some(i64::MIN), Some(0), Some(250_000), Some(i64::MAX)]));
        assert!(found.is_sorted(), "{found:?}");
        // Half of the sample is below 250,000: its rank is in the middle, though its value is not.
        assert!((found[3] as i64 - (1 << 15)).abs() < 100, "{found:?}");
        let texts = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let sample: Vec<String> = (0..100).map(|n| format!("https://example.com/{n:03}")).collect();
        let sample = texts(&sample.iter().map(String::as_str).collect::<Vec<_>>());
        let found = ranks(sample, texts(&["a", "https://example.com/", "https://example.com/050", "https://f", "z"]));
        assert!(found.is_sorted() && found[2] > found[1] && found[3] > found[2], "{found:?}");
        let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let all = floats(&[f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN, -f64::NAN]);
        let found = ranks(all.clone(), all);
        assert!(found.is_sorted() && found[2] == found[3] && found[6] == found[7], "{found:?}");
    }

    #[test]
    fn should_walk_from_neighbour_to_neighbour() {
        // Scaled to the top bits, so that the curve's first steps are seen: 16 by 16 cells in two dimensions.
        let shift = BITS - 4;
        let mut cells: Vec<(u128, i64, i64)> = (0..16u32)
            .flat_map(|x| (0..16u32).map(move |y| (x, y)))
            .map(|(x, y)| (place(Curve::Hilbert, &mut [x << shift, y << shift]), x.into(), y.into()))
            .collect();
        cells.sort_unstable();
        for pair in cells.windows(2) {
            let distance = (pair[0].1 - pair[1].1).abs() + (pair[0].2 - pair[1].2).abs();
            assert_eq!(distance, 1, "{pair:?}");
        }
        assert!(place(Curve::ZOrder, &mut [1 << 15, 0]) > place(Curve::ZOrder, &mut [0, u32::from(u16::MAX)]));
    }
}
