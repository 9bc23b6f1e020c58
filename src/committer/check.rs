//! Are the inputs still there, and has nothing been deleted from them since?

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    DataFileFormat, FormatVersion, Manifest, ManifestContentType, ManifestEntry, ManifestEntryRef, ManifestFile,
    ManifestStatus, Struct,
};

use super::moved::MovedTo;
use super::retire::{content_of, key_of};
use super::{DropReason, Dropped};
use crate::error::{Context, Error, Result};
use crate::lake::manifests::{MANIFESTS_AT_ONCE, read_current, read_current_live};
use crate::lake::{LiveEntries, LoadedTable};
use crate::model::{AppliedDelete, Base, DeleteContent, DeleteKey, Outcome, Route};

/// Looks at fresh metadata on every attempt; remembers what it has read (manifests never change). Of data manifests that is
/// a few numbers an input: a commit may replace a million files.
#[derive(Debug)]
pub(super) struct Check<'a> {
    base: &'a Base,
    /// Input path to task.
    inputs: HashMap<&'a str, u32>,
    tasks: Vec<u32>,
    /// The deletes that each task has applied, and whether they may have deleted a row.
    applied: HashMap<u32, HashMap<&'a DeleteKey, bool>>,
    /// Tasks whose inputs stay: deletes that come to those are in nobody's way, unless both would be deletion vectors.
    keeping: HashSet<u32>,
    /// The data files that get new deletion vectors. Whatever else comes to know of their deleted rows goes before: there can
    /// only be one, and readers look at no older positions beside it.
    vectors: HashSet<&'a str>,
    /// Tasks that wrote files of positions.
    positions: HashSet<u32>,
    /// Tasks whose rows had no ids when they were read.
    without_ids: HashSet<u32>,
    specs: HashSet<i32>,
    /// Tasks whose rows move to partitions of another spec.
    moved: BTreeMap<u32, &'a Outcome>,
    /// Data manifests that hold none of the inputs.
    strangers: HashSet<String>,
    /// Data manifests that hold inputs, and those.
    holders: HashMap<String, Vec<(&'a str, Live)>>,
    /// Partitions of inputs, each once.
    partitions: HashSet<Arc<Struct>>,
    /// Delete manifests.
    deletes: HashMap<String, Arc<Manifest>>,
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Groups that can't be committed.
    pub(super) dropped: Vec<Dropped>,
    /// Manifests that hold inputs, by path, and the tasks that those are of.
    pub(super) holders: HashMap<String, HashSet<u32>>,
    /// Every input that is live, by path.
    pub(super) live: HashMap<&'a str, Live>,
}

/// A live input.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) spec_id: i32,
    pub(super) partition: Arc<Struct>,
    pub(super) records: u64,
    pub(super) size: u64,
    pub(super) sequence_number: i64,
    /// Its own, or inherited.
    pub(super) first_row_id: Option<i64>,
}

