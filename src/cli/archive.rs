//! `icewright archive`.

use std::collections::HashMap;

use super::args::ArchiveArgs;
use super::bars::Bars;
use super::ending::finish;
use super::session::Session;
use super::{output, tiers};
use crate::error::Result;
use crate::model::{TableName, TableReport};

/// Moves what has aged, table by table; the worst result is the exit code.
pub(super) async fn run(session: &Session, args: &ArchiveArgs) -> Result<u8> {
    let mut reports = Vec::new();
    for name in session.tables(&args.tables).await? {
        let report = one(session, args, &name).await?;
        if let (Some(told), false, false) = (&report.archive, session.json, args.dry_run) {
            output::data(&tiers::report(&name, told));
        }
        reports.push(report);
    }
    finish(session, "archive", reports).await
}

async fn one(session: &Session, args: &ArchiveArgs, name: &TableName) -> Result<TableReport> {
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.archive_policy(&args.archive, &args.options, table, properties)
    };
    if args.dry_run {
        let (report, plan) = session.maintenance.archive_dry_run(name, &policy_for).await;
        if let (Some(plan), false) = (&plan, session.json) {
            output::data(&tiers::plan(plan, false));
        }
        return Ok(report);
    }
    let bars = Bars::start(session.maintenance.progress.clone(), &name.to_string());
    let report = session.maintenance.archive(name, &policy_for).await;
    drop(bars);
    tracing::info!(
        table = %name,
        status = ?report.status,
        moved_files = report.archive.as_ref().map(|told| told.moved_files),
        moved_bytes = report.archive.as_ref().map(|told| told.moved_bytes),
        seconds = report.seconds,
        "archival ended"
    );
    Ok(report)
}
