//! Tasks that share deletes: every file is read once, and every task gets what is its own.

use std::ops::Range;

use super::deletes::{bench, ids};
use super::equality::long;
use super::*;
use crate::error::Kind;

impl Bench {
    /// A task of some inputs and of the deletes that apply to them, numbered anew.
    fn part(&self, id: u32, inputs: Range<usize>) -> RewriteTask {
        let mut task = RewriteTask { id, ..self.task(Route::Merge) };
        task.inputs = task.inputs[inputs].to_vec();
        let mut numbers: Vec<u32> = task.inputs.iter().flat_map(|input| input.deletes.clone()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in task.inputs.iter_mut().flat_map(|input| &mut input.deletes) {
            *number = u32::try_from(numbers.binary_search(number).unwrap()).unwrap();
        }
        task.deletes = numbers.iter().map(|number| self.deletes[*number as usize].clone()).collect();
        task
    }

    /// Runs tasks one after another; the files of deletes are gone as soon as the first one is done.
    async fn run(&self, tasks: &[RewriteTask]) -> Result<Vec<Outcome>> {
        let mut executor = self.executor(9);
        executor.expect(tasks);
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(executor.rewrite(task, &self.table, &self.policy).await?);
            for delete in &task.deletes {
                let _ = std::fs::remove_file(&delete.key.path);
            }
        }
        Ok(outcomes)
    }
}

fn shared_deletes() -> Bench {
    let mut bench = bench(3, 1000);
    bench.inputs[2].sequence_number = 5;
    let (a, b, c) = (bench.path(0), bench.path(1), bench.path(2));
    bench.positions(&[(&a, 1), (&a, 2), (&b, 3), ("s3://elsewhere/x", 9)], &[0, 1]);
    bench.vector(&[7], 2);
    // New enough for all, and too old for the last one, where it would hit a row.
    bench.equality(&[1], vec![long("id", 1, &[Some(10), Some(1010), Some(2010)])], 6);
    bench.equality(&[1], vec![long("id", 1, &[Some(11), Some(1011), Some(2011)])], 4);
    // Names an input that it does not apply to.
    bench.positions(&[(&c, 500), (&b, 900)], &[1]);
    bench
}

#[tokio::test]
async fn should_read_shared_deletes_once_and_tell_every_task_its_own() {
    let bench = shared_deletes();
    let tasks = [bench.part(0, 0..1), bench.part(1, 1..2), bench.part(2, 2..3)];
    let outcomes = bench.run(&tasks).await.unwrap();
    let dead = [vec![1, 2, 10, 11], vec![1003, 1010, 1011, 1900], vec![2007, 2010]];
    for (number, (outcome, dead)) in outcomes.iter().zip(&dead).enumerate() {
        let first = i64::try_from(number).unwrap() * 1000;
        let living: Vec<i64> = (first..first + 1000).filter(|id| !dead.contains(id)).collect();
        assert_eq!(ids(outcome), living, "task {number}");
        assert_eq!(outcome.rows_deleted, dead.len() as u64);
    }
    let applied = |task: usize, number: usize| {
        let path = &bench.deletes[number].key.path;
        let found = outcomes[task].applied.iter().find(|delete| delete.key.path == *path).unwrap();
        (found.used, found.others.clone())
    };
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let (a, b, c) = (bench.path(0), bench.path(1), bench.path(2));
    assert_eq!(applied(0, 0), (true, names(&[&b, "s3://elsewhere/x"])));
    assert_eq!(applied(1, 0), (true, names(&[&a, "s3://elsewhere/x"])));
    assert_eq!(applied(2, 1), (true, names(&[])));
    assert_eq!(applied(0, 2), (true, None));
    assert_eq!(applied(1, 4), (true, names(&[&c])));
    assert_eq!(outcomes[0].applied.len(), 3);
    assert_eq!(outcomes[2].applied.len(), 2);
}

/// The least budget that there is has no room for masks that wait: they wait on disk.
#[tokio::test]
async fn should_let_masks_wait_on_disk_within_the_cap() {
    let mut bench = shared_deletes();
    bench.memory = 144 * MIB;
    bench.spill = Spill::new(std::env::temp_dir(), 0);
    let tasks = [bench.part(0, 0..2), bench.part(1, 2..3)];
    let error = bench.run(&tasks).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(error.hint_text().unwrap().contains("--spill-limit"), "{error}");
    assert_eq!(bench.left_behind(), 0);
    bench.spill = Spill::new(std::env::temp_dir(), 8 * MIB);
    let outcomes = bench.run(&tasks).await.unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.rows_deleted).sum::<u64>(), 10);
    assert_eq!(bench.spill.used(), 0);
}

#[tokio::test]
async fn should_fail_every_task_of_a_damaged_delete_file_by_its_name() {
    let bench = shared_deletes();
    let path = &bench.deletes[2].key.path;
    std::fs::write(path, b"PAR1").unwrap();
    let tasks = [bench.part(0, 0..1), bench.part(1, 1..3)];
    let mut executor = bench.executor(9);
    executor.expect(&tasks);
    for task in &tasks {
        let error = executor.rewrite(task, &bench.table, &bench.policy).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.to_string().contains(path), "{error}");
    }
    assert_eq!(bench.left_behind(), 0);
}
