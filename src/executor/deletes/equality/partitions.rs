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
    bloom: Mutex<Bloom>,
    held: AtomicU64,
    limit: u64,
    ambient: Arc<Ambient>,
}

/// All keys, ready to be asked.
pub(super) struct Built {
    parts: Vec<Part>,
    /// Of use when a partition is on disk.
    filter: Option<Bloom>,
}

enum Part {
    Memory(KeyTable),
    /// Keys, and rows to compare with them.
    Disk {
        keys: Spill,
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

impl Partitions {
    /// Room for about so many keys within so many bytes.
    pub(super) fn new(keys: u64, memory: u64, ambient: Arc<Ambient>) -> Self {
        let limit = memory / 4 * 3;
        // One partition at a time comes back from disk: it should take a small part of the memory.
        let wanted = keys.saturating_mul(BYTES_PER_KEY).div_ceil((limit / 8).max(1));
        let most = (limit / 4 / FILE_BUFFERS).clamp(4, 1024);
        let count = wanted.clamp(4, most).next_power_of_two();
        let parts = (0..count).map(|_| Mutex::new(Part::Memory(KeyTable::default()))).collect();
        let bloom = Mutex::new(Bloom::new(keys, memory / 4));
        Self { parts, bloom, held: AtomicU64::new(0), limit, ambient }
    }

    /// Adds the keys of a batch of a delete file with this sequence number.
    pub(super) fn insert(&self, keys: &Keys, sequence: i64) -> Result<()> {
        let mut key = Vec::new();
        let mut hashes = Vec::with_capacity(keys.rows());
        for row in 0..keys.rows() {
            keys.write(row, &mut key);
            let hash = hash(&key);
            hashes.push(hash);
            match &mut *lock(&self.parts[part_of(hash, self.parts.len())]) {
                Part::Memory(table) => {
                    let before = table.bytes();
                    table.insert(hash, &key, sequence)?;
                    self.held.fetch_add(table.bytes() - before, Ordering::Relaxed);
                }
                Part::Disk { keys, .. } => keys.write(sequence, &key)?,
            }
        }
        let mut bloom = lock(&self.bloom);
        hashes.into_iter().for_each(|hash| bloom.add(hash));
        drop(bloom);
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
        if bytes == 0 {
            return Ok(false);
        }
        let mut keys = Spill::create(&self.ambient)?;
        for (key, sequence) in table.entries() {
            keys.write(sequence, key)?;
        }
        *part = Part::Disk { keys, rows: Mutex::new(Spill::create(&self.ambient)?) };
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        Ok(true)
    }

    /// All keys are there.
    pub(super) fn built(self) -> Built {
        let parts = self.parts.into_iter().map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner));
        let parts: Vec<Part> = parts.collect();
        let on_disk = parts.iter().any(|part| matches!(part, Part::Disk { .. }));
        let filter = on_disk.then(|| self.bloom.into_inner().unwrap_or_else(PoisonError::into_inner));
        Built { parts, filter }
    }
}

impl Built {
    /// Looks up a batch of rows: adds the positions of those that are deleted to `hits`, or keeps them for later.
    pub(super) fn probe(&self, keys: &Keys, probe: Probe, hits: &mut Vec<u32>) -> Result<()> {
        let mut key = Vec::new();
        for (row, position) in (0..keys.rows()).zip(probe.first..) {
            keys.write(row, &mut key);
            let hash = hash(&key);
            if self.filter.as_ref().is_some_and(|filter| !filter.may_have(hash)) {
                continue;
            }
            match &self.parts[part_of(hash, self.parts.len())] {
                Part::Memory(table) => {
                    if table.get(hash, &key).is_some_and(|newest| newest > probe.sequence) {
                        hits.push(position);
                    }
                }
                Part::Disk { rows, .. } => {
                    key.extend_from_slice(&probe.input.to_le_bytes());
                    key.extend_from_slice(&position.to_le_bytes());
                    lock(rows).write(probe.sequence, &key)?;
                }
            }
        }
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
                Part::Disk { keys, rows } => Some((keys, rows)),
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
