//! The time that a partition of a time transform covers, in UTC.

use chrono::{Months, NaiveDate};
use iceberg::spec::Transform;

/// Microseconds of a day.
pub(super) const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// The first instant of a partition and the first one after it, in microseconds since 1970 (before it: negative).
/// `None` for other transforms, and for years that no calendar here reaches.
pub(super) fn covers(transform: &Transform, ordinal: i32) -> Option<(i64, i64)> {
    let day = |date: NaiveDate| (date - NaiveDate::default()).num_days().checked_mul(DAY_MICROS);
    let month = |n: i64| {
        let year = i32::try_from(1970 + n.div_euclid(12)).ok()?;
        NaiveDate::from_ymd_opt(year, u32::try_from(n.rem_euclid(12) + 1).ok()?, 1)
    };
    let ordinal = i64::from(ordinal);
    match transform {
        Transform::Year => Some((day(month(ordinal.checked_mul(12)?)?)?, day(month(ordinal.checked_add(1)? * 12)?)?)),
        Transform::Month => {
            let first = month(ordinal)?;
            Some((day(first)?, day(first.checked_add_months(Months::new(1))?)?))
        }
        Transform::Day => Some((ordinal.checked_mul(DAY_MICROS)?, (ordinal + 1).checked_mul(DAY_MICROS)?)),
        Transform::Hour => Some((ordinal.checked_mul(HOUR_MICROS)?, (ordinal + 1).checked_mul(HOUR_MICROS)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_cover_leap_years_year_ends_and_the_time_before_1970() {
        let days = |transform, ordinal| covers(&transform, ordinal).map(|(a, b)| (a / DAY_MICROS, b / DAY_MICROS));
        assert_eq!(days(Transform::Year, 0), Some((0, 365)));
        assert_eq!(days(Transform::Year, 2), Some((730, 1096)), "1972 has 366 days");
        assert_eq!(days(Transform::Year, 130), Some((47_482, 47_847)), "2100 has 365");
        assert_eq!(days(Transform::Year, -1), Some((-365, 0)));
        assert_eq!(days(Transform::Month, 25), Some((761, 790)), "February 1972");
        assert_eq!(days(Transform::Month, 11), Some((334, 365)));
        assert_eq!(days(Transform::Month, -1), Some((-31, 0)));
        assert_eq!(days(Transform::Day, -1), Some((-1, 0)));
        assert_eq!(covers(&Transform::Hour, -1), Some((-HOUR_MICROS, 0)));
        assert_eq!(covers(&Transform::Hour, 25), Some((25 * HOUR_MICROS, 26 * HOUR_MICROS)));
        assert_eq!(covers(&Transform::Year, i32::MAX), None);
        assert_eq!(covers(&Transform::Month, i32::MIN), None);
        assert_eq!(covers(&Transform::Identity, 1), None);
    }
}
