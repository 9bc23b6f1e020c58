//! Commits the outcomes of a plan. The only writer of table metadata.
//!
//! One attempt, always on fresh metadata:
//! 1. Every input is looked up among the live files; a group that lost one is dropped (I1). New delete files are looked
//!    at; a group that they hit is dropped (I4). The others go on.
//! 2. Manifests and a manifest list are written under fresh names. Crash: unreferenced files.
//! 3. One conditional swap, on the condition that `main` still is the snapshot of step 1. Crash: before or after it.
//! 4. The result is confirmed by reading the table again.
//!
//! A swap has three results (I5). *Rejected*: what step 2 wrote is removed, and after a jittered wait the next attempt
//! begins at 1; data files are not touched. *Unknown* (a lost reply): `swap.rs` finds out. Nothing is deleted while it is
//! unknown.

mod anew;
mod change;
mod check;
mod entries;
mod expire;
mod left;
mod manifests;
mod moved;
mod properties;
mod retire;
mod retry;
mod snapshot;
mod swap;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg::spec::{Operation, Struct};

use crate::error::{Context, Error, Result};
use crate::lake::{Ambient, Catalog, LoadedTable, manifests::read_manifest_list};
use crate::model::{Base, DeleteKey, NewFile, Outcome, TableName};
use change::Change;
use check::Check;
pub use expire::Expired;
pub use manifests::ManifestsRewritten;
use retire::{Retired, Retirement};
pub use retry::Retry;
use write::{Gone, Written};

/// Writes metadata through one catalog.
#[derive(Debug, Clone)]
pub struct Committer {
    catalog: Arc<dyn Catalog>,
    ambient: Arc<Ambient>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitResult {
    /// Durable and confirmed.
    Committed {
        /// Our snapshot.
        snapshot_id: i64,
        /// The metadata file that holds it.
        metadata_location: String,
    },
    /// Definitely not committed: others were first every time.
    Rejected {
        /// What the catalog said last.
        reason: String,
    },
    /// It may or may not take effect. No file of it may be deleted.
    Unknown {
        /// What happened.
        reason: String,
    },
    /// Every group was dropped; nothing was written.
    NothingLeft,
}

/// Why a group was not committed while others were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropReason {
    /// An input is no longer live.
    InputGone {
        /// The input.
        path: String,
    },
    /// A delete file now applies to an input.
    NewDeletes {
        /// The delete file.
        path: String,
    },
    /// Rows of an input have got ids since it was read: the first commit after an upgrade gives them.
    RowsGotIds {
        /// The input.
        path: String,
    },
    /// The table has a newer format version, in which the group's delete files are not allowed.
    Upgraded {
        /// The version.
        version: u8,
    },
    /// A delete file that was applied is no longer live: the rows live again.
    DeletesGone {
        /// The delete file.
        path: String,
    },
}

/// A group that was not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its task.
    pub task: u32,
    /// Why.
    pub reason: DropReason,
}

/// What became of a batch of outcomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// How the commit ended.
    pub result: CommitResult,
    /// The tasks whose outputs are live now. Outputs of all others may be discarded, unless the result is unknown.
    pub committed_tasks: Vec<u32>,
    /// The tasks that were left out, and why.
    pub dropped: Vec<Dropped>,
    /// The deletes that are no longer live with this commit.
    pub retired: Vec<DeleteKey>,
    /// How often it was tried.
    pub attempts: u32,
}

/// A file to add.
#[derive(Debug, Clone)]
pub struct AppendFile {
    /// The file.
    pub file: NewFile,
    /// Its partition spec.
    pub spec_id: i32,
    /// Its partition.
    pub partition: Struct,
}

impl Committer {
    /// A committer for one catalog.
    pub fn new(catalog: Arc<dyn Catalog>, ambient: Arc<Ambient>) -> Self {
        Self { catalog, ambient }
    }

    /// Replaces inputs by outputs in one snapshot. `summary` is added to the snapshot's summary.
    ///
    /// # Errors
    /// Only when nothing was committed and nothing can be: a damaged table, wrong row counts (I2), no rights. Conflicts
    /// and lost replies are results.
    pub async fn replace(
        &self,
        name: &TableName,
        base: &Base,
        outcomes: &[Outcome],
        summary: &BTreeMap<String, String>,
    ) -> Result<Replaced> {
        self.replace_and_retire(name, base, outcomes, None, summary).await
    }

