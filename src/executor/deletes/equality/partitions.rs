//! Keys in partitions by hash, in memory or on disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twox_hash::XxHash64;

use super::bloom::Bloom;
use super::encode::Keys;
use super::spill::Spill;
use super::table::KeyTable;
use crate::error::Result;
use crate::lake::Ambient;

/// About how many bytes a key takes in memory, to choose the number of partitions.
const BYTES_PER_KEY: u64 = 40;
/// Buffers of both files of a partition on disk.
const FILE_BUFFERS: u64 = 128 << 10;

/// The hash of a key.
pub(super) fn hash(key: &[u8]) -> u64 {
    XxHash64::oneshot(0x1ce, key)
}

/// The keys of all deletes with the same columns, while they are read.
pub(super) struct Partitions {
    parts: Vec<Mutex<Part>>,
    /// About how many keys will come.
    keys: u64,
    /// Bytes for the filters of all partitions.
    bloom: u64,
    held: AtomicU64,
    limit: u64,
    ambient: Arc<Ambient>,
}

/// All keys, ready to be asked.
pub(super) struct Built {
    parts: Vec<Part>,
}

enum Part {
    Memory(KeyTable),
    /// Keys, and rows to compare with them.
    Disk {
        keys: Spill,
        /// Says of most rows that they are not worth being kept.
        filter: Bloom,
        rows: Mutex<Spill>,
    },
}

/// Rows that are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    /// The input's number.
    pub(super) input: u32,
    /// The position of the first row.
    pub(super) first: u32,
    /// The input's data sequence number: only newer deletes count.
    pub(super) sequence: i64,
}

/// The partition of a hash: by its upper bits, for tables use the lower ones.
fn part_of(hash: u64, parts: usize) -> usize {
    usize::try_from(((hash >> 32) * parts as u64) >> 32).unwrap_or(0)
}

/// The keys of a batch with their hashes, row by row of one partition after another: each is locked once, and its table
/// stays in the caches meanwhile.
struct Hashed {
    bytes: Vec<u8>,
    /// The hash of each row's key, and where the key ends.
    rows: Vec<(u64, usize)>,
    /// Rows in the order of partitions.
    order: Vec<u32>,
    /// Where each partition begins in that order, and where the last one ends.
    starts: Vec<usize>,
}

impl Hashed {
    fn new(keys: &Keys, parts: usize) -> Self {
        let (mut bytes, mut rows) = (Vec::new(), Vec::with_capacity(keys.rows()));
        let mut starts = vec![0usize; parts + 1];
        for row in 0..keys.rows() {
            let start = bytes.len();
            keys.append(row, &mut bytes);
            let hash = hash(&bytes[start..]);
            starts[part_of(hash, parts) + 1] += 1;
            rows.push((hash, bytes.len()));
        }
        for part in 0..parts {
            starts[part + 1] += starts[part];
        }
        let (mut next, mut order) = (starts.clone(), vec![0; rows.len()]);
        for (row, (hash, _)) in (0..).zip(&rows) {
            let place = &mut next[part_of(*hash, parts)];
            order[*place] = row;
            *place += 1;
        }
        Self { bytes, rows, order, starts }
    }

    /// Row, hash and key of all rows of a partition.
    fn of_part(&self, part: usize) -> impl Iterator<Item = (u32, u64, &[u8])> {
        self.order[self.starts[part]..self.starts[part + 1]].iter().map(|row| {
            let number = *row as usize;
            let start = number.checked_sub(1).map_or(0, |before| self.rows[before].1);
            let (hash, end) = self.rows[number];
            (*row, hash, &self.bytes[start..end])
        })
    }
}

impl Partitions {
    /// Room for about so many keys within so many bytes.
    pub(super) fn new(keys: u64, memory: u64, ambient: Arc<Ambient>) -> Self {
        // What tables hold is counted; what an allocator keeps beside them while they grow is about half as much again.
        let limit = memory / 2;
        // One partition at a time comes back from disk: it should take a small part of the memory.
        let wanted = keys.saturating_mul(BYTES_PER_KEY).div_ceil((limit / 8).max(1));
        let most = (limit / 4 / FILE_BUFFERS).clamp(4, 1024);
        let count = wanted.clamp(4, most).next_power_of_two();
        let parts = (0..count).map(|_| Mutex::new(Part::Memory(KeyTable::default()))).collect();
        Self { parts, keys, bloom: memory / 4, held: AtomicU64::new(0), limit, ambient }
    }

    /// Adds the keys of a batch of a delete file with this sequence number.
    pub(super) fn insert(&self, keys: &Keys, sequence: i64) -> Result<()> {
        let hashed = Hashed::new(keys, self.parts.len());
        for part in 0..self.parts.len() {
            let mut rows = hashed.of_part(part).peekable();
            if rows.peek().is_none() {
                continue;
            }
            match &mut *lock(&self.parts[part]) {
                Part::Memory(table) => {
                    let before = table.bytes();
                    for (_, hash, key) in rows {
                        table.insert(hash, key, sequence)?;
                    }
                    self.held.fetch_add(table.bytes() - before, Ordering::Relaxed);
                }
                Part::Disk { keys, filter, .. } => {
                    for (_, hash, key) in rows {
                        filter.add(hash);
                        keys.write(sequence, key)?;
                    }
                }
            }
        }
        while self.held.load(Ordering::Relaxed) > self.limit {
            if !self.spill_largest()? {
                break;
            }
        }
        Ok(())
    }

