//! Tasks that share delete files are looked after together, so that each file is read once: its keys are compared with the
//! rows of all of them, its positions are sorted out by their inputs. What was found waits for each task.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::resolve::Resolved;
use crate::error::Result;
use crate::model::{DeleteKey, RewriteTask, Route};

/// Tasks of more rows than this are looked after in turns, though they share deletes: what was found for the last one
/// would have to wait too long.
const MOST_ROWS: u64 = 1 << 32;

/// One of the tasks that are looked after together.
#[derive(Debug, PartialEq)]
pub(crate) struct Member {
    pub(super) id: u32,
    pub(super) route: Route,
    /// Its inputs among those of all.
    pub(super) inputs: Range<usize>,
    /// Its deletes.
    pub(super) deletes: Vec<DeleteKey>,
}

/// Tasks that share deletes.
#[derive(Debug)]
pub(crate) struct Together {
    /// All of them as one: every input, and every delete once.
    pub(crate) task: RewriteTask,
    pub(super) members: Vec<Member>,
    found: OnceCell<Mutex<HashMap<u32, Resolved>>>,
}

impl Together {
    /// Joins tasks.
    fn of(tasks: &[&RewriteTask]) -> Option<Self> {
        let mut all = RewriteTask { inputs: Vec::new(), deletes: Vec::new(), ..(*tasks.first()?).clone() };
        let mut numbers: HashMap<&DeleteKey, u32> = HashMap::new();
        let mut members = Vec::new();
        for task in tasks {
            let mut number_of = Vec::new();
            for delete in &task.deletes {
                number_of.push(*numbers.entry(&delete.key).or_insert_with(|| {
                    all.deletes.push(delete.clone());
                    u32::try_from(all.deletes.len() - 1).unwrap_or(u32::MAX)
                }));
            }
            let first = all.inputs.len();
            all.inputs.extend(task.inputs.iter().cloned().map(|mut input| {
                // A number that is not in the list is an error of the plan, and stays one.
                let joined = |number: u32| number_of.get(number as usize).copied().unwrap_or(u32::MAX);
                input.deletes.iter_mut().for_each(|number| *number = joined(*number));
                input
            }));
            let deletes = task.deletes.iter().map(|delete| delete.key.clone()).collect();
            members.push(Member { id: task.id, route: task.route, inputs: first..all.inputs.len(), deletes });
        }
        Some(Self { task: all, members, found: OnceCell::new() })
    }

    /// What was found for one of the tasks. The first one to ask looks after all, the others wait for it; when it fails,
    /// the next one tries.
    ///
    /// # Errors
    /// Those of `resolve`.
    pub(crate) async fn found(
        &self,
        task: u32,
        resolve: impl AsyncFnOnce() -> Result<HashMap<u32, Resolved>>,
    ) -> Result<Option<Resolved>> {
        let found = self.found.get_or_try_init(async || resolve().await.map(Mutex::new)).await?;
        Ok(found.lock().unwrap_or_else(PoisonError::into_inner).remove(&task))
    }
}

/// The tasks of a run that share deletes with others.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    of: Mutex<HashMap<u32, Arc<Together>>>,
}

impl Shared {
    /// Finds out which tasks share deletes.
    pub(crate) fn new<'t>(tasks: impl IntoIterator<Item = &'t RewriteTask>) -> Self {
        let of = groups(tasks, MOST_ROWS)
            .into_iter()
            .filter(|tasks| tasks.len() > 1)
            .filter_map(|tasks| Together::of(&tasks))
            .flat_map(|together| {
                let together = Arc::new(together);
                together.members.iter().map(|member| (member.id, Arc::clone(&together))).collect::<Vec<_>>()
            });
        Self { of: Mutex::new(of.collect()) }
    }

    /// The tasks that are looked after together with this one, once; it alone where nobody is.
    pub(crate) fn take(&self, task: &RewriteTask) -> Option<Arc<Together>> {
        let together = self.of.lock().unwrap_or_else(PoisonError::into_inner).remove(&task.id);
        together.or_else(|| Together::of(&[task]).map(Arc::new))
    }
}

