//! Planning a compaction: which files, in which groups, how, and why.
//!
//! Follows the options of Iceberg's `rewrite_data_files` and mends its output rule: a group of S bytes becomes
//! `ceil(S / target)` files of equal size, so every output lies between half the target and the target whenever the group
//! holds half a target at all. Only files outside of that band (or in another codec) ever start a rewrite, which makes the
//! result a fixed point (I8): an output is never a reason to rewrite.

pub(in crate::planner) mod arrange;
mod clustering;
mod deletes;
pub(in crate::planner) mod eligible;
pub(in crate::planner) mod groups;
mod left;
mod overlap;
mod respec;
pub(in crate::planner) mod route;
pub(in crate::planner) mod size;
mod vectors;

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::TableMetadata;

use crate::error::{Error, Result};
use crate::model::{
    Arrangement, Base, CompactPlan, CompactPolicy, FileFormat, Footer, InputFile, OutputSpec, PlanTotals, RewriteTask,
    Route, TableState, Task, TaskDelete,
};
use crate::planner::deletes::{Burdens, fates};
use crate::planner::filter_fields;

use arrange::Wish;
pub use clustering::{Clustering, clustering_fields};
use eligible::Eligible;
use groups::{Group, Place};
use left::Left;
use respec::Sorted;
pub use size::output_files;

/// The most footers that are read of files whose size is good, to learn their codec.
const MOST_CODEC_PROBES: usize = 10_000;
/// Each look ahead finds more to do, or nothing: a few are enough, and no table keeps the planner for ever.
const MOST_LOOKS_AHEAD: u32 = 16;

/// The files whose footers planning wants to see, and their sizes: all candidates by size that share a group with another
/// one, and files of good size whose codec is not known to be ours.
///
/// # Errors
/// As [`plan`].
pub fn footers_wanted(state: &TableState, policy: &CompactPolicy) -> Result<Vec<(String, u64)>> {
    refuse_unsupported(state)?;
    if policy.only_deletes {
        return Ok(Vec::new());
    }
    let wish = Wish::of(state, policy)?;
    let burdens = Burdens::find(state);
    let found = Eligible::find(state, policy, &burdens)?;
    let ours = eligible::our_snapshots(state);
    let mut wanted = Vec::new();
    let mut probes = 0;
    let current = respec::output_spec(state, policy)?.spec_id();
    for partition in groups::by_partition(state, &found.files) {
        let old = partition.first().is_some_and(|f| state.partition(state.files[*f].partition).spec_id != current);
        // A file of another spec may go to where others are.
        let lonely = partition.len() == 1 && !old;
        for index in partition {
            let file = &state.files[index];
            let deleted = burdens.of(index).reason(file, policy).is_some();
            if wish.sorts() && !wish.claims(file) {
                wanted.push((file.path.to_string(), file.size));
                continue;
            }
            let outside = (old && policy.output_spec_id.is_some())
                || deleted
                || eligible::size_reason(file, policy).is_some()
                || policy.rewrite_all;
            let made_by_us = file.snapshot_id.is_some_and(|id| ours.contains(&id));
            if outside && (policy.rewrite_all || deleted || !lonely || file.size > policy.max_file_size_bytes) {
                wanted.push((file.path.to_string(), file.size));
            } else if !outside && !made_by_us && probes < MOST_CODEC_PROBES {
                probes += 1;
                wanted.push((file.path.to_string(), file.size));
            }
        }
    }
    wanted.sort_unstable();
    Ok(wanted)
}

/// The fields whose bounds planning wants to see: those of the filter, the column that rows are sorted by first (all of a
/// curve), and those that the partitions of a table with several specs are made of.
///
/// # Errors
/// As [`plan`].
pub fn bounds_wanted(policy: &CompactPolicy, metadata: &TableMetadata) -> Result<Vec<i32>> {
    let mut fields = match &policy.filter {
        Some(filter) => filter_fields(filter, metadata)?,
        None => Vec::new(),
    };
    if !policy.arrangement.is_bin_pack() {
        // What is not there is told once the table is loaded.
        fields.extend(clustering_fields(metadata, &policy.arrangement));
    }
    if metadata.partition_specs_iter().len() > 1 && !policy.only_deletes {
        let wanted = policy.output_spec_id.and_then(|id| metadata.partition_spec_by_id(id).map(AsRef::as_ref));
        let spec = wanted.unwrap_or(metadata.default_partition_spec().as_ref());
        fields.extend(spec.fields().iter().map(|field| field.source_id));
    }
    Ok(fields)
}

