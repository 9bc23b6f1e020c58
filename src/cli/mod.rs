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

use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, Result};
use args::{Cli, Verb};
use session::Session;

/// Parses the command line, runs the verb, and gives the exit code of the contract.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    logs::start(&cli.global);
    let log_format = cli.global.log_format;
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal("starting the runtime failed").caused_by(e))
        .and_then(|runtime| runtime.block_on(dispatch(cli)));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            logs::fatal(log_format, &error);
            ExitCode::from(error.kind().exit_code())
        }
    }
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
