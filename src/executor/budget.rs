//! The memory budget, kept by permits (I9).

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::model::{CompactPolicy, MIB};

/// What the process needs besides row groups: runtime, catalog client, manifests, footers.
const OVERHEAD: u64 = 48 * MIB;
/// A row group in flight costs about this many times its compressed bytes: the encoded output, the inputs of the same
/// rows, and those of the next rows when they come over the network.
const COPIES: u64 = 3;
/// Decode and encode buffers of one worker: batches, pages, a dictionary, a ZSTD context.
const PER_WORKER: u64 = 12 * MIB;
/// A row group below this makes no sensible file.
const SMALLEST_ROW_GROUP: u64 = MIB;

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

    /// Waits for one task's share and says how many compressed bytes its row groups may have. A small budget makes row
    /// groups smaller before it makes a task impossible. `expected` is what a row group of the task will hold: groups of
    /// narrow rows leave room for others beside them.
    pub(crate) async fn acquire(
        &self,
        policy: &CompactPolicy,
        workers: usize,
        expected: u64,
    ) -> Result<(SemaphorePermit<'_>, u64)> {
        let available = u64::from(self.units) * MIB;
        let buffers = PER_WORKER * workers as u64;
        let for_groups = available.saturating_sub(buffers) / COPIES;
        if for_groups < SMALLEST_ROW_GROUP {
            return Err(Error::exhausted(format!(
                "a memory budget of {} MiB is too small for {workers} workers",
                self.total / MIB
            ))
            .hint("raise --memory (512MiB is the default) or lower --workers"));
        }
        // Two tasks side by side keep all processors busy while one of them writes.
        let row_group = policy.row_group_bytes.min(for_groups / 2).max(SMALLEST_ROW_GROUP);
        let held = row_group.min(expected.max(SMALLEST_ROW_GROUP));
        let wanted = u32::try_from((held * COPIES + buffers) / MIB + 1).unwrap_or(u32::MAX).min(self.units);
        let permit = self
            .permits
            .acquire_many(wanted)
            .await
            .map_err(|e| Error::internal("the memory budget was closed").caused_by(e))?;
        Ok((permit, row_group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn should_shrink_row_groups_before_it_refuses() {
        let policy = CompactPolicy::default();
        let (_permit, large) =
            Budget::new(2048 * MIB).acquire(&policy, 2, u64::MAX).await.map(|(p, n)| (drop(p), n)).unwrap();
        let (_permit, small) =
            Budget::new(128 * MIB).acquire(&policy, 2, u64::MAX).await.map(|(p, n)| (drop(p), n)).unwrap();
        assert_eq!(large, policy.row_group_bytes);
        assert!(small < large && small >= SMALLEST_ROW_GROUP, "{small}");
        assert!(Budget::new(50 * MIB).acquire(&policy, 2, 0).await.is_err());
    }
}
