//! `icewright inspect`.

use std::collections::HashMap;

use serde::Serialize;

use super::args::{ArchiveOptions, ExpireOptions, InspectArgs, from_environment};
use super::session::Session;
use super::{output, render, tiers};
use crate::error::Result;
use crate::model::{ArchiveReport, ErrorReport, Health, TableName, human_age, human_bytes};

#[derive(Serialize)]
struct Document {
    version: u32,
    command: &'static str,
    tables: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    table: TableName,
    #[serde(flatten)]
    health: Option<Health>,
    /// What is in each storage tier; absent where none are described.
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<ArchiveReport>,
    error: Option<ErrorReport>,
}

/// Shows the health of tables; one that can't be read does not hide the others.
pub(super) async fn run(session: &Session, args: &InspectArgs) -> Result<u8> {
    let (mut entries, mut worst) = (Vec::new(), 0);
    let expiry: ExpireOptions = from_environment();
    let expire_policy_for =
        |table: &TableName, properties: &HashMap<String, String>| session.expire_policy(&expiry, table, properties);
    let limits = args.manifests.options();
    let manifest_policy_for =
        |table: &TableName, properties: &HashMap<String, String>| session.manifest_policy(&limits, table, properties);
    for name in session.tables(&args.tables).await? {
        let policy_for =
            |table: &TableName, properties: &HashMap<String, String>| session.policy(&args.options, table, properties);
        let health = session.maintenance.health(&name, &policy_for, &expire_policy_for, &manifest_policy_for).await;
        let error = health.as_ref().err().map(|error| {
            worst = worst.max(error.kind().exit_code());
            if !session.json {
                output::error(error);
            }
            ErrorReport::from(error)
        });
        let archive = if session.settings.tiers.is_empty() { None } else { in_tiers(session, args, &name).await };
        entries.push(Entry { table: name, health: health.ok(), archive, error });
    }
    if session.json {
        output::json(&Document { version: 1, command: "inspect", tables: entries })?;
        return Ok(worst);
    }
    for entry in &entries {
        if let Some(health) = &entry.health {
            output::data(&text(&entry.table, health));
        }
        if let Some(archive) = &entry.archive {
            output::data(&tiers::due(archive));
        }
    }
    Ok(worst)
}

/// What is in each tier, and what an archival would move. Why it can't be said is no reason not to show the rest.
async fn in_tiers(session: &Session, args: &InspectArgs, name: &TableName) -> Option<ArchiveReport> {
    let asked = ArchiveOptions::default();
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.archive_policy(&asked, &args.options, table, properties)
    };
    match session.maintenance.plan_archive(name, &policy_for).await {
        Ok(planned) => Some(planned.plan.report()),
        Err(error) => {
            tracing::info!(table = %name, %error, "storage tiers can't be shown");
            None
        }
    }
}

/// A table's health for people.
pub(super) fn text(table: &TableName, health: &Health) -> String {
    let mut lines = vec![
        format!("{table}  format {}  {}", health.format_version, health.location),
        format!(
            "  {} files, {}, {} rows, {} of them small; {} partitions",
            health.files,
            human_bytes(health.bytes),
            health.rows,
            health.small_files,
            health.partitions
        ),
    ];
    if health.position_delete_files + health.equality_delete_files > 0 {
        lines.push(format!(
            "  {} position and {} equality delete files; {} data files under deletes",
            health.position_delete_files, health.equality_delete_files, health.files_with_deletes
        ));
    }
    let ages = match (health.oldest_snapshot_age_ms, health.snapshot_age_ms) {
        (Some(oldest), Some(newest)) => format!(" (oldest {}, newest {})", human_age(oldest), human_age(newest)),
        _ => String::new(),
    };
    lines.push(format!("  {} snapshots{ages}, {} refs", health.snapshots, health.refs));
    lines.push(format!(
        "  metadata file of {}, {} older ones in the log; {} manifests, {}",
        human_bytes(health.metadata_bytes),
        health.metadata_versions,
        health.manifests,
        human_bytes(health.manifest_bytes)
    ));
    lines.push(render::histogram(&health.sizes).trim_end().to_owned());
    for partition in &health.worst_partitions {
        let name = if partition.partition.is_empty() { "(all)" } else { &partition.partition };
        let (small, files) = (partition.small_files, partition.files);
        lines.push(format!("  {name}: {small} of {files} files small, {}", human_bytes(partition.bytes)));
    }
    for depth in health.overlap_depth.iter().filter(|depth| depth.files > 0) {
        let unknown = match depth.unknown_files {
            0 => String::new(),
            files => format!("; {files} files without bounds"),
        };
        let (words, most) = (depth.words(), depth.max);
        lines.push(format!("  by {}: files lie {words} deep on average, {most} at most{unknown}", depth.column));
    }
    for partition in &health.deepest_partitions {
        let name = if partition.partition.is_empty() { "(all)" } else { &partition.partition };
        let depth = &partition.depth;
        let (column, words, most) = (&depth.column, depth.words(), depth.max);
        lines.push(format!("  {name}: {} files lie {words} deep by {column}, {most} at most", depth.files));
    }
    for due in &health.due {
        let word = if due.due { "due" } else { "not due" };
        lines.push(format!("  {}: {word}: {}", due.operation, due.why));
    }
    for left in &health.left_alone {
        lines.push(format!("  left alone: {} files: {}", left.files, left.why));
    }
    lines.join("\n") + "\n"
}
