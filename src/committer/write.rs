//! Writing manifests, and removing them again when they were not wanted.

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::{
    FormatVersion, Manifest, ManifestFile, ManifestStatus, ManifestWriter, ManifestWriterBuilder, PartitionSpec,
    SchemaRef,
};

use super::AppendFile;
use super::change::Change;
use super::check::Found;
use super::entries::{data_file, moved};
use crate::error::{Error, Result};
use crate::lake::{Ambient, LoadedTable, file_io, metadata};
use crate::model::{Base, MIB, Outcome, Route};

/// The size that manifests are merged up to when the table does not say.
const MANIFEST_BYTES: u64 = 8 * MIB;

/// The metadata files of one attempt.
pub(super) struct Written<'a> {
    pub(super) table: &'a LoadedTable,
    pub(super) ambient: &'a Ambient,
    pub(super) snapshot_id: i64,
    pub(super) files: Vec<String>,
    io: iceberg::io::FileIO,
}

impl<'a> Written<'a> {
    pub(super) fn new(table: &'a LoadedTable, ambient: &'a Ambient, snapshot_id: i64) -> Self {
        Self { table, ambient, snapshot_id, files: Vec::new(), io: file_io(&table.store) }
    }

    /// Manifests of a snapshot in which outputs stand for inputs: new ones first, then those that nothing changed.
    pub(super) async fn replacement(
        &mut self,
        base: &Base,
        outcomes: &[&Outcome],
        found: &Found,
        list: Vec<ManifestFile>,
    ) -> Result<(Change, Vec<ManifestFile>)> {
        let removed: HashSet<&str> =
            outcomes.iter().flat_map(|outcome| outcome.inputs.iter().map(String::as_str)).collect();
        let mut change = Change::default();
        let mut added: BTreeMap<i32, Vec<iceberg::spec::DataFile>> = BTreeMap::new();
        let schema = self.table.metadata.schema_by_id(base.schema_id).unwrap_or(self.table.metadata.current_schema());
        for outcome in outcomes {
            let mut rows = 0;
            for path in &outcome.inputs {
                let Some((_, entry)) = found.live.get(path) else {
                    return Err(Error::internal(format!("input {path} has no live entry")));
                };
                change.remove(entry.data_file());
                rows += entry.record_count();
            }
            let records: u64 = outcome.outputs.iter().map(|file| file.records).sum();
            if rows != records {
                return Err(Error::internal(format!(
                    "group {} would turn {rows} rows of {} into {records}",
                    outcome.task, self.table.name
                ))
                .hint("nothing was committed; please report this"));
            }
            let first = outcome.inputs.first().and_then(|path| found.live.get(path));
            let Some((spec_id, entry)) = first else { continue };
            for file in &outcome.outputs {
                let made = match outcome.route {
                    Route::Transfer => moved(entry.data_file(), *spec_id, &file.path)?,
                    Route::Copy | Route::Merge | Route::Encode => {
                        data_file(file, *spec_id, entry.data_file().partition(), schema)?
                    }
                };
                change.add(&made);
                added.entry(*spec_id).or_default().push(made);
            }
        }
        let mut manifests = Vec::new();
        for (spec_id, files) in added {
            // Explicit sequence numbers: deletes that are newer than the base must still apply (I4).
            manifests.push(self.added(spec_id, files, Some(base.sequence_number)).await?);
        }
        let (touched, carried): (Vec<_>, Vec<_>) = list.into_iter().partition(|manifest| {
            found.holders.get(&manifest.manifest_path).is_some_and(|held| {
                held.entries().iter().any(|e| e.status != ManifestStatus::Deleted && removed.contains(e.file_path()))
            })
        });
        manifests.extend(self.survivors(touched, found, &removed).await?);
        manifests.extend(carried);
        Ok((change, manifests))
    }

    /// Manifests of a snapshot with more files.
    pub(super) async fn addition(
        &mut self,
        files: &[AppendFile],
        list: Vec<ManifestFile>,
    ) -> Result<(Change, Vec<ManifestFile>)> {
        let mut change = Change::default();
        let mut added: BTreeMap<i32, Vec<iceberg::spec::DataFile>> = BTreeMap::new();
        for file in files {
            let schema = self.table.metadata.current_schema();
            let made = data_file(&file.file, file.spec_id, &file.partition, schema)?;
            change.add(&made);
            added.entry(file.spec_id).or_default().push(made);
        }
        let mut manifests = Vec::new();
        for (spec_id, files) in added {
            manifests.push(self.added(spec_id, files, None).await?);
        }
        manifests.extend(list);
        Ok((change, manifests))
    }

