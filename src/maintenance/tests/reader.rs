//! A reader that goes by the spec word for word, and shares no code with what it checks.

use std::collections::{BTreeSet, HashMap};

use arrow_array::ArrayRef;
use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Literal, ManifestStatus, PrimitiveLiteral, Snapshot};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringTreemap;

use super::home::Home;
use super::lake::Row;
pub(super) use super::values::Value;
use crate::lake::LoadedTable;
use crate::lake::manifests::{read_manifest_list, read_manifests};

/// A row that lives, and where it is.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) position: i64,
    pub(super) home: Home,
    pub(super) row: Row,
    /// `_row_id` and `_last_updated_sequence_number`; the first is not known below format version 3.
    pub(super) lineage: (Option<i64>, i64),
}

/// The reserved columns of row lineage, and of position deletes.
const ROW_ID: i32 = 2_147_483_540;
const LAST_UPDATED: i32 = 2_147_483_539;
const FILE_PATH: i32 = 2_147_483_546;
const POS: i32 = 2_147_483_545;

struct File {
    path: String,
    content: DataContentType,
    home: Home,
    sequence: i64,
    ids: Vec<i32>,
    first_row_id: Option<i64>,
    /// Where a deletion vector is in its file.
    vector: Option<i64>,
    /// The rows of a data file; pairs of file and position, also of a deletion vector.
    rows: Vec<Row>,
}

/// Data files and delete files.
async fn files(table: &LoadedTable, snapshot: Option<&Snapshot>) -> (Vec<File>, Vec<File>) {
    let Some(snapshot) = snapshot else { return (Vec::new(), Vec::new()) };
    let defaults = defaults(table);
    let list = read_manifest_list(table, snapshot).await.unwrap();
    let mut files = Vec::new();
    for (file, manifest) in list.iter().zip(read_manifests(&table.store, &list).await.unwrap()) {
        let mut next_row_id = file.first_row_id;
        for entry in manifest.entries().iter().filter(|entry| entry.status != ManifestStatus::Deleted) {
            let data = entry.data_file();
            let mut first_row_id = data.first_row_id();
            if first_row_id.is_none() {
                first_row_id = next_row_id.map(|id| i64::try_from(id).unwrap());
                next_row_id = next_row_id.map(|id| id + data.record_count());
            }
            let rows = match data.file_format() {
                DataFileFormat::Puffin => vector(data),
                _ => rows(data.file_path(), &defaults),
            };
            assert_eq!(rows.len() as u64, data.record_count(), "{}", data.file_path());
            files.push(File {
                path: data.file_path().to_owned(),
                content: data.content_type(),
                home: Home::read(file.partition_spec_id, data.partition()),
                sequence: entry.sequence_number().unwrap(),
                ids: data.equality_ids().unwrap_or_default(),
                first_row_id,
                vector: data.content_offset(),
                rows,
            });
        }
    }
    files.into_iter().partition(|file| file.content == DataContentType::Data)
}

/// All live rows of a table.
pub(super) async fn read(table: &LoadedTable) -> Vec<Found> {
    read_at(table, table.metadata.current_snapshot().map(AsRef::as_ref)).await
}

/// All rows that lived in a snapshot.
pub(super) async fn read_at(table: &LoadedTable, snapshot: Option<&Snapshot>) -> Vec<Found> {
    let (data, deletes) = files(table, snapshot).await;
    let mut found = Vec::new();
    for file in &data {
        let deletes = applying(&deletes, file);
        for (position, row) in (0..).zip(&file.rows) {
            if !deletes.iter().any(|delete| is_deleted(delete, file, position, row)) {
                let mut row = row.clone();
                // What a rewrite wrote out; otherwise inherited.
                let (id, updated) = (row.remove(&ROW_ID), row.remove(&LAST_UPDATED));
                let id = id.and_then(|id| id.int()).or(file.first_row_id.map(|first| first + position));
                let updated = updated.and_then(|updated| updated.int()).unwrap_or(file.sequence);
                let (path, home) = (file.path.clone(), file.home.clone());
                found.push(Found { path, position, home, row, lineage: (id, updated) });
            }
        }
    }
    found
}

