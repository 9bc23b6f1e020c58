//! Rewriting manifests: many become few, sorted by partition, in one `replace` snapshot in which no file changes.
//!
//! 1. Per group the live entries are read, sorted, and written as existing ones with their snapshot id and sequence
//!    numbers; entries of deleted files end here. What was written is read back by another decoder and compared (I2, I3).
//! 2. The new manifests stand for the old ones in a new list; everything else in the list is kept, so files that others
//!    add meanwhile survive.
//! 3. One conditional swap, as for every commit. When another writer was first, the new manifests are used again as long
//!    as every one that they stand for is still in the list: they don't depend on the snapshot that adds them. A group
//!    that lost a manifest is built anew from those that are left.
//!
//! Memory stays within a budget whatever the number of files: see `gather.rs`.

mod avro;
mod build;
mod entry;
mod fingerprint;
mod gather;
mod partitions;
mod roll;
mod shape;

use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::{ManifestFile, Operation};

use super::change::Change;
use super::retry::Retry;
use super::write::Written;
use super::{CommitResult, Committer};
use crate::error::{Context, Error, Result};
use crate::lake::LoadedTable;
use crate::model::ManifestPlan;
use build::{Build, Made};

/// What became of a rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestsRewritten {
    /// How the commit ended.
    pub result: CommitResult,
    /// Manifests of the snapshot that was replaced.
    pub before: u64,
    /// Manifests of the new one.
    pub after: u64,
    /// Groups that were rewritten.
    pub groups: u64,
    /// How often it was tried.
    pub attempts: u32,
}

impl Committer {
    /// Rewrites the manifests that a plan names, as far as they are still there, within `memory` bytes.
    ///
    /// # Errors
    /// Only when nothing was committed and nothing can be: a damaged manifest, one that can't be rewritten without loss,
    /// another table of that name. Conflicts and lost replies are results.
    pub async fn rewrite_manifests(&self, plan: &ManifestPlan, memory: u64) -> Result<ManifestsRewritten> {
        let mut made: Vec<Option<Made>> = plan.tasks.iter().map(|_| None).collect();
        let mut written = Vec::new();
        let done = self.rewrite_attempts(plan, memory, &mut made, &mut written).await;
        let landed = matches!(
            &done,
            Ok(ManifestsRewritten { result: CommitResult::Committed { .. } | CommitResult::Unknown { .. }, .. })
        );
        if !landed {
            made.clear();
        }
        if !matches!(&done, Ok(ManifestsRewritten { result: CommitResult::Unknown { .. }, .. })) {
            self.discard_manifests(plan, &made, &written).await;
        }
        done.while_doing(|| format!("rewriting the manifests of {}", plan.table))
    }

