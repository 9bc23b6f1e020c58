//! Deletes in plans and outcomes: which apply to what, and what becomes of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DeleteContent, DeleteFile, FileFormat};

/// The reserved field id of `file_path` in position delete files (spec, "Reserved Field IDs").
pub const DELETE_FILE_PATH: i32 = 2_147_483_546;
/// The reserved field id of `pos` in them.
pub const DELETE_POS: i32 = 2_147_483_545;

/// Names one delete: a delete file, or one deletion vector of a file that holds several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeleteKey {
    /// Location of the file.
    pub path: String,
    /// Where a deletion vector begins in it; absent for other delete files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl fmt::Display for DeleteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} at {offset}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

impl DeleteContent {
    /// Whether a delete with this data sequence number is new enough for a data file with that one (spec, "Scan
    /// Planning"): positions may be deleted in the commit that adds the file, equality deletes reach older files only.
    pub fn reaches(self, delete: i64, data: i64) -> bool {
        match self {
            Self::Position => data <= delete,
            Self::Equality => data < delete,
        }
    }
}

/// A delete that applies to inputs of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDelete {
    /// Which.
    #[serde(flatten)]
    pub key: DeleteKey,
    /// Positions or equality.
    pub content: DeleteContent,
    /// Its format.
    pub format: FileFormat,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of a deletion vector in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Deleted positions, or rows of an equality delete.
    pub records: u64,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Field ids of an equality delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equality_ids: Vec<i32>,
    /// A deletion vector that is written to another file even if it stays as it is: its own file is too small.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moves: bool,
}

impl TaskDelete {
    /// The bytes that reading it takes.
    pub fn bytes(&self) -> u64 {
        self.length.unwrap_or(self.size)
    }
}

impl From<&DeleteFile> for TaskDelete {
    fn from(delete: &DeleteFile) -> Self {
        Self {
            key: delete.key(),
            content: delete.content,
            format: delete.format,
            size: delete.size,
            length: delete.vector.map(|blob| blob.length),
            records: delete.records,
            sequence_number: delete.sequence_number,
            equality_ids: delete.equality_ids.clone(),
            moves: false,
        }
    }
}

/// A delete that a task applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedDelete {
    /// Which.
    #[serde(flatten)]
    pub key: DeleteKey,
    /// Whether it may have deleted a row of the inputs. Positions that name none of them may vanish without harm.
    pub used: bool,
    /// For positions: the files that it names besides the task's inputs, if it was read to the end and they are not too
    /// many. Only such a list can tell that a file of a whole partition's positions is no longer needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Vec<String>>,
    /// It stays: a deletion vector that already says what a new one of its file would.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

/// What becomes of a live delete file, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum DeleteFate {
    /// No live data file can match it any more: it goes.
    NothingLeft,
    /// Every data file that it applies to is rewritten: it goes in the same commit.
    AllRewritten {
        /// How many files those are.
        files: u64,
    },
    /// Its deletes are written anew, for every data file that it applies to: it goes in the same commit.
    WrittenAnew {
        /// How many files those are.
        files: u64,
    },
    /// It stays: it applies to files that are not rewritten.
    StillApplies {
        /// How many files those are.
        files: u64,
    },
}

impl DeleteFate {
    /// Whether the delete file goes.
    pub fn goes(&self) -> bool {
        match self {
            Self::NothingLeft | Self::AllRewritten { .. } | Self::WrittenAnew { .. } => true,
            Self::StillApplies { .. } => false,
        }
    }
}

impl fmt::Display for DeleteFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingLeft => f.write_str("goes: no live data file can match it"),
            Self::AllRewritten { files } => write!(f, "goes: all {files} files that it applies to are rewritten"),
            Self::WrittenAnew { files } => write!(f, "goes: its positions in {files} files are written anew"),
            Self::StillApplies { files } => write!(f, "stays: applies to {files} files that are not rewritten"),
        }
    }
}

/// A live delete file in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDelete {
    /// Which.
    #[serde(flatten)]
    pub key: DeleteKey,
    /// Positions or equality.
    pub content: DeleteContent,
    /// Its bytes.
    pub size: u64,
    /// Deleted positions, or rows of an equality delete.
    pub records: u64,
    /// What becomes of it, as far as the plan can tell.
    #[serde(flatten)]
    pub fate: DeleteFate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_reach_files_as_the_spec_says() {
        let reaches = |content: DeleteContent| [4, 5, 6].map(|data| content.reaches(5, data));
        assert_eq!(reaches(DeleteContent::Position), [true, true, false]);
        assert_eq!(reaches(DeleteContent::Equality), [true, false, false]);
    }
}
