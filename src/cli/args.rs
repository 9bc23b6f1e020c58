//! Raw arguments, as clap reads them. Every flag has an `ICEWRIGHT_…` variable.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps Apache Iceberg tables fast and cheap.
#[derive(Debug, Parser)]
#[command(name = "icewright", version, propagate_version = true, max_term_width = 120)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Configuration file [default: ./icewright.toml, then the user's configuration folder]
    #[arg(long, global = true, env = "ICEWRIGHT_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Catalog: a configured name, or sqlite:///abs/catalog.db, postgresql://…, http(s)://… (REST), file:///warehouse
    #[arg(long, global = true, env = "ICEWRIGHT_CATALOG", value_name = "NAME|URI")]
    pub(super) catalog: Option<String>,
    /// Name inside a SQL catalog's database, where it holds several
    #[arg(long, global = true, env = "ICEWRIGHT_CATALOG_NAME", value_name = "NAME")]
    pub(super) catalog_name: Option<String>,
    /// Warehouse location
    #[arg(long, global = true, env = "ICEWRIGHT_WAREHOUSE", value_name = "LOCATION")]
    pub(super) warehouse: Option<String>,
    /// Catalog or storage property by Iceberg's name, e.g. s3.endpoint=http://… (repeatable; lines in the variable)
    #[arg(long, global = true, env = "ICEWRIGHT_PROP", value_name = "KEY=VALUE", value_delimiter = '\n')]
    pub(super) prop: Vec<String>,
    /// Print one JSON document on stdout
    #[arg(long, global = true, env = "ICEWRIGHT_JSON")]
    pub(super) json: bool,
    /// Format of the log on stderr
    #[arg(long, global = true, env = "ICEWRIGHT_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or filters such as icewright=debug
    #[arg(long, global = true, env = "ICEWRIGHT_LOG", value_name = "LEVEL")]
    pub(super) log: Option<String>,
    /// Memory budget [default: 512MiB, or three quarters of the container's limit if that is less]
    #[arg(long, global = true, env = "ICEWRIGHT_MEMORY", value_name = "SIZE")]
    pub(super) memory: Option<String>,
    /// Threads for encoding [default: the processors this process may use]
    #[arg(long, global = true, env = "ICEWRIGHT_WORKERS", value_name = "N")]
    pub(super) workers: Option<usize>,
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a small lake, maintain it, show before and after
    Demo(DemoArgs),
    /// Show the health of tables: files, sizes, deletes, snapshots, what is due and why
    Inspect(InspectArgs),
    /// Show or save what an operation would do, and why
    Plan(PlanArgs),
    /// Run a saved plan
    Apply(ApplyArgs),
    /// Merge small files into 256–512 MiB ZSTD files
    Compact(CompactArgs),
    /// Make a deterministic lake for tests and benchmarks
    Fixture(FixtureArgs),
    /// Check configuration, catalog and storage rights before the first run
    Doctor(DoctorArgs),
}

/// Which tables.
#[derive(Debug, Args)]
pub(super) struct Tables {
    /// Table as db.t, or a glob such as 'db.*' (repeatable)
    #[arg(long, env = "ICEWRIGHT_TABLE", value_name = "TABLE", value_delimiter = ',')]
    pub(super) table: Vec<String>,
    /// All tables of the catalog
    #[arg(long, env = "ICEWRIGHT_ALL", conflicts_with = "table")]
    pub(super) all: bool,
}

/// The options of a compaction, named as Iceberg names them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of the rewrite (Iceberg's names)")]
pub(super) struct RewriteOptions {
    /// Only files that may hold matching rows, e.g. "ts >= '2024-01-01' AND region = 'eu'"
    #[arg(long = "where", env = "ICEWRIGHT_WHERE", value_name = "FILTER")]
    pub(super) filter: Option<String>,
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
    /// Any further option by Iceberg's name, as key=value (repeatable)
    #[arg(long = "option", env = "ICEWRIGHT_OPTION", value_name = "KEY=VALUE", value_delimiter = '\n')]
    pub(super) more: Vec<String>,
}

