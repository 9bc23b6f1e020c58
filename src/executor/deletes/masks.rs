//! Masks of a task's inputs: in memory, or on disk when there are too many for that (I9).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use roaring::RoaringBitmap;

use super::Mask;
use crate::error::{Error, Result};
use crate::lake::{Spill, SpillBlock, SpillBlocks};

/// Masks that came from disk are remembered up to so many bytes: columns of a row group want the same ones.
const REMEMBERED: u64 = 8 << 20;

/// Memory for the masks of tasks that are not done. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MaskRoom {
    limit: u64,
    held: Arc<AtomicU64>,
}

impl MaskRoom {
    /// Room for so many bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, held: Arc::default() }
    }

    fn take(&self, bytes: u64) -> Option<Taken> {
        if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(Taken { held: Arc::clone(&self.held), bytes })
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// Memory that is given back when it is dropped.
#[derive(Debug)]
struct Taken {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The masks of a task's inputs, in their order.
#[derive(Debug, Default)]
pub(crate) struct Masks {
    of: Vec<Held>,
    disk: Option<Arc<SpillBlocks>>,
    remembered: Mutex<Remembered>,
}

#[derive(Debug)]
enum Held {
    Memory(Mask, #[expect(dead_code, reason = "dropped with the mask")] Option<Taken>),
    Disk(SpillBlock),
}

#[derive(Debug, Default)]
struct Remembered {
    masks: VecDeque<(usize, Mask, u64)>,
    bytes: u64,
}

impl Masks {
    /// Masks by input, all in memory.
    #[cfg(test)]
    pub(crate) fn new(of: Vec<Mask>) -> Self {
        Self { of: of.into_iter().map(|mask| Held::Memory(mask, None)).collect(), ..Self::none() }
    }

    /// No deletes at all.
    pub(crate) const fn none() -> Self {
        let remembered = Remembered { masks: VecDeque::new(), bytes: 0 };
        Self { of: Vec::new(), disk: None, remembered: Mutex::new(remembered) }
    }

    /// The mask of one input; inputs beyond the known ones have no deletes.
    ///
    /// # Errors
    /// `Exhausted` when a mask does not come back from disk.
    pub(crate) fn of(&self, input: usize) -> Result<Mask> {
        match (self.of.get(input), &self.disk) {
            (None, _) => Ok(Mask::default()),
            (Some(Held::Memory(mask, _)), _) => Ok(mask.clone()),
            (Some(Held::Disk(block)), Some(disk)) => self.recall(input, *block, disk),
            (Some(Held::Disk(_)), None) => Err(Error::internal("a mask on no disk")),
        }
    }

    fn recall(&self, input: usize, block: SpillBlock, disk: &SpillBlocks) -> Result<Mask> {
        let lock = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mask, _)) = lock().masks.iter().rev().find(|(known, ..)| *known == input) {
            return Ok(mask.clone());
        }
        let mask = Mask::new(Arc::new(read_back(disk, block)?));
        let mut remembered = lock();
        remembered.bytes += block.length as u64;
        remembered.masks.push_back((input, mask.clone(), block.length as u64));
        while remembered.bytes > REMEMBERED
            && let Some((_, _, bytes)) = remembered.masks.pop_front()
        {
            remembered.bytes -= bytes;
        }
        Ok(mask)
    }
}

/// Writes a bitmap to disk.
pub(super) fn write_out(disk: &SpillBlocks, positions: &RoaringBitmap) -> Result<SpillBlock> {
    let mut bytes = Vec::with_capacity(positions.serialized_size());
    positions.serialize_into(&mut bytes).map_err(|e| Error::internal("a bitmap can't be written").caused_by(e))?;
    disk.write(&bytes)
}

/// Reads a bitmap from disk.
pub(super) fn read_back(disk: &SpillBlocks, block: SpillBlock) -> Result<RoaringBitmap> {
    let mut bytes = Vec::new();
    disk.read(block, &mut bytes)?;
    RoaringBitmap::deserialize_from(bytes.as_slice())
        .map_err(|e| Error::internal("a bitmap does not come back from disk as it was written").caused_by(e))
}

/// Takes masks one after another, and moves those to disk that there is no room for.
pub(super) struct Keeper {
    room: MaskRoom,
    disk: Arc<SpillBlocks>,
}

impl Keeper {
    pub(super) fn new(room: &MaskRoom, spill: &Spill) -> Self {
        Self { room: room.clone(), disk: Arc::new(SpillBlocks::new(spill.clone())) }
    }

    /// Keeps the masks of a task.
    pub(super) fn keep(&self, deleted: impl Iterator<Item = Result<RoaringBitmap>>) -> Result<Masks> {
        let one = |deleted: Result<RoaringBitmap>| {
            let deleted = deleted?;
            if deleted.is_empty() {
                return Ok(Held::Memory(Mask::default(), None));
            }
            Ok(match self.room.take(deleted.serialized_size() as u64) {
                Some(taken) => Held::Memory(Mask::new(Arc::new(deleted)), Some(taken)),
                None => Held::Disk(write_out(&self.disk, &deleted)?),
            })
        };
        let of = deleted.map(one).collect::<Result<_>>()?;
        Ok(Masks { of, disk: Some(Arc::clone(&self.disk)), ..Masks::none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_hand_out_the_same_masks_from_memory_and_from_disk() {
        let bitmaps: Vec<RoaringBitmap> =
            (0..50u32).map(|n| (0..n * 400).filter(|at| at % (n + 1) == 0).collect()).collect();
        let expected: Vec<Mask> = bitmaps.iter().map(|bitmap| Mask::new(Arc::new(bitmap.clone()))).collect();
        for limit in [0, 5_000, u64::MAX / 2] {
            let (room, spill) = (MaskRoom::new(limit), Spill::new(std::env::temp_dir(), 64 << 20));
            let masks = Keeper::new(&room, &spill).keep(bitmaps.iter().cloned().map(Ok)).unwrap();
            for round in 0..2 {
                for (input, mask) in expected.iter().enumerate() {
                    assert!(masks.of(input).unwrap().same(mask), "round {round}, input {input}, limit {limit}");
                }
            }
            assert!(masks.of(50).unwrap().bitmap().is_none());
            assert!(room.held() <= limit);
            assert_eq!(spill.used() > 0, limit <= 5_000);
            drop(masks);
            assert_eq!((room.held(), spill.used()), (0, 0));
        }
    }
}
