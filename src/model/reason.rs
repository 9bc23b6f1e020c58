//! Why something was done, or was not. Every decision has one, also "nothing".
//!
//! [`std::fmt::Display`] gives the words for people; the serialised form is stable for machines and metric labels.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Codec, KeepSpec, human_bytes};

/// Why a file is a candidate for a rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum PickReason {
    /// Smaller than `min-file-size-bytes`.
    TooSmall,
    /// Larger than `max-file-size-bytes`.
    TooLarge,
    /// Compressed with another codec than the policy's.
    WrongCodec {
        /// The codec that holds most of its bytes.
        found: Codec,
    },
    /// So many delete files apply to it that `delete-file-threshold` is reached.
    TooManyDeletes {
        /// Delete files that apply.
        delete_files: u64,
    },
    /// So many of its rows are deleted that `delete-ratio-threshold` is reached.
    HighDeleteRatio {
        /// About how many rows are deleted.
        deleted: u64,
    },
    /// Deletes apply to it, and those are written anew.
    HasDeletes {
        /// Delete files that apply.
        delete_files: u64,
    },
    /// Its rows are not known to be in the wanted order.
    NotInOrder,
    /// In order, but its values are spread over those of files that are rewritten, or of too many others.
    Overlaps,
    /// `rewrite-all` was asked for.
    RewriteAll,
    /// Its newest row is so old that it belongs to another tier.
    Ageing {
        /// The age of its newest row in days.
        days: i64,
    },
    /// A tier was named for it.
    Asked,
    /// `output-spec-id` was asked for, and it has another one.
    OtherSpec {
        /// Its spec.
        spec_id: i32,
    },
}

/// Why a group of files is worth a rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum TaskReason {
    /// At least `min-input-files` files become fewer.
    EnoughFiles {
        /// Candidates in the group.
        files: u64,
    },
    /// The candidates fill a whole file of the target size.
    EnoughContent {
        /// Their bytes.
        bytes: u64,
    },
    /// A file above the maximum size is cut.
    SplitLarge,
    /// Enough content in another codec.
    Recompress,
    /// Too many deletes apply to its files.
    Deletes {
        /// Files with too many deletes.
        files: u64,
    },
    /// Equality deletes become positions, which readers apply without comparing rows; small files of positions are merged
    /// on the way. Both become deletion vectors from format version 3 on.
    Convert {
        /// Equality delete files.
        equality: u64,
        /// Files of positions.
        positions: u64,
    },
    /// At least `min-input-files` small files of positions become fewer.
    ManyDeleteFiles {
        /// Small files of positions.
        files: u64,
    },
    /// At least `min-input-files` small files of deletion vectors become fewer.
    ManyVectorFiles {
        /// Small files of deletion vectors.
        files: u64,
    },
    /// Files that are not in the wanted order, or that lie over one another.
    Arrange {
        /// Files that are not in order.
        files: u64,
        /// Files in order that lie over others.
        overlapping: u64,
    },
    /// Files of older partition specs move to the current one.
    NewSpec {
        /// Files of older specs.
        files: u64,
        /// About how many partitions their rows move to; 0 when that can't be told.
        partitions: u64,
    },
    /// `rewrite-all` was asked for.
    RewriteAll,
    /// It moves to another tier.
    Archive {
        /// The tier.
        tier: String,
    },
}

/// Why a file or a table was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum SkipReason {
    /// Its size and codec are as wanted.
    GoodAsItIs,
    /// The only candidate in its partition.
    AloneInPartition,
    /// Too few candidates in the group, and too little content.
    TooFewFiles {
        /// Candidates in the group.
        files: u64,
        /// What `min-input-files` asks for.
        min: u64,
    },
    /// The group would come out as no fewer files.
    NoGain,
    /// Its size and codec are as wanted, and few of its rows are deleted.
    FewDeletes {
        /// Delete files that apply.
        delete_files: u64,
        /// About how many rows are deleted.
        deleted: u64,
    },
    /// Only deletes were to be rewritten, and none applies to it.
    NoDeletes,
    /// Only deletes were to be rewritten, and those that apply to it are few and positions already, or others need them.
    DeletesStay {
        /// Delete files that apply.
        delete_files: u64,
    },
    /// Not in the wanted order, but with too few bytes beside those that are to be worth a rewrite.
    FewOutOfOrder {
        /// Files of the partition that are not in order.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A delete file applies to it that can't be applied.
    UnsupportedDeletes(Box<UnsupportedDelete>),
    /// Not a Parquet file.
    NotParquet,
    /// Encrypted.
    Encrypted,
    /// Its size and codec are as wanted; it moves to the current partition spec if `output-spec-id` asks for that.
    OldSpec {
        /// Its spec.
        spec_id: i32,
    },
    /// It stays in an older partition spec.
    KeepsSpec {
        /// Its spec.
        spec_id: i32,
        /// Why it does not move to the current one.
        #[serde(flatten)]
        why: Box<KeepSpec>,
    },
    /// The `--where` filter rules it out.
    FilteredOut,
    /// It is in a colder tier, and compaction leaves that alone.
    InTier {
        /// The tier.
        tier: Box<str>,
    },
    /// The group did not fit into `max-files-to-rewrite`.
    OverLimit,
    /// Its footer has something that a rewrite would not keep.
    UnsupportedContent {
        /// What it is.
        what: Box<str>,
    },
}

