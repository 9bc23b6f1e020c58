//! Groups of files: one partition's candidates, split where they are too many, kept where they are worth it.

use std::collections::BTreeMap;

use super::arrange::{Wish, out_of_order, sort_out};
use super::eligible::pick;
use super::left::Left;
use super::route::{arranged, moved, route};
use super::size::{gains, output_files};
use crate::model::{
    CompactPolicy, InputFile, JobOrder, KeepSpec, PartitionId, PickReason, Respec, Route, RouteReason, SkipReason,
    TableState, TaskReason,
};
use crate::planner::deletes::Burdens;

/// Where the outputs of a group go.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The partition of its inputs.
    Own(PartitionId),
    /// Several partitions of a spec: one file holds deletion vectors of all of them.
    Several { spec_id: i32 },
    /// Partitions of another spec.
    Moved { spec_id: i32, path: String, respec: Respec },
}

impl Place {
    /// The partition for people.
    pub(super) fn path<'a>(&'a self, state: &'a TableState) -> &'a str {
        match self {
            Self::Own(partition) => &state.partition(*partition).path,
            Self::Several { .. } => "",
            Self::Moved { path, .. } => path,
        }
    }
}

/// A group that is worth a rewrite.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) place: Place,
    /// Why files of an older spec stay in it.
    pub(super) keeps: Option<KeepSpec>,
    pub(super) inputs: Vec<InputFile>,
    pub(super) why: TaskReason,
    pub(super) route: Route,
    pub(super) route_why: RouteReason,
    pub(super) output_files: u64,
    pub(super) output_bytes: u64,
    /// Whether deletion vectors in small files move to others, also if they say already what is to be said.
    pub(super) merges_vectors: bool,
}

impl Group {
    fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.size).sum()
    }
}

/// Files by partition; within one in write order, so that neighbours in time stay neighbours.
pub(super) fn by_partition(state: &TableState, files: &[usize]) -> Vec<Vec<usize>> {
    let mut partitions: BTreeMap<PartitionId, Vec<usize>> = BTreeMap::new();
    for index in files {
        partitions.entry(state.files[*index].partition).or_default().push(*index);
    }
    for files in partitions.values_mut() {
        // Files of one commit by path, as the state has them.
        files.sort_by_cached_key(|file| (state.files[*file].sequence_number, *file));
    }
    partitions.into_values().collect()
}

