//! `icewright expire`, and how its plan is shown.

use std::collections::HashMap;

use super::args::ExpireArgs;
use super::bars::Bars;
use super::ending::finish;
use super::output;
use super::render::table;
use super::session::Session;
use crate::error::Result;
use crate::model::{ExpirePlan, Removal, TableName, TableReport, human_age, human_bytes};

/// Expires tables one after another; the worst result is the exit code.
pub(super) async fn run(session: &Session, args: &ExpireArgs) -> Result<u8> {
    let mut reports = Vec::new();
    for name in session.tables(&args.tables).await? {
        reports.push(one(session, args, &name).await);
    }
    finish(session, "expire", reports).await
}

async fn one(session: &Session, args: &ExpireArgs, name: &TableName) -> TableReport {
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.expire_policy(&args.options, table, properties)
    };
    if args.dry_run {
        let (report, plan) = session.maintenance.expire_dry_run(name, &policy_for).await;
        if let (Some(plan), false) = (&plan, session.json) {
            output::data(&text(plan, false));
        }
        return report;
    }
    let bars = Bars::start(session.maintenance.progress.clone(), &name.to_string());
    let report = session.maintenance.expire(name, &policy_for).await;
    drop(bars);
    tracing::info!(
        table = %name,
        status = ?report.status,
        snapshots_before = report.snapshots_before,
        snapshots_after = report.snapshots_after,
        files_removed = report.files_removed,
        bytes_removed = report.bytes_removed,
        seconds = report.seconds,
        "expiry ended"
    );
    report
}

/// An expiry: what goes and what stays, counted by reason, and what that frees; every snapshot, if wanted.
pub(super) fn text(plan: &ExpirePlan, every_snapshot: bool) -> String {
    let (gone, kept) = (plan.expired.len(), plan.kept.len());
    let mut text = format!("{}: {} snapshots: {gone} expire, {kept} are kept\n", plan.table, gone + kept);
    if plan.is_empty() {
        text.push_str("nothing to do\n");
    }
    let now = plan.created_ms;
    let gone = plan.expired.iter().map(|s| ("expires", s.why.to_string(), now - s.timestamp_ms, s.id));
    let kept = plan.kept.iter().map(|s| ("stays", s.why.to_string(), now - s.timestamp_ms, s.id));
    let all: Vec<(&str, String, i64, i64)> = gone.chain(kept).collect();
    if every_snapshot {
        let rows =
            all.iter().map(|(what, why, age, id)| vec![id.to_string(), human_age(*age), (*what).into(), why.clone()]);
        text.push_str(&table(&[">snapshot", ">age", "what", "why"], rows.collect()));
    } else {
        text.push_str(&table(&[">snapshots", "what", "why", ">oldest", ">newest"], by_reason(&all)));
    }
    text.push('\n');
    for reference in &plan.refs {
        let most = human_age(i64::try_from(reference.max_age_ms).unwrap_or(i64::MAX));
        text.push_str(&format!("branch or tag {} goes: older than {most}\n", reference.name));
    }
    if !plan.specs.is_empty() || !plan.schemas.is_empty() {
        text.push_str(&format!("without use: partition specs {:?}, schemas {:?}\n", plan.specs, plan.schemas));
    }
    if let Some(keep) = plan.trim_log_to {
        text.push_str(&format!("{} older metadata files become {keep} at most\n", plan.metadata_versions));
    }
    if let Some(frees) = &plan.frees {
        text.push_str(&freed(frees));
    }
    text
}

/// One line a reason, in the order in which they first come.
fn by_reason(all: &[(&str, String, i64, i64)]) -> Vec<Vec<String>> {
    let mut groups: Vec<(&str, &str, u64, i64, i64)> = Vec::new();
    for (what, why, age, _) in all {
        match groups.iter_mut().find(|group| (group.0, group.1) == (*what, why.as_str())) {
            Some(group) => *group = (group.0, group.1, group.2 + 1, group.3.max(*age), group.4.min(*age)),
            None => groups.push((what, why, 1, *age, *age)),
        }
    }
    let row = |(what, why, count, oldest, newest): (&str, &str, u64, i64, i64)| {
        vec![count.to_string(), what.to_owned(), why.to_owned(), human_age(oldest), human_age(newest)]
    };
    groups.into_iter().map(row).collect()
}

/// What becomes free, by kind of file.
fn freed(frees: &Removal) -> String {
    let kinds =
        frees.by_kind.iter().map(|(kind, count)| format!("{} {kind} ({})", count.files, human_bytes(count.bytes)));
    let kinds: Vec<String> = kinds.collect();
    let mut text = format!("frees {} in {} files", human_bytes(frees.bytes()), frees.files());
    if !kinds.is_empty() {
        text.push_str(&format!(": {}", kinds.join(", ")));
    }
    text.push('\n');
    if frees.outside > 0 {
        text.push_str(&format!("left alone: {} files outside of the table's locations\n", frees.outside));
    }
    text
}
