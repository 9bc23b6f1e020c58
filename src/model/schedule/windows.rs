//! When maintenance may run: weekly windows and blackout dates, in a time zone's own clock.

use std::fmt;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;

use crate::error::{Error, Result};

/// How far ahead an opening is looked for.
const LOOK_AHEAD_DAYS: u64 = 400;
/// Offsets of time zones change on quarters of an hour.
const QUARTER_MS: i64 = 15 * 60_000;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// One weekly window. One that ends before it starts ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// By days from Monday: the days on which it starts.
    days: [bool; 7],
    from: NaiveTime,
    to: NaiveTime,
}

/// Windows and blackout dates. Without a window, any time is fine that is not blacked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    zone: Tz,
    windows: Vec<Window>,
    blackouts: Vec<(NaiveDate, NaiveDate)>,
}

impl Windows {
    /// No limits.
    pub fn always(zone: Tz) -> Self {
        Self { zone, windows: Vec::new(), blackouts: Vec::new() }
    }

    /// Reads windows such as `mon-fri 22:00-06:00` or `sat,sun 00:00-24:00`, and blackout dates such as `2026-12-24` or
    /// `2026-12-24..2027-01-01` (both ends included).
    ///
    /// # Errors
    /// `InvalidInput` that names what can't be read.
    pub fn parse(zone: Tz, windows: &[String], blackouts: &[String]) -> Result<Self> {
        Ok(Self {
            zone,
            windows: windows.iter().map(|text| window(text)).collect::<Result<_>>()?,
            blackouts: blackouts.iter().map(|text| blackout(text)).collect::<Result<_>>()?,
        })
    }

    /// Whether a run may start or go on at this time.
    pub fn is_open(&self, ms: i64) -> bool {
        let Some(utc) = DateTime::<Utc>::from_timestamp_millis(ms) else { return false };
        let local = utc.with_timezone(&self.zone).naive_local();
        let (date, time) = (local.date(), local.time());
        if self.blackouts.iter().any(|(first, last)| (*first..=*last).contains(&date)) {
            return false;
        }
        let starts_on = |window: &Window, day: Weekday| window.days[day.num_days_from_monday() as usize];
        self.windows.is_empty()
            || self.windows.iter().any(|window| {
                if window.from < window.to {
                    starts_on(window, date.weekday()) && (window.from..window.to).contains(&time)
                } else {
                    (starts_on(window, date.weekday()) && time >= window.from)
                        || (starts_on(window, date.weekday().pred()) && time < window.to)
                }
            })
    }

    /// The first moment from `ms` on at which it is open; `None` when there is none for more than a year.
    pub fn next_open(&self, ms: i64) -> Option<i64> {
        self.first(ms, true)
    }

    /// The first moment from `ms` on at which it is closed; `None` when it never closes.
    pub fn next_close(&self, ms: i64) -> Option<i64> {
        self.first(ms, false)
    }

    fn first(&self, ms: i64, open: bool) -> Option<i64> {
        if self.is_open(ms) == open {
            return Some(ms);
        }
        if self.windows.is_empty() && self.blackouts.is_empty() {
            return None;
        }
        let start = DateTime::<Utc>::from_timestamp_millis(ms)?.with_timezone(&self.zone).date_naive();
        let past = |at: &i64| *at > ms && self.is_open(*at) == open;
        (0..LOOK_AHEAD_DAYS)
            .filter_map(|ahead| start.checked_add_days(Days::new(ahead)))
            .find_map(|date| self.boundaries(date).into_iter().find(past))
    }

