//! Columns of types that the typed form of metadata does not know.
//!
//! Those of type unknown (format version 3) are in no file: they are left out of the typed form, and stay in the document.
//! With variant, geometry, geography, and whatever comes after them, snapshots and files of a table can be removed like any
//! other's; what would write its data files or its manifests, which hold the schema, is refused.

use serde_json::Value;

/// A column of such a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Its path.
    pub(super) name: String,
    /// The type, as the metadata spells it.
    pub(super) kind: String,
    /// Whether the current schema has it.
    pub(super) current: bool,
}

/// The first such column of a table, in the current schema if it is there.
pub(super) fn unknown(document: &Value) -> Option<Unknown> {
    let current = document.get("current-schema-id");
    let all = document.get("schemas").and_then(Value::as_array).into_iter().flatten().chain(document.get("schema"));
    let mut found: Vec<Unknown> = all
        .filter_map(|schema| {
            let (name, kind) = in_type(schema, "")?;
            Some(Unknown { name, kind, current: schema.get("schema-id") == current })
        })
        .collect();
    found.sort_by_key(|column| !column.current);
    found.into_iter().next()
}

/// The document as the typed form takes it: without columns of type unknown, and with binary ones in place of others that
/// it does not know; `None` where there are none of either.
pub(super) fn with_stand_ins(document: &Value) -> Option<Value> {
    let schemas = document.get("schemas").and_then(Value::as_array).into_iter().flatten();
    if schemas.chain(document.get("schema")).all(is_typed) {
        return None;
    }
    let mut document = document.clone();
    if let Some(Value::Array(schemas)) = document.get_mut("schemas") {
        schemas.iter_mut().for_each(stand_in);
    }
    if let Some(schema) = document.get_mut("schema") {
        stand_in(schema);
    }
    Some(document)
}

/// The same for a single schema.
pub(super) fn stand_in(kind: &mut Value) {
    if let Some(Value::Array(fields)) = kind.get_mut("fields")
        && !fields.iter().all(is_in_no_file)
    {
        fields.retain(|field| !is_in_no_file(field));
    }
    if kind.as_str().is_some_and(|primitive| !is_known(primitive)) {
        *kind = Value::from("binary");
    }
    for key in ["element", "key", "value"] {
        kind.get_mut(key).into_iter().for_each(stand_in);
    }
    let fields = kind.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten();
    fields.filter_map(|field| field.get_mut("type")).for_each(stand_in);
}

/// Whether a field is of the type that holds nulls alone and "is not stored in data files" (spec, "Primitive Types").
fn is_in_no_file(field: &Value) -> bool {
    field.get("type").and_then(Value::as_str) == Some("unknown")
}

/// The fields of a struct that files have. Where none would be left, all stay: Parquet has no groups without columns.
fn fields(kind: &Value) -> impl Iterator<Item = &Value> {
    let all = || kind.get("fields").and_then(Value::as_array).into_iter().flatten();
    let empty = all().all(is_in_no_file);
    all().filter(move |field| empty || !is_in_no_file(field))
}

/// Whether the typed form knows all there is in a type.
fn is_typed(kind: &Value) -> bool {
    let inner = ["element", "key", "value"].iter().filter_map(|key| kind.get(key));
    let fields = kind.get("fields").and_then(Value::as_array).into_iter().flatten();
    kind.as_str().is_none_or(is_known) && inner.chain(fields.filter_map(|field| field.get("type"))).all(is_typed)
}

/// Path and type of the first column below a type that is not known.
fn in_type(kind: &Value, path: &str) -> Option<(String, String)> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(primitive) = kind.as_str() {
        return (!is_known(primitive)).then(|| (path.to_owned(), primitive.to_owned()));
    }
    match kind.get("type").and_then(Value::as_str) {
        Some("struct") => {
            fields(kind).find_map(|field| in_type(field.get("type")?, &below(field.get("name")?.as_str()?)))
        }
        Some("list") => in_type(kind.get("element")?, &below("element")),
        Some("map") => {
            in_type(kind.get("key")?, &below("key")).or_else(|| in_type(kind.get("value")?, &below("value")))
        }
        _ => None,
    }
}

fn is_known(primitive: &str) -> bool {
    let plain = [
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "timestamp_ns",
        "timestamptz_ns",
        "string",
        "uuid",
        "binary",
    ];
    plain.contains(&primitive) || primitive.starts_with("decimal(") || primitive.starts_with("fixed[")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn should_name_a_column_of_an_unknown_type_wherever_it_is() {
        let field = |name: &str, kind: Value| json!({"id": 1, "name": name, "required": false, "type": kind});
        let schema = |id: i32, fields: Vec<Value>| json!({"type": "struct", "schema-id": id, "fields": fields});
        let table = |schemas: Vec<Value>| json!({"current-schema-id": 1, "schemas": schemas});
        let known = ["boolean", "decimal(9, 2)", "fixed[16]", "timestamptz_ns", "uuid", "binary", "time"];
        let fine = schema(1, known.iter().map(|kind| field(kind, json!(kind))).collect());
        assert_eq!(unknown(&table(vec![fine.clone()])), None);
        assert_eq!(with_stand_ins(&table(vec![fine.clone()])), None);
        for kind in ["variant", "geometry(srid:4326)", "geography", "interval"] {
            let within = [
                (json!(kind), "x"),
                (json!({"type": "list", "element-id": 2, "element": kind}), "x.element"),
                (json!({"type": "map", "key-id": 2, "key": "string", "value-id": 3, "value": kind}), "x.value"),
                (schema(0, vec![field("a", json!("int")), field("y", json!(kind))]), "x.y"),
            ];
            for (type_, name) in within {
                let strange = schema(1, vec![field("a", json!("long")), field("x", type_.clone())]);
                let document = table(vec![fine.clone(), strange]);
                let text = with_stand_ins(&document).unwrap().to_string();
                assert_eq!(text, document.to_string().replace(&format!("\"{kind}\""), "\"binary\""));
                let found = unknown(&document).unwrap();
                assert_eq!((found.name.as_str(), found.kind.as_str(), found.current), (name, kind, true));
                let older = schema(0, vec![field("x", type_)]);
                assert!(!unknown(&table(vec![older, fine.clone()])).unwrap().current);
            }
        }
    }

    #[test]
    fn should_leave_out_columns_that_are_in_no_file() {
        let field = |name: &str, kind: Value| json!({"id": 1, "name": name, "required": false, "type": kind});
        let of = |fields: Vec<Value>| json!({"type": "struct", "schema-id": 1, "fields": fields});
        let table = |schema: Value| json!({"current-schema-id": 1, "schemas": [schema]});
        let (a, nothing) = (field("a", json!("int")), field("n", json!("unknown")));
        let with = table(of(vec![a.clone(), nothing.clone(), field("s", of(vec![nothing.clone(), a.clone()]))]));
        assert_eq!(unknown(&with), None);
        assert_eq!(with_stand_ins(&with).unwrap(), table(of(vec![a.clone(), field("s", of(vec![a.clone()]))])));
        // Lists of nothing, and structs without anything else, have no form in Parquet.
        let list = json!({"type": "list", "element-id": 2, "element": "unknown"});
        for (kind, name) in [(of(vec![nothing]), "x.n"), (list, "x.element")] {
            assert_eq!(unknown(&table(of(vec![a.clone(), field("x", kind)]))).unwrap().name, name);
        }
    }
}
