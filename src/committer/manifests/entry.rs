//! Manifest entries from the bytes of one manifest to those of another. Nothing in between becomes a value: bounds of
//! columns that are gone, and whatever else the file's writer recorded, come out as they went in.

use std::ops::Range;

use super::avro::{Cursor, Result, Trouble, damaged};
use super::shape::Shape;
use crate::lake::RowIds;

/// Field ids of manifest entries and data files (spec, "Manifests").
mod id {
    pub(super) const STATUS: i32 = 0;
    pub(super) const SNAPSHOT: i32 = 1;
    pub(super) const DATA_FILE: i32 = 2;
    pub(super) const SEQUENCE: i32 = 3;
    pub(super) const FILE_SEQUENCE: i32 = 4;
    pub(super) const PATH: i32 = 100;
    pub(super) const PARTITION: i32 = 102;
    pub(super) const RECORDS: i32 = 103;
    pub(super) const BLOCK_SIZE: i32 = 105;
    pub(super) const CONTENT: i32 = 134;
    pub(super) const FIRST_ROW: i32 = 142;
}
/// Deprecated, and dropped by the reference implementation too: block_size_in_bytes, file_ordinal, sort_columns,
/// distinct_counts.
const DROPPED: [i32; 4] = [105, 107, 108, 111];
const EXISTING: i64 = 0;
const ADDED: i64 = 1;
const DELETED: i64 = 2;
/// What version 1 wants to see as the block size, and nobody reads.
const BLOCK_SIZE: i64 = 64 * 1024 * 1024;

/// What entries inherit from the manifest list's line for their manifest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    pub(super) snapshot_id: i64,
    pub(super) sequence_number: i64,
    /// Handed down from format version 3 on.
    pub(super) row_ids: RowIds,
}

/// A live entry as it was appended to the output.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// Where its path was appended, with its length before it.
    pub(super) path: Range<usize>,
    /// Where its partition was appended.
    pub(super) partition: Range<usize>,
    pub(super) records: i64,
    pub(super) sequence_number: i64,
}

/// Rewrites entries of manifests with one schema.
#[derive(Debug)]
pub(super) struct Transcoder<'o> {
    from: Shape,
    to: &'o Shape,
    /// For each field of the output's data file, the place of the input's.
    sources: Vec<Option<usize>>,
}

impl<'o> Transcoder<'o> {
    pub(super) fn new(from: Shape, to: &'o Shape) -> Result<Self> {
        let (file, wanted) = (data_file(&from)?, data_file(to)?);
        for field in file.fields() {
            let Some(id) = field.id else { return damaged(format!("its field {:?} has no id", field.name)) };
            if wanted.field(id).is_none() && !DROPPED.contains(&id) && id != id::CONTENT {
                return Err(Trouble::Unsupported(format!("its field {:?} ({id}) would be lost", field.name)));
            }
        }
        let place = |id: Option<i32>| file.fields().iter().position(|field| field.id == id);
        let sources = wanted.fields().iter().map(|field| place(field.id)).collect();
        Ok(Self { from, to, sources })
    }

