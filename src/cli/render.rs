//! Plans, reports and histograms as text for people.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table, TableComponent};

use crate::model::{
    CompactPlan, DeleteFate, KeepSpec, OverlapDepth, Plan, RewriteTask, Route, SizeClass, SkipReason, Status,
    TableReport, human_bytes,
};

/// The width of the longest bar.
const BAR: u64 = 32;

/// A table with a header. Columns whose header begins with `>` hold figures and are aligned to the right.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(header.iter().map(|name| name.trim_start_matches('>')));
    for row in rows {
        table.add_row(row);
    }
    table.remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    for (column, name) in table.column_iter_mut().zip(header) {
        if name.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// A column of figures, and where they come from.
type Column = (&'static str, fn(&TableReport) -> Option<String>);

/// Reports of a run, one line a table, with the figures that at least one of them has.
pub(super) fn reports(tables: &[TableReport]) -> String {
    let columns: [Column; 10] = [
        (">files", |t| change(t.files_before, t.files_after, |n| n.to_string())),
        (">bytes", |t| change(t.bytes_before, t.bytes_after, human_bytes)),
        (">depth", depth),
        (">read", |t| t.bytes_read.map(human_bytes)),
        ("how", super::ways::shares),
        (">written", |t| t.bytes_written.map(human_bytes)),
        (">manifests", |t| change(t.manifests_before, t.manifests_after, |n| n.to_string())),
        (">snapshots", |t| change(t.snapshots_before, t.snapshots_after, |n| n.to_string())),
        (">removed", |t| t.files_removed.map(|n| n.to_string())),
        (">freed", |t| t.bytes_removed.map(human_bytes)),
    ];
    let shown: Vec<&Column> =
        columns.iter().filter(|(_, figure)| tables.iter().any(|table| figure(table).is_some())).collect();
    let header: Vec<&str> =
        ["table", "status"].into_iter().chain(shown.iter().map(|(name, _)| *name)).chain([">time"]).collect();
    let rows = tables
        .iter()
        .map(|t| {
            let figures = shown.iter().map(|(_, figure)| figure(t).unwrap_or_else(|| "–".to_owned()));
            let ends = [t.table.to_string(), status(t.status).to_owned()];
            ends.into_iter().chain(figures).chain([format!("{:.1} s", t.seconds)]).collect()
        })
        .collect();
    table(&header, rows)
}

/// How deep files lie over one another by each column, on average, before and after: `ts 5.2 → 1`.
pub(super) fn depth(report: &TableReport) -> Option<String> {
    let after = |column: &str| report.depth_after.iter().find(|depth| depth.column == column);
    let words = report.depth_before.iter().map(|before| {
        let (was, is) = (before.words(), after(&before.column).map(OverlapDepth::words));
        match is {
            Some(is) if is != was => format!("{} {was} → {is}", before.column),
            _ => format!("{} {was}", before.column),
        }
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// A figure before and after, once where nothing changed.
pub(super) fn change(before: Option<u64>, after: Option<u64>, words: fn(u64) -> String) -> Option<String> {
    Some(match (before?, after) {
        (before, Some(after)) if before != after => format!("{} → {}", words(before), words(after)),
        (before, _) => words(before),
    })
}

/// How a run ended, in words.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Committed => "committed",
        Status::NothingToDo => "nothing to do",
        Status::DryRun => "dry run",
        Status::Refused => "refused",
        Status::Failed => "failed",
    }
}

/// A plan of any kind.
pub(super) fn plan(plan: &Plan, every_file: bool) -> String {
    match plan {
        Plan::Compact(plan) => compact_plan(plan, every_file),
        Plan::Expire(plan) => super::expire::text(plan, every_file),
        Plan::RewriteManifests(plan) => super::manifests::text(plan, every_file),
        Plan::RemoveOrphans(plan) => super::orphans::text(plan, every_file),
        Plan::Archive(plan) => super::tiers::plan(plan, every_file),
    }
}

/// A compaction: per group which files, why, what comes out and what it costs; then why the others are left alone.
pub(super) fn compact_plan(plan: &CompactPlan, every_file: bool) -> String {
    let totals = &plan.totals;
    let mut text = format!("{}: {} files, {}\n", plan.table, totals.files, human_bytes(totals.bytes));
    if plan.is_empty() {
        text.push_str("nothing to do\n");
    } else {
        let estimate: f64 = plan.rewrites().map(|task| task.estimate.seconds).sum();
        let what = if plan.policy.only_deletes {
            format!("{} delete files → about {}", totals.retired_delete_files, totals.new_delete_files)
        } else {
            let (read, written) = (human_bytes(totals.input_bytes), human_bytes(totals.output_bytes));
            format!("{} files, {read} → about {} files, {written}", totals.input_files, totals.output_files)
        };
        text.push_str(&format!("{} groups: {what}; about {estimate:.1} s on two cores\n", plan.tasks.len()));
        text.push_str(&table(
            &["group", "why", ">in", ">out", "how", ">time", ">memory"],
            plan.rewrites().map(group).collect(),
        ));
        text.push('\n');
    }
    text.push_str(&skipped(plan));
    text.push_str(&deletes(plan));
    if every_file {
        text.push_str(&files(plan));
    }
    text
}

fn group(task: &RewriteTask) -> Vec<String> {
    let partition = if task.partition.is_empty() { "(all)" } else { &task.partition };
    let route = match task.route {
        Route::Copy => "copy",
        Route::Merge => "merge pages",
        Route::Encode => "encode",
        Route::Sort => "sort",
        Route::Transfer => "transfer",
        Route::Deletes => "positions",
        Route::Vectors => "deletion vectors",
    };
    vec![
        format!("{} {partition}", task.id),
        why(task),
        format!("{} files, {}", task.inputs.len(), human_bytes(task.estimate.bytes_read)),
        format!("{} files, {}", task.output.files, human_bytes(task.output.bytes)),
        format!("{route}: {}", task.route_why),
        format!("{:.1} s", task.estimate.seconds),
        human_bytes(task.estimate.memory),
    ]
}

fn why(task: &RewriteTask) -> String {
    match &task.keeps_spec {
        Some(keep) => format!("{}; stays in the older spec {}: {keep}", task.why, task.spec_id),
        None => task.why.to_string(),
    }
}

/// Files that are left alone, counted by reason.
fn skipped(plan: &CompactPlan) -> String {
    let mut reasons: Vec<(String, u64, u64)> = Vec::new();
    // Of a million files nearly all have the reason of the one before: it is put into words once.
    let mut last: Option<(&SkipReason, usize)> = None;
    for file in &plan.skipped {
        let at = match last {
            Some((why, at)) if *why == file.why => at,
            _ => {
                let words = in_words(&file.why);
                let known = reasons.iter().position(|(known, ..)| *known == words);
                known.unwrap_or_else(|| {
                    reasons.push((words, 0, 0));
                    reasons.len() - 1
                })
            }
        };
        last = Some((&file.why, at));
        let (_, files, bytes) = &mut reasons[at];
        *files += 1;
        *bytes += file.size;
    }
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    reasons
        .iter()
        .map(|(words, files, bytes)| format!("left alone: {files} files, {}: {words}\n", human_bytes(*bytes)))
        .collect()
}

/// Why files are left alone, in the same words for all of them: numbers differ from group to group.
fn in_words(why: &SkipReason) -> String {
    match why {
        SkipReason::TooFewFiles { min, .. } => format!("fewer than {min} candidates in their partition"),
        SkipReason::KeepsSpec { spec_id, why } if matches!(**why, KeepSpec::Scattered { .. }) => {
            format!("stay in the older partition spec {spec_id}: every new partition would get a tiny file")
        }
        SkipReason::FewDeletes { .. } => "few of their rows are deleted".to_owned(),
        SkipReason::DeletesStay { .. } => "their deletes are good as they are, or needed by other files".to_owned(),
        SkipReason::UnsupportedDeletes(delete) => format!("a delete file applies to them that {}", delete.what),
        other => other.to_string(),
    }
}

/// What becomes of delete files, counted.
fn deletes(plan: &CompactPlan) -> String {
    let words = |fate: &DeleteFate| match fate {
        DeleteFate::NothingLeft => "go: no live data file can match them",
        DeleteFate::AllRewritten { .. } => "go: all files that they apply to are rewritten",
        DeleteFate::WrittenAnew { .. } => "go: their positions are written anew",
        DeleteFate::StillApplies { .. } => "stay: they apply to files that are not rewritten",
    };
    let mut counted: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for delete in &plan.deletes {
        let (files, bytes) = counted.entry(words(&delete.fate)).or_default();
        *files += 1;
        *bytes += delete.size;
    }
    let line = |(words, (files, bytes)): (&str, (u64, u64))| {
        format!("delete files: {files}, {}, {words}\n", human_bytes(bytes))
    };
    counted.into_iter().map(line).collect()
}

fn files(plan: &CompactPlan) -> String {
    let mut text = String::new();
    for task in plan.rewrites() {
        text.push_str(&format!("group {} → {}/\n", task.id, task.output.directory));
        for input in &task.inputs {
            text.push_str(&format!("  {:>9}  {} ({})\n", human_bytes(input.size), input.path, input.picked));
        }
    }
    for file in &plan.skipped {
        text.push_str(&format!("left alone {:>9}  {} ({})\n", human_bytes(file.size), file.path, file.why));
    }
    text
}

/// So many tables are drawn; of more, the figures tell.
const MOST_DRAWN: usize = 3;

/// File sizes before and after, of the tables where they changed.
pub(super) fn sizes(tables: &[TableReport]) -> String {
    let changed = tables.iter().filter(|t| !t.sizes_after.is_empty() && t.sizes_before != t.sizes_after);
    let draw = |sizes: &[u64]| histogram(&SizeClass::sort(sizes.iter().copied()));
    changed
        .take(MOST_DRAWN)
        .map(|t| {
            let (before, after) = (draw(&t.sizes_before), draw(&t.sizes_after));
            format!("\n{name} before\n{before}{name} after\n{after}", name = t.table)
        })
        .collect()
}

/// File sizes as a histogram; empty classes at both ends are left out.
pub(super) fn histogram(classes: &[SizeClass]) -> String {
    let most = classes.iter().map(|class| class.files).max().unwrap_or(0).max(1);
    let used = |class: &SizeClass| class.files > 0;
    let (Some(first), Some(last)) = (classes.iter().position(used), classes.iter().rposition(used)) else {
        return "  no files\n".to_owned();
    };
    classes[first..=last]
        .iter()
        .map(|SizeClass { name, files, bytes }| {
            let bar = "█".repeat(usize::try_from((files * BAR).div_ceil(most)).unwrap_or(0));
            let bytes = if *files == 0 { String::new() } else { format!(" ({})", human_bytes(*bytes)) };
            format!("  {name:>13} │{bar} {files}{bytes}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MIB;

    #[test]
    fn should_draw_what_changed_and_no_more() {
        let report = |before: &[u64], after: &[u64]| {
            let mut report = TableReport::new(crate::model::TableName::parse("db.t").unwrap(), Status::Committed);
            (report.sizes_before, report.sizes_after) = (before.to_vec(), after.to_vec());
            report
        };
        assert_eq!(sizes(&[report(&[1, 2], &[1, 2]), report(&[1], &[])]), "");
        let five = vec![report(&[100; 4], &[300 * MIB]); 5];
        let drawn = sizes(&five);
        assert_eq!(drawn.matches("db.t before\n").count(), MOST_DRAWN, "{drawn}");
        assert!(drawn.contains(" 4 (400 B)") && drawn.contains(" 1 (300 MiB)"), "{drawn}");
    }

    #[test]
    fn should_draw_sizes_without_empty_ends() {
        let picture = histogram(&SizeClass::sort([100, 200, 300 * MIB, 512 * MIB].into_iter()));
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines.len(), 6, "{picture}");
        assert!(lines[0].ends_with("████████████████████████████████ 2 (300 B)"), "{picture}");
        assert!(lines[5].ends_with(" 2 (812 MiB)"), "{picture}");
        assert_eq!(histogram(&SizeClass::sort(std::iter::empty())), "  no files\n");
    }
}
