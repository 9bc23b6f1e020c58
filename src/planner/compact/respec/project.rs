//! Where the rows of a file belong under another partition spec, as far as its own partition and its bounds tell. That
//! decides about groups alone: which partition a row goes to is computed from the row.

use iceberg::spec::{
    Datum, Literal as Stored, PartitionField, PartitionSpec, PrimitiveLiteral, PrimitiveType, Struct, Transform, Type,
};
use iceberg::transform::create_transform_function;

use super::ordinal::{ordinal, stored};
use crate::model::{DataFile, FieldBounds, TableState};
use crate::planner::filter::Literal;
use crate::planner::time::{self, DAY_MICROS};

/// The values that a partition field has in the rows of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Span {
    /// This one alone; `None` is null.
    One(Option<Stored>),
    /// Some of these numbers, `step` apart, and perhaps null.
    Range { low: i64, high: i64, step: i64, nulls: bool },
    /// At most so many.
    Few(u64),
    /// Several, nobody knows how many.
    Several,
    /// Metadata says nothing.
    Unknown,
}

impl Span {
    /// How many values that may be.
    pub(super) fn width(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Range { low, high, step, nulls } => {
                (high.saturating_sub(*low) / (*step).max(1)).unsigned_abs().saturating_add(1 + u64::from(*nulls))
            }
            Self::Few(most) => *most,
            Self::Several => u64::MAX - 1,
            Self::Unknown => u64::MAX,
        }
    }

    fn or_narrower(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.width() < self.width() => other,
            _ => self,
        }
    }
}

/// Projects files onto a spec.
pub(super) struct Projector<'a> {
    state: &'a TableState,
    fields: Vec<(&'a PartitionField, PrimitiveType, bool)>,
}

impl<'a> Projector<'a> {
    /// `None` for a spec whose partitions can't be computed from the table's current columns.
    pub(super) fn new(state: &'a TableState, spec: &'a PartitionSpec) -> Option<Self> {
        let schema = state.metadata.current_schema();
        spec.partition_type(schema).ok()?;
        let field = |field: &'a PartitionField| {
            let source = schema.field_by_id(field.source_id);
            match source.map(|source| (source.field_type.as_ref(), source.required)) {
                Some((Type::Primitive(kind), required)) if field.transform != Transform::Unknown => {
                    Some((field, kind.clone(), required))
                }
                // A void field has no values, whatever became of its source.
                _ if field.transform == Transform::Void => Some((field, PrimitiveType::Int, false)),
                _ => None,
            }
        };
        Some(Self { state, fields: spec.fields().iter().map(field).collect::<Option<_>>()? })
    }

    /// The partition fields of a file's rows, in the spec's order.
    pub(super) fn of(&self, file: &DataFile) -> Vec<Span> {
        self.fields.iter().map(|(field, kind, required)| self.span(file, field, kind, *required)).collect()
    }

    /// The same of a file that is in a partition of the spec already.
    pub(super) fn within(values: &Struct) -> Vec<Span> {
        values.iter().map(|value| Span::One(value.cloned())).collect()
    }

    fn span(&self, file: &DataFile, field: &PartitionField, kind: &PrimitiveType, required: bool) -> Span {
        let want = &field.transform;
        if *want == Transform::Void {
            return Span::One(None);
        }
        let mut span = by_bounds(file.bounds.get(&field.source_id), file.records, want, kind, required);
        let partition = self.state.partition(file.partition);
        if let Some(spec) = self.state.metadata.partition_spec_by_id(partition.spec_id) {
            for (have, value) in spec.fields().iter().zip(partition.values.iter()) {
                if have.source_id == field.source_id {
                    span = span.or_narrower(by_partition(&have.transform, value, want, kind));
                }
            }
        }
        span
    }
}

