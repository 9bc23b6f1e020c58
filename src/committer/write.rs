//! Writing manifests, and removing them again when they were not wanted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    FormatVersion, Manifest, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestStatus, ManifestWriter,
    ManifestWriterBuilder, SchemaRef,
};

use super::AppendFile;
use super::change::Change;
use super::check::{Check, Found, Live};
use super::entries::{data_file, moved, new_partition, with_row_id};
use super::retire::{Retired, key_of};
use crate::error::{Error, Result};
use crate::lake::manifests::read_current;
use crate::lake::{Ambient, LoadedTable, RowIds, file_io, metadata, partition_schema};
use crate::model::{Base, DeleteKey, MIB, Outcome, Route};

/// The size that manifests are merged up to when the table does not say.
const MANIFEST_BYTES: u64 = 8 * MIB;
/// Manifests that are read before it is their turn.
const READ_AHEAD: usize = 2;

/// What goes in a commit.
#[derive(Clone, Copy)]
pub(super) struct Gone<'a> {
    pub(super) found: &'a Found<'a>,
    pub(super) checker: &'a Check<'a>,
    pub(super) retired: &'a Retired,
}

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
        gone: Gone<'_>,
        list: Vec<ManifestFile>,
    ) -> Result<(Change, Vec<ManifestFile>)> {
        let Gone { found, checker, retired } = gone;
        let removed: HashSet<&str> =
            outcomes.iter().flat_map(|outcome| outcome.replaced().iter().map(String::as_str)).collect();
        let mut change = Change::default();
        let mut added: BTreeMap<i32, Vec<(iceberg::spec::DataFile, Option<i64>)>> = BTreeMap::new();
        let mut manifests = Vec::new();
        let mut moving = self.moving(outcomes, found, &list).await?;
        let schema = self.table.metadata.schema_by_id(base.schema_id).unwrap_or(self.table.metadata.current_schema());
        for outcome in outcomes {
            if !outcome.replaces_inputs() {
                manifests.extend(self.new_deletes(outcome, gone, &list, &mut change).await?);
                continue;
            }
            let mut rows = 0;
            for path in &outcome.inputs {
                let Some(Live { size, records, partition, .. }) = found.live.get(path.as_str()) else {
                    return Err(Error::internal(format!("input {path} has no live entry")));
                };
                change.remove_data(*size, *records, partition);
                rows += records;
            }
            let records: u64 = outcome.outputs.iter().map(|file| file.records).sum();
            if rows != records + outcome.rows_deleted {
                return Err(Error::internal(format!(
                    "group {} would turn {rows} rows of {} into {records}, with {} deleted",
                    outcome.task, self.table.name, outcome.rows_deleted
                ))
                .hint("nothing was committed; please report this"));
            }
            let Some(first) = outcome.inputs.first() else { continue };
            let Some(Live { spec_id, partition, sequence_number, first_row_id, .. }) = found.live.get(first.as_str())
            else {
                continue;
            };
            for file in &outcome.outputs {
                // Explicit sequence numbers: deletes that are newer than the base must still apply (I4). A file that is
                // only moved keeps its own, which its rows may inherit.
                let mut sequence = base.sequence_number;
                let made = match outcome.route {
                    Route::Transfer => {
                        sequence = *sequence_number;
                        let entry = moving.remove(first.as_str()).ok_or_else(|| {
                            Error::internal(format!("input {first} is in none of the manifests that hold it"))
                        })?;
                        moved(entry.data_file(), *spec_id, &file.path, *first_row_id)?
                    }
                    Route::Copy | Route::Merge | Route::Encode | Route::Sort | Route::Deletes | Route::Vectors => {
                        match new_partition(self.table, outcome.spec_id, file)? {
                            Some(partition) => data_file(file, outcome.spec_id, &partition, schema)?,
                            None => data_file(file, *spec_id, partition, schema)?,
                        }
                    }
                };
                change.add(&made);
                let spec_id = if file.partition.is_some() { outcome.spec_id } else { *spec_id };
                added.entry(spec_id).or_default().push((made, Some(sequence)));
            }
        }
        for (spec_id, files) in added {
            manifests.push(self.added(Kind { spec_id, deletes: false }, files).await?);
        }
        let replacing: HashSet<u32> =
            outcomes.iter().filter(|outcome| outcome.replaces_inputs()).map(|outcome| outcome.task).collect();
        let mut touched: BTreeMap<Kind, Vec<Touched>> = BTreeMap::new();
        let mut carried = Vec::new();
        for file in list {
            let path = &file.manifest_path;
            let goes = match file.content {
                ManifestContentType::Data => {
                    let tasks = found.holders.get(path).filter(|tasks| !tasks.is_disjoint(&replacing));
                    tasks.map(|_| Goes::Inputs)
                }
                ManifestContentType::Deletes => {
                    let keys = retired.by_manifest.get(path);
                    keys.and_then(|keys| Some(Goes::Deletes(checker.delete_manifest(path)?.clone(), keys.clone())))
                }
            };
            match goes {
                Some(goes) => {
                    let deletes = file.content == ManifestContentType::Deletes;
                    let kind = Kind { spec_id: file.partition_spec_id, deletes };
                    touched.entry(kind).or_default().push(Touched { file, goes });
                }
                None => carried.push(file),
            }
        }
        for touched in touched.values().flatten() {
            let Goes::Deletes(manifest, keys) = &touched.goes else { continue };
            for entry in live_of(manifest).filter(|entry| keys.contains(&key_of(entry))) {
                change.remove(entry.data_file());
            }
        }
        for (kind, files) in touched {
            manifests.extend(self.survivors(kind, files, &removed).await?);
        }
        manifests.extend(carried);
        Ok((change, manifests))
    }

    /// The entries of files that are only moved: all that is known of those goes with them.
    async fn moving(
        &self,
        outcomes: &[&Outcome],
        found: &Found<'_>,
        list: &[ManifestFile],
    ) -> Result<HashMap<String, ManifestEntryRef>> {
        let moves = outcomes.iter().filter(|outcome| outcome.route == Route::Transfer);
        let tasks: HashSet<u32> = moves.clone().map(|outcome| outcome.task).collect();
        let inputs: HashSet<&str> = moves.flat_map(|outcome| &outcome.inputs).map(String::as_str).collect();
        let holds =
            |file: &&ManifestFile| found.holders.get(&file.manifest_path).is_some_and(|of| !of.is_disjoint(&tasks));
        let (table, files) = (self.table, list.iter().filter(holds).cloned().collect::<Vec<_>>());
        let mut reading = futures::stream::iter(files)
            .map(|file| async move { read_current(table, &file).await })
            .buffered(READ_AHEAD);
        let mut entries = HashMap::new();
        while let Some(manifest) = reading.try_next().await? {
            let moving = live_of(&manifest).filter(|entry| inputs.contains(entry.file_path()));
            entries.extend(moving.map(|entry| (entry.file_path().to_owned(), entry.clone())));
        }
        Ok(entries)
    }

    /// Manifests of a snapshot with more files.
    pub(super) async fn addition(
        &mut self,
        files: &[AppendFile],
        list: Vec<ManifestFile>,
    ) -> Result<(Change, Vec<ManifestFile>)> {
        let mut change = Change::default();
        let mut added: BTreeMap<i32, Vec<(iceberg::spec::DataFile, Option<i64>)>> = BTreeMap::new();
        for file in files {
            let schema = self.table.metadata.current_schema();
            let made = data_file(&file.file, file.spec_id, &file.partition, schema)?;
            change.add(&made);
            added.entry(file.spec_id).or_default().push((made, None));
        }
        let mut manifests = Vec::new();
        for (spec_id, files) in added {
            manifests.push(self.added(Kind { spec_id, deletes: false }, files).await?);
        }
        manifests.extend(list);
        Ok((change, manifests))
    }

    /// A manifest of new files, with the data sequence numbers that they don't inherit from the snapshot.
    pub(super) async fn added(
        &mut self,
        kind: Kind,
        files: Vec<(iceberg::spec::DataFile, Option<i64>)>,
    ) -> Result<ManifestFile> {
        let schema = self.table.metadata.current_schema().clone();
        let mut writer = self.writer(kind, &schema)?;
        for (file, sequence_number) in files {
            // A negative number is the crate's word for "inherit from the snapshot".
            writer.add_file(file, sequence_number.unwrap_or(-1)).map_err(broken)?;
        }
        writer.write_manifest_file().await.map_err(broken)
    }

    /// Entries of touched manifests, merged: what goes as deleted, the others as existing. What was deleted before is gone
    /// for good: carrying it on as existing would bring a dead file back to life.
    async fn survivors(
        &mut self,
        kind: Kind,
        touched: Vec<Touched>,
        removed: &HashSet<&str>,
    ) -> Result<Vec<ManifestFile>> {
        let target = self
            .table
            .metadata
            .properties()
            .get("commit.manifest.target-size-bytes")
            .and_then(|text| text.parse().ok())
            .unwrap_or(MANIFEST_BYTES);
        let mut made = Vec::new();
        let mut open: Option<ManifestWriter> = None;
        let mut bytes = 0;
        // Read once more, a few at a time: all of them together may be gigabytes.
        let table = self.table;
        let mut reading = futures::stream::iter(touched)
            .map(|one| async move {
                let manifest = match &one.goes {
                    Goes::Inputs => Arc::new(read_current(table, &one.file).await?),
                    Goes::Deletes(manifest, _) => Arc::clone(manifest),
                };
                Ok::<_, Error>((one, manifest))
            })
            .buffered(READ_AHEAD);
        while let Some((one, manifest)) = reading.try_next().await? {
            if bytes >= target
                && let Some(writer) = open.take()
            {
                made.push(writer.write_manifest_file().await.map_err(broken)?);
                bytes = 0;
            }
            let writer = match &mut open {
                Some(writer) => writer,
                none => none.insert(self.writer(kind, manifest.metadata().schema())?),
            };
            carry_over(writer, &one, &manifest, removed)?;
            bytes += u64::try_from(one.file.manifest_length).unwrap_or(0);
        }
        if let Some(writer) = open {
            made.push(writer.write_manifest_file().await.map_err(broken)?);
        }
        Ok(made)
    }

    fn writer(&mut self, kind: Kind, fallback: &SchemaRef) -> Result<ManifestWriter> {
        // A manifest holds the schema.
        self.table.refuse_unknown_types()?;
        let spec_id = kind.spec_id;
        let metadata = &self.table.metadata;
        let Some(spec) = metadata.partition_spec_by_id(spec_id) else {
            return Err(Error::corrupt(format!("table {} has no partition spec {spec_id}", self.table.name)));
        };
        // The source of a partition field may be gone from the current schema.
        let schema = partition_schema(metadata, spec).unwrap_or(fallback).clone();
        let number = self.files.len();
        let path = format!("{}/{}-m{number}.avro", metadata::folder(metadata), self.ambient.uuid());
        let output = self.io.new_output(&path).map_err(broken)?;
        self.files.push(path);
        let builder = ManifestWriterBuilder::new(output, Some(self.snapshot_id), schema, spec.as_ref().clone());
        Ok(match metadata.format_version() {
            FormatVersion::V1 => builder.build_v1(),
            FormatVersion::V2 if kind.deletes => builder.build_v2_deletes(),
            FormatVersion::V2 => builder.build_v2_data(),
            FormatVersion::V3 if kind.deletes => builder.build_v3_deletes(),
            FormatVersion::V3 => builder.build_v3_data(),
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

/// What a manifest lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) spec_id: i32,
    pub(super) deletes: bool,
}

/// A manifest of which something goes.
struct Touched {
    file: ManifestFile,
    goes: Goes,
}

/// What goes of a manifest.
enum Goes {
    /// Inputs that are replaced.
    Inputs,
    /// Deletes that are retired, of a manifest that is known.
    Deletes(Arc<Manifest>, HashSet<DeleteKey>),
}

fn live_of(manifest: &Manifest) -> impl Iterator<Item = &ManifestEntryRef> {
    manifest.entries().iter().filter(|entry| entry.status != ManifestStatus::Deleted)
}

fn carry_over(
    writer: &mut ManifestWriter,
    touched: &Touched,
    manifest: &Manifest,
    removed: &HashSet<&str>,
) -> Result<()> {
    let mut row_ids = RowIds::of(&touched.file);
    for entry in live_of(manifest) {
        let first_row_id = row_ids.of_file(entry.data_file().first_row_id(), entry.record_count());
        let data = with_row_id(entry.data_file(), touched.file.partition_spec_id, first_row_id)?;
        let sequence = entry.sequence_number().unwrap_or(0);
        let file_sequence = Some(entry.file_sequence_number.unwrap_or(sequence));
        let goes = match &touched.goes {
            Goes::Deletes(_, keys) => keys.contains(&key_of(entry)),
            Goes::Inputs => removed.contains(entry.file_path()),
        };
        if goes {
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
