//! Equality deletes: rows equal to those of a delete file on some columns (spec, "Equality Delete Files").
//!
//! An anti-join within a memory limit. Keys of all delete files with the same columns and scope go into one hash table, cut
//! into partitions by hash; when memory runs out, whole partitions move to disk. Then the inputs' key columns are looked
//! up. Most rows are told by a bloom filter, at one look. What passes is looked up at once where the partition is in memory;
//! otherwise it is kept beside the partition, and compared when that comes back.
//!
//! A null equals a null. Floating-point columns are not allowed as delete columns ("Identifier Field IDs" says which are);
//! where a writer wrote them all the same, every NaN is equal, and -0.0 is not 0.0, as the spec orders them.

mod columns;
mod encode;
mod filter;
mod hashed;
mod layout;
mod lookup;
mod partitions;
mod pool;
mod room;
mod run;
mod sets;
mod table;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use self::columns::KeyColumns;
use self::encode::Keys;
use self::filter::Block;
use self::layout::Layout;
use self::lookup::{Built, Probe, Space};
use self::partitions::Partitions;
use self::room::Room;
use self::sets::Set;
use super::Inputs;
use super::gather::Gather;
use crate::error::{Context, Error, Result};
use crate::executor::source::{self, Source};
use crate::executor::threads::{guarded, side_by_side};
use crate::lake::SpillBlocks;
use crate::model::TaskDelete;

/// Delete files that are read side by side.
const READ_AT_ONCE: usize = 4;
/// Inputs whose footers are at hand at a time.
const OPENED_AT_ONCE: usize = 64;

/// Finds the rows that the equality deletes of a task hit, and adds them to what is gathered.
pub(super) fn apply(inputs: &Inputs<'_>, gathered: &Gather) -> Result<()> {
    sets::sets(inputs.task)?.iter().try_for_each(|set| Join::new(inputs, set)?.run(gathered))
}

/// One set of deletes and the inputs that they apply to.
struct Join<'a> {
    inputs: &'a Inputs<'a>,
    set: &'a Set,
    columns: KeyColumns,
    /// The sequence numbers of the deletes, ascending.
    sequences: Vec<i64>,
}

impl<'a> Join<'a> {
    fn new(inputs: &'a Inputs<'a>, set: &'a Set) -> Result<Self> {
        let columns = KeyColumns::new(&set.ids, inputs.table)?;
        let mut sequences: Vec<i64> = set.deletes.iter().map(|at| inputs.task.deletes[*at].sequence_number).collect();
        sequences.sort_unstable();
        sequences.dedup();
        Ok(Self { inputs, set, columns, sequences })
    }

    /// The place of the first sequence number that is newer than an input's.
    fn newer(&self, input: u32) -> u32 {
        let data = self.inputs.task.inputs[input as usize].sequence_number;
        place(self.sequences.partition_point(|delete| *delete <= data))
    }

    fn run(&self, gathered: &Gather) -> Result<()> {
        let inputs = self.inputs;
        let records = self.set.deletes.iter().map(|at| inputs.task.deletes[*at].records).sum();
        let head = match self.sequences.len() {
            0..=1 => 0,
            2..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let layout = Layout { head, width: self.columns.width() };
        let room = Room::new(records, layout, inputs.memory);
        let (mut memory, mut blocks) = (vec![0; room.chunks], vec![Block::default(); room.blocks]);
        let disk = SpillBlocks::new(inputs.spill.clone());
        let mut keys = Partitions::new(&room, layout, &mut memory, &mut blocks, disk)?;
        self.read_keys(&keys)?;
        let mut slots = vec![0; keys.settle(room.slots)?];
        let keys = keys.built(&mut slots, inputs.workers)?;
        self.probe(&keys, gathered)?;
        keys.finish(inputs.workers, &|input| self.newer(input), &|hits| {
            for of_input in hits.chunk_by(|a, b| a.0 == b.0) {
                let rows: Vec<u32> = of_input.iter().map(|(_, row)| *row).collect();
                gathered.add(of_input[0].0 as usize, &rows)?;
            }
            Ok(())
        })
    }

    fn read_keys(&self, keys: &Partitions<'_>) -> Result<()> {
        let Inputs { task, store, runtime, .. } = self.inputs;
        side_by_side(READ_AT_ONCE, self.set.deletes.len(), |number| {
            let delete: &TaskDelete = &task.deletes[self.set.deletes[number]];
            let sequence = place(self.sequences.partition_point(|known| *known < delete.sequence_number));
            let read = || -> Result<()> {
                let source = runtime.block_on(source::open(store, &delete.key.path, delete.size))?;
                if source.rows() != delete.records {
                    let (rows, said) = (source.rows(), delete.records);
                    return Err(Error::corrupt(format!("it has {rows} rows, its manifest says {said}"))
                        .hint("the file is not the one that was committed: restore it; nothing was changed"));
                }
                let matched = self.columns.match_in(&source, self.inputs.table)?;
                (0..source.metadata.num_row_groups()).try_for_each(|group| {
                    let mut take = |_, batch: &[_]| keys.insert(&Keys::of(batch)?, sequence);
                    self.columns.read(&source, &matched, group, runtime, &mut take)
                })
            };
            guarded(read).while_doing(|| format!("reading delete file {}", delete.key))
        })
    }

    fn probe(&self, keys: &Built<'_>, gathered: &Gather) -> Result<()> {
        let numbers: Vec<u32> = self.set.inputs.iter().collect();
        for numbers in numbers.chunks(OPENED_AT_ONCE) {
            let sources = self.open(numbers)?;
            let groups: Vec<(usize, usize)> = sources
                .iter()
                .enumerate()
                .flat_map(|(at, source)| (0..source.metadata.num_row_groups()).map(move |group| (at, group)))
                .collect();
            side_by_side(self.inputs.workers, groups.len(), |number| {
                let (at, group) = groups[number];
                let source = &sources[at];
                let read = || self.probe_group(keys, gathered, numbers[at], source, group);
                guarded(read).while_doing(|| format!("reading the keys of {}", source.path))
            })?;
        }
        Ok(())
    }

    fn open(&self, numbers: &[u32]) -> Result<Vec<Arc<Source>>> {
        let Inputs { task, store, runtime, .. } = self.inputs;
        let opening = futures::stream::iter(numbers.iter().map(|number| &task.inputs[*number as usize]))
            .map(|input| async { source::open(store, &input.path, input.size).await.map(Arc::new) })
            .buffered(OPENED_AT_ONCE / 2)
            .try_collect();
        runtime.block_on(opening)
    }

    fn probe_group(
        &self,
        keys: &Built<'_>,
        gathered: &Gather,
        input: u32,
        source: &Source,
        group: usize,
    ) -> Result<()> {
        let (mut space, mut hits) = (Space::default(), Vec::new());
        let matched = self.columns.match_in(source, self.inputs.table)?;
        let newer = self.newer(input);
        let mut take = |first: u64, batch: &[_]| {
            let first = u32::try_from(first).map_err(|e| Error::corrupt("too many rows").caused_by(e))?;
            keys.probe(&Keys::of(batch)?, Probe { input, first, newer }, &mut space, &mut hits)
        };
        self.columns.read(source, &matched, group, self.inputs.runtime, &mut take)?;
        gathered.add(input as usize, &hits)
    }
}

/// A place in a list that is no longer than the one of delete files.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
