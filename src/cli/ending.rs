//! How a run over tables ends: what is printed, pushed and written, and the exit code.

use std::sync::Arc;

use super::args::Global;
use super::session::Session;
use super::{output, render};
use crate::error::Result;
use crate::lake::Ambient;
use crate::model::{REPORT_VERSION, Report, TableReport};
use crate::telemetry::metrics::{PushTarget, Registry, record_end, record_process, record_run};

/// What happens after a run beside printing: metrics.
#[derive(Debug)]
pub(super) struct Aftermath {
    /// The metrics of this process.
    pub(super) registry: Arc<Registry>,
    push: Option<PushTarget>,
    started_ms: i64,
}

impl Aftermath {
    /// Reads what was asked for; a wrong address is said before anything runs.
    pub(super) fn new(global: &Global, ambient: &Ambient) -> Result<Self> {
        let push = global.metrics_push.as_deref().map(PushTarget::parse).transpose()?;
        Ok(Self { registry: Arc::new(Registry::default()), push, started_ms: ambient.now_ms() })
    }
}

/// Ends a run: records metrics, pushes them where that was asked for, prints the reports, and gives the exit code, which
/// is the worst of the tables. A push that does not arrive is said, and fails nothing.
pub(super) async fn finish(session: &Session, command: &str, tables: Vec<TableReport>) -> Result<u8> {
    let aftermath = &session.aftermath;
    let now_ms = session.maintenance.ambient.now_ms();
    for report in &tables {
        record_run(&aftermath.registry, command, report, true, now_ms);
    }
    record_end(&aftermath.registry, command, &tables, now_ms);
    if let Some(target) = &aftermath.push {
        record_process(&aftermath.registry, aftermath.started_ms);
        match target.push(aftermath.registry.encode()).await {
            Ok(()) => tracing::info!(to = target.shown(), "metrics pushed"),
            Err(error) => {
                output::talk(&format!("warning: metrics were not pushed: {error}"));
                if let Some(hint) = error.hint_text() {
                    output::talk(&format!("   hint: {hint}"));
                }
            }
        }
    }
    print(command, session.json, tables)
}

fn print(command: &str, json: bool, tables: Vec<TableReport>) -> Result<u8> {
    let worst = tables.iter().map(TableReport::exit_code).max().unwrap_or(0);
    if json {
        output::json(&Report { version: REPORT_VERSION, command: command.to_owned(), tables })?;
        return Ok(worst);
    }
    output::data(&render::reports(&tables));
    for (report, error) in tables.iter().filter_map(|report| report.error.as_ref().map(|error| (report, error))) {
        output::talk(&format!("error: {}: {}", report.table, error.message));
        if let Some(hint) = &error.hint {
            output::talk(&format!(" hint: {hint}"));
        }
    }
    Ok(worst)
}
