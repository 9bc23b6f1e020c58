//! `icewright compact`.

use std::collections::HashMap;

use super::args::CompactArgs;
use super::bars::Bars;
use super::ending::finish;
use super::session::Session;
use super::{output, render};
use crate::error::Result;
use crate::model::{CompactPolicy, TableName, TableReport};

/// Compacts tables one after another; the worst result is the exit code.
pub(super) async fn run(session: &Session, args: &CompactArgs) -> Result<u8> {
    let mut reports = Vec::new();
    for name in session.tables(&args.tables).await? {
        reports.push(one(session, args, &name).await?);
    }
    finish(session, "compact", reports).await
}

async fn one(session: &Session, args: &CompactArgs, name: &TableName) -> Result<TableReport> {
    let maintenance = session.maintenance_with(&args.options)?;
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        let policy = session.policy(&args.options, table, properties)?;
        Ok(CompactPolicy { only_deletes: args.deletes, ..policy })
    };
    if args.dry_run {
        let (report, plan) = maintenance.compact_dry_run(name, &policy_for).await;
        if let (Some(plan), false) = (&plan, session.json) {
            output::data(&render::compact_plan(plan, false));
        }
        return Ok(report);
    }
    let bars = Bars::start(maintenance.progress.clone(), &name.to_string());
    let report = maintenance.compact(name, &policy_for).await;
    drop(bars);
    tracing::info!(
        table = %name,
        status = ?report.status,
        files_before = report.files_before,
        files_after = report.files_after,
        bytes_read = report.bytes_read,
        bytes_written = report.bytes_written,
        seconds = report.seconds,
        "compaction ended"
    );
    Ok(report)
}
