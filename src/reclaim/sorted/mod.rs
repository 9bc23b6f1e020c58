//! An external merge sort of locations: what is listed and what is referred to are each brought into one order and read
//! side by side. Memory stays the same for a thousand files and for fifty million (I9).
//!
//! A buffer of fixed size is sorted and written as a run: neighbours share most of their path, so a record holds only
//! what differs from the one before it, and ZSTD halves the rest (some 40 bytes a file with a random name). Runs of one
//! level are merged into one of the next whenever there are 16 of them, so the work is n log n and the number of open
//! files small. The files have no name where the system allows that: a kill leaves nothing behind.

mod run;

use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use run::{Run, RunReader, RunWriter};

use crate::error::{Error, Result};
use crate::model::{GIB, MIB};

/// So many runs are merged at a time; each costs some 400 KiB while it is read.
const FAN_IN: usize = 16;

/// Where sorted runs go that don't fit the buffer, and how much of that there may be.
#[derive(Debug, Clone)]
pub struct Spill {
    /// The folder.
    pub dir: PathBuf,
    /// The most bytes in it at a time, over all sorts that share this value.
    pub limit: u64,
    /// Bytes of memory that one sort collects before it writes a run.
    buffer: usize,
    used: Arc<AtomicU64>,
}

impl Spill {
    /// Bytes of disk when nothing is said: enough for some two hundred million files.
    pub const LIMIT: u64 = 16 * GIB;

    /// Spills into a folder, up to so many bytes.
    pub fn new(dir: PathBuf, limit: u64) -> Self {
        Self { dir, limit, buffer: usize::try_from(32 * MIB).unwrap_or(usize::MAX), used: Arc::default() }
    }

    /// With so many bytes of memory for one sort.
    #[must_use]
    pub fn with_buffer(self, buffer: usize) -> Self {
        Self { buffer, ..self }
    }

    fn take(&self, bytes: u64) -> Result<()> {
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
            return Err(Error::exhausted(format!(
                "sorting the listing takes more than {} of temporary space in {}",
                crate::model::human_bytes(self.limit),
                self.dir.display()
            ))
            .hint("raise --spill-limit, or name a larger folder with --spill-dir"));
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One location with two figures. What they mean is up to whoever sorts: size and time, or flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What is sorted by, byte for byte.
    pub key: String,
    /// The first figure.
    pub size: u64,
    /// The second figure. Of two entries with the same key, the one with the larger one stays.
    pub modified_ms: i64,
}

#[derive(Debug)]
struct Slot {
    /// The eight bytes after what all keys share: most comparisons end here, without touching the keys.
    head: u64,
    start: usize,
    length: usize,
    size: u64,
    modified_ms: i64,
}

/// Takes entries in any order.
#[derive(Debug)]
pub struct Sorter {
    spill: Spill,
    keys: Vec<u8>,
    slots: Vec<Slot>,
    /// Runs by level; one of a level holds [`FAN_IN`] times as much as one of the level below.
    levels: Vec<Vec<Run>>,
}

impl Sorter {
    /// An empty one.
    pub fn new(spill: &Spill) -> Self {
        Self { spill: spill.clone(), keys: Vec::new(), slots: Vec::new(), levels: Vec::new() }
    }

    /// Takes one entry.
    ///
    /// # Errors
    /// `Exhausted` when there is no more temporary space.
    pub fn push(&mut self, key: &str, size: u64, modified_ms: i64) -> Result<()> {
        let held = self.keys.len() + key.len() + (self.slots.len() + 1) * size_of::<Slot>();
        if held > self.spill.buffer && !self.slots.is_empty() {
            let run = self.write_run(false)?;
            self.add(0, run)?;
        }
        self.slots.push(Slot { head: 0, start: self.keys.len(), length: key.len(), size, modified_ms });
        self.keys.extend_from_slice(key.as_bytes());
        Ok(())
    }

    /// All entries in order, each key once.
    ///
    /// # Errors
    /// As [`Sorter::push`].
    pub fn finish(mut self) -> Result<Sorted> {
        let small = self.levels.is_empty();
        if !self.slots.is_empty() {
            let run = self.write_run(small)?;
            self.add(0, run)?;
        }
        Ok(Sorted { runs: self.levels.into_iter().flatten().collect() })
    }

