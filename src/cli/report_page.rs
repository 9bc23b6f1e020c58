//! `--report`: what a run did, as one page that can be kept, mailed, and opened without a network.

use std::collections::BTreeMap;

use super::html::{badge, bars, escape, page, table, tile};
use super::serve::date;
use crate::model::{HOT, SizeClass, Status, TableReport, TableSummary, class_prices, human_bytes, human_money};

/// Tables whose files are drawn, those with the most to show first.
const DRAWN: usize = 60;
/// A binary gigabyte, by which storage is billed.
const GIB: f64 = 1_073_741_824.0;

/// What a report is made from.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// The verb.
    pub(super) command: &'a str,
    /// The catalog, without secrets.
    pub(super) catalog: String,
    /// When the run ended, milliseconds since 1970.
    pub(super) now_ms: i64,
    /// What happened to tables, in the order in which they ran.
    pub(super) tables: &'a [TableReport],
    /// How the tables look now.
    pub(super) fleet: &'a [TableSummary],
    /// Storage classes by tier.
    pub(super) classes: BTreeMap<String, String>,
}

/// The page.
pub(super) fn report_page(told: &Told<'_>) -> String {
    let sum = |pick: fn(&TableReport) -> Option<u64>| told.tables.iter().filter_map(pick).sum::<u64>();
    let count = |status: Status| told.tables.iter().filter(|report| report.status == status).count();
    let seconds: f64 = told.tables.iter().map(|report| report.seconds).sum();
    let (files, now_files) = (sum(|t| t.files_before), sum(|t| t.files_after));
    let (bytes, now_bytes) = (sum(|t| t.bytes_before), sum(|t| t.bytes_after));
    let mut body = format!(
        "<h1>icewright {}</h1>\n<p>{} · ended {} UTC · {seconds:.1} s</p>\n<div class=\"tiles\">",
        escape(told.command),
        escape(&told.catalog),
        date(told.now_ms)
    );
    let note = format!(
        "{} committed, {} failed, {} refused",
        count(Status::Committed),
        count(Status::Failed),
        count(Status::Refused)
    );
    body.push_str(&tile("tables", told.tables.len(), note));
    body.push_str(&tile("data files", change(files, now_files, |n| n.to_string()), less(files, now_files)));
    body.push_str(&tile("live bytes", change(bytes, now_bytes, human_bytes), less(bytes, now_bytes)));
    let (read, written) = (sum(|t| t.bytes_read), sum(|t| t.bytes_written));
    body.push_str(&tile("rewritten", human_bytes(written), format!("{} read", human_bytes(read))));
    body.push_str(&tile(
        "removed",
        human_bytes(sum(|t| t.bytes_removed)),
        format!("{} files", sum(|t| t.files_removed)),
    ));
    body.push_str("</div>\n");
    body.push_str(&per_table(told));
    body.push_str(&tiers(told));
    body.push_str(&timeline(told.tables));
    body.push_str(&skipped(told.tables));
    body.push_str(&sizes(told.tables));
    page(&format!("icewright {}", told.command), None, &body)
}

fn change(before: u64, after: u64, show: impl Fn(u64) -> String) -> String {
    if before == after { show(before) } else { format!("{} → {}", show(before), show(after)) }
}

/// How much less there is, in hundredths.
fn less(before: u64, after: u64) -> String {
    if before == 0 || before == after {
        return "as before".to_owned();
    }
    let percent = (after as f64 / before as f64 - 1.0) * 100.0;
    format!("{percent:+.0} %").replace('-', "−")
}

fn status(report: &TableReport) -> String {
    match report.status {
        Status::Committed => badge("good", "committed"),
        Status::NothingToDo => badge("calm", "nothing to do"),
        Status::DryRun => badge("calm", "dry run"),
        Status::Refused => badge("bad", "refused"),
        Status::Failed => badge("bad", "failed"),
    }
}

fn per_table(told: &Told<'_>) -> String {
    let pair = |before: Option<u64>, after: Option<u64>, show: fn(u64) -> String| match (before, after) {
        (Some(before), after) => change(before, after.unwrap_or(before), show),
        (None, _) => "–".to_owned(),
    };
    let number = |n: u64| n.to_string();
    let rows: Vec<Vec<String>> = told
        .tables
        .iter()
        .map(|t| {
            vec![
                escape(&t.table),
                status(t),
                pair(t.files_before, t.files_after, number),
                pair(t.bytes_before, t.bytes_after, human_bytes),
                pair(t.snapshots_before, t.snapshots_after, number),
                t.bytes_written.map_or("–".to_owned(), human_bytes),
                t.files_removed.map_or("–".to_owned(), number),
                format!("{:.1} s", t.seconds),
            ]
        })
        .collect();
    let header = ["table", "", ">files", ">bytes", ">snapshots", ">rewritten", ">files removed", ">time"];
    format!("<h2>Tables</h2>\n{}\n", table(&header, &rows))
}

/// Bytes by tier over all tables, and what keeping them costs in a month.
fn tiers(told: &Told<'_>) -> String {
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for (tier, n) in told.fleet.iter().flat_map(|summary| &summary.bytes) {
        *bytes.entry(tier).or_insert(0) += n;
    }
    if bytes.is_empty() {
        return String::new();
    }
    let most = bytes.values().copied().max().unwrap_or(1).max(1) as f64;
    let mut rows = Vec::new();
    let mut total = 0.0;
    for (tier, n) in &bytes {
        let class = told.classes.get(*tier).map_or("STANDARD", String::as_str);
        let money = class_prices(class).map(|prices| *n as f64 / GIB * prices.gib_month);
        total += money.unwrap_or(0.0);
        let money = money.map_or("price unknown".to_owned(), |money| format!("{} a month", human_money(money)));
        let name = if *tier == HOT { HOT.to_owned() } else { (*tier).to_owned() };
        rows.push((format!("{name} ({class})"), *n as f64 / most, format!("{}, {money}", human_bytes(*n))));
    }
    format!(
        "<h2>Tiers</h2>\n<p>Storage of live data at list prices: {} a month.</p>\n{}\n",
        human_money(total),
        bars(&rows, "after")
    )
}

