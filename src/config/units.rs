//! Sizes and ages as configuration files write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::model::parse_bytes;

/// Bytes: `"512MiB"`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A time span: `"90d"`, `"4h"`, `"30m"`, `"45s"`, `"2w"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub Duration);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text with a unit, such as \"512MiB\", or a number of bytes")]
enum Written {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Written::deserialize(from)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => parse_bytes(&text).map(Self).map_err(de::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        parse_age(&text).map(Self).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a time span: write a whole number and w, d, h, m or s, as in 90d"
            ))
        })
    }
}

fn parse_age(text: &str) -> Option<Duration> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_read_time_spans() {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        assert_eq!((parse_age("90d"), parse_age("2 w"), parse_age("48h")), (days(90), days(14), days(2)));
        for bad in ["", "d", "90", "-1d", "1.5d", "9y", "99999999999999999w", "９d", "5é"] {
            assert_eq!(parse_age(bad), None, "{bad}");
        }
    }
}
