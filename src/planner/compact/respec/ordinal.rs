//! Transforms that keep the order of numbers, as numbers.

use chrono::{Datelike, NaiveDate, TimeDelta};
use iceberg::spec::{Literal as Stored, PrimitiveType, Transform};

use crate::planner::time::DAY_MICROS;

/// The number that a transform makes of a value of a column: whole units since 1970, or the value (cut off). `None` where
/// the transform does not keep the order, or the column has no numbers.
pub(super) fn ordinal(transform: &Transform, kind: &PrimitiveType, value: i64) -> Option<i64> {
    let micros = match kind {
        PrimitiveType::Date => value.checked_mul(DAY_MICROS),
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => Some(value),
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => Some(value.div_euclid(1000)),
        _ => None,
    };
    let days = || micros.map(|micros| micros.div_euclid(DAY_MICROS));
    let date = || NaiveDate::default().checked_add_signed(TimeDelta::try_days(days()?)?);
    match (transform, kind) {
        (Transform::Year, _) => date().map(|date| i64::from(date.year()) - 1970),
        (Transform::Month, _) => date().map(|date| (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0())),
        (Transform::Day, _) => days(),
        (Transform::Hour, _) => micros.map(|micros| micros.div_euclid(DAY_MICROS / 24)),
        (Transform::Identity, _) => is_number(kind).then_some(value),
        (Transform::Truncate(width), PrimitiveType::Int | PrimitiveType::Long) => {
            value.checked_sub(value.rem_euclid(i64::from((*width).max(1))))
        }
        _ => None,
    }
}

fn is_number(kind: &PrimitiveType) -> bool {
    use PrimitiveType::*;
    matches!(kind, Int | Long | Date | Time | Timestamp | Timestamptz | TimestampNs | TimestamptzNs)
}

/// The partition value that such a number stands for.
pub(super) fn stored(transform: &Transform, kind: &PrimitiveType, number: i64) -> Option<Stored> {
    let narrow = i32::try_from(number).ok();
    match (transform, kind) {
        (Transform::Year | Transform::Month | Transform::Hour, _) => narrow.map(Stored::int),
        (Transform::Day, _) => narrow.map(Stored::date),
        (_, PrimitiveType::Int | PrimitiveType::Date) => narrow.map(Stored::int),
        _ => Some(Stored::long(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_round_down_before_1970() {
        let of = |transform, value| ordinal(&transform, &PrimitiveType::Timestamptz, value);
        assert_eq!(of(Transform::Year, -1), Some(-1));
        assert_eq!(of(Transform::Month, -1), Some(-1));
        assert_eq!(of(Transform::Month, 31 * DAY_MICROS), Some(1));
        assert_eq!(of(Transform::Day, -DAY_MICROS - 1), Some(-2));
        assert_eq!(of(Transform::Hour, -1), Some(-1));
        assert_eq!(of(Transform::Bucket(4), 1), None);
        assert_eq!(ordinal(&Transform::Day, &PrimitiveType::TimestampNs, -1), Some(-1));
        assert_eq!(ordinal(&Transform::Day, &PrimitiveType::Date, -3), Some(-3));
        assert_eq!(ordinal(&Transform::Truncate(10), &PrimitiveType::Int, -1), Some(-10));
        assert_eq!(ordinal(&Transform::Day, &PrimitiveType::String, 1), None);
        assert_eq!(stored(&Transform::Identity, &PrimitiveType::Long, 7), Some(Stored::long(7)));
        assert_eq!(stored(&Transform::Day, &PrimitiveType::Timestamptz, i64::MAX), None);
    }
}
