//! `icewright plan maintain`: the fleet, ranked, with scores, costs and why not.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::args::{RankArgs, RewriteOptions};
use super::chosen::plans_of;
use super::plan::{PlanFile, save};
use super::session::Session;
use super::{output, render};
use crate::config::budget;
use crate::error::{Error, Result};
use crate::maintenance::Fleet;
use crate::model::{ErrorReport, Operation, PLAN_VERSION, TableName, human_bytes};
use crate::scheduler::{Budget, Choice, Cost, Ranking, Rules, Verdict, WhyNot, rank};

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    command: &'static str,
    tables: &'a [Choice],
    cost: Cost,
    unreadable: Vec<Unreadable<'a>>,
    seconds: f64,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    table: &'a TableName,
    error: ErrorReport,
}

/// Looks at tables and ranks them. Changes nothing.
pub(super) async fn run(session: &Session, args: &RankArgs) -> Result<u8> {
    let budget = args.budget.as_deref().map(budget::parse).transpose()?.map_or_else(Budget::default, limits);
    let operations = args.operations.iter().map(|name| operation(name)).collect::<Result<Vec<Operation>>>()?;
    let rules = Rules { min_gain: args.min_gain.max(1), ..Rules::new("maintain", operations.clone()) };
    let fleet = look(session, session.tables(&args.tables).await?).await;
    let ranking = rank(&fleet.tables, &rules, &budget, session.maintenance.ambient.now_ms());
    if session.json {
        output::json(&document(&fleet, &ranking))?;
    } else {
        output::data(&text(&fleet, &ranking, &budget, args.top));
    }
    for (name, error) in fleet.unreadable.iter().take(args.top) {
        output::talk(&format!("error: {name}: {error}"));
    }
    let mut worst = fleet.unreadable.iter().map(|(_, error)| error.kind().exit_code()).max().unwrap_or(0);
    if let Some(path) = &args.output {
        let chosen = plans_of(session, &ranking, &operations).await?;
        worst = worst.max(chosen.worst);
        output::talk(&format!(
            "{} plans for {} tables, in the order of the ranking",
            chosen.plans.len(),
            chosen.tables
        ));
        if chosen.put_off > 0 {
            output::talk(&format!(
                "manifests or tiers of {} tables are left to a plan that is made after their compaction",
                chosen.put_off
            ));
        }
        save(path, &PlanFile { version: PLAN_VERSION, plans: chosen.plans })?;
    }
    Ok(worst)
}

/// Looks at tables with their own policies.
pub(super) async fn look(session: &Session, names: Vec<TableName>) -> Fleet {
    let options = RewriteOptions::default();
    let policy_for =
        |table: &TableName, properties: &HashMap<String, String>| session.policy(&options, table, properties);
    session.maintenance.inspect_fleet(names, &policy_for).await
}

/// An operation by its name.
pub(super) fn operation(name: &str) -> Result<Operation> {
    Operation::ALL.into_iter().find(|operation| operation.name() == name.trim()).ok_or_else(|| {
        let known: Vec<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        Error::invalid(format!("there is no operation {name:?}")).hint(format!("operations are {}", known.join(", ")))
    })
}

/// A configured budget as the scheduler counts it.
pub(super) fn limits(budget: budget::Budget) -> Budget {
    Budget {
        bytes: budget.bytes.map(|size| size.0),
        ms: budget.time.map(|age| u64::try_from(age.0.as_millis()).unwrap_or(u64::MAX)),
        tables: budget.tables,
        micro_dollars: budget.dollars.map(|dollars| dollars.micro()),
    }
}

fn document<'a>(fleet: &'a Fleet, ranking: &'a Ranking) -> Document<'a> {
    let unreadable = fleet.unreadable.iter().map(|(table, error)| Unreadable { table, error: error.into() }).collect();
    Document {
        version: 1,
        command: "plan maintain",
        tables: &ranking.choices,
        cost: ranking.cost,
        unreadable,
        seconds: fleet.seconds,
    }
}

fn text(fleet: &Fleet, ranking: &Ranking, budget: &Budget, top: usize) -> String {
    let rows = ranking.choices.iter().filter(|choice| is_worth_a_line(choice)).take(top).map(row).collect();
    let mut text = render::table(&["place", "table", "gains", ">reads", ">time", ">score", "why not now"], rows) + "\n";
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for choice in &ranking.choices {
        let name = match &choice.verdict {
            Verdict::Run { .. } => continue,
            Verdict::Skip(WhyNot::NothingToDo) => "nothing to do",
            Verdict::Skip(WhyNot::TooLittle { .. }) => "too little to gain",
            Verdict::Skip(WhyNot::Paused { .. }) => "paused after failures",
            Verdict::Skip(WhyNot::Leased { .. }) => "another process is at work",
            Verdict::Skip(WhyNot::BudgetSpent { .. }) => "budget spent on better ones",
            Verdict::Skip(WhyNot::TooLarge { .. }) => "larger than the whole budget",
        };
        *reasons.entry(name).or_insert(0) += 1;
    }
    let cost = &ranking.cost;
    text.push_str(&format!(
        "{} of {} tables would run: {} read and written, about {} min, ${}.{:02}; budget: {budget}\n",
        ranking.chosen().count(),
        fleet.tables.len(),
        human_bytes(cost.bytes),
        cost.ms / 60_000,
        cost.micro_dollars / 1_000_000,
        cost.micro_dollars % 1_000_000 / 10_000,
    ));
    for (reason, tables) in reasons {
        text.push_str(&format!("not now: {tables} tables: {reason}\n"));
    }
    text.push_str(&format!("looked at {} tables in {:.1} s\n", fleet.tables.len(), fleet.seconds));
    text
}

/// Thousands of tables with nothing to do are counted, not listed.
fn is_worth_a_line(choice: &Choice) -> bool {
    choice.verdict != Verdict::Skip(WhyNot::NothingToDo)
}

fn row(choice: &Choice) -> Vec<String> {
    let (place, why) = match &choice.verdict {
        Verdict::Run { place, waited: true } => (place.to_string(), "runs: has waited longest".to_owned()),
        Verdict::Run { place, waited: false } => (place.to_string(), "runs".to_owned()),
        Verdict::Skip(why) => ("–".to_owned(), why.to_string()),
    };
    let part = choice.max_files.map_or(String::new(), |files| format!(" (only {files} files)"));
    vec![
        place,
        choice.table.to_string(),
        format!("{}{part}", choice.gain),
        human_bytes(choice.cost.bytes / 2),
        format!("{} s", choice.cost.ms / 1000),
        choice.score.to_string(),
        why,
    ]
}
