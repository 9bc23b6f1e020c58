//! Bounds as values: read from Parquet statistics, compared by the Iceberg type, written as the spec serialises them.

use std::cmp::Ordering;

use iceberg::spec::PrimitiveType;
use parquet::file::statistics::Statistics;

/// A lower or upper bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    Bool(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    /// Unsigned byte order: strings, binary, fixed, uuid.
    Bytes(Vec<u8>),
    /// The unscaled value.
    Decimal(i128),
}

impl Bound {
    /// Bounds of one column chunk, and whether both are exact. `None` when the statistics have none that can be trusted.
    pub(crate) fn of(statistics: &Statistics, kind: Option<&PrimitiveType>) -> Option<(Self, Self, bool)> {
        let kind = kind?;
        let exact = statistics.min_is_exact() && statistics.max_is_exact();
        let decimal = matches!(kind, PrimitiveType::Decimal { .. });
        let (low, high) = match statistics {
            Statistics::Boolean(s) => (Self::Bool(*s.min_opt()?), Self::Bool(*s.max_opt()?)),
            Statistics::Int32(s) if decimal => {
                (Self::Decimal(i128::from(*s.min_opt()?)), Self::Decimal(i128::from(*s.max_opt()?)))
            }
            Statistics::Int64(s) if decimal => {
                (Self::Decimal(i128::from(*s.min_opt()?)), Self::Decimal(i128::from(*s.max_opt()?)))
            }
            Statistics::Int32(s) => {
                (Self::integer(i64::from(*s.min_opt()?), kind)?, Self::integer(i64::from(*s.max_opt()?), kind)?)
            }
            Statistics::Int64(s) => (Self::integer(*s.min_opt()?, kind)?, Self::integer(*s.max_opt()?, kind)?),
            Statistics::Float(s) => {
                (Self::float(f64::from(*s.min_opt()?), kind)?, Self::float(f64::from(*s.max_opt()?), kind)?)
            }
            Statistics::Double(s) => (Self::float(*s.min_opt()?, kind)?, Self::float(*s.max_opt()?, kind)?),
            Statistics::ByteArray(s) => {
                (Self::bytes(s.min_opt()?.data(), kind)?, Self::bytes(s.max_opt()?.data(), kind)?)
            }
            Statistics::FixedLenByteArray(s) => {
                (Self::bytes(s.min_opt()?.data(), kind)?, Self::bytes(s.max_opt()?.data(), kind)?)
            }
            // INT96 has no order that writers agree on.
            Statistics::Int96(_) => return None,
        };
        Some((low, high, exact))
    }

    fn integer(value: i64, kind: &PrimitiveType) -> Option<Self> {
        match kind {
            PrimitiveType::Int | PrimitiveType::Date => i32::try_from(value).ok().map(Self::Int),
            PrimitiveType::Long
            | PrimitiveType::Time
            | PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::TimestampNs
            | PrimitiveType::TimestamptzNs => Some(Self::Long(value)),
            _ => None,
        }
    }

    fn float(value: f64, kind: &PrimitiveType) -> Option<Self> {
        if value.is_nan() {
            // Some writers let NaN into their statistics: such bounds say nothing.
            return None;
        }
        match kind {
            #[expect(clippy::cast_possible_truncation, reason = "it was widened from 32 bits")]
            PrimitiveType::Float => Some(Self::Float(value as f32)),
            PrimitiveType::Double => Some(Self::Double(value)),
            _ => None,
        }
    }

    fn bytes(value: &[u8], kind: &PrimitiveType) -> Option<Self> {
        match kind {
            PrimitiveType::String | PrimitiveType::Binary | PrimitiveType::Fixed(_) | PrimitiveType::Uuid => {
                Some(Self::Bytes(value.to_vec()))
            }
            PrimitiveType::Decimal { .. } if value.len() <= 16 && !value.is_empty() => {
                let fill = if value[0] & 0x80 == 0 { 0 } else { 0xff };
                let mut wide = [fill; 16];
                wide[16 - value.len()..].copy_from_slice(value);
                Some(Self::Decimal(i128::from_be_bytes(wide)))
            }
            _ => None,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Long(a), Self::Long(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Double(a), Self::Double(b)) => a.total_cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            // One column has one type.
            _ => Ordering::Equal,
        }
    }

    /// The smaller of two.
    pub(crate) fn least(self, other: Self) -> Self {
        if self.order(&other).is_gt() { other } else { self }
    }

    /// The larger of two.
    pub(crate) fn greatest(self, other: Self) -> Self {
        if self.order(&other).is_lt() { other } else { self }
    }

    /// Equal as values: zero has no sign here, because writers are free to choose one in statistics.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a == b,
            _ => self == other,
        }
    }

    /// The spec's single-value serialisation (Appendix D).
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int(value) => value.to_le_bytes().to_vec(),
            Self::Long(value) => value.to_le_bytes().to_vec(),
            Self::Float(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Bytes(value) => value.clone(),
            Self::Decimal(value) => shortest(*value),
        }
    }
}

/// Big-endian two's complement in the fewest bytes.
fn shortest(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] & 0x80) == (sign & 0x80) {
        start += 1;
    }
    bytes[start..].to_vec()
}
