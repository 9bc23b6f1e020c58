//! Which delete files go in the same commit: those that no live data file can match any more.
//!
//! The spec's own rule decides, on fresh metadata and over all data files of all partition specs: a delete file goes if it
//! applies to nothing but the inputs that are replaced right now. Outputs carry the base's data sequence number, so no
//! older equality delete applies to them; and no older delete file can name them, for their names are new.
//!
//! Where deletes were written anew while data files stay, an old delete goes if no data file needs it but those for which
//! it was.
//!
//! A file of positions for a whole partition applies, by that rule, to every older file of the partition, also to those
//! that it never names. Where a task has read it to the end, the files that it names decide instead.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, ManifestContentType, ManifestEntry, ManifestFile, ManifestStatus};

use super::check::{Check, Found, Live};
use super::left::{Digest, Left};
use crate::error::{Context, Result};
use crate::lake::LoadedTable;
use crate::lake::manifests::{MANIFESTS_AT_ONCE, read_current_live};
use crate::model::{Base, DeleteContent, DeleteKey, Outcome};

/// Finds what may go; remembers what it has read from attempt to attempt (manifests never change).
#[derive(Debug)]
pub(super) struct Retirement<'a> {
    base: &'a Base,
    /// The deletes that the plan wants to see gone; `None` when none may go.
    wanted: Option<HashSet<&'a DeleteKey>>,
    digests: HashMap<String, Digest>,
    /// The data files with deletion vectors that digests were made with.
    vectored: HashSet<String>,
    hasher: RandomState,
}

/// The delete entries that go.
#[derive(Debug, Default)]
pub(super) struct Retired {
    /// By manifest.
    pub(super) by_manifest: HashMap<String, HashSet<DeleteKey>>,
}

impl Retired {
    /// Their names, in order.
    pub(super) fn keys(&self) -> Vec<DeleteKey> {
        let mut keys: Vec<DeleteKey> = self.by_manifest.values().flatten().cloned().collect();
        keys.sort();
        keys
    }

    /// Whether nothing goes.
    pub(super) fn is_empty(&self) -> bool {
        self.by_manifest.is_empty()
    }
}

/// One delete that may go.
pub(super) struct Candidate<'m> {
    pub(super) manifest: &'m ManifestFile,
    pub(super) key: DeleteKey,
    pub(super) entry: &'m ManifestEntry,
    pub(super) content: DeleteContent,
    pub(super) sequence: i64,
}

impl<'a> Retirement<'a> {
    pub(super) fn new(base: &'a Base, wanted: Option<&'a [DeleteKey]>) -> Self {
        let wanted = wanted.map(|wanted| wanted.iter().collect());
        Self { base, wanted, digests: HashMap::new(), vectored: HashSet::new(), hasher: RandomState::new() }
    }

    /// What may go when the outcomes that are kept replace their inputs.
    pub(super) async fn run(
        &mut self,
        table: &LoadedTable,
        list: &[ManifestFile],
        check: &Check<'_>,
        found: &Found<'_>,
        kept: &[&Outcome],
    ) -> Result<Retired> {
        let Some(wanted) = &self.wanted else { return Ok(Retired::default()) };
        let applied = kept.iter().flat_map(|outcome| &outcome.applied).filter(|delete| !delete.stays);
        let mut named: HashMap<&DeleteKey, Option<&[String]>> = wanted.iter().map(|key| (*key, None)).collect();
        for delete in applied {
            let others = named.entry(&delete.key).or_default();
            *others = others.or(delete.others.as_deref());
        }
        let candidates = self.candidates(list, check, &named);
        let Some(newest) = candidates.iter().map(|candidate| candidate.sequence).max() else {
            return Ok(Retired::default());
        };
        let removed: HashSet<&str> =
            kept.iter().flat_map(|outcome| outcome.inputs.iter().map(String::as_str)).collect();
        let vectored = check.vectored(list);
        if vectored != self.vectored {
            self.digests.clear();
            self.vectored.clone_from(&vectored);
        }
        let hasher = self.hasher.clone();
        let left = self
            .left(table, list, check, newest, &removed)
            .await
            .while_doing(|| format!("looking for the data files of old deletes in {}", table.name))?;
        let left = Left::of(left, &vectored, hasher);
        let mut retired = Retired::default();
        for candidate in candidates {
            let everywhere = table
                .metadata
                .partition_spec_by_id(candidate.manifest.partition_spec_id)
                .is_some_and(|spec| spec.is_unpartitioned());
            let others = named.get(&candidate.key).copied().flatten();
            let keepers = kept.iter().filter(|outcome| !outcome.replaces_inputs());
            let covered = keepers.into_iter().all(|outcome| covers(outcome, &candidate, everywhere, found));
            if covered && !left.needs(&candidate, everywhere, others) {
                let manifest = candidate.manifest.manifest_path.clone();
                retired.by_manifest.entry(manifest).or_default().insert(candidate.key);
            }
        }
        Ok(retired)
    }

