//! Orphans: files below a table's locations that nothing refers to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Count, FileKind, TableName};
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
    /// A symbolic link, or reached through one.
    Linked,
    /// The table refers to a file of this name in a place that is not its own: it may be the same file by another name.
    SameName,
}

impl fmt::Display for OrphanSkip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooYoung => "too young: a running write may be about to commit them",
            Self::Hidden => "in hidden folders, which other programs make",
            Self::Foreign => "not named like a file of an Iceberg table",
            Self::Linked => "reached through a symbolic link",
            Self::SameName => "the table refers to a file of that name elsewhere: it may be the same one",
        })
    }
}

/// What the name and the age of a file that nothing refers to say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It is an orphan.
    Orphan,
    /// Left alone, and worth a word.
    Left(OrphanSkip),
    /// It belongs to the table although no metadata names it, as `version-hint.text` does.
    Kept,
}

/// Endings of files that Iceberg's writers make.
const ENDINGS: [&str; 7] = [".parquet", ".orc", ".avro", ".puffin", ".stats", ".metadata.json", ".metadata.json.gz"];

/// Judges a file that nothing refers to by its path below the table's location. `partition_fields` are the names of all
/// the table's partition fields: a folder such as `_day=5` is no hidden one if there is such a field.
pub fn judge(relative: &str, age_ms: i64, older_than_ms: u64, partition_fields: &[String]) -> Judged {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    if name == "version-hint.text" {
        return Judged::Kept;
    }
    let hidden = |segment: &str| {
        let of_partition =
            segment.split_once('=').is_some_and(|(field, _)| partition_fields.iter().any(|f| f == field));
        segment.starts_with(['_', '.']) && !of_partition
    };
    if relative.split('/').any(hidden) {
        return Judged::Left(OrphanSkip::Hidden);
    }
    if !ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending)) {
        return Judged::Left(OrphanSkip::Foreign);
    }
    if age_ms < i64::try_from(older_than_ms).unwrap_or(i64::MAX) {
        return Judged::Left(OrphanSkip::TooYoung);
    }
    Judged::Orphan
}

/// What an orphan was, as far as its name tells.
pub fn orphan_kind(path: &str) -> FileKind {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let in_metadata = folder.ends_with("/metadata");
    match name {
        _ if name.ends_with(".metadata.json") || name.ends_with(".metadata.json.gz") => FileKind::Metadata,
        _ if name.starts_with("snap-") && name.ends_with(".avro") => FileKind::ManifestList,
        _ if in_metadata && name.ends_with(".avro") => FileKind::Manifest,
        _ if in_metadata || name.ends_with(".stats") => FileKind::Statistics,
        _ if name.ends_with(".puffin") || name.contains("-deletes.") || name.contains("-delete-") => FileKind::Deletes,
        _ => FileKind::Data,
    }
}

/// What was found below one location.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationCount {
    /// Files that were listed.
    pub listed: Count,
    /// Orphans among them.
    pub orphans: Count,
}

impl LocationCount {
    /// Whether nearly everything looks like an orphan: then it is the table that is looked at wrongly.
    pub fn is_suspicious(&self) -> bool {
        self.orphans.files > OrphanPolicy::FEW
            && self.orphans.files as f64 > self.listed.files as f64 * OrphanPolicy::MOST_SHARE
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
    /// The locations that were listed, and what is there.
    pub locations: BTreeMap<String, LocationCount>,
    /// Files that were listed.
    pub listed: Count,
    /// Those of them that are referred to.
    pub referenced: Count,
    /// Files that are referred to and lie outside of the table's locations. They were not looked at.
    pub elsewhere: u64,
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

    /// Whether the plan names every orphan: only then can it be applied.
    pub fn is_complete(&self) -> bool {
        self.orphans.len() as u64 == self.found.files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_judge_by_name_and_age() {
        let day = 24 * 3_600_000;
        let fields = vec!["_day".to_owned(), "ts_year".to_owned()];
        let at = |path: &str, age: i64| judge(path, age, 3 * 24 * HOUR_MS, &fields);
        for orphan in [
            "data/ts_year=2024/00000-0-a.parquet",
            "data/_day=5/x.orc",
            "metadata/snap-1-2-a.avro",
            "metadata/00001-a.gz.metadata.json",
            "metadata/v3.metadata.json.gz",
            "data/dv.puffin",
        ] {
            assert_eq!(at(orphan, 3 * day), Judged::Orphan, "{orphan}");
            assert_eq!(at(orphan, 3 * day - 1), Judged::Left(OrphanSkip::TooYoung), "{orphan}");
            assert_eq!(at(orphan, -5), Judged::Left(OrphanSkip::TooYoung), "{orphan}");
        }
        for hidden in ["_checkpoints/0/x.parquet", "data/.tmp/x.parquet", "data/_SUCCESS", "data/_other=5/x.parquet"] {
            assert_eq!(at(hidden, 9 * day), Judged::Left(OrphanSkip::Hidden), "{hidden}");
        }
        for foreign in ["offsets/12", "commits/3", "state/0/1.delta", "README.md", "data/.parquet/x", "data/parquet"] {
            assert!(matches!(at(foreign, 9 * day), Judged::Left(_)), "{foreign}");
        }
        assert_eq!(at("metadata/version-hint.text", 9 * day), Judged::Kept);
        assert_eq!(orphan_kind("s3://b/t/metadata/a-m0.avro"), FileKind::Manifest);
        assert_eq!(orphan_kind("s3://b/t/metadata/1-2.stats"), FileKind::Statistics);
        assert_eq!(orphan_kind("s3://b/t/data/00000-deletes.parquet"), FileKind::Deletes);
        assert_eq!(orphan_kind("s3://b/t/data/x.avro"), FileKind::Data);
    }

    #[test]
    fn should_be_suspicious_of_a_large_share_of_many() {
        let count = |files| Count { files, bytes: 0 };
        let seen = |listed, orphans| LocationCount { listed: count(listed), orphans: count(orphans) }.is_suspicious();
        assert!(seen(1000, 901));
        assert!(!seen(1000, 900));
        assert!(!seen(100, 100), "few are removed whatever their share");
    }

    #[test]
    fn should_refuse_ages_below_a_day() {
        let with = |hours: u64, i_know| OrphanPolicy { older_than_ms: hours * HOUR_MS, i_know, ..Default::default() };
        assert!(with(24, false).validate().is_ok() && with(0, true).validate().is_ok());
        assert_eq!(with(23, false).validate().unwrap_err().kind(), crate::error::Kind::InvalidInput);
    }
}
