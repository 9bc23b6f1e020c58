//! How Avro values are laid out, without names: two schemas of one shape have the same bytes for the same value.

use std::collections::HashMap;

use serde_json::Value;

use super::avro::{Cursor, Result, Trouble, damaged, put_bytes, put_long};

/// The layout of a value. Numbers of either width share one, and so do text and bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Null,
    Boolean,
    Number,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    Array(Box<Self>),
    Map(Box<Self>),
    Record(Vec<Field>),
    Union(Vec<Self>),
}

/// A field of a record.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Iceberg's id.
    pub(super) id: Option<i32>,
    pub(super) name: String,
    pub(super) shape: Shape,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        let same = match (self.id, other.id) {
            (Some(a), Some(b)) => a == b,
            _ => self.name == other.name,
        };
        same && self.shape == other.shape
    }
}

impl Shape {
    /// The shape of a schema in Avro's JSON.
    pub(super) fn of(schema: &Value) -> Result<Self> {
        parse(schema, &mut HashMap::new())
    }

    pub(super) fn fields(&self) -> &[Field] {
        match self {
            Self::Record(fields) => fields,
            _ => &[],
        }
    }

    /// The field with one of Iceberg's ids.
    pub(super) fn field(&self, id: i32) -> Option<&Field> {
        self.fields().iter().find(|field| field.id == Some(id))
    }

    /// Moves past a value, and gives its bytes.
    pub(super) fn slice<'a>(&self, cursor: &mut Cursor<'a>) -> Result<&'a [u8]> {
        let start = cursor.0;
        self.skip(cursor)?;
        Ok(&start[..start.len() - cursor.0.len()])
    }

    fn skip(&self, cursor: &mut Cursor<'_>) -> Result<()> {
        match self {
            Self::Null => {}
            Self::Boolean => {
                let _ = cursor.take(1)?;
            }
            Self::Number => {
                let _ = cursor.long()?;
            }
            Self::Float => {
                let _ = cursor.take(4)?;
            }
            Self::Double => {
                let _ = cursor.take(8)?;
            }
            Self::Bytes => {
                let _ = cursor.bytes()?;
            }
            Self::Fixed(size) => {
                let _ = cursor.take(*size)?;
            }
            Self::Array(item) => skip_items(cursor, |cursor| item.skip(cursor))?,
            Self::Map(value) => skip_items(cursor, |cursor| {
                let _ = cursor.bytes()?;
                value.skip(cursor)
            })?,
            Self::Record(fields) => {
                for field in fields {
                    field.shape.skip(cursor)?;
                }
            }
            Self::Union(_) => {
                if let Some(shape) = self.branch(cursor)? {
                    shape.skip(cursor)?;
                }
            }
        }
        Ok(())
    }

    /// The shape of the value that follows, which is this one unless it is a union; `None` for null.
    pub(super) fn branch(&self, cursor: &mut Cursor<'_>) -> Result<Option<&Self>> {
        let found = match self {
            Self::Union(branches) => {
                let index = usize::try_from(cursor.long()?).ok();
                match index.and_then(|index| branches.get(index)) {
                    Some(branch) => branch,
                    None => return damaged("a value has a type that its schema does not know"),
                }
            }
            plain => plain,
        };
        Ok((*found != Self::Null).then_some(found))
    }

    /// Writes a value of this shape in another one.
    pub(super) fn convert(&self, cursor: &mut Cursor<'_>, to: &Self, out: &mut Vec<u8>) -> Result<()> {
        if self == to {
            out.extend_from_slice(self.slice(cursor)?);
            return Ok(());
        }
        let Some(shape) = self.branch(cursor)? else { return to.put_null(out) };
        let target = match to {
            Self::Union(branches) => {
                let same = branches.iter().position(|branch| branch == shape);
                let found = same.or_else(|| branches.iter().position(|branch| *branch != Self::Null));
                let Some(index) = found else { return Err(unlike(shape, to)) };
                put_long(out, index as i64);
                &branches[index]
            }
            plain => plain,
        };
        match (shape, target) {
            (a, b) if a == b => out.extend_from_slice(a.slice(cursor)?),
            (Self::Array(a), Self::Array(b)) => loop {
                let items = cursor.items()?;
                put_long(out, items.cast_signed());
                for _ in 0..items {
                    a.convert(cursor, b, out)?;
                }
                if items == 0 {
                    break;
                }
            },
            (Self::Record(_), Self::Record(_)) => shape.convert_record(cursor, target, out)?,
            (Self::Fixed(size), Self::Bytes) => put_bytes(out, cursor.take(*size)?),
            (Self::Bytes, Self::Fixed(size)) => match cursor.bytes()? {
                bytes if bytes.len() == *size => out.extend_from_slice(bytes),
                _ => return Err(unlike(shape, to)),
            },
            _ => return Err(unlike(shape, to)),
        }
        Ok(())
    }

    fn convert_record(&self, cursor: &mut Cursor<'_>, to: &Self, out: &mut Vec<u8>) -> Result<()> {
        let mut values = Vec::with_capacity(self.fields().len());
        for field in self.fields() {
            values.push((field, field.shape.slice(cursor)?));
        }
        for wanted in to.fields() {
            let same = |field: &Field| match (field.id, wanted.id) {
                (Some(a), Some(b)) => a == b,
                _ => field.name == wanted.name,
            };
            match values.iter().find(|(field, _)| same(field)) {
                Some((field, bytes)) => field.shape.convert(&mut Cursor(bytes), &wanted.shape, out)?,
                None => wanted.shape.put_null(out)?,
            }
        }
        Ok(())
    }

    /// Writes a null, where that can be.
    pub(super) fn put_null(&self, out: &mut Vec<u8>) -> Result<()> {
        let index = match self {
            Self::Union(branches) => branches.iter().position(|branch| *branch == Self::Null),
            _ => None,
        };
        match index {
            Some(index) => put_long(out, index as i64),
            None => return damaged("a value is missing that must be there"),
        }
        Ok(())
    }

    /// Writes a number, which may be optional.
    pub(super) fn put_number(&self, value: i64, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Union(branches) => match branches.iter().position(|branch| *branch == Self::Number) {
                Some(index) => put_long(out, index as i64),
                None => return Err(unlike(&Self::Number, self)),
            },
            Self::Number => {}
            _ => return Err(unlike(&Self::Number, self)),
        }
        put_long(out, value);
        Ok(())
    }

    /// A number, which may be optional.
    pub(super) fn number(&self, bytes: &[u8]) -> Result<Option<i64>> {
        let mut cursor = Cursor(bytes);
        match self.branch(&mut cursor)? {
            None => Ok(None),
            Some(Self::Number) => cursor.long().map(Some),
            Some(_) => damaged("a number is something else"),
        }
    }
}

