//! Raw arguments, as clap reads them. Every flag has an `ICEWRIGHT_…` variable.

mod archive;
mod compact;
mod expire;
mod fixture;
mod fleet;
mod inspect;
mod maintain;
mod manifests;
mod orphans;
mod plan;
mod rank;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use archive::{ArchiveArgs, ArchiveOptions, PlanArchiveArgs};
pub(super) use compact::{CompactArgs, PlanCompactArgs, RewriteOptions};
pub(super) use expire::{ExpireArgs, ExpireOptions, PlanExpireArgs};
pub(super) use fixture::{DemoArgs, DoctorArgs, FixtureArgs};
pub(super) use fleet::{CompletionsArgs, ConfigArgs, ConfigVerb, ForecastArgs, ManArgs};
pub(super) use inspect::InspectArgs;
pub(super) use maintain::{MaintainArgs, Step, StepOptions};
pub(super) use manifests::{ManifestLimits, ManifestOptions, PlanManifestsArgs, RewriteManifestsArgs};
pub(super) use orphans::{OrphanOptions, PlanOrphansArgs, RemoveOrphansArgs, RestoreArgs};
pub(super) use plan::{ApplyArgs, PlanArgs, PlanOperation, PlanOutput};
pub(super) use rank::RankArgs;
pub(super) use serve::ServeArgs;

/// Keeps Apache Iceberg tables fast and cheap.
#[derive(Debug, Parser)]
#[command(name = "icewright", version, propagate_version = true, max_term_width = 120)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Configuration file [default: ./icewright.toml, then the user's configuration folder]
    #[arg(long, global = true, env = "ICEWRIGHT_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Catalog: a configured name, or sqlite:///abs/catalog.db, postgresql://…, http(s)://… (REST), file:///warehouse
    #[arg(long, global = true, env = "ICEWRIGHT_CATALOG", value_name = "NAME|URI")]
    pub(super) catalog: Option<String>,
    /// Name inside a SQL catalog's database, where it holds several
    #[arg(long, global = true, env = "ICEWRIGHT_CATALOG_NAME", value_name = "NAME")]
    pub(super) catalog_name: Option<String>,
    /// Warehouse location
    #[arg(long, global = true, env = "ICEWRIGHT_WAREHOUSE", value_name = "LOCATION")]
    pub(super) warehouse: Option<String>,
    /// Catalog or storage property by Iceberg's name, e.g. s3.endpoint=http://… (repeatable; lines in the variable)
    #[arg(long, global = true, env = "ICEWRIGHT_PROP", value_name = "KEY=VALUE", value_delimiter = '\n')]
    pub(super) prop: Vec<String>,
    /// Print one JSON document on stdout
    #[arg(long, global = true, env = "ICEWRIGHT_JSON")]
    pub(super) json: bool,
    /// Format of the log on stderr
    #[arg(long, global = true, env = "ICEWRIGHT_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or filters such as icewright=debug
    #[arg(long, global = true, env = "ICEWRIGHT_LOG", value_name = "LEVEL")]
    pub(super) log: Option<String>,
    /// Memory budget [default: 512MiB, or three quarters of the container's limit if that is less]
    #[arg(long, global = true, env = "ICEWRIGHT_MEMORY", value_name = "SIZE")]
    pub(super) memory: Option<String>,
    /// Push metrics at the end of a run: http://victoria-metrics:8428, or a Pushgateway's /metrics/job/NAME
    #[arg(long, global = true, env = "ICEWRIGHT_METRICS_PUSH", value_name = "URL", hide_env_values = true)]
    pub(super) metrics_push: Option<String>,
    /// Send traces and metrics to an OpenTelemetry collector, as http://collector:4318 [default: what
    /// OTEL_EXPORTER_OTLP_ENDPOINT and its kin say]
    #[arg(long, global = true, env = "ICEWRIGHT_OTLP", value_name = "URL", hide_env_values = true)]
    pub(super) otlp: Option<String>,
    /// Write a report of the run as one HTML page
    #[arg(long, global = true, env = "ICEWRIGHT_REPORT", value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Threads for encoding [default: the processors this process may use]
    #[arg(long, global = true, env = "ICEWRIGHT_WORKERS", value_name = "N")]
    pub(super) workers: Option<usize>,
}

/// What the environment says alone, for options that a verb has no flags for.
pub(super) fn from_environment<T: Args + Default>() -> T {
    #[derive(Parser)]
    struct Environment<T: Args> {
        #[command(flatten)]
        options: T,
    }
    Environment::<T>::try_parse_from(["icewright"]).map_or_else(|_| T::default(), |parsed| parsed.options)
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a small lake, maintain it, show before and after
    Demo(DemoArgs),
    /// Show the health of tables: files, sizes, deletes, snapshots, what is due and why
    Inspect(InspectArgs),
    /// Show or save what an operation would do, and why
    Plan(PlanArgs),
    /// Run a saved plan
    Apply(ApplyArgs),
    /// Merge small files into 256–512 MiB ZSTD files
    Compact(CompactArgs),
    /// Merge manifests and sort them by partition
    RewriteManifests(RewriteManifestsArgs),
    /// Let old snapshots and metadata versions go, with the files that only they reach
    Expire(ExpireArgs),
    /// Find files that nothing refers to; remove them, or move them into quarantine
    RemoveOrphans(RemoveOrphansArgs),
    /// Bring files back that remove-orphans moved into quarantine
    Restore(RestoreArgs),
    /// Move ageing data to cheaper storage, by partition
    Archive(ArchiveArgs),
    /// Do all that is due for tables, in the right order: merge files and manifests, let old snapshots go, remove orphans
    Maintain(MaintainArgs),
    /// Make a deterministic lake for tests and benchmarks
    Fixture(FixtureArgs),
    /// Check configuration, catalog and storage rights before the first run
    Doctor(DoctorArgs),
    /// Run schedules for as long as the process lives, with a status page and metrics
    Serve(ServeArgs),
    /// Say what the fleet will need: hours, workers, storage by tier, money; with the arithmetic
    Forecast(ForecastArgs),
    /// Write, check or describe icewright.toml
    Config(ConfigArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one a verb
    Man(ManArgs),
}

/// Which tables.
#[derive(Debug, Args)]
pub(super) struct Tables {
    /// Table as db.t, or a glob such as 'db.*' (repeatable)
    #[arg(long, env = "ICEWRIGHT_TABLE", value_name = "TABLE", value_delimiter = ',')]
    pub(super) table: Vec<String>,
    /// All tables of the catalog
    #[arg(long, env = "ICEWRIGHT_ALL", conflicts_with = "table")]
    pub(super) all: bool,
}