/// Plans the compaction of a table. `now_ms` is recorded in the plan and decides nothing.
///
/// # Errors
/// `Unsupported` for tables that a rewrite would not keep whole (encryption); `InvalidInput` for a
/// filter on a column that is not there.
pub fn plan(state: &TableState, policy: &CompactPolicy, now_ms: i64) -> Result<CompactPlan> {
    policy.validate()?;
    refuse_unsupported(state)?;
    let wish = Wish::of(state, policy)?;
    let mut burdens = Burdens::find(state);
    let mut looks = 0;
    let (mut groups, mut left) = loop {
        if policy.only_deletes {
            break deletes::grouped(state, policy, &burdens)?;
        }
        let (groups, left) = grouped(state, policy, &wish, &burdens)?;
        let inputs = groups.iter().flat_map(|group| &group.inputs);
        let rewritten: HashSet<&str> = inputs.map(|input| input.path.as_str()).collect();
        // Under a limit, what is left over is for the next run anyway.
        looks += 1;
        let more = looks < MOST_LOOKS_AHEAD && policy.max_files_to_rewrite.is_none();
        if !(more && burdens.look_ahead(state, &rewritten)) {
            break (groups, left);
        }
    };
    groups::order(state, policy, &mut groups);
    left.extend(groups::limit(state, policy, &wish, &mut groups));
    let tasks: Vec<Task> = groups
        .into_iter()
        .enumerate()
        .map(|(id, group)| Task::Rewrite(task(state, policy, &wish, u32::try_from(id).unwrap_or(u32::MAX), group)))
        .collect();
    let deletes = fates(state, policy, &burdens, &tasks);
    let all = || tasks.iter().map(|Task::Rewrite(task)| task);
    let rewrites = || all().filter(|task| !task.route.keeps_files());
    let totals = PlanTotals {
        files: state.files.len() as u64,
        bytes: state.data_bytes(),
        input_files: rewrites().map(|task| task.inputs.len() as u64).sum(),
        input_bytes: rewrites().map(|task| task.estimate.bytes_read).sum(),
        output_files: rewrites().map(|task| task.output.files).sum(),
        output_bytes: rewrites().map(|task| task.output.bytes).sum(),
        delete_files: state.deletes.len() as u64,
        retired_delete_files: deletes.iter().filter(|delete| delete.fate.goes()).count() as u64,
        new_delete_files: all().filter(|task| task.route.keeps_files()).map(|task| task.output.files).sum(),
    };
    Ok(CompactPlan {
        table: state.name.clone(),
        table_uuid: state.metadata.uuid().to_string(),
        base: state.snapshot_id.map(|snapshot_id| Base {
            snapshot_id,
            sequence_number: state.sequence_number,
            schema_id: state.metadata.current_schema_id(),
            metadata_location: state.metadata_location.clone(),
        }),
        created_ms: now_ms,
        policy: policy.clone(),
        tasks,
        skipped: Left::told(state, left),
        deletes,
        totals,
    })
}

/// Groups that are worth a rewrite, and the files that are left alone.
fn grouped(
    state: &TableState,
    policy: &CompactPolicy,
    wish: &Wish,
    burdens: &Burdens,
) -> Result<(Vec<Group>, Vec<Left>)> {
    let found = Eligible::find(state, policy, burdens)?;
    let Sorted { moves: mut groups, rest, keeps } = respec::sort_out(state, policy, wish, burdens, &found.files)?;
    let mut left = found.left;
    let left_alone = keeps.iter().filter(|(file, _)| rest.binary_search(file).is_err());
    left.extend(left_alone.map(|(file, keep)| respec::left(state, *file, keep)));
    for partition in groups::by_partition(state, &rest) {
        let keep = partition.iter().find_map(|file| keeps.get(file)).cloned();
        let (made, others) = groups::of_partition(state, policy, wish, burdens, partition);
        groups.extend(made.into_iter().map(|group| Group { keeps: keep.clone(), ..group }));
        left.extend(others);
    }
    respec::explain(state, policy, &keeps, &mut left)?;
    Ok((groups, left))
}

