//! Tables that fail again and again are left alone for a while, longer each time, and then tried again.

use crate::model::RunMemory;

/// A table may fail so often in a row before it is paused.
pub const FAILURES_BEFORE_PAUSE: u32 = 3;
/// The first pause; it doubles with every further failure.
const FIRST_MS: i64 = 3_600_000;
/// The longest pause.
const LONGEST_MS: i64 = 7 * 24 * 3_600_000;

/// Until when a table is paused, milliseconds since 1970; `None` when it is not. Follows from what the table remembers,
/// so every process sees the same pauses, and a success ends them.
pub fn paused_until(memory: &RunMemory, now_ms: i64) -> Option<i64> {
    let beyond = memory.failures.checked_sub(FAILURES_BEFORE_PAUSE)?;
    let pause = FIRST_MS.checked_shl(beyond).filter(|ms| (FIRST_MS..LONGEST_MS).contains(ms)).unwrap_or(LONGEST_MS);
    let until = memory.last_run_ms?.saturating_add(pause);
    (until > now_ms).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_pause_longer_each_time_and_end_by_itself() {
        let hours = |failures: u32| {
            let memory = RunMemory { last_run_ms: Some(0), failures, ..RunMemory::default() };
            paused_until(&memory, 0).map(|until| until / 3_600_000)
        };
        let all: Vec<Option<i64>> = (0..14).map(hours).collect();
        assert_eq!(all[..6], [None, None, None, Some(1), Some(2), Some(4)]);
        assert_eq!(all[11..], [Some(168), Some(168), Some(168)]);
        assert_eq!(hours(u32::MAX), Some(168));
        let memory = RunMemory { last_run_ms: Some(0), failures: 3, ..RunMemory::default() };
        assert_eq!(paused_until(&memory, 3_600_000), None, "over");
    }
}
