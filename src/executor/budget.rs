//! The memory budget, kept by permits (I9).

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::model::{CompactPolicy, MIB};

/// What the process needs besides row groups: runtime, catalog client, manifests, footers.
const OVERHEAD: u64 = 64 * MIB;
/// A row group in flight costs about this many times its compressed bytes: the encoded output, the inputs of the same
/// rows, and those of the next rows when they come over the network.
const COPIES: u64 = 3;
/// Decode and encode buffers of one worker: batches, pages, a dictionary, ZSTD contexts, and what the allocator keeps of
/// them between row groups (measured: a second worker adds some 100 MB at ZSTD level 3 before row groups are counted).
const PER_WORKER: u64 = 56 * MIB;
/// A row group below this makes no sensible file: fewer workers are better then.
const SMALLEST_ROW_GROUP: u64 = 8 * MIB;

/// What each thread that decodes or encodes holds while rows are sorted: it has fewer columns and no inputs.
const PER_SORTER: u64 = 40 * MIB;
/// The least that a sort is begun with.
const LEAST_SORT: u64 = 32 * MIB;
/// Rows in memory, with their keys and the buffers of a run, take about so many times the bytes of their files.
const UNPACKED: u64 = 16;

/// What one task may use.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    /// Holds the memory until the task is done.
    _permit: SemaphorePermit<'a>,
    /// The most compressed bytes of a row group.
    pub(crate) row_group_bytes: u64,
    /// Threads.
    pub(crate) workers: usize,
    /// What a sort may hold of rows and their keys.
    pub(crate) to_sort: u64,
}

/// What deletes may hold while they are read.
#[derive(Debug)]
pub(crate) struct ForDeletes<'a> {
    _permit: SemaphorePermit<'a>,
    pub(crate) bytes: u64,
}

/// Shares memory between tasks.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    units: u32,
    permits: Semaphore,
}

impl Budget {
    /// A budget of `memory` bytes.
    pub(crate) fn new(memory: u64) -> Self {
        let units = u32::try_from(memory.saturating_sub(OVERHEAD) / MIB).unwrap_or(u32::MAX >> 4).max(1);
        Self { total: memory, units, permits: Semaphore::new(units as usize) }
    }

    /// Sets memory aside for the masks of tasks that wait: what is wanted, but a small part of the budget at most, and
    /// nothing of one that is hardly enough for a task. Says how much it is.
    pub(crate) fn reserve(&mut self, wanted: u64) -> u64 {
        let least = (PER_WORKER + SMALLEST_ROW_GROUP * COPIES) / MIB;
        let most = (self.units / 16).min(self.units.saturating_sub(u32::try_from(least).unwrap_or(u32::MAX)));
        let units = u32::try_from(wanted.div_ceil(MIB)).unwrap_or(u32::MAX).min(most);
        self.units -= units;
        self.permits = Semaphore::new(self.units as usize);
        u64::from(units) * MIB
    }

