//! Arguments of `icewright archive`.

use clap::Args;

use super::{PlanOutput, RewriteOptions, Tables};

/// What an archival may be asked for.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of the archival")]
pub(in crate::cli) struct ArchiveOptions {
    /// Bring what --where selects to this tier, whatever its age and the price
    #[arg(long, env = "ICEWRIGHT_TO", value_name = "TIER")]
    pub(in crate::cli) to: Option<String>,
    /// The column that tells how old rows are [default: the one that the table is partitioned by]
    #[arg(long, env = "ICEWRIGHT_TIME_COLUMN", value_name = "COLUMN")]
    pub(in crate::cli) time_column: Option<String>,
    /// Also make moves that cost more than they save
    #[arg(long, env = "ICEWRIGHT_IGNORE_COST")]
    pub(in crate::cli) ignore_cost: bool,
    /// Also use tiers whose objects can't be read without a restore: every scan that touches them fails
    #[arg(long, env = "ICEWRIGHT_ALLOW_OFFLINE")]
    pub(in crate::cli) allow_offline: bool,
}

/// `icewright archive`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ArchiveArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) archive: ArchiveOptions,
    #[command(flatten)]
    pub(in crate::cli) options: RewriteOptions,
    /// Show what would be done; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}

/// `icewright plan archive`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArchiveArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) archive: ArchiveOptions,
    #[command(flatten)]
    pub(in crate::cli) options: RewriteOptions,
    #[command(flatten)]
    pub(in crate::cli) out: PlanOutput,
}
