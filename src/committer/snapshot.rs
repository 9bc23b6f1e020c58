//! The new snapshot: its manifest list and its summary.

use std::collections::BTreeMap;

use iceberg::spec::{FormatVersion, ManifestFile, ManifestListWriter, Operation, Snapshot, Summary};

use super::change::Change;
use super::write::{Written, broken};
use crate::error::Result;
use crate::lake::metadata;

impl Written<'_> {
    /// Writes the manifest list and makes the snapshot.
    pub(super) async fn snapshot(
        &mut self,
        operation: Operation,
        change: Change,
        manifests: Vec<ManifestFile>,
        more: &BTreeMap<String, String>,
    ) -> Result<Snapshot> {
        let table = &self.table.metadata;
        let parent = table.current_snapshot();
        let parent_id = parent.map(|snapshot| snapshot.snapshot_id());
        let (id, version) = (self.snapshot_id, table.format_version());
        let sequence = if version == FormatVersion::V1 { 0 } else { table.last_sequence_number() + 1 };
        let path = format!("{}/snap-{id}-1-{}.avro", metadata::folder(table), self.ambient.uuid());
        self.files.push(path.clone());
        let output = self.io().new_output(&path).map_err(broken)?.writer().await.map_err(broken)?;
        let mut list = match version {
            FormatVersion::V1 => ManifestListWriter::v1(output, id, parent_id),
            FormatVersion::V2 => ManifestListWriter::v2(output, id, parent_id, sequence),
            FormatVersion::V3 => ManifestListWriter::v3(output, id, parent_id, sequence, Some(table.next_row_id())),
        };
        list.add_manifests(manifests.into_iter()).map_err(broken)?;
        // New manifests, and those from before an upgrade, got row ids (spec, "First Row ID Assignment").
        let next_row_id = list.next_row_id();
        list.close().await.map_err(broken)?;
        let mut summary = change.summary(parent.map(|snapshot| &snapshot.summary().additional_properties));
        summary.insert("icewright.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        summary.insert("engine-name".to_owned(), "icewright".to_owned());
        summary.insert("engine-version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        summary.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
        // Never older than what is there, whatever this machine's clock says.
        let newest = parent.map_or(0, |snapshot| snapshot.timestamp_ms()).max(table.last_updated_ms());
        let snapshot = Snapshot::builder()
            .with_snapshot_id(id)
            .with_parent_snapshot_id(parent_id)
            .with_sequence_number(sequence)
            .with_timestamp_ms(self.ambient.now_ms().max(newest + 1))
            .with_manifest_list(path)
            .with_summary(Summary { operation, additional_properties: summary })
            .with_schema_id(table.current_schema_id());
        Ok(match next_row_id.filter(|_| version == FormatVersion::V3) {
            Some(next) => snapshot.with_row_range(table.next_row_id(), next - table.next_row_id()).build(),
            None => snapshot.build(),
        })
    }
}
