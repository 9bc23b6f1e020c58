//! When something is due: cron expressions as Kubernetes reads them, in a time zone.

use std::fmt;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;

use crate::error::{Error, Result};
use crate::model::closest;

/// The fields of an expression, in their order: what they are called and what they may hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31"),
    ("month", "1-12 or jan-dec"),
    ("day of week", "0-7 or sun-sat, where 0 and 7 are Sunday"),
];
const NICKNAMES: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// A cron expression in a time zone.
///
/// Minute, hour, day of month, month, day of week; `*`, lists, ranges, steps, names and nicknames. When day of month and
/// day of week are both restricted, either is enough. A time that a spring-forward skips is due right after the gap; a
/// time of day that a fall-back repeats is due once. (Kubernetes skips the first and, for some patterns, doubles the
/// second: a job that maintains tables must do neither.)
#[derive(Clone, PartialEq, Eq)]
pub struct CronTime {
    text: String,
    cron: Cron,
    zone: Tz,
}

impl fmt::Debug for CronTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronTime({self})")
    }
}

impl fmt::Display for CronTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.zone == Tz::UTC { f.write_str(&self.text) } else { write!(f, "{} {}", self.text, self.zone) }
    }
}

impl CronTime {
    /// Parses an expression for a zone.
    ///
    /// # Errors
    /// `InvalidInput` that names the field that is wrong, or says that no day ever matches.
    pub fn parse(text: &str, zone: Tz) -> Result<Self> {
        let trimmed = text.trim();
        let pattern = if trimmed.starts_with('@') { nickname(trimmed)? } else { five_fields(trimmed)? };
        let cron = parser().parse(&pattern).map_err(|e| wrong(trimmed, &e.to_string()))?;
        let time = Self { text: trimmed.to_owned(), cron, zone };
        // A leap day comes every eight years at the latest; what is not due by then never is (30 February).
        let start = Utc.with_ymd_and_hms(2096, 3, 1, 0, 0, 0).single().map_or(0, |t| t.timestamp_millis());
        match time.next_after(start) {
            Some(_) => Ok(time),
            None => Err(wrong(trimmed, "no day of any year matches day of month and month")),
        }
    }

    /// The first time after `ms` (milliseconds since 1970, exclusive) at which it is due.
    pub fn next_after(&self, ms: i64) -> Option<i64> {
        let from = DateTime::<Utc>::from_timestamp_millis(ms)?.with_timezone(&self.zone);
        let found = self.cron.find_next_occurrence(&from, false).ok()?;
        let found = found.timestamp_millis();
        (found > ms).then_some(found)
    }

    /// The last time at or before `ms` at which it was due.
    pub fn last_at(&self, ms: i64) -> Option<i64> {
        let from = DateTime::<Utc>::from_timestamp_millis(ms)?.with_timezone(&self.zone);
        let found = self.cron.find_previous_occurrence(&from, true).ok()?.timestamp_millis();
        (found <= ms).then_some(found)
    }

    /// Its zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }
}

/// A time zone by its IANA name.
///
/// # Errors
/// `InvalidInput` for a name that is none; the hint has the closest one.
pub fn parse_zone(name: &str) -> Result<Tz> {
    name.trim().parse().map_err(|_| {
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let hint = match closest(name.trim(), known) {
            Some(close) => format!("did you mean {close}?"),
            None => "use a name of the IANA database, such as UTC, Europe/Berlin or America/New_York".to_owned(),
        };
        Error::invalid(format!("there is no time zone {name:?}")).hint(hint)
    })
}

fn parser() -> CronParser {
    // Kubernetes also reads 0/15 as every 15 minutes.
    CronParser::builder().sloppy_ranges(true).build()
}

fn nickname(text: &str) -> Result<String> {
    let lower = text.to_ascii_lowercase();
    if lower == "@midnight" {
        return Ok("@daily".to_owned());
    }
    if NICKNAMES.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let close = closest(&lower, NICKNAMES);
    let hint = match close {
        Some(close) => format!("did you mean {close}?"),
        None => format!("known are {}; @every is not: write */30 * * * * for every 30 minutes", NICKNAMES.join(", ")),
    };
    Err(Error::invalid(format!("cron {text:?} is not known")).hint(hint))
}

fn five_fields(text: &str) -> Result<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(Error::invalid(format!("cron {text:?} has {} fields, not 5", fields.len()))
            .hint("minute, hour, day of month, month, day of week: \"0 3 * * 0\" is Sundays at three"));
    }
    for (index, (field, (name, values))) in fields.iter().zip(FIELDS).enumerate() {
        let mut alone = ["*"; 5];
        alone[index] = field;
        // The extensions of the parser are not Kubernetes': what runs here should run there too.
        let foreign = field.contains(['L', 'W', '#', '+']) && index != 3 && !is_name(field);
        if foreign || parser().parse(&alone.join(" ")).is_err() {
            return Err(Error::invalid(format!("cron {text:?}: {field:?} is no {name}"))
                .hint(format!("the {name} is {values}, with *, lists (1,5), ranges (1-5) and steps (*/2)")));
        }
    }
    Ok(text.to_owned())
}

