//! What rows are compared by: bytes whose order is the wanted one.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::NullBuffer;
use arrow_row::{RowConverter, Rows, SortField as RowField};
use arrow_schema::{ArrowError, DataType, Schema, SortOptions};
use iceberg::spec::Transform;

use super::curve::{Ranker, place};
use super::transform::Apply;
use crate::error::{Error, Result};
use crate::model::{Arrangement, Curve, SortField};

/// Makes keys for batches of one schema.
pub(crate) struct Keys {
    columns: Vec<Column>,
    by: By,
}

/// A column of a batch, transformed.
pub(crate) struct Column {
    /// Indexes from the top level down through structs.
    path: Vec<usize>,
    transform: Option<Apply>,
}

enum By {
    /// One column after the other.
    Order(RowConverter),
    /// A curve, with the ranks of each column; before it, the columns that partitions are made of.
    Curve(Curve, Vec<Ranker>, Option<RowConverter>),
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("columns", &self.columns.len()).finish_non_exhaustive()
    }
}

/// The keys of one batch.
#[derive(Debug)]
pub(super) enum KeyRows {
    Order(Rows),
    Curve(Vec<[u8; 16]>),
    /// Keys of any length, one after the other, and where each ends.
    Joined(Vec<u8>, Vec<usize>),
}

impl KeyRows {
    /// The key of one row.
    pub(super) fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Order(rows) => rows.row(row).data(),
            Self::Curve(places) => &places[row],
            Self::Joined(bytes, ends) => &bytes[if row == 0 { 0 } else { ends[row - 1] }..ends[row]],
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Order(rows) => rows.num_rows(),
            Self::Curve(places) => places.len(),
            Self::Joined(_, ends) => ends.len(),
        }
    }

    /// Bytes of the longest one.
    pub(super) fn longest(&self) -> usize {
        (0..self.count()).map(|row| self.get(row).len()).max().unwrap_or(0)
    }

    /// Bytes of all of them.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Order(rows) => rows.size(),
            Self::Curve(places) => size_of_val(places.as_slice()),
            Self::Joined(bytes, ends) => bytes.len() + size_of_val(ends.as_slice()),
        }
    }

    /// Places on a curve, behind what comes before the curve.
    fn behind(first: &Rows, places: impl Iterator<Item = [u8; 16]>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(first.num_rows()));
        for (row, place) in first.iter().zip(places) {
            bytes.extend_from_slice(row.data());
            bytes.extend_from_slice(&place);
            ends.push(bytes.len());
        }
        Self::Joined(bytes, ends)
    }
}

impl Keys {
    /// Keys for an arrangement, of rows that are sorted by some columns before (those that partitions are made of).
    /// `sample` holds some rows of the data; curves learn their ranks from it.
    ///
    /// # Errors
    /// `InvalidInput` for a column that is not there, `Unsupported` for one whose values have no order.
    pub(crate) fn new(
        arrangement: &Arrangement,
        before: Vec<Column>,
        schema: &Schema,
        sample: &[RecordBatch],
    ) -> Result<Self> {
        let mut rows =
            before.iter().map(|column| column.kind(schema).map(RowField::new)).collect::<Result<Vec<_>>>()?;
        let mut columns = before;
        let by = match arrangement {
            Arrangement::BinPack => By::Order(converter(rows)?),
            Arrangement::Sort { fields, .. } => {
                for field in fields {
                    let column = Column::new(find(schema, &field.column)?, transform(field)?);
                    let options = SortOptions { descending: field.descending, nulls_first: field.nulls_first };
                    rows.push(RowField::new_with_options(column.kind(schema)?, options));
                    columns.push(column);
                }
                By::Order(converter(rows)?)
            }
            Arrangement::Curve { curve, columns: names } => {
                let mut rankers = Vec::new();
                for name in names {
                    let column = Column::new(find(schema, name)?, None);
                    let values = sample.iter().map(|batch| column.values(batch)).collect::<Result<Vec<_>>>()?;
                    rankers.push(Ranker::learn(&values)?);
                    columns.push(column);
                }
                let before = if rows.is_empty() { None } else { Some(converter(rows)?) };
                By::Curve(*curve, rankers, before)
            }
        };
        Ok(Self { columns, by })
    }

