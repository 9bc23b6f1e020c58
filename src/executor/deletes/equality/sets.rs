//! Deletes whose keys may be in one table.
//!
//! In a table of keys nothing but sequence numbers tells to which inputs a key applies. Within one partition that is enough.
//! Rows that move to another partition spec come from several, and so do those of tasks that are looked after together: there
//! a delete meets inputs that it is newer than, and still none of its business. So deletes are in one set only when, for
//! every input of the set, all of them that are newer than the input apply to it: they have the same scope.

use std::cmp::Reverse;

use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::model::{DeleteContent, RewriteTask};

/// Deletes of the same columns and scope.
#[derive(Debug, PartialEq)]
pub(super) struct Set {
    /// The columns that are compared, ascending.
    pub(super) ids: Vec<i32>,
    /// Their numbers in the task, newest first.
    pub(super) deletes: Vec<usize>,
    /// The inputs that some of them apply to.
    pub(super) inputs: RoaringBitmap,
}

/// The equality deletes of a task, in as few sets as possible: each set means one look at its inputs' keys.
///
/// # Errors
/// `Internal` for a delete that is planned for an input that it is too old for.
pub(super) fn sets(task: &RewriteTask) -> Result<Vec<Set>> {
    let mut reached = vec![RoaringBitmap::new(); task.deletes.len()];
    for (number, input) in (0u32..).zip(&task.inputs) {
        for delete in &input.deletes {
            let at = *delete as usize;
            let Some(delete) = task.deletes.get(at) else {
                return Err(Error::internal(format!("a delete of {} is missing in the plan", input.path)));
            };
            if delete.content == DeleteContent::Equality {
                if !delete.content.reaches(delete.sequence_number, input.sequence_number) {
                    let (key, path) = (&delete.key, &input.path);
                    return Err(Error::internal(format!("delete file {key} is planned wrongly for {path}")));
                }
                reached[at].insert(number);
            }
        }
    }
    let mut order: Vec<usize> = (0..task.deletes.len()).filter(|at| !reached[*at].is_empty()).collect();
    // The newest first: what older ones reach in its scope is part of what it reaches.
    order.sort_by_key(|at| (Reverse(task.deletes[*at].sequence_number), Reverse(reached[*at].len()), *at));
    let mut sets: Vec<Set> = Vec::new();
    for at in order {
        let delete = &task.deletes[at];
        let mut ids = delete.equality_ids.clone();
        ids.sort_unstable();
        let too_new = |input: u32| {
            let data = task.inputs[input as usize].sequence_number;
            !delete.content.reaches(delete.sequence_number, data)
        };
        let fits = |set: &&mut Set| {
            set.ids == ids
                && reached[at].is_subset(&set.inputs)
                && (&set.inputs - &reached[at]).into_iter().all(too_new)
        };
        match sets.iter_mut().find(fits) {
            Some(set) => set.deletes.push(at),
            None => sets.push(Set { ids, deletes: vec![at], inputs: std::mem::take(&mut reached[at]) }),
        }
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::executor::deletes::tests::task;

    proptest! {
        /// Whatever the scopes are: by sequence numbers alone every input gets what applies to it, once.
        #[test]
        fn should_give_every_input_what_applies_to_it(
            deletes in prop::collection::vec((0u8..3, 0i64..6, 0u8..2), 0..12),
            inputs in prop::collection::vec((0u8..2, 0i64..6), 0..8),
        ) {
            // Scope 2 is every partition.
            let applies = |delete: &(u8, i64, u8), input: &(u8, i64)| {
                (delete.0 == 2 || delete.0 == input.0) && input.1 < delete.1
            };
            let of: Vec<(i64, Vec<u32>)> = inputs.iter().map(|input| {
                (input.1, (0..).zip(&deletes).filter(|(_, delete)| applies(delete, input)).map(|(n, _)| n).collect())
            }).collect();
            let kinds: Vec<(i64, i32)> = deletes.iter().map(|(_, sequence, id)| (*sequence, i32::from(*id))).collect();
            let task = task(&of, &kinds);
            let sets = sets(&task).unwrap();
            for (number, input) in (0u32..).zip(&task.inputs) {
                let mut found: Vec<u32> = sets.iter().filter(|set| set.inputs.contains(number)).flat_map(|set| {
                    let newer = |at: &usize| task.deletes[*at].sequence_number > input.sequence_number;
                    set.deletes.iter().copied().filter(newer).map(|at| u32::try_from(at).unwrap())
                }).collect();
                found.sort_unstable();
                prop_assert_eq!(&found, &input.deletes);
            }
        }
    }

    #[test]
    fn should_keep_global_deletes_of_any_age_together_and_refuse_wrong_plans() {
        let inputs = [(1, vec![0, 1, 2]), (2, vec![1, 2]), (3, vec![2])];
        let found = sets(&task(&inputs, &[(2, 1), (3, 1), (4, 1)])).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].deletes, [2, 1, 0]);
        // The second delete is new enough for the first input, and does not apply: it is of another partition.
        let found = sets(&task(&[(1, vec![0]), (1, vec![0, 1])], &[(3, 1), (2, 1)])).unwrap();
        assert_eq!(found.len(), 2);
        assert!(sets(&task(&[(3, vec![0])], &[(2, 1)])).is_err());
        assert!(sets(&task(&[(3, vec![7])], &[(2, 1)])).is_err());
    }
}