    async fn added(
        &mut self,
        spec_id: i32,
        files: Vec<iceberg::spec::DataFile>,
        sequence_number: Option<i64>,
    ) -> Result<ManifestFile> {
        let schema = self.table.metadata.current_schema().clone();
        let mut writer = self.writer(spec_id, &schema)?;
        for file in files {
            // A negative number is the crate's word for "inherit from the snapshot".
            writer.add_file(file, sequence_number.unwrap_or(-1)).map_err(broken)?;
        }
        writer.write_manifest_file().await.map_err(broken)
    }

    /// Entries of touched manifests, merged: inputs as deleted, the others as existing. What was deleted before is gone
    /// for good: carrying it on as existing would bring a dead file back to life.
    async fn survivors(
        &mut self,
        touched: Vec<ManifestFile>,
        found: &Found,
        removed: &HashSet<&str>,
    ) -> Result<Vec<ManifestFile>> {
        let target = self
            .table
            .metadata
            .properties()
            .get("commit.manifest.target-size-bytes")
            .and_then(|text| text.parse().ok())
            .unwrap_or(MANIFEST_BYTES);
        let mut by_spec: BTreeMap<i32, Vec<ManifestFile>> = BTreeMap::new();
        for manifest in touched {
            by_spec.entry(manifest.partition_spec_id).or_default().push(manifest);
        }
        let mut made = Vec::new();
        for (spec_id, manifests) in by_spec {
            let mut open: Option<ManifestWriter> = None;
            let mut bytes = 0;
            for file in manifests {
                let Some(manifest) = found.holders.get(&file.manifest_path) else { continue };
                if bytes >= target
                    && let Some(writer) = open.take()
                {
                    made.push(writer.write_manifest_file().await.map_err(broken)?);
                    bytes = 0;
                }
                let writer = match &mut open {
                    Some(writer) => writer,
                    none => none.insert(self.writer(spec_id, manifest.metadata().schema())?),
                };
                carry_over(writer, manifest, removed)?;
                bytes += u64::try_from(file.manifest_length).unwrap_or(0);
            }
            if let Some(writer) = open {
                made.push(writer.write_manifest_file().await.map_err(broken)?);
            }
        }
        Ok(made)
    }

    fn writer(&mut self, spec_id: i32, fallback: &SchemaRef) -> Result<ManifestWriter> {
        let metadata = &self.table.metadata;
        let Some(spec) = metadata.partition_spec_by_id(spec_id) else {
            return Err(Error::corrupt(format!("table {} has no partition spec {spec_id}", self.table.name)));
        };
        let spec: PartitionSpec = spec.as_ref().clone();
        // The source of a partition field may be gone from the current schema.
        let current = metadata.current_schema();
        let schema = if spec.partition_type(current).is_ok() { current } else { fallback }.clone();
        let number = self.files.len();
        let path = format!("{}/{}-m{number}.avro", metadata::folder(metadata), self.ambient.uuid());
        let output = self.io.new_output(&path).map_err(broken)?;
        self.files.push(path);
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec);
        Ok(match metadata.format_version() {
            FormatVersion::V1 => builder.build_v1(),
            FormatVersion::V2 => builder.build_v2_data(),
            FormatVersion::V3 => {
                return Err(Error::unsupported(format!("table {} has format version 3", self.table.name)));
            }
        })
    }

    /// Removes the files of an attempt that was definitely not committed.
    pub(super) async fn remove(&self, table: &LoadedTable) {
        for path in &self.files {
            if let Err(error) = table.store.delete(path).await {
                tracing::warn!(file = path, %error, "a metadata file of a rejected commit could not be removed");
            }
        }
    }

    pub(super) fn io(&self) -> &iceberg::io::FileIO {
        &self.io
    }
}

fn carry_over(writer: &mut ManifestWriter, manifest: &Manifest, removed: &HashSet<&str>) -> Result<()> {
    for entry in manifest.entries() {
        if entry.status == ManifestStatus::Deleted {
            continue;
        }
        let (data, sequence) = (entry.data_file().clone(), entry.sequence_number().unwrap_or(0));
        let file_sequence = Some(entry.file_sequence_number.unwrap_or(sequence));
        if removed.contains(entry.file_path()) {
            writer.add_delete_file(data, sequence, file_sequence).map_err(broken)?;
        } else {
            let snapshot = entry.snapshot_id().unwrap_or(0);
            writer.add_existing_file(data, snapshot, sequence, file_sequence).map_err(broken)?;
        }
    }
    Ok(())
}

/// An error of the `iceberg` crate while metadata is written.
pub(super) fn broken(error: iceberg::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            let kept = Error::new(ours.kind(), ours.to_string());
            return match ours.hint_text() {
                Some(hint) => kept.hint(hint.to_owned()),
                None => kept,
            };
        }
        cause = inner.source();
    }
    Error::internal("a manifest could not be written").caused_by(error)
}
