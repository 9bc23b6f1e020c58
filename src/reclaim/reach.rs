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
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::candidates::{Candidates, key};
use super::lineage::fallen;
use super::{Doomed, Heads};
use crate::error::{Context, Kind, Result};
use crate::lake::Store;
use crate::lake::references::{FileRef, ManifestRef, file_batches_of, manifests_of};
use crate::model::FileKind;

/// Manifest lists read side by side; they are small.
const LISTS_AT_ONCE: usize = 32;
/// Manifests read side by side; they have some megabytes.
const MANIFESTS_AT_ONCE: usize = 8;
/// Manifests that are looked into before candidates are counted.
const BETWEEN_COUNTS: usize = 64;
/// Entries of a manifest that are handled at a time, so that none is in memory as a whole.
const BATCH: usize = 1024;
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
    /// What may be unreachable, and what was in earlier rounds. Manifests are decoded on several threads.
    candidates: Arc<Mutex<Candidates>>,
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
            candidates: Arc::default(),
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
        while self.looked < self.gone.len() && self.now(|candidates| candidates.len()) < self.at_once {
            let until = self.gone.len().min(self.looked + BETWEEN_COUNTS);
            stream::iter(&self.gone[self.looked..until])
                .map(|manifest| async { tolerate(self.each_live(manifest, Candidates::add).await, &manifest.path) })
                .buffer_unordered(MANIFESTS_AT_ONCE)
                .try_for_each(|_| ready(Ok(())))
                .await?;
            self.looked = until;
        }
        if self.now(|candidates| candidates.is_empty()) {
            return Ok(None);
        }
        let more = self.looked < self.gone.len();
        let found = self.now(|candidates| candidates.remember(more));
        stream::iter(&self.kept)
            .map(|manifest| self.each_live(manifest, |candidates, key, _| candidates.spare(key)))
            .buffer_unordered(MANIFESTS_AT_ONCE)
            .try_for_each(|()| ready(Ok(())))
            .await
            .while_doing(|| "looking for what is reachable")?;
        tracing::debug!(found, unreachable = self.now(|candidates| candidates.len()), "looked for unreachable files");
        Ok(Some(self.now(Candidates::take_files)))
    }

    /// Does something to the candidates for each live file of a manifest.
    async fn each_live(
        &self,
        manifest: &ManifestRef,
        each: impl Fn(&mut Candidates, u128, &FileRef) + Send + 'static,
    ) -> Result<()> {
        let candidates = self.candidates.clone();
        file_batches_of(&self.store, manifest, BATCH, move |files| {
            // Keys are what takes time: they are made before the lock is taken.
            let keyed: Vec<_> = files.iter().filter(|file| file.live).map(|file| (key(&file.path), file)).collect();
            let mut candidates = candidates.lock().unwrap_or_else(PoisonError::into_inner);
            keyed.into_iter().for_each(|(key, file)| each(&mut candidates, key, file));
            Ok(())
        })
        .await
    }

    fn now<T>(&self, what: impl FnOnce(&mut Candidates) -> T) -> T {
        what(&mut self.candidates.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What goes after the files: manifests, then manifest lists and statistics, then metadata files. In this order, a
    /// crash leaves nothing that names a file which is still needed, and little that an orphan scan must find.
    pub fn rest(self) -> [Vec<Doomed>; 3] {
        let doomed =
            |manifest: ManifestRef| Doomed { kind: FileKind::Manifest, path: manifest.path, size: manifest.size };
        [self.gone.into_iter().map(doomed).collect(), self.lists, self.metadata]
    }
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