/// Whether a field spells days or months, whose letters include L and W.
fn is_name(field: &str) -> bool {
    field.split([',', '-', '/']).any(|part| part.len() == 3 && part.chars().all(|c| c.is_ascii_alphabetic()))
        && !field.contains(['#', '+'])
}

fn wrong(text: &str, why: &str) -> Error {
    Error::invalid(format!("cron {text:?} is never due: {why}")).hint("\"0 3 * * 0\" is Sundays at three")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    fn dues(cron: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
        let time = CronTime::parse(cron, parse_zone(zone).unwrap()).unwrap();
        let mut at = ms(from);
        (0..n)
            .map(|_| {
                at = time.next_after(at).unwrap();
                DateTime::<Utc>::from_timestamp_millis(at).unwrap().with_timezone(&time.zone).to_rfc3339()
            })
            .collect()
    }

    #[test]
    fn should_read_what_kubernetes_reads() {
        // 2026-11-25 is a Wednesday.
        let from = "2026-11-25T00:00:00Z";
        let sunday = vec!["2026-11-29T03:00:00+00:00"];
        for cron in ["0 3 * * 0", "0 3 * * 7", "0 3 * * sun", "0 3 * * SUN", "0 3 ? * 0"] {
            assert_eq!(dues(cron, "UTC", from, 1), sunday, "{cron}");
        }
        assert_eq!(dues("0 2 1 * *", "UTC", from, 1), ["2026-12-01T02:00:00+00:00"]);
        assert_eq!(dues("@weekly", "UTC", from, 1), ["2026-11-29T00:00:00+00:00"]);
        assert_eq!(dues("@midnight", "UTC", from, 1), ["2026-11-26T00:00:00+00:00"]);
        assert_eq!(
            dues("0/20 6 * jan-nov wed", "UTC", from, 2),
            ["2026-11-25T06:00:00+00:00", "2026-11-25T06:20:00+00:00"]
        );
        // Either is enough when both days are restricted: the 27th, or a Saturday.
        assert_eq!(dues("0 0 27 * 6", "UTC", from, 2), ["2026-11-27T00:00:00+00:00", "2026-11-28T00:00:00+00:00"]);
    }

    #[test]
    fn should_neither_skip_nor_double_a_night_of_clock_changes() {
        // Berlin: 02:00 → 03:00 on 2026-03-29, 03:00 → 02:00 on 2026-10-25.
        assert_eq!(
            dues("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
        );
        assert_eq!(
            dues("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
        );
        // What is due every hour is due every hour.
        assert_eq!(dues("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4).len(), 4);
    }

    #[test]
    fn should_find_the_last_time_as_well() {
        let time = CronTime::parse("0 3 * * 0", Tz::UTC).unwrap();
        assert_eq!(time.last_at(ms("2026-11-25T00:00:00Z")), Some(ms("2026-11-22T03:00:00Z")));
        assert_eq!(time.last_at(ms("2026-11-22T03:00:00Z")), Some(ms("2026-11-22T03:00:00Z")));
    }

    #[test]
    fn should_say_which_field_is_wrong() {
        let refusal = |cron: &str| CronTime::parse(cron, Tz::UTC).unwrap_err().to_string();
        assert!(refusal("61 3 * * 0").contains("\"61\" is no minute"), "{}", refusal("61 3 * * 0"));
        assert!(refusal("0 24 * * 0").contains("\"24\" is no hour"), "{}", refusal("0 24 * * 0"));
        assert!(refusal("0 3 0 * *").contains("is no day of month"));
        assert!(refusal("0 3 L * *").contains("is no day of month"));
        assert!(refusal("0 3 * foo *").contains("\"foo\" is no month"));
        assert!(refusal("0 3 * * 8").contains("\"8\" is no day of week"));
        assert!(refusal("0 3 * * fri#2").contains("is no day of week"));
        assert!(refusal("0 3 * *").contains("has 4 fields"));
        assert!(refusal("0 0 30 2 *").contains("never due"));
        let hint = CronTime::parse("@weekley", Tz::UTC).unwrap_err();
        assert_eq!(hint.hint_text(), Some("did you mean @weekly?"));
        assert_eq!(parse_zone("Europe/Berlim").unwrap_err().hint_text(), Some("did you mean Europe/Berlin?"));
    }
}
