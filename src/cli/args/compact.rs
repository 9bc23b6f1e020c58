//! Arguments of `icewright compact`, and of everything else that rewrites data files.

use std::path::PathBuf;

use clap::Args;

use super::{PlanOutput, Tables};

/// The options of a compaction, named as Iceberg names them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of the rewrite (Iceberg's names)")]
pub(in crate::cli) struct RewriteOptions {
    /// Only files that may hold matching rows, e.g. "ts >= '2024-01-01' AND region = 'eu'"
    #[arg(long = "where", env = "ICEWRIGHT_WHERE", value_name = "FILTER")]
    pub(in crate::cli) filter: Option<String>,
    /// Upper edge of the output band; the lower is half of it [default: 512MiB]
    #[arg(long, env = "ICEWRIGHT_TARGET_FILE_SIZE_BYTES", value_name = "SIZE")]
    target_file_size_bytes: Option<String>,
    /// Smaller files are candidates [default: 75 % of the target]
    #[arg(long, env = "ICEWRIGHT_MIN_FILE_SIZE_BYTES", value_name = "SIZE")]
    min_file_size_bytes: Option<String>,
    /// Larger files are cut [default: 180 % of the target]
    #[arg(long, env = "ICEWRIGHT_MAX_FILE_SIZE_BYTES", value_name = "SIZE")]
    max_file_size_bytes: Option<String>,
    /// So many candidates make a group worth a rewrite [default: 5]
    #[arg(long, env = "ICEWRIGHT_MIN_INPUT_FILES", value_name = "N")]
    min_input_files: Option<String>,
    /// A file with so many delete files is a candidate [default: no limit]
    #[arg(long, env = "ICEWRIGHT_DELETE_FILE_THRESHOLD", value_name = "N")]
    delete_file_threshold: Option<String>,
    /// A file with this share of deleted rows is a candidate [default: 0.1]
    #[arg(long, env = "ICEWRIGHT_DELETE_RATIO_THRESHOLD", value_name = "SHARE")]
    delete_ratio_threshold: Option<String>,
    /// Remove delete files that no live data file can match [default: true]
    #[arg(long, env = "ICEWRIGHT_REMOVE_DANGLING_DELETES", value_name = "BOOL")]
    remove_dangling_deletes: Option<String>,
    /// How rows are arranged: binpack (as they come), sort, zorder or hilbert [default: binpack]
    #[arg(long, env = "ICEWRIGHT_STRATEGY", value_name = "STRATEGY")]
    strategy: Option<String>,
    /// What rows are sorted by, e.g. 'ts DESC NULLS LAST, bucket(16, id)' [default: the table's sort order]
    #[arg(long, env = "ICEWRIGHT_SORT_ORDER", value_name = "FIELDS")]
    sort_order: Option<String>,
    /// The columns that zorder or hilbert goes through, e.g. a,b,c
    #[arg(long, env = "ICEWRIGHT_COLUMNS", value_name = "COLUMNS")]
    columns: Option<String>,
    /// Move all files into this partition spec [default: the current one, where it's worth it]
    #[arg(long, env = "ICEWRIGHT_OUTPUT_SPEC_ID", value_name = "ID")]
    output_spec_id: Option<String>,
    /// Most bytes in one group [default: 100GiB]
    #[arg(long, env = "ICEWRIGHT_MAX_FILE_GROUP_SIZE_BYTES", value_name = "SIZE")]
    max_file_group_size_bytes: Option<String>,
    /// Most input files of a run [default: no limit]
    #[arg(long, env = "ICEWRIGHT_MAX_FILES_TO_REWRITE", value_name = "N")]
    max_files_to_rewrite: Option<String>,
    /// Rewrite everything, worth it or not
    #[arg(long, env = "ICEWRIGHT_REWRITE_ALL", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    rewrite_all: Option<String>,
    /// none, bytes-asc, bytes-desc, files-asc or files-desc [default: none]
    #[arg(long, env = "ICEWRIGHT_REWRITE_JOB_ORDER", value_name = "ORDER")]
    rewrite_job_order: Option<String>,
    /// Groups rewritten side by side [default: 5, as far as memory allows]
    #[arg(long, env = "ICEWRIGHT_MAX_CONCURRENT_FILE_GROUP_REWRITES", value_name = "N")]
    max_concurrent_file_group_rewrites: Option<String>,
    /// Commit groups in batches as they finish [default: true]
    #[arg(long = "partial-progress.enabled", env = "ICEWRIGHT_PARTIAL_PROGRESS_ENABLED", value_name = "BOOL")]
    partial_progress_enabled: Option<String>,
    /// Most commits of a run [default: 10]
    #[arg(long = "partial-progress.max-commits", env = "ICEWRIGHT_PARTIAL_PROGRESS_MAX_COMMITS", value_name = "N")]
    partial_progress_max_commits: Option<String>,
    /// ZSTD level of outputs, 1 to 22 [default: 3]
    #[arg(long, env = "ICEWRIGHT_ZSTD_LEVEL", value_name = "LEVEL")]
    zstd_level: Option<String>,
    /// Encodings of outputs: compatible or modern [default: compatible]
    #[arg(long, env = "ICEWRIGHT_ENCODINGS", value_name = "PROFILE")]
    encodings: Option<String>,
    /// What is compared before a commit: stats, or content (a hash of every column as well) [default: stats]
    #[arg(long, env = "ICEWRIGHT_VERIFY", value_name = "WHAT")]
    verify: Option<String>,
    /// Folder for rows and keys that do not fit into memory [default: the system's for temporary files]
    #[arg(long, env = "ICEWRIGHT_SPILL_DIR", value_name = "DIR")]
    pub(in crate::cli) spill_dir: Option<PathBuf>,
    /// The most bytes of temporary files [default: 16GiB]
    #[arg(long, env = "ICEWRIGHT_SPILL_LIMIT", value_name = "SIZE")]
    pub(in crate::cli) spill_limit: Option<String>,
    /// Any further option by Iceberg's name, as key=value (repeatable)
    #[arg(long = "option", env = "ICEWRIGHT_OPTION", value_name = "KEY=VALUE", value_delimiter = '\n')]
    pub(in crate::cli) more: Vec<String>,
}