fn task(state: &TableState, policy: &CompactPolicy, wish: &Wish, id: u32, mut group: Group) -> RewriteTask {
    let mut read: u64 = group.inputs.iter().map(|input| input.size).sum();
    let footers: Vec<Option<&Footer>> = group.inputs.iter().map(|input| state.footers.get(&input.path)).collect();
    let mut deletes = own_deletes(state, &mut group.inputs);
    if group.merges_vectors {
        let small =
            |delete: &&mut TaskDelete| delete.format == FileFormat::Puffin && deletes::is_small(delete.size, policy);
        deletes.iter_mut().filter(small).for_each(|delete| delete.moves = true);
    }
    if group.route.keeps_files() {
        read = deletes::bytes_read(&deletes, read);
    }
    let path = group.place.path(state).to_owned();
    let (spec_id, folder, respec) = match group.place {
        Place::Own(partition) => (state.partition(partition).spec_id, path.clone(), None),
        Place::Several { spec_id } => (spec_id, String::new(), None),
        Place::Moved { spec_id, respec, .. } => (spec_id, String::new(), Some(respec)),
    };
    RewriteTask {
        id,
        spec_id,
        partition: path,
        respec,
        keeps_spec: group.keeps,
        why: group.why,
        route: group.route,
        route_why: group.route_why,
        // Rows that only find their partitions stay as they come within them.
        arrangement: if group.route == Route::Sort { wish.arrangement.clone() } else { Arrangement::BinPack },
        sort_order_id: match group.route {
            Route::Sort => wish.arrangement.order_id(),
            Route::Deletes | Route::Vectors => None,
            _ => groups::kept_sort_order(state, &group.inputs),
        },
        estimate: size::estimate(policy, group.route, read, group.output_bytes, &footers),
        output: OutputSpec {
            directory: directory(state, &folder),
            files: group.output_files,
            bytes: group.output_bytes,
            cut_bytes: group.output_bytes / group.output_files.max(1),
            storage_class: None,
        },
        inputs: group.inputs,
        deletes,
    }
}

/// The deletes of a group; its inputs' indexes are brought from the table's list to this one.
pub(in crate::planner) fn own_deletes(state: &TableState, inputs: &mut [InputFile]) -> Vec<TaskDelete> {
    let mut numbers: BTreeMap<u32, u32> = inputs.iter().flat_map(|input| &input.deletes).map(|n| (*n, 0)).collect();
    for (own, number) in numbers.values_mut().zip(0..) {
        *own = number;
    }
    for number in inputs.iter_mut().flat_map(|input| &mut input.deletes) {
        *number = numbers.get(number).copied().unwrap_or(u32::MAX);
    }
    numbers.keys().map(|number| TaskDelete::from(&state.deletes[*number as usize])).collect()
}

/// Where data files of a partition go. Outputs of tables with `write.object-storage.enabled` are laid out plainly as
/// well: with files of hundreds of megabytes there are too few keys to make a prefix hot.
pub(in crate::planner) fn directory(state: &TableState, partition: &str) -> String {
    let properties = state.metadata.properties();
    let data =
        ["write.data.path", "write.folder-storage.path"].iter().find_map(|key| properties.get(*key)).map_or_else(
            || format!("{}/data", state.metadata.location().trim_end_matches('/')),
            |path| path.trim_end_matches('/').to_owned(),
        );
    if partition.is_empty() { data } else { format!("{data}/{partition}") }
}

/// Refuses whole tables that can't be rewritten without loss (I10).
pub(in crate::planner) fn refuse_unsupported(state: &TableState) -> Result<()> {
    let encrypted = state.metadata.properties().contains_key("encryption.key-id")
        || state.metadata.encryption_keys_iter().next().is_some();
    if encrypted {
        return Err(Error::unsupported(format!("table {} is encrypted", state.name))
            .hint("encrypted tables are not supported: nothing was changed"));
    }
    Ok(())
}
