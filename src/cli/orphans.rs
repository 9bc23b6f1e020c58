//! `icewright remove-orphans`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::spec::TableMetadata;

use super::args::{OrphanOptions, RemoveOrphansArgs};
use super::ending::finish;
use super::session::Session;
use super::{output, render};
use crate::config::{self, PolicyLayers};
use crate::error::Result;
use crate::maintenance::orphans::{OrphanRun, Spill};
use crate::model::{OrphanPlan, OrphanPolicy, TableName, human_age, human_bytes, parse_bytes};

/// So many orphans are named on a terminal unless all are asked for.
const MOST_SHOWN: usize = 20;
/// So many orphans a saved plan may name; more are removed by `remove-orphans --delete` alone.
pub(super) const MOST_PLANNED: usize = 100_000;

/// Looks for orphans of tables one after another, and removes them where that is asked for.
pub(super) async fn run(session: &Session, args: &RemoveOrphansArgs) -> Result<u8> {
    let run = run_of(session, &args.options, if args.files { usize::MAX } else { MOST_SHOWN })?;
    let quarantine = args.options.quarantine.as_deref();
    let remove = (args.delete || quarantine.is_some()) && !args.dry_run;
    let mut reports = Vec::new();
    for name in session.tables(&args.tables).await? {
        let (report, plan) = session.maintenance.remove_orphans(&name, &run, remove).await;
        if let (Some(plan), false) = (&plan, session.json) {
            output::data(&text(plan, args.files));
        }
        reports.push(report);
    }
    let found = reports.iter().any(|report| report.files_removed.is_some_and(|files| files > 0));
    let code = finish(session, "remove-orphans", reports).await?;
    match quarantine {
        _ if !found => {}
        _ if !remove => {
            output::talk(
                "nothing was removed: say --delete to remove them, or --quarantine LOCATION to move them away",
            );
        }
        Some(place) => output::talk(&format!("to bring them back: icewright restore --from {place}")),
        None => {}
    }
    Ok(code)
}

/// What is the same for all tables of a command.
pub(super) fn run_of<'a>(session: &'a Session, options: &'a OrphanOptions, most_named: usize) -> Result<OrphanRun<'a>> {
    let spill_dir = options.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    Ok(OrphanRun {
        policy_for: Box::new(|table: &TableName, properties: &HashMap<String, String>| {
            policy(session, options, table, properties)
        }),
        locations_for: Box::new(|table: &TableName, metadata: &TableMetadata| tiers(session, table, metadata)),
        listing: options.listing.clone(),
        spill: Spill::new(spill_dir, parse_bytes(&options.spill_limit)?),
        most_named,
        neighbours: Arc::default(),
    })
}

/// Where a table's files are in storage tiers.
fn tiers(session: &Session, table: &TableName, metadata: &TableMetadata) -> Result<Vec<String>> {
    let (options, properties) = (BTreeMap::new(), metadata.properties());
    let layers = PolicyLayers { options: &options, filter: None, settings: &session.settings, table, properties };
    let parts = table.namespace.len() + 1;
    let places = config::tier_places(&layers)?;
    Ok(places.iter().filter_map(|place| place.table_location(metadata.location(), parts)).collect())
}

fn policy(
    session: &Session,
    options: &OrphanOptions,
    table: &TableName,
    properties: &HashMap<String, String>,
) -> Result<OrphanPolicy> {
    let given: BTreeMap<String, String> =
        options.given().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let layers = PolicyLayers { options: &given, filter: None, settings: &session.settings, table, properties };
    config::orphan_policy(&layers)
}

/// What was found, for people: by location, what is left alone and why, and the orphans that are named.
pub(super) fn text(plan: &OrphanPlan, every_file: bool) -> String {
    let OrphanPlan { table, listed, referenced, found, .. } = plan;
    let mut lines = vec![format!(
        "{table}: {} files listed, {}; {} referred to; {} orphans, {}, older than {}",
        listed.files,
        human_bytes(listed.bytes),
        referenced.files,
        found.files,
        human_bytes(found.bytes),
        human_age(i64::try_from(plan.policy.older_than_ms).unwrap_or(i64::MAX)),
    )];
    let rows = plan.locations.iter().map(|(location, count)| {
        let figures = [count.listed, count.orphans].map(|c| format!("{}, {}", c.files, human_bytes(c.bytes)));
        std::iter::once(location.clone()).chain(figures).collect()
    });
    lines.push(render::table(&["location", ">listed", ">orphans"], rows.collect()));
    for (why, count) in &plan.left_alone {
        lines.push(format!("left alone: {} files, {}: {why}", count.files, human_bytes(count.bytes)));
    }
    if plan.elsewhere > 0 {
        lines.push(format!("{} files that the table refers to are in places that are not its own", plan.elsewhere));
    }
    let shown = if every_file { plan.orphans.len() } else { plan.orphans.len().min(MOST_SHOWN) };
    for orphan in &plan.orphans[..shown] {
        let age = human_age(plan.created_ms - orphan.modified_ms);
        lines.push(format!("  {:>9}  {age:>8} old  {}", human_bytes(orphan.size), orphan.path));
    }
    if (shown as u64) < found.files {
        lines.push(format!("  … and {} more: --files names all of them", found.files - shown as u64));
    }
    lines.join("\n") + "\n"
}
