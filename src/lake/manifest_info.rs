//! One line of a manifest list as the planner sees it.

use iceberg::spec::{Datum, FieldSummary, ManifestContentType, ManifestFile, PrimitiveType, Type};

use super::LoadedTable;
use crate::model::{FieldRange, ManifestInfo};

/// What the list says of a manifest.
pub(crate) fn manifest_info(table: &LoadedTable, manifest: &ManifestFile) -> ManifestInfo {
    // The spec: a count that is missing "is assumed to be non-zero".
    let live = match (manifest.added_files_count, manifest.existing_files_count) {
        (None, None) => 1,
        (added, existing) => u64::from(added.unwrap_or(0)) + u64::from(existing.unwrap_or(0)),
    };
    ManifestInfo {
        path: manifest.manifest_path.clone(),
        size: u64::try_from(manifest.manifest_length).unwrap_or(0),
        deletes: manifest.content == ManifestContentType::Deletes,
        live,
        spec_id: manifest.partition_spec_id,
        ranges: ranges(table, manifest),
    }
}

/// `None` when the list has no summaries, or when they can't be understood: then nothing is concluded from them.
fn ranges(table: &LoadedTable, manifest: &ManifestFile) -> Option<Vec<FieldRange>> {
    let metadata = &table.metadata;
    let spec = metadata.partition_spec_by_id(manifest.partition_spec_id)?;
    if spec.is_unpartitioned() && spec.fields().is_empty() {
        return Some(Vec::new());
    }
    let fields = spec.partition_type(metadata.current_schema()).ok()?;
    let summaries = manifest.partitions.as_ref().filter(|summaries| summaries.len() == fields.fields().len())?;
    let primitive = |kind: &Type| match kind {
        Type::Primitive(kind) => Some(kind.clone()),
        _ => None,
    };
    fields
        .fields()
        .iter()
        .zip(summaries)
        .map(|(field, summary)| range(summary, &primitive(&field.field_type)?))
        .collect()
}

fn range(summary: &FieldSummary, kind: &PrimitiveType) -> Option<FieldRange> {
    let value = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => Datum::try_from_bytes(bytes, kind.clone()).ok().map(Some),
        None => Some(None),
    };
    Some(FieldRange {
        nulls: summary.contains_null,
        nans: summary.contains_nan == Some(true),
        lower: value(summary.lower_bound.as_deref().map(Vec::as_slice))?,
        upper: value(summary.upper_bound.as_deref().map(Vec::as_slice))?,
    })
}
