//! The columns that equality deletes compare, found and read in any file of the table.

use std::sync::Arc;

use arrow_array::ArrayRef;
use iceberg::spec::{NestedField, NestedFieldRef, Schema, StructType, Type};

use crate::error::{Error, Result};
use crate::executor::TableContext;
use crate::executor::columns::{Matched, match_columns};
use crate::executor::deletes::Mask;
use crate::executor::parquet::{RowGroupInput, read_root};
use crate::executor::source::{Chunks, Source};
use crate::lake::parquet_schema::{WriteSchema, write_schema};

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

    /// Reads one row group, in batches of rows.
    pub(super) fn read(
        &self,
        source: &Source,
        matched: &[Matched],
        row_group: usize,
        chunks: Chunks,
        take: &mut impl FnMut(u64, &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        let input = RowGroupInput { chunks, mask: Mask::default() };
        let mut columns: Vec<Vec<ArrayRef>> = Vec::with_capacity(self.0.len());
        for (column, matched) in self.0.iter().zip(matched) {
            let mut batches = Vec::new();
            read_root(source, matched, 0, column.arrow.field(0), row_group, &input, &mut |values| {
                batches.push(values.clone());
                Ok(())
            })?;
            columns.push(batches);
        }
        // All columns come in batches of the same rows.
        let mut first = source.first_row(row_group);
        for index in 0..columns.first().map_or(0, Vec::len) {
            let batch: Vec<ArrayRef> = columns.iter().filter_map(|batches| batches.get(index).cloned()).collect();
            let rows = batch.first().map_or(0, |column| column.len());
            if batch.len() != self.0.len() || batch.iter().any(|column| column.len() != rows) {
                return Err(Error::corrupt("its columns have different numbers of rows"));
            }
            take(first, &batch)?;
            first += rows as u64;
        }
        Ok(())
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
