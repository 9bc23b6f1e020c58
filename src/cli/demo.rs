//! `icewright demo`: a small lake gets healthier, in front of one's eyes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::args::{DemoArgs, ExpireOptions, Global, ManifestOptions, RewriteOptions};
use super::bars::Bars;
use super::ending::{Aftermath, finish};
use super::session::{Session, resources};
use super::{fixture, inspect, output, render};
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::fixture::demo_tables;
use crate::lake::{Ambient, connect_or_create};
use crate::maintenance::Maintenance;
use crate::model::{SizeClass, TableName, human_bytes};
use crate::telemetry::Progress;

/// Makes a lake, shows its health, compacts it, shows before and after.
pub(super) async fn run(global: &Global, args: &DemoArgs) -> Result<u8> {
    let ambient = Arc::new(Ambient::system());
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => fresh_folder(&ambient),
    };
    if dir.join("catalog.db").exists() {
        return Err(Error::invalid(format!("{} holds a lake already", dir.display()))
            .hint("name another folder with --dir, or remove this one"));
    }
    let settings = fixture::new_lake(&dir)?;
    let catalog = connect_or_create(&settings, ambient.clone()).await?;
    let start = Instant::now();
    output::talk(&format!("1. A lake in {} …", dir.display()));
    let made = fixture::make(&catalog, &ambient, &demo_tables()?).await?;
    output::talk(&format!("{}\nmade in {:.1} s\n", fixture::text(&made), start.elapsed().as_secs_f64()));

    let aftermath = Aftermath::new(global, &ambient)?;
    let session = Session {
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
    let options = RewriteOptions::default();
    let policy_for =
        |table: &TableName, properties: &HashMap<String, String>| session.policy(&options, table, properties);
    output::talk("2. Its health: icewright inspect --all");
    let expiry = ExpireOptions::default();
    let expire_policy_for =
        |table: &TableName, properties: &HashMap<String, String>| session.expire_policy(&expiry, table, properties);
    let manifests = ManifestOptions::default();
    let manifest_policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.manifest_policy(&manifests, table, properties)
    };
    for table in &made {
        let name = &table.table;
        let health = session.maintenance.health(name, &policy_for, &expire_policy_for, &manifest_policy_for).await?;
        output::talk(&inspect::text(&table.table, &health));
    }
    output::talk("3. Compaction: icewright compact --all");
    let mut reports = Vec::new();
    for table in &made {
        let _bars = Bars::start(session.maintenance.progress.clone(), &table.table.to_string());
        reports.push(session.maintenance.compact(&table.table, &policy_for).await);
    }
    for report in &reports {
        output::talk(&format!("\n{} before", report.table));
        output::talk(&render::histogram(&SizeClass::sort(report.sizes_before.iter().copied())));
        output::talk(&format!("{} after", report.table));
        output::talk(&render::histogram(&SizeClass::sort(report.sizes_after.iter().copied())));
    }
    let sum = |pick: fn(&crate::model::TableReport) -> Option<u64>| reports.iter().filter_map(pick).sum::<u64>();
    output::talk(&format!(
        "{} files, {} became {} files, {} in {:.1} s\n",
        sum(|r| r.files_before),
        human_bytes(sum(|r| r.bytes_before)),
        sum(|r| r.files_after),
        human_bytes(sum(|r| r.bytes_after)),
        reports.iter().map(|r| r.seconds).sum::<f64>(),
    ));
    let code = finish(&session, "demo", reports).await?;
    output::talk(&format!(
        "\nWhat to try next:\n  icewright inspect --catalog {uri} --all\n  icewright plan compact --catalog {uri} --all --rewrite-all\n  \
         icewright compact --catalog {uri} --all --dry-run   (nothing to do: a second run never rewrites again)\n  \
         icewright doctor --catalog {uri}",
        uri = settings.uri
    ));
    Ok(code)
}

fn fresh_folder(ambient: &Ambient) -> PathBuf {
    let id = ambient.uuid().simple().to_string();
    std::env::temp_dir().join(format!("icewright-demo-{}", &id[..8]))
}
