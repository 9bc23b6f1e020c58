//! The partitions of a group of manifests: each once, in order, with the summaries that manifest lists want.

use std::cmp::Ordering;
use std::collections::HashMap;

use iceberg::spec::{Datum, FieldSummary, PrimitiveType};

use super::avro::{Cursor, Result, Trouble, damaged};
use super::shape::Shape;

/// Partitions by number, in the order in which they were met.
#[derive(Debug)]
pub(super) struct Partitions {
    shape: Shape,
    types: Vec<PrimitiveType>,
    known: HashMap<Vec<u8>, u32>,
    values: Vec<Vec<Option<Datum>>>,
}

impl Partitions {
    /// For partitions of one spec: their shape in Avro, and the types of their fields.
    pub(super) fn new(shape: Shape, types: Vec<PrimitiveType>) -> Result<Self> {
        if shape.fields().len() != types.len() {
            return damaged("its partitions are not those of its partition spec");
        }
        Ok(Self { shape, types, known: HashMap::new(), values: Vec::new() })
    }

    /// The number of a partition.
    pub(super) fn number(&mut self, bytes: &[u8]) -> Result<u32> {
        if let Some(number) = self.known.get(bytes) {
            return Ok(*number);
        }
        let mut cursor = Cursor(bytes);
        let mut values = Vec::with_capacity(self.types.len());
        for (field, kind) in self.shape.fields().iter().zip(&self.types) {
            values.push(value(&field.shape, kind, &mut cursor)?);
        }
        let number =
            u32::try_from(self.values.len()).map_err(|_| Trouble::Unsupported("too many partitions".into()))?;
        self.values.push(values);
        self.known.insert(bytes.to_vec(), number);
        Ok(number)
    }

    /// All numbers in the order of their partitions: nulls first, what is not a number last.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut bytes: Vec<&[u8]> = vec![&[]; self.values.len()];
        for (partition, number) in &self.known {
            bytes[*number as usize] = partition;
        }
        let mut order: Vec<u32> = self.known.values().copied().collect();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (*a as usize, *b as usize);
            let fields = self.values[a].iter().zip(&self.values[b]).map(|(a, b)| compare(a.as_ref(), b.as_ref()));
            fields.fold(Ordering::Equal, Ordering::then).then_with(|| bytes[a].cmp(bytes[b]))
        });
        order
    }

    /// The summaries of a manifest with these partitions.
    pub(super) fn summaries(&self, numbers: &[u32]) -> Result<Vec<FieldSummary>> {
        let broken = |e: iceberg::Error| Trouble::Damaged(e.to_string());
        (0..self.types.len())
            .map(|field| {
                let values = || numbers.iter().map(|number| self.values[*number as usize][field].as_ref());
                let ordered = || values().flatten().filter(|value| !value.is_nan());
                let least = ordered().min_by(|a, b| compare(Some(a), Some(b)));
                let greatest = ordered().max_by(|a, b| compare(Some(a), Some(b)));
                Ok(FieldSummary {
                    contains_null: values().any(|value| value.is_none()),
                    contains_nan: Some(values().flatten().any(Datum::is_nan)),
                    lower_bound: least.map(Datum::to_bytes).transpose().map_err(broken)?,
                    upper_bound: greatest.map(Datum::to_bytes).transpose().map_err(broken)?,
                })
            })
            .collect()
    }
}

fn compare(a: Option<&Datum>, b: Option<&Datum>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.is_nan().cmp(&b.is_nan()).then_with(|| a.partial_cmp(b).unwrap_or(Ordering::Equal)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// A partition value, by way of Iceberg's own single-value bytes.
fn value(shape: &Shape, kind: &PrimitiveType, cursor: &mut Cursor<'_>) -> Result<Option<Datum>> {
    let Some(shape) = shape.branch(cursor)? else { return Ok(None) };
    let bytes = match shape {
        Shape::Number => {
            let number = cursor.long()?;
            match (kind, i32::try_from(number)) {
                (PrimitiveType::Int | PrimitiveType::Date, Ok(number)) => number.to_le_bytes().to_vec(),
                (PrimitiveType::Int | PrimitiveType::Date, Err(_)) => return damaged("a partition value is too large"),
                _ => number.to_le_bytes().to_vec(),
            }
        }
        Shape::Boolean => cursor.take(1)?.to_vec(),
        Shape::Float => cursor.take(4)?.to_vec(),
        Shape::Double => cursor.take(8)?.to_vec(),
        Shape::Bytes => cursor.bytes()?.to_vec(),
        Shape::Fixed(size) => cursor.take(*size)?.to_vec(),
        other => return Err(Trouble::Unsupported(format!("a partition value has the shape {other:?}"))),
    };
    let broken = |e: iceberg::Error| Trouble::Damaged(format!("a partition value can't be read: {e}"));
    Datum::try_from_bytes(&bytes, kind.clone()).map(Some).map_err(broken)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::avro::put_long;
    use super::*;

    #[test]
    fn should_sort_nulls_first_and_nan_last_and_summarise() {
        let shape = Shape::of(&json!({"type": "record", "name": "r", "fields": [
            {"name": "d", "field-id": 1000, "type": ["null", "double"]},
            {"name": "n", "field-id": 1001, "type": ["null", "int"]}]}));
        let types = vec![PrimitiveType::Double, PrimitiveType::Int];
        let mut partitions = Partitions::new(shape.unwrap(), types).unwrap();
        let bytes = |d: Option<f64>, n: i64| {
            let mut out = vec![if d.is_some() { 2 } else { 0 }];
            d.into_iter().for_each(|d| out.extend_from_slice(&d.to_le_bytes()));
            out.push(2);
            put_long(&mut out, n);
            out
        };
        let all = [(Some(f64::NAN), 1), (Some(2.0), -7), (None, 5), (Some(-1.0), 9), (Some(2.0), -8)];
        let numbers: Vec<u32> = all.iter().map(|(d, n)| partitions.number(&bytes(*d, *n)).unwrap()).collect();
        assert_eq!((numbers, partitions.number(&bytes(None, 5)).unwrap()), (vec![0, 1, 2, 3, 4], 2));
        assert_eq!(partitions.sorted(), [2, 3, 4, 1, 0]);
        let summaries = partitions.summaries(&[0, 1, 2]).unwrap();
        assert_eq!((summaries[0].contains_null, summaries[0].contains_nan), (true, Some(true)));
        assert_eq!(summaries[0].lower_bound.as_ref().unwrap().as_slice(), 2f64.to_le_bytes());
        assert_eq!((summaries[1].contains_null, summaries[1].contains_nan), (false, Some(false)));
        assert_eq!(summaries[1].lower_bound.as_ref().unwrap().as_slice(), (-7i32).to_le_bytes());
        assert_eq!(summaries[1].upper_bound.as_ref().unwrap().as_slice(), 5i32.to_le_bytes());
        assert!(partitions.number(&[2]).is_err(), "cut off");
    }
}
