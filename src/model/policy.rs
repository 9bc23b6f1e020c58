//! What the owner wants: resolved and validated once, before anything is read.

use serde::{Deserialize, Serialize};

use super::{Arrangement, Codec, Filter, GIB, MIB, TierPlace};
use crate::error::{Error, Result};

/// Which Parquet encodings may be written (I13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodingProfile {
    /// What every reader in the field has: v1 data pages, PLAIN and dictionary, booleans PLAIN.
    Compatible,
    /// Delta and byte-stream-split encodings too. Some readers refuse them.
    Modern,
}

/// In which order groups are rewritten (`rewrite-job-order`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobOrder {
    /// By partition.
    None,
    /// Fewest bytes first.
    BytesAsc,
    /// Most bytes first.
    BytesDesc,
    /// Fewest files first.
    FilesAsc,
    /// Most files first.
    FilesDesc,
}

/// How much is compared before a commit (I3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Row counts, null counts and value bounds.
    Stats,
    /// Also an order-free hash of every column, read back from what was written.
    Content,
}

/// Committing in batches of groups (`partial-progress.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialProgress {
    /// Whether groups are committed in batches as they finish; otherwise all at the end.
    pub enabled: bool,
    /// The most commits that one run makes.
    pub max_commits: u64,
    /// At least so many milliseconds lie between two commits of a run: a short run makes one snapshot, a long one never
    /// loses more than this to a conflict or a crash.
    pub min_interval_ms: u64,
}

/// The policy of a compaction. Names and defaults follow Iceberg's `rewrite_data_files`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CompactPolicy {
    /// `target-file-size-bytes`: the upper edge of the band; outputs are between half of it and it.
    pub target_file_size_bytes: u64,
    /// `min-file-size-bytes`: smaller files are candidates. Default 75 % of the target.
    pub min_file_size_bytes: u64,
    /// `max-file-size-bytes`: larger files are cut. Default 180 % of the target.
    pub max_file_size_bytes: u64,
    /// `min-input-files`: so many candidates make a group worth a rewrite.
    pub min_input_files: u64,
    /// `delete-file-threshold`: a file with so many delete files is a candidate.
    pub delete_file_threshold: u64,
    /// `delete-ratio-threshold`: a file with this share of deleted rows is a candidate; all kinds of deletes count.
    pub delete_ratio_threshold: f64,
    /// `remove-dangling-deletes`: delete files that no live data file can match are removed.
    pub remove_dangling_deletes: bool,
    /// `max-file-group-size-bytes`: the most bytes in one task.
    pub max_file_group_size_bytes: u64,
    /// `max-files-to-rewrite`: the most input files of a run.
    pub max_files_to_rewrite: Option<u64>,
    /// `rewrite-all`: every file is a candidate and every group is worth it.
    pub rewrite_all: bool,
    /// `strategy`: how rows are arranged in the files of a partition.
    #[serde(default, skip_serializing_if = "Arrangement::is_bin_pack")]
    pub arrangement: Arrangement,
    /// `output-spec-id`: the partition spec that all files are to be in; the current one, where that is worth it, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_spec_id: Option<i32>,
    /// `rewrite-job-order`.
    pub rewrite_job_order: JobOrder,
    /// `max-concurrent-file-group-rewrites`.
    pub max_concurrent_file_group_rewrites: u64,
    /// `partial-progress.*`.
    pub partial_progress: PartialProgress,
    /// The codec of outputs; always ZSTD for now.
    pub codec: Codec,
    /// The ZSTD level of outputs, 1 to 22.
    pub zstd_level: i32,
    /// Encodings of outputs.
    pub encodings: EncodingProfile,
    /// Most rows in a row group of an output.
    pub row_group_rows: u64,
    /// About how many compressed bytes a row group of an output may have (`write.parquet.row-group-size-bytes`).
    pub row_group_bytes: u64,
    /// Row groups that are smaller than this on average are not copied but encoded into larger ones.
    pub copy_min_row_group_bytes: u64,
    /// What is compared before a commit.
    pub verify: Verify,
    /// Which rows' files are looked at; all of them without a filter.
    pub filter: Option<Filter>,
    /// Storage tiers, hottest first: what is in a colder one is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierPlace>,
    /// Data files stay as they are; their deletes are rewritten instead (`--deletes`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_deletes: bool,
    /// About how large a delete file may become (`write.delete.target-file-size-bytes`).
    #[serde(default = "delete_file_bytes")]
    pub target_delete_file_size_bytes: u64,
}

/// Iceberg's default.
const fn delete_file_bytes() -> u64 {
    64 * MIB
}

