//! The columns that equality deletes compare, found and read in any file of the table.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use iceberg::spec::{NestedField, NestedFieldRef, Schema, StructType, Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use tokio::runtime::Handle;

use super::encode::width;
use crate::error::{Error, Result};
use crate::executor::TableContext;
use crate::executor::columns::{Matched, match_columns};
use crate::executor::source::Source;
use crate::lake::damaged;
use crate::lake::parquet_schema::{WriteSchema, write_schema};

/// Rows decoded at a time.
const ROWS_AT_ONCE: usize = 8192;

/// One schema a delete column: the column alone, below its parent structs, in the table's newest type for it.
#[derive(Debug)]
pub(super) struct KeyColumns(Vec<WriteSchema>);

impl KeyColumns {
    /// Looks the columns up in the current schema, or else in the newest one that had them: a column that was dropped
    /// since still counts.
    pub(super) fn new(ids: &[i32], table: &TableContext) -> Result<Self> {
        let schemas = || std::iter::once(&table.schema).chain(&table.older_schemas);
        if ids.is_empty() {
            return Err(Error::corrupt("an equality delete file has no delete columns"));
        }
        let one = |id: &i32| -> Result<WriteSchema> {
            let field = schemas().find_map(|schema| alone(schema.as_struct(), *id)).ok_or_else(|| {
                Error::unsupported(format!("no schema of table {} has the delete column {id}", table.table))
                    .hint("or it is inside a list or a map, where delete columns may not be")
            })?;
            let schema = Schema::builder()
                .with_fields([field])
                .build()
                .map_err(|e| Error::internal("a delete column has no schema").caused_by(e))?;
            write_schema(&schema)
        };
        Ok(Self(ids.iter().map(one).collect::<Result<_>>()?))
    }

    /// Where the columns are in a file.
    pub(super) fn match_in(&self, source: &Source, table: &TableContext) -> Result<Vec<Matched>> {
        self.0.iter().map(|column| match_columns(source, &column.arrow, table)).collect()
    }

    /// The width of a key, where all have the same.
    pub(super) fn width(&self) -> Option<usize> {
        let kinds: Vec<&DataType> = self.0.iter().map(|column| leaf(column.arrow.field(0).data_type())).collect();
        width(&kinds)
    }

    /// Reads one row group, in batches of rows, each with the position of its first row.
    pub(super) fn read(
        &self,
        source: &Source,
        matched: &[Matched],
        row_group: usize,
        runtime: &Handle,
        take: &mut impl FnMut(u64, &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        let bad = |e: ParquetError| damaged(&source.path, e);
        let mut roots: Vec<usize> = matched.iter().filter_map(|column| column.roots[0]).collect();
        roots.sort_unstable();
        roots.dedup();
        let first = source.first_row(row_group);
        let rows = usize::try_from(source.metadata.row_group(row_group).num_rows()).unwrap_or(0);
        let mut seen = 0;
        let mut pass = |read: Option<&RecordBatch>, rows: usize| {
            let found = self.0.iter().zip(matched).map(|(column, matched)| {
                let wanted = column.arrow.field(0);
                let place = matched.roots[0].and_then(|root| roots.binary_search(&root).ok().zip(Some(root)));
                match place.zip(read) {
                    Some(((place, root), read)) => {
                        matched.align(read.column(place), source.schema().field(root), wanted)
                    }
                    None => matched.missing(wanted, rows),
                }
            });
            let found = found.collect::<Result<Vec<_>>>()?;
            seen += rows;
            take(first + (seen - rows) as u64, &found)
        };
        if roots.is_empty() {
            for start in (0..rows).step_by(ROWS_AT_ONCE) {
                pass(None, ROWS_AT_ONCE.min(rows - start))?;
            }
            return Ok(());
        }
        let descriptor = source.metadata.file_metadata().schema_descr();
        let chunks = runtime.block_on(source.columns(row_group, &roots))?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, source.arrays().map_err(bad)?)
            .with_projection(ProjectionMask::roots(descriptor, roots.iter().copied()))
            .with_row_groups(vec![row_group])
            .with_batch_size(ROWS_AT_ONCE)
            .build()
            .map_err(bad)?;
        for batch in reader {
            let batch = batch.map_err(|e| bad(e.into()))?;
            pass(Some(&batch), batch.num_rows())?;
        }
        if seen != rows {
            return Err(Error::corrupt(format!("a row group has {seen} rows instead of {rows}"))
                .hint("the file is damaged: restore it; nothing was changed"));
        }
        Ok(())
    }
}

/// The type of the value itself, below its parents.
fn leaf(kind: &DataType) -> &DataType {
    match kind {
        DataType::Struct(fields) => fields.first().map_or(kind, |field| leaf(field.data_type())),
        kind => kind,
    }
}

/// A primitive column, optional, with nothing beside it in its parent structs.
fn alone(fields: &StructType, id: i32) -> Option<NestedFieldRef> {
    fields.fields().iter().find_map(|field| match field.field_type.as_ref() {
        Type::Primitive(_) if field.id == id => {
            Some(Arc::new(NestedField::optional(id, &field.name, field.field_type.as_ref().clone())))
        }
        Type::Struct(children) => {
            let child = alone(children, id)?;
            let kind = Type::Struct(StructType::new(vec![child]));
            Some(Arc::new(NestedField::optional(field.id, &field.name, kind)))
        }
        _ => None,
    })
}
