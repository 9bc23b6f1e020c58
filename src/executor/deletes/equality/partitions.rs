//! Keys in partitions by hash, in memory or on disk.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::encode::Keys;
use super::filter::{Block, Filter};
use super::hashed::Hashed;
use super::layout::Layout;
use super::lookup::{Built, Part};
use super::pool::{Chunk, Pool};
use super::room::Room;
use super::run::{Place, Run};
use super::table::{KeyTable, Slots, slots};
use crate::error::{Error, Result};
use crate::executor::threads::side_by_side;
use crate::lake::SpillBlocks;

/// The keys of all deletes of a set, while they are read.
pub(super) struct Partitions<'p> {
    parts: Vec<Mutex<Gathered<'p>>>,
    pool: Pool<'p>,
    layout: Layout,
    disk: SpillBlocks,
    /// The place of the newest sequence number that deletes the null, plus one; 0 when none does.
    null: AtomicU32,
}

struct Gathered<'p> {
    run: Run<'p>,
    filter: Filter<'p>,
    keys: u64,
}

impl<'p> Partitions<'p> {
    /// Partitions in this memory, which is zero and as large as the room says.
    ///
    /// # Errors
    /// `Internal` when it is not.
    pub(super) fn new(
        room: &Room,
        layout: Layout,
        memory: &'p mut [u8],
        blocks: &'p mut [Block],
        disk: SpillBlocks,
    ) -> Result<Self> {
        let pool = Pool::new(memory, room.chunk);
        let filters = blocks.chunks_mut((blocks.len() / room.parts).max(1));
        let part = |blocks| -> Option<Mutex<Gathered<'p>>> {
            let run = Run::new(pool.take()?);
            Some(Mutex::new(Gathered { run, filter: Filter::new(blocks), keys: 0 }))
        };
        let parts: Option<Vec<_>> = filters.take(room.parts).map(part).collect();
        let parts = parts.filter(|parts| parts.len() == room.parts);
        let parts = parts.ok_or_else(|| Error::internal("there is no room for the partitions of keys"))?;
        Ok(Self { parts, pool, layout, disk, null: AtomicU32::new(0) })
    }

    /// Adds the keys of a batch of a delete file; `sequence` is the place of its sequence number in an ascending list.
    pub(super) fn insert(&self, keys: &Keys, sequence: u32) -> Result<()> {
        let place = self.place();
        let hashed = Hashed::new(keys, self.parts.len());
        for (number, part) in self.parts.iter().enumerate() {
            let rows = hashed.of_part(number);
            if rows.len() == 0 {
                continue;
            }
            let mut part = lock(part);
            part.keys += rows.len() as u64;
            for (row, hash) in rows {
                part.filter.add(hash);
                part.run.push(&place, &sequence.to_le_bytes(), keys.get(row))?;
            }
        }
        if keys.nulls().next().is_some() {
            self.null.fetch_max(sequence + 1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn place(&self) -> Place<'_, 'p> {
        Place { layout: self.layout, pool: &self.pool, disk: &self.disk }
    }

    /// How many slots the tables will have. Partitions move to disk until these are no more than `most`.
    pub(super) fn settle(&mut self, most: usize) -> Result<usize> {
        let place = Place { layout: self.layout, pool: &self.pool, disk: &self.disk };
        let mut all = 0;
        for part in &mut self.parts {
            let part = part.get_mut().unwrap_or_else(PoisonError::into_inner);
            if part.run.is_on_disk() {
                continue;
            }
            let wanted = slots(part.keys);
            if all + wanted > most {
                part.run.spill(&place)?;
            } else {
                all += wanted;
            }
        }
        Ok(all)
    }

    /// All keys are there: makes the tables, in slots that are zero and as many as [`Self::settle`] has said.
    pub(super) fn built(self, mut slots_left: &'p mut [u32], workers: usize) -> Result<Built<'p>> {
        let Self { parts, pool, layout, disk, null } = self;
        let (mut filters, mut made) = (Vec::new(), Vec::new());
        for part in parts {
            let Gathered { run, filter, keys } = part.into_inner().unwrap_or_else(PoisonError::into_inner);
            filters.push(filter);
            made.push(Mutex::new(if run.is_on_disk() {
                let (blocks, buffer) = run.into_blocks(&Place { layout, pool: &pool, disk: &disk })?;
                let buffer = buffer.ok_or_else(|| Error::internal("a partition without a buffer"))?;
                Making::Done(Part::Disk { keys, blocks, rows: Mutex::new(Run::on_disk(buffer)) })
            } else {
                let (own, rest) = slots_left
                    .split_at_mut_checked(slots(keys))
                    .ok_or_else(|| Error::internal("there are too few slots for keys"))?;
                slots_left = rest;
                Making::ToDo(run.into_chunks(), Slots::Part(own))
            }));
        }
        side_by_side(workers, made.len(), |number| {
            let mut part = lock(&made[number]);
            *part = match std::mem::replace(&mut *part, Making::Failed) {
                Making::ToDo(chunks, slots) => {
                    Making::Done(Part::Memory(KeyTable::build(chunks, slots, pool.chunk(), layout)?))
                }
                other => other,
            };
            Ok(())
        })?;
        let done = made.into_iter().map(|part| match part.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Making::Done(part) => Ok(part),
            Making::ToDo(..) | Making::Failed => Err(Error::internal("a table of keys was not made")),
        });
        Ok(Built { parts: done.collect::<Result<_>>()?, filters, layout, pool, disk, null: null.into_inner() })
    }
}

/// A partition on the way.
enum Making<'p> {
    ToDo(Vec<Chunk<'p>>, Slots<'p>),
    Done(Part<'p>),
    Failed,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
