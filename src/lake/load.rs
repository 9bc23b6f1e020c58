//! Loading a [`TableState`]: metadata and manifests become one consistent picture of a table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use iceberg::spec::{DataContentType, ManifestFile, SchemaRef, Struct};

use super::entries::{LiveEntries, LiveEntry, read_live};
use super::manifests::{MANIFESTS_AT_ONCE, read_manifest_list};
use super::partition_types::{PartitionTypes, promoted};
use super::{LoadedTable, manifest_info, partition_path, runs};
use crate::error::{Context, Result};
use crate::model::{
    Codec, DataFile, DeleteContent, DeleteFile, Footers, ManifestInfo, Partition, PartitionId, TableState,
};

/// What is loaded beside the files themselves.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Fields whose bounds are kept for every file.
    pub bounds_for: Vec<i32>,
    /// Only the manifest list is read: the state has manifests, and no files.
    pub manifests_only: bool,
}

/// Loads the current snapshot's files. Memory is proportional to live files: each manifest is dropped once it is read.
///
/// # Errors
/// `Corrupt` for a missing or damaged manifest, `Unavailable` when the store does not answer, `Unsupported` for
/// encrypted manifests and for columns of types that are not known.
pub async fn load_state(table: &LoadedTable, options: &LoadOptions) -> Result<TableState> {
    table.refuse_unknown_types()?;
    let metadata = &table.metadata;
    let (read, head) = futures::join!(read_files(table, options), table.store.head(&table.metadata_location));
    let (builder, manifests) = read?;
    let (partitions, files, deletes) = builder.finish();
    Ok(TableState {
        name: table.name.clone(),
        metadata_location: table.metadata_location.clone(),
        // Only shown to people: a store that can't tell is no reason to fail.
        metadata_size: head.ok().flatten().map_or(0, |info| info.size),
        metadata: Arc::clone(metadata),
        snapshot_id: metadata.current_snapshot().map(|snapshot| snapshot.snapshot_id()),
        sequence_number: metadata.current_snapshot().map_or(0, |snapshot| snapshot.sequence_number()),
        partitions,
        files,
        deletes,
        manifests,
        footers: Footers::default(),
        classes: BTreeMap::new(),
        ratios: recorded_ratios(table),
    })
}

/// Reads the manifest list and all manifests.
async fn read_files(table: &LoadedTable, options: &LoadOptions) -> Result<(Builder, Vec<ManifestInfo>)> {
    let metadata = &table.metadata;
    let mut builder = Builder::default();
    let mut manifests = Vec::new();
    if let Some(snapshot) = metadata.current_snapshot() {
        let list = read_manifest_list(table, snapshot).await?;
        manifests = list.iter().map(|manifest| manifest_info(table, manifest)).collect();
        let mut bounds_for = options.bounds_for.clone();
        bounds_for.sort_unstable();
        bounds_for.dedup();
        let bounds_for = &bounds_for;
        let mut reading = futures::stream::iter(if options.manifests_only { Vec::new() } else { list })
            .map(
                |file| async move { read_live(&table.store, &file, bounds_for).await.map(|manifest| (file, manifest)) },
            )
            .buffer_unordered(MANIFESTS_AT_ONCE);
        while let Some(read) = reading.next().await {
            let (file, manifest) = read.while_doing(|| format!("loading table {}", table.name))?;
            builder.add(table, &file, manifest);
        }
    }
    Ok((builder, manifests))
}

/// Compression ratios that earlier rewrites of this table recorded, newest first.
fn recorded_ratios(table: &LoadedTable) -> BTreeMap<Codec, f64> {
    let mut snapshots: Vec<_> = table.metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.timestamp_ms(), snapshot.snapshot_id())));
    let mut ratios = BTreeMap::new();
    for snapshot in snapshots {
        for (key, value) in &snapshot.summary().additional_properties {
            let Some(name) = key.strip_prefix("icewright.ratio.") else { continue };
            let codec = serde_json::from_value::<Codec>(serde_json::Value::String(name.to_owned()));
            if let (Ok(codec), Ok(ratio)) = (codec, value.parse::<f64>())
                && ratio.is_finite()
                && ratio > 0.0
            {
                ratios.entry(codec).or_insert(ratio);
            }
        }
    }
    ratios
}