fn skip_items(cursor: &mut Cursor<'_>, mut one: impl FnMut(&mut Cursor<'_>) -> Result<()>) -> Result<()> {
    loop {
        let items = cursor.items()?;
        if items == 0 {
            return Ok(());
        }
        for _ in 0..items {
            // Values without bytes would let a short file claim any number of items.
            if cursor.0.is_empty() {
                return damaged("a list is longer than its file");
            }
            one(cursor)?;
        }
    }
}

fn unlike(from: &Shape, to: &Shape) -> Trouble {
    Trouble::Unsupported(format!("a value of shape {from:?} can't be written as {to:?}"))
}

fn parse(schema: &Value, known: &mut HashMap<String, Shape>) -> Result<Shape> {
    let name = match schema {
        Value::String(name) => name.as_str(),
        Value::Array(branches) => {
            return Ok(Shape::Union(branches.iter().map(|branch| parse(branch, known)).collect::<Result<_>>()?));
        }
        Value::Object(object) => match object.get("type") {
            Some(Value::String(name)) => name.as_str(),
            Some(inner) => return parse(inner, known),
            None => return damaged("its schema has a type without a name"),
        },
        _ => return damaged("its schema is not one"),
    };
    let child = |key: &str| schema.get(key).map_or_else(|| damaged("its schema is incomplete"), Ok);
    let shape = match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" | "long" | "enum" => Shape::Number,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" | "string" => Shape::Bytes,
        "fixed" => Shape::Fixed(child("size")?.as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(0)),
        "array" => Shape::Array(Box::new(parse(child("items")?, known)?)),
        "map" => Shape::Map(Box::new(parse(child("values")?, known)?)),
        "record" => {
            let mut fields = Vec::new();
            for field in child("fields")?.as_array().into_iter().flatten() {
                let Some(kind) = field.get("type") else { return damaged("its schema has a field without a type") };
                let id = field.get("field-id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok());
                let name = field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                fields.push(Field { id, name, shape: parse(kind, known)? });
            }
            Shape::Record(fields)
        }
        other => match known.get(other) {
            Some(shape) => shape.clone(),
            None => return Err(Trouble::Unsupported(format!("its schema has the unknown type {other:?}"))),
        },
    };
    if let Some(name) = schema.get("name").and_then(Value::as_str) {
        known.insert(name.to_owned(), shape.clone());
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn should_convert_what_has_another_shape_and_refuse_what_would_be_lost() {
        let record = |fields: Value| Shape::of(&json!({"type": "record", "name": "r", "fields": fields})).unwrap();
        let from = record(json!([
            {"name": "a", "field-id": 1, "type": "int"},
            {"name": "b", "field-id": 2, "type": ["null", "string"]},
            {"name": "c", "field-id": 3, "type": {"type": "array", "items": "long"}},
        ]));
        let to = record(json!([
            {"name": "x", "field-id": 3, "type": ["null", {"type": "array", "items": "long"}]},
            {"name": "y", "field-id": 2, "type": ["bytes", "null"]},
            {"name": "new", "field-id": 9, "type": ["null", "int"]},
            {"name": "z", "field-id": 1, "type": ["null", "long"]},
        ]));
        let mut bytes = Vec::new();
        put_long(&mut bytes, -5);
        put_long(&mut bytes, 1);
        put_bytes(&mut bytes, b"hi");
        for number in [2, 7, 8, 0] {
            put_long(&mut bytes, number);
        }
        let mut out = Vec::new();
        let mut cursor = Cursor(&bytes);
        from.convert(&mut cursor, &to, &mut out).unwrap();
        assert!(cursor.0.is_empty());
        let mut read = Cursor(&out);
        let values: Vec<&[u8]> = to.fields().iter().map(|field| field.shape.slice(&mut read).unwrap()).collect();
        assert_eq!(values[0], [2, 4, 14, 16, 0]);
        assert_eq!(values[1], [0, 4, b'h', b'i']);
        assert_eq!((values[2], values[3]), (&[0][..], &[2, 9][..]));
        let double = Shape::of(&json!("double")).unwrap();
        assert!(matches!(Shape::Number.convert(&mut Cursor(&[2]), &double, &mut out), Err(Trouble::Unsupported(_))));
        let optional = Shape::of(&json!(["null", "int"])).unwrap();
        assert!(matches!(optional.convert(&mut Cursor(&[0]), &Shape::Number, &mut out), Err(Trouble::Damaged(_))));
        assert!(Shape::of(&json!(["null", "nobody"])).is_err());
        // A few bytes that claim four billion nulls.
        let nulls = Shape::Array(Box::new(Shape::Null));
        let mut many = Vec::new();
        put_long(&mut many, 1 << 32);
        assert!(nulls.slice(&mut Cursor(&many)).is_err());
    }

    #[test]
    fn should_know_named_types_and_take_names_for_nothing() {
        let map = |key: &str, record: &str| {
            json!({"type": "array", "logicalType": "map", "items": {"type": "record", "name": record, "fields": [
                {"name": key, "field-id": 117, "type": "int"}, {"name": "value", "field-id": 118, "type": "long"}]}})
        };
        let ours = Shape::of(&json!(["null", map("key", "k117_v118")])).unwrap();
        assert_eq!(ours, Shape::of(&json!(["null", map("k", "other")])).unwrap());
        let twice = json!({"type": "record", "name": "r", "fields": [
            {"name": "a", "type": {"type": "fixed", "name": "f", "size": 4}}, {"name": "b", "type": ["null", "f"]}]});
        let Shape::Record(fields) = Shape::of(&twice).unwrap() else { panic!("no record") };
        assert_eq!(fields[1].shape, Shape::Union(vec![Shape::Null, Shape::Fixed(4)]));
    }
}