impl RewriteOptions {
    /// The options that were given, by Iceberg's names.
    pub(in crate::cli) fn given(&self) -> Vec<(&'static str, &str)> {
        [
            ("target-file-size-bytes", &self.target_file_size_bytes),
            ("min-file-size-bytes", &self.min_file_size_bytes),
            ("max-file-size-bytes", &self.max_file_size_bytes),
            ("min-input-files", &self.min_input_files),
            ("delete-file-threshold", &self.delete_file_threshold),
            ("delete-ratio-threshold", &self.delete_ratio_threshold),
            ("remove-dangling-deletes", &self.remove_dangling_deletes),
            ("strategy", &self.strategy),
            ("sort-order", &self.sort_order),
            ("columns", &self.columns),
            ("output-spec-id", &self.output_spec_id),
            ("max-file-group-size-bytes", &self.max_file_group_size_bytes),
            ("max-files-to-rewrite", &self.max_files_to_rewrite),
            ("rewrite-all", &self.rewrite_all),
            ("rewrite-job-order", &self.rewrite_job_order),
            ("max-concurrent-file-group-rewrites", &self.max_concurrent_file_group_rewrites),
            ("partial-progress.enabled", &self.partial_progress_enabled),
            ("partial-progress.max-commits", &self.partial_progress_max_commits),
            ("zstd-level", &self.zstd_level),
            ("encodings", &self.encodings),
            ("verify", &self.verify),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
        .collect()
    }
}

/// `icewright compact`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompactArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: RewriteOptions,
    /// Rewrite deletes alone: equality deletes become positions, many files of positions few (in format version 3, both
    /// become deletion vectors, and many small files of those few); data files stay
    #[arg(long, env = "ICEWRIGHT_DELETES")]
    pub(in crate::cli) deletes: bool,
    /// Show what would be done; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}

/// `icewright plan compact`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanCompactArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: RewriteOptions,
    /// Rewrite deletes alone: equality deletes become positions, many files of positions few (in format version 3, both
    /// become deletion vectors, and many small files of those few); data files stay
    #[arg(long, env = "ICEWRIGHT_DELETES")]
    pub(in crate::cli) deletes: bool,
    #[command(flatten)]
    pub(in crate::cli) out: PlanOutput,
}
