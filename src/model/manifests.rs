//! Rewriting manifests: which, and whether it pays.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{MIB, TableName, human_bytes};
use crate::error::{Error, Result};

/// How manifests should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestPolicy {
    /// `commit.manifest.target-size-bytes`: manifests are merged up to this size.
    pub target_size_bytes: u64,
    /// A rewrite pays when a scan has to open at least so many manifests fewer; at least 1.
    pub min_gain: u64,
    /// Rewrite whether it pays or not.
    pub rewrite_all: bool,
}

impl Default for ManifestPolicy {
    fn default() -> Self {
        Self { target_size_bytes: 8 * MIB, min_gain: 5, rewrite_all: false }
    }
}

impl ManifestPolicy {
    /// Checks the options.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) for a size of 0, or a gain of 0: then every run would
    /// rewrite everything.
    pub fn validate(&self) -> Result<()> {
        if self.target_size_bytes == 0 {
            return Err(Error::invalid("commit.manifest.target-size-bytes is 0").hint("8 MiB is the default"));
        }
        if self.min_gain == 0 {
            return Err(
                Error::invalid("min-gain is 0").hint("use 1, or --rewrite-all to rewrite whether it pays or not")
            );
        }
        Ok(())
    }
}

/// Why manifests are rewritten, or are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ManifestReason {
    /// Many small ones become few.
    TooMany {
        /// How many there are.
        now: u64,
        /// How many there would be.
        then: u64,
    },
    /// A scan of one partition opens many manifests, because each of them holds a bit of every partition.
    Scattered {
        /// How many manifests hold the files of one partition, on average, in hundredths.
        depth_hundredths: u64,
    },
    /// It was asked for.
    RewriteAll,
    /// Few enough, large enough, and sorted.
    GoodAsTheyAre {
        /// How many there are.
        now: u64,
    },
    /// They would hardly become fewer.
    TooLittleGain {
        /// How many there are.
        now: u64,
        /// How many there would be.
        then: u64,
        /// Their bytes.
        bytes: u64,
    },
}

impl ManifestReason {
    /// Whether it is a reason to rewrite.
    pub fn pays(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::Scattered { .. } | Self::RewriteAll)
    }
}

impl fmt::Display for ManifestReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { now, then } => write!(f, "{now} manifests would become {then}"),
            Self::Scattered { depth_hundredths } => {
                write!(f, "a partition is spread over {:.1} manifests", *depth_hundredths as f64 / 100.0)
            }
            Self::RewriteAll => f.write_str("asked for"),
            Self::GoodAsTheyAre { now } => write!(f, "{now} manifests, good as they are"),
            Self::TooLittleGain { now, then, bytes } => {
                write!(f, "{now} manifests of {} would become {then}: too little gain", human_bytes(*bytes))
            }
        }
    }
}

/// Manifests of one kind and one partition spec, to be merged and sorted by partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTask {
    /// Whether they list delete files.
    pub deletes: bool,
    /// Their partition spec.
    pub spec_id: i32,
    /// Why they are rewritten, or are not.
    #[serde(flatten)]
    pub why: ManifestReason,
    /// The manifests; empty when they are left alone.
    pub manifests: Vec<String>,
    /// How many there are.
    pub before: u64,
    /// Their bytes.
    pub bytes: u64,
    /// About how many there will be.
    pub after: u64,
}

/// Which manifests are rewritten, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPlan {
    /// The table.
    pub table: TableName,
    /// Its id.
    pub table_uuid: String,
    /// The snapshot that the plan was made from; `None` for a table without data.
    pub snapshot_id: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// The policy it follows.
    pub policy: ManifestPolicy,
    /// Groups of manifests, those that are left alone too.
    pub tasks: Vec<ManifestTask>,
}

impl ManifestPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.tasks.iter().all(|task| task.manifests.is_empty())
    }

    /// Manifests before and (about) after.
    pub fn counts(&self) -> (u64, u64) {
        let before = self.tasks.iter().map(|task| task.before).sum();
        let after =
            self.tasks.iter().map(|task| if task.manifests.is_empty() { task.before } else { task.after }).sum();
        (before, after)
    }
}