/// When each table ran, one after another.
fn timeline(tables: &[TableReport]) -> String {
    let all: f64 = tables.iter().map(|report| report.seconds).sum();
    let shown = || tables.iter().filter(|report| report.seconds * 200.0 > all || tables.len() <= 20);
    if all <= 0.0 {
        return String::new();
    }
    let mut at = 0.0;
    let mut starts = BTreeMap::new();
    for report in tables {
        starts.insert(&report.table, at);
        at += report.seconds;
    }
    let rows: String = shown()
        .map(|report| {
            let start = starts.get(&report.table).copied().unwrap_or(0.0);
            let kind = if report.error.is_some() { "before" } else { "after" };
            let steps: Vec<String> = report.steps.iter().map(|step| step.operation.to_string()).collect();
            let what = if steps.is_empty() { String::new() } else { format!(" · {}", steps.join(", ")) };
            format!(
                "<div class=\"row\"><span>{}</span><span class=\"track\"><i class=\"{kind}\" style=\"margin-left:{:.2}%;width:{:.2}%\"></i></span><span>{:.1} s at {start:.1} s{}</span></div>\n",
                escape(&report.table),
                start / all * 100.0,
                (report.seconds / all * 100.0).max(0.4),
                report.seconds,
                escape(what)
            )
        })
        .collect();
    format!("<h2>Timeline</h2>\n<div class=\"bars\">\n{rows}</div>\n")
}

/// Tables that were not changed, and why.
fn skipped(tables: &[TableReport]) -> String {
    let quiet = tables.iter().filter(|report| report.status == Status::NothingToDo).count();
    let rows: Vec<Vec<String>> = tables
        .iter()
        .filter_map(|report| {
            let error = report.error.as_ref()?;
            let hint = error.hint.as_ref().map_or(String::new(), escape);
            Some(vec![escape(&report.table), status(report), escape(&error.message), hint])
        })
        .collect();
    let quiet = match quiet {
        0 => String::new(),
        1 => "<p>1 table had nothing to do.</p>\n".to_owned(),
        n => format!("<p>{n} tables had nothing to do.</p>\n"),
    };
    let bad = if rows.is_empty() {
        "<p>No table was refused, none failed.</p>\n".to_owned()
    } else {
        table(&["table", "", "why", "what to do"], &rows)
    };
    format!("<h2>Left alone</h2>\n{quiet}{bad}\n")
}

/// File sizes before and after, table by table.
fn sizes(tables: &[TableReport]) -> String {
    let mut changed: Vec<&TableReport> =
        tables.iter().filter(|report| report.sizes_before != report.sizes_after).collect();
    if changed.is_empty() {
        return String::new();
    }
    changed.sort_by(|a, b| b.sizes_before.len().cmp(&a.sizes_before.len()).then_with(|| a.table.cmp(&b.table)));
    let more = changed.len().saturating_sub(DRAWN);
    let mut text = "<h2>File sizes</h2>\n".to_owned();
    for (index, report) in changed.iter().take(DRAWN).enumerate() {
        let open = if index < 3 { " open" } else { "" };
        let (before, after) = (classes(&report.sizes_before), classes(&report.sizes_after));
        text.push_str(&format!(
            "<details{open}><summary>{}</summary><div class=\"pair\"><div><h3>before</h3>{}</div><div><h3>after</h3>{}</div></div></details>\n",
            escape(&report.table),
            bars(&before, "before"),
            bars(&after, "after")
        ));
    }
    if more > 0 {
        text.push_str(&format!("<p>{more} more tables are not drawn.</p>\n"));
    }
    text
}

fn classes(sizes: &[u64]) -> Vec<(String, f64, String)> {
    let all = SizeClass::sort(sizes.iter().copied());
    let most = all.iter().map(|class| class.files).max().unwrap_or(0).max(1) as f64;
    all.into_iter()
        .filter(|class| class.files > 0)
        .map(|class| {
            let words = format!("{} files, {}", class.files, human_bytes(class.bytes));
            (class.name, class.files as f64 / most, words)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::model::TableName;

    #[test]
    fn should_tell_of_every_table_and_why_some_were_left_alone() {
        let name = |text: &str| TableName::parse(text).unwrap();
        let mut good = TableReport::new(name("db.good"), Status::Committed);
        (good.files_before, good.files_after, good.seconds) = (Some(10), Some(1), 2.0);
        (good.sizes_before, good.sizes_after) = (vec![100; 10], vec![1000]);
        let bad = TableReport::new(name("db.<odd>"), Status::Failed)
            .failed(&Error::conflict("it kept moving").hint("run again later"));
        let tables = [good, bad, TableReport::new(name("db.quiet"), Status::NothingToDo)];
        let told = Told {
            command: "compact",
            catalog: "lake".to_owned(),
            now_ms: 0,
            tables: &tables,
            fleet: &[],
            classes: BTreeMap::new(),
        };
        let page = report_page(&told);
        for words in
            ["10 → 1", "−90 %", "db.&lt;odd&gt;", "it kept moving", "run again later", "1 table had nothing to do"]
        {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(!page.contains("<odd>") && !page.contains("http"), "{page}");
    }
}