    /// Moves the largest partition to disk; says whether there was one.
    fn spill_largest(&self) -> Result<bool> {
        let size = |part: &Mutex<Part>| match &*lock(part) {
            Part::Memory(table) => table.bytes(),
            Part::Disk { .. } => 0,
        };
        let Some(largest) = self.parts.iter().max_by_key(|part| size(part)) else { return Ok(false) };
        let mut part = lock(largest);
        let Part::Memory(table) = &*part else { return Ok(false) };
        let bytes = table.bytes();
        if table.is_empty() {
            return Ok(false);
        }
        let mut keys = Spill::create(&self.ambient)?;
        let mut filter = Bloom::new(self.keys / self.parts.len() as u64, self.bloom / self.parts.len() as u64);
        for (key, sequence) in table.entries() {
            filter.add(hash(key));
            keys.write(sequence, key)?;
        }
        *part = Part::Disk { keys, filter, rows: Mutex::new(Spill::create(&self.ambient)?) };
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        Ok(true)
    }

    /// All keys are there.
    pub(super) fn built(self) -> Built {
        let parts = self.parts.into_iter().map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner));
        Built { parts: parts.collect() }
    }
}

impl Built {
    /// Looks up a batch of rows: adds the positions of those that are deleted to `hits`, or keeps them for later.
    pub(super) fn probe(&self, keys: &Keys, probe: Probe, hits: &mut Vec<u32>) -> Result<()> {
        let hashed = Hashed::new(keys, self.parts.len());
        let mut record = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            let rows = hashed.of_part(number);
            match part {
                Part::Memory(table) => hits.extend(
                    rows.filter(|(_, hash, key)| table.get(*hash, key).is_some_and(|newest| newest > probe.sequence))
                        .map(|(row, ..)| probe.first + row),
                ),
                Part::Disk { filter, rows: kept, .. } => {
                    let mut rows = rows.filter(|(_, hash, _)| filter.may_have(*hash)).peekable();
                    if rows.peek().is_none() {
                        continue;
                    }
                    let mut kept = lock(kept);
                    for (row, _, key) in rows {
                        record.clear();
                        record.extend_from_slice(key);
                        record.extend_from_slice(&probe.input.to_le_bytes());
                        record.extend_from_slice(&(probe.first + row).to_le_bytes());
                        kept.write(probe.sequence, &record)?;
                    }
                }
            }
        }
        hits.sort_unstable();
        Ok(())
    }

    /// Compares the rows that were kept, one partition at a time, and hands on (input, position) of the deleted ones.
    pub(super) fn finish(self, mut hit: impl FnMut(u32, u32) -> Result<()>) -> Result<()> {
        // Partitions in memory are done: their room is needed for those on disk.
        let later: Vec<(Spill, Mutex<Spill>)> = self
            .parts
            .into_iter()
            .filter_map(|part| match part {
                Part::Memory(_) => None,
                Part::Disk { keys, rows, .. } => Some((keys, rows)),
            })
            .collect();
        for (keys, rows) in later {
            let mut table = KeyTable::default();
            keys.read(|sequence, key| table.insert(hash(key), key, sequence))?;
            let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
            rows.read(|sequence, record| {
                let (key, place) = record.split_at(record.len().saturating_sub(8));
                let number = |at: usize| {
                    let mut bytes = [0; 4];
                    bytes.copy_from_slice(&place[at..at + 4]);
                    u32::from_le_bytes(bytes)
                };
                match table.get(hash(key), key) {
                    Some(newest) if newest > sequence => hit(number(0), number(4)),
                    _ => Ok(()),
                }
            })?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use arrow_array::{ArrayRef, Int64Array};
    use proptest::prelude::*;

    use super::*;

    fn keys(values: &[Option<i64>]) -> Keys {
        let array: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        Keys::of(&[array]).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// The same answers whether everything is in memory, some is, or nothing.
        #[test]
        fn should_find_the_same_rows_wherever_the_keys_are(
            deletes in prop::collection::vec((prop::collection::vec(prop::option::of(0i64..400), 0..300), 0i64..9), 0..6),
            rows in prop::collection::vec((prop::collection::vec(prop::option::of(0i64..400), 0..300), 0i64..9), 0..6),
            memory in prop_oneof![Just(64u64 << 20), Just(20_000), Just(1_000)],
        ) {
            let mut newest: HashMap<Option<i64>, i64> = HashMap::new();
            let parts = Partitions::new(1000, memory, Arc::new(Ambient::system()));
            for (values, sequence) in &deletes {
                parts.insert(&keys(values), *sequence).unwrap();
                for value in values {
                    let known = newest.entry(*value).or_insert(*sequence);
                    *known = *sequence.max(known);
                }
            }
            let parts = parts.built();
            let (mut found, mut expected) = (BTreeSet::new(), BTreeSet::new());
            for (input, (values, sequence)) in (0u32..).zip(&rows) {
                let mut hits = Vec::new();
                parts.probe(&keys(values), Probe { input, first: 7, sequence: *sequence }, &mut hits).unwrap();
                found.extend(hits.into_iter().map(|position| (input, position)));
                for (position, value) in (7u32..).zip(values) {
                    if newest.get(value).is_some_and(|delete| delete > sequence) {
                        expected.insert((input, position));
                    }
                }
            }
            parts.finish(|input, position| { found.insert((input, position)); Ok(()) }).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
