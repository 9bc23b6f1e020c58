//! A reader that goes by the spec word for word, and shares no code with what it checks.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use iceberg::spec::{DataContentType, ManifestStatus, Struct};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::lake::Row;
use crate::lake::LoadedTable;
use crate::lake::manifests::{read_manifest_list, read_manifests};

/// A value, where equal ones are equal: null is null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl Value {
    pub(super) fn int(&self) -> Option<i64> {
        if let Self::Int(value) = self { Some(*value) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }
}

/// A row that lives, and where it is.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) position: i64,
    pub(super) row: Row,
}

struct File {
    path: String,
    content: DataContentType,
    spec: i32,
    partition: Struct,
    sequence: i64,
    ids: Vec<i32>,
    rows: Vec<Row>,
}

/// All live rows of a table.
pub(super) async fn read(table: &LoadedTable) -> Vec<Found> {
    let Some(snapshot) = table.metadata.current_snapshot() else { return Vec::new() };
    let list = read_manifest_list(table, snapshot).await.unwrap();
    let mut files = Vec::new();
    for (file, manifest) in list.iter().zip(read_manifests(&table.store, &list).await.unwrap()) {
        for entry in manifest.entries().iter().filter(|entry| entry.status != ManifestStatus::Deleted) {
            let data = entry.data_file();
            let rows = rows(data.file_path());
            assert_eq!(rows.len() as u64, data.record_count(), "{}", data.file_path());
            files.push(File {
                path: data.file_path().to_owned(),
                content: data.content_type(),
                spec: file.partition_spec_id,
                partition: data.partition().clone(),
                sequence: entry.sequence_number().unwrap(),
                ids: data.equality_ids().unwrap_or_default(),
                rows,
            });
        }
    }
    let (data, deletes): (Vec<File>, Vec<File>) =
        files.into_iter().partition(|file| file.content == DataContentType::Data);
    let mut found = Vec::new();
    for file in &data {
        for (position, row) in (0..).zip(&file.rows) {
            if !deletes.iter().any(|delete| is_deleted(delete, file, position, row)) {
                found.push(Found { path: file.path.clone(), position, row: row.clone() });
            }
        }
    }
    found
}

/// Spec, "Scan Planning" and "Row-level deletes".
fn is_deleted(delete: &File, data: &File, position: i64, row: &Row) -> bool {
    let same_partition = (delete.spec, &delete.partition) == (data.spec, &data.partition);
    if delete.content == DataContentType::PositionDeletes {
        let names = |pair: &Row| {
            pair.get(&2_147_483_546) == Some(&Value::Text(data.path.clone()))
                && pair.get(&2_147_483_545) == Some(&Value::Int(position))
        };
        return same_partition && data.sequence <= delete.sequence && delete.rows.iter().any(names);
    }
    let value = |row: &Row, id: &i32| row.get(id).cloned().unwrap_or(Value::Null);
    let equal = |key: &Row| delete.ids.iter().all(|id| value(key, id) == value(row, id));
    let global = delete.spec == 0;
    data.sequence < delete.sequence && (same_partition || global) && delete.rows.iter().any(equal)
}

/// All rows of a Parquet file, by field id.
fn rows(path: &str) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let schema = batch.schema();
        let ids = schema.fields().iter().map(|field| field.metadata()[PARQUET_FIELD_ID_META_KEY].parse().unwrap());
        let columns: Vec<(i32, &ArrayRef)> = ids.zip(batch.columns()).collect();
        for index in 0..batch.num_rows() {
            rows.push(columns.iter().map(|(id, column)| (*id, value(column, index))).collect::<BTreeMap<_, _>>());
        }
    }
    rows
}

fn value(column: &ArrayRef, index: usize) -> Value {
    if column.is_null(index) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Int32 => Value::Int(column.as_primitive::<Int32Type>().value(index).into()),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(index)),
        _ => Value::Text(column.as_string::<i32>().value(index).to_owned()),
    }
}