    /// The keys of a batch.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<KeyRows> {
        let values = self.columns.iter().map(|column| column.values(batch)).collect::<Result<Vec<_>>>()?;
        match &self.by {
            By::Order(converter) => converter.convert_columns(&values).map(KeyRows::Order).map_err(failed),
            By::Curve(curve, rankers, before) => {
                let (first, values) = values.split_at(values.len() - rankers.len());
                let ranks =
                    rankers.iter().zip(values).map(|(ranker, v)| ranker.ranks(v)).collect::<Result<Vec<_>>>()?;
                let mut at = vec![0; ranks.len()];
                let places = (0..batch.num_rows()).map(|row| {
                    for (axis, column) in at.iter_mut().zip(&ranks) {
                        *axis = column[row];
                    }
                    place(*curve, &mut at).to_be_bytes()
                });
                match before {
                    None => Ok(KeyRows::Curve(places.collect())),
                    Some(before) => Ok(KeyRows::behind(&before.convert_columns(first).map_err(failed)?, places)),
                }
            }
        }
    }
}

/// Top-level columns of which an arrangement wants to know more than the order of their values.
///
/// # Errors
/// `InvalidInput` for a column that is not there.
pub(crate) fn looked_into(arrangement: &Arrangement, schema: &Schema) -> Result<HashSet<usize>> {
    let root = |name: &str| find(schema, name).map(|path| path[0]);
    match arrangement {
        Arrangement::BinPack => Ok(HashSet::new()),
        Arrangement::Sort { fields, .. } => {
            let transformed = fields.iter().filter(|field| !field.is_identity());
            transformed.map(|field| root(&field.column)).collect()
        }
        Arrangement::Curve { columns, .. } => columns.iter().map(|name| root(name)).collect(),
    }
}

fn failed(error: ArrowError) -> Error {
    Error::internal("sort keys can't be made").caused_by(error)
}

fn converter(columns: Vec<RowField>) -> Result<RowConverter> {
    RowConverter::new(columns).map_err(|e| {
        Error::unsupported("the columns of the sort order have no order").hint("sort by plain values").caused_by(e)
    })
}

fn transform(field: &SortField) -> Result<Option<Apply>> {
    let parsed: Transform = field.transform.parse().map_err(|e: iceberg::Error| {
        Error::invalid(format!("{:?} is no transform", field.transform))
            .hint("the spec's transforms are identity, year, month, day, hour, bucket[N] and truncate[W]")
            .caused_by(e)
    })?;
    Apply::new(parsed)
}

/// The way to a column.
fn find(schema: &Schema, name: &str) -> Result<Vec<usize>> {
    let missing = || {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::invalid(format!("there is no column {name:?} to sort by"))
            .hint(format!("the table's columns are {}", names.join(", ")))
    };
    // A column's own name may hold dots: the longest match wins.
    if let Some((index, _)) = schema.column_with_name(name) {
        return Ok(vec![index]);
    }
    let (mut fields, mut path) = (schema.fields().clone(), Vec::new());
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        let (index, field) = fields.find(part).ok_or_else(missing)?;
        path.push(index);
        match (field.data_type().clone(), parts.peek()) {
            (_, None) => return Ok(path),
            (DataType::Struct(inner), Some(_)) => fields = inner,
            _ => return Err(missing()),
        }
    }
    Err(missing())
}

impl Column {
    /// The column at the end of a path, through a transform.
    pub(super) fn new(path: Vec<usize>, transform: Option<Apply>) -> Self {
        Self { path, transform }
    }

    /// The top-level column that it is in.
    pub(crate) fn root(&self) -> usize {
        self.path[0]
    }

    /// The type of its values.
    pub(super) fn kind(&self, schema: &Schema) -> Result<DataType> {
        // What comes out of a transform is seen by trying.
        let empty = RecordBatch::new_empty(Arc::new(schema.clone()));
        Ok(self.values(&empty)?.data_type().clone())
    }

    /// Its values in a batch.
    pub(super) fn values(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let mut values = batch.column(self.path[0]).clone();
        for index in &self.path[1..] {
            let outer = values.as_struct();
            let inner = outer.column(*index);
            // A field of a struct that is null is null.
            let nulls = NullBuffer::union(outer.nulls(), inner.nulls());
            let data = inner.to_data().into_builder().nulls(nulls).build();
            values = make_array(data.map_err(|e| Error::internal("a nested column can't be read").caused_by(e))?);
        }
        match &self.transform {
            None => Ok(values),
            Some(apply) => apply.apply(&values),
        }
    }
}
