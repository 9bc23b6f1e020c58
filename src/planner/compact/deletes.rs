//! Deletes alone: equality deletes become positions, and many files of positions become few. Data files stay. From format
//! version 3 on, both become deletion vectors: one a data file, which holds what an older one of the file held.
//!
//! Per partition (of any spec: delete files belong to their data files' spec) all such deletes go into one task, so that
//! what it writes stands for all that it read. Equality deletes are always worth it: every reader compares every row with
//! them. Positions are when `min-input-files` of them are below 75 % of the size that delete files should have; what comes
//! out of a task can't be: only the last of its files is small (I8). In version 3, where files of positions are what a
//! table has left from before, each of them is worth it, and none may be left out: readers look at no other positions of a
//! data file that has a deletion vector.

use std::collections::BTreeSet;

use iceberg::spec::FormatVersion;

use super::eligible::Eligible;
use super::groups::{Group, Place, by_partition, input, split};
use crate::error::{Error, Result};
use crate::model::{
    CompactPolicy, DeleteContent, DeleteFile, FileFormat, InputFile, PickReason, Route, RouteReason, SkipReason,
    Skipped, TableState, TaskDelete, TaskReason,
};
use crate::planner::deletes::Burdens;

/// Bytes that a position takes in a delete file, roughly: they come in order, and paths are in a dictionary.
const BYTES_PER_POSITION: u64 = 3;
/// Rows of one task's data files: their bitmaps take an eighth of a byte a row at most (I9).
const MOST_ROWS: u64 = 1 << 28;

/// Groups of data files whose deletes are worth it, and the data files that are left alone.
pub(super) fn grouped(
    state: &TableState,
    policy: &CompactPolicy,
    burdens: &Burdens,
) -> Result<(Vec<Group>, Vec<Skipped>)> {
    refuse(policy)?;
    let vectors = state.metadata.format_version() >= FormatVersion::V3;
    let found = Eligible::find(state, policy, burdens)?;
    let held = held(state, burdens, &found);
    let (mut groups, mut skipped) = (Vec::new(), found.skipped);
    for partition in by_partition(state, &found.files) {
        let applying: BTreeSet<u32> = partition.iter().flat_map(|file| &burdens.of(*file).deletes).copied().collect();
        let kind = |wanted: &dyn Fn(u32, &DeleteFile) -> bool| -> BTreeSet<u32> {
            applying.iter().copied().filter(|number| wanted(*number, &state.deletes[*number as usize])).collect()
        };
        let free = |number: u32| !held[number as usize];
        let equality = kind(&|number, delete| free(number) && delete.content == DeleteContent::Equality);
        let positions =
            kind(&|number, delete| is_positions(delete) && (vectors || (free(number) && is_small(delete, policy))));
        let counts = (equality.len() as u64, positions.len() as u64);
        let chosen = Chosen { deletes: &equality | &positions, vectors };
        let (inputs, without): (Vec<InputFile>, Vec<Skipped>) = inputs(state, burdens, &partition, &chosen);
        let parts: Vec<Vec<InputFile>> = split(inputs, policy).into_iter().flat_map(few_rows).collect();
        let why = match counts {
            (0, files) if vectors && files > 0 => TaskReason::Convert { equality: 0, positions: files },
            // Every part writes one small file at least.
            (0, files) if !vectors && files >= policy.min_input_files && files > parts.len() as u64 => {
                TaskReason::ManyDeleteFiles { files }
            }
            (0, _) => {
                skipped.extend(partition.iter().map(|file| left(state, burdens, *file)));
                continue;
            }
            (equality, positions) => TaskReason::Convert { equality, positions },
        };
        skipped.extend(without);
        let Some(partition) = partition.first().map(|file| state.files[*file].partition) else { continue };
        for inputs in parts {
            let bytes = inputs.iter().map(|input| input.deleted * BYTES_PER_POSITION).sum::<u64>().max(1024);
            let files = if vectors {
                // At most: a data file that none of them hits gets none.
                inputs.len() as u64
            } else {
                bytes.div_ceil(policy.target_delete_file_size_bytes.max(1))
            };
            groups.push(Group {
                place: Place::Own(partition),
                keeps: None,
                inputs,
                why: why.clone(),
                route: if vectors { Route::Vectors } else { Route::Deletes },
                route_why: RouteReason::OnlyDeletes,
                output_files: files,
                output_bytes: bytes,
            });
        }
    }
    Ok((groups, skipped))
}

