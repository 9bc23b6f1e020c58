//! Expiry: which snapshots, references and metadata versions go, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Removal, TableName, TierPlace};
use crate::error::{Error, Result};

/// A day in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// How much history is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExpirePolicy {
    /// So many snapshots of `main` are always kept.
    pub retain_min: u64,
    /// No more snapshots of `main` than this are kept, unless a tag or branch holds them or they are very young.
    pub retain_max: u64,
    /// Between the two, snapshots older than this go (milliseconds; `history.expire.max-snapshot-age-ms`).
    pub older_than_ms: u64,
    /// Nothing younger than this goes, whatever else is said: readers may be at work on it (milliseconds).
    pub min_age_ms: u64,
    /// So many snapshots of every other branch are kept, unless it says otherwise itself
    /// (`history.expire.min-snapshots-to-keep`).
    pub branch_min: u64,
    /// Branches and tags older than this go, unless they say otherwise themselves (`history.expire.max-ref-age-ms`).
    pub max_ref_age_ms: Option<u64>,
    /// Only these snapshots go.
    pub snapshot_ids: Vec<i64>,
    /// Partition specs and schemas that nothing uses go too.
    pub clean_expired_metadata: bool,
    /// So many older metadata files stay in the log (`write.metadata.previous-versions-max`).
    pub previous_versions_max: u64,
    /// Files are removed at this rate at most; as fast as the store can when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_second: Option<u64>,
    /// Storage tiers: the table's folders in them are its own, and what expires is removed from there too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierPlace>,
}

impl Default for ExpirePolicy {
    fn default() -> Self {
        Self {
            retain_min: 10,
            retain_max: 20,
            older_than_ms: 5 * DAY_MS,
            min_age_ms: 2 * 3_600_000,
            branch_min: 1,
            max_ref_age_ms: None,
            snapshot_ids: Vec::new(),
            clean_expired_metadata: false,
            previous_versions_max: 20,
            max_per_second: None,
            tiers: Vec::new(),
        }
    }
}

impl ExpirePolicy {
    /// Checks the options against one another.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) naming the two options that contradict each other.
    pub fn validate(&self) -> Result<()> {
        if self.retain_min == 0 {
            return Err(Error::invalid("retain-min is 0: a table keeps its current snapshot").hint("use at least 1"));
        }
        if self.retain_min > self.retain_max {
            return Err(Error::invalid(format!(
                "retain-min ({}) is above retain-max ({})",
                self.retain_min, self.retain_max
            ))
            .hint("retain-min is how many snapshots are always kept, retain-max how many at most"));
        }
        if self.branch_min == 0 {
            return Err(Error::invalid("history.expire.min-snapshots-to-keep is 0")
                .hint("a branch keeps its newest snapshot: use at least 1"));
        }
        if self.max_per_second == Some(0) {
            return Err(Error::invalid("max-per-second is 0").hint("leave it out for no limit"));
        }
        if self.previous_versions_max == 0 {
            return Err(Error::invalid("previous-versions-max is 0").hint("keep at least 1 older metadata file"));
        }
        Ok(())
    }
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum KeepReason {
    /// A branch points at it.
    Head {
        /// The branch.
        branch: String,
    },
    /// A tag points at it.
    Tagged {
        /// The tag.
        tag: String,
    },
    /// Among the newest of a branch that are always kept.
    AmongNewest {
        /// The branch.
        branch: String,
        /// How many are kept.
        min: u64,
    },
    /// Old, but an even older one of the branch is kept: a history has no gaps.
    Between {
        /// The branch.
        branch: String,
    },
    /// Not old enough.
    NotOld,
    /// So young that readers may be at work on it.
    TooYoung,
    /// Other snapshots were named.
    NotNamed,
}

/// Why a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ExpireReason {
    /// `main` has more than it may have, and no tag or branch holds it.
    BeyondMax {
        /// How many may stay.
        max: u64,
    },
    /// Old, and not among those that are always kept.
    TooOld,
    /// Old, and on no branch or tag.
    Unreferenced,
    /// It was named.
    Named,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head { branch } => write!(f, "head of branch {branch}"),
            Self::Tagged { tag } => write!(f, "tagged {tag}"),
            Self::AmongNewest { branch, min } => write!(f, "among the newest {min} of {branch}"),
            Self::Between { branch } => write!(f, "an older one of {branch} is kept"),
            Self::NotOld => f.write_str("not old enough"),
            Self::TooYoung => f.write_str("younger than min-age"),
            Self::NotNamed => f.write_str("not named"),
        }
    }
}

impl fmt::Display for ExpireReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondMax { max } => write!(f, "more than {max} on main"),
            Self::TooOld => f.write_str("too old"),
            Self::Unreferenced => f.write_str("old, and on no branch or tag"),
            Self::Named => f.write_str("named"),
        }
    }
}

/// A snapshot that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredSnapshot {
    /// Its id.
    pub id: i64,
    /// When it was made, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Why.
    #[serde(flatten)]
    pub why: ExpireReason,
}

/// A snapshot that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSnapshot {
    /// Its id.
    pub id: i64,
    /// When it was made, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Why.
    #[serde(flatten)]
    pub why: KeepReason,
}

/// A branch or tag that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredRef {
    /// Its name.
    pub name: String,
    /// The age that it may have, in milliseconds.
    pub max_age_ms: u64,
}

/// What expires, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpirePlan {
    /// The table.
    pub table: TableName,
    /// Its id, so that a table of the same name made anew is not mistaken for it.
    pub table_uuid: String,
    /// The metadata file that the plan was made from.
    pub metadata_location: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The policy it follows.
    pub policy: ExpirePolicy,
    /// Snapshots that go, oldest first.
    pub expired: Vec<ExpiredSnapshot>,
    /// Snapshots that stay, oldest first.
    pub kept: Vec<KeptSnapshot>,
    /// Branches and tags that go.
    pub refs: Vec<ExpiredRef>,
    /// Partition specs that go.
    pub specs: Vec<i32>,
    /// Schemas that go.
    pub schemas: Vec<i32>,
    /// Older metadata files in the log now.
    pub metadata_versions: u64,
    /// The log is longer than it should be: `write.metadata.previous-versions-max` is set to this.
    pub trim_log_to: Option<u64>,
    /// What becomes free, where it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frees: Option<Removal>,
}

impl ExpirePlan {
    /// Whether the metadata would stay as it is.
    pub fn is_empty(&self) -> bool {
        self.expired.is_empty()
            && self.refs.is_empty()
            && self.specs.is_empty()
            && self.schemas.is_empty()
            && self.trim_log_to.is_none()
    }
}
