//! Hashes of keys, and the partitions that they tell.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

use super::encode::Keys;

/// The hash of a key.
pub(super) fn hash(key: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x1ce).build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// The partition of a hash: by its upper bits, for tables use the lower ones.
pub(super) fn part_of(hash: u64, parts: usize) -> usize {
    usize::try_from(((hash >> 32) * parts as u64) >> 32).unwrap_or(0)
}

/// The keys of a batch with their hashes, row by row of one partition after another: each is locked once.
pub(super) struct Hashed {
    hashes: Vec<u64>,
    /// Rows in the order of partitions.
    order: Vec<u32>,
    /// Where each partition begins in that order, and where the last one ends.
    starts: Vec<usize>,
}

impl Hashed {
    /// Hashes the keys of all rows that have one.
    pub(super) fn new(keys: &Keys, parts: usize) -> Self {
        let mut hashes = Vec::new();
        keys.hash_into(&mut hashes);
        let mut starts = vec![0usize; parts + 1];
        for (row, hash) in hashes.iter().enumerate() {
            starts[part_of(*hash, parts) + 1] += usize::from(!keys.is_null(row));
        }
        for part in 0..parts {
            starts[part + 1] += starts[part];
        }
        let (mut next, mut order) = (starts.clone(), vec![0; starts[parts]]);
        for (row, hash) in (0..).zip(&hashes) {
            if !keys.is_null(row as usize) {
                let place = &mut next[part_of(*hash, parts)];
                order[*place] = row;
                *place += 1;
            }
        }
        Self { hashes, order, starts }
    }

    /// Row and hash of all rows of a partition.
    pub(super) fn of_part(&self, part: usize) -> impl ExactSizeIterator<Item = (usize, u64)> {
        self.order[self.starts[part]..self.starts[part + 1]].iter().map(|row| {
            let row = *row as usize;
            (row, self.hashes[row])
        })
    }
}
