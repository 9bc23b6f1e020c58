//! Arguments of `icewright maintain`.

use clap::{Args, ValueEnum};

use super::{RewriteOptions, Tables};
use crate::model::Operation;

/// A step of a maintenance run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Step {
    /// Merge small data files.
    Compact,
    /// Merge small manifests.
    RewriteManifests,
    /// Let old snapshots and metadata versions go, with the files that only they reach.
    Expire,
    /// Remove files that nothing refers to.
    RemoveOrphans,
    /// Move ageing data to cheaper storage.
    Archive,
}

impl From<Step> for Operation {
    fn from(step: Step) -> Self {
        match step {
            Step::Compact => Self::Compact,
            Step::RewriteManifests => Self::RewriteManifests,
            Step::Expire => Self::Expire,
            Step::RemoveOrphans => Self::RemoveOrphans,
            Step::Archive => Self::Archive,
        }
    }
}

/// Which steps, and how much they may take away.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct StepOptions {
    /// Only these steps [default: all of them, archive where tiers are configured; always in this order]
    #[arg(long, env = "ICEWRIGHT_STEPS", value_name = "STEP", value_delimiter = ',')]
    pub(in crate::cli) steps: Vec<Step>,
    /// Not these steps
    #[arg(long, env = "ICEWRIGHT_SKIP", value_name = "STEP", value_delimiter = ',')]
    pub(in crate::cli) skip: Vec<Step>,
    /// So many snapshots of main are always kept [default: 10]
    #[arg(long, env = "ICEWRIGHT_RETAIN_MIN", value_name = "N")]
    pub(in crate::cli) retain_min: Option<String>,
    /// No more snapshots of main are kept, unless a tag or branch holds them or they are very young [default: 20]
    #[arg(long, env = "ICEWRIGHT_RETAIN_MAX", value_name = "N")]
    pub(in crate::cli) retain_max: Option<String>,
    /// Between the two, older snapshots go [default: 5d]
    #[arg(long, env = "ICEWRIGHT_EXPIRE_OLDER_THAN", value_name = "AGE")]
    pub(in crate::cli) expire_older_than: Option<String>,
    /// No snapshot that is younger goes, whatever else is said [default: 2h]
    #[arg(long, env = "ICEWRIGHT_MIN_AGE", value_name = "AGE")]
    pub(in crate::cli) min_age: Option<String>,
    /// Unreferenced files that are younger are left alone [default: 3d]
    #[arg(long, env = "ICEWRIGHT_ORPHANS_OLDER_THAN", value_name = "AGE")]
    pub(in crate::cli) orphans_older_than: Option<String>,
}

impl StepOptions {
    /// The steps that were asked for; archival is one where there are tiers, or where it is named.
    pub(in crate::cli) fn wanted(&self, tiers: bool) -> Vec<Operation> {
        let by_default = |step: &Step| self.steps.is_empty() && (tiers || *step != Step::Archive);
        let wanted = Step::value_variants().iter().filter(|step| by_default(step) || self.steps.contains(step));
        wanted.filter(|step| !self.skip.contains(step)).map(|step| Operation::from(*step)).collect()
    }
}

/// `icewright maintain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct MaintainArgs {
    #[command(flatten)]
    pub(in crate::cli) tables: Tables,
    #[command(flatten)]
    pub(in crate::cli) steps: StepOptions,
    #[command(flatten)]
    pub(in crate::cli) options: RewriteOptions,
    /// Show what each step would do on the table as it is; change nothing
    #[arg(long, env = "ICEWRIGHT_DRY_RUN")]
    pub(in crate::cli) dry_run: bool,
}
