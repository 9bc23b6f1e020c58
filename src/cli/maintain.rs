//! `icewright maintain`, and how its steps are shown.

use std::collections::{BTreeMap, HashMap};

use super::args::{
    ArchiveOptions, ExpireOptions, MaintainArgs, ManifestOptions, OrphanOptions, RewriteOptions, StepOptions,
    from_environment,
};
use super::bars::Bars;
use super::ending::finish;
use super::orphans::{MOST_PLANNED, run_of};
use super::output;
use super::render::{self, change};
use super::session::Session;
use crate::error::{Error, Result};
use crate::maintenance::maintain::MaintainRun;
use crate::model::{Status, TableName, TableReport, human_bytes};

/// Maintains tables one after another; the worst result is the exit code.
pub(super) async fn run(session: &Session, args: &MaintainArgs) -> Result<u8> {
    let mut orphans: OrphanOptions = from_environment();
    if args.steps.orphans_older_than.is_some() {
        orphans.older_than.clone_from(&args.steps.orphans_older_than);
    }
    let run = run_over(session, &args.options, &args.steps, &orphans, args.dry_run)?;
    let maintenance = session.maintenance_with(&args.options)?;
    let mut reports = Vec::new();
    for name in session.tables(&args.tables).await? {
        let bars = Bars::start(maintenance.progress.clone(), &name.to_string());
        let (report, plans) = maintenance.maintain(&name, &run).await;
        drop(bars);
        if !session.json {
            plans.iter().for_each(|plan| output::data(&render::plan(plan, false)));
            output::data(&steps(&report));
        }
        tracing::info!(
            table = %name,
            status = ?report.status,
            files_before = report.files_before,
            files_after = report.files_after,
            snapshots_before = report.snapshots_before,
            snapshots_after = report.snapshots_after,
            files_removed = report.files_removed,
            bytes_removed = report.bytes_removed,
            seconds = report.seconds,
            "maintenance ended"
        );
        reports.push(report);
    }
    finish(session, "maintain", reports).await
}

/// What is the same for all tables of a run.
pub(super) fn run_over<'a>(
    session: &'a Session,
    rewrite: &'a RewriteOptions,
    steps: &'a StepOptions,
    orphans: &'a OrphanOptions,
    dry_run: bool,
) -> Result<MaintainRun<'a>> {
    let wanted = steps.wanted(!session.settings.tiers.is_empty());
    if wanted.is_empty() {
        return Err(Error::invalid("no step is left to do").hint("leave out --skip, or name fewer steps in it"));
    }
    let expire = steps.expire(&from_environment());
    let manifests: ManifestOptions = from_environment();
    let archive: ArchiveOptions = from_environment();
    Ok(MaintainRun {
        steps: wanted,
        dry_run,
        compact: Box::new(|table: &TableName, properties: &HashMap<String, String>| {
            session.policy(rewrite, table, properties)
        }),
        manifests: Box::new(move |table: &TableName, properties: &HashMap<String, String>| {
            session.manifest_policy(&manifests, table, properties)
        }),
        expire: Box::new(move |table: &TableName, properties: &HashMap<String, String>| {
            session.expire_policy_by(&expire, table, properties)
        }),
        orphans: run_of(session, orphans, if dry_run { MOST_PLANNED } else { 0 })?,
        archive: Box::new(move |table: &TableName, properties: &HashMap<String, String>| {
            session.archive_policy(&archive, rewrite, table, properties)
        }),
    })
}

impl StepOptions {
    /// The options of an expiry: what the environment says for it, and what this command line says.
    fn expire(&self, environment: &ExpireOptions) -> BTreeMap<String, String> {
        let mut options: BTreeMap<String, String> =
            environment.given().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // A single snapshot is named by hand, for one expiry.
        options.remove("snapshot-id");
        let mine = [
            ("retain-min", &self.retain_min),
            ("retain-max", &self.retain_max),
            ("older-than", &self.expire_older_than),
            ("min-age", &self.min_age),
        ];
        options.extend(mine.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
        options
    }
}

/// The steps of one table, one line each.
pub(super) fn steps(report: &TableReport) -> String {
    let mut rows = Vec::new();
    for step in &report.steps {
        let name = step.operation.to_string();
        let Some(done) = &step.report else {
            rows.push(vec![name, "not begun".to_owned(), "an earlier step failed".to_owned(), String::new()]);
            continue;
        };
        rows.push(vec![name, render::status(done.status).to_owned(), did(done), format!("{:.1} s", done.seconds)]);
    }
    format!("{}\n{}\n", report.table, render::table(&["step", "status", "what", ">time"], rows))
}

/// What one step did, in words.
fn did(step: &TableReport) -> String {
    if let Some(error) = &step.error {
        return error.message.clone();
    }
    let count = |n: u64| n.to_string();
    let moved = |what: &str, before: Option<u64>, after: Option<u64>, words: fn(u64) -> String| {
        (before != after).then(|| change(before, after, words)).flatten().map(|figures| format!("{figures} {what}"))
    };
    let mut parts: Vec<String> = [
        moved("files", step.files_before, step.files_after, count),
        moved("of data", step.bytes_before, step.bytes_after, human_bytes),
        moved("manifests", step.manifests_before, step.manifests_after, count),
        moved("snapshots", step.snapshots_before, step.snapshots_after, count),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts
        .extend(render::depth(step).filter(|_| step.depth_after != step.depth_before).map(|d| format!("depth by {d}")));
    if let (Some(files), Some(bytes)) = (step.files_removed.filter(|files| *files > 0), step.bytes_removed) {
        let word = if step.status == Status::DryRun { "would be removed" } else { "removed" };
        parts.push(format!("{files} files, {} {word}", human_bytes(bytes)));
    }
    parts.join("; ")
}