/// A manifest that was read.
enum Read {
    Data(LiveEntries),
    Deletes(Manifest),
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
            applied: outcomes
                .iter()
                .map(|outcome| {
                    (outcome.task, outcome.applied.iter().map(|delete| (&delete.key, delete.used)).collect())
                })
                .collect(),
            keeping: outcomes.iter().filter(|outcome| !outcome.replaces_inputs()).map(|outcome| outcome.task).collect(),
            vectors: outcomes.iter().flat_map(Outcome::vectors).collect(),
            positions: outcomes
                .iter()
                .filter(|outcome| outcome.route == Route::Deletes && !outcome.outputs.is_empty())
                .map(|outcome| outcome.task)
                .collect(),
            without_ids: outcomes.iter().filter(|outcome| outcome.without_ids).map(|outcome| outcome.task).collect(),
            specs: outcomes
                .iter()
                .flat_map(|outcome| outcome.from_specs.iter().copied().chain([outcome.spec_id]))
                .collect(),
            moved: outcomes.iter().filter(|outcome| !outcome.from_specs.is_empty()).map(|o| (o.task, o)).collect(),
            strangers: HashSet::new(),
            holders: HashMap::new(),
            partitions: HashSet::new(),
            deletes: HashMap::new(),
        }
    }

    /// Live and dead entries of a delete manifest that was read.
    pub(super) fn deletes_of(&self, manifest: &str) -> &[ManifestEntryRef] {
        self.deletes.get(manifest).map(|manifest| manifest.entries()).unwrap_or_default()
    }

    /// Whether a data manifest holds inputs.
    pub(super) fn holds_inputs(&self, manifest: &str) -> bool {
        self.holders.contains_key(manifest)
    }

    /// A delete manifest that was read.
    pub(super) fn delete_manifest(&self, manifest: &str) -> Option<&Arc<Manifest>> {
        self.deletes.get(manifest)
    }

    /// The data files that have live deletion vectors.
    pub(super) fn vectored(&self, list: &[ManifestFile]) -> HashSet<String> {
        let entries = list.iter().flat_map(|file| self.deletes_of(&file.manifest_path));
        let live = entries.filter(|entry| entry.status != ManifestStatus::Deleted && is_vector(entry));
        live.filter_map(|entry| entry.data_file().referenced_data_file()).collect()
    }

    /// The newest data sequence number of these live deletes.
    pub(super) fn newest<'k>(&self, list: &[ManifestFile], keys: impl Iterator<Item = &'k DeleteKey>) -> Option<i64> {
        let keys: HashSet<&DeleteKey> = keys.collect();
        let entries = list.iter().flat_map(|file| self.deletes_of(&file.manifest_path));
        let live = entries.filter(|entry| entry.status != ManifestStatus::Deleted && keys.contains(&key_of(entry)));
        live.filter_map(|entry| entry.sequence_number()).max()
    }

    /// The data sequence numbers of the live deletion vectors among these deletes, by data file.
    pub(super) fn of_vectors(&self, list: &[ManifestFile], among: &[AppliedDelete]) -> HashMap<String, i64> {
        let keys: HashSet<&DeleteKey> = among.iter().map(|delete| &delete.key).collect();
        let entries = list.iter().flat_map(|file| self.deletes_of(&file.manifest_path));
        let live = entries.filter(|entry| entry.status != ManifestStatus::Deleted && is_vector(entry));
        live.filter(|entry| keys.contains(&key_of(entry)))
            .filter_map(|entry| Some((entry.data_file().referenced_data_file()?, entry.sequence_number()?)))
            .collect()
    }

    /// Checks all groups against the current manifests.
    pub(super) async fn run(&mut self, table: &LoadedTable, list: &[ManifestFile]) -> Result<Found<'a>> {
        self.read(table, list).await.while_doing(|| format!("checking the inputs in {}", table.name))?;
        let mut live: HashMap<&str, Live> = HashMap::new();
        let mut reasons: HashMap<u32, DropReason> = HashMap::new();
        let mut holders: HashMap<String, HashSet<u32>> = HashMap::new();
        for file in list {
            let Some(inputs) = self.holders.get(&file.manifest_path) else { continue };
            let tasks = holders.entry(file.manifest_path.clone()).or_default();
            for (path, found) in inputs {
                let Some(task) = self.inputs.get(path) else { continue };
                tasks.insert(*task);
                if found.first_row_id.is_some() && self.without_ids.contains(task) {
                    reasons.entry(*task).or_insert_with(|| DropReason::RowsGotIds { path: (*path).to_owned() });
                }
                live.insert(path, found.clone());
            }
        }
        let mut paths: Vec<_> = self.inputs.iter().collect();
        paths.sort();
        for (path, task) in paths {
            if !live.contains_key(*path) {
                reasons.entry(*task).or_insert_with(|| DropReason::InputGone { path: (*path).to_owned() });
            }
        }
        self.upgraded(table, &mut reasons);
        self.hit_by_deletes(table, list, &live, &mut reasons);
        let mut dropped = Vec::new();
        for task in &self.tasks {
            if let Some(reason) = reasons.remove(task) {
                dropped.push(Dropped { task: *task, reason });
            }
        }
        Ok(Found { dropped, holders, live })
    }

    /// Files of positions may not be added to a table that has deletion vectors by now.
    fn upgraded(&self, table: &LoadedTable, reasons: &mut HashMap<u32, DropReason>) {
        let version = table.metadata.format_version();
        if version >= FormatVersion::V3 {
            for task in &self.positions {
                reasons.entry(*task).or_insert(DropReason::Upgraded { version: version as u8 });
            }
        }
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
            .map(|file| async move {
                let read = match file.content {
                    ManifestContentType::Data => Read::Data(read_current_live(table, &file).await?),
                    ManifestContentType::Deletes => Read::Deletes(read_current(table, &file).await?),
                };
                Ok::<_, Error>((file, read))
            })
            .buffer_unordered(MANIFESTS_AT_ONCE);
        while let Some((file, read)) = reading.try_next().await? {
            match read {
                Read::Deletes(manifest) => drop(self.deletes.insert(file.manifest_path, Arc::new(manifest))),
                Read::Data(manifest) => {
                    let inputs = self.inputs_in(file.partition_spec_id, manifest);
                    if inputs.is_empty() {
                        self.strangers.insert(file.manifest_path);
                    } else {
                        self.holders.insert(file.manifest_path, inputs);
                    }
                }
            }
        }
        Ok(())
    }

    /// The inputs among the live files of a manifest.
    fn inputs_in(&mut self, spec_id: i32, manifest: LiveEntries) -> Vec<(&'a str, Live)> {
        let mut found = Vec::new();
        for entry in manifest.entries {
            let Some((path, _)) = self.inputs.get_key_value(&*entry.path) else { continue };
            let partition = match self.partitions.get(&entry.partition) {
                Some(known) => Arc::clone(known),
                None => {
                    let new = Arc::new(entry.partition);
                    self.partitions.insert(Arc::clone(&new));
                    new
                }
            };
            let (records, size, sequence_number) = (entry.records, entry.size, entry.sequence_number);
            let first_row_id = entry.first_row_id;
            found.push((*path, Live { spec_id, partition, records, size, sequence_number, first_row_id }));
        }
        found
    }

    /// Drops groups with an input that a delete applies to which the group has not applied, unless the delete also applies
    /// to the outputs: an equality delete newer than the base does, because outputs carry the base's data sequence number
    /// (I4). Drops groups, too, whose applied deletes are gone: after a rollback, what they deleted lives again.
    fn hit_by_deletes(
        &self,
        table: &LoadedTable,
        list: &[ManifestFile],
        live: &HashMap<&str, Live>,
        reasons: &mut HashMap<u32, DropReason>,
    ) {
        let mut by_partition: HashMap<(i32, &Struct), Vec<(&str, &Live)>> = HashMap::new();
        for (path, live) in live {
            by_partition.entry((live.spec_id, live.partition.as_ref())).or_default().push((path, live));
        }
        let deletes: Vec<(i32, &ManifestEntryRef)> = list
            .iter()
            .filter(|manifest| manifest.content == ManifestContentType::Deletes)
            .flat_map(|file| self.deletes_of(&file.manifest_path).iter().map(|entry| (file.partition_spec_id, entry)))
            .filter(|(_, entry)| entry.status != ManifestStatus::Deleted)
            .collect();
        // A deletion vector holds all older positions of its file: those no longer apply by themselves.
        let vectors = self.vectored(list);
        let mut seen: HashSet<DeleteKey> = HashSet::new();
        let mut moved = MovedTo::new(table);
        for (spec_id, delete) in deletes {
            let data = delete.data_file();
            let (key, content) = (key_of(delete), content_of(delete));
            let sequence = delete.sequence_number().unwrap_or(0);
            let equality = content == DeleteContent::Equality;
            let everywhere = table.metadata.partition_spec_by_id(spec_id).is_some_and(|spec| spec.is_unpartitioned());
            if equality && sequence > self.base.sequence_number {
                if !everywhere {
                    self.lost_by_moving(spec_id, delete, live, &mut moved, reasons);
                }
                continue;
            }
            let mut hit = |path: &str, live: &Live| {
                let replaced = !equality && !is_vector(delete) && vectors.contains(path);
                let applies = content.reaches(sequence, live.sequence_number) && !replaced;
                let Some(task) = self.inputs.get(path).filter(|_| applies) else { return };
                let in_the_way = !self.keeping.contains(task) || (!equality && self.vectors.contains(path));
                if in_the_way && !self.applied.get(task).is_some_and(|applied| applied.contains_key(&key)) {
                    reasons
                        .entry(*task)
                        .or_insert_with(|| DropReason::NewDeletes { path: data.file_path().to_owned() });
                }
            };
            match data.referenced_data_file() {
                Some(path) if !equality => live.get(path.as_str()).into_iter().for_each(|live| hit(&path, live)),
                _ if equality && everywhere => live.iter().for_each(|(path, live)| hit(path, live)),
                _ => {
                    let there = by_partition.get(&(spec_id, data.partition()));
                    there.into_iter().flatten().for_each(|(path, live)| hit(path, live));
                }
            }
            seen.insert(key);
        }
        for (task, applied) in &self.applied {
            let gone = applied.iter().filter(|(key, used)| **used && !seen.contains(**key));
            if let Some(gone) = gone.map(|(key, _)| key).min() {
                reasons.entry(*task).or_insert_with(|| DropReason::DeletesGone { path: gone.path.clone() });
            }
        }
    }

    /// Rows that move to another spec leave a new equality delete of their old partition behind, and meet one of their new
    /// partition that was not for them: either way the group has to be planned again (I4).
    fn lost_by_moving(
        &self,
        spec_id: i32,
        delete: &ManifestEntryRef,
        live: &HashMap<&str, Live>,
        to: &mut MovedTo<'_>,
        reasons: &mut HashMap<u32, DropReason>,
    ) {
        let partition = delete.data_file().partition();
        for (task, outcome) in &self.moved {
            let from = |path: &String| {
                live.get(path.as_str())
                    .is_some_and(|live| live.spec_id == spec_id && live.partition.as_ref() == partition)
            };
            if outcome.inputs.iter().any(from) || (outcome.spec_id == spec_id && to.reaches(outcome, partition)) {
                let path = delete.file_path().to_owned();
                reasons.entry(*task).or_insert_with(|| DropReason::NewDeletes { path });
            }
        }
    }
}

fn is_vector(entry: &ManifestEntry) -> bool {
    entry.data_file().file_format() == DataFileFormat::Puffin
}