    /// Live deletes that are wanted gone and not newer than the base.
    fn candidates<'m>(
        &self,
        list: &'m [ManifestFile],
        check: &'m Check<'_>,
        named: &HashMap<&DeleteKey, Option<&[String]>>,
    ) -> Vec<Candidate<'m>> {
        let mut found = Vec::new();
        for manifest in list.iter().filter(|manifest| manifest.content == ManifestContentType::Deletes) {
            for entry in check.deletes_of(&manifest.manifest_path) {
                let key = key_of(entry);
                let sequence = entry.sequence_number().unwrap_or(i64::MAX);
                if entry.status == ManifestStatus::Deleted
                    || sequence > self.base.sequence_number
                    || !named.contains_key(&key)
                {
                    continue;
                }
                let content = content_of(entry);
                found.push(Candidate { manifest, key, entry, content, sequence });
            }
        }
        found
    }

    /// The data files that will be live besides the outputs, as far as deletes up to `newest` may apply to them.
    async fn left(
        &mut self,
        table: &LoadedTable,
        list: &[ManifestFile],
        check: &Check<'_>,
        newest: i64,
        removed: &HashSet<&str>,
    ) -> Result<Vec<&Digest>> {
        let relevant = || {
            list.iter().filter(|manifest| {
                manifest.content == ManifestContentType::Data && manifest.min_sequence_number <= newest
            })
        };
        // Which inputs of a manifest are replaced may change from attempt to attempt.
        let unknown = |path: &str| check.holds_inputs(path) || !self.digests.contains_key(path);
        let unread: Vec<ManifestFile> =
            relevant().filter(|manifest| unknown(&manifest.manifest_path)).cloned().collect();
        let mut reading = futures::stream::iter(unread)
            .map(|file| async move { read_current_live(table, &file).await.map(|manifest| (file, manifest)) })
            .buffer_unordered(MANIFESTS_AT_ONCE);
        while let Some((file, manifest)) = reading.try_next().await? {
            let digest = Digest::of(&file, &manifest, removed, &self.vectored, &self.hasher);
            self.digests.insert(file.manifest_path, digest);
        }
        Ok(relevant().filter_map(|manifest| self.digests.get(&manifest.manifest_path)).collect())
    }
}

/// Whether an outcome whose inputs stay has written the delete anew, as far as it applies to them.
fn covers(outcome: &Outcome, delete: &Candidate<'_>, everywhere: bool, found: &Found<'_>) -> bool {
    let data = delete.entry.data_file();
    let reaches = |path: &String| {
        let Some(Live { spec_id, partition, sequence_number, .. }) = found.live.get(path.as_str()) else { return true };
        let here = *spec_id == delete.manifest.partition_spec_id && partition.as_ref() == data.partition();
        let place = match (delete.content, data.referenced_data_file()) {
            (DeleteContent::Position, Some(only)) => only == *path,
            (DeleteContent::Equality, _) if everywhere => true,
            _ => here,
        };
        place && delete.content.reaches(delete.sequence, *sequence_number)
    };
    outcome.applied.iter().any(|applied| applied.key == delete.key && !applied.stays)
        || !outcome.inputs.iter().any(reaches)
}

/// The name of a delete entry.
pub(super) fn key_of(entry: &ManifestEntry) -> DeleteKey {
    let data = entry.data_file();
    let offset = data.content_offset().and_then(|offset| u64::try_from(offset).ok());
    DeleteKey { path: data.file_path().to_owned(), offset }
}

/// What kind of deletes an entry holds.
pub(super) fn content_of(entry: &ManifestEntry) -> DeleteContent {
    match entry.data_file().content_type() {
        DataContentType::EqualityDeletes => DeleteContent::Equality,
        DataContentType::Data | DataContentType::PositionDeletes => DeleteContent::Position,
    }
}