/// What a file's partition under its own spec tells.
fn by_partition(have: &Transform, value: Option<&Stored>, want: &Transform, kind: &PrimitiveType) -> Option<Span> {
    let value = match (have, value) {
        (Transform::Void | Transform::Unknown, _) => return None,
        // Null comes of null alone, and gives null.
        (_, None) => return Some(Span::One(None)),
        (_, Some(value)) if have == want => return Some(Span::One(Some(value.clone()))),
        (_, Some(Stored::Primitive(value))) => value,
        _ => return None,
    };
    match (have, value, want) {
        (Transform::Bucket(n), PrimitiveLiteral::Int(bucket), Transform::Bucket(m)) => {
            if n % m == 0 {
                let m = i32::try_from(*m).ok()?;
                Some(Span::One(Some(Stored::int(bucket % m))))
            } else {
                m.is_multiple_of(*n).then(|| Span::Few(u64::from(m / n)))
            }
        }
        (Transform::Year | Transform::Month | Transform::Day | Transform::Hour, PrimitiveLiteral::Int(number), _) => {
            let (first, end) = time::covers(have, *number)?;
            let (first, last) = match kind {
                PrimitiveType::Date => (first.div_euclid(DAY_MICROS), (end - 1).div_euclid(DAY_MICROS)),
                PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => {
                    (first.checked_mul(1000)?, end.checked_mul(1000)? - 1)
                }
                _ => (first, end - 1),
            };
            range(want, kind, first, last, false)
        }
        (Transform::Identity, PrimitiveLiteral::Int(value), _) => exact(want, kind, i64::from(*value)),
        (Transform::Identity, PrimitiveLiteral::Long(value), _) => exact(want, kind, *value),
        (Transform::Identity, PrimitiveLiteral::String(text), _) => computed(want, &Datum::string(text)),
        _ => None,
    }
}

/// What the bounds of the source column tell.
fn by_bounds(
    bounds: Option<&FieldBounds>,
    records: u64,
    want: &Transform,
    kind: &PrimitiveType,
    required: bool,
) -> Span {
    let most = match (want, kind) {
        (Transform::Bucket(n), _) => Some(u64::from(*n) + u64::from(!required)),
        (Transform::Identity, PrimitiveType::Boolean) => Some(2 + u64::from(!required)),
        _ => None,
    };
    let Some(bounds) = bounds else { return most.map_or(Span::Unknown, Span::Few) };
    if records > 0 && bounds.nulls == Some(records) {
        return Span::One(None);
    }
    let nulls = !required && bounds.nulls != Some(0);
    let (Some(low), Some(high)) = (&bounds.lower, &bounds.upper) else {
        return most.map_or(Span::Unknown, Span::Few);
    };
    let ends = Literal::from_bytes(low, kind).zip(Literal::from_bytes(high, kind));
    let told = match ends {
        Some((Literal::Integer(low), Literal::Integer(high))) => {
            if low == high && !nulls {
                exact(want, kind, low)
            } else {
                range(want, kind, low, high, nulls)
            }
        }
        _ if low == high && !nulls => {
            Datum::try_from_bytes(low, kind.clone()).ok().and_then(|datum| computed(want, &datum))
        }
        _ => None,
    };
    most.map_or(Span::Several, Span::Few).or_narrower(told)
}

/// The one value that comes of a number.
fn exact(want: &Transform, kind: &PrimitiveType, value: i64) -> Option<Span> {
    if let Some(number) = ordinal(want, kind, value) {
        return Some(Span::One(Some(stored(want, kind, number)?)));
    }
    computed(want, &Datum::try_from_bytes(&bytes(kind, value)?, kind.clone()).ok()?)
}

fn bytes(kind: &PrimitiveType, value: i64) -> Option<Vec<u8>> {
    Some(match kind {
        PrimitiveType::Int | PrimitiveType::Date => i32::try_from(value).ok()?.to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    })
}

fn computed(want: &Transform, value: &Datum) -> Option<Span> {
    let computed = create_transform_function(want).ok()?.transform_literal(value).ok()??;
    Some(Span::One(Some(Stored::from(computed))))
}

