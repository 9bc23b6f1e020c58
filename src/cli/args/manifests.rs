//! Arguments of `icewright rewrite-manifests`.

use std::collections::BTreeMap;

use clap::Args;

use super::{PlanOutput, Tables};

/// How manifests should be.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of the rewrite")]
pub(in crate::cli) struct ManifestOptions {
    /// Size that manifests are merged up to [default: the table's commit.manifest.target-size-bytes, or 8MiB]
    #[arg(long, env = "ICEWRIGHT_MANIFEST_TARGET_SIZE_BYTES", value_name = "SIZE")]
    target_size_bytes: Option<String>,
    /// A rewrite must save a scan the opening of so many manifests [default: 5]
    #[arg(long, env = "ICEWRIGHT_MANIFEST_MIN_GAIN", value_name = "N")]
    min_gain: Option<String>,
    /// Rewrite all manifests, worth it or not
    #[arg(
        long,
        env = "ICEWRIGHT_MANIFEST_REWRITE_ALL",
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    rewrite_all: Option<String>,
}

impl ManifestOptions {
    /// The options that were given, by their names.
    pub(in crate::cli) fn given(&self) -> BTreeMap<String, String> {
        [
            ("commit.manifest.target-size-bytes", &self.target_size_bytes),
            ("min-gain", &self.min_gain),
            ("rewrite-all", &self.rewrite_all),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect()
    }
}

/// The same for verbs that do more than rewriting manifests.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of manifests")]
pub(in crate::cli) struct ManifestLimits {
    /// Size that manifests are merged up to [default: the table's commit.manifest.target-size-bytes, or 8MiB]
    #[arg(long, env = "ICEWRIGHT_MANIFEST_TARGET_SIZE_BYTES", value_name = "SIZE")]
    manifest_target_size_bytes: Option<String>,
    /// A rewrite must save a scan the opening of so many manifests [default: 5]
    #[arg(long, env = "ICEWRIGHT_MANIFEST_MIN_GAIN", value_name = "N")]
    manifest_min_gain: Option<String>,
}

impl ManifestLimits {
    /// As the options of the verb that only rewrites manifests.
    pub(in crate::cli) fn options(&self) -> ManifestOptions {
        ManifestOptions {
            target_size_bytes: self.manifest_target_size_bytes.clone(),
            min_gain: self.manifest_min_gain.clone(),
            rewrite_all: None,
        }
    }
}

/// `icewright rewrite-manifests`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RewriteManifestsArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: ManifestOptions,
    /// Show what would be done; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}

/// `icewright plan rewrite-manifests`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanManifestsArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: ManifestOptions,
    #[command(flatten)]
    pub(in crate::cli) out: PlanOutput,
}
