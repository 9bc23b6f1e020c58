//! `icewright rewrite-manifests`.

use std::collections::HashMap;

use super::args::RewriteManifestsArgs;
use super::ending::finish;
use super::session::Session;
use super::{output, render};
use crate::error::Result;
use crate::model::{ManifestPlan, TableName, TableReport, human_bytes};

/// Rewrites the manifests of tables one after another; the worst result is the exit code.
pub(super) async fn run(session: &Session, args: &RewriteManifestsArgs) -> Result<u8> {
    let mut reports = Vec::new();
    for name in session.tables(&args.tables).await? {
        reports.push(one(session, args, &name).await);
    }
    finish(session, "rewrite-manifests", reports).await
}

async fn one(session: &Session, args: &RewriteManifestsArgs, name: &TableName) -> TableReport {
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.manifest_policy(&args.options, table, properties)
    };
    if args.dry_run {
        let (report, plan) = session.maintenance.rewrite_manifests_dry_run(name, &policy_for).await;
        if let (Some(plan), false) = (&plan, session.json) {
            output::data(&text(plan, false));
        }
        return report;
    }
    let report = session.maintenance.rewrite_manifests(name, &policy_for).await;
    tracing::info!(
        table = %name,
        status = ?report.status,
        manifests_before = report.manifests_before,
        manifests_after = report.manifests_after,
        seconds = report.seconds,
        "rewriting manifests ended"
    );
    report
}

/// A plan for people: per group what becomes of it, and why.
pub(super) fn text(plan: &ManifestPlan, every_file: bool) -> String {
    let (before, after) = plan.counts();
    let mut text = format!("{}: {before} manifests", plan.table);
    text.push_str(&if plan.is_empty() { "; nothing to do\n".to_owned() } else { format!(" → about {after}\n") });
    let rows = plan.tasks.iter().map(|task| {
        let kind = if task.deletes { "deletes" } else { "data" };
        let after = if task.manifests.is_empty() { "–".to_owned() } else { task.after.to_string() };
        vec![
            format!("{kind}, spec {}", task.spec_id),
            task.before.to_string(),
            human_bytes(task.bytes),
            task.manifests.len().to_string(),
            after,
            task.why.to_string(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        text.push_str(&render::table(&["group", ">manifests", ">bytes", ">rewritten", ">after", "why"], rows));
        text.push('\n');
    }
    if every_file {
        for path in plan.tasks.iter().flat_map(|task| &task.manifests) {
            text.push_str(&format!("  {path}\n"));
        }
    }
    text
}