impl RewriteOptions {
    /// The options that were given, by Iceberg's names.
    pub(super) fn given(&self) -> Vec<(&'static str, &str)> {
        [
            ("target-file-size-bytes", &self.target_file_size_bytes),
            ("min-file-size-bytes", &self.min_file_size_bytes),
            ("max-file-size-bytes", &self.max_file_size_bytes),
            ("min-input-files", &self.min_input_files),
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
pub(super) struct CompactArgs {
    #[command(flatten)]
    pub(super) tables: Tables,
    #[command(flatten)]
    pub(super) options: RewriteOptions,
    /// Show what would be done; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(super) dry_run: bool,
}

/// `icewright inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    #[command(flatten)]
    pub(super) tables: Tables,
    #[command(flatten)]
    pub(super) options: RewriteOptions,
}

/// `icewright plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(subcommand)]
    pub(super) operation: PlanOperation,
}

/// What to plan.
#[derive(Debug, Subcommand)]
pub(super) enum PlanOperation {
    /// Plan a compaction
    Compact(PlanCompactArgs),
}

/// `icewright plan compact`.
#[derive(Debug, Args)]
pub(super) struct PlanCompactArgs {
    #[command(flatten)]
    pub(super) tables: Tables,
    #[command(flatten)]
    pub(super) options: RewriteOptions,
    /// Save the plan to a file, for `icewright apply`
    #[arg(short, long, env = "ICEWRIGHT_OUTPUT", value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// List every file, also those that are left alone
    #[arg(long, env = "ICEWRIGHT_FILES")]
    pub(super) files: bool,
}

/// `icewright apply`.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// A plan saved by `icewright plan … -o FILE`
    #[arg(value_name = "FILE")]
    pub(super) plan: PathBuf,
    /// Check the plan against the tables; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(super) dry_run: bool,
}

/// `icewright demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Where to make the lake [default: a new folder below the system's temporary folder]
    #[arg(long, env = "ICEWRIGHT_DIR", value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// `icewright doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) tables: Tables,
}

/// `icewright fixture`.
#[derive(Debug, Args)]
pub(super) struct FixtureArgs {
    /// A folder for a new lake with a SQLite catalog; otherwise tables are made in --catalog
    #[arg(long, env = "ICEWRIGHT_DIR", value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Name of the table
    #[arg(long, default_value = "db.t", env = "ICEWRIGHT_TABLE", value_name = "TABLE")]
    pub(super) table: String,
    /// timeseries (year partitions), events (unpartitioned), many-types, or demo (one of each)
    #[arg(long, default_value = "timeseries", env = "ICEWRIGHT_FIXTURE_KIND", value_name = "KIND")]
    pub(super) kind: String,
    /// Number of files
    #[arg(long, default_value_t = 100, env = "ICEWRIGHT_FIXTURE_FILES", value_name = "N")]
    pub(super) files: u64,
    /// Rows a file
    #[arg(long, default_value_t = 10_000, env = "ICEWRIGHT_FIXTURE_ROWS", value_name = "N")]
    pub(super) rows: u64,
    /// Years that a time series spans, as 2021-2024
    #[arg(long, default_value = "2023-2025", env = "ICEWRIGHT_FIXTURE_YEARS", value_name = "FROM-TO")]
    pub(super) years: String,
    /// Codec of the files: snappy, zstd, gzip, lz4_raw, brotli or uncompressed
    #[arg(long, default_value = "snappy", env = "ICEWRIGHT_FIXTURE_CODEC", value_name = "CODEC")]
    pub(super) codec: String,
    /// Rows in a row group
    #[arg(long, default_value_t = 1 << 20, env = "ICEWRIGHT_FIXTURE_ROW_GROUP_ROWS", value_name = "N")]
    pub(super) row_group_rows: u64,
    /// How unevenly files are spread over years: 0 is even
    #[arg(long, default_value_t = 0.0, env = "ICEWRIGHT_FIXTURE_SKEW", value_name = "X")]
    pub(super) skew: f64,
    /// Share of nulls in optional columns, 0 to 1
    #[arg(long, default_value_t = 0.02, env = "ICEWRIGHT_FIXTURE_NULLS", value_name = "X")]
    pub(super) nulls: f64,
    /// Append commits that the files are spread over
    #[arg(long, default_value_t = 1, env = "ICEWRIGHT_FIXTURE_COMMITS", value_name = "N")]
    pub(super) commits: u64,
    /// Iceberg format version, 1 or 2
    #[arg(long, default_value_t = 2, env = "ICEWRIGHT_FIXTURE_FORMAT_VERSION", value_name = "V")]
    pub(super) format_version: u8,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1, env = "ICEWRIGHT_FIXTURE_SEED", value_name = "N")]
    pub(super) seed: u64,
}
