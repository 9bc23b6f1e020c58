//! Keys with the newest sequence number that deletes each of them: an open-addressing table over chunks of entries.
//!
//! A slot is the place of an entry with some bits of its key's hash, as many as there is room for: most other keys are
//! passed over without a look at their bytes. With millions of keys every look is a cache miss.

use super::hashed::hash;
use super::layout::{Entry, Layout};
use super::pool::Chunk;
use crate::error::{Error, Result};

/// Slots for so many keys: three quarters of them are taken, at most.
pub(super) fn slots(keys: u64) -> usize {
    usize::try_from(keys.saturating_mul(4) / 3 + 1).unwrap_or(usize::MAX)
}

/// Memory for slots.
#[derive(Debug)]
pub(super) enum Slots<'p> {
    /// A part of what was taken in one piece.
    Part(&'p mut [u32]),
    /// Memory of its own.
    Own(Vec<u32>),
}

impl Slots<'_> {
    fn get(&self) -> &[u32] {
        match self {
            Self::Part(slots) => slots,
            Self::Own(slots) => slots,
        }
    }

    fn get_mut(&mut self) -> &mut [u32] {
        match self {
            Self::Part(slots) => slots,
            Self::Own(slots) => slots,
        }
    }
}

/// Keys in memory.
#[derive(Debug)]
pub(super) struct KeyTable<'p> {
    chunks: Vec<Chunk<'p>>,
    /// 0 is free; otherwise the place plus one in the lower bits, and bits of the hash above them.
    slots: Slots<'p>,
    /// A place is the number of a chunk, times two to this power, and the offset in it.
    chunk_bits: u32,
    place_mask: u32,
    layout: Layout,
}

/// Heads are little-endian numbers of any length up to four bytes.
fn number(head: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    bytes[..head.len()].copy_from_slice(head);
    u32::from_le_bytes(bytes)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash: partitions use the upper one")]
fn low(hash: u64) -> u32 {
    hash as u32
}

impl<'p> KeyTable<'p> {
    /// Builds a table over entries whose heads are the places of their sequence numbers in an ascending list. `slots` are
    /// zero, and as many as [`slots()`] says; `chunk` is the most bytes of a chunk.
    ///
    /// # Errors
    /// `Exhausted` for more than 4 GiB of entries.
    pub(super) fn build(
        mut chunks: Vec<Chunk<'p>>,
        mut slots: Slots<'p>,
        chunk: usize,
        layout: Layout,
    ) -> Result<Self> {
        let chunk_bits = chunk.next_power_of_two().ilog2();
        let places = (chunks.len() as u64) << chunk_bits;
        let place_bits = u64::BITS - places.leading_zeros();
        if place_bits > u32::BITS {
            return Err(Error::exhausted("equality deletes of more than 4 GiB in one part of memory"));
        }
        let place_mask = u32::MAX >> (u32::BITS - place_bits);
        let made = fill(slots.get_mut(), &mut chunks, chunk_bits, place_mask, layout);
        made.map(|()| Self { chunks, slots, chunk_bits, place_mask, layout })
    }

    /// The place in the list of the newest sequence number that deletes a key.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let slots = self.slots.get();
        let tag = low(hash) & !self.place_mask;
        let mut slot = home(hash, slots.len());
        loop {
            let found = slots[slot];
            if found == 0 {
                return None;
            }
            if found & !self.place_mask == tag {
                let entry = entry(&self.chunks, (found & self.place_mask) - 1, self.chunk_bits, self.layout);
                if entry.key == key {
                    return Some(number(entry.head));
                }
            }
            slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
        }
    }
}

/// The slot where the search for a key begins: by the upper of the lower bits, for filters and tags use the others.
fn home(hash: u64, slots: usize) -> usize {
    usize::try_from((u64::from(low(hash).rotate_left(16)) * slots as u64) >> 32).unwrap_or(0)
}

fn entry<'a>(chunks: &'a [Chunk<'_>], place: u32, chunk_bits: u32, layout: Layout) -> Entry<'a> {
    let offset = place & ((1 << chunk_bits) - 1);
    layout.read(&chunks[(place >> chunk_bits) as usize].bytes()[offset as usize..])
}

fn fill(slots: &mut [u32], chunks: &mut [Chunk<'_>], chunk_bits: u32, place_mask: u32, layout: Layout) -> Result<()> {
    for number_of_chunk in 0..chunks.len() {
        let mut at = 0;
        while at < chunks[number_of_chunk].bytes().len() {
            let new = layout.read(&chunks[number_of_chunk].bytes()[at..]);
            let hash = hash(new.key);
            let tag = low(hash) & !place_mask;
            let mut slot = home(hash, slots.len());
            let known = loop {
                let found = slots[slot];
                if found == 0 {
                    break None;
                }
                let place = (found & place_mask).wrapping_sub(1);
                if found & !place_mask == tag && entry(chunks, place, chunk_bits, layout).key == new.key {
                    break Some(place);
                }
                slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
            };
            let (length, sequence) = (new.length, number(new.head));
            match known {
                None => {
                    let place = ((number_of_chunk as u64) << chunk_bits) + at as u64 + 1;
                    slots[slot] = tag | u32::try_from(place).map_err(|e| Error::internal("a place").caused_by(e))?;
                }
                Some(place) if number(entry(chunks, place, chunk_bits, layout).head) < sequence => {
                    let offset = (place & ((1 << chunk_bits) - 1)) as usize;
                    let older = &mut chunks[(place >> chunk_bits) as usize].bytes_mut()[offset..offset + layout.head];
                    older.copy_from_slice(&sequence.to_le_bytes()[..layout.head]);
                }
                Some(_) => {}
            }
            at += length;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_keep_the_newest_number_of_every_key(
            entries in prop::collection::vec((prop::collection::vec(0u8..3, 0..4), 0u32..20), 0..300),
            chunk in 16usize..100,
        ) {
            let layout = Layout { head: 1, width: None };
            let (mut chunks, mut model) = (vec![Vec::new()], HashMap::new());
            for (key, sequence) in &entries {
                let mut entry = vec![0; layout.length(key)];
                layout.write(&sequence.to_le_bytes()[..1], key, &mut entry);
                if chunks.last().is_some_and(|last: &Vec<u8>| last.len() + entry.len() > chunk) {
                    chunks.push(Vec::new());
                }
                chunks.last_mut().unwrap().extend(entry);
                let known = model.entry(key.clone()).or_insert(*sequence);
                *known = *sequence.max(known);
            }
            let chunks = chunks.into_iter().map(Chunk::own).collect();
            let slots = Slots::Own(vec![0; slots(entries.len() as u64)]);
            let table = KeyTable::build(chunks, slots, chunk, layout).unwrap();
            for (key, sequence) in &model {
                prop_assert_eq!(table.get(hash(key), key), Some(*sequence));
            }
            prop_assert_eq!(table.get(hash(b"other"), b"other"), None);
        }
    }
}
