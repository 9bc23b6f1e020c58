//! Arguments of `icewright inspect`.

use clap::Args;

use super::{ManifestLimits, RewriteOptions, Tables};

/// `icewright inspect`.
#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) options: RewriteOptions,
    #[command(flatten)]
    pub(in crate::cli) manifests: ManifestLimits,
}
