//! The status page: what runs, what is due, what happened.

use super::super::html::{badge, escape, page, table, tile};
use crate::model::{Status, human_age, human_bytes};
use crate::scheduler::{RunStatusLine, ScheduleStatus, View};

/// How often the page looks again, in seconds.
const REFRESH: u32 = 5;

/// The page.
pub(super) fn status_page(view: &View, owner: &str, now_ms: i64) -> String {
    let state = match (view.stopping, view.ready) {
        (true, _) => badge("calm", "stopping"),
        (false, true) => badge("good", "ready"),
        (false, false) => badge("bad", "not ready"),
    };
    let mut body = format!("<h1>icewright {state}</h1>\n<p>{} · {} UTC</p>\n", escape(owner), date(now_ms));
    if let Some(trouble) = &view.trouble {
        body.push_str(&format!("<p class=\"bad\">{}</p>\n", escape(trouble)));
    }
    let looked =
        view.looked_ms.map_or("not yet looked at".to_owned(), |at| format!("looked at {} ago", human_age(now_ms - at)));
    body.push_str(&format!(
        "<div class=\"tiles\">{}{}{}{}</div>\n",
        tile("tables", view.tables, looked),
        tile("at work on", view.working_on.len(), "tables"),
        tile("paused", view.paused.len(), "after repeated failures"),
        tile("unreadable", view.unreadable, "tables"),
    ));
    body.push_str("<h2>Schedules</h2>\n");
    let rows: Vec<Vec<String>> =
        view.schedules.iter().map(|(name, schedule)| schedule_row(name, schedule, now_ms)).collect();
    body.push_str(&table(
        &["schedule", "runs", "when", ">next", ">started", ">missed", ">tables last time", ""],
        &rows,
    ));
    if !view.working_on.is_empty() {
        let rows: Vec<Vec<String>> =
            view.working_on.iter().map(|(table, schedule)| vec![escape(table), escape(schedule)]).collect();
        body.push_str(&format!("<h2>At work on</h2>\n{}", table(&["table", "schedule"], &rows)));
    }
    if !view.paused.is_empty() {
        let rows: Vec<Vec<String>> =
            view.paused.iter().map(|(table, until)| vec![escape(table), format!("{} UTC", date(*until))]).collect();
        body.push_str(&format!("<h2>Paused</h2>\n{}", table(&["table", "until"], &rows)));
    }
    body.push_str("<h2>Runs</h2>\n");
    if view.recent.is_empty() {
        body.push_str("<p>None yet.</p>");
    } else {
        let rows: Vec<Vec<String>> = view.recent.iter().map(run_row).collect();
        body.push_str(&table(&["ended", "schedule", "table", "", ">files", ">bytes", ">time", "error"], &rows));
    }
    page("icewright", Some(REFRESH), &body)
}

fn schedule_row(name: &str, schedule: &ScheduleStatus, now_ms: i64) -> Vec<String> {
    let next = schedule.next_ms.map_or("–".to_owned(), |at| {
        if at > now_ms { format!("in {}", human_age(at - now_ms)) } else { "now".to_owned() }
    });
    let (ran, others) = schedule.last_tables;
    vec![
        escape(name),
        escape(&schedule.run),
        escape(&schedule.when),
        next,
        schedule.started.to_string(),
        schedule.missed.to_string(),
        format!("{ran} of {}", ran + others),
        if schedule.running { badge("good", "running") } else { String::new() },
    ]
}

fn run_row(run: &RunStatusLine) -> Vec<String> {
    let status = match run.status {
        Status::Committed => badge("good", "committed"),
        Status::NothingToDo => badge("calm", "nothing to do"),
        Status::DryRun => badge("calm", "dry run"),
        Status::Refused => badge("bad", "refused"),
        Status::Failed => badge("bad", "failed"),
    };
    let arrow = |pair: (Option<u64>, Option<u64>), show: fn(u64) -> String| match pair {
        (Some(before), Some(after)) if before != after => format!("{} → {}", show(before), show(after)),
        (Some(before), _) => show(before),
        (None, _) => "–".to_owned(),
    };
    vec![
        date(run.ended_ms),
        escape(&run.schedule),
        escape(&run.table),
        status,
        arrow(run.files, |n| n.to_string()),
        arrow(run.bytes, human_bytes),
        format!("{:.1} s", run.seconds),
        run.error.as_ref().map_or(String::new(), escape),
    ]
}

pub(in crate::cli) fn date(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| "–".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}
