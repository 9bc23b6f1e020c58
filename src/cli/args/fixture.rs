//! Arguments of `icewright demo`, `icewright doctor` and `icewright fixture`.

use std::path::PathBuf;

use clap::Args;

use super::Tables;

/// `icewright demo`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// Where to make the lake [default: a new folder below the system's temporary folder]
    #[arg(long, env = "ICEWRIGHT_DIR", value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
}

/// `icewright doctor`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
}

/// `icewright fixture`.
#[derive(Debug, Args)]
pub(in crate::cli) struct FixtureArgs {
    /// A folder for a new lake with a SQLite catalog; otherwise tables are made in --catalog
    #[arg(long, env = "ICEWRIGHT_DIR", value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Name of the table
    #[arg(long, default_value = "db.t", env = "ICEWRIGHT_TABLE", value_name = "TABLE")]
    pub(in crate::cli) table: String,
    /// Make so many tables of this kind; their names get numbers
    #[arg(long, default_value_t = 1, env = "ICEWRIGHT_FIXTURE_TABLES", value_name = "N")]
    pub(in crate::cli) tables: u32,
    /// Add the files to tables that are there, as a writer would, instead of making tables
    #[arg(long, env = "ICEWRIGHT_FIXTURE_APPEND")]
    pub(in crate::cli) append: bool,
    /// timeseries (year partitions), events (unpartitioned), many-types, or demo (one of each)
    #[arg(long, default_value = "timeseries", env = "ICEWRIGHT_FIXTURE_KIND", value_name = "KIND")]
    pub(in crate::cli) kind: String,
    /// Number of files
    #[arg(long, default_value_t = 100, env = "ICEWRIGHT_FIXTURE_FILES", value_name = "N")]
    pub(in crate::cli) files: u64,
    /// Rows a file
    #[arg(long, default_value_t = 10_000, env = "ICEWRIGHT_FIXTURE_ROWS", value_name = "N")]
    pub(in crate::cli) rows: u64,
    /// Years that a time series spans, as 2021-2024
    #[arg(long, default_value = "2023-2025", env = "ICEWRIGHT_FIXTURE_YEARS", value_name = "FROM-TO")]
    pub(in crate::cli) years: String,
    /// Codec of the files: snappy, zstd, gzip, lz4_raw, brotli or uncompressed
    #[arg(long, default_value = "snappy", env = "ICEWRIGHT_FIXTURE_CODEC", value_name = "CODEC")]
    pub(in crate::cli) codec: String,
    /// Rows in a row group
    #[arg(long, default_value_t = 1 << 20, env = "ICEWRIGHT_FIXTURE_ROW_GROUP_ROWS", value_name = "N")]
    pub(in crate::cli) row_group_rows: u64,
    /// How unevenly files are spread over years: 0 is even
    #[arg(long, default_value_t = 0.0, env = "ICEWRIGHT_FIXTURE_SKEW", value_name = "X")]
    pub(in crate::cli) skew: f64,
    /// Share of nulls in optional columns, 0 to 1
    #[arg(long, default_value_t = 0.02, env = "ICEWRIGHT_FIXTURE_NULLS", value_name = "X")]
    pub(in crate::cli) nulls: f64,
    /// Append commits that the files are spread over
    #[arg(long, default_value_t = 1, env = "ICEWRIGHT_FIXTURE_COMMITS", value_name = "N")]
    pub(in crate::cli) commits: u64,
    /// Spread the commits over this long before now, as in 40d
    #[arg(long, env = "ICEWRIGHT_FIXTURE_AGE", value_name = "AGE")]
    pub(in crate::cli) age: Option<String>,
    /// Iceberg format version, 1 or 2
    #[arg(long, default_value_t = 2, env = "ICEWRIGHT_FIXTURE_FORMAT_VERSION", value_name = "V")]
    pub(in crate::cli) format_version: u8,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1, env = "ICEWRIGHT_FIXTURE_SEED", value_name = "N")]
    pub(in crate::cli) seed: u64,
}