#[derive(Default)]
struct Builder {
    partitions: Vec<Partition>,
    known: HashMap<(i32, Struct), PartitionId, foldhash::fast::RandomState>,
    types: PartitionTypes,
    files: Vec<DataFile>,
    deletes: Vec<DeleteFile>,
    /// Where the files of each manifest end, which are in order.
    ends: (Vec<usize>, Vec<usize>),
}

impl Builder {
    fn add(&mut self, table: &LoadedTable, file: &ManifestFile, manifest: LiveEntries) {
        let LiveEntries { schema, entries } = manifest;
        for entry in entries {
            let partition = self.partition(table, file.partition_spec_id, &entry.partition, &schema);
            let LiveEntry { path, format, records, size, sequence_number, file_sequence_number, first_row_id, .. } =
                entry;
            match entry.content {
                DataContentType::Data => self.files.push(DataFile {
                    path,
                    format,
                    partition,
                    records,
                    size,
                    sequence_number,
                    file_sequence_number,
                    first_row_id,
                    snapshot_id: entry.snapshot_id,
                    sort_order_id: entry.sort_order_id,
                    encrypted: entry.encrypted,
                    bounds: entry.bounds,
                }),
                content => self.deletes.push(DeleteFile {
                    path: path.as_ref().to_owned(),
                    content: match content {
                        DataContentType::EqualityDeletes => DeleteContent::Equality,
                        DataContentType::Data | DataContentType::PositionDeletes => DeleteContent::Position,
                    },
                    format,
                    partition,
                    records,
                    size,
                    sequence_number,
                    file_sequence_number,
                    vector: entry.vector,
                    encrypted: entry.encrypted,
                    referenced_data_file: entry.referenced_data_file,
                    equality_ids: entry.equality_ids,
                }),
            }
        }
        self.ends.0.push(self.files.len());
        self.ends.1.push(self.deletes.len());
    }

    fn partition(&mut self, table: &LoadedTable, spec_id: i32, values: &Struct, schema: &SchemaRef) -> PartitionId {
        let key = (spec_id, values.clone());
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let kinds = self.types.of(&table.metadata, spec_id);
        if let Some(values) = kinds.and_then(|kinds| promoted(values, kinds)) {
            let id = self.partition(table, spec_id, &values, schema);
            self.known.insert(key, id);
            return id;
        }
        let path = partition_path(&table.metadata, spec_id, values, schema);
        let id = PartitionId(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
        self.partitions.push(Partition { spec_id, values: values.clone(), path });
        self.known.insert(key, id);
        id
    }

    /// Puts everything into a total order, whatever order the manifests arrived in (I11).
    fn finish(mut self) -> (Vec<Partition>, Vec<DataFile>, Vec<DeleteFile>) {
        let mut order: Vec<usize> = (0..self.partitions.len()).collect();
        let key = |p: &Partition| (p.spec_id, p.path.clone(), format!("{:?}", p.values));
        order.sort_by_cached_key(|index| key(&self.partitions[*index]));
        let mut renumbered = vec![PartitionId(0); order.len()];
        for (new, old) in order.iter().enumerate() {
            renumbered[*old] = PartitionId(u32::try_from(new).unwrap_or(u32::MAX));
        }
        let partitions = order.iter().map(|old| self.partitions[*old].clone()).collect();
        for file in &mut self.files {
            file.partition = renumbered[file.partition.0 as usize];
        }
        for file in &mut self.deletes {
            file.partition = renumbered[file.partition.0 as usize];
        }
        runs::merge(&mut self.files, &self.ends.0, |file| &file.path);
        runs::merge(&mut self.deletes, &self.ends.1, |file| file.path.as_str());
        (partitions, self.files, self.deletes)
    }
}