    fn key(&self, slot: &Slot) -> &[u8] {
        &self.keys[slot.start..slot.start + slot.length]
    }

    /// Sorts what is in the buffer and empties it.
    fn write_run(&mut self, in_memory: bool) -> Result<Run> {
        let mut slots = std::mem::take(&mut self.slots);
        let shared = self.shared_prefix(&slots);
        for slot in &mut slots {
            let mut head = [0; 8];
            let rest = &self.keys[slot.start + shared..slot.start + slot.length];
            let taken = rest.len().min(8);
            head[..taken].copy_from_slice(&rest[..taken]);
            slot.head = u64::from_be_bytes(head);
        }
        slots.sort_unstable_by(|a, b| {
            let by_key = a.head.cmp(&b.head).then_with(|| self.key(a).cmp(self.key(b)));
            by_key.then(b.modified_ms.cmp(&a.modified_ms)).then(a.size.cmp(&b.size))
        });
        let mut writer = RunWriter::new(&self.spill, in_memory)?;
        for slot in &slots {
            writer.push(self.key(slot), slot.size, slot.modified_ms)?;
        }
        self.keys.clear();
        slots.clear();
        self.slots = slots;
        writer.finish()
    }

    fn shared_prefix(&self, slots: &[Slot]) -> usize {
        let Some(first) = slots.first().map(|slot| self.key(slot)) else { return 0 };
        slots.iter().fold(first.len(), |shared, slot| {
            let key = self.key(slot);
            if key.len() >= shared && key[..shared] == first[..shared] {
                return shared;
            }
            key.iter().zip(first).take_while(|(a, b)| a == b).count()
        })
    }

    fn add(&mut self, level: usize, run: Run) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(run);
        if self.levels[level].len() < FAN_IN {
            return Ok(());
        }
        let mut full = Sorted { runs: std::mem::take(&mut self.levels[level]) };
        let mut writer = RunWriter::new(&self.spill, false)?;
        for entry in full.iter()? {
            let entry = entry?;
            writer.push(entry.key.as_bytes(), entry.size, entry.modified_ms)?;
        }
        drop(full);
        let merged = writer.finish()?;
        self.add(level + 1, merged)
    }
}

/// Entries in order, each key once. Can be read as often as one likes.
#[derive(Debug, Default)]
pub struct Sorted {
    runs: Vec<Run>,
}

impl Sorted {
    /// Reads them from the first on.
    ///
    /// # Errors
    /// `Unavailable` when the temporary files can't be read.
    pub fn iter(&mut self) -> Result<Merged<'_>> {
        let mut merged = Merged { readers: Vec::new(), heads: BinaryHeap::new(), last: None };
        for run in &mut self.runs {
            let mut reader = run.read()?;
            if let Some(entry) = reader.next()? {
                merged.heads.push(Head { entry, source: merged.readers.len() });
            }
            merged.readers.push(reader);
        }
        Ok(merged)
    }
}

/// The next entry of one run. The heap gives the greatest first, so the order is turned around.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    entry: Entry,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_key = other.entry.key.as_bytes().cmp(self.entry.key.as_bytes());
        by_key.then(self.entry.modified_ms.cmp(&other.entry.modified_ms)).then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Several runs read as one.
#[derive(Debug)]
pub struct Merged<'a> {
    readers: Vec<RunReader<'a>>,
    heads: BinaryHeap<Head>,
    last: Option<String>,
}

impl Merged<'_> {
    fn step(&mut self) -> Result<Option<Entry>> {
        while let Some(Head { entry, source }) = self.heads.pop() {
            if let Some(next) = self.readers[source].next()? {
                self.heads.push(Head { entry: next, source });
            }
            if self.last.as_deref() != Some(entry.key.as_str()) {
                let last = self.last.get_or_insert_default();
                last.clear();
                last.push_str(&entry.key);
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

#[cfg(test)]
mod tests;
