//! Constants and bounds in a form that can be compared.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use iceberg::spec::PrimitiveType;

use crate::model::{Value, widened};

/// A value of a column's type.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::planner) enum Literal {
    Bool(bool),
    /// int, long, date (days), time and timestamps (microseconds, or nanoseconds where the type has them).
    Integer(i64),
    Float(f64),
    /// The unscaled value at the column's scale.
    Decimal(i128),
    /// string, binary, fixed, uuid: unsigned byte order.
    Bytes(Vec<u8>),
}

impl Literal {
    /// A constant in a column's type; `None` when it can't be one.
    pub(super) fn parse(value: &Value, kind: &PrimitiveType) -> Option<Self> {
        match (value, kind) {
            (Value::Bool(value), PrimitiveType::Boolean) => Some(Self::Bool(*value)),
            (Value::Number(text), PrimitiveType::Int | PrimitiveType::Long) => text.parse().ok().map(Self::Integer),
            (Value::Number(text), PrimitiveType::Float | PrimitiveType::Double) => text.parse().ok().map(Self::Float),
            (Value::Number(text) | Value::Text(text), PrimitiveType::Decimal { scale, .. }) => {
                decimal(text, *scale).map(Self::Decimal)
            }
            (Value::Text(text), PrimitiveType::String) => Some(Self::Bytes(text.clone().into_bytes())),
            (Value::Text(text), PrimitiveType::Date) => {
                let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
                let day = text.get(..10).filter(|_| text.len() == 10).unwrap_or(text).parse::<NaiveDate>().ok()?;
                Some(Self::Integer((day - epoch).num_days()))
            }
            (Value::Text(text), PrimitiveType::Time) => {
                let time = text.parse::<NaiveTime>().ok()?;
                (time - NaiveTime::MIN).num_microseconds().map(Self::Integer)
            }
            (Value::Text(text), PrimitiveType::Timestamp | PrimitiveType::Timestamptz) => {
                timestamp(text).map(|instant| Self::Integer(instant.timestamp_micros()))
            }
            (Value::Text(text), PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) => {
                timestamp(text)?.timestamp_nanos_opt().map(Self::Integer)
            }
            (Value::Text(text), PrimitiveType::Uuid) => {
                uuid::Uuid::parse_str(text).ok().map(|id| Self::Bytes(id.as_bytes().to_vec()))
            }
            _ => None,
        }
    }

    /// A bound in the spec's single-value serialisation; values of a narrower type (before a promotion) are widened.
    pub(in crate::planner) fn from_bytes(bytes: &[u8], kind: &PrimitiveType) -> Option<Self> {
        let bytes = &*widened(bytes, kind);
        Some(match kind {
            PrimitiveType::Boolean => Self::Bool(*bytes.first()? != 0),
            PrimitiveType::Int
            | PrimitiveType::Long
            | PrimitiveType::Date
            | PrimitiveType::Time
            | PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::TimestampNs
            | PrimitiveType::TimestamptzNs => Self::Integer(match bytes.len() {
                4 => i64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
                _ => i64::from_le_bytes(bytes.try_into().ok()?),
            }),
            PrimitiveType::Float | PrimitiveType::Double => Self::Float(match bytes.len() {
                4 => f64::from(f32::from_le_bytes(bytes.try_into().ok()?)),
                _ => f64::from_le_bytes(bytes.try_into().ok()?),
            }),
            PrimitiveType::Decimal { .. } if !bytes.is_empty() && bytes.len() <= 16 => {
                let mut wide = [if bytes[0] & 0x80 == 0 { 0 } else { 0xff }; 16];
                wide[16 - bytes.len()..].copy_from_slice(bytes);
                Self::Decimal(i128::from_be_bytes(wide))
            }
            PrimitiveType::String | PrimitiveType::Binary | PrimitiveType::Fixed(_) | PrimitiveType::Uuid => {
                Self::Bytes(bytes.to_vec())
            }
            _ => return None,
        })
    }

    /// Compares two values of one type; `None` when that can't be done (NaN).
    pub(in crate::planner) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// An instant. Without an offset the text is taken as UTC.
fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(instant) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(instant.to_utc());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return Some(local.and_utc());
        }
    }
    let day = text.parse::<NaiveDate>().ok()?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

/// The unscaled value of a decimal; `None` when it has more digits after the point than the scale.
fn decimal(text: &str, scale: u32) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::try_from(scale).ok()?;
    if fraction.len() > scale || !format!("{whole}{fraction}").chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction}{}", "0".repeat(scale - fraction.len())).parse().ok()?;
    Some(if negative { -unscaled } else { unscaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_read_constants_in_the_columns_type() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(Literal::parse(&text("1970-01-02"), &PrimitiveType::Date), Some(Literal::Integer(1)));
        let tz = PrimitiveType::Timestamptz;
        assert_eq!(Literal::parse(&text("1970-01-01 00:00:01"), &tz), Some(Literal::Integer(1_000_000)));
        assert_eq!(Literal::parse(&text("1970-01-01T01:00:00+01:00"), &tz), Some(Literal::Integer(0)));
        assert_eq!(Literal::parse(&text("1970-01-02"), &tz), Some(Literal::Integer(86_400_000_000)));
        let money = PrimitiveType::Decimal { precision: 9, scale: 2 };
        assert_eq!(Literal::parse(&Value::Number("-1.5".into()), &money), Some(Literal::Decimal(-150)));
        assert_eq!(Literal::parse(&Value::Number("1.555".into()), &money), None);
        assert_eq!(Literal::parse(&text("soon"), &PrimitiveType::Date), None);
    }
}
