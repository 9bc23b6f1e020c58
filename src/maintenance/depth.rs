//! How deep files lie over one another before a run that puts rows in order, and after it.

use std::collections::HashMap;

use crate::lake::{LoadedTable, partition_path};
use crate::model::{CompactPolicy, Outcome, OverlapDepth, PartitionValues, RewriteTask, TableState};
use crate::planner::compact::{Clustering, clustering_fields};

/// Whether a run puts rows in order.
fn sorts(policy: &CompactPolicy) -> bool {
    !policy.arrangement.is_bin_pack() && !policy.only_deletes
}

/// The fields whose bounds are wanted.
pub(super) fn fields(loaded: &LoadedTable, policy: &CompactPolicy) -> Vec<i32> {
    if sorts(policy) { clustering_fields(&loaded.metadata, &policy.arrangement) } else { Vec::new() }
}

/// Where files lie; `None` where rows stay as they come.
pub(super) fn clustering(state: &TableState, policy: &CompactPolicy) -> Option<Clustering> {
    sorts(policy).then(|| Clustering::of(state, &policy.arrangement)).flatten()
}

/// How deep they lie over one another.
pub(super) fn by_column(state: &TableState, policy: &CompactPolicy) -> Vec<OverlapDepth> {
    clustering(state, policy).map(|clustering| clustering.table()).unwrap_or_default()
}

/// Takes note of where files lie after a commit.
pub(super) fn committed<'a>(
    clustering: &mut Clustering,
    loaded: &LoadedTable,
    tasks: impl Iterator<Item = &'a RewriteTask>,
    outcomes: &[Outcome],
) {
    let places: HashMap<u32, &str> = tasks.map(|task| (task.id, task.partition.as_str())).collect();
    for outcome in outcomes {
        outcome.replaced().iter().for_each(|path| clustering.remove(path));
        for output in outcome.outputs.iter().filter(|_| outcome.replaces_inputs()) {
            let moved = output.partition.as_ref().and_then(|to| path_of(loaded, outcome.spec_id, to));
            let path = moved.as_deref().or_else(|| places.get(&outcome.task).copied()).unwrap_or_default();
            clustering.add(&output.path, (outcome.spec_id, path), &output.columns);
        }
    }
}

/// The path of a partition that rows moved to.
fn path_of(loaded: &LoadedTable, spec_id: i32, values: &PartitionValues) -> Option<String> {
    let (spec, schema) = (loaded.metadata.partition_spec_by_id(spec_id)?, loaded.metadata.current_schema());
    let values = values.to_struct(&spec.partition_type(schema).ok()?).ok()?;
    Some(partition_path(&loaded.metadata, spec_id, &values, schema))
}
