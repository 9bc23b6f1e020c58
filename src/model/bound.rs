//! Bounds of columns whose type was promoted since they were written.

use std::borrow::Cow;

use iceberg::spec::PrimitiveType;

/// A bound in the bytes of the column's type now. Promotion leaves bounds as they are: their length tells what type they
/// were written in (spec, "Schema Evolution"). Where the `iceberg` crate (0.10.1) knows that by itself, they stay.
///
/// ```
/// use iceberg::spec::PrimitiveType;
/// use icewright::model::widened;
/// let date = 1i32.to_le_bytes();
/// assert_eq!(*widened(&date, &PrimitiveType::Timestamp), 86_400_000_000i64.to_le_bytes());
/// assert_eq!(*widened(&date, &PrimitiveType::Date), date);
/// ```
pub fn widened<'b>(bytes: &'b [u8], kind: &PrimitiveType) -> Cow<'b, [u8]> {
    let a_day: i64 = match kind {
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => 86_400_000_000,
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => 86_400_000_000_000,
        _ => return Cow::Borrowed(bytes),
    };
    match <[u8; 4]>::try_from(bytes) {
        Ok(days) => Cow::Owned(i64::from(i32::from_le_bytes(days)).saturating_mul(a_day).to_le_bytes().to_vec()),
        Err(_) => Cow::Borrowed(bytes),
    }
}