    /// The moments of a local day at which something may change, in order.
    fn boundaries(&self, date: NaiveDate) -> Vec<i64> {
        let begin = self.instants(date, NaiveTime::MIN);
        let end = date.succ_opt().map(|next| self.instants(next, NaiveTime::MIN)).unwrap_or_default();
        let mut all = begin.clone();
        for window in &self.windows {
            all.extend(self.instants(date, window.from));
            all.extend(self.instants(date, window.to));
        }
        if let (Some(begin), Some(end)) = (begin.first(), end.last())
            && end - begin != 24 * 60 * 60_000
        {
            // The clock changes on this day: it may jump into a window or out of one.
            all.extend((0..).map(|n| begin + n * QUARTER_MS).take_while(|at| at < end));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// When a local clock shows a time: once as a rule, twice or (then: right after the gap) never on a day of change.
    fn instants(&self, date: NaiveDate, time: NaiveTime) -> Vec<i64> {
        let local = date.and_time(time);
        match self.zone.from_local_datetime(&local) {
            chrono::LocalResult::Single(at) => vec![at.timestamp_millis()],
            chrono::LocalResult::Ambiguous(a, b) => vec![a.timestamp_millis(), b.timestamp_millis()],
            chrono::LocalResult::None => Vec::new(),
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.windows.is_empty() {
            return f.write_str("any time");
        }
        for (index, window) in self.windows.iter().enumerate() {
            let days: Vec<&str> =
                DAYS.iter().zip(window.days).filter(|(_, on)| *on).map(|((name, _), _)| *name).collect();
            let days = if days.len() == DAYS.len() { "every day".to_owned() } else { days.join(",") };
            let (from, to) = (window.from.format("%H:%M"), clock(window.to));
            write!(f, "{}{days} {from}-{to}", if index == 0 { "" } else { "; " })?;
        }
        if self.zone != Tz::UTC {
            write!(f, " {}", self.zone)?;
        }
        Ok(())
    }
}

fn clock(time: NaiveTime) -> String {
    if time.num_seconds_from_midnight() == 0 { "24:00".to_owned() } else { time.format("%H:%M").to_string() }
}

fn window(text: &str) -> Result<Window> {
    let wrong = |why: String| {
        Error::invalid(format!("window {text:?}: {why}")).hint(
            "write days and times, as in \"mon-fri 22:00-06:00\" or \"sat,sun 00:00-24:00\"; days may be left out",
        )
    };
    let parts: Vec<&str> = text.split_whitespace().collect();
    let (days, times) = match parts.as_slice() {
        [times] => ([true; 7], *times),
        [list, times] => (days(list).map_err(wrong)?, *times),
        _ => return Err(wrong("it is not one or two words".to_owned())),
    };
    let (from, to) = times.split_once('-').ok_or_else(|| wrong(format!("{times:?} is no span of time")))?;
    let (from, to) = (time(from).map_err(wrong)?, time(to).map_err(wrong)?);
    if from == to && from != NaiveTime::MIN {
        return Err(wrong("it ends when it starts".to_owned()));
    }
    Ok(Window { days, from, to })
}

fn days(list: &str) -> std::result::Result<[bool; 7], String> {
    let day = |name: &str| {
        let lower = name.to_ascii_lowercase();
        DAYS.iter().position(|(known, _)| *known == lower).ok_or_else(|| format!("{name:?} is no day of the week"))
    };
    let mut days = [false; 7];
    for part in list.split(',') {
        match part.split_once('-') {
            None => days[day(part)?] = true,
            Some((first, last)) => {
                let (mut at, last) = (day(first)?, day(last)?);
                days[at] = true;
                while at != last {
                    at = (at + 1) % 7;
                    days[at] = true;
                }
            }
        }
    }
    Ok(days)
}

/// A time of day; 24:00 is the next midnight.
fn time(text: &str) -> std::result::Result<NaiveTime, String> {
    if text == "24:00" {
        return Ok(NaiveTime::MIN);
    }
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| format!("{text:?} is no time of day, such as 22:00"))
}

fn blackout(text: &str) -> Result<(NaiveDate, NaiveDate)> {
    let date = |part: &str| {
        NaiveDate::parse_from_str(part.trim(), "%Y-%m-%d").map_err(|_| {
            Error::invalid(format!("blackout {text:?}: {part:?} is no date"))
                .hint("write 2026-12-24, or 2026-12-24..2027-01-01")
        })
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (date(first)?, date(last)?);
    if first > last {
        return Err(
            Error::invalid(format!("blackout {text:?} ends before it begins")).hint("write the first day first")
        );
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_zone;

    fn ms(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    fn windows(zone: &str, windows: &[&str], blackouts: &[&str]) -> Windows {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Windows::parse(parse_zone(zone).unwrap(), &owned(windows), &owned(blackouts)).unwrap()
    }

    #[test]
    fn should_open_over_midnight_and_close_on_blackout_days() {
        // 2026-11-27 is a Friday.
        let w = windows("UTC", &["mon-fri 22:00-06:00"], &["2026-12-24..2026-12-26"]);
        assert!(w.is_open(ms("2026-11-27T23:00:00Z")) && w.is_open(ms("2026-11-28T05:59:59Z")));
        assert!(!w.is_open(ms("2026-11-28T06:00:00Z")), "Saturday at six");
        assert!(!w.is_open(ms("2026-11-28T22:30:00Z")), "Saturday night");
        assert_eq!(w.next_open(ms("2026-11-28T06:00:00Z")), Some(ms("2026-11-30T22:00:00Z")));
        assert_eq!(w.next_close(ms("2026-11-27T23:00:00Z")), Some(ms("2026-11-28T06:00:00Z")));
        assert_eq!(w.next_close(ms("2026-12-23T23:00:00Z")), Some(ms("2026-12-24T00:00:00Z")));
        assert_eq!(w.next_open(ms("2026-12-24T00:00:00Z")), Some(ms("2026-12-28T22:00:00Z")));
        let weekend = windows("UTC", &["sat,sun 00:00-24:00"], &[]);
        assert_eq!(weekend.next_close(ms("2026-11-28T12:00:00Z")), Some(ms("2026-11-30T00:00:00Z")));
        assert_eq!(weekend.to_string(), "sat,sun 00:00-24:00");
        assert_eq!(Windows::always(Tz::UTC).next_close(0), None);
    }

    #[test]
    fn should_follow_the_local_clock_over_a_change() {
        let w = windows("Europe/Berlin", &["02:30-04:00"], &[]);
        // 02:30 does not exist on this night: it opens after the gap, at 03:00 local time.
        assert_eq!(w.next_open(ms("2026-03-29T00:00:00Z")), Some(ms("2026-03-29T01:00:00Z")));
        assert_eq!(w.next_close(ms("2026-03-29T01:00:00Z")), Some(ms("2026-03-29T02:00:00Z")));
        // 02:30 is there twice: the clock goes back out of the window, and into it again.
        let first = ms("2026-10-25T00:30:00Z");
        assert_eq!(w.next_open(ms("2026-10-25T00:00:00Z")), Some(first));
        assert_eq!(w.next_close(first), Some(ms("2026-10-25T01:00:00Z")));
        assert_eq!(w.next_open(ms("2026-10-25T01:00:00Z")), Some(ms("2026-10-25T01:30:00Z")));
    }

    #[test]
    fn should_say_what_is_wrong() {
        let refusal = |window: &str, blackout: &str| {
            let list = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
            Windows::parse(Tz::UTC, &list(window), &list(blackout)).unwrap_err().to_string()
        };
        assert!(refusal("mon-frei 22:00-06:00", "").contains("\"frei\" is no day"));
        assert!(refusal("mon 22:00", "").contains("no span of time"));
        assert!(refusal("25:00-26:00", "").contains("\"25:00\" is no time of day"));
        assert!(refusal("05:00-05:00", "").contains("ends when it starts"));
        assert!(refusal("", "2026-02-30").contains("is no date"));
        assert!(refusal("", "2026-12-26..2026-12-24").contains("ends before it begins"));
    }
}
