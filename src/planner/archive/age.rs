//! How old a file's newest possible row is.

use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType, Schema, SortField, TableMetadata, Transform, Type};

use crate::error::{Error, Result};
use crate::model::{DataFile, TableState, widened};
use crate::planner::time::{DAY_MICROS, covers};

/// Milliseconds of a day.
const DAY_MS: i64 = DAY_MICROS / 1000;

/// The column that tells the age of rows. Times without a zone are taken as UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeColumn {
    pub(super) id: i32,
    pub(super) name: String,
    kind: PrimitiveType,
}

impl TimeColumn {
    /// The column that was named, or the one that the table itself is arranged by: in its partition spec, in an older
    /// spec, in its sort order, or because it is the only one that holds dates or times.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is no date or time.
    pub(super) fn find(metadata: &TableMetadata, named: Option<&str>) -> Result<Option<Self>> {
        let schema = metadata.current_schema();
        if let Some(name) = named {
            let field = schema.field_by_name(name).or_else(|| schema.field_by_name_case_insensitive(name));
            return match field.and_then(|field| Self::of(schema, field.id)) {
                Some(column) => Ok(Some(column)),
                None => Err(Error::invalid(format!("{name:?} is no column of dates or timestamps")).hint(
                    "the time column of an archival (time-column, icewright.tier.time-column) tells how old rows are",
                )),
            };
        }
        let mut specs: Vec<_> = metadata.partition_specs_iter().collect();
        let default = metadata.default_partition_spec_id();
        // The current spec first, then the newest.
        specs.sort_by_key(|spec| (spec.spec_id() != default, std::cmp::Reverse(spec.spec_id())));
        let partitioned = specs.iter().flat_map(|spec| spec.fields()).filter(|field| {
            let by_time = [Transform::Year, Transform::Month, Transform::Day, Transform::Hour, Transform::Identity];
            by_time.contains(&field.transform)
        });
        let sorted = metadata.default_sort_order().fields.iter().map(|field: &SortField| field.source_id);
        let arranged = partitioned.map(|field| field.source_id).chain(sorted);
        if let Some(column) = arranged.filter_map(|id| Self::of(schema, id)).next() {
            return Ok(Some(column));
        }
        let mut times = schema.as_struct().fields().iter().filter_map(|field| Self::of(schema, field.id));
        // Several could be meant: nobody but the owner can say which, and a run over all tables must not fail for it.
        let only = times.next();
        Ok(only.filter(|_| times.next().is_none()))
    }

    fn of(schema: &Schema, id: i32) -> Option<Self> {
        let field = schema.field_by_id(id)?;
        let Type::Primitive(kind) = field.field_type.as_ref() else { return None };
        let is_time = matches!(
            kind,
            PrimitiveType::Date
                | PrimitiveType::Timestamp
                | PrimitiveType::Timestamptz
                | PrimitiveType::TimestampNs
                | PrimitiveType::TimestamptzNs
        );
        let name = schema.name_by_field_id(id).unwrap_or(&field.name).to_owned();
        is_time.then(|| Self { id, name, kind: kind.clone() })
    }

    /// The first instant (microseconds since 1970) at which no row of the file can have been made any more. `None` when
    /// that is not known. A partition of a time transform counts as a whole, whatever its files hold so far.
    pub(super) fn end(&self, state: &TableState, file: &DataFile) -> Option<i64> {
        let partition = state.partition(file.partition);
        let spec = state.metadata.partition_spec_by_id(partition.spec_id);
        let mut by_partition: Option<i64> = None;
        for (field, value) in spec.iter().flat_map(|spec| spec.fields()).zip(partition.values.iter()) {
            if field.source_id != self.id || field.transform == Transform::Void {
                continue;
            }
            let end = match (&field.transform, value) {
                (Transform::Identity, Some(Literal::Primitive(value))) => self.after(value),
                (transform, Some(Literal::Primitive(PrimitiveLiteral::Int(ordinal)))) => {
                    covers(transform, *ordinal).map(|(_, end)| end)
                }
                // Rows without a time have no age.
                (Transform::Identity | Transform::Year | Transform::Month | Transform::Day | Transform::Hour, None) => {
                    return None;
                }
                _ => None,
            };
            // Of several fields of one column the narrowest counts.
            by_partition = end.into_iter().chain(by_partition).min();
        }
        by_partition.or_else(|| self.after_bound(file))
    }

    fn after_bound(&self, file: &DataFile) -> Option<i64> {
        let bytes = file.bounds.get(&self.id)?.upper.as_deref()?;
        let bytes = &*widened(bytes, &self.kind);
        let value = match self.kind {
            PrimitiveType::Date => PrimitiveLiteral::Int(i32::from_le_bytes(bytes.try_into().ok()?)),
            _ => PrimitiveLiteral::Long(i64::from_le_bytes(bytes.try_into().ok()?)),
        };
        self.after(&value)
    }

    /// The first microsecond after a value.
    fn after(&self, value: &PrimitiveLiteral) -> Option<i64> {
        match (value, &self.kind) {
            (PrimitiveLiteral::Int(day), PrimitiveType::Date) => (i64::from(*day) + 1).checked_mul(DAY_MICROS),
            (PrimitiveLiteral::Long(nanos), PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) => {
                nanos.div_euclid(1000).checked_add(1)
            }
            (PrimitiveLiteral::Long(micros), _) => micros.checked_add(1),
            _ => None,
        }
    }
}

/// How long ago an instant was, in milliseconds.
pub(super) fn age_ms(end_micros: i64, now_ms: i64) -> i64 {
    // Rounded towards youth: a tier's line is not passed a millisecond too early.
    now_ms.saturating_sub(end_micros.div_euclid(1000) + i64::from(end_micros.rem_euclid(1000) > 0))
}

/// Whole days of an age.
pub(super) fn days(age_ms: i64) -> i64 {
    age_ms.div_euclid(DAY_MS)
}
