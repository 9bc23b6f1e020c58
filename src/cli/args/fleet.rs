//! Arguments of `icewright forecast`, `icewright config`, `icewright completions` and `icewright man`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `icewright forecast`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ForecastArgs {
    /// Times today's data and growth
    #[arg(long, env = "ICEWRIGHT_SCALE", default_value_t = 1.0, value_name = "X")]
    pub(in crate::cli) scale: f64,
    /// How far ahead
    #[arg(long, env = "ICEWRIGHT_AHEAD", default_value = "365d", value_name = "SPAN")]
    pub(in crate::cli) ahead: String,
    /// What one worker reads and rewrites in a second (measured: 200-250 MB/s on two cores with local disks)
    #[arg(long, env = "ICEWRIGHT_THROUGHPUT", default_value = "100MiB", value_name = "SIZE")]
    pub(in crate::cli) throughput: String,
    /// Hours in a week in which maintenance may run
    #[arg(long, env = "ICEWRIGHT_WINDOW_HOURS", default_value_t = 4.0, value_name = "HOURS")]
    pub(in crate::cli) window_hours: f64,
    /// Looks at the whole fleet in a day
    #[arg(long, env = "ICEWRIGHT_LOOKS", default_value_t = 96.0, value_name = "N")]
    pub(in crate::cli) looks: f64,
}

/// `icewright config`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArgs {
    #[command(subcommand)]
    pub(in crate::cli) what: ConfigVerb,
}

/// What to do about the configuration.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigVerb {
    /// Write a commented icewright.toml
    Init {
        /// Where to
        #[arg(value_name = "FILE", default_value = "icewright.toml")]
        file: PathBuf,
    },
    /// Read a configuration and say what is wrong with it, with line numbers, and when its schedules are due
    Check {
        /// The file [default: as for every verb]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print a JSON schema for editors
    Schema,
}

/// `icewright completions`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(in crate::cli) shell: clap_complete::Shell,
}

/// `icewright man`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ManArgs {
    /// Write one page a verb into this folder; print the main page otherwise
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
}
