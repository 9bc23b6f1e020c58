//! Collecting the entries of many manifests in the order of their partitions, within a memory budget.
//!
//! The first pass reads every manifest once and counts: how many entries, of how many bytes, has each partition? While all
//! entries fit into the budget they are kept, and that is all. Otherwise the sorted sequence of entries is cut into
//! windows that fit, and each window is filled by another pass over the manifests that have something in it. Memory is
//! the budget, plus a few bytes per entry and manifest for the counts.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::ManifestFile;

use super::avro::{Container, Cursor, Result, Trouble, damaged};
use super::entry::{Inherited, Transcoder};
use super::fingerprint::Fingerprint;
use super::partitions::Partitions;
use super::shape::Shape;
use crate::lake::RowIds;

/// Entries are kept in pieces of about this size.
const CHUNK: usize = 1 << 20;

/// A place in the sorted sequence: the rank of a partition, and how many of its entries come before.
pub(super) type Place = (u32, u64);

/// What is kept of an entry beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) partition: u32,
    chunk: u32,
    start: u32,
    len: u32,
    path: u32,
    pub(super) sequence_number: i64,
    pub(super) records: i64,
}

/// Entries in memory.
#[derive(Debug, Default)]
pub(super) struct Entries {
    chunks: Vec<Vec<u8>>,
    pub(super) list: Vec<Kept>,
    bytes: u64,
}

impl Entries {
    /// The bytes of an entry.
    pub(super) fn bytes(&self, kept: &Kept) -> &[u8] {
        let start = kept.start as usize;
        &self.chunks[kept.chunk as usize][start..start + kept.len as usize]
    }

    fn path(&self, kept: &Kept) -> &[u8] {
        Cursor(&self.bytes(kept)[kept.path as usize..]).bytes().unwrap_or_default()
    }

    /// All entries by the rank of their partition, then by path.
    pub(super) fn sorted(&self, ranks: &[u32]) -> Vec<Kept> {
        let mut list = self.list.clone();
        list.sort_unstable_by(|a, b| {
            let rank = |kept: &Kept| ranks[kept.partition as usize];
            rank(a).cmp(&rank(b)).then_with(|| self.path(a).cmp(self.path(b)))
        });
        list
    }

    fn push(&mut self, entry: &[u8], kept: Kept) {
        if self.chunks.last().is_none_or(|chunk| chunk.len() + entry.len() > chunk.capacity()) {
            self.chunks.push(Vec::with_capacity(CHUNK.max(entry.len())));
        }
        let chunk = self.chunks.len() - 1;
        let start = self.chunks[chunk].len();
        self.chunks[chunk].extend_from_slice(entry);
        self.bytes += (entry.len() + size_of::<Kept>()) as u64;
        self.list.push(Kept { chunk: chunk as u32, start: start as u32, len: entry.len() as u32, ..kept });
    }
}

/// What the first pass found out.
#[derive(Debug)]
pub(super) struct Gather {
    shape: Arc<Shape>,
    pub(super) partitions: Partitions,
    /// By partition: entries, and their bytes in memory.
    totals: Vec<(u64, u64)>,
    /// By manifest: its partitions, with how many entries it has of each.
    counts: Vec<Vec<(u32, u32)>>,
    pub(super) fingerprint: Fingerprint,
    /// All entries, while they fit.
    pub(super) entries: Option<Entries>,
    budget: u64,
}

impl Gather {
    pub(super) fn new(shape: Arc<Shape>, partitions: Partitions, budget: u64) -> Self {
        let (totals, counts, fingerprint) = (Vec::new(), Vec::new(), Fingerprint::default());
        Self { shape, partitions, totals, counts, fingerprint, entries: Some(Entries::default()), budget }
    }

    /// Takes in the next manifest of the first pass.
    pub(super) fn survey(&mut self, file: &ManifestFile, bytes: &[u8]) -> Result<()> {
        let mut here: HashMap<u32, u32> = HashMap::new();
        let mut live = 0u32;
        let Self { shape, partitions, totals, entries, .. } = self;
        each(shape, file, bytes, |entry, kept, partition| {
            let number = partitions.number(partition)?;
            if totals.len() <= number as usize {
                totals.resize(number as usize + 1, (0, 0));
            }
            let total = &mut totals[number as usize];
            total.0 += 1;
            total.1 += (entry.len() + size_of::<Kept>()) as u64;
            *here.entry(number).or_default() += 1;
            live += 1;
            if let Some(entries) = entries {
                entries.push(entry, Kept { partition: number, ..kept });
            }
            Ok(())
        })?;
        if let (Some(added), Some(existing)) = (file.added_files_count, file.existing_files_count)
            && added + existing != live
        {
            return damaged(format!("it has {live} live entries, the manifest list says {}", added + existing));
        }
        // Counted by another decoder: what one of them misreads does not go unnoticed.
        self.fingerprint.add(bytes, inherited(file))?;
        self.counts.push(here.into_iter().collect());
        if self.entries.as_ref().is_some_and(|entries| entries.bytes > self.budget) {
            self.entries = None;
        }
        Ok(())
    }

