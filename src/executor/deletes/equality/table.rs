//! Keys with the newest sequence number that deletes each of them: an open-addressing table over one block of bytes.

use crate::error::{Error, Result};

/// Sequence number and length in front of every key.
const HEADER: usize = 12;

/// Keys in memory.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    /// Entries one after another: sequence number, length, key.
    arena: Vec<u8>,
    /// Offsets of entries plus one; 0 is free. Always a power of two, never more than two thirds full.
    slots: Vec<u32>,
    len: usize,
}

impl KeyTable {
    /// Bytes that the table holds.
    pub(super) fn bytes(&self) -> u64 {
        (self.arena.capacity() + self.slots.capacity() * 4) as u64
    }

    /// Adds a key; of equal keys the newest sequence number counts.
    ///
    /// # Errors
    /// `Exhausted` for keys of more than 4 GiB in one table.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], sequence: i64) -> Result<()> {
        if (self.len + 1) * 3 > self.slots.len() * 2 {
            self.grow();
        }
        let slot = match self.find(hash, key) {
            Ok(at) => {
                let known = self.sequence(at);
                self.arena[at..at + 8].copy_from_slice(&known.max(sequence).to_le_bytes());
                return Ok(());
            }
            Err(slot) => slot,
        };
        let full = |_| Error::exhausted("equality deletes of more than 4 GiB in one part of memory");
        let at = u32::try_from(self.arena.len() + HEADER + key.len()).map_err(full)?;
        let length = u32::try_from(key.len()).map_err(full)?;
        self.arena.extend_from_slice(&sequence.to_le_bytes());
        self.arena.extend_from_slice(&length.to_le_bytes());
        self.arena.extend_from_slice(key);
        self.slots[slot] = at - length - 12 + 1;
        self.len += 1;
        Ok(())
    }

    /// The newest sequence number that deletes a key.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<i64> {
        if self.slots.is_empty() {
            return None;
        }
        self.find(hash, key).ok().map(|at| self.sequence(at))
    }

    /// All keys with their sequence numbers.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], i64)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= self.arena.len() {
                return None;
            }
            let (key, sequence) = (self.key(at), self.sequence(at));
            at += HEADER + key.len();
            Some((key, sequence))
        })
    }

    fn sequence(&self, at: usize) -> i64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.arena[at..at + 8]);
        i64::from_le_bytes(bytes)
    }

    fn key(&self, at: usize) -> &[u8] {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.arena[at + 8..at + HEADER]);
        let length = u32::from_le_bytes(bytes) as usize;
        &self.arena[at + HEADER..at + HEADER + length]
    }

    /// Where the key is, or the free slot where it would go.
    fn find(&self, hash: u64, key: &[u8]) -> std::result::Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(hash & mask as u64).unwrap_or(0);
        loop {
            match self.slots[slot] {
                0 => return Err(slot),
                at if self.key(at as usize - 1) == key => return Ok(at as usize - 1),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![0; size]);
        for at in old.into_iter().filter(|at| *at != 0) {
            let hash = super::partitions::hash(self.key(at as usize - 1));
            let mask = size - 1;
            let mut slot = usize::try_from(hash & mask as u64).unwrap_or(0);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::partitions::hash;
    use super::*;

    proptest! {
        #[test]
        fn should_keep_the_newest_number_of_every_key(
            entries in prop::collection::vec((prop::collection::vec(0u8..3, 0..4), 0i64..20), 0..300),
        ) {
            let (mut table, mut model) = (KeyTable::default(), HashMap::new());
            for (key, sequence) in &entries {
                table.insert(hash(key), key, *sequence).unwrap();
                let known = model.entry(key.clone()).or_insert(*sequence);
                *known = *sequence.max(known);
            }
            for (key, sequence) in &model {
                prop_assert_eq!(table.get(hash(key), key), Some(*sequence));
            }
            prop_assert_eq!(table.get(hash(b"other"), b"other"), None);
            let all: HashMap<Vec<u8>, i64> = table.entries().map(|(key, sequence)| (key.to_vec(), sequence)).collect();
            prop_assert_eq!(all, model);
        }
    }
}
