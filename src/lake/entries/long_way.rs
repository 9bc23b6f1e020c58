//! Entries by way of the `iceberg` crate's manifest, which builds all that is in it.

use iceberg::spec::{DataContentType, Datum, Manifest, ManifestStatus};

use super::{LiveEntries, LiveEntry, format_of, vector};
use crate::error::{Error, Result};
use crate::lake::row_ids::RowIds;
use crate::model::{DELETE_FILE_PATH, FieldBounds, FileBounds};

/// The live entries of a manifest.
///
/// # Errors
/// `Corrupt` for bounds that can't be read.
pub(super) fn from_manifest(manifest: &Manifest, mut row_ids: RowIds, bounds_for: &[i32]) -> Result<LiveEntries> {
    let live = manifest.entries().iter().filter(|entry| entry.status != ManifestStatus::Deleted);
    let entries = live.map(|entry| {
        let data = entry.data_file();
        let content = data.content_type();
        Ok(LiveEntry {
            content,
            path: data.file_path().into(),
            format: format_of(data.file_format()),
            partition: data.partition().clone(),
            records: data.record_count(),
            size: data.file_size_in_bytes(),
            sequence_number: entry.sequence_number().unwrap_or(0),
            file_sequence_number: entry.file_sequence_number.or(entry.sequence_number()).unwrap_or(0),
            first_row_id: row_ids.of_file(data.first_row_id(), data.record_count()),
            vector: vector(data.content_offset(), data.content_size_in_bytes()),
            snapshot_id: entry.snapshot_id(),
            sort_order_id: data.sort_order_id().filter(|id| *id != 0),
            encrypted: data.key_metadata().is_some(),
            referenced_data_file: match content {
                DataContentType::Data => None,
                _ => data.referenced_data_file().or_else(|| one_path(data)),
            },
            equality_ids: data.equality_ids().unwrap_or_default(),
            bounds: bounds(data, bounds_for)?,
        })
    });
    Ok(LiveEntries::new(manifest.metadata().schema().clone(), entries.collect::<Result<_>>()?))
}

fn bounds(data: &iceberg::spec::DataFile, ids: &[i32]) -> Result<FileBounds> {
    let bytes = |datum: Option<&Datum>| {
        datum
            .map(|d| d.to_bytes().map(|bytes| bytes.as_ref().to_vec()))
            .transpose()
            .map_err(|e| Error::corrupt(format!("the bounds of {} can't be read", data.file_path())).caused_by(e))
    };
    let of = |id: &i32| {
        let found = FieldBounds {
            lower: bytes(data.lower_bounds().get(id))?,
            upper: bytes(data.upper_bounds().get(id))?,
            nulls: data.null_value_counts().get(id).copied(),
            values: data.value_counts().get(id).copied(),
        };
        Ok((*id, found))
    };
    ids.iter().map(of).collect()
}

/// A position delete file whose path bounds are equal speaks of one data file only.
fn one_path(data: &iceberg::spec::DataFile) -> Option<String> {
    let lower = data.lower_bounds().get(&DELETE_FILE_PATH)?;
    let upper = data.upper_bounds().get(&DELETE_FILE_PATH)?;
    if lower != upper {
        return None;
    }
    String::from_utf8(lower.to_bytes().ok()?.as_ref().to_vec()).ok()
}
