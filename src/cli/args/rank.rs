//! Arguments of `icewright plan maintain`.

use std::path::PathBuf;

use clap::Args;

use super::Tables;

/// `icewright plan maintain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RankArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    /// How much the run may cost, e.g. "bytes=2TiB,time=4h,tables=100,dollars=5" [default: no limit]
    #[arg(long, env = "ICEWRIGHT_BUDGET", value_name = "BUDGET")]
    pub(in crate::cli) budget: Option<String>,
    /// Operations that count
    #[arg(
        long,
        env = "ICEWRIGHT_OPERATIONS",
        value_name = "OPERATION",
        value_delimiter = ',',
        default_value = "compact,rewrite-manifests,expire"
    )]
    pub(in crate::cli) operations: Vec<String>,
    /// A gain below this is not worth a run
    #[arg(long, env = "ICEWRIGHT_MIN_GAIN", default_value_t = 4, value_name = "N")]
    pub(in crate::cli) min_gain: u64,
    /// Tables that are shown; all of them with --json
    #[arg(long, env = "ICEWRIGHT_TOP", default_value_t = 50, value_name = "N")]
    pub(in crate::cli) top: usize,
    /// Save the plans of the tables that would run, for `icewright apply`
    #[arg(short, long, env = "ICEWRIGHT_OUTPUT", value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
}
