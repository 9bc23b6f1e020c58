//! Storage tiers as text for people.

use super::render::table;
use crate::model::{
    ArchivePlan, ArchiveReport, ArchiveTask, Move, Route, StayReason, TableName, TierUse, human_bytes, human_money,
};

/// The longest bar, in characters.
const BAR: u64 = 30;

/// An archival that is planned: what moves where, how and for how much, and why the rest stays.
pub(super) fn plan(plan: &ArchivePlan, every_file: bool) -> String {
    let column = plan.time_column.as_deref().unwrap_or("no column");
    let mut text = format!("{}: ages from {column}\n{}", plan.table, picture(&plan.before));
    if plan.is_empty() {
        text.push_str("nothing to do\n");
    } else {
        text.push_str(&format!(
            "{} moves: {} files, {}",
            plan.tasks.len(),
            plan.moved_files(),
            human_bytes(plan.moved_bytes())
        ));
        if plan.before.iter().any(|used| used.monthly.is_some()) {
            let (once, saved) = (human_money(plan.money.once), human_money(plan.money.saved()));
            text.push_str(&format!("; {once} once, {saved} saved a month"));
        }
        text.push('\n');
        text.push_str(&table(
            &["move", "to", ">files", ">bytes", "how", ">once", ">saved a month"],
            plan.tasks.iter().map(|task| row(plan, task)).collect(),
        ));
        text.push_str(&format!("\nthen:\n{}", picture(&plan.after)));
    }
    text.push_str(&stays(plan));
    if every_file {
        for task in &plan.tasks {
            let place = match &task.task {
                Move::Rewrite(task) => task.output.directory.as_str(),
                Move::Transfer(task) => task.directory.as_str(),
                Move::Reclass(task) => task.path.as_str(),
            };
            text.push_str(&format!("move {} → {place}\n", task.id()));
            for input in task.inputs() {
                text.push_str(&format!("  {:>9}  {} ({})\n", human_bytes(input.size), input.path, input.picked));
            }
        }
        for file in &plan.stays {
            text.push_str(&format!("stays {:>9}  {} ({})\n", human_bytes(file.size), file.path, file.why));
        }
    }
    text
}

fn row(plan: &ArchivePlan, task: &ArchiveTask) -> Vec<String> {
    let partition = if task.partition().is_empty() { "(all)" } else { task.partition() };
    let how = match &task.task {
        Move::Rewrite(task) if task.route == Route::Copy => format!("merge: {}", task.route_why),
        Move::Rewrite(task) => format!("encode: {}", task.route_why),
        Move::Transfer(_) => "copy as it is".to_owned(),
        Move::Reclass(task) => format!("{} → {}, where it is", task.from, task.storage_class),
    };
    vec![
        format!("{} {partition}", task.id()),
        plan.policy.tiers[task.to].name.clone(),
        format!("{} → {}", task.files(), task.output_files),
        format!("{} → {}", human_bytes(task.bytes()), human_bytes(task.output_bytes)),
        how,
        human_money(task.money.once),
        human_money(task.money.saved()),
    ]
}

/// What an archival did.
pub(super) fn report(name: &TableName, told: &ArchiveReport) -> String {
    if told.moved_files == 0 {
        return format!("{name}\n{}", picture(&told.tiers_after));
    }
    let money = match told.tiers_before.iter().any(|used| used.monthly.is_some()) {
        true => format!("; {} once, {} saved a month", human_money(told.cost_once), human_money(told.saved_monthly)),
        false => String::new(),
    };
    format!(
        "{name} before\n{}{name} after\n{}moved {} files, {}{money}\n",
        picture(&told.tiers_before),
        picture(&told.tiers_after),
        told.moved_files,
        human_bytes(told.moved_bytes),
    )
}

/// What is in each tier, and what would move.
pub(super) fn due(told: &ArchiveReport) -> String {
    let due = match told.moved_files {
        0 => "not due: everything is where it belongs, or stays for a reason (plan archive says which)".to_owned(),
        files => format!(
            "due: {files} files, {} belong to another tier; {} once, {} saved a month",
            human_bytes(told.moved_bytes),
            human_money(told.cost_once),
            human_money(told.saved_monthly)
        ),
    };
    format!("{}  archive: {due}\n", picture(&told.tiers_before))
}

/// What is in each tier: a bar of its bytes, ages and the price.
pub(super) fn picture(tiers: &[TierUse]) -> String {
    let most = tiers.iter().map(|used| used.bytes).max().unwrap_or(0).max(1);
    let width = tiers.iter().map(|used| used.tier.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for used in tiers {
        let bar = "█".repeat(usize::try_from((used.bytes * BAR).div_ceil(most)).unwrap_or(0));
        text.push_str(&format!("  {:>width$} │{bar}", used.tier));
        if used.files > 0 {
            text.push_str(&format!(
                " {} in {} of {}",
                human_bytes(used.bytes),
                counted(used.files, "file"),
                counted(used.partitions, "partition")
            ));
            match (used.newest_days, used.oldest_days) {
                (Some(newest), Some(oldest)) if newest < oldest => {
                    text.push_str(&format!(", {newest} to {oldest} days old"));
                }
                (Some(age), _) => text.push_str(&format!(", {age} days old")),
                (None, _) => {}
            }
            if let Some(monthly) = used.monthly {
                text.push_str(&format!(", {} a month", human_money(monthly)));
            }
        } else {
            text.push_str(" nothing");
        }
        text.push('\n');
    }
    if let Some(sum) = tiers.iter().map(|used| used.monthly).sum::<Option<f64>>() {
        text.push_str(&format!("  {:>width$}  {} a month\n", "", human_money(sum)));
    }
    text
}

fn counted(number: u64, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

/// Files that stay although they might not, counted by reason.
fn stays(plan: &ArchivePlan) -> String {
    let mut reasons: Vec<(String, u64, u64)> = Vec::new();
    for file in &plan.stays {
        let words = match &file.why {
            // The numbers differ from file to file: one line for all of them.
            StayReason::NeverPays { tier, .. } => format!("moving them to {tier} never pays"),
            other => other.to_string(),
        };
        match reasons.iter_mut().find(|(known, ..)| *known == words) {
            Some((_, files, bytes)) => (*files, *bytes) = (*files + 1, *bytes + file.size),
            None => reasons.push((words, 1, file.size)),
        }
    }
    reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let line =
        |(words, files, bytes): &(String, u64, u64)| format!("stay: {files} files, {}: {words}\n", human_bytes(*bytes));
    reasons.iter().map(line).collect()
}
