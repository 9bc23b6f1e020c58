//! `icewright demo`: a small lake gets healthier, in front of one's eyes.
//!
//! The demo has a clock of its own, some weeks back: writers add files, one of them crashes now and then; on Thursdays
//! `icewright expire` runs and on Sundays `icewright maintain`, as their CronJobs would.

mod disk;
mod tiers;
mod weeks;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::{DemoArgs, ExpireOptions, Global, ManifestOptions, RewriteOptions};
use super::ending::{Aftermath, finish};
use super::session::{Session, resources};
use super::{fixture, inspect, output, render};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::fixture::{TableSpec, demo_tables};
use crate::lake::{Ambient, connect_or_create};
use crate::maintenance::Maintenance;
use crate::model::{TableName, TableReport, human_bytes};
use crate::telemetry::Progress;

/// How long the story is.
const WEEKS: u32 = 3;
const DAY: Duration = Duration::from_secs(86_400);

/// Makes a lake, shows its health, and maintains it for some weeks.
pub(super) async fn run(global: &Global, args: &DemoArgs) -> Result<u8> {
    let system = Ambient::system();
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => fresh_folder(&system),
    };
    if dir.join("catalog.db").exists() {
        return Err(Error::invalid(format!("{} holds a lake already", dir.display()))
            .hint("name another folder with --dir, or remove this one"));
    }
    let settings = fixture::new_lake(&dir)?;
    // The lake's own month, and the weeks of the story after it.
    let ambient = Arc::new(fixture::past(DAY * (34 + 7 * WEEKS)));
    let catalog = connect_or_create(&settings, ambient.clone()).await?;
    let start = Instant::now();
    output::talk(&format!("1. A lake in {} …", dir.display()));
    let specs: Vec<TableSpec> = demo_tables()?
        .into_iter()
        .map(|spec| TableSpec { pause: DAY * 10 / u32::try_from(spec.commits).unwrap_or(1), ..spec })
        .collect();
    let made = fixture::make(&catalog, &ambient, &specs).await?;
    output::talk(&format!("{}\nmade in {:.1} s\n", fixture::text(&made), start.elapsed().as_secs_f64()));
    disk::date(&dir, ambient.now_ms())?;

    let aftermath = Aftermath::new(global, &ambient)?;
    let mut session = Session {
        maintenance: Maintenance {
            catalog,
            ambient,
            resources: resources(global)?,
            progress: Arc::new(Progress::default()),
        },
        settings: Settings::default(),
        json: global.json,
        aftermath,
    };
    output::talk("2. Its health: icewright inspect --all");
    health(&session, &specs).await?;
    output::talk("3. Three weeks of writers, with icewright expire on Thursdays and icewright maintain on Sundays");
    let mut reports = weeks::run(&session, &specs, &dir).await?;
    session.settings = tiers::settings(&dir)?;
    output::talk(&format!("4. Four years in three tiers: icewright archive --table {}", specs[0].name));
    let archived = tiers::run(&session, &specs[0].name).await;
    reports.push(archived);
    let code = finish(&session, "demo", reports).await?;
    output::talk(&format!(
        "\nWhat to try next:\n  icewright inspect --catalog {uri} --all\n  icewright plan compact --catalog {uri} --all --rewrite-all\n  \
         icewright maintain --catalog {uri} --all --dry-run\n  icewright doctor --catalog {uri}\n  \
         icewright archive --config {config} --catalog {uri} --table market.prices --to hot --where \"ts < '2024-01-01'\"",
        uri = settings.uri,
        config = dir.join("icewright.toml").display()
    ));
    Ok(code)
}

async fn health(session: &Session, specs: &[TableSpec]) -> Result<()> {
    let (options, expiry, manifests) =
        (RewriteOptions::default(), ExpireOptions::default(), ManifestOptions::default());
    let compact = |table: &TableName, properties: &HashMap<String, String>| session.policy(&options, table, properties);
    let expire =
        |table: &TableName, properties: &HashMap<String, String>| session.expire_policy(&expiry, table, properties);
    let manifest = |table: &TableName, properties: &HashMap<String, String>| {
        session.manifest_policy(&manifests, table, properties)
    };
    for spec in specs {
        let health = session.maintenance.health(&spec.name, &compact, &expire, &manifest).await?;
        output::talk(&inspect::text(&spec.name, &health));
    }
    Ok(())
}

/// File sizes before and after, and what it came to.
fn picture(reports: &[TableReport]) {
    output::talk(&render::sizes(reports));
    let sum = |pick: fn(&TableReport) -> Option<u64>| reports.iter().filter_map(pick).sum::<u64>();
    output::talk(&format!(
        "{} files, {} became {} files, {} in {:.1} s\n",
        sum(|r| r.files_before),
        human_bytes(sum(|r| r.bytes_before)),
        sum(|r| r.files_after),
        human_bytes(sum(|r| r.bytes_after)),
        reports.iter().map(|r| r.seconds).sum::<f64>(),
    ));
}

fn fresh_folder(ambient: &Ambient) -> PathBuf {
    let id = ambient.uuid().simple().to_string();
    std::env::temp_dir().join(format!("icewright-demo-{}", &id[..8]))
}
