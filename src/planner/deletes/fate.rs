//! What becomes of the table's delete files.

use std::collections::HashSet;

use super::Burdens;
use crate::model::{CompactPolicy, DeleteFate, PlannedDelete, TableState, Task};

/// Looks at every delete file: it goes when the spec's own rule finds no live data file for it, before the run or after
/// it. (A rule over sequence numbers by partition alone would take global deletes and other specs for dangling.)
pub(in crate::planner) fn fates(
    state: &TableState,
    policy: &CompactPolicy,
    burdens: &Burdens,
    tasks: &[Task],
) -> Vec<PlannedDelete> {
    let rewritten: HashSet<&str> =
        tasks.iter().flat_map(|Task::Rewrite(task)| &task.inputs).map(|input| input.path.as_str()).collect();
    let mut applies = vec![(0u64, 0u64); state.deletes.len()];
    for (index, file) in state.files.iter().enumerate() {
        for number in &burdens.of(index).deletes {
            let (all, gone) = &mut applies[*number as usize];
            *all += 1;
            *gone += u64::from(rewritten.contains(file.path.as_str()));
        }
    }
    let fate = |(all, gone): (u64, u64)| match (all, all - gone) {
        (0, _) if policy.remove_dangling_deletes => DeleteFate::NothingLeft,
        (all, 0) if all > 0 && policy.remove_dangling_deletes => DeleteFate::AllRewritten { files: all },
        (_, left) => DeleteFate::StillApplies { files: left },
    };
    state
        .deletes
        .iter()
        .zip(applies)
        .map(|(delete, counts)| PlannedDelete {
            key: delete.key(),
            content: delete.content,
            size: delete.size,
            records: delete.records,
            fate: fate(counts),
        })
        .collect()
}
