//! A partition as a path, for folders and for people.

use iceberg::spec::{Literal, PrimitiveLiteral, SchemaRef, Struct, TableMetadata};

/// `ts_year=2023/region=eu`, percent-encoded as the reference implementation does; empty when unpartitioned.
///
/// The spec's source columns may be gone from the current schema: the manifest's own schema is the fallback.
pub fn partition_path(metadata: &TableMetadata, spec_id: i32, values: &Struct, manifest_schema: &SchemaRef) -> String {
    let Some(spec) = metadata.partition_spec_by_id(spec_id) else {
        return format!("unknown-spec-{spec_id}");
    };
    let names: Vec<&str> = spec.fields().iter().map(|field| field.name.as_str()).collect();
    let partition_type =
        spec.partition_type(metadata.current_schema()).or_else(|_| spec.partition_type(manifest_schema)).ok();
    let mut parts = Vec::with_capacity(names.len());
    for (index, field) in spec.fields().iter().enumerate() {
        let value: Option<Literal> = values.iter().nth(index).and_then(|v| v.cloned());
        let kind = partition_type.as_ref().and_then(|t| t.fields().get(index));
        let text = match (&value, kind) {
            (None, _) => "null".to_owned(),
            (Some(_), Some(kind)) => field.transform.to_human_string(&kind.field_type, value.as_ref()),
            (Some(Literal::Primitive(PrimitiveLiteral::String(text))), None) => text.clone(),
            (Some(other), None) => format!("{other:?}"),
        };
        parts.push(format!("{}={}", encode(&field.name), encode(&text)));
    }
    parts.join("/")
}

/// `application/x-www-form-urlencoded`, as Java's `URLEncoder` writes partition names and values.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
