//! Positions by input while they come in. When they are too many for memory, bitmaps move to disk in parts (I9).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use roaring::RoaringBitmap;

use super::masks::{read_back, write_out};
use crate::error::Result;
use crate::lake::{Spill, SpillBlock, SpillBlocks};

/// The positions of all inputs.
pub(super) struct Gather {
    of: Vec<Mutex<Part>>,
    held: AtomicU64,
    limit: u64,
    disk: SpillBlocks,
}

/// The positions of one input.
#[derive(Debug, Default)]
struct Part {
    positions: RoaringBitmap,
    /// What they take in memory, about.
    bytes: u64,
    moved: Vec<SpillBlock>,
}

impl Gather {
    /// No positions of so many inputs, and so many bytes of memory for them.
    pub(super) fn new(inputs: usize, limit: u64, spill: &Spill) -> Self {
        let disk = SpillBlocks::new(spill.clone());
        Self { of: (0..inputs).map(|_| Mutex::default()).collect(), held: AtomicU64::new(0), limit, disk }
    }

    fn part(&self, input: usize) -> MutexGuard<'_, Part> {
        self.of[input].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds positions of an input, ascending if they can be.
    pub(super) fn add(&self, input: usize, positions: &[u32]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        self.change(input, |known| {
            // Most are in order, and behind those that are known.
            if known.append(positions.iter().copied()).is_err() {
                known.extend(positions);
            }
        })
    }

    /// Adds a whole bitmap of positions.
    pub(super) fn add_all(&self, input: usize, positions: &RoaringBitmap) -> Result<()> {
        self.change(input, |known| *known |= positions)
    }

    fn change(&self, input: usize, change: impl FnOnce(&mut RoaringBitmap)) -> Result<()> {
        let mut part = self.part(input);
        change(&mut part.positions);
        let bytes = part.positions.serialized_size() as u64;
        let before = std::mem::replace(&mut part.bytes, bytes);
        drop(part);
        // A union may take less than its parts did.
        self.held.fetch_sub(before.saturating_sub(bytes), Ordering::Relaxed);
        let grown = bytes.saturating_sub(before);
        if self.held.fetch_add(grown, Ordering::Relaxed) + grown > self.limit { self.make_room() } else { Ok(()) }
    }

    /// Moves all bitmaps of some size to disk.
    fn make_room(&self) -> Result<()> {
        let least = self.limit / (4 * self.of.len().max(1) as u64);
        for part in &self.of {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            if part.bytes > least {
                let block = write_out(&self.disk, &part.positions)?;
                part.moved.push(block);
                part.positions = RoaringBitmap::new();
                self.held.fetch_sub(std::mem::take(&mut part.bytes), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// All positions of an input; they are forgotten here.
    pub(super) fn take(&self, input: usize) -> Result<RoaringBitmap> {
        let mut part = std::mem::take(&mut *self.part(input));
        self.held.fetch_sub(part.bytes, Ordering::Relaxed);
        for block in part.moved {
            part.positions |= read_back(&self.disk, block)?;
        }
        Ok(part.positions)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_find_all_positions_again(
            adds in prop::collection::vec((0usize..3, prop::collection::vec(0u32..100_000, 0..200), any::<bool>()), 0..30),
            limit in prop_oneof![Just(0u64), Just(2_000), Just(1 << 30)],
        ) {
            let spill = Spill::new(std::env::temp_dir(), 64 << 20);
            let gather = Gather::new(3, limit, &spill);
            let mut model = vec![BTreeSet::new(); 3];
            for (input, positions, whole) in &adds {
                if *whole {
                    gather.add_all(*input, &positions.iter().collect()).unwrap();
                } else {
                    gather.add(*input, positions).unwrap();
                }
                model[*input].extend(positions.iter().copied());
                prop_assert!(gather.held.load(Ordering::Relaxed) <= limit);
            }
            for (input, model) in model.iter().enumerate() {
                prop_assert!(gather.take(input).unwrap().iter().eq(model.iter().copied()));
            }
            prop_assert_eq!(gather.held.load(Ordering::Relaxed), 0);
            drop(gather);
            prop_assert_eq!(spill.used(), 0);
        }
    }
}