    /// The same; in the same snapshot, delete files go that no live data file can match any more: of those in `retire`
    /// and those that the outcomes applied. Without a list (`None`) none goes. With a list there may be no outcome at all.
    ///
    /// # Errors
    /// As [`Committer::replace`].
    pub async fn replace_and_retire(
        &self,
        name: &TableName,
        base: &Base,
        outcomes: &[Outcome],
        retire: Option<&[DeleteKey]>,
        summary: &BTreeMap<String, String>,
    ) -> Result<Replaced> {
        for outcome in outcomes {
            let deleted = if outcome.applied.is_empty() { 0 } else { outcome.rows_deleted };
            if outcome.rows_in != outcome.rows_out + deleted {
                return Err(Error::internal(format!(
                    "group {} of {name} would turn {} rows into {}, with {} deleted",
                    outcome.task, outcome.rows_in, outcome.rows_out, outcome.rows_deleted
                )));
            }
        }
        let mut checker = Check::new(base, outcomes);
        let mut retirement = Retirement::new(base, retire);
        let mut retry: Option<Retry> = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let table = self.catalog.load_table(name).await?;
            let retry = match &mut retry {
                Some(retry) => retry,
                none => none.insert(Retry::from_properties(table.metadata.properties())),
            };
            let list = self.current_manifests(&table).await?;
            let found = checker.run(&table, &list).await?;
            let kept: Vec<&Outcome> =
                outcomes.iter().filter(|o| !found.dropped.iter().any(|d| d.task == o.task)).collect();
            let replaced = |result: CommitResult, committed: bool, retired: &Retired| Replaced {
                result,
                committed_tasks: if committed { kept.iter().map(|outcome| outcome.task).collect() } else { Vec::new() },
                dropped: found.dropped.clone(),
                retired: if committed { retired.keys() } else { Vec::new() },
                attempts,
            };
            if kept.is_empty() && !outcomes.is_empty() {
                return Ok(replaced(CommitResult::NothingLeft, false, &Retired::default()));
            }
            let retired = retirement.run(&table, &list, &checker, &found, &kept).await?;
            if kept.is_empty() && retired.is_empty() {
                return Ok(replaced(CommitResult::NothingLeft, false, &retired));
            }
            let snapshot_id = self.ambient.snapshot_id();
            let mut written = Written::new(&table, &self.ambient, snapshot_id);
            let gone = Gone { found: &found, checker: &checker, retired: &retired };
            let made = written.replacement(base, &kept, gone, list).await;
            let (change, manifests) = self.or_clean(&table, &written, made).await?;
            let result = self
                .finish(&table, &mut written, Operation::Replace, change, manifests, summary)
                .await
                .while_doing(|| format!("committing to {name}"))?;
            match result {
                CommitResult::Rejected { reason } => {
                    if !retry.wait(&self.ambient).await {
                        return Ok(replaced(CommitResult::Rejected { reason }, false, &retired));
                    }
                    tracing::info!(table = %name, attempt = attempts, reason, "another writer was first, trying again");
                }
                CommitResult::Committed { .. } => return Ok(replaced(result, true, &retired)),
                other => return Ok(replaced(other, false, &retired)),
            }
        }
    }

    /// Adds files in one snapshot (a fast append). Used to make fixtures.
    ///
    /// # Errors
    /// As [`Committer::replace`]; a conflict that does not end is one too.
    pub async fn append(&self, name: &TableName, files: &[AppendFile]) -> Result<CommitResult> {
        let mut retry: Option<Retry> = None;
        loop {
            let table = self.catalog.load_table(name).await?;
            let retry = match &mut retry {
                Some(retry) => retry,
                none => none.insert(Retry::from_properties(table.metadata.properties())),
            };
            let list = self.current_manifests(&table).await?;
            let snapshot_id = self.ambient.snapshot_id();
            let mut written = Written::new(&table, &self.ambient, snapshot_id);
            let made = written.addition(files, list).await;
            let (change, manifests) = self.or_clean(&table, &written, made).await?;
            let none = BTreeMap::new();
            let result = self.finish(&table, &mut written, Operation::Append, change, manifests, &none).await?;
            match result {
                CommitResult::Rejected { .. } if retry.wait(&self.ambient).await => {}
                result => return Ok(result),
            }
        }
    }

    async fn current_manifests(&self, table: &LoadedTable) -> Result<Vec<iceberg::spec::ManifestFile>> {
        match table.metadata.current_snapshot() {
            Some(snapshot) => read_manifest_list(table, snapshot).await,
            None => Ok(Vec::new()),
        }
    }

    /// Writes the manifest list, swaps, and cleans up after a definite rejection.
    async fn finish(
        &self,
        table: &LoadedTable,
        written: &mut Written<'_>,
        operation: Operation,
        change: Change,
        manifests: Vec<iceberg::spec::ManifestFile>,
        summary: &BTreeMap<String, String>,
    ) -> Result<CommitResult> {
        let snapshot = written.snapshot(operation, change, manifests, summary).await;
        let snapshot = self.or_clean(table, written, snapshot).await?;
        let swapped = self.swap(table, snapshot).await;
        let result = self.or_clean(table, written, swapped).await?;
        if matches!(result, CommitResult::Rejected { .. }) {
            written.remove(table).await;
        }
        Ok(result)
    }

    /// Before anything could have been committed, a failure removes what was written.
    async fn or_clean<T>(&self, table: &LoadedTable, written: &Written<'_>, result: Result<T>) -> Result<T> {
        if result.is_err() {
            written.remove(table).await;
        }
        result
    }
}

#[cfg(test)]
mod tests;
