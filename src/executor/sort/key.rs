//! What rows are compared by: bytes whose order is the wanted one.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::NullBuffer;
use arrow_row::{RowConverter, Rows, SortField as RowField};
use arrow_schema::{DataType, Schema, SortOptions};
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

struct Column {
    /// Indexes from the top level down through structs.
    path: Vec<usize>,
    transform: Option<Apply>,
}

enum By {
    /// One column after the other.
    Order(RowConverter),
    /// A curve, with the ranks of each column.
    Curve(Curve, Vec<Ranker>),
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
}

impl KeyRows {
    /// The key of one row.
    pub(super) fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Order(rows) => rows.row(row).data(),
            Self::Curve(places) => &places[row],
        }
    }

    /// Bytes of all of them.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Order(rows) => rows.size(),
            Self::Curve(places) => size_of_val(places.as_slice()),
        }
    }
}

impl Keys {
    /// Keys for an arrangement. `sample` holds some rows of the data; curves learn their ranks from it.
    ///
    /// # Errors
    /// `InvalidInput` for a column that is not there, `Unsupported` for one whose values have no order.
    pub(crate) fn new(arrangement: &Arrangement, schema: &Schema, sample: &[RecordBatch]) -> Result<Self> {
        match arrangement {
            Arrangement::BinPack => Err(Error::internal("rows that stay where they are have no keys")),
            Arrangement::Sort { fields, .. } => Self::in_order(fields, schema),
            Arrangement::Curve { curve, columns } => Self::along(*curve, columns, schema, sample),
        }
    }

    fn in_order(fields: &[SortField], schema: &Schema) -> Result<Self> {
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        for field in fields {
            let (path, kind) = find(schema, &field.column)?;
            let transform = transform(field)?;
            let kind = match &transform {
                None => kind,
                // The type that comes out is seen by trying.
                Some(apply) => apply.apply(&arrow_array::new_empty_array(&kind))?.data_type().clone(),
            };
            let options = SortOptions { descending: field.descending, nulls_first: field.nulls_first };
            rows.push(RowField::new_with_options(kind, options));
            columns.push(Column { path, transform });
        }
        let converter = RowConverter::new(rows).map_err(|e| {
            Error::unsupported("the columns of the sort order have no order").hint("sort by plain values").caused_by(e)
        })?;
        Ok(Self { columns, by: By::Order(converter) })
    }

    fn along(curve: Curve, names: &[String], schema: &Schema, sample: &[RecordBatch]) -> Result<Self> {
        let mut columns = Vec::new();
        for name in names {
            columns.push(Column { path: find(schema, name)?.0, transform: None });
        }
        let rankers = columns
            .iter()
            .map(|column| {
                let values = sample.iter().map(|batch| column.values(batch)).collect::<Result<Vec<_>>>()?;
                Ranker::learn(&values)
            })
            .collect::<Result<_>>()?;
        Ok(Self { columns, by: By::Curve(curve, rankers) })
    }

    /// The keys of a batch.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<KeyRows> {
        let values = self.columns.iter().map(|column| column.values(batch)).collect::<Result<Vec<_>>>()?;
        match &self.by {
            By::Order(converter) => converter
                .convert_columns(&values)
                .map(KeyRows::Order)
                .map_err(|e| Error::internal("sort keys can't be made").caused_by(e)),
            By::Curve(curve, rankers) => {
                let ranks =
                    rankers.iter().zip(&values).map(|(ranker, v)| ranker.ranks(v)).collect::<Result<Vec<_>>>()?;
                let mut at = vec![0; ranks.len()];
                let places = (0..batch.num_rows()).map(|row| {
                    for (axis, column) in at.iter_mut().zip(&ranks) {
                        *axis = column[row];
                    }
                    place(*curve, &mut at).to_be_bytes()
                });
                Ok(KeyRows::Curve(places.collect()))
            }
        }
    }
}

fn transform(field: &SortField) -> Result<Option<Apply>> {
    let parsed: Transform = field.transform.parse().map_err(|e: iceberg::Error| {
        Error::invalid(format!("{:?} is no transform", field.transform))
            .hint("the spec's transforms are identity, year, month, day, hour, bucket[N] and truncate[W]")
            .caused_by(e)
    })?;
    Apply::new(parsed)
}

/// The way to a column, and its type.
fn find(schema: &Schema, name: &str) -> Result<(Vec<usize>, DataType)> {
    let missing = || {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::invalid(format!("there is no column {name:?} to sort by"))
            .hint(format!("the table's columns are {}", names.join(", ")))
    };
    // A column's own name may hold dots: the longest match wins.
    if let Some((index, field)) = schema.column_with_name(name) {
        return Ok((vec![index], field.data_type().clone()));
    }
    let (mut fields, mut path) = (schema.fields().clone(), Vec::new());
    let mut parts = name.split('.').peekable();
    while let Some(part) = parts.next() {
        let (index, field) = fields.find(part).ok_or_else(missing)?;
        path.push(index);
        match (field.data_type().clone(), parts.peek()) {
            (kind, None) => return Ok((path, kind)),
            (DataType::Struct(inner), Some(_)) => fields = inner,
            _ => return Err(missing()),
        }
    }
    Err(missing())
}

impl Column {
    fn values(&self, batch: &RecordBatch) -> Result<ArrayRef> {
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
