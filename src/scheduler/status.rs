//! What the scheduler is doing, for the status page, `/readyz` and tests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::rank::{Choice, Verdict, WhyNot};
use crate::model::{Status as RunStatus, TableName, TableReport};

/// Runs that are remembered for the status page.
const RECENT: usize = 50;

/// One schedule, as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScheduleStatus {
    /// When, in words.
    pub when: String,
    /// What it runs.
    pub run: String,
    /// When it is due next, milliseconds since 1970.
    pub next_ms: Option<i64>,
    /// The due time that was last run, milliseconds since 1970.
    pub last_due_ms: Option<i64>,
    /// Times that it started.
    pub started: u64,
    /// Times that were missed.
    pub missed: u64,
    /// Whether it runs now.
    pub running: bool,
    /// Tables that ran, and that did not, at the last time.
    pub last_tables: (u64, u64),
}

/// A run over one table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunStatusLine {
    /// When it ended, milliseconds since 1970.
    pub ended_ms: i64,
    /// The schedule.
    pub schedule: String,
    /// The table.
    pub table: TableName,
    /// How it ended.
    pub status: RunStatus,
    /// Files before and after.
    pub files: (Option<u64>, Option<u64>),
    /// Bytes before and after.
    pub bytes: (Option<u64>, Option<u64>),
    /// Seconds.
    pub seconds: f64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct View {
    /// Whether the catalog answered the last look.
    pub ready: bool,
    /// Whether it is stopping.
    pub stopping: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When the fleet was last looked at, milliseconds since 1970.
    pub looked_ms: Option<i64>,
    /// Tables in the catalog.
    pub tables: u64,
    /// Tables that could not be read.
    pub unreadable: u64,
    /// Schedules by name.
    pub schedules: BTreeMap<String, ScheduleStatus>,
    /// Tables that are being worked on, and for which schedule.
    pub working_on: BTreeMap<String, String>,
    /// Paused tables, and until when.
    pub paused: BTreeMap<String, i64>,
    /// Finished runs, newest first.
    pub recent: VecDeque<RunStatusLine>,
}

/// The view behind a lock: written by the engine, read by whoever shows it.
#[derive(Debug, Default)]
pub struct StatusBoard(Mutex<View>);

impl StatusBoard {
    /// A copy of what stands there now.
    pub fn view(&self) -> View {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn schedule(&self, label: &str, change: impl FnOnce(&mut ScheduleStatus)) {
        self.update(|view| change(view.schedules.entry(label.to_owned()).or_default()));
    }

    pub(super) fn ended(&self, schedule: &str, report: &TableReport, now_ms: i64) {
        self.update(|view| {
            view.working_on.remove(&report.table.to_string());
            view.recent.push_front(RunStatusLine {
                ended_ms: now_ms,
                schedule: schedule.to_owned(),
                table: report.table.clone(),
                status: report.status,
                files: (report.files_before, report.files_after),
                bytes: (report.bytes_before, report.bytes_after),
                seconds: report.seconds,
                error: report.error.as_ref().map(|error| error.message.clone()),
            });
            view.recent.truncate(RECENT);
        });
    }

    pub(super) fn paused(&self, choices: &[Choice]) {
        self.update(|view| {
            for choice in choices {
                match choice.verdict {
                    Verdict::Skip(WhyNot::Paused { until_ms, .. }) => {
                        view.paused.insert(choice.table.to_string(), until_ms);
                    }
                    Verdict::Run { .. } | Verdict::Skip(_) => {
                        view.paused.remove(&choice.table.to_string());
                    }
                }
            }
        });
    }
}
