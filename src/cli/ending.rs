//! How a run over tables ends: what is printed, pushed and written, and the exit code.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::Global;
use super::otlp::{Destination, destination};
use super::rank::look;
use super::report_page::{Told, report_page};
use super::session::Session;
use super::{output, render, ways};
use crate::error::{Error, Result};
use crate::lake::Ambient;
use crate::maintenance::Fleet;
use crate::model::{REPORT_VERSION, Report, TableReport};
use crate::telemetry::metrics::{
    FleetLimits, PushTarget, Registry, record_end, record_fleet, record_process, record_run,
};

/// What happens after a run beside printing: metrics and a report.
#[derive(Debug)]
pub(super) struct Aftermath {
    /// The metrics of this process.
    pub(super) registry: Arc<Registry>,
    push: Option<PushTarget>,
    /// Where metrics go beside that.
    pub(super) otlp: Option<Destination>,
    report: Option<PathBuf>,
    started_ms: i64,
}

impl Aftermath {
    /// Reads what was asked for; a wrong address is said before anything runs.
    pub(super) fn new(global: &Global, ambient: &Ambient) -> Result<Self> {
        let push = global.metrics_push.as_deref().map(PushTarget::parse).transpose()?;
        let (otlp, report) = (destination(global)?, global.report.clone());
        Ok(Self { registry: Arc::new(Registry::default()), push, otlp, report, started_ms: ambient.now_ms() })
    }

    /// Whether the tables have to be looked at once more when a run has ended.
    fn wants_a_look(&self) -> bool {
        self.push.is_some() || self.otlp.is_some() || self.report.is_some()
    }

    /// Sends the metrics of the run, and of its tables as they are now. What does not arrive is said, and fails nothing.
    async fn send_metrics(&self, fleet: &Fleet, now_ms: i64) {
        if self.push.is_none() && self.otlp.is_none() {
            return;
        }
        record_process(&self.registry, self.started_ms);
        record_fleet(&self.registry, &fleet.tables, FleetLimits::default(), now_ms);
        if let Some(target) = &self.push {
            match target.push(self.registry.encode()).await {
                Ok(()) => tracing::info!(to = target.shown(), "metrics pushed"),
                Err(error) => output::not_sent("metrics", &error),
            }
        }
        if let Some(destination) = &self.otlp
            && let Err(error) = destination.push(&self.registry, self.started_ms, now_ms).await
        {
            output::not_sent("metrics", &error);
        }
    }
}

/// Ends a run: records metrics, pushes them and writes a report where that was asked for, prints what happened, and gives
/// the exit code, which is the worst of the tables. A push that does not arrive is said, and fails nothing.
pub(super) async fn finish(session: &Session, command: &str, tables: Vec<TableReport>) -> Result<u8> {
    let aftermath = &session.aftermath;
    let now_ms = session.maintenance.ambient.now_ms();
    for report in &tables {
        record_run(&aftermath.registry, command, report, true, now_ms);
    }
    record_end(&aftermath.registry, command, &tables, now_ms);
    let fleet = if aftermath.wants_a_look() {
        // A table may have several reports: plans of several operations were applied.
        let mut names: Vec<_> = tables.iter().map(|report| report.table.clone()).collect();
        names.sort();
        names.dedup();
        look(session, names).await
    } else {
        Fleet::default()
    };
    aftermath.send_metrics(&fleet, now_ms).await;
    if let Some(path) = &aftermath.report {
        let classes = session.tier_classes()?;
        let catalog = session.maintenance.catalog.to_string();
        let told = Told { command, catalog, now_ms, tables: &tables, fleet: &fleet.tables, classes };
        std::fs::write(path, report_page(&told)).map_err(|e| {
            Error::invalid(format!("the report {} was not written", path.display()))
                .hint("what the run did is done; name a file in a folder that you can write to")
                .caused_by(e)
        })?;
        output::talk(&format!("report: {}", path.display()));
    }
    print(command, session.json, tables)
}

fn print(command: &str, json: bool, tables: Vec<TableReport>) -> Result<u8> {
    let worst = tables.iter().map(TableReport::exit_code).max().unwrap_or(0);
    if json {
        output::json(&Report { version: REPORT_VERSION, command: command.to_owned(), tables })?;
        return Ok(worst);
    }
    let pictures = render::sizes(&tables);
    if !pictures.is_empty() {
        output::data(&pictures);
    }
    output::data(&render::reports(&tables));
    let encoded = ways::reasons(&tables);
    if !encoded.is_empty() {
        output::data(&encoded);
    }
    for (report, error) in tables.iter().filter_map(|report| report.error.as_ref().map(|error| (report, error))) {
        output::talk(&format!("error: {}: {}", report.table, error.message));
        if let Some(hint) = &error.hint {
            output::talk(&format!(" hint: {hint}"));
        }
    }
    Ok(worst)
}