/// What a task reads: its delete files, and the key columns of its data files, which are taken to be a quarter of them.
pub(super) fn bytes_read(deletes: &[TaskDelete], data: u64) -> u64 {
    let equality = deletes.iter().any(|delete| delete.content == DeleteContent::Equality);
    deletes.iter().map(TaskDelete::bytes).sum::<u64>() + if equality { data / 4 } else { 0 }
}

fn refuse(policy: &CompactPolicy) -> Result<()> {
    if policy.max_files_to_rewrite.is_some() {
        return Err(Error::invalid("--max-files-to-rewrite limits data files, and --deletes rewrites none")
            .hint("name partitions with --where instead"));
    }
    Ok(())
}

/// Equality deletes that also apply to a data file which must be left alone. They would have to stay, and the next run
/// would find them again (I8). Positions are no such burden: but their files would stay all the same.
fn held(state: &TableState, burdens: &Burdens, found: &Eligible) -> Vec<bool> {
    let mut held = vec![false; state.deletes.len()];
    let mut eligible = vec![false; state.files.len()];
    found.files.iter().for_each(|file| eligible[*file] = true);
    for file in (0..state.files.len()).filter(|file| !eligible[*file]) {
        burdens.of(file).deletes.iter().for_each(|number| held[*number as usize] = true);
    }
    held
}

/// A file of positions, as version 2 has them.
fn is_positions(delete: &DeleteFile) -> bool {
    delete.content == DeleteContent::Position && delete.format != FileFormat::Puffin
}

fn is_small(delete: &DeleteFile, policy: &CompactPolicy) -> bool {
    delete.size < policy.target_delete_file_size_bytes / 4 * 3
}

/// The deletes of a partition that are written anew.
struct Chosen {
    deletes: BTreeSet<u32>,
    /// As deletion vectors.
    vectors: bool,
}

impl Chosen {
    /// Of a data file's deletes, those that are: none, or the chosen ones. A new deletion vector takes the place of the
    /// older one.
    fn of(&self, state: &TableState, deletes: &[u32]) -> Vec<u32> {
        if !deletes.iter().any(|number| self.deletes.contains(number)) {
            return Vec::new();
        }
        let older = |number: &u32| self.vectors && state.deletes[*number as usize].format == FileFormat::Puffin;
        deletes.iter().copied().filter(|number| self.deletes.contains(number) || older(number)).collect()
    }
}

fn left(state: &TableState, burdens: &Burdens, file: usize) -> Skipped {
    let delete_files = burdens.of(file).deletes.len() as u64;
    let why = if delete_files == 0 { SkipReason::NoDeletes } else { SkipReason::DeletesStay { delete_files } };
    Skipped { path: state.files[file].path.clone(), size: state.files[file].size, why }
}

/// The data files of a partition that chosen deletes apply to, and the others.
fn inputs(
    state: &TableState,
    burdens: &Burdens,
    partition: &[usize],
    chosen: &Chosen,
) -> (Vec<InputFile>, Vec<Skipped>) {
    let (mut inputs, mut without) = (Vec::new(), Vec::new());
    for index in partition {
        let deletes = chosen.of(state, &burdens.of(*index).deletes);
        if deletes.is_empty() {
            without.push(left(state, burdens, *index));
            continue;
        }
        let picked = PickReason::HasDeletes { delete_files: deletes.len() as u64 };
        inputs.push(InputFile { deletes, ..input(state, burdens, *index, picked) });
    }
    (inputs, without)
}

/// Cuts a group whose bitmaps might be too large.
fn few_rows(inputs: Vec<InputFile>) -> Vec<Vec<InputFile>> {
    let mut groups: Vec<Vec<InputFile>> = Vec::new();
    let mut rows = 0;
    for input in inputs {
        rows += input.records;
        match groups.last_mut() {
            Some(group) if rows <= MOST_ROWS => group.push(input),
            _ => {
                rows = input.records;
                groups.push(vec![input]);
            }
        }
    }
    groups
}
