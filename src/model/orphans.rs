//! Orphans: files below a table's locations that nothing refers to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Count, TableName};
use crate::error::{Error, Result};

/// An hour in milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// Which files may be called orphans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OrphanPolicy {
    /// Younger files may belong to a write that is not committed yet (milliseconds).
    pub older_than_ms: u64,
    /// Allows an age below a day, and a share of orphans above [`OrphanPolicy::MOST_SHARE`].
    pub i_know: bool,
    /// Where orphans are moved instead of being removed.
    pub quarantine: Option<String>,
    /// The most files removed in a second; no limit when absent.
    pub max_per_second: Option<u64>,
}

impl Default for OrphanPolicy {
    fn default() -> Self {
        Self { older_than_ms: 72 * HOUR_MS, i_know: false, quarantine: None, max_per_second: None }
    }
}

impl OrphanPolicy {
    /// The least age without [`OrphanPolicy::i_know`]: a writer may take that long from its first file to its commit.
    pub const LEAST_AGE_MS: u64 = 24 * HOUR_MS;
    /// When more than this share of all listed files looks like an orphan, something else is wrong.
    pub const MOST_SHARE: f64 = 0.9;
    /// So few orphans are removed whatever their share.
    pub const FEW: u64 = 100;

    /// Checks the options.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) for an age below a day without `i-know`.
    pub fn validate(&self) -> Result<()> {
        if self.older_than_ms < Self::LEAST_AGE_MS && !self.i_know {
            return Err(Error::invalid("older-than is less than 24 hours: files of running writers would be removed")
                .hint("take 1d or more, or add --i-know when nothing writes to the table"));
        }
        if self.max_per_second == Some(0) {
            return Err(Error::invalid("max-per-second is 0").hint("leave it out for no limit"));
        }
        Ok(())
    }
}

/// Why a file that nothing refers to is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanSkip {
    /// Younger than `older-than`.
    TooYoung,
    /// In a folder whose name begins with `_` or `.`, as other programs make them.
    Hidden,
    /// Not named like anything that an Iceberg writer makes.
    Foreign,
}

impl fmt::Display for OrphanSkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooYoung => "too young: a running write may be about to commit them",
            Self::Hidden => "in hidden folders, which other programs make",
            Self::Foreign => "not named like a file of an Iceberg table",
        })
    }
}

/// An orphan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Its location.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last modified, milliseconds since 1970.
    pub modified_ms: i64,
}

/// Which files nothing refers to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrphanPlan {
    /// The table.
    pub table: TableName,
    /// Its id.
    pub table_uuid: String,
    /// The metadata file that the plan was made from.
    pub metadata_location: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The policy it follows.
    pub policy: OrphanPolicy,
    /// The locations that were listed.
    pub locations: Vec<String>,
    /// Files that were listed.
    pub listed: Count,
    /// Files that are referred to.
    pub referenced: Count,
    /// Orphans, ordered by path; only as many as were asked for.
    pub orphans: Vec<Orphan>,
    /// All orphans.
    pub found: Count,
    /// Files that nothing refers to and that are left alone.
    pub left_alone: BTreeMap<OrphanSkip, Count>,
}

impl OrphanPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.found.files == 0
    }
}
