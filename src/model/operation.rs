//! What may be done to a table.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One operation. The order is the one that a maintenance run follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Merge small data files.
    Compact,
    /// Merge small manifests.
    RewriteManifests,
    /// Let old snapshots and metadata versions go, with the files that only they reach.
    Expire,
    /// Remove files that nothing refers to.
    RemoveOrphans,
    /// Move ageing data to cheaper storage.
    Archive,
}

impl Operation {
    /// All of them, in the order of a maintenance run.
    pub const ALL: [Self; 5] =
        [Self::Compact, Self::RewriteManifests, Self::Expire, Self::RemoveOrphans, Self::Archive];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::RewriteManifests => "rewrite-manifests",
            Self::Expire => "expire",
            Self::RemoveOrphans => "remove-orphans",
            Self::Archive => "archive",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
