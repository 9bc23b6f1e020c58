//! Rows looked up among keys: at once where a key's partition is in memory, later where it is on disk.

use std::sync::{Mutex, PoisonError};

use super::encode::Keys;
use super::filter::Filter;
use super::hashed::{hash, part_of};
use super::layout::Layout;
use super::partitions::lock;
use super::pool::{Chunk, Pool};
use super::run::{Place, Run, read};
use super::table::{KeyTable, Slots, slots};
use crate::error::Result;
use crate::executor::threads::side_by_side;
use crate::lake::{SpillBlock, SpillBlocks};

/// Before the key of a row that is kept: the input's number and the row's position.
const HEAD: usize = 8;

/// All keys, ready to be asked.
pub(super) struct Built<'p> {
    pub(super) parts: Vec<Part<'p>>,
    pub(super) filters: Vec<Filter<'p>>,
    pub(super) layout: Layout,
    pub(super) pool: Pool<'p>,
    pub(super) disk: SpillBlocks,
    pub(super) null: u32,
}

/// The keys of one partition.
pub(super) enum Part<'p> {
    Memory(KeyTable<'p>),
    /// Keys, and rows to compare with them.
    Disk {
        keys: u64,
        blocks: Vec<SpillBlock>,
        rows: Mutex<Run<'p>>,
    },
}

/// Rows that are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    /// The input's number.
    pub(super) input: u32,
    /// The position of the first row.
    pub(super) first: u32,
    /// Sequence numbers from this place of the list on are newer than the input: only those count.
    pub(super) newer: u32,
}

/// Memory that lookups of one thread use again and again.
#[derive(Debug, Default)]
pub(super) struct Space {
    hashes: Vec<u64>,
    passed: Vec<u32>,
}

impl Built<'_> {
    /// Looks up a batch of rows: adds the positions of those that are deleted to `hits`, in order, or keeps them for later.
    pub(super) fn probe(&self, keys: &Keys, probe: Probe, space: &mut Space, hits: &mut Vec<u32>) -> Result<()> {
        let place = Place { layout: rows_of(self.layout), pool: &self.pool, disk: &self.disk };
        let Space { hashes, passed } = space;
        keys.hash_into(hashes);
        // Without a branch: many looks at memory are under way at the same time.
        passed.clear();
        passed.resize(hashes.len(), 0);
        let mut count = 0;
        for (row, hash) in (0..).zip(hashes.iter()) {
            passed[count] = row;
            count += usize::from(self.filters[part_of(*hash, self.filters.len())].may_have(*hash));
        }
        let first = hits.len();
        for row in &passed[..count] {
            let (index, hash) = (*row as usize, hashes[*row as usize]);
            if keys.is_null(index) {
                continue;
            }
            match &self.parts[part_of(hash, self.parts.len())] {
                Part::Memory(table) => {
                    if table.get(hash, keys.get(index)).is_some_and(|newest| newest >= probe.newer) {
                        hits.push(probe.first + row);
                    }
                }
                Part::Disk { rows, .. } => {
                    let mut head = [0; HEAD];
                    head[..4].copy_from_slice(&probe.input.to_le_bytes());
                    head[4..].copy_from_slice(&(probe.first + row).to_le_bytes());
                    lock(rows).push(&place, &head, keys.get(index))?;
                }
            }
        }
        if self.null > probe.newer {
            hits.extend((probe.first..).zip(0..keys.rows()).filter(|(_, row)| keys.is_null(*row)).map(|(at, _)| at));
            hits[first..].sort_unstable();
        }
        Ok(())
    }

    /// Compares the rows that were kept, partition by partition, and hands on (input, position) of the deleted ones.
    /// `newer` has the place of the first sequence number that counts, by input.
    pub(super) fn finish(
        self,
        workers: usize,
        newer: &(impl Fn(u32) -> u32 + Sync),
        hit: &(impl Fn(&[(u32, u32)]) -> Result<()> + Sync),
    ) -> Result<()> {
        let Self { parts, layout, pool, disk, .. } = self;
        // Partitions in memory are done: their room is needed for those on disk.
        let later: Vec<_> = parts
            .into_iter()
            .filter_map(|part| match part {
                Part::Memory(_) => None,
                Part::Disk { keys, blocks, rows } => Some((keys, blocks, rows)),
            })
            .map(|later| Mutex::new(Some(later)))
            .collect();
        side_by_side(workers, later.len(), |number| {
            let Some((keys, blocks, rows)) = lock(&later[number]).take() else { return Ok(()) };
            let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
            let of_rows = rows_of(layout);
            let (rows, _) = rows.into_blocks(&Place { layout: of_rows, pool: &pool, disk: &disk })?;
            if rows.is_empty() {
                return Ok(());
            }
            let chunk = blocks.iter().map(|block| block.length).max().unwrap_or(1);
            let chunks = blocks.iter().map(|block| {
                let mut bytes = Vec::new();
                disk.read(*block, &mut bytes).map(|()| Chunk::own(bytes))
            });
            let chunks = chunks.collect::<Result<Vec<_>>>()?;
            let table = KeyTable::build(chunks, Slots::Own(vec![0; slots(keys)]), chunk, layout)?;
            let mut hits = Vec::new();
            read(&rows, of_rows, &disk, |row| {
                let number = |at: usize| {
                    let mut bytes = [0; 4];
                    bytes.copy_from_slice(&row.head[at..at + 4]);
                    u32::from_le_bytes(bytes)
                };
                if table.get(hash(row.key), row.key).is_some_and(|newest| newest >= newer(number(0))) {
                    hits.push((number(0), number(4)));
                }
                Ok(())
            })?;
            hits.sort_unstable();
            hit(&hits)
        })
    }
}

/// How rows that are kept lie on disk.
fn rows_of(keys: Layout) -> Layout {
    Layout { head: HEAD, ..keys }
}
