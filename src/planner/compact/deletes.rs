//! Deletes alone: equality deletes become positions, and many files of positions become few. Data files stay. From format
//! version 3 on, both become deletion vectors: one a data file, which holds what an older one of the file held.
//!
//! Per partition (of any spec: delete files belong to their data files' spec) all such deletes go into one task, so that
//! what it writes stands for all that it read. Equality deletes are always worth it: every reader compares every row with
//! them. Positions are when `min-input-files` of them are below 75 % of the size that delete files should have; what comes
//! out of a task can't be: only the last of its files is small (I8). In version 3, where files of positions are what a
//! table has left from before, each of them is worth it, and none may be left out: readers look at no other positions of a
//! data file that has a deletion vector. Vectors in many small files move to few ([`super::vectors`]).

use std::collections::BTreeSet;

use iceberg::spec::FormatVersion;

use super::eligible::Eligible;
use super::groups::{Group, Place, by_partition, input, split};
use super::left::Left;
use super::vectors::{Merges, Partition, SmallVectors, merges};
use crate::error::{Error, Result};
use crate::model::{
    CompactPolicy, DeleteContent, DeleteFile, FileFormat, InputFile, PickReason, Route, RouteReason, SkipReason,
    TableState, TaskDelete, TaskReason,
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
) -> Result<(Vec<Group>, Vec<Left>)> {
    refuse(policy)?;
    let vectors = state.metadata.format_version() >= FormatVersion::V3;
    let found = Eligible::find(state, policy, burdens)?;
    let held = held(state, burdens, &found);
    let partitions = by_partition(state, &found.files);
    let mut chosen: Vec<Chosen> =
        partitions.iter().map(|files| Chosen::of_partition(state, policy, burdens, files, &held, vectors)).collect();
    let merges = if vectors { merges_beside(state, policy, burdens, &partitions, &chosen) } else { Merges::default() };
    for index in &merges.along {
        chosen[*index].take_along(&SmallVectors::of(state, policy, burdens, &partitions[*index]));
    }
    let (mut groups, mut alone) = (Vec::new(), found.left);
    let mut left_alone = |files: &[usize]| alone.extend(files.iter().map(|file| left(burdens, *file)));
    let merged: BTreeSet<usize> = merges.together.iter().flat_map(|(members, _)| members).copied().collect();
    for (index, (files, chosen)) in
        partitions.iter().zip(&chosen).enumerate().filter(|(index, _)| !merged.contains(index))
    {
        let (inputs, others) = inputs(state, burdens, files, chosen);
        let parts = parts(inputs, policy);
        let Some(why) = chosen.why(policy, parts.len() as u64) else {
            left_alone(files);
            continue;
        };
        left_alone(&others);
        let Some(partition) = files.first().map(|file| state.files[*file].partition) else { continue };
        let place = Place::Own(partition);
        let merges = merges.along.contains(&index);
        groups.extend(
            parts.into_iter().map(|inputs| group(policy, place.clone(), inputs, why.clone(), (vectors, merges))),
        );
    }
    for (members, small) in &merges.together {
        let mut all = Vec::new();
        let mut others = Vec::new();
        for member in members {
            let files = &partitions[*member];
            let mut chosen = Chosen { deletes: BTreeSet::new(), counts: (0, 0), vectors };
            chosen.take_along(&SmallVectors::of(state, policy, burdens, files));
            let (inputs, rest) = inputs(state, burdens, files, &chosen);
            all.extend(inputs);
            others.extend(rest);
        }
        let parts = parts(all, policy);
        // Every part writes one small file at least.
        if *small <= parts.len() as u64 {
            members.iter().for_each(|member| left_alone(&partitions[*member]));
            continue;
        }
        left_alone(&others);
        let first = |member: usize| partitions[member].first().map(|file| state.files[*file].partition);
        let place = match members.as_slice() {
            [only] => first(*only).map(Place::Own),
            several => several
                .first()
                .and_then(|member| first(*member))
                .map(|partition| Place::Several { spec_id: state.partition(partition).spec_id }),
        };
        let Some(place) = place else { continue };
        let why = TaskReason::ManyVectorFiles { files: *small };
        groups
            .extend(parts.into_iter().map(|inputs| group(policy, place.clone(), inputs, why.clone(), (vectors, true))));
    }
    Ok((groups, alone))
}

