//! New files as manifest entries.

use std::collections::HashMap;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, PrimitiveType, Schema, Struct, Type,
};

use crate::error::{Error, Result};
use crate::lake::{LoadedTable, copied};
use crate::model::{DELETE_FILE_PATH, DELETE_POS, NewFile, NewVector, widened};

/// A new data file as the `iceberg` crate wants it.
pub(super) fn data_file(file: &NewFile, spec_id: i32, partition: &Struct, schema: &Schema) -> Result<DataFile> {
    entry(file, DataContentType::Data, spec_id, partition, |id| primitive(schema, id))
}

/// A new file of position deletes.
pub(super) fn position_file(file: &NewFile, spec_id: i32, partition: &Struct) -> Result<DataFile> {
    let kind = |id: i32| match id {
        DELETE_FILE_PATH => Some(&PrimitiveType::String),
        DELETE_POS => Some(&PrimitiveType::Long),
        _ => None,
    };
    entry(file, DataContentType::PositionDeletes, spec_id, partition, kind)
}

/// A new deletion vector. It is found by its place in the file, and says which data file it is about (spec, "Data File
/// Fields").
pub(super) fn vector_file(file: &NewFile, vector: &NewVector, spec_id: i32, partition: &Struct) -> Result<DataFile> {
    let place = |bytes: u64| {
        i64::try_from(bytes).map_err(|e| Error::internal(format!("{} is too large", file.path)).caused_by(e))
    };
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::PositionDeletes)
        .file_path(file.path.clone())
        .file_format(DataFileFormat::Puffin)
        .partition(partition.clone())
        .partition_spec_id(spec_id)
        .record_count(file.records)
        .file_size_in_bytes(file.size)
        .referenced_data_file(Some(vector.data_file.clone()))
        .content_offset(Some(place(vector.offset)?))
        .content_size_in_bytes(Some(place(vector.length)?));
    built(&builder, &file.path)
}

fn entry<'s>(
    file: &NewFile,
    content: DataContentType,
    spec_id: i32,
    partition: &Struct,
    kind: impl Fn(i32) -> Option<&'s PrimitiveType>,
) -> Result<DataFile> {
    let broken =
        |e: iceberg::Error| Error::internal(format!("the statistics of {} can't be written", file.path)).caused_by(e);
    let counts = |pick: fn(&crate::model::ColumnStats) -> Option<u64>| -> HashMap<i32, u64> {
        file.columns.iter().filter_map(|(id, stats)| pick(stats).map(|count| (*id, count))).collect()
    };
    let bounds = |pick: fn(&crate::model::ColumnStats) -> Option<&Vec<u8>>| -> Result<HashMap<i32, Datum>> {
        let mut found = HashMap::new();
        for (id, stats) in &file.columns {
            if let (Some(bytes), Some(kind)) = (pick(stats), kind(*id)) {
                found.insert(*id, Datum::try_from_bytes(&widened(bytes, kind), kind.clone()).map_err(broken)?);
            }
        }
        Ok(found)
    };
    let mut builder = DataFileBuilder::default();
    builder
        .content(content)
        .file_path(file.path.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(partition.clone())
        .partition_spec_id(spec_id)
        .record_count(file.records)
        .file_size_in_bytes(file.size)
        .column_sizes(counts(|stats| stats.size))
        .value_counts(counts(|stats| stats.values))
        .null_value_counts(counts(|stats| stats.nulls))
        .nan_value_counts(counts(|stats| stats.nans))
        .lower_bounds(bounds(|stats| stats.lower.as_ref())?)
        .upper_bounds(bounds(|stats| stats.upper.as_ref())?)
        .split_offsets(Some(file.split_offsets.clone()));
    if let Some(id) = file.sort_order_id {
        builder.sort_order_id(id);
    }
    built(&builder, &file.path)
}

/// The partition of a file whose rows moved to it; `None` for one that is where its inputs are.
pub(super) fn new_partition(table: &LoadedTable, spec_id: i32, file: &NewFile) -> Result<Option<Struct>> {
    let Some(values) = &file.partition else { return Ok(None) };
    let kind =
        table.metadata.partition_spec_by_id(spec_id).map(|spec| spec.partition_type(table.metadata.current_schema()));
    let kind = kind.transpose().ok().flatten().ok_or_else(|| {
        Error::conflict(format!("partition spec {spec_id} of {} is not what it was", table.name)).hint("plan again")
    })?;
    values.to_struct(&kind).map(Some)
}

/// The entry of a file that was copied whole to another place: everything else that is known of it stays, and the ids of
/// its rows, which it may have inherited where it was.
pub(super) fn moved(entry: &DataFile, spec_id: i32, path: &str, first_row_id: Option<i64>) -> Result<DataFile> {
    let mut builder = copied(entry, spec_id);
    builder.file_path(path.to_owned());
    builder.first_row_id(first_row_id);
    built(&builder, path)
}

/// A data file that says itself which row id its first row has: only added files may leave that to their manifest (spec,
/// "First Row ID Inheritance").
pub(super) fn with_row_id(file: &DataFile, spec_id: i32, first_row_id: Option<i64>) -> Result<DataFile> {
    if file.first_row_id() == first_row_id {
        return Ok(file.clone());
    }
    let path = file.file_path();
    let mut builder = copied(file, spec_id);
    builder.first_row_id(first_row_id);
    built(&builder, path)
}

fn built(builder: &DataFileBuilder, path: &str) -> Result<DataFile> {
    builder.build().map_err(|e| Error::internal(format!("{path} has no manifest entry")).caused_by(e))
}

fn primitive(schema: &Schema, id: i32) -> Option<&PrimitiveType> {
    match schema.field_by_id(id)?.field_type.as_ref() {
        Type::Primitive(kind) => Some(kind),
        _ => None,
    }
}
