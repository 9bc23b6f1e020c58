//! Whether a schedule is due: the last time that cron names, windows, what a downtime missed, jitter.

use std::time::Duration;

use crate::model::{CronTime, Windows};

/// A start within this time after it was due is on time: a busy scheduler, not a downtime.
const ON_TIME_MS: i64 = 5 * 60_000;

/// When a schedule runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// When it is due.
    pub cron: CronTime,
    /// When it may run.
    pub windows: Windows,
    /// A due time that was missed (a downtime, a closed window) is made up for so long; zero: never.
    pub catch_up: Duration,
    /// Starts are spread over this time, each schedule at a place of its own.
    pub jitter: Duration,
    /// What decides about that place: the schedule's name.
    pub seed: u64,
}

/// What is to be done about a schedule now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The due time to run for; `None` when there is none now.
    pub run: Option<i64>,
    /// Due times before it that are given up.
    pub missed: Missed,
    /// When to look again.
    pub look_again_ms: i64,
}

/// Due times that were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many.
    pub count: u64,
    /// The newest of them: it counts as handled. `None` when there is none.
    pub newest: Option<i64>,
}

/// Looks at a schedule. `handled_ms` is the last due time that was run or given up (or when the scheduler first heard of
/// the schedule). Several missed times are made up for by one run, never by many.
pub fn look(timing: &Timing, handled_ms: i64, now_ms: i64) -> Due {
    let catch_up = millis(timing.catch_up).max(ON_TIME_MS);
    let delay = jitter(timing);
    // The newest time that is due by now, jitter included.
    let newest = timing.cron.last_at(now_ms - delay).filter(|due| *due > handled_ms);
    let next_due = |after: i64| timing.cron.next_after(after).map_or(i64::MAX, |due| due.saturating_add(delay));
    let Some(due) = newest else {
        return Due { run: None, missed: Missed::default(), look_again_ms: next_due(handled_ms.max(now_ms - delay)) };
    };
    let earlier = count(&timing.cron, handled_ms, due);
    let earlier_newest = if earlier == 0 { None } else { timing.cron.last_at(due - 1) };
    let expires = due.saturating_add(delay).saturating_add(catch_up);
    let opens = timing.windows.next_open(now_ms);
    match opens {
        _ if now_ms > expires => {
            let missed = Missed { count: earlier + 1, newest: Some(due) };
            Due { run: None, missed, look_again_ms: next_due(due) }
        }
        Some(opens) if opens <= now_ms => {
            let missed = Missed { count: earlier, newest: earlier_newest };
            Due { run: Some(due), missed, look_again_ms: next_due(due) }
        }
        // Closed: wait for the window if it opens while the time still counts.
        Some(opens) if opens <= expires => Due {
            run: None,
            missed: Missed { count: earlier, newest: earlier_newest },
            look_again_ms: opens.min(next_due(due)),
        },
        Some(_) | None => {
            let missed = Missed { count: earlier + 1, newest: Some(due) };
            Due { run: None, missed, look_again_ms: next_due(due) }
        }
    }
}

/// The last due time that a run at `last_run_ms` stood for; `now_ms` when there was none. A run in the future (a clock that
/// was set back since) counts as one that is just over: it must not silence the schedule until the clock has caught up.
pub(super) fn handled_by(timing: &Timing, last_run_ms: Option<i64>, now_ms: i64) -> i64 {
    last_run_ms.and_then(|last| timing.cron.last_at(last.min(now_ms))).unwrap_or(now_ms)
}

/// Due times after `from` and before `to`. A long downtime of a frequent schedule is not counted beyond a thousand.
fn count(cron: &CronTime, from: i64, to: i64) -> u64 {
    let mut at = from;
    let mut n = 0;
    while n < 1000 {
        match cron.next_after(at) {
            Some(due) if due < to => (at, n) = (due, n + 1),
            _ => break,
        }
    }
    n
}