// A table's million files have one each.
const _: () = assert!(size_of::<SkipReason>() <= 24);

/// A delete file that can't be applied. Apart from the other reasons, because these come by the million.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsupportedDelete {
    /// The delete file.
    pub delete_file: String,
    /// What is not supported about it.
    pub what: String,
}

/// Why a group is copied, or has to be encoded anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum RouteReason {
    /// Codec, schema, row groups and encodings of all inputs fit: column chunks are copied byte for byte.
    AllFit,
    /// An input is in another codec.
    CodecDiffers {
        /// The codec found.
        found: Codec,
    },
    /// An input is in a codec of which not even pages are moved: every value is encoded anew.
    PagesStay {
        /// The codec found.
        found: Codec,
    },
    /// The inputs' row groups are too small to be kept.
    RowGroupsTooSmall {
        /// Their average compressed bytes.
        average: u64,
    },
    /// An input's row group is larger than an output may be.
    RowGroupTooLarge,
    /// The inputs' physical schemas differ, or are not the current one.
    SchemaDiffers,
    /// An input has encodings or pages outside the profile, or does not say which it has.
    OutsideProfile,
    /// A footer was not read.
    FooterUnknown,
    /// A sample says that the tier's encoding makes it smaller.
    BetterEncoding {
        /// Output bytes for a hundred input bytes.
        percent: u64,
    },
    /// The tier encodes whatever comes to it.
    AlwaysEncoded,
    /// Deleted rows have to be left out.
    DeletesApply,
    /// Only deletes were to be rewritten.
    OnlyDeletes,
    /// Rows keep their ids: they are written out, since rows of several files come together.
    RowLineage,
    /// Rows are put into their partitions.
    Partitioned,
    /// Rows are put in order.
    Arranged {
        /// In which.
        order: String,
    },
}

impl RouteReason {
    /// Whether both are the same but for figures.
    pub fn is_like(&self, other: &Self) -> bool {
        let figures = matches!(self, Self::RowGroupsTooSmall { .. } | Self::BetterEncoding { .. });
        self == other || (figures && std::mem::discriminant(self) == std::mem::discriminant(other))
    }
}

impl fmt::Display for PickReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall => f.write_str("too small"),
            Self::TooLarge => f.write_str("too large"),
            Self::WrongCodec { found } => write!(f, "in {found}"),
            Self::TooManyDeletes { delete_files } => write!(f, "{delete_files} delete files"),
            Self::HighDeleteRatio { deleted } => write!(f, "{deleted} deleted rows"),
            Self::HasDeletes { delete_files: 1 } => f.write_str("a delete file"),
            Self::HasDeletes { delete_files } => write!(f, "{delete_files} delete files"),
            Self::NotInOrder => f.write_str("not in order"),
            Self::Overlaps => f.write_str("overlaps others"),
            Self::RewriteAll => f.write_str("rewrite-all"),
            Self::Ageing { days } => write!(f, "{days} days old"),
            Self::Asked => f.write_str("asked for"),
            Self::OtherSpec { spec_id } => write!(f, "of partition spec {spec_id}"),
        }
    }
}

