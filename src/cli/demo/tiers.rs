//! The demo's storage tiers: folders beside the lake, and the years of a time series in them.

use std::collections::HashMap;
use std::path::Path;

use crate::cli::args::{ArchiveOptions, RewriteOptions};
use crate::cli::session::Session;
use crate::cli::{output, tiers};
use crate::config::{Environment, Settings};
use crate::error::{Error, Result};
use crate::model::{GIB, TableName, TableReport, TierUse, human_money};

/// Three tiers. Local files have no storage classes: these say what the real thing would cost.
pub(super) fn settings(dir: &Path) -> Result<Settings> {
    let (file, root) = (dir.join("icewright.toml"), dir.display());
    let text = format!(
        "[[tier]]\nname = \"hot\"\n\n[[tier]]\nname = \"warm\"\nlocation = \"file://{root}/warm\"\n\
         storage-class = \"STANDARD_IA\"\n\n[[tier]]\nname = \"cold\"\nlocation = \"file://{root}/cold\"\n\
         storage-class = \"GLACIER_IR\"\n"
    );
    std::fs::write(&file, text).map_err(|e| {
        Error::invalid(format!("writing {} failed", file.display()))
            .hint("name a folder that you can write to with --dir")
            .caused_by(e)
    })?;
    Settings::load(Some(&file), &Environment::default())
}

/// Moves a table's years to their tiers, and shows where they are and what that costs.
pub(super) async fn run(session: &Session, table: &TableName) -> TableReport {
    let (asked, options) = (ArchiveOptions::default(), RewriteOptions::default());
    let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
        session.archive_policy(&asked, &options, table, properties)
    };
    let report = session.maintenance.archive(table, &policy_for).await;
    if let Some(told) = &report.archive {
        output::talk(&tiers::report(table, told));
        let monthly = |uses: &[TierUse]| uses.iter().filter_map(|used| used.monthly).sum::<f64>();
        let bytes: u64 = told.tiers_before.iter().map(|used| used.bytes).sum();
        let scale = (10 * 1024 * GIB) as f64 / bytes.max(1) as f64;
        let (before, after) = (monthly(&told.tiers_before) * scale, monthly(&told.tiers_after) * scale);
        let (before, after) = (human_money(before), human_money(after));
        output::talk(&format!("with 10 TiB instead, in the same shares: {before} a month before, {after} after\n"));
    }
    report
}
