//! Arguments of `icewright expire`.

use clap::Args;

use super::{PlanOutput, Tables};

/// How much history is kept.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What is kept")]
pub(in crate::cli) struct ExpireOptions {
    /// So many snapshots of main are always kept [default: 10]
    #[arg(long, env = "ICEWRIGHT_RETAIN_MIN", value_name = "N")]
    retain_min: Option<String>,
    /// No more snapshots of main are kept, unless a tag or branch holds them or they are very young [default: 20]
    #[arg(long, env = "ICEWRIGHT_RETAIN_MAX", value_name = "N")]
    retain_max: Option<String>,
    /// Between the two, older snapshots go [default: 5d, or the table's history.expire.max-snapshot-age-ms]
    #[arg(long, env = "ICEWRIGHT_EXPIRE_OLDER_THAN", value_name = "AGE")]
    older_than: Option<String>,
    /// Nothing younger goes, whatever else is said: readers may be at work on it [default: 2h]
    #[arg(long, env = "ICEWRIGHT_MIN_AGE", value_name = "AGE")]
    min_age: Option<String>,
    /// Branches and tags that are older go, unless they say otherwise themselves [default: none; history.expire.max-ref-age-ms]
    #[arg(long, env = "ICEWRIGHT_MAX_REF_AGE", value_name = "AGE")]
    max_ref_age: Option<String>,
    /// Only this snapshot goes, and nothing else (repeatable)
    #[arg(long, env = "ICEWRIGHT_SNAPSHOT_ID", value_name = "ID", value_delimiter = ',', allow_hyphen_values = true)]
    snapshot_id: Vec<String>,
    /// Remove partition specs and schemas that nothing uses
    #[arg(
        long,
        env = "ICEWRIGHT_CLEAN_EXPIRED_METADATA",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    clean_expired_metadata: Option<String>,
    /// So many older metadata files are kept [default: 20, or the table's write.metadata.previous-versions-max from 10 to 20]
    #[arg(long, env = "ICEWRIGHT_PREVIOUS_VERSIONS_MAX", value_name = "N")]
    previous_versions_max: Option<String>,
    /// Remove at most this many files a second [default: no limit]
    #[arg(long, env = "ICEWRIGHT_MAX_PER_SECOND", value_name = "N")]
    max_per_second: Option<String>,
}

impl ExpireOptions {
    /// The options that were given, by name.
    pub(in crate::cli) fn given(&self) -> Vec<(&'static str, String)> {
        let ids = (!self.snapshot_id.is_empty()).then(|| self.snapshot_id.join(","));
        [
            ("retain-min", &self.retain_min),
            ("retain-max", &self.retain_max),
            ("older-than", &self.older_than),
            ("min-age", &self.min_age),
            ("max-ref-age", &self.max_ref_age),
            ("snapshot-id", &ids),
            ("clean-expired-metadata", &self.clean_expired_metadata),
            ("previous-versions-max", &self.previous_versions_max),
            ("max-per-second", &self.max_per_second),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.clone().map(|value| (name, value)))
        .collect()
    }
}

/// `icewright expire`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExpireArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: ExpireOptions,
    /// Show what would expire and what that would free; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}

/// `icewright plan expire`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanExpireArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: ExpireOptions,
    #[command(flatten)]
    pub(in crate::cli) out: PlanOutput,
}
