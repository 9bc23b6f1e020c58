//! Budgets: how much a run may cost.

use serde::{Deserialize, Deserializer};

use super::units::{Age, Size};
use crate::error::{Error, Result};
use crate::model::{closest, parse_age, parse_bytes};

/// How much a run may take. What is left out is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budget {
    /// Wall time.
    pub time: Option<Age>,
    /// Bytes read and written.
    pub bytes: Option<Size>,
    /// Tables.
    pub tables: Option<u64>,
    /// Money for compute.
    pub dollars: Option<Dollars>,
}

/// An amount of money, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(u64);

impl Dollars {
    /// Millionths of a dollar.
    pub fn micro(self) -> u64 {
        self.0
    }

    fn new(amount: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        (amount.is_finite() && (0.0..1e12).contains(&amount)).then(|| Self((amount * 1e6).round() as u64))
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected an amount such as 2.5")]
        enum Written {
            Whole(u32),
            Decimal(f64),
        }
        let amount = match Written::deserialize(from)? {
            Written::Whole(whole) => f64::from(whole),
            Written::Decimal(decimal) => decimal,
        };
        Self::new(amount).ok_or_else(|| serde::de::Error::custom("expected an amount such as 2.5"))
    }
}

/// Reads a budget from the command line: `bytes=2TiB,time=4h,tables=100,dollars=5`.
///
/// # Errors
/// `InvalidInput` that names the part that can't be read.
pub fn parse(text: &str) -> Result<Budget> {
    let mut budget = Budget::default();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = || {
            Error::invalid(format!("{part:?} is no part of a budget"))
                .hint("write bytes=2TiB,time=4h,tables=100,dollars=5; parts may be left out")
        };
        let (key, value) = part.split_once('=').ok_or_else(wrong)?;
        match key.trim() {
            "bytes" => budget.bytes = Some(Size(parse_bytes(value)?)),
            "time" => budget.time = Some(Age(parse_age(value)?)),
            "tables" => budget.tables = Some(value.trim().parse().map_err(|_| wrong())?),
            "dollars" => {
                let amount = value.trim().trim_start_matches('$').parse().ok().and_then(Dollars::new);
                budget.dollars = Some(amount.ok_or_else(wrong)?);
            }
            other => {
                let close = closest(other, ["bytes", "time", "tables", "dollars"]);
                return Err(match close {
                    Some(close) => wrong().hint(format!("did you mean {close}?")),
                    None => wrong(),
                });
            }
        }
    }
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_read_budgets_and_name_the_part_that_is_wrong() {
        let budget = parse("bytes=2TiB, time=4h,dollars=$2.50").unwrap();
        assert_eq!(budget.bytes, Some(Size(2 << 40)));
        assert_eq!((budget.time.map(|age| age.0.as_secs()), budget.tables), (Some(4 * 3600), None));
        assert_eq!(budget.dollars.map(Dollars::micro), Some(2_500_000));
        for bad in ["bytes", "bytes=much", "time=4", "tables=-1", "dollars=free", "dollars=-1", "byte=1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("byte=1").unwrap_err().hint_text(), Some("did you mean bytes?"));
    }
}
