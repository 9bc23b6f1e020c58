//! The partition that each row belongs to, computed from its values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField as RowField};
use arrow_schema::{DataType, Schema};
use iceberg::spec::{PartitionSpec, PrimitiveType, Schema as TableSchema, StructType, Transform, Type};

use super::key::Column;
use super::transform::Apply;
use crate::error::{Error, Result};
use crate::executor::columns::id;
use crate::executor::stats::Bound;
use crate::model::PartitionValues;

/// The partition fields of a spec. A field without values (void) has no column.
pub(crate) struct Partitioning {
    kind: StructType,
    columns: Vec<Option<Column>>,
    converter: Option<RowConverter>,
}

impl std::fmt::Debug for Partitioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partitioning").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Partitioning {
    /// Partitions by a spec of rows in a table's schema.
    ///
    /// # Errors
    /// `Unsupported` for a spec whose source columns are gone, or not to be compared.
    pub(crate) fn new(spec: &PartitionSpec, table: &TableSchema, schema: &Schema) -> Result<Self> {
        let gone = |e| {
            Error::unsupported(format!("rows can't be put into partitions of spec {}", spec.spec_id()))
                .hint("its columns are not in the table's schema any more: choose another output-spec-id")
                .caused_by(e)
        };
        let kind = spec.partition_type(table).map_err(gone)?;
        let columns = columns(spec, schema)?;
        let kinds: Vec<RowField> =
            columns.iter().flatten().map(|column| column.kind(schema).map(RowField::new)).collect::<Result<_>>()?;
        let converter = if kinds.is_empty() {
            None
        } else {
            Some(RowConverter::new(kinds).map_err(|e| {
                Error::unsupported("partition values can't be compared")
                    .hint("choose another output-spec-id")
                    .caused_by(e)
            })?)
        };
        Ok(Self { kind, columns, converter })
    }

    /// The type of a partition's values.
    pub(crate) fn kind(&self) -> &StructType {
        &self.kind
    }

    /// What tells the partitions of rows apart; `None` when there is only one partition.
    pub(crate) fn keys(&self, batch: &RecordBatch) -> Result<Option<Rows>> {
        let Some(converter) = &self.converter else { return Ok(None) };
        let values = self.columns.iter().flatten().map(|column| column.values(batch)).collect::<Result<Vec<_>>>()?;
        let rows = converter.convert_columns(&values);
        rows.map(Some).map_err(|e| Error::internal("partition values can't be compared").caused_by(e))
    }

    /// The partition of the first row.
    pub(crate) fn values(&self, batch: &RecordBatch) -> Result<PartitionValues> {
        let first = batch.slice(0, 1);
        let field = |(column, field): (&Option<Column>, &iceberg::spec::NestedFieldRef)| {
            let (Some(column), Type::Primitive(kind)) = (column, field.field_type.as_ref()) else { return Ok(None) };
            single_value(&column.values(&first)?, kind)
        };
        self.columns.iter().zip(self.kind.fields()).map(field).collect::<Result<_>>().map(PartitionValues)
    }
}

/// The columns that partitions are made of, by field of the spec; `None` for void ones.
pub(crate) fn columns(spec: &PartitionSpec, schema: &Schema) -> Result<Vec<Option<Column>>> {
    let column = |field: &iceberg::spec::PartitionField| {
        if field.transform == Transform::Void {
            return Ok(None);
        }
        let path = path_to(schema, field.source_id).ok_or_else(|| {
            Error::unsupported(format!("the column of the partition field {} is not in the table any more", field.name))
                .hint("choose another output-spec-id")
        })?;
        Ok(Some(Column::new(path, Apply::new(field.transform)?)))
    };
    spec.fields().iter().map(column).collect()
}

/// Indexes from the top level down through structs to the field of an id.
fn path_to(schema: &Schema, wanted: i32) -> Option<Vec<usize>> {
    fn inside(fields: &arrow_schema::Fields, wanted: i32) -> Option<Vec<usize>> {
        fields.iter().enumerate().find_map(|(index, field)| {
            if id(field) == Some(wanted) {
                return Some(vec![index]);
            }
            let DataType::Struct(children) = field.data_type() else { return None };
            let rest = inside(children, wanted)?;
            Some([index].into_iter().chain(rest).collect())
        })
    }
    inside(schema.fields(), wanted)
}

/// The first value of an array in the spec's single-value serialisation.
fn single_value(array: &ArrayRef, kind: &PrimitiveType) -> Result<Option<Vec<u8>>> {
    if array.is_null(0) {
        return Ok(None);
    }
    Ok(Some(match array.data_type() {
        DataType::Boolean => vec![u8::from(array.as_boolean().value(0))],
        DataType::Int32 => array.as_primitive::<Int32Type>().value(0).to_le_bytes().to_vec(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(0).to_le_bytes().to_vec(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(0).to_le_bytes().to_vec(),
        DataType::Time64(_) => array.as_primitive::<Time64MicrosecondType>().value(0).to_le_bytes().to_vec(),
        DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().value(0).to_le_bytes().to_vec()
        }
        DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().value(0).to_le_bytes().to_vec()
        }
        DataType::Float32 => array.as_primitive::<Float32Type>().value(0).to_le_bytes().to_vec(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(0).to_le_bytes().to_vec(),
        DataType::Decimal128(..) => Bound::Decimal(array.as_primitive::<Decimal128Type>().value(0)).to_bytes(),
        DataType::Utf8 => array.as_string::<i32>().value(0).as_bytes().to_vec(),
        DataType::Binary => array.as_binary::<i32>().value(0).to_vec(),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(0).to_vec(),
        other => {
            return Err(Error::unsupported(format!(
                "a partition by {kind} can't be written of values of type {other}"
            ))
            .hint("choose another output-spec-id"));
        }
    }))
}
