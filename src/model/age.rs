//! Time spans as people write them.

use std::time::Duration;

use crate::error::{Error, Result};

/// Parses `90d`, `2 w`, `48h`, `30m`, `45s`.
///
/// # Errors
/// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) when the text is no such span, or one of over 30,000 years.
pub fn parse_age(text: &str) -> Result<Duration> {
    span(text).ok_or_else(|| {
        Error::invalid(format!("{text:?} is not a time span"))
            .hint("write a whole number and w, d, h, m or s, as in 90d")
    })
}

fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?;
    // Ages are compared with milliseconds since 1970 in an i64.
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 1_000_000_000_000)?;
    Some(Duration::from_secs(seconds))
}

/// Writes milliseconds as an age for people: `45 s`, `30 min`, `6 h`, `12 d`.
pub fn human_age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_read_time_spans() {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        let parsed = |text: &str| parse_age(text).ok();
        assert_eq!((parsed("90d"), parsed("2 w"), parsed("48h")), (days(90), days(14), days(2)));
        for bad in ["", "d", "90", "-1d", "1.5d", "9y", "99999999999999999w", "９d", "5é"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn should_write_ages_for_people() {
        assert_eq!([human_age(-5), human_age(119_000), human_age(7_200_000)], ["0 s", "119 s", "2 h"]);
        assert_eq!(human_age(5 * 86_400_000), "5 d");
    }
}
