//! Delete files that are applied together.
//!
//! Within one partition the sequence numbers tell which delete applies to which input. Rows that move to another partition
//! spec come from several: there a delete meets inputs that it is older or newer than, and still none of its business.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::model::{DeleteContent, RewriteTask, TaskDelete};

/// Delete files with the same columns, and the inputs for which sequence numbers alone tell which of them apply.
#[derive(Debug)]
pub(super) struct Cohort<'t> {
    /// The delete columns' ids, ascending.
    pub(super) ids: Vec<i32>,
    pub(super) deletes: Vec<&'t TaskDelete>,
    /// Inputs by number, ascending; others are left alone.
    pub(super) inputs: BTreeSet<usize>,
}

/// The equality deletes of a task. Where all inputs are in one partition, there is one cohort for each set of columns.
///
/// # Errors
/// `Internal` when the plan has a delete apply to a file that is no older.
pub(super) fn cohorts(task: &RewriteTask) -> Result<Vec<Cohort<'_>>> {
    let mut reached: HashMap<u32, BTreeSet<usize>> = HashMap::new();
    for (number, input) in task.inputs.iter().enumerate() {
        for delete in &input.deletes {
            reached.entry(*delete).or_default().insert(number);
        }
    }
    let mut sets: BTreeMap<Vec<i32>, Vec<(&TaskDelete, BTreeSet<usize>)>> = BTreeMap::new();
    for (number, delete) in (0..).zip(&task.deletes) {
        let Some(inputs) = reached.remove(&number).filter(|_| delete.content == DeleteContent::Equality) else {
            continue;
        };
        if let Some(wrong) = inputs.iter().find(|input| !reaches(task, delete, **input)) {
            let path = &task.inputs[*wrong].path;
            return Err(Error::internal(format!("delete file {} is planned wrongly for {path}", delete.key)));
        }
        let mut ids = delete.equality_ids.clone();
        ids.sort_unstable();
        sets.entry(ids).or_default().push((delete, inputs));
    }
    Ok(sets.into_iter().flat_map(|(ids, deletes)| of_columns(task, &ids, deletes)).collect())
}

fn of_columns<'t>(
    task: &RewriteTask,
    ids: &[i32],
    mut deletes: Vec<(&'t TaskDelete, BTreeSet<usize>)>,
) -> Vec<Cohort<'t>> {
    // The newest first: what older ones reach in its partition is part of what it reaches.
    deletes.sort_by(|(a, of_a), (b, of_b)| {
        let by_age = b.sequence_number.cmp(&a.sequence_number).then(of_b.len().cmp(&of_a.len()));
        by_age.then_with(|| a.key.cmp(&b.key))
    });
    let mut cohorts: Vec<Cohort<'t>> = Vec::new();
    let mut by_input: HashMap<usize, Vec<usize>> = HashMap::new();
    for (delete, inputs) in deletes {
        let first = inputs.first().copied().unwrap_or(0);
        let fits = |cohort: &&usize| {
            let of = &cohorts[**cohort].inputs;
            inputs.is_subset(of) && of.iter().filter(|input| reaches(task, delete, **input)).count() == inputs.len()
        };
        if let Some(cohort) = by_input.get(&first).into_iter().flatten().find(fits).copied() {
            cohorts[cohort].deletes.push(delete);
            continue;
        }
        inputs.iter().for_each(|input| by_input.entry(*input).or_default().push(cohorts.len()));
        cohorts.push(Cohort { ids: ids.to_vec(), deletes: vec![delete], inputs });
    }
    cohorts
}

fn reaches(task: &RewriteTask, delete: &TaskDelete, input: usize) -> bool {
    delete.content.reaches(delete.sequence_number, task.inputs[input].sequence_number)
}
