//! Equality deletes: rows equal to those of a delete file on some columns (spec, "Equality Delete Files").
//!
//! An anti-join within a memory limit. Keys of all delete files with the same columns go into one hash table, cut into
//! partitions by hash; when memory runs out, whole partitions move to disk. Then the inputs' key columns are looked up:
//! at once where the partition is in memory; otherwise rows that pass a bloom filter are kept beside the partition, and
//! compared when it comes back, one partition at a time.
//!
//! A null equals a null. Floating-point columns are not allowed as delete columns ("Identifier Field IDs" says which are);
//! where a writer wrote them all the same, every NaN is equal, and -0.0 is not 0.0, as the spec orders them.

mod bloom;
mod cohorts;
mod columns;
mod encode;
mod partitions;
mod spill;
mod table;

use arrow_array::ArrayRef;
use tokio::runtime::Handle;

use self::cohorts::{Cohort, cohorts};
use self::columns::KeyColumns;
use self::encode::Keys;
use self::partitions::{Built, Partitions, Probe};
use super::Inputs;
use super::positions::Positions;
use crate::error::{Context, Error, Result};
use crate::executor::source::{self, Source};
use crate::executor::threads::{guarded, side_by_side};
use crate::model::{AppliedDelete, TaskDelete};

/// Delete files that are read side by side.
const READ_AT_ONCE: usize = 4;

/// Finds the rows that the equality deletes of a task hit, and adds them to the positions.
pub(super) fn apply(inputs: &Inputs<'_>, positions: &Positions<'_>) -> Result<Vec<AppliedDelete>> {
    let mut applied = Vec::new();
    for cohort in cohorts(inputs.task)? {
        let columns = KeyColumns::new(&cohort.ids, inputs.table)?;
        let records = cohort.deletes.iter().map(|delete| delete.records).sum();
        let keys = Partitions::new(records, inputs.memory, inputs.ambient.clone());
        read_keys(inputs, &columns, &cohort.deletes, &keys)?;
        let keys = keys.built();
        probe(inputs, &columns, &keys, &cohort, positions)?;
        keys.finish(|input, position| {
            positions.add(input as usize, &[position]);
            Ok(())
        })?;
        let names = cohort.deletes.iter().map(|delete| delete.key.clone());
        applied.extend(names.map(|key| AppliedDelete { key, used: true, others: None, stays: false }));
    }
    Ok(applied)
}

fn read_keys(inputs: &Inputs<'_>, columns: &KeyColumns, deletes: &[&TaskDelete], keys: &Partitions) -> Result<()> {
    side_by_side(READ_AT_ONCE, deletes.len(), |number| {
        let delete = deletes[number];
        let read = || -> Result<()> {
            let source = inputs.runtime.block_on(source::open(inputs.store, &delete.key.path, delete.size))?;
            if source.rows() != delete.records {
                return Err(Error::corrupt(format!(
                    "it has {} rows, its manifest says {}",
                    source.rows(),
                    delete.records
                ))
                .hint("the file is not the one that was committed: restore it; nothing was changed"));
            }
            each_batch(&source, columns, inputs, |_, batch| keys.insert(&Keys::of(batch)?, delete.sequence_number))
        };
        guarded(read).while_doing(|| format!("reading delete file {}", delete.key))
    })
}

fn probe(
    inputs: &Inputs<'_>,
    columns: &KeyColumns,
    keys: &Built,
    cohort: &Cohort<'_>,
    positions: &Positions<'_>,
) -> Result<()> {
    let reached = |delete: &TaskDelete, input: usize| {
        delete.content.reaches(delete.sequence_number, inputs.task.inputs[input].sequence_number)
    };
    side_by_side(inputs.workers, inputs.sources.len(), |number| {
        if !cohort.inputs.contains(&number) || !cohort.deletes.iter().any(|delete| reached(delete, number)) {
            return Ok(());
        }
        let source = &inputs.sources[number];
        let sequence = inputs.task.inputs[number].sequence_number;
        let input = u32::try_from(number).map_err(|e| Error::internal("too many inputs").caused_by(e))?;
        let mut hits = Vec::new();
        let read = |first: u64, batch: &[ArrayRef]| {
            let first = u32::try_from(first).map_err(|e| Error::corrupt("too many rows").caused_by(e))?;
            let probe = Probe { input, first, sequence };
            hits.clear();
            keys.probe(&Keys::of(batch)?, probe, &mut hits)?;
            positions.add(number, &hits);
            Ok(())
        };
        each_batch(source, columns, inputs, read).while_doing(|| format!("reading the keys of {}", source.path))
    })
}

/// Hands on the key columns of a file, batch by batch, with the position of each batch's first row.
fn each_batch(
    source: &Source,
    columns: &KeyColumns,
    inputs: &Inputs<'_>,
    mut take: impl FnMut(u64, &[ArrayRef]) -> Result<()>,
) -> Result<()> {
    let matched = columns.match_in(source, inputs.table)?;
    let runtime: &Handle = inputs.runtime;
    for group in 0..source.metadata.num_row_groups() {
        let chunks = runtime.block_on(source.row_group(group))?;
        columns.read(source, &matched, group, chunks, &mut take)?;
    }
    Ok(())
}