impl fmt::Display for TaskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnoughFiles { files } => write!(f, "{files} small files"),
            Self::EnoughContent { bytes } => write!(f, "enough for a full file ({})", human_bytes(*bytes)),
            Self::SplitLarge => f.write_str("a file too large"),
            Self::Arrange { files, overlapping: 0 } => write!(f, "{files} files not in order"),
            Self::Arrange { files: 0, overlapping } => write!(f, "{overlapping} files that overlap"),
            Self::Arrange { files, overlapping } => {
                write!(f, "{files} files not in order, {overlapping} that they overlap")
            }
            Self::Recompress => f.write_str("another codec"),
            Self::Deletes { files: 1 } => f.write_str("a file with too many deletes"),
            Self::Deletes { files } => write!(f, "{files} files with too many deletes"),
            Self::Convert { equality: 0, positions } => write!(f, "{positions} files of positions"),
            Self::Convert { equality, positions: 0 } => write!(f, "{equality} files of equality deletes"),
            Self::Convert { equality, positions } => {
                write!(f, "{equality} files of equality deletes and {positions} of positions")
            }
            Self::ManyDeleteFiles { files } => write!(f, "{files} small files of positions"),
            Self::ManyVectorFiles { files } => write!(f, "{files} small files of deletion vectors"),
            Self::NewSpec { files, partitions: 0 } => write!(f, "{files} files of an older spec"),
            Self::NewSpec { files, partitions: 1 } => write!(f, "{files} files of an older spec belong to a partition"),
            Self::NewSpec { files, partitions } => {
                write!(f, "{files} files of an older spec belong to about {partitions} partitions")
            }
            Self::RewriteAll => f.write_str("rewrite-all"),
            Self::Archive { tier } => write!(f, "belongs to {tier}"),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoodAsItIs => f.write_str("good as it is"),
            Self::AloneInPartition => f.write_str("the only candidate in its partition"),
            Self::TooFewFiles { files, min } => write!(f, "{files} candidates, fewer than {min}"),
            Self::NoGain => f.write_str("would not become fewer files"),
            Self::FewDeletes { delete_files, deleted } => {
                write!(f, "{delete_files} delete files apply to it, but only {deleted} rows are deleted")
            }
            Self::NoDeletes => f.write_str("no delete applies to it"),
            Self::DeletesStay { delete_files } => {
                write!(
                    f,
                    "{delete_files} delete files apply to it, which are good as they are or needed by other files"
                )
            }
            Self::UnsupportedDeletes(delete) => {
                write!(f, "{} applies to it, which {}", delete.delete_file, delete.what)
            }
            Self::FewOutOfOrder { files, bytes } => {
                write!(f, "not in order, but only {files} files with {} are", human_bytes(*bytes))
            }
            Self::NotParquet => f.write_str("not a Parquet file"),
            Self::Encrypted => f.write_str("encrypted"),
            Self::OldSpec { spec_id } => write!(f, "good as it is, in the older partition spec {spec_id}"),
            Self::KeepsSpec { spec_id, why } => write!(f, "stays in the older partition spec {spec_id}: {why}"),
            Self::FilteredOut => f.write_str("ruled out by --where"),
            Self::InTier { tier } => write!(f, "in the {tier} tier"),
            Self::OverLimit => f.write_str("beyond max-files-to-rewrite"),
            Self::UnsupportedContent { what } => write!(f, "has {what}, which a rewrite would not keep"),
        }
    }
}

impl fmt::Display for RouteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllFit => f.write_str("codec, schema and row groups fit"),
            Self::CodecDiffers { found } => write!(f, "inputs in {found}"),
            Self::PagesStay { found } => write!(f, "inputs in {found}, whose pages are not moved"),
            Self::RowGroupsTooSmall { average } => write!(f, "row groups of {} are too small", human_bytes(*average)),
            Self::RowGroupTooLarge => f.write_str("a row group larger than an output"),
            Self::SchemaDiffers => f.write_str("inputs not in the current schema"),
            Self::OutsideProfile => f.write_str("encodings outside the profile"),
            Self::FooterUnknown => f.write_str("a footer was not read"),
            Self::BetterEncoding { percent } => write!(f, "comes out at {percent} % of its size"),
            Self::AlwaysEncoded => f.write_str("the tier encodes everything anew"),
            Self::DeletesApply => f.write_str("deleted rows are left out"),
            Self::OnlyDeletes => f.write_str("data files stay as they are"),
            Self::RowLineage => f.write_str("row ids are written out"),
            Self::Partitioned => f.write_str("rows go to their partitions"),
            Self::Arranged { order } => f.write_str(order),
        }
    }
}