    /// Appends the next entry to `out` as an existing one; `None` for one that says that its file was deleted.
    pub(super) fn next(
        &self,
        cursor: &mut Cursor<'_>,
        inherited: &mut Inherited,
        out: &mut Vec<u8>,
    ) -> Result<Option<Live>> {
        let (mut status, mut snapshot, mut sequence, mut file_sequence) = (None, None, None, None);
        let mut values: Vec<(&Shape, &[u8])> = Vec::with_capacity(24);
        let (mut rows, mut first_row_id) = (None, None);
        for field in self.from.fields() {
            if field.id == Some(id::DATA_FILE) {
                for part in field.shape.fields() {
                    let bytes = part.shape.slice(cursor)?;
                    match part.id {
                        Some(id::RECORDS) => rows = part.shape.number(bytes)?,
                        Some(id::FIRST_ROW) => first_row_id = part.shape.number(bytes)?,
                        _ => {}
                    }
                    values.push((&part.shape, bytes));
                }
                continue;
            }
            let bytes = field.shape.slice(cursor)?;
            match field.id {
                Some(id::STATUS) => status = field.shape.number(bytes)?,
                Some(id::SNAPSHOT) => snapshot = field.shape.number(bytes)?,
                Some(id::SEQUENCE) => sequence = field.shape.number(bytes)?,
                Some(id::FILE_SEQUENCE) => file_sequence = field.shape.number(bytes)?,
                _ => {}
            }
        }
        let added = match status {
            Some(ADDED) => true,
            Some(EXISTING) => false,
            Some(DELETED) => return Ok(None),
            _ => return damaged("an entry has no known status"),
        };
        let snapshot = snapshot.unwrap_or(inherited.snapshot_id);
        // Only added entries inherit numbers, and those of version 1, where all are 0.
        let inherit = |number: Option<i64>| match number {
            Some(number) => Ok(number),
            None if added || inherited.sequence_number == 0 => Ok(inherited.sequence_number),
            None => damaged("an existing entry has no sequence number"),
        };
        let (sequence, file_sequence) = (inherit(sequence)?, inherit(file_sequence)?);
        let rows = rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
        let first_row_id = inherited.row_ids.of_file(first_row_id, rows);
        let (mut path, mut partition, mut records) = (0..0, 0..0, None);
        for field in self.to.fields() {
            match field.id {
                Some(id::STATUS) => field.shape.put_number(EXISTING, out)?,
                Some(id::SNAPSHOT) => field.shape.put_number(snapshot, out)?,
                Some(id::SEQUENCE) => field.shape.put_number(sequence, out)?,
                Some(id::FILE_SEQUENCE) => field.shape.put_number(file_sequence, out)?,
                Some(id::DATA_FILE) => {
                    for (part, range) in self.file(&field.shape, &values, first_row_id, out)? {
                        match part {
                            id::PATH => path = range,
                            id::PARTITION => partition = range,
                            _ => records = Shape::Number.number(&out[range])?,
                        }
                    }
                }
                _ => field.shape.put_null(out)?,
            }
        }
        let Some(records) = records.filter(|records| *records >= 0) else {
            return damaged("an entry has no row count");
        };
        Ok(Some(Live { path, partition, records, sequence_number: sequence }))
    }

    /// Appends the data file; gives the places of what is needed of it.
    fn file(
        &self,
        to: &Shape,
        values: &[(&Shape, &[u8])],
        first_row_id: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Result<Vec<(i32, Range<usize>)>> {
        let mut places = Vec::with_capacity(3);
        for (field, source) in to.fields().iter().zip(&self.sources) {
            let start = out.len();
            match (source.map(|source| values[source]), field.id) {
                (_, Some(id::FIRST_ROW)) => match first_row_id {
                    Some(first) => field.shape.put_number(first, out)?,
                    None => field.shape.put_null(out)?,
                },
                (Some((shape, bytes)), _) => shape.convert(&mut Cursor(bytes), &field.shape, out)?,
                (None, Some(id::CONTENT)) => field.shape.put_number(0, out)?,
                (None, Some(id::BLOCK_SIZE)) => field.shape.put_number(BLOCK_SIZE, out)?,
                (None, _) => field.shape.put_null(out)?,
            }
            if let Some(id @ (id::PATH | id::PARTITION | id::RECORDS)) = field.id {
                places.push((id, start..out.len()));
            }
        }
        Ok(places)
    }
}

fn data_file(entry: &Shape) -> Result<&Shape> {
    match entry.field(id::DATA_FILE) {
        Some(field) if !field.shape.fields().is_empty() => Ok(&field.shape),
        _ => damaged("its entries have no data file"),
    }
}

/// The shape of the partition in entries of this shape.
pub(super) fn partition_shape(entry: &Shape) -> Result<&Shape> {
    match data_file(entry)?.field(id::PARTITION) {
        Some(field) => Ok(&field.shape),
        None => damaged("its entries have no partition"),
    }
}
