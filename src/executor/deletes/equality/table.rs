//! Keys with the newest sequence number that deletes each of them: an open-addressing table over one block of bytes.
//!
//! A slot holds a part of its key's hash, so that other keys are passed over without a look at their bytes: with millions of
//! keys every look is a cache miss. Slots are in the order of the hash, which lets a table grow by any factor, and without
//! hashing anything again.

use crate::error::{Error, Result};

/// Bytes of a key's entry besides the key: the sequence number's place in a list, and the length.
const HEADER: usize = 8;

/// Keys in memory.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    /// Entries one after another: number of the sequence number, length, key.
    arena: Vec<u8>,
    /// The part of the hash, and the entry's offset plus one; 0 is free. Never more than three quarters full.
    slots: Vec<(u32, u32)>,
    len: usize,
    /// The sequence numbers that occur: as many as there are delete files, at most.
    sequences: Vec<i64>,
}

/// Where a key is, or the free slot where it would go.
enum Found {
    Entry(usize),
    Free(usize),
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash: partitions use the upper one")]
fn tag(hash: u64) -> u32 {
    hash as u32
}

/// The slot where the search for a key begins.
fn home(tag: u32, slots: usize) -> usize {
    usize::try_from((u64::from(tag) * slots as u64) >> 32).unwrap_or(0)
}

impl KeyTable {
    /// Bytes that the table holds.
    pub(super) fn bytes(&self) -> u64 {
        (self.arena.capacity() + self.slots.capacity() * size_of::<(u32, u32)>()) as u64
    }

    /// Whether no key was added.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a key; of equal keys the newest sequence number counts.
    ///
    /// # Errors
    /// `Exhausted` for keys of more than 4 GiB in one table.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], sequence: i64) -> Result<()> {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = match self.find(hash, key) {
            Found::Entry(at) => {
                if self.sequence(at) < sequence {
                    let number = self.number_of(sequence)?;
                    self.arena[at..at + 4].copy_from_slice(&number.to_le_bytes());
                }
                return Ok(());
            }
            Found::Free(slot) => slot,
        };
        let number = self.number_of(sequence)?;
        let length = u32::try_from(key.len()).map_err(too_much)?;
        // The slot has its place plus one.
        let place = u32::try_from(self.arena.len() + 1).map_err(too_much)?;
        self.arena.extend_from_slice(&number.to_le_bytes());
        self.arena.extend_from_slice(&length.to_le_bytes());
        self.arena.extend_from_slice(key);
        self.slots[slot] = (tag(hash), place);
        self.len += 1;
        Ok(())
    }

    /// The newest sequence number that deletes a key.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<i64> {
        if self.slots.is_empty() {
            return None;
        }
        match self.find(hash, key) {
            Found::Entry(at) => Some(self.sequence(at)),
            Found::Free(_) => None,
        }
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

    /// The place of a sequence number in the list. It is nearly always the last one: files are read one by one.
    fn number_of(&mut self, sequence: i64) -> Result<u32> {
        let place = self.sequences.iter().rposition(|known| *known == sequence).unwrap_or_else(|| {
            self.sequences.push(sequence);
            self.sequences.len() - 1
        });
        u32::try_from(place).map_err(too_much)
    }

    fn number(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.arena[at..at + 4]);
        u32::from_le_bytes(bytes)
    }

    fn sequence(&self, at: usize) -> i64 {
        self.sequences[self.number(at) as usize]
    }

    fn key(&self, at: usize) -> &[u8] {
        let length = self.number(at + 4) as usize;
        &self.arena[at + HEADER..at + HEADER + length]
    }

    fn find(&self, hash: u64, key: &[u8]) -> Found {
        let tag = tag(hash);
        let mut slot = home(tag, self.slots.len());
        loop {
            match self.slots[slot] {
                (_, 0) => return Found::Free(slot),
                (other, at) if other == tag && self.key(at as usize - 1) == key => {
                    return Found::Entry(at as usize - 1);
                }
                _ => slot = if slot + 1 == self.slots.len() { 0 } else { slot + 1 },
            }
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 3 / 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for (tag, at) in old.into_iter().filter(|(_, at)| *at != 0) {
            let mut slot = home(tag, size);
            while self.slots[slot].1 != 0 {
                slot = if slot + 1 == size { 0 } else { slot + 1 };
            }
            self.slots[slot] = (tag, at);
        }
    }
}

fn too_much(_: std::num::TryFromIntError) -> Error {
    Error::exhausted("equality deletes of more than 4 GiB in one part of memory")
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
            tags in 0u32..3,
        ) {
            // All keys in one slot, or in few, or where they should be.
            let hash = |key: &[u8]| if tags == 0 { 7 } else { hash(key) & (u64::MAX << (31 * (tags - 1))) };
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
