//! Arguments of `icewright remove-orphans` and `icewright restore`.

use std::path::PathBuf;

use clap::Args;

use super::{PlanOutput, Tables};

/// Which files are orphans, and what becomes of them.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct OrphanOptions {
    /// Younger files are left alone; at least 1d without --i-know [default: 3d]
    #[arg(long, env = "ICEWRIGHT_ORPHANS_OLDER_THAN", value_name = "AGE")]
    pub(in crate::cli) older_than: Option<String>,
    /// Allow an age below a day, a large share of orphans, metadata of other tables, and neighbours that can't be loaded
    #[arg(long, env = "ICEWRIGHT_I_KNOW")]
    i_know: bool,
    /// The most files removed in a second [default: no limit]
    #[arg(long, env = "ICEWRIGHT_MAX_PER_SECOND", value_name = "N")]
    max_per_second: Option<String>,
    /// Move orphans below this location instead of removing them; icewright restore brings them back
    #[arg(long, env = "ICEWRIGHT_QUARANTINE", value_name = "LOCATION")]
    pub(in crate::cli) quarantine: Option<String>,
    /// A listing made elsewhere instead of asking the store: S3 Inventory's manifest.json, or a CSV (.gz) or Parquet file
    #[arg(long, env = "ICEWRIGHT_LISTING", value_name = "FILE")]
    pub(in crate::cli) listing: Option<String>,
    /// Folder for temporary files [default: the system's]
    #[arg(long, env = "ICEWRIGHT_SPILL_DIR", value_name = "DIR")]
    pub(in crate::cli) spill_dir: Option<PathBuf>,
    /// The most bytes of temporary files
    #[arg(long, env = "ICEWRIGHT_SPILL_LIMIT", value_name = "SIZE", default_value = "16GiB")]
    pub(in crate::cli) spill_limit: String,
}

impl OrphanOptions {
    /// The options that were given, by their names.
    pub(in crate::cli) fn given(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("older-than", &self.older_than),
            ("max-per-second", &self.max_per_second),
            ("quarantine", &self.quarantine),
        ];
        let mut given: Vec<_> = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect();
        if self.i_know {
            given.push(("i-know", "true".to_owned()));
        }
        given
    }
}

/// `icewright remove-orphans`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveOrphansArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: OrphanOptions,
    /// Remove what was found; without this (or --quarantine) it is only shown
    #[arg(long, env = "ICEWRIGHT_DELETE", conflicts_with = "quarantine")]
    pub(in crate::cli) delete: bool,
    /// Only show what would be removed, whatever else is said
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
    /// Name every orphan that is shown
    #[arg(long, env = "ICEWRIGHT_FILES")]
    pub(in crate::cli) files: bool,
}

/// `icewright plan remove-orphans`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanOrphansArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: OrphanOptions,
    #[command(flatten)]
    pub(in crate::cli) out: PlanOutput,
}

/// `icewright restore`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The location that --quarantine was given, or a folder in it
    #[arg(long, env = "ICEWRIGHT_FROM", value_name = "LOCATION")]
    pub(in crate::cli) from: String,
    /// Show what would be brought back; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}
