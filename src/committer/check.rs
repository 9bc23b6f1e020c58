//! Are the inputs still there, and has nothing been deleted from them since?

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, Manifest, ManifestContentType, ManifestEntryRef, ManifestFile, ManifestStatus, Struct,
};

use super::{DropReason, Dropped};
use crate::error::{Context, Result};
use crate::lake::LoadedTable;
use crate::lake::manifests::{MANIFESTS_AT_ONCE, read_manifest};
use crate::model::{Base, Outcome};

/// Looks at fresh metadata on every attempt; remembers what it has read (manifests never change).
#[derive(Debug)]
pub(super) struct Check<'a> {
    base: &'a Base,
    /// Input path to task.
    inputs: HashMap<&'a str, u32>,
    tasks: Vec<u32>,
    specs: HashSet<i32>,
    /// Data manifests that hold none of the inputs.
    strangers: HashSet<String>,
    /// Data manifests that hold inputs.
    holders: HashMap<String, Arc<Manifest>>,
    /// Delete manifests.
    deletes: HashMap<String, Arc<Manifest>>,
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Found {
    /// Groups that can't be committed.
    pub(super) dropped: Vec<Dropped>,
    /// Manifests that hold inputs, by path.
    pub(super) holders: HashMap<String, Arc<Manifest>>,
    /// The live entry of every input with its partition spec, by path.
    pub(super) live: HashMap<String, (i32, ManifestEntryRef)>,
}

impl<'a> Check<'a> {
    pub(super) fn new(base: &'a Base, outcomes: &'a [Outcome]) -> Self {
        let inputs = outcomes
            .iter()
            .flat_map(|outcome| outcome.inputs.iter().map(move |path| (path.as_str(), outcome.task)))
            .collect();
        Self {
            base,
            inputs,
            tasks: outcomes.iter().map(|outcome| outcome.task).collect(),
            specs: outcomes.iter().map(|outcome| outcome.spec_id).collect(),
            strangers: HashSet::new(),
            holders: HashMap::new(),
            deletes: HashMap::new(),
        }
    }

    /// Checks all groups against the current manifests.
    pub(super) async fn run(&mut self, table: &LoadedTable, list: &[ManifestFile]) -> Result<Found> {
        self.read(table, list).await.while_doing(|| format!("checking the inputs in {}", table.name))?;
        let here: HashSet<&str> = list.iter().map(|manifest| manifest.manifest_path.as_str()).collect();
        let mut live: HashMap<String, (i32, ManifestEntryRef)> = HashMap::new();
        let holders: HashMap<String, Arc<Manifest>> = self
            .holders
            .iter()
            .filter(|(path, _)| here.contains(path.as_str()))
            .map(|(path, manifest)| (path.clone(), manifest.clone()))
            .collect();
        for file in list {
            let entries = holders.get(&file.manifest_path).map(|manifest| manifest.entries()).unwrap_or_default();
            for entry in entries {
                if entry.status != ManifestStatus::Deleted && self.inputs.contains_key(entry.file_path()) {
                    live.insert(entry.file_path().to_owned(), (file.partition_spec_id, entry.clone()));
                }
            }
        }
        let mut reasons: HashMap<u32, DropReason> = HashMap::new();
        let mut paths: Vec<_> = self.inputs.iter().collect();
        paths.sort();
        for (path, task) in paths {
            if !live.contains_key(*path) {
                reasons.entry(*task).or_insert_with(|| DropReason::InputGone { path: (*path).to_owned() });
            }
        }
        self.hit_by_deletes(table, list, &live, &mut reasons);
        let mut dropped = Vec::new();
        for task in &self.tasks {
            if let Some(reason) = reasons.remove(task) {
                dropped.push(Dropped { task: *task, reason });
            }
        }
        Ok(Found { dropped, holders, live })
    }

    /// Reads what is not known yet: data manifests of our specs, and all delete manifests.
    async fn read(&mut self, table: &LoadedTable, list: &[ManifestFile]) -> Result<()> {
        let unknown: Vec<ManifestFile> = list
            .iter()
            .filter(|manifest| match manifest.content {
                ManifestContentType::Data => {
                    self.specs.contains(&manifest.partition_spec_id)
                        && !self.strangers.contains(&manifest.manifest_path)
                        && !self.holders.contains_key(&manifest.manifest_path)
                }
                ManifestContentType::Deletes => !self.deletes.contains_key(&manifest.manifest_path),
            })
            .cloned()
            .collect();
        let mut reading = futures::stream::iter(unknown)
            .map(|file| async move { read_manifest(&table.store, &file).await.map(|manifest| (file, manifest)) })
            .buffer_unordered(MANIFESTS_AT_ONCE);
        while let Some((file, manifest)) = reading.try_next().await? {
            if file.content == ManifestContentType::Deletes {
                self.deletes.insert(file.manifest_path, Arc::new(manifest));
            } else if manifest.entries().iter().any(|entry| self.inputs.contains_key(entry.file_path())) {
                self.holders.insert(file.manifest_path, Arc::new(manifest));
            } else {
                self.strangers.insert(file.manifest_path);
            }
        }
        Ok(())
    }

    /// Drops groups with an input that a delete file applies to, unless the delete also applies to the outputs: an
    /// equality delete newer than the base does, because outputs carry the base's data sequence number (I4).
    fn hit_by_deletes(
        &self,
        table: &LoadedTable,
        list: &[ManifestFile],
        live: &HashMap<String, (i32, ManifestEntryRef)>,
        reasons: &mut HashMap<u32, DropReason>,
    ) {
        let mut by_partition: HashMap<(i32, &Struct), Vec<&ManifestEntryRef>> = HashMap::new();
        for (spec, entry) in live.values() {
            by_partition.entry((*spec, entry.data_file().partition())).or_default().push(entry);
        }
        for file in list.iter().filter(|manifest| manifest.content == ManifestContentType::Deletes) {
            let Some(manifest) = self.deletes.get(&file.manifest_path) else { continue };
            let everywhere =
                table.metadata.partition_spec_by_id(file.partition_spec_id).is_some_and(|spec| spec.is_unpartitioned());
            for delete in manifest.entries().iter().filter(|entry| entry.status != ManifestStatus::Deleted) {
                let data = delete.data_file();
                let sequence = delete.sequence_number().unwrap_or(0);
                let equality = data.content_type() == DataContentType::EqualityDeletes;
                if equality && sequence > self.base.sequence_number {
                    continue;
                }
                let mut hit = |entry: &ManifestEntryRef| {
                    let older = entry.sequence_number().unwrap_or(0);
                    let applies = sequence > older || (!equality && sequence == older);
                    if let Some(task) = self.inputs.get(entry.file_path()).filter(|_| applies) {
                        reasons
                            .entry(*task)
                            .or_insert_with(|| DropReason::NewDeletes { path: data.file_path().to_owned() });
                    }
                };
                match data.referenced_data_file() {
                    Some(path) if !equality => live.get(&path).into_iter().for_each(|(_, entry)| hit(entry)),
                    _ if equality && everywhere => live.values().for_each(|(_, entry)| hit(entry)),
                    _ => by_partition
                        .get(&(file.partition_spec_id, data.partition()))
                        .into_iter()
                        .flatten()
                        .for_each(|entry| hit(entry)),
                }
            }
        }
    }
}
