//! The command line: raw arguments, resolved requests, library calls, and text for people. Nothing else prints.

mod apply;
mod archive;
mod args;
mod bars;
mod chosen;
mod compact;
mod config;
mod demo;
mod doctor;
mod ending;
mod expire;
mod fixture;
mod forecast;
mod html;
mod inspect;
mod logs;
mod maintain;
mod manifests;
mod orphans;
mod otlp;
mod output;
mod plan;
mod rank;
mod render;
mod report_page;
mod restore;
mod serve;
mod session;
mod shell;
mod tiers;
mod ways;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use tracing::Instrument;

use crate::error::{Error, Result};
use crate::telemetry::{SPANS, process};
use args::{Cli, Verb};
use session::Session;

/// Parses the command line, runs the verb, and gives the exit code of the contract.
pub fn run() -> ExitCode {
    let matches = Cli::command().get_matches();
    let span = root(matches.subcommand_name().unwrap_or_default());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    #[cfg(unix)]
    process::allow_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let mut log = logs::start(&cli.global, runtime.as_ref().ok().map(tokio::runtime::Runtime::handle));
    let done = runtime.map_err(|e| Error::internal("starting the runtime failed").caused_by(e)).and_then(|runtime| {
        let done = runtime.block_on(dispatch(cli).instrument(span()));
        // While the runtime still carries what is sent.
        log.end();
        done
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.fatal(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Makes the span of a whole run. A scheduler's runs are those of its schedules.
fn root(verb: &str) -> impl FnOnce() -> tracing::Span + use<> {
    let name = format!("icewright {verb}");
    let is_run = !["serve", "config", "completions", "man"].contains(&verb);
    move || if is_run { tracing::info_span!(target: SPANS, "run", otel.name = name) } else { tracing::Span::none() }
}

/// Runs one verb. The number is the exit code; errors that no table's report carries come back as errors.
async fn dispatch(cli: Cli) -> Result<u8> {
    let global = cli.global;
    match cli.verb {
        Verb::Demo(args) => demo::run(&global, &args).await,
        Verb::Inspect(args) => inspect::run(&Session::open(&global).await?, &args).await,
        Verb::Plan(args) => plan::run(&Session::open(&global).await?, &args).await,
        Verb::Apply(args) => apply::run(&Session::open(&global).await?, &args).await,
        Verb::Compact(args) => compact::run(&Session::open(&global).await?, &args).await,
        Verb::RewriteManifests(args) => manifests::run(&Session::open(&global).await?, &args).await,
        Verb::Expire(args) => expire::run(&Session::open(&global).await?, &args).await,
        Verb::RemoveOrphans(args) => orphans::run(&Session::open(&global).await?, &args).await,
        Verb::Restore(args) => restore::run(&global, &args).await,
        Verb::Archive(args) => archive::run(&Session::open(&global).await?, &args).await,
        Verb::Maintain(args) => maintain::run(&Session::open(&global).await?, &args).await,
        Verb::Fixture(args) => fixture::run(&global, &args).await,
        Verb::Doctor(args) => doctor::run(&global, &args).await,
        Verb::Serve(args) => serve::run(&global, &args).await,
        Verb::Forecast(args) => forecast::run(&Session::open(&global).await?, &args).await,
        Verb::Config(args) => config::run(&global, &args),
        Verb::Completions(args) => shell::completions(&args),
        Verb::Man(args) => shell::man(&args),
    }
}
