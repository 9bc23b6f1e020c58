//! Transforms of columns, by rows: those of the `iceberg` crate, save for what 0.10 gets wrong.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{ArrayRef, Date32Array, Int32Array, PrimitiveArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, TimeUnit};
use iceberg::spec::Transform;
use iceberg::transform::{BoxedTransformFunction, create_transform_function};

use crate::error::{Error, Result};

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// A transform of Iceberg's, to be applied to whole columns. Identity has none.
#[derive(Debug)]
pub(crate) struct Apply {
    transform: Transform,
    function: BoxedTransformFunction,
}

impl Apply {
    /// The function of a transform; `None` for identity.
    ///
    /// # Errors
    /// `Unsupported` for a transform of a later version of the spec.
    pub(crate) fn new(transform: Transform) -> Result<Option<Self>> {
        if transform == Transform::Identity {
            return Ok(None);
        }
        let function = create_transform_function(&transform).map_err(|e| {
            Error::unsupported(format!("the transform {transform} is not known"))
                .hint("the spec's transforms are identity, year, month, day, hour, bucket[N] and truncate[W]")
                .caused_by(e)
        })?;
        Ok(Some(Self { transform, function }))
    }

    /// The transform's values.
    ///
    /// # Errors
    /// `InvalidInput` when the transform is not made for the column's type.
    pub(crate) fn apply(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let micros = |values: &ArrayRef| -> Option<TimestampMicrosecondArray> {
            match values.data_type() {
                DataType::Timestamp(TimeUnit::Microsecond, _) => {
                    Some(values.as_primitive::<TimestampMicrosecondType>().clone())
                }
                // Rounded down, before 1970 too; the crate rounds towards zero.
                DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                    Some(values.as_primitive::<TimestampNanosecondType>().unary(|nanos| nanos.div_euclid(1000)))
                }
                _ => None,
            }
        };
        let whole = |micros: i64, unit: i64| i32::try_from(micros.div_euclid(unit)).unwrap_or_default();
        match (self.transform, micros(values)) {
            // The crate is a day off in the last second of days before 1970, and has no hours of nanoseconds.
            (Transform::Day, Some(micros)) => {
                let days: Date32Array = micros.unary(|value| whole(value, 24 * MICROS_PER_HOUR));
                Ok(Arc::new(days))
            }
            (Transform::Hour, Some(micros)) => {
                let hours: Int32Array = micros.unary(|value| whole(value, MICROS_PER_HOUR));
                Ok(Arc::new(hours))
            }
            // It can't compute with the name of a zone, and Iceberg's instants are all in UTC.
            (Transform::Year | Transform::Month | Transform::Bucket(_), Some(micros)) => {
                self.call(Arc::new(plain(&micros)))
            }
            _ => self.call(values.clone()),
        }
    }

    fn call(&self, values: ArrayRef) -> Result<ArrayRef> {
        let kind = values.data_type().clone();
        self.function.transform(values).map_err(|e| {
            Error::invalid(format!("the transform {} can't be computed of values of type {kind}", self.transform))
                .caused_by(e)
        })
    }
}

fn plain(micros: &TimestampMicrosecondArray) -> PrimitiveArray<TimestampMicrosecondType> {
    micros.clone().with_timezone_opt(None::<String>)
}

#[cfg(test)]
mod tests {
    use arrow_array::TimestampNanosecondArray;
    use arrow_array::types::{Date32Type, Int32Type};

    use super::*;

    #[test]
    fn should_round_times_down_before_1970_too() {
        let of =
            |transform: Transform, values: ArrayRef| Apply::new(transform).unwrap().unwrap().apply(&values).unwrap();
        let day = 86_400_000_000i64;
        let micros = [0, -1, -day, -day - 500_000, -day - 1, day - 1, day];
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("+00:00"));
        let days = of(Transform::Day, array.clone());
        assert_eq!(days.as_primitive::<Date32Type>().values().as_ref(), [0, -1, -1, -2, -2, 0, 1]);
        let nanos: ArrayRef =
            Arc::new(TimestampNanosecondArray::from(micros.iter().map(|m| m * 1000).collect::<Vec<_>>()));
        assert_eq!(&of(Transform::Day, nanos.clone()), &days);
        let hours = of(Transform::Hour, nanos.clone());
        assert_eq!(hours.as_primitive::<Int32Type>().values().as_ref(), [0, -1, -24, -25, -25, 23, 24]);
        // Of the same microsecond, whatever the unit.
        let late: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1, -1000, -1001]));
        let early: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![-1, -1, -2]));
        assert_eq!(&of(Transform::Bucket(1000), late), &of(Transform::Bucket(1000), early));
        let zoned: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC"));
        for (transform, first) in [(Transform::Year, -1), (Transform::Month, -1)] {
            let found = of(transform, zoned.clone());
            assert_eq!(found.as_primitive::<Int32Type>().values()[..2], [0, first], "{transform}");
            assert_eq!((&found, &found), (&of(transform, nanos.clone()), &of(transform, array.clone())));
        }
        assert!(Apply::new(Transform::Identity).unwrap().is_none());
        assert!(Apply::new(Transform::Unknown).is_err());
    }
}