    /// Waits for memory to read deletes with: what is wanted, or all that there is. Nothing is encoded with it, so what row
    /// groups would need is free for keys.
    pub(crate) async fn acquire_for_deletes(&self, wanted: u64) -> Result<ForDeletes<'_>> {
        let units = u32::try_from(wanted.div_ceil(MIB)).unwrap_or(u32::MAX).clamp(1, self.units);
        let permit = self.permits.acquire_many(units).await;
        let permit = permit.map_err(|e| Error::internal("the memory budget was closed").caused_by(e))?;
        Ok(ForDeletes { _permit: permit, bytes: u64::from(units) * MIB })
    }

    /// Waits for one task's share. A small budget means fewer workers and smaller row groups before it makes a task
    /// impossible. `expected` is what a row group of the task will hold: narrow rows leave room for other tasks.
    pub(crate) async fn acquire(&self, policy: &CompactPolicy, workers: usize, expected: u64) -> Result<Share<'_>> {
        let available = u64::from(self.units) * MIB;
        let affordable = available.saturating_sub(SMALLEST_ROW_GROUP * COPIES) / PER_WORKER;
        let workers = workers.min(usize::try_from(affordable).unwrap_or(usize::MAX)).max(1);
        let buffers = PER_WORKER * workers as u64;
        let for_groups = available.saturating_sub(buffers) / COPIES;
        if for_groups < SMALLEST_ROW_GROUP {
            let least = (OVERHEAD + PER_WORKER + SMALLEST_ROW_GROUP * COPIES) / MIB;
            return Err(Error::exhausted(format!("a memory budget of {} MiB is too small", self.total / MIB))
                .hint(format!("give at least --memory {least}MiB; 512MiB is the default")));
        }
        // Two tasks side by side keep all processors busy while one of them writes.
        let row_group_bytes = policy.row_group_bytes.min(for_groups / 2).max(SMALLEST_ROW_GROUP);
        let held = row_group_bytes.min(expected.max(SMALLEST_ROW_GROUP));
        let wanted = u32::try_from((held * COPIES + buffers) / MIB).unwrap_or(u32::MAX).min(self.units);
        let permit = self
            .permits
            .acquire_many(wanted)
            .await
            .map_err(|e| Error::internal("the memory budget was closed").caused_by(e))?;
        Ok(Share { _permit: permit, row_group_bytes, workers, to_sort: 0 })
    }

    /// The same for a task that sorts: it has half of the budget, so that two may run, or what its rows take when they are
    /// few; all of a budget that is small. A row group of the output is held beside what is sorted.
    pub(crate) async fn acquire_to_sort(
        &self,
        policy: &CompactPolicy,
        workers: usize,
        input: u64,
    ) -> Result<Share<'_>> {
        let all = u64::from(self.units) * MIB;
        let available = if all / 2 >= PER_SORTER + LEAST_SORT + SMALLEST_ROW_GROUP * 2 { all / 2 } else { all };
        let buffers = |workers: u64| workers * PER_SORTER;
        let workers = workers.max(1) as u64;
        let affordable = (available.saturating_sub(LEAST_SORT + SMALLEST_ROW_GROUP * 2) / PER_SORTER).max(1);
        let workers = workers.min(affordable);
        let rest = available.saturating_sub(buffers(workers));
        if rest < LEAST_SORT + SMALLEST_ROW_GROUP * 2 {
            let least = (OVERHEAD + PER_SORTER + LEAST_SORT + SMALLEST_ROW_GROUP * 2) / MIB;
            return Err(Error::exhausted(format!("a memory budget of {} MiB is too small to sort", self.total / MIB))
                .hint(format!("give at least --memory {least}MiB; 512MiB is the default")));
        }
        let row_group_bytes = policy.row_group_bytes.min(rest / 8).max(SMALLEST_ROW_GROUP);
        let to_sort = (rest - row_group_bytes * 2).min(input.saturating_mul(UNPACKED).max(LEAST_SORT));
        let wanted = (buffers(workers) + row_group_bytes * 2 + to_sort) / MIB;
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.units);
        let permit = self
            .permits
            .acquire_many(wanted)
            .await
            .map_err(|e| Error::internal("the memory budget was closed").caused_by(e))?;
        let workers = usize::try_from(workers).unwrap_or(1);
        Ok(Share { _permit: permit, row_group_bytes, workers, to_sort })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn should_take_workers_and_row_groups_back_before_it_refuses() {
        let policy = CompactPolicy::default();
        let share = async |memory: u64, workers: usize| {
            let budget = Budget::new(memory * MIB);
            let share = budget.acquire(&policy, workers, u64::MAX).await.ok()?;
            Some((share.row_group_bytes / MIB, share.workers))
        };
        assert_eq!(share(2048, 2).await, Some((128, 2)));
        assert_eq!(share(512, 2).await, Some((56, 2)));
        assert_eq!(share(512, 32).await, Some((9, 7)), "a large machine with the default budget still works");
        assert_eq!(share(192, 2).await, Some((12, 1)));
        assert_eq!(share(144, 1).await, Some((8, 1)));
        assert_eq!(share(143, 1).await, None);
    }

    #[tokio::test]
    async fn should_set_aside_a_small_part_and_give_deletes_what_there_is() {
        let mut budget = Budget::new(512 * MIB);
        assert_eq!(budget.reserve(3 * MIB - 5), 3 * MIB);
        assert_eq!(budget.reserve(u64::MAX), 27 * MIB);
        assert_eq!(budget.acquire_for_deletes(7 * MIB).await.unwrap().bytes, 7 * MIB);
        let all = budget.acquire_for_deletes(u64::MAX).await.unwrap();
        assert_eq!(all.bytes, (448 - 30) * MIB);
        let other = tokio::time::timeout(std::time::Duration::from_millis(20), budget.acquire_for_deletes(1));
        assert!(other.await.is_err());
        let mut least = Budget::new(144 * MIB);
        assert_eq!(least.reserve(u64::MAX), 0);
        assert!(least.acquire(&CompactPolicy::default(), 1, u64::MAX).await.is_ok());
    }

    #[tokio::test]
    async fn should_let_two_ordinary_tasks_run_side_by_side() {
        let budget = Budget::new(512 * MIB);
        let policy = CompactPolicy::default();
        let _first = budget.acquire(&policy, 2, 36 * MIB).await.unwrap();
        let second = tokio::time::timeout(std::time::Duration::from_secs(5), budget.acquire(&policy, 2, 36 * MIB));
        assert!(second.await.is_ok());
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), budget.acquire(&policy, 2, 230 * MIB));
        assert!(third.await.is_err(), "there is no room for a third while the first holds its share");
    }
}
