//! `icewright doctor`.

use serde::Serialize;

use super::args::{DoctorArgs, Global};
use super::session::{Session, catalog_settings, resources, settings};
use super::{output, render};
use crate::error::{Error, Result};
use crate::maintenance::doctor::{self, Check, Verdict};
use crate::model::human_bytes;
use crate::telemetry::process;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    command: &'static str,
    checks: &'a [Check],
}

/// Checks everything a first run needs, in the order in which it would fail.
pub(super) async fn run(global: &Global, args: &DoctorArgs) -> Result<u8> {
    let (checks, code) = checks(global, args).await;
    if global.json {
        output::json(&Document { version: 1, command: "doctor", checks: &checks })?;
        return Ok(code);
    }
    let rows = checks
        .iter()
        .map(|check| {
            let verdict = match check.verdict {
                Verdict::Good => "ok",
                Verdict::Warning => "warning",
                Verdict::Bad => "FAILED",
            };
            vec![check.what.clone(), verdict.to_owned(), check.found.clone()]
        })
        .collect();
    output::data(&render::table(&["check", "", "found"], rows));
    for hint in checks.iter().filter_map(|check| check.hint.as_deref()) {
        output::talk(&format!("hint: {hint}"));
    }
    Ok(code)
}

async fn checks(global: &Global, args: &DoctorArgs) -> (Vec<Check>, u8) {
    let mut checks = Vec::new();
    let resolved = settings(global).and_then(|settings| {
        let catalog = catalog_settings(global, &settings)?;
        Ok((settings, catalog, resources(global)?))
    });
    let catalog = match resolved {
        Ok((settings, catalog, resources)) => {
            let file =
                settings.file.as_ref().map_or("no file, built-in defaults".to_owned(), |f| f.display().to_string());
            checks.push(Check::good("configuration", file));
            let limit = process::memory_limit()
                .map_or("no container limit".to_owned(), |limit| format!("container limit {}", human_bytes(limit)));
            let memory = format!("budget {}, {limit}, {} workers", human_bytes(resources.memory), resources.workers);
            checks.push(match process::memory_limit() {
                Some(limit) if resources.memory > limit / 10 * 9 => Check::warning("memory", memory)
                    .hint("leave a tenth of the container's memory to the rest of the process: lower --memory"),
                _ => Check::good("memory", memory),
            });
            catalog
        }
        Err(error) => return bad(checks, "configuration", &error),
    };
    let session = match Session::open(global).await {
        Ok(session) => session,
        Err(error) => return bad(checks, &format!("catalog {}", catalog.name), &error),
    };
    let tables = match session.maintenance.catalog.list_tables().await {
        Ok(tables) => tables,
        Err(error) => return bad(checks, &format!("catalog {}", catalog.name), &error),
    };
    checks.push(Check::good("catalog", format!("{}, {} tables", session.maintenance.catalog, tables.len())));
    let chosen = match args.tables.table.is_empty() {
        // One table stands for the warehouse; each one is tried with --all.
        true if !args.tables.all => tables.into_iter().take(1).collect(),
        _ => match session.tables(&args.tables).await {
            Ok(tables) => tables,
            Err(error) => return bad(checks, "tables", &error),
        },
    };
    let mut worst = 0;
    for table in &chosen {
        let (more, code) = doctor::check_table(&session.maintenance, table).await;
        checks.extend(more);
        worst = worst.max(code);
    }
    (checks, worst)
}

fn bad(mut checks: Vec<Check>, what: &str, error: &Error) -> (Vec<Check>, u8) {
    checks.push(Check::bad(what, error));
    (checks, error.kind().exit_code())
}
