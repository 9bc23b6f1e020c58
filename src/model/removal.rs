//! Files that are removed, or would be.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a file is to its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A data file.
    Data,
    /// A delete file or deletion vector.
    Deletes,
    /// A manifest.
    Manifest,
    /// A manifest list.
    ManifestList,
    /// A statistics file.
    Statistics,
    /// A table metadata file.
    Metadata,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data files",
            Self::Deletes => "delete files",
            Self::Manifest => "manifests",
            Self::ManifestList => "manifest lists",
            Self::Statistics => "statistics files",
            Self::Metadata => "metadata files",
        })
    }
}

/// A number of files, and their bytes where they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Count {
    /// Counts one more file.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What was removed, or would be, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// By kind; kinds without files are absent.
    pub by_kind: BTreeMap<FileKind, Count>,
    /// Files that could not be removed, after several tries; they are orphans now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Files that are left alone because they lie outside of the table's locations.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside: u64,
}

impl Removal {
    /// Counts one file.
    pub fn add(&mut self, kind: FileKind, bytes: u64) {
        self.by_kind.entry(kind).or_default().add(bytes);
    }

    /// All files.
    pub fn files(&self) -> u64 {
        self.by_kind.values().map(|count| count.files).sum()
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.by_kind.values().map(|count| count.bytes).sum()
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.by_kind {
            let mine = self.by_kind.entry(*kind).or_default();
            mine.files += count.files;
            mine.bytes += count.bytes;
        }
        self.failed += other.failed;
        self.outside += other.outside;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
