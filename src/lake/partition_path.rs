//! A partition as a path, for folders and for people.

use chrono::{DateTime, Datelike, TimeDelta};
use iceberg::spec::{
    Literal, PartitionSpec, PrimitiveLiteral, SchemaRef, Struct, StructType, TableMetadata, Transform,
};

use super::partition_types::partition_schema;

/// `ts_year=2023/region=eu`, percent-encoded as the reference implementation does; empty when unpartitioned.
///
/// The spec's source columns may be gone from all of the table's schemas: the manifest's own is the fallback.
pub fn partition_path(metadata: &TableMetadata, spec_id: i32, values: &Struct, manifest_schema: &SchemaRef) -> String {
    let Some(spec) = metadata.partition_spec_by_id(spec_id) else {
        return format!("unknown-spec-{spec_id}");
    };
    let schema = partition_schema(metadata, spec).unwrap_or(manifest_schema);
    let partition_type = spec.partition_type(schema).ok();
    spec_path(spec, partition_type.as_ref(), values)
}

/// The same for values of a spec; without the types that they have, some are written less well.
pub fn spec_path(spec: &PartitionSpec, partition_type: Option<&StructType>, values: &Struct) -> String {
    let mut parts = Vec::with_capacity(spec.fields().len());
    for (index, field) in spec.fields().iter().enumerate() {
        let value: Option<Literal> = values.iter().nth(index).and_then(|v| v.cloned());
        let kind = partition_type.and_then(|t| t.fields().get(index));
        let text = match (&value, kind) {
            (None, _) => "null".to_owned(),
            (Some(Literal::Primitive(PrimitiveLiteral::Int(ordinal))), _) if is_time(&field.transform) => {
                time(&field.transform, i64::from(*ordinal))
            }
            (Some(_), Some(kind)) => field.transform.to_human_string(&kind.field_type, value.as_ref()),
            (Some(Literal::Primitive(PrimitiveLiteral::String(text))), None) => text.clone(),
            (Some(other), None) => format!("{other:?}"),
        };
        parts.push(format!("{}={}", encode(&field.name), encode(&text)));
    }
    parts.join("/")
}

fn is_time(transform: &Transform) -> bool {
    matches!(transform, Transform::Year | Transform::Month | Transform::Day | Transform::Hour)
}

/// Ordinals of time transforms as Iceberg's `TransformUtil` writes them: `2024`, `2024-03`, `2024-03-09`, `2024-03-09-17`.
fn time(transform: &Transform, ordinal: i64) -> String {
    let epoch = DateTime::UNIX_EPOCH;
    match transform {
        Transform::Year => format!("{:04}", 1970 + ordinal),
        Transform::Month => format!("{:04}-{:02}", 1970 + ordinal.div_euclid(12), ordinal.rem_euclid(12) + 1),
        Transform::Day => match epoch.checked_add_signed(TimeDelta::days(ordinal)) {
            Some(day) => format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()),
            None => ordinal.to_string(),
        },
        _ => match epoch.checked_add_signed(TimeDelta::hours(ordinal)) {
            Some(hour) => hour.format("%Y-%m-%d-%H").to_string(),
            None => ordinal.to_string(),
        },
    }
}

/// `application/x-www-form-urlencoded`, as Java's `URLEncoder` writes partition names and values.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_write_time_as_the_reference_implementation_does() {
        assert_eq!(time(&Transform::Year, 54), "2024");
        assert_eq!(time(&Transform::Month, -1), "1969-12");
        assert_eq!(time(&Transform::Day, 17501), "2017-12-01");
        assert_eq!(time(&Transform::Hour, 420034), "2017-12-01-10");
    }
}
