//! The new snapshot: its manifest list and its summary.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iceberg::spec::{DataFile, FormatVersion, ManifestFile, ManifestListWriter, Operation, Snapshot, Summary};

use super::write::{Written, broken};
use crate::error::Result;
use crate::lake::metadata;

/// What a commit changes, in figures.
#[derive(Debug, Default)]
pub(super) struct Change {
    added: Figures,
    removed: Figures,
    partitions: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Figures {
    files: u64,
    records: u64,
    bytes: u64,
}

impl Figures {
    fn count(&mut self, file: &DataFile) {
        self.files += 1;
        self.records += file.record_count();
        self.bytes += file.file_size_in_bytes();
    }
}

impl Change {
    pub(super) fn add(&mut self, file: &DataFile) {
        self.added.count(file);
        self.partitions.insert(format!("{:?}", file.partition()));
    }

    pub(super) fn remove(&mut self, file: &DataFile) {
        self.removed.count(file);
        self.partitions.insert(format!("{:?}", file.partition()));
    }

    /// The summary as the reference implementation writes it.
    fn summary(&self, previous: Option<&HashMap<String, String>>) -> HashMap<String, String> {
        let mut summary = HashMap::new();
        let mut set = |key: &str, value: u64| {
            if value > 0 {
                summary.insert(key.to_owned(), value.to_string());
            }
        };
        set("added-data-files", self.added.files);
        set("added-records", self.added.records);
        set("added-files-size", self.added.bytes);
        set("deleted-data-files", self.removed.files);
        set("deleted-records", self.removed.records);
        set("removed-files-size", self.removed.bytes);
        set("changed-partition-count", self.partitions.len() as u64);
        let mut total = |key: &str, added: u64, removed: u64| {
            // A total that the parent does not have can't be continued; without a parent it starts at nothing.
            let before = match previous {
                Some(previous) => previous.get(key).and_then(|text| text.parse::<u64>().ok()),
                None => Some(0),
            };
            if let Some(after) = before.and_then(|before| (before + added).checked_sub(removed)) {
                summary.insert(key.to_owned(), after.to_string());
            }
        };
        total("total-data-files", self.added.files, self.removed.files);
        total("total-records", self.added.records, self.removed.records);
        total("total-files-size", self.added.bytes, self.removed.bytes);
        total("total-delete-files", 0, 0);
        total("total-position-deletes", 0, 0);
        total("total-equality-deletes", 0, 0);
        summary
    }
}

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
            FormatVersion::V2 | FormatVersion::V3 => ManifestListWriter::v2(output, id, parent_id, sequence),
        };
        list.add_manifests(manifests.into_iter()).map_err(broken)?;
        list.close().await.map_err(broken)?;
        let mut summary = change.summary(parent.map(|snapshot| &snapshot.summary().additional_properties));
        summary.insert("icewright.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        summary.insert("engine-name".to_owned(), "icewright".to_owned());
        summary.insert("engine-version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        summary.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
        // Never older than what is there, whatever this machine's clock says.
        let newest = parent.map_or(0, |snapshot| snapshot.timestamp_ms()).max(table.last_updated_ms());
        Ok(Snapshot::builder()
            .with_snapshot_id(id)
            .with_parent_snapshot_id(parent_id)
            .with_sequence_number(sequence)
            .with_timestamp_ms(self.ambient.now_ms().max(newest + 1))
            .with_manifest_list(path)
            .with_summary(Summary { operation, additional_properties: summary })
            .with_schema_id(table.current_schema_id())
            .build())
    }
}
