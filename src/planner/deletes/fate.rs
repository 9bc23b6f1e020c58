//! What becomes of the table's delete files.

use std::collections::HashSet;

use super::Burdens;
use crate::model::{CompactPolicy, DeleteFate, DeleteFile, DeleteKey, PlannedDelete, TableState, Task};

/// Looks at every delete file: it goes when the spec's own rule finds no live data file for it, before the run or after
/// it. (A rule over sequence numbers by partition alone would take global deletes and other specs for dangling.)
pub(in crate::planner) fn fates(
    state: &TableState,
    policy: &CompactPolicy,
    burdens: &Burdens,
    tasks: &[Task],
) -> Vec<PlannedDelete> {
    // What a task has done away with: a delete, as far as it applies to an input.
    let mut done: HashSet<(&str, &DeleteKey)> = HashSet::new();
    let mut anew: HashSet<&DeleteKey> = HashSet::new();
    for Task::Rewrite(task) in tasks {
        let applied = task.inputs.iter().flat_map(|input| input.deletes.iter().map(move |number| (input, number)));
        done.extend(applied.map(|(input, number)| (input.path.as_str(), &task.deletes[*number as usize].key)));
        if task.route.keeps_files() {
            anew.extend(task.deletes.iter().map(|delete| &delete.key));
        }
    }
    let keys: Vec<DeleteKey> = state.deletes.iter().map(DeleteFile::key).collect();
    let mut applies = vec![(0u64, 0u64); state.deletes.len()];
    for (index, file) in state.files.iter().enumerate() {
        for number in &burdens.of(index).deletes {
            let (all, gone) = &mut applies[*number as usize];
            *all += 1;
            *gone += u64::from(done.contains(&(&*file.path, &keys[*number as usize])));
        }
    }
    let fate = |key: &DeleteKey, (all, gone): (u64, u64)| match (all, all - gone) {
        (all, 0) if all > 0 && anew.contains(key) => DeleteFate::WrittenAnew { files: all },
        (0, _) if policy.remove_dangling_deletes => DeleteFate::NothingLeft,
        (all, 0) if all > 0 && policy.remove_dangling_deletes => DeleteFate::AllRewritten { files: all },
        (_, left) => DeleteFate::StillApplies { files: left },
    };
    state
        .deletes
        .iter()
        .zip(&keys)
        .zip(applies)
        .map(|((delete, key), counts)| PlannedDelete {
            key: key.clone(),
            content: delete.content,
            size: delete.size,
            records: delete.records,
            fate: fate(key, counts),
        })
        .collect()
}
