//! Columns of types that the typed form of metadata does not know: variant, geometry, geography, unknown (format version 3),
//! and whatever comes after them. Snapshots and files of such a table can be removed like any other's; what would write its
//! data files or its manifests, which hold the schema, is refused.

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

/// The document with binary columns in their place; `None` where there are none.
pub(super) fn with_stand_ins(document: &Value) -> Option<Value> {
    unknown(document)?;
    let mut document = document.clone();
    if let Some(Value::Array(schemas)) = document.get_mut("schemas") {
        schemas.iter_mut().for_each(stand_in);
    }
    if let Some(schema) = document.get_mut("schema") {
        stand_in(schema);
    }
    Some(document)
}

fn stand_in(kind: &mut Value) {
    if kind.as_str().is_some_and(|primitive| !is_known(primitive)) {
        *kind = Value::from("binary");
    }
    for key in ["element", "key", "value"] {
        kind.get_mut(key).into_iter().for_each(stand_in);
    }
    let fields = kind.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten();
    fields.filter_map(|field| field.get_mut("type")).for_each(stand_in);
}

/// Path and type of the first column below a type that is not known.
fn in_type(kind: &Value, path: &str) -> Option<(String, String)> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(primitive) = kind.as_str() {
        return (!is_known(primitive)).then(|| (path.to_owned(), primitive.to_owned()));
    }
    match kind.get("type").and_then(Value::as_str) {
        Some("struct") => kind
            .get("fields")?
            .as_array()?
            .iter()
            .find_map(|field| in_type(field.get("type")?, &below(field.get("name")?.as_str()?))),
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
        for kind in ["variant", "unknown", "geometry(srid:4326)", "geography", "interval"] {
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
}
