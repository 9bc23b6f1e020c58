//! Where a file is: its partition spec, and its partition.

use iceberg::spec::{Datum, Literal, PrimitiveLiteral, Struct, Transform};
use iceberg::transform::create_transform_function;
use serde_json::{Value as Json, json};

use super::lake::{ID, NUM, PART, Row};
use super::values::Value;

/// The specs of the test table: none; by `part`; by that and a bucket of `id`; by `num` cut to a multiple of two.
pub(super) const SPECS: i32 = 4;
/// The one that divides by `num`.
pub(super) const BY_NUM: i32 = 3;

/// A partition: all of its values are whole numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Home {
    pub(super) spec: i32,
    values: Vec<Option<i64>>,
}

impl From<i64> for Home {
    /// Of the second spec.
    fn from(part: i64) -> Self {
        Self { spec: 1, values: vec![Some(part)] }
    }
}

impl From<Option<i64>> for Home {
    /// Of the second spec, or the whole table.
    fn from(part: Option<i64>) -> Self {
        part.map_or(Self { spec: 0, values: Vec::new() }, Self::from)
    }
}

/// As metadata has them.
pub(super) fn specs() -> Json {
    let part = json!({"source-id": PART, "field-id": 1000, "name": "part", "transform": "identity"});
    json!([
        {"spec-id": 0, "fields": []}, {"spec-id": 1, "fields": [part]},
        {"spec-id": 2, "fields": [part, {"source-id": ID, "field-id": 1001, "name": "b", "transform": "bucket[2]"}]},
        {"spec-id": 3, "fields": [{"source-id": NUM, "field-id": 1002, "name": "n", "transform": "truncate[2]"}]},
    ])
}

impl Home {
    /// That of a row.
    pub(super) fn of(spec: i32, row: &Row) -> Self {
        let value = |id: i32| row.get(&id).and_then(Value::int);
        let values = match spec {
            0 => Vec::new(),
            1 => vec![value(PART)],
            2 => vec![value(PART), value(ID).map(bucket)],
            _ => vec![value(NUM).map(|num| num - num.rem_euclid(2))],
        };
        Self { spec, values }
    }

    /// That of a file.
    pub(super) fn read(spec: i32, partition: &Struct) -> Self {
        let value = |value: Option<&Literal>| match value {
            Some(Literal::Primitive(PrimitiveLiteral::Int(value))) => Some(i64::from(*value)),
            Some(Literal::Primitive(PrimitiveLiteral::Long(value))) => Some(*value),
            None => None,
            other => panic!("{other:?} is no whole number"),
        };
        Self { spec, values: partition.iter().map(value).collect() }
    }

    /// Whether deletes there apply everywhere.
    pub(super) fn is_everywhere(&self) -> bool {
        self.spec == 0
    }

    /// As manifests have it; `wide` where `num` is a long by now.
    pub(super) fn partition(&self, wide: bool) -> Struct {
        let literal = |value: i64| match wide && self.spec == BY_NUM {
            true => Literal::long(value),
            false => Literal::int(i32::try_from(value).unwrap()),
        };
        self.values.iter().map(|value| value.map(literal)).collect()
    }
}

fn bucket(id: i64) -> i64 {
    let bucket = create_transform_function(&Transform::Bucket(2)).unwrap();
    match bucket.transform_literal(&Datum::long(id)).unwrap().unwrap().literal() {
        PrimitiveLiteral::Int(bucket) => (*bucket).into(),
        other => panic!("{other:?} is no bucket"),
    }
}