    async fn rewrite_attempts(
        &self,
        plan: &ManifestPlan,
        memory: u64,
        made: &mut [Option<Made>],
        written: &mut Vec<String>,
    ) -> Result<ManifestsRewritten> {
        let mut retry: Option<Retry> = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let table = self.catalog.load_table(&plan.table).await?;
            if table.metadata.uuid().to_string() != plan.table_uuid {
                return Err(Error::conflict(format!("{} is another table now", plan.table)).hint("plan again"));
            }
            let retry = match &mut retry {
                Some(retry) => retry,
                none => none.insert(Retry::from_properties(table.metadata.properties())),
            };
            let list = self.current_manifests(&table).await?;
            let before = list.len() as u64;
            self.build_missing(plan, &table, &list, memory, made, written).await?;
            let groups = made.iter().flatten().count() as u64;
            if groups == 0 {
                let result = CommitResult::NothingLeft;
                return Ok(ManifestsRewritten { result, before, after: before, groups, attempts });
            }
            let (manifests, summary, after) = self.new_list(made, list);
            let id = self.ambient.snapshot_id();
            let mut attempt = Written::new(&table, &self.ambient, id);
            let manifests = manifests.into_iter().map(|manifest| claim(manifest, id)).collect();
            let change = Change::default();
            let result = self.finish(&table, &mut attempt, Operation::Replace, change, manifests, &summary).await?;
            if let CommitResult::Rejected { reason } = &result
                && retry.wait(&self.ambient).await
            {
                tracing::info!(table = %plan.table, attempt = attempts, reason, "another writer was first, trying again");
                continue;
            }
            return Ok(ManifestsRewritten { result, before, after, groups, attempts });
        }
    }

    /// Builds the groups that have nothing yet, and those that lost a manifest since.
    async fn build_missing(
        &self,
        plan: &ManifestPlan,
        table: &LoadedTable,
        list: &[ManifestFile],
        memory: u64,
        made: &mut [Option<Made>],
        written: &mut Vec<String>,
    ) -> Result<()> {
        let here: HashMap<&str, &ManifestFile> = list.iter().map(|m| (m.manifest_path.as_str(), m)).collect();
        for (task, made) in plan.tasks.iter().zip(made) {
            if made.as_ref().is_some_and(|made| made.replaced.iter().all(|path| here.contains_key(path.as_str()))) {
                continue;
            }
            *made = None;
            let left: Vec<ManifestFile> =
                task.manifests.iter().filter_map(|path| here.get(path.as_str()).map(|m| (*m).clone())).collect();
            let is_whole = left.len() == task.manifests.len();
            if left.is_empty() || (left.len() == 1 && !is_whole) {
                continue;
            }
            let target = plan.policy.target_size_bytes;
            let mut build = Build { table, ambient: &self.ambient, target, memory, written: &mut *written };
            *made = Some(build.run(&left).await?);
        }
        Ok(())
    }

    /// The new list, and what the snapshot's summary says of it, as the reference implementation does.
    fn new_list(
        &self,
        made: &[Option<Made>],
        list: Vec<ManifestFile>,
    ) -> (Vec<ManifestFile>, BTreeMap<String, String>, u64) {
        let replaced: HashSet<&str> =
            made.iter().flatten().flat_map(|m| m.replaced.iter().map(String::as_str)).collect();
        let kept: Vec<ManifestFile> =
            list.into_iter().filter(|manifest| !replaced.contains(manifest.manifest_path.as_str())).collect();
        let new: Vec<ManifestFile> = made.iter().flatten().flat_map(|made| made.files.iter().cloned()).collect();
        let entries: u64 = made.iter().flatten().map(|made| made.entries).sum();
        let summary = [
            ("manifests-created", new.len() as u64),
            ("manifests-kept", kept.len() as u64),
            ("manifests-replaced", replaced.len() as u64),
            ("entries-processed", entries),
            ("changed-partition-count", 0),
        ];
        let summary = summary.map(|(key, value)| (key.to_owned(), value.to_string())).into();
        let after = (new.len() + kept.len()) as u64;
        (new.into_iter().chain(kept).collect(), summary, after)
    }

    /// Removes manifests that were written and are in no snapshot.
    async fn discard_manifests(&self, plan: &ManifestPlan, made: &[Option<Made>], written: &[String]) {
        let live: HashSet<&str> =
            made.iter().flatten().flat_map(|made| made.files.iter().map(|file| file.manifest_path.as_str())).collect();
        let dead: Vec<&String> = written.iter().filter(|path| !live.contains(path.as_str())).collect();
        if dead.is_empty() {
            return;
        }
        let Ok(table) = self.catalog.load_table(&plan.table).await else { return };
        for path in dead {
            if let Err(error) = table.store.delete(path).await {
                tracing::warn!(file = path, %error, "a manifest that was not committed could not be removed");
            }
        }
    }
}

/// A new manifest is added by whichever snapshot lands; those of others keep theirs.
fn claim(manifest: ManifestFile, snapshot_id: i64) -> ManifestFile {
    match manifest.sequence_number {
        // The crate's word for "assigned when the list is written".
        -1 => ManifestFile { added_snapshot_id: snapshot_id, ..manifest },
        _ => manifest,
    }
}
