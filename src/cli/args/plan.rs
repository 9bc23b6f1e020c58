//! Arguments of `icewright plan` and `icewright apply`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{PlanArchiveArgs, PlanCompactArgs, PlanExpireArgs, PlanManifestsArgs, PlanOrphansArgs, RankArgs};

/// `icewright plan`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArgs {
    #[command(subcommand)]
    pub(in crate::cli) operation: PlanOperation,
}

/// What to plan.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PlanOperation {
    /// Plan a compaction
    Compact(Box<PlanCompactArgs>),
    /// Plan a rewrite of manifests
    RewriteManifests(Box<PlanManifestsArgs>),
    /// Plan an expiry
    Expire(Box<PlanExpireArgs>),
    /// Plan a removal of files that nothing refers to
    RemoveOrphans(Box<PlanOrphansArgs>),
    /// Plan an archival
    Archive(Box<PlanArchiveArgs>),
    /// Rank tables by gain per cost, within a budget: which would run, in which order, and why others would not
    Maintain(Box<RankArgs>),
}

/// Where a plan goes, and how much of it is shown.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanOutput {
    /// Save the plan to a file, for `icewright apply`
    #[arg(short, long, env = "ICEWRIGHT_OUTPUT", value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// List every file, also those that are left alone
    #[arg(long, env = "ICEWRIGHT_FILES")]
    pub(in crate::cli) files: bool,
}

/// `icewright apply`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ApplyArgs {
    /// A plan saved by `icewright plan … -o FILE`
    #[arg(value_name = "FILE")]
    pub(in crate::cli) plan: PathBuf,
    /// Check the plan against the tables; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}
