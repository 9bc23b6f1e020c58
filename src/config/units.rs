//! Sizes and ages as configuration files write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::model::{parse_age, parse_bytes};

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
        parse_age(&text).map(Self).map_err(|e| de::Error::custom(format!("{e}: {}", e.hint_text().unwrap_or_default())))
    }
}