/// The groups of one partition, and why its other files are left alone.
pub(super) fn of_partition(
    state: &TableState,
    policy: &CompactPolicy,
    wish: &Wish,
    burdens: &Burdens,
    files: Vec<usize>,
) -> (Vec<Group>, Vec<Left>) {
    let Some(place) = files.first().map(|file| Place::Own(state.files[*file].partition)) else {
        return Default::default();
    };
    let (candidates, mut left) = candidates(state, policy, wish, burdens, &files);
    let parts = join_remainders(state, policy, split(candidates, policy));
    let several = parts.len() > 1;
    let (mut groups, mut alone, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for inputs in parts {
        let kept = if several { inputs.clone() } else { Vec::new() };
        match worth(state, policy, wish, place.clone(), inputs) {
            Ok(group) => groups.push(group),
            Err(files) => {
                alone.extend(files);
                rest.extend(kept);
            }
        }
    }
    // A part that is not worth it by itself goes with one that is: beside its outputs, it might be the next time (I8).
    if !rest.is_empty()
        && let Some(mut last) = groups.pop()
    {
        let mut together = last.inputs.clone();
        together.extend(rest);
        if let Ok(group) = worth(state, policy, wish, place, together) {
            last = group;
            alone.clear();
        }
        groups.push(last);
    }
    left.extend(alone);
    (groups, left)
}

/// The files of a partition that want a rewrite, in the order in which they are read, and why the others do not.
fn candidates(
    state: &TableState,
    policy: &CompactPolicy,
    wish: &Wish,
    burdens: &Burdens,
    files: &[usize],
) -> (Vec<InputFile>, Vec<Left>) {
    let picks = files.iter().map(|index| pick(state, policy, &state.files[*index], burdens.of(*index))).collect();
    let input = |(index, picked): (usize, PickReason)| input(state, burdens, index, picked);
    let alone = |picked: &[(usize, PickReason)]| {
        let inputs = picked.iter().cloned().map(input).collect();
        let place = files.first().map(|file| Place::Own(state.files[*file].partition));
        place.is_some_and(|place| worth(state, policy, wish, place, inputs).is_ok())
    };
    let found = sort_out(state, policy, wish, files, picks, alone);
    let candidates = found.picked.into_iter().map(input).collect();
    let settled = found.settled.into_iter().map(|index| {
        let burden = burdens.of(index);
        let (delete_files, deleted) = (burden.deletes.len() as u64, burden.deleted);
        let few = SkipReason::FewDeletes { delete_files, deleted };
        (index, if delete_files == 0 { SkipReason::GoodAsItIs } else { few })
    });
    let left = settled.chain(found.left);
    (candidates, left.map(|(file, why)| Left { file, why }).collect())
}

/// A file as an input of a task.
pub(in crate::planner) fn input(state: &TableState, burdens: &Burdens, index: usize, picked: PickReason) -> InputFile {
    let (file, burden) = (&state.files[index], burdens.of(index));
    InputFile {
        path: file.path.to_string(),
        size: file.size,
        records: file.records,
        sequence_number: file.sequence_number,
        first_row_id: file.first_row_id,
        // Numbers of the table's list until the group becomes a task.
        deletes: burden.deletes.clone(),
        deleted: burden.deleted,
        picked,
    }
}

/// Splits candidates that are more than one group may hold into groups of about equal bytes, in order.
pub(in crate::planner) fn split(inputs: Vec<InputFile>, policy: &CompactPolicy) -> Vec<Vec<InputFile>> {
    let total: u64 = inputs.iter().map(|input| input.size).sum();
    let parts = total.div_ceil(policy.max_file_group_size_bytes).max(1);
    let share = total.div_ceil(parts).max(1);
    let mut groups: Vec<Vec<InputFile>> = vec![Vec::new()];
    let mut bytes = 0;
    for input in inputs {
        let full = bytes + input.size / 2 >= share && groups.len() < usize::try_from(parts).unwrap_or(usize::MAX);
        if full && groups.last().is_some_and(|group| !group.is_empty()) {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += input.size;
        if let Some(group) = groups.last_mut() {
            group.push(input);
        }
    }
    groups
}

/// A part that would not fill a file goes to its neighbour: otherwise its small output and those of other parts would be
/// a reason to rewrite them again (I8).
fn join_remainders(state: &TableState, policy: &CompactPolicy, parts: Vec<Vec<InputFile>>) -> Vec<Vec<InputFile>> {
    let mut joined: Vec<Vec<InputFile>> = Vec::new();
    let mut held: Vec<InputFile> = Vec::new();
    for part in parts {
        held.extend(part);
        let (_, _, bytes) = route(state, policy, &held);
        if bytes >= policy.target_file_size_bytes {
            joined.push(std::mem::take(&mut held));
        }
    }
    match joined.pop() {
        Some(mut last) => {
            last.extend(held);
            let bytes: u64 = last.iter().map(|input| input.size).sum();
            let largest = last.iter().map(|input| input.size).max().unwrap_or(0);
            if bytes > policy.max_file_group_size_bytes.saturating_add(largest) {
                // Too much together: two groups of which each has more than half of what one may hold.
                joined.extend(split(last, policy));
            } else {
                joined.push(last);
            }
        }
        None if !held.is_empty() => joined.push(held),
        None => {}
    }
    joined
}

/// Whether a group is worth a rewrite, and what it would become.
pub(super) fn worth(
    state: &TableState,
    policy: &CompactPolicy,
    wish: &Wish,
    place: Place,
    inputs: Vec<InputFile>,
) -> Result<Group, Vec<Left>> {
    let (route, route_why, output_bytes) =
        if wish.sorts() { arranged(state, wish, &inputs) } else { route(state, policy, &inputs) };
    let files = inputs.len() as u64;
    let bytes: u64 = inputs.iter().map(|input| input.size).sum();
    let alone = |why: SkipReason| Err(Left::group(state, &inputs, &why));
    let outputs = output_files(output_bytes, policy);
    let small = inputs.iter().any(|input| input.size < policy.band_min());
    let large = inputs.iter().any(|input| input.picked == PickReason::TooLarge);
    let codec = inputs.iter().any(|input| matches!(input.picked, PickReason::WrongCodec { .. }));
    let enough = files >= policy.min_input_files || bytes >= policy.target_file_size_bytes;
    let burdened = inputs
        .iter()
        .filter(|i| matches!(i.picked, PickReason::TooManyDeletes { .. } | PickReason::HighDeleteRatio { .. }))
        .count() as u64;
    let (unsorted, overlapping) = out_of_order(&inputs);
    let why = if policy.rewrite_all {
        TaskReason::RewriteAll
    } else if unsorted + overlapping > 0 {
        TaskReason::Arrange { files: unsorted, overlapping }
    } else if burdened > 0 {
        TaskReason::Deletes { files: burdened }
    } else if large {
        TaskReason::SplitLarge
    } else if codec && enough {
        TaskReason::Recompress
    } else if !small && files > 1 {
        // Every file is in the band already: merging them would only move the cuts.
        return alone(SkipReason::NoGain);
    } else if files == 1 {
        return alone(SkipReason::AloneInPartition);
    } else if !enough {
        return alone(SkipReason::TooFewFiles { files, min: policy.min_input_files });
    } else if !gains(files, output_bytes, policy) {
        return alone(SkipReason::NoGain);
    } else if files >= policy.min_input_files {
        TaskReason::EnoughFiles { files }
    } else {
        TaskReason::EnoughContent { bytes }
    };
    Ok(Group {
        place,
        keeps: None,
        inputs,
        why,
        route,
        route_why,
        output_files: outputs,
        output_bytes,
        merges_vectors: false,
    })
}

/// Puts groups into the order in which they are run; ties end with partition and first file (I11).
pub(super) fn order(state: &TableState, policy: &CompactPolicy, groups: &mut [Group]) {
    let key = |group: &Group| {
        let by: i128 = match policy.rewrite_job_order {
            JobOrder::None => 0,
            JobOrder::BytesAsc => i128::from(group.bytes()),
            JobOrder::BytesDesc => -i128::from(group.bytes()),
            JobOrder::FilesAsc => group.inputs.len() as i128,
            JobOrder::FilesDesc => -(group.inputs.len() as i128),
        };
        let first = group.inputs.first().map(|input| input.path.clone()).unwrap_or_default();
        (by, group.place.path(state).to_owned(), first)
    };
    groups.sort_by_cached_key(key);
}

/// Keeps as many groups as `max-files-to-rewrite` allows, after they were put in order ("largest first" means it).
pub(super) fn limit(state: &TableState, policy: &CompactPolicy, wish: &Wish, groups: &mut Vec<Group>) -> Vec<Left> {
    let Some(most) = policy.max_files_to_rewrite else { return Vec::new() };
    let mut left = most;
    let mut over = Vec::new();
    let all = std::mem::take(groups);
    for mut group in all {
        let files = group.inputs.len() as u64;
        if files <= left {
            left -= files;
            groups.push(group);
            continue;
        }
        // A group that does not fit whole is cut, if what fits is still worth it.
        let cut = group.inputs.split_off(usize::try_from(left).unwrap_or(usize::MAX).min(group.inputs.len()));
        over.extend(Left::group(state, &cut, &SkipReason::OverLimit));
        left = 0;
        if group.inputs.is_empty() {
            continue;
        }
        if let Place::Moved { .. } = group.place {
            // Whatever moves is done: the rest follows in another run.
            group.output_bytes = moved(state, wish, &group.inputs).2;
            groups.push(group);
            continue;
        }
        match worth(state, policy, wish, group.place, group.inputs) {
            Ok(smaller) => groups.push(smaller),
            Err(left) => over.extend(left.into_iter().map(|left| Left { why: SkipReason::OverLimit, ..left })),
        }
    }
    over
}

/// The sort order that outputs may claim: only that of a single input, whose rows stay in order when it is cut.
pub(in crate::planner) fn kept_sort_order(state: &TableState, inputs: &[InputFile]) -> Option<i32> {
    let [only] = inputs else { return None };
    state.files[state.file_index(&only.path)?].sort_order_id
}
