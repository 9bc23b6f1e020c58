//! Values of a type that was promoted since their file was written (spec, "Schema Evolution") get the bytes of the new type;
//! those of a dictionary once a chunk. What they are stays the same, and so does everything around them.

use parquet::basic::Type as Physical;

use super::dictionary::Layout;
use super::input::Shape;
use super::stop::{Result, unfit};

/// How PLAIN values become wider ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Widen {
    /// INT32 to INT64.
    Integer,
    /// FLOAT to DOUBLE.
    Float,
    /// A number, lowest byte first, to one of so many bytes with the highest first, as larger decimals are.
    Turned { from: usize, to: usize },
    /// One with the highest byte first to a longer one.
    Longer { from: usize, to: usize },
    /// A date or time of so many bytes to one of finer steps, so many of which make one of the old.
    Finer { from: usize, steps: i64 },
}

impl Widen {
    /// How values of one shape get another; `None` where they have it.
    pub(super) fn between(from: &Shape, to: &Shape) -> Result<Option<Self>> {
        use Physical::{DOUBLE, FIXED_LEN_BYTE_ARRAY, FLOAT, INT32, INT64};
        let levels = |shape: &Shape| (shape.max_definition, shape.max_repetition);
        // A column of its own that is required here and optional there has the same values all the same.
        if levels(from) != levels(to) && [from, to].iter().any(|shape| levels(shape) > (1, 0)) {
            return unfit("its levels are others");
        }
        let (Layout::Fixed(have), Layout::Fixed(want)) = (from.layout, to.layout) else {
            return if from.physical == to.physical { Ok(None) } else { unfit("its values are of another kind") };
        };
        match (from.physical, to.physical) {
            (INT32 | INT64, INT64) if from.per_day != to.per_day => match (from.per_day, to.per_day) {
                (Some(few), Some(many)) if many % few == 0 => Ok(Some(Self::Finer { from: have, steps: many / few })),
                _ => unfit("its times are of another unit"),
            },
            (a, b) if a == b && have == want => Ok(None),
            (INT32, INT64) => Ok(Some(Self::Integer)),
            (FLOAT, DOUBLE) => Ok(Some(Self::Float)),
            (INT32 | INT64, FIXED_LEN_BYTE_ARRAY) if have <= want => Ok(Some(Self::Turned { from: have, to: want })),
            (FIXED_LEN_BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY) if have < want => {
                Ok(Some(Self::Longer { from: have, to: want }))
            }
            _ => unfit("its values are of another kind"),
        }
    }

    /// Appends the wider values.
    pub(super) fn apply(self, plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Integer => {
                let values = plain.as_chunks::<4>().0.iter().map(|value| i64::from(i32::from_le_bytes(*value)));
                out.extend(values.flat_map(i64::to_le_bytes));
            }
            Self::Float => {
                let values = plain.as_chunks::<4>().0.iter().map(|value| f64::from(f32::from_le_bytes(*value)));
                out.extend(values.flat_map(f64::to_le_bytes));
            }
            Self::Turned { from, to } => {
                for value in plain.chunks_exact(from) {
                    extend(value[from - 1], to - from, out);
                    out.extend(value.iter().rev());
                }
            }
            Self::Longer { from, to } => {
                for value in plain.chunks_exact(from) {
                    extend(value[0], to - from, out);
                    out.extend_from_slice(value);
                }
            }
            Self::Finer { from, steps } => {
                out.reserve(plain.len() / from * 8);
                for value in plain.chunks_exact(from) {
                    match signed(value).checked_mul(steps) {
                        Some(finer) => out.extend_from_slice(&finer.to_le_bytes()),
                        None => return unfit("a time that is beyond those of the table's type"),
                    }
                }
            }
        }
        Ok(())
    }
}

/// A number of four or eight bytes.
fn signed(value: &[u8]) -> i64 {
    match (value.first_chunk::<8>(), value.first_chunk::<4>()) {
        (Some(long), _) => i64::from_le_bytes(*long),
        (None, Some(int)) => i32::from_le_bytes(*int).into(),
        (None, None) => 0,
    }
}

/// Bytes before a number, by the sign in its highest byte.
fn extend(highest: u8, count: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + count, if highest & 0x80 == 0 { 0 } else { 0xff });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_keep_numbers_what_they_are() {
        let widened = |widen: Widen, plain: &[u8]| {
            let mut out = Vec::new();
            widen.apply(plain, &mut out).unwrap();
            out
        };
        let ints: Vec<u8> = [-1i32, i32::MIN, 70_000].iter().flat_map(|n| n.to_le_bytes()).collect();
        let longs: Vec<u8> = [-1i64, i64::from(i32::MIN), 70_000].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(widened(Widen::Integer, &ints), longs);
        let wide: Vec<u8> = [-1i128, i128::from(i32::MIN), 70_000].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(widened(Widen::Turned { from: 4, to: 16 }, &ints), wide);
        assert_eq!(widened(Widen::Turned { from: 8, to: 16 }, &longs), wide);
        let nine: Vec<u8> = wide.chunks(16).flat_map(|value| value[7..].to_vec()).collect();
        assert_eq!(widened(Widen::Longer { from: 9, to: 16 }, &nine), wide);
        let floats: Vec<u8> = [0.1f32, -0.0, f32::NAN].iter().flat_map(|n| n.to_le_bytes()).collect();
        let doubles: Vec<u8> =
            [f64::from(0.1f32), -0.0, f64::from(f32::NAN)].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(widened(Widen::Float, &floats), doubles);
        let micros: Vec<u8> =
            [-1i64, i64::from(i32::MIN), 70_000].iter().flat_map(|n| (n * 1000).to_le_bytes()).collect();
        assert_eq!(widened(Widen::Finer { from: 4, steps: 1000 }, &ints), micros);
        assert_eq!(widened(Widen::Finer { from: 8, steps: 1000 }, &longs), micros);
        let nanos = Widen::Finer { from: 4, steps: 86_400_000_000_000 };
        assert!(nanos.apply(&ints, &mut Vec::new()).is_err(), "nanoseconds end in the year 2262");
    }
}
