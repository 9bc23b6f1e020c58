//! Arguments of `icewright serve`.

use std::net::SocketAddr;

use clap::Args;

/// `icewright serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Where /healthz, /readyz, /metrics and the status page are [default: 127.0.0.1:9187]
    #[arg(long, env = "ICEWRIGHT_LISTEN", value_name = "ADDRESS")]
    pub(in crate::cli) listen: Option<SocketAddr>,
    /// How long a stop waits for running work [default: 5m]
    #[arg(long, env = "ICEWRIGHT_GRACE", value_name = "SPAN")]
    pub(in crate::cli) grace: Option<String>,
    /// Tables that are worked on side by side [default: 1]
    #[arg(long, env = "ICEWRIGHT_JOBS", value_name = "N")]
    pub(in crate::cli) jobs: Option<usize>,
    /// A name that this scheduler keeps over restarts, so that it takes its own leases back at once [default: made up]
    #[arg(long, env = "ICEWRIGHT_IDENTITY", value_name = "NAME")]
    pub(in crate::cli) identity: Option<String>,
    /// Let the scheduler's clock run so many times as fast, to watch a month go by in minutes
    #[arg(long, env = "ICEWRIGHT_SPEED", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(in crate::cli) speed: u32,
    /// Stop by itself after this time of the scheduler's clock, e.g. 30d
    #[arg(long = "for", env = "ICEWRIGHT_FOR", value_name = "SPAN")]
    pub(in crate::cli) duration: Option<String>,
}
