//! No table starves: a share of every budget goes to those that have waited longest, whatever their score.

use crate::model::RunMemory;

use super::budget::Budget;

/// The share of a budget that is spent by waiting time alone: a fifth.
const SHARE: (u64, u64) = (1, 5);

/// The part of a budget for those that have waited longest.
pub(super) fn reserve(budget: Budget) -> Budget {
    budget.share(SHARE.0, SHARE.1)
}

/// The order of waiting for a run of this name: smaller waits longer. A table that never had one has waited for ever.
pub(super) fn waiting_since(memory: &RunMemory, run: &str) -> i64 {
    memory.last_runs.get(run).copied().unwrap_or(i64::MIN)
}