/// Tasks with deletes, those that share any of them together, unless they are of too many rows.
fn groups<'t>(tasks: impl IntoIterator<Item = &'t RewriteTask>, most_rows: u64) -> Vec<Vec<&'t RewriteTask>> {
    let tasks: Vec<&RewriteTask> = tasks.into_iter().filter(|task| !task.deletes.is_empty()).collect();
    // The first task of each group stands for it, found by way of earlier ones.
    let mut leader: Vec<usize> = (0..tasks.len()).collect();
    let find = |leader: &mut Vec<usize>, mut at: usize| {
        while leader[at] != at {
            leader[at] = leader[leader[at]];
            at = leader[at];
        }
        at
    };
    let mut first: HashMap<&DeleteKey, usize> = HashMap::new();
    for (at, task) in tasks.iter().enumerate() {
        for delete in &task.deletes {
            let (a, b) = (*first.entry(&delete.key).or_insert(at), at);
            let (a, b) = (find(&mut leader, a), find(&mut leader, b));
            leader[a.max(b)] = a.min(b);
        }
    }
    let mut open: HashMap<usize, (usize, u64)> = HashMap::new();
    let mut groups: Vec<Vec<&RewriteTask>> = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let rows: u64 = task.inputs.iter().map(|input| input.records).sum();
        let (group, sum) = open.entry(find(&mut leader, at)).or_insert((usize::MAX, 0));
        if *group == usize::MAX || *sum + rows > most_rows {
            (*group, *sum) = (groups.len(), 0);
            groups.push(Vec::new());
        }
        *sum += rows;
        groups[*group].push(task);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::deletes::tests::task;

    /// A task of inputs of one row each, whose deletes have these names.
    fn named(id: u32, names: &[&str], inputs: &[&[u32]]) -> RewriteTask {
        let inputs: Vec<(i64, Vec<u32>)> = inputs.iter().map(|deletes| (1, deletes.to_vec())).collect();
        let mut task = task(&inputs, &vec![(2, 1); names.len()]);
        task.id = id;
        task.deletes.iter_mut().zip(names).for_each(|(delete, name)| delete.key.path = (*name).to_owned());
        task
    }

    #[test]
    fn should_bring_together_what_shares_deletes_and_nothing_else() {
        let tasks = [
            named(0, &["a", "b"], &[&[0], &[1]]),
            named(1, &["c"], &[&[0]]),
            named(2, &[], &[&[]]),
            named(3, &["d"], &[&[0]]),
            named(4, &["c", "b"], &[&[0, 1]]),
        ];
        let ids = |most| -> Vec<Vec<u32>> {
            groups(&tasks, most).iter().map(|group| group.iter().map(|task| task.id).collect()).collect()
        };
        assert_eq!(ids(MOST_ROWS), [vec![0, 1, 4], vec![3]]);
        assert_eq!(ids(3), [vec![0, 1], vec![3], vec![4]], "not too many rows at a time");
        let shared = Shared::new(&tasks);
        let together = shared.take(&tasks[4]).unwrap();
        assert!(Arc::ptr_eq(&together, &shared.take(&tasks[0]).unwrap()));
        let names: Vec<&str> = together.task.deletes.iter().map(|delete| delete.key.path.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let numbers: Vec<&[u32]> = together.task.inputs.iter().map(|input| input.deletes.as_slice()).collect();
        assert_eq!(numbers, [&[0][..], &[1], &[2], &[2, 1]]);
        assert_eq!(together.members[2].inputs, 3..4);
        // A task that is run once more is looked after alone.
        assert_eq!(shared.take(&tasks[0]).unwrap().members.len(), 1);
        assert_eq!(shared.take(&tasks[3]).unwrap().members.len(), 1);
    }

    #[tokio::test]
    async fn should_look_after_all_at_once_and_again_after_a_failure() {
        let tasks = [named(0, &["a"], &[&[0]]), named(1, &["a"], &[&[0]])];
        let shared = Shared::new(&tasks);
        let (a, b) = (shared.take(&tasks[0]).unwrap(), shared.take(&tasks[1]).unwrap());
        let error = a.found(0, async || Err(crate::error::Error::corrupt("x"))).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Corrupt);
        let both = || HashMap::from([0, 1].map(|id| (id, Resolved { rows: 7, ..Resolved::default() })));
        assert_eq!(b.found(1, async || Ok(both())).await.unwrap().unwrap().rows, 7);
        assert!(b.found(1, async || Ok(both())).await.unwrap().is_none(), "handed out once");
    }
}
