//! What a partition's values say about a column.

use iceberg::spec::{Literal as Stored, PrimitiveLiteral, PrimitiveType, Transform};

use super::Known;
use super::literal::Literal;
use crate::model::{DataFile, TableState};
use crate::planner::time::{self, DAY_MICROS};

/// Narrows what is known of a column by the file's partition: identity tells it exactly, years, months, days and hours
/// tell a range.
pub(super) fn narrow(known: &mut Known, state: &TableState, file: &DataFile, id: i32, kind: &PrimitiveType) {
    let partition = state.partition(file.partition);
    let Some(spec) = state.metadata.partition_spec_by_id(partition.spec_id) else { return };
    for (field, value) in spec.fields().iter().zip(partition.values.iter()) {
        if field.source_id != id {
            continue;
        }
        match (&field.transform, value) {
            (Transform::Identity, None) => {
                known.all_null = true;
                known.has_nulls = Some(true);
            }
            (Transform::Identity, Some(value)) => {
                if let Some(exact) = identity(value, kind) {
                    known.lower = Some(exact.clone());
                    known.upper = Some(exact);
                    known.has_nulls = Some(false);
                }
            }
            (Transform::Year | Transform::Month | Transform::Day | Transform::Hour, Some(value)) => {
                if let Some((first, last)) = range(&field.transform, value, kind) {
                    tighten(&mut known.lower, first, true);
                    tighten(&mut known.upper, last, false);
                    known.has_nulls = Some(false);
                }
            }
            _ => {}
        }
    }
}

/// Keeps the tighter of two bounds.
fn tighten(bound: &mut Option<Literal>, by: i64, lower: bool) {
    let tighter = match bound {
        Some(Literal::Integer(have)) if lower => by.max(*have),
        Some(Literal::Integer(have)) => by.min(*have),
        _ => by,
    };
    *bound = Some(Literal::Integer(tighter));
}

fn identity(value: &Stored, kind: &PrimitiveType) -> Option<Literal> {
    let Stored::Primitive(value) = value else { return None };
    Some(match value {
        PrimitiveLiteral::Boolean(value) => Literal::Bool(*value),
        PrimitiveLiteral::Int(value) => Literal::Integer(i64::from(*value)),
        PrimitiveLiteral::Long(value) => Literal::Integer(*value),
        PrimitiveLiteral::Float(value) => Literal::Float(f64::from(value.0)),
        PrimitiveLiteral::Double(value) => Literal::Float(value.0),
        PrimitiveLiteral::String(value) => Literal::Bytes(value.clone().into_bytes()),
        PrimitiveLiteral::Binary(value) => Literal::Bytes(value.clone()),
        PrimitiveLiteral::Int128(value) => Literal::Decimal(*value),
        PrimitiveLiteral::UInt128(value) if *kind == PrimitiveType::Uuid => {
            Literal::Bytes(value.to_be_bytes().to_vec())
        }
        _ => return None,
    })
}

/// The first and the last value of a column in a partition of a time transform.
fn range(transform: &Transform, value: &Stored, kind: &PrimitiveType) -> Option<(i64, i64)> {
    let Stored::Primitive(PrimitiveLiteral::Int(ordinal)) = value else { return None };
    let (first, end) = time::covers(transform, *ordinal)?;
    match kind {
        PrimitiveType::Date => Some((first.div_euclid(DAY_MICROS), (end - 1).div_euclid(DAY_MICROS))),
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => Some((first, end - 1)),
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => {
            Some((first.checked_mul(1000)?, end.checked_mul(1000)? - 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn should_know_what_a_time_partition_covers() {
        let int = |n| Stored::Primitive(PrimitiveLiteral::Int(n));
        let date = &PrimitiveType::Date;
        assert_eq!(range(&Transform::Year, &int(2), date), Some((730, 730 + 365)));
        assert_eq!(range(&Transform::Month, &int(-1), date), Some((-31, -1)));
        assert_eq!(
            range(&Transform::Hour, &int(25), &PrimitiveType::Timestamp),
            Some((90_000_000_000, 93_599_999_999))
        );
        assert_eq!(
            NaiveDate::default().num_days_from_ce(),
            NaiveDate::from_ymd_opt(1970, 1, 1).unwrap().num_days_from_ce()
        );
    }
}