fn range(want: &Transform, kind: &PrimitiveType, first: i64, last: i64, nulls: bool) -> Option<Span> {
    let (low, high) = (ordinal(want, kind, first)?, ordinal(want, kind, last)?);
    if low == high && !nulls {
        return Some(Span::One(Some(stored(want, kind, low)?)));
    }
    let step = if let Transform::Truncate(width) = want { i64::from(*width) } else { 1 };
    Some(Span::Range { low, high, step, nulls })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(n: i32) -> Span {
        Span::One(Some(Stored::int(n)))
    }

    fn numbers(low: i64, high: i64, nulls: Option<u64>) -> FieldBounds {
        let bytes = |n: i64| Some(n.to_le_bytes().to_vec());
        FieldBounds { lower: bytes(low), upper: bytes(high), nulls, values: None }
    }

    #[test]
    fn should_tell_from_the_old_partition() {
        let kind = &PrimitiveType::Timestamptz;
        let day = |n: i32, want| by_partition(&Transform::Day, Some(&Stored::date(n)), &want, kind).unwrap();
        assert_eq!(day(31, Transform::Month), int(1));
        assert_eq!(day(-1, Transform::Year), int(-1));
        assert_eq!(day(2, Transform::Hour), Span::Range { low: 48, high: 71, step: 1, nulls: false });
        assert_eq!(day(2, Transform::Day), Span::One(Some(Stored::date(2))));
        assert_eq!(by_partition(&Transform::Day, None, &Transform::Month, kind), Some(Span::One(None)));
        assert_eq!(by_partition(&Transform::Day, Some(&Stored::date(1)), &Transform::Bucket(4), kind), None);
        let bucket =
            |want| by_partition(&Transform::Bucket(16), Some(&Stored::int(13)), &Transform::Bucket(want), kind);
        assert_eq!((bucket(8), bucket(32), bucket(6)), (Some(int(5)), Some(Span::Few(2)), None));
        let id = |want| by_partition(&Transform::Identity, Some(&Stored::long(-7)), &want, &PrimitiveType::Long);
        assert_eq!(id(Transform::Truncate(10)), Some(Span::One(Some(Stored::long(-10)))));
        assert!(matches!(id(Transform::Bucket(16)), Some(Span::One(Some(_)))));
        assert_eq!(by_partition(&Transform::Void, None, &Transform::Day, kind), None);
    }

    #[test]
    fn should_tell_from_bounds() {
        let day = DAY_MICROS;
        let of = |low, high, nulls, required| {
            let bounds = numbers(low, high, nulls);
            by_bounds(Some(&bounds), 100, &Transform::Day, &PrimitiveType::Timestamptz, required)
        };
        assert_eq!(of(-day, -1, Some(0), false), Span::One(Some(Stored::date(-1))));
        assert_eq!(of(0, day, Some(0), false), Span::Range { low: 0, high: 1, step: 1, nulls: false });
        assert_eq!(of(0, 1, None, false), Span::Range { low: 0, high: 0, step: 1, nulls: true });
        assert_eq!(of(0, 1, None, true), Span::One(Some(Stored::date(0))));
        assert_eq!(of(0, 1, Some(100), false), Span::One(None));
        let bucket =
            |bounds: Option<&FieldBounds>| by_bounds(bounds, 100, &Transform::Bucket(16), &PrimitiveType::Long, false);
        assert_eq!((bucket(None), bucket(Some(&numbers(1, 9, Some(3))))), (Span::Few(17), Span::Few(17)));
        assert!(matches!(bucket(Some(&numbers(9, 9, Some(0)))), Span::One(Some(_))));
        let text = |low: &str, high: &str| {
            let bytes = |text: &str| Some(text.as_bytes().to_vec());
            let bounds = FieldBounds { lower: bytes(low), upper: bytes(high), nulls: Some(0), values: None };
            by_bounds(Some(&bounds), 100, &Transform::Identity, &PrimitiveType::String, false)
        };
        assert_eq!(text("eu", "eu"), Span::One(Some(Stored::string("eu"))));
        assert_eq!(text("eu", "us"), Span::Several);
        let none = by_bounds(None, 100, &Transform::Identity, &PrimitiveType::String, false);
        assert_eq!(none, Span::Unknown);
        let truncated =
            by_bounds(Some(&numbers(-1, 25, Some(0))), 100, &Transform::Truncate(10), &PrimitiveType::Long, false);
        assert_eq!((truncated.width(), truncated), (4, Span::Range { low: -10, high: 20, step: 10, nulls: false }));
    }
}