    /// Partitions by rank, and ranks by partition.
    pub(super) fn ranks(&self) -> (Vec<u32>, Vec<u32>) {
        let order = self.partitions.sorted();
        let mut ranks = vec![0; order.len()];
        for (rank, number) in (0u32..).zip(&order) {
            ranks[*number as usize] = rank;
        }
        (order, ranks)
    }

    /// Cuts the sorted sequence into windows that fit into the budget.
    pub(super) fn windows(&self, order: &[u32]) -> Vec<(Place, Place)> {
        let mut cuts: Vec<Place> = vec![(0, 0)];
        let mut used = 0;
        for (rank, number) in (0u32..).zip(order) {
            let (entries, bytes) = self.totals[*number as usize];
            if used + bytes <= self.budget {
                used += bytes;
                continue;
            }
            // Within a partition entries are taken to be of one size.
            let size = bytes.div_ceil(entries.max(1)).max(1);
            let mut at = (self.budget - used.min(self.budget)) / size;
            while at < entries {
                cuts.push((rank, at));
                at += (self.budget / size).max(1);
            }
            let last = cuts.last().map_or(0, |(_, at)| *at);
            used = (entries - last) * size;
        }
        cuts.push((u32::try_from(order.len()).unwrap_or(u32::MAX), 0));
        cuts.dedup();
        cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// A pass that fills one window.
    pub(super) fn window(&self, from: Place, to: Place) -> Window {
        Window { from, to, seen: vec![0; self.totals.len()], entries: Entries::default() }
    }

    /// By manifest, in order: whether it has entries in a window.
    pub(super) fn wanted(&self, window: &Window, ranks: &[u32]) -> Vec<bool> {
        let mut seen = vec![0u64; self.totals.len()];
        let mut wanted = Vec::with_capacity(self.counts.len());
        for counts in &self.counts {
            let mut any = false;
            for (number, count) in counts {
                let (rank, before) = (ranks[*number as usize], &mut seen[*number as usize]);
                let after = *before + u64::from(*count);
                any |= (rank, *before) < window.to && (rank, after) > window.from;
                *before = after;
            }
            wanted.push(any);
        }
        wanted
    }

    /// Counts the entries of a manifest that a window does not want.
    pub(super) fn pass_by(&self, window: &mut Window, manifest: usize) {
        for (number, count) in &self.counts[manifest] {
            window.seen[*number as usize] += u64::from(*count);
        }
    }

    /// Takes in a manifest that a window wants.
    pub(super) fn fill(&mut self, window: &mut Window, ranks: &[u32], file: &ManifestFile, bytes: &[u8]) -> Result<()> {
        let partitions = &mut self.partitions;
        each(&self.shape, file, bytes, |entry, kept, partition| {
            let number = partitions.number(partition)?;
            let (Some(rank), Some(seen)) = (ranks.get(number as usize), window.seen.get_mut(number as usize)) else {
                return damaged("it changed while it was read");
            };
            let place = (*rank, *seen);
            *seen += 1;
            if (window.from..window.to).contains(&place) {
                window.entries.push(entry, Kept { partition: number, ..kept });
            }
            Ok(())
        })
    }
}

/// One stretch of the sorted sequence.
#[derive(Debug)]
pub(super) struct Window {
    from: Place,
    to: Place,
    /// By partition: how many entries the manifests before had.
    seen: Vec<u64>,
    pub(super) entries: Entries,
}

pub(super) fn inherited(file: &ManifestFile) -> Inherited {
    Inherited { snapshot_id: file.added_snapshot_id, sequence_number: file.sequence_number, row_ids: RowIds::of(file) }
}

/// Hands over the live entries of a manifest, each with its partition.
fn each(
    shape: &Shape,
    file: &ManifestFile,
    bytes: &[u8],
    mut one: impl FnMut(&[u8], Kept, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut container = Container::open(bytes)?;
    let transcoder = Transcoder::new(Shape::of(&container.schema()?)?, shape)?;
    let (mut out, mut inherited) = (Vec::new(), inherited(file));
    while let Some((count, block)) = container.block()? {
        let mut cursor = Cursor(&block);
        for _ in 0..count {
            out.clear();
            let Some(live) = transcoder.next(&mut cursor, &mut inherited, &mut out)? else { continue };
            let path = u32::try_from(live.path.start);
            let path = path.map_err(|_| Trouble::Unsupported("an entry has more than 4 GiB".into()))?;
            let (sequence_number, records) = (live.sequence_number, live.records);
            let kept = Kept { partition: 0, chunk: 0, start: 0, len: 0, path, sequence_number, records };
            one(&out, kept, &out[live.partition])?;
        }
        if !cursor.0.is_empty() {
            return damaged("a block has more than its entries");
        }
    }
    Ok(())
}