impl Default for CompactPolicy {
    fn default() -> Self {
        Self {
            target_file_size_bytes: 512 * MIB,
            min_file_size_bytes: 384 * MIB,
            max_file_size_bytes: 512 * MIB / 10 * 18,
            min_input_files: 5,
            delete_file_threshold: i32::MAX as u64,
            delete_ratio_threshold: 0.1,
            remove_dangling_deletes: true,
            max_file_group_size_bytes: 100 * GIB,
            max_files_to_rewrite: None,
            rewrite_all: false,
            arrangement: Arrangement::BinPack,
            output_spec_id: None,
            rewrite_job_order: JobOrder::None,
            max_concurrent_file_group_rewrites: 5,
            partial_progress: PartialProgress { enabled: true, max_commits: 10, min_interval_ms: 60_000 },
            codec: Codec::Zstd,
            zstd_level: 3,
            encodings: EncodingProfile::Compatible,
            row_group_rows: 1 << 20,
            row_group_bytes: 128 * MIB,
            copy_min_row_group_bytes: 4 * MIB,
            verify: Verify::Stats,
            filter: None,
            tiers: Vec::new(),
            only_deletes: false,
            target_delete_file_size_bytes: delete_file_bytes(),
        }
    }
}

impl CompactPolicy {
    /// The lower edge of the band that outputs fall into.
    pub fn band_min(&self) -> u64 {
        self.target_file_size_bytes / 2
    }

    /// The same for no more than so many files; a limit that is there already counts if it is lower.
    #[must_use]
    pub fn with_at_most(self, files: Option<u64>) -> Self {
        let max_files_to_rewrite = match (self.max_files_to_rewrite, files) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { max_files_to_rewrite, ..self }
    }

    /// Checks the options against one another (Iceberg's own rules, plus those of the band).
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) naming the two options that contradict each other.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String, hint: &str| Err(Error::invalid(message).hint(hint));
        let (target, min, max) = (self.target_file_size_bytes, self.min_file_size_bytes, self.max_file_size_bytes);
        if target == 0 {
            return wrong("target-file-size-bytes is 0".into(), "512 MiB is the default");
        }
        if min >= target {
            return wrong(
                format!("min-file-size-bytes ({min}) is not below target-file-size-bytes ({target})"),
                "leave min-file-size-bytes out: it is 75 % of the target by default",
            );
        }
        if max <= target {
            return wrong(
                format!("max-file-size-bytes ({max}) is not above target-file-size-bytes ({target})"),
                "leave max-file-size-bytes out: it is 180 % of the target by default",
            );
        }
        if self.min_input_files == 0 {
            return wrong("min-input-files is 0".into(), "use 1 to rewrite every group, or --rewrite-all");
        }
        if self.delete_file_threshold == 0 {
            return wrong("delete-file-threshold is 0".into(), "1 rewrites every file that a delete file applies to");
        }
        if !(self.delete_ratio_threshold > 0.0 && self.delete_ratio_threshold <= 1.0) {
            return wrong(
                format!("delete-ratio-threshold is {}", self.delete_ratio_threshold),
                "it is a share of rows above 0 and at most 1; 0.1 is the default",
            );
        }
        if self.max_file_group_size_bytes < target {
            return wrong(
                format!(
                    "max-file-group-size-bytes ({}) is below target-file-size-bytes ({target})",
                    self.max_file_group_size_bytes
                ),
                "a group must be able to hold at least one full file",
            );
        }
        if self.max_files_to_rewrite.is_some_and(|most| most < self.min_input_files) {
            return wrong(
                "max-files-to-rewrite is below min-input-files: no group could ever be picked".into(),
                "raise max-files-to-rewrite or lower min-input-files",
            );
        }
        if self.max_concurrent_file_group_rewrites == 0 {
            return wrong("max-concurrent-file-group-rewrites is 0".into(), "use at least 1");
        }
        if self.partial_progress.enabled && self.partial_progress.max_commits == 0 {
            return wrong("partial-progress.max-commits is 0".into(), "use at least 1, or disable partial-progress");
        }
        if !(1..=22).contains(&self.zstd_level) {
            return wrong(format!("zstd level {} is not between 1 and 22", self.zstd_level), "3 is the default");
        }
        if self.only_deletes && self.output_spec_id.is_some() {
            return wrong(
                "--deletes leaves data files as they are, and output-spec-id moves their rows".into(),
                "leave one of the two out",
            );
        }
        if self.row_group_rows == 0 || self.row_group_bytes == 0 {
            return wrong("row groups of size 0".into(), "leave the row-group options out");
        }
        Ok(())
    }
}