/// What is to be merged in a table whose deletes are vectors, beside what else is chosen.
fn merges_beside(
    state: &TableState,
    policy: &CompactPolicy,
    burdens: &Burdens,
    partitions: &[Vec<usize>],
    chosen: &[Chosen],
) -> Merges {
    let partition = |(files, chosen): (&Vec<usize>, &Chosen)| {
        let small = SmallVectors::of(state, policy, burdens, files);
        let mut all = chosen.clone();
        all.take_along(&small);
        let written = match chosen.deletes.is_empty() {
            true => 0,
            false => parts(inputs(state, burdens, files, &all).0, policy).len() as u64,
        };
        let spec_id = files.first().map_or(0, |file| state.partition(state.files[*file].partition).spec_id);
        Partition { spec_id, small, written }
    };
    let partitions: Vec<Partition> = partitions.iter().zip(chosen).map(partition).collect();
    merges(state, policy, &partitions)
}

/// A group whose deletes are written anew, as vectors or not, with those that are merged or without.
fn group(
    policy: &CompactPolicy,
    place: Place,
    inputs: Vec<InputFile>,
    why: TaskReason,
    (vectors, merges_vectors): (bool, bool),
) -> Group {
    let bytes = inputs.iter().map(|input| input.deleted * BYTES_PER_POSITION).sum::<u64>().max(1024);
    let files = if vectors {
        // At most: a data file that none of them hits gets none.
        inputs.len() as u64
    } else {
        bytes.div_ceil(policy.target_delete_file_size_bytes.max(1))
    };
    Group {
        place,
        keeps: None,
        inputs,
        why,
        route: if vectors { Route::Vectors } else { Route::Deletes },
        route_why: RouteReason::OnlyDeletes,
        output_files: files,
        output_bytes: bytes,
        merges_vectors,
    }
}

/// Cuts what one task can't hold.
fn parts(inputs: Vec<InputFile>, policy: &CompactPolicy) -> Vec<Vec<InputFile>> {
    split(inputs, policy).into_iter().flat_map(few_rows).collect()
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

/// Whether a delete file is smaller than it should be.
pub(super) fn is_small(size: u64, policy: &CompactPolicy) -> bool {
    size < policy.target_delete_file_size_bytes / 4 * 3
}

/// The deletes of a partition that are written anew.
#[derive(Debug, Clone)]
struct Chosen {
    deletes: BTreeSet<u32>,
    /// Of those, equality deletes, and files of positions.
    counts: (u64, u64),
    /// As deletion vectors.
    vectors: bool,
}

impl Chosen {
    fn of_partition(
        state: &TableState,
        policy: &CompactPolicy,
        burdens: &Burdens,
        files: &[usize],
        held: &[bool],
        vectors: bool,
    ) -> Self {
        let applying: BTreeSet<u32> = files.iter().flat_map(|file| &burdens.of(*file).deletes).copied().collect();
        let kind = |wanted: &dyn Fn(u32, &DeleteFile) -> bool| -> BTreeSet<u32> {
            applying.iter().copied().filter(|number| wanted(*number, &state.deletes[*number as usize])).collect()
        };
        let free = |number: u32| !held[number as usize];
        let equality = kind(&|number, delete| free(number) && delete.content == DeleteContent::Equality);
        let positions = kind(&|number, delete| {
            is_positions(delete) && (vectors || (free(number) && is_small(delete.size, policy)))
        });
        let counts = (equality.len() as u64, positions.len() as u64);
        Self { deletes: &equality | &positions, counts, vectors }
    }

    /// Why it is worth it, if it is.
    fn why(&self, policy: &CompactPolicy, parts: u64) -> Option<TaskReason> {
        match self.counts {
            (0, 0) => None,
            (0, files) if self.vectors => Some(TaskReason::Convert { equality: 0, positions: files }),
            // Every part writes one small file at least.
            (0, files) if files >= policy.min_input_files && files > parts => {
                Some(TaskReason::ManyDeleteFiles { files })
            }
            (0, _) => None,
            (equality, positions) => Some(TaskReason::Convert { equality, positions }),
        }
    }

    /// Small files of vectors as well.
    fn take_along(&mut self, small: &SmallVectors) {
        self.deletes.extend(&small.numbers);
    }

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

fn left(burdens: &Burdens, file: usize) -> Left {
    let delete_files = burdens.of(file).deletes.len() as u64;
    let why = if delete_files == 0 { SkipReason::NoDeletes } else { SkipReason::DeletesStay { delete_files } };
    Left { file, why }
}

/// The data files of a partition that chosen deletes apply to, and the others.
fn inputs(state: &TableState, burdens: &Burdens, partition: &[usize], chosen: &Chosen) -> (Vec<InputFile>, Vec<usize>) {
    let (mut inputs, mut without) = (Vec::new(), Vec::new());
    for index in partition {
        let deletes = chosen.of(state, &burdens.of(*index).deletes);
        if deletes.is_empty() {
            without.push(*index);
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
