//! Which files only expired snapshots reach: a set difference over manifests.
//!
//! Each manifest list is read once, and a manifest only if it has to be: those that a kept snapshot lists are reachable
//! as they stand. What is left are manifests that only expired snapshots list; their live files are candidates. If there
//! are any, the kept manifests are read, and every live file in them is spared. This holds for histories of any shape
//! (rolled back, cherry-picked, branched), because it never asks which snapshot came from which.
//!
//! Entries that say "deleted" neither doom nor spare a file. Such a file was live in an earlier snapshot; it goes when the
//! last snapshot goes in which it is live.
//!
//! A damaged or missing file of a *kept* snapshot ends the search with nothing removed: what it names can't be known. One
//! of an *expired* snapshot is passed over; what only it named is found as orphans later.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::candidates::{Candidates, key};
use super::lineage::fallen;
use super::{Doomed, Heads};
use crate::error::{Context, Kind, Result};
use crate::lake::Store;
use crate::lake::references::{FileRef, ManifestRef, files_of, manifests_of};
use crate::model::FileKind;

/// Manifest lists read side by side; they are small.
const LISTS_AT_ONCE: usize = 32;
/// Manifests read side by side; they have some megabytes.
const MANIFESTS_AT_ONCE: usize = 8;
/// So many candidates are held at a time, at some 150 bytes each (I9); more are found in further rounds.
const CANDIDATES_AT_ONCE: usize = 1_000_000;

/// The search for unreachable files of one table.
#[derive(Debug)]
pub struct Reach {
    store: Arc<Store>,
    kept: Vec<ManifestRef>,
    gone: Vec<ManifestRef>,
    /// Manifests of `gone` that were looked into.
    looked: usize,
    /// Candidates of earlier rounds: each file is removed, and counted, once.
    earlier: HashSet<u128>,
    lists: Vec<Doomed>,
    metadata: Vec<Doomed>,
    at_once: usize,
}

impl Reach {
    /// Reads the manifest lists.
    ///
    /// # Errors
    /// `Corrupt` when a list of a kept snapshot is missing or damaged, `Unavailable` when the store does not answer.
    pub async fn begin(store: &Arc<Store>, heads: Heads) -> Result<Self> {
        let kept_lists: HashSet<u128> = heads.kept_lists.iter().map(|list| key(list)).collect();
        let mut kept: HashMap<u128, ManifestRef> = HashMap::new();
        let mut reading = stream::iter(&heads.kept_lists)
            .map(|list| async move { manifests_of(store, list).await })
            .buffer_unordered(LISTS_AT_ONCE);
        while let Some((manifests, _)) = reading.try_next().await.while_doing(|| "looking for what is reachable")? {
            kept.extend(manifests.into_iter().map(|manifest| (key(&manifest.path), manifest)));
        }
        drop(reading);
        let mut gone: HashMap<u128, ManifestRef> = HashMap::new();
        let mut lists = heads.statistics;
        let mut met = HashSet::new();
        let gone_lists = heads.gone_lists.into_iter().filter(|list| {
            let key = key(list);
            !kept_lists.contains(&key) && met.insert(key)
        });
        let mut reading = stream::iter(gone_lists)
            .map(|list| async move { (tolerate(manifests_of(store, &list).await, &list), list) })
            .buffer_unordered(LISTS_AT_ONCE);
        while let Some((read, path)) = reading.next().await {
            let Some((manifests, size)) = read? else { continue };
            lists.push(Doomed { kind: FileKind::ManifestList, path, size });
            for manifest in manifests {
                let key = key(&manifest.path);
                if !kept.contains_key(&key) {
                    gone.entry(key).or_insert(manifest);
                }
            }
        }
        drop(reading);
        let by_path = |manifests: HashMap<u128, ManifestRef>| {
            let mut manifests: Vec<ManifestRef> = manifests.into_values().collect();
            manifests.sort_by(|a, b| a.path.cmp(&b.path));
            manifests
        };
        let metadata = fallen(store, heads.falling, &heads.log).await?;
        Ok(Self {
            store: store.clone(),
            kept: by_path(kept),
            gone: by_path(gone),
            looked: 0,
            earlier: HashSet::new(),
            lists,
            metadata,
            at_once: CANDIDATES_AT_ONCE,
        })
    }

    /// The next data and delete files that nothing reaches; `None` when there are no more.
    ///
    /// # Errors
    /// As [`Reach::begin`], for manifests of kept snapshots.
    pub async fn next_files(&mut self) -> Result<Option<impl Iterator<Item = Doomed> + Send + use<>>> {
        let mut candidates = Candidates::default();
        let store = self.store.clone();
        let from = self.looked;
        let mut reading = stream::iter(&self.gone[from..])
            .map(|manifest| {
                let store = store.clone();
                async move { tolerate(files_of(&store, &manifest.path).await, &manifest.path) }
            })
            .buffered(MANIFESTS_AT_ONCE);
        while candidates.len() < self.at_once
            && let Some(read) = reading.try_next().await?
        {
            self.looked += 1;
            for file in live(read.unwrap_or_default()) {
                let key = key(&file.path);
                if !self.earlier.contains(&key) {
                    candidates.add(key, &file);
                }
            }
        }
        drop(reading);
        if candidates.is_empty() {
            return Ok(None);
        }
        if self.looked < self.gone.len() {
            self.earlier.extend(candidates.keys());
        }
        let mut reading = stream::iter(&self.kept)
            .map(|manifest| async { files_of(&store, &manifest.path).await })
            .buffer_unordered(MANIFESTS_AT_ONCE);
        while let Some(files) = reading.try_next().await.while_doing(|| "looking for what is reachable")? {
            live(files).for_each(|file| candidates.spare(key(&file.path)));
        }
        Ok(Some(candidates.into_files()))
    }

    /// What goes after the files: manifests, then manifest lists and statistics, then metadata files. In this order, a
    /// crash leaves nothing that names a file which is still needed, and little that an orphan scan must find.
    pub fn rest(self) -> [Vec<Doomed>; 3] {
        let doomed =
            |manifest: ManifestRef| Doomed { kind: FileKind::Manifest, path: manifest.path, size: manifest.size };
        [self.gone.into_iter().map(doomed).collect(), self.lists, self.metadata]
    }
}

fn live(files: Vec<FileRef>) -> impl Iterator<Item = FileRef> {
    files.into_iter().filter(|file| file.live)
}

/// What an expired snapshot names may be missing or damaged: then it dooms nothing.
fn tolerate<T>(read: Result<T>, path: &str) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == Kind::Corrupt => {
            tracing::warn!(file = path, %error, "a file of an expired snapshot can't be read; what it names is left to orphan removal");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