/// A schedule's own place within its jitter: always the same, so that due times keep their distances.
fn jitter(timing: &Timing) -> i64 {
    let span = millis(timing.jitter);
    if span == 0 {
        return 0;
    }
    // One round of splitmix64 spreads neighbouring seeds.
    let mut x = timing.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)).checked_rem(span.unsigned_abs()).map_or(0, |ms| i64::try_from(ms).unwrap_or(0))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_zone;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    fn timing(cron: &str, windows: &[&str], catch_up_hours: u64) -> Timing {
        let zone = parse_zone("UTC").unwrap();
        let windows: Vec<String> = windows.iter().map(|w| (*w).to_owned()).collect();
        Timing {
            cron: CronTime::parse(cron, zone).unwrap(),
            windows: Windows::parse(zone, &windows, &[]).unwrap(),
            catch_up: Duration::from_secs(catch_up_hours * 3600),
            jitter: Duration::ZERO,
            seed: 1,
        }
    }

    #[test]
    fn should_run_on_time_and_not_twice() {
        let nightly = timing("0 3 * * *", &[], 0);
        let due = look(&nightly, 0, 2 * HOUR);
        assert_eq!((due.run, due.missed.count, due.look_again_ms), (None, 0, 3 * HOUR));
        assert_eq!(look(&nightly, 0, 3 * HOUR).run, Some(3 * HOUR));
        assert_eq!(look(&nightly, 0, 3 * HOUR + MINUTE).run, Some(3 * HOUR));
        let again = look(&nightly, 3 * HOUR, 3 * HOUR + MINUTE);
        assert_eq!((again.run, again.look_again_ms), (None, DAY + 3 * HOUR));
    }

    #[test]
    fn should_make_up_once_for_a_downtime() {
        let nightly = timing("0 3 * * *", &[], 12);
        let back = look(&nightly, 3 * HOUR, 4 * DAY + 10 * HOUR);
        assert_eq!(back.run, Some(4 * DAY + 3 * HOUR));
        assert_eq!(back.missed, Missed { count: 3, newest: Some(3 * DAY + 3 * HOUR) });
        let too_late = look(&nightly, 3 * HOUR, 4 * DAY + 16 * HOUR);
        assert_eq!((too_late.run, too_late.missed.count), (None, 4));
        assert_eq!(too_late.look_again_ms, 5 * DAY + 3 * HOUR);
        let strict = look(&timing("0 3 * * *", &[], 0), 3 * HOUR, DAY + 4 * HOUR);
        assert_eq!((strict.run, strict.missed.count), (None, 1));
    }

    #[test]
    fn should_go_on_where_the_last_run_ended_even_if_the_clock_was_set_back() {
        let nightly = timing("0 3 * * *", &[], 12);
        assert_eq!(handled_by(&nightly, None, 5 * HOUR), 5 * HOUR, "nothing is made up for that never ran");
        let handled = handled_by(&nightly, Some(3 * HOUR + MINUTE), DAY + 4 * HOUR);
        assert_eq!(look(&nightly, handled, DAY + 4 * HOUR).run, Some(DAY + 3 * HOUR));
        let handled = handled_by(&nightly, Some(30 * DAY), DAY + 4 * HOUR);
        let due = look(&nightly, handled, DAY + 4 * HOUR);
        assert_eq!((due.run, due.look_again_ms), (None, 2 * DAY + 3 * HOUR));
    }

    #[test]
    fn should_wait_for_the_window_or_give_up() {
        let patient = timing("0 3 * * *", &["05:00-06:00"], 4);
        let waiting = look(&patient, 0, 3 * HOUR);
        assert_eq!((waiting.run, waiting.look_again_ms), (None, 5 * HOUR));
        assert_eq!(look(&patient, 0, 5 * HOUR).run, Some(3 * HOUR));
        let hopeless = look(&timing("0 3 * * *", &["05:00-06:00"], 1), 0, 3 * HOUR);
        assert_eq!((hopeless.run, hopeless.missed.count, hopeless.missed.newest), (None, 1, Some(3 * HOUR)));
    }

    #[test]
    fn should_spread_schedules_within_their_jitter() {
        let at = |seed: u64| {
            let spread = Timing { jitter: Duration::from_secs(600), seed, ..timing("0 3 * * *", &[], 0) };
            look(&spread, 0, HOUR).look_again_ms
        };
        let all: Vec<i64> = (0..20).map(at).collect();
        assert!(all.iter().all(|ms| (3 * HOUR..3 * HOUR + 10 * MINUTE).contains(ms)), "{all:?}");
        let different: std::collections::BTreeSet<&i64> = all.iter().collect();
        assert!(different.len() > 15);
        let spread = Timing { jitter: Duration::from_secs(600), seed: 5, ..timing("0 3 * * *", &[], 0) };
        assert_eq!(look(&spread, 0, at(5)).run, Some(3 * HOUR), "it runs when its place comes");
    }
}