/// Deleted positions of data files, and the deletion vector that has them if there is one.
pub(super) async fn positions(table: &LoadedTable) -> HashMap<String, (BTreeSet<i64>, Option<(String, i64)>)> {
    let (data, deletes) = files(table, table.metadata.current_snapshot().map(AsRef::as_ref)).await;
    let of = |file: &File| {
        let deletes = applying(&deletes, file);
        let positions = deletes.iter().filter(|delete| delete.content == DataContentType::PositionDeletes);
        let dead = |(position, row): (i64, &Row)| {
            positions.clone().any(|delete| is_deleted(delete, file, position, row)).then_some(position)
        };
        let vector = deletes.iter().find_map(|delete| delete.vector.map(|offset| (delete.path.clone(), offset)));
        ((0..).zip(&file.rows).filter_map(dead).collect(), vector)
    };
    data.iter().map(|file| (file.path.clone(), of(file))).collect()
}

/// The deletes that count for a data file: beside a deletion vector, no other positions do; there is one at most.
fn applying<'d>(deletes: &'d [File], data: &File) -> Vec<&'d File> {
    let path = Some(Value::Text(data.path.clone()));
    let is_own = |delete: &&File| {
        delete.vector.is_some() && delete.rows.first().and_then(|pair| pair.get(&FILE_PATH)) == path.as_ref()
    };
    let own: Vec<&File> = deletes.iter().filter(is_own).collect();
    assert!(own.len() < 2, "{} has {} deletion vectors", data.path, own.len());
    let counts = |delete: &&File| {
        delete.content == DataContentType::EqualityDeletes || (own.is_empty() && delete.vector.is_none())
    };
    own.iter().copied().chain(deletes.iter().filter(counts)).collect()
}

/// A deletion vector as pairs of file and position.
fn vector(entry: &DataFile) -> Vec<Row> {
    let number = |value: Option<i64>| usize::try_from(value.unwrap()).unwrap();
    let (offset, length) = (number(entry.content_offset()), number(entry.content_size_in_bytes()));
    let file = std::fs::read(entry.file_path()).unwrap();
    assert_eq!(file.len() as u64, entry.file_size_in_bytes());
    let positions = RoaringTreemap::deserialize_from(&file[offset + 8..offset + length - 4]).unwrap();
    let path = Value::Text(entry.referenced_data_file().unwrap());
    let pair = |position| [(FILE_PATH, path.clone()), (POS, Value::Int(i64::try_from(position).unwrap()))].into();
    positions.iter().map(pair).collect()
}

/// Spec, "Scan Planning" and "Row-level deletes".
fn is_deleted(delete: &File, data: &File, position: i64, row: &Row) -> bool {
    let same_partition = delete.home == data.home;
    if delete.content == DataContentType::PositionDeletes {
        let names = |pair: &Row| {
            pair.get(&FILE_PATH) == Some(&Value::Text(data.path.clone()))
                && pair.get(&POS) == Some(&Value::Int(position))
        };
        return same_partition && data.sequence <= delete.sequence && delete.rows.iter().any(names);
    }
    let value = |row: &Row, id: &i32| row.get(id).cloned().unwrap_or(Value::Null);
    let equal = |key: &Row| delete.ids.iter().all(|id| value(key, id) == value(row, id));
    let here = same_partition || delete.home.is_everywhere();
    data.sequence < delete.sequence && here && delete.rows.iter().any(equal)
}

/// What columns have in files that are older than they are (spec, "Default values").
fn defaults(table: &LoadedTable) -> Vec<(i32, Value)> {
    let value = |literal: &Literal| match literal {
        Literal::Primitive(PrimitiveLiteral::Long(value)) => Value::Int(*value),
        other => panic!("{other:?} is no default of the test table"),
    };
    let fields = table.metadata.current_schema().as_struct().fields();
    fields.iter().filter_map(|field| Some((field.id, value(field.initial_default.as_ref()?)))).collect()
}

/// All rows of a Parquet file, by field id.
fn rows(path: &str, defaults: &[(i32, Value)]) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let schema = batch.schema();
        let ids = schema.fields().iter().map(|field| field.metadata()[PARQUET_FIELD_ID_META_KEY].parse().unwrap());
        let columns: Vec<(i32, &ArrayRef)> = ids.zip(batch.columns()).collect();
        for index in 0..batch.num_rows() {
            let mut row: Row = defaults.iter().cloned().collect();
            row.extend(columns.iter().map(|(id, column)| (*id, Value::of(column, index))));
            rows.push(row);
        }
    }
    rows
}
