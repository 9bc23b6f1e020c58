//! Which tables deserve the budget: gain per cost, best first, and a share for those that have waited longest.
//!
//! After AutoComp (arXiv 2504.04186): gain is the number of things that queries and planners no longer have to open
//! (data files, delete files, manifests, snapshots), cost is GB-hours. Integers; ties end in the table's name (I11).

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use super::budget::{Budget, BudgetPart, Cost, CostModel};
use super::fairness;
use super::pause::paused_until;
use crate::model::{Operation, TableName, TableSummary};

/// Manifests below this number are left alone (Iceberg's `commit.manifest.min-count-to-merge`).
const MANY_MANIFESTS: u64 = 100;
/// A part of a table below so many files is not worth a run.
const LEAST_PART: u64 = 10;

/// What is worth doing, and what it costs.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The name of the run, under which tables remember when they had one.
    pub run: String,
    /// The operations of the run.
    pub operations: Vec<Operation>,
    /// A gain below this is not worth a run.
    pub min_gain: u64,
    /// Snapshots above this number are to expire.
    pub retain_max: u64,
    /// Snapshots beyond this number are to expire once they are old.
    pub retain_min: u64,
    /// How old that is, in milliseconds.
    pub old_ms: i64,
    /// Deleted rows over rows from which a table's deletes are to be applied, in thousandths.
    pub delete_permille: u64,
    /// What work costs.
    pub cost: CostModel,
    /// Who ranks, in leases: its own leases, left by a process that died, keep it from nothing.
    pub owner: Option<String>,
}

impl Rules {
    /// The usual rules for some operations.
    pub fn new(run: &str, operations: Vec<Operation>) -> Self {
        Self {
            run: run.to_owned(),
            operations,
            min_gain: 1,
            retain_max: 20,
            retain_min: 10,
            old_ms: 5 * 24 * 3_600_000,
            delete_permille: 100,
            cost: CostModel::default(),
            owner: None,
        }
    }
}

/// What a run over a table would gain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Gain {
    /// Data files that would go away by merging.
    pub files: u64,
    /// Delete files that would be applied.
    pub deletes: u64,
    /// Manifests that would go away by merging.
    pub manifests: u64,
    /// Snapshots that would expire.
    pub snapshots: u64,
    /// Work whose gain is known only once it is looked at (orphans, archival).
    pub unknown: u64,
}

impl Gain {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.files + self.deletes + self.manifests + self.snapshots + self.unknown
    }

    /// Whether a run may be worth its while: it gains enough, or what it gains is only known once it is looked at.
    pub fn is_worth(&self, min: u64) -> bool {
        self.unknown > 0 || self.total() >= min
    }
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.files, "files"),
            (self.deletes, "delete files"),
            (self.manifests, "manifests"),
            (self.snapshots, "snapshots"),
        ];
        let mut said: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if self.unknown > 0 {
            said.push("to be looked at".to_owned());
        }
        f.write_str(if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }.as_str())
    }
}

/// Why a table does not run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum WhyNot {
    /// There is nothing to gain.
    NothingToDo,
    /// The gain is below what makes a run worthwhile.
    TooLittle {
        /// The least gain.
        min: u64,
    },
    /// It failed repeatedly and is left alone for a while.
    Paused {
        /// How often it failed in a row.
        failures: u32,
        /// Until when, milliseconds since 1970.
        until_ms: i64,
    },
    /// Another process is at work on it.
    Leased {
        /// Who.
        owner: String,
        /// Until when at the latest, milliseconds since 1970.
        until_ms: i64,
    },
    /// Others were better and the budget is spent.
    BudgetSpent {
        /// What ran out.
        part: BudgetPart,
    },
    /// It alone costs more than the whole budget.
    TooLarge {
        /// What would run out.
        part: BudgetPart,
    },
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo => f.write_str("nothing to do"),
            Self::TooLittle { min } => write!(f, "gains less than {min}"),
            Self::Paused { failures, until_ms } => {
                write!(f, "paused after {failures} failures until {}", date(*until_ms))
            }
            Self::Leased { owner, until_ms } => write!(f, "{owner} is at work on it (until {})", date(*until_ms)),
            Self::BudgetSpent { part } => write!(f, "the budget's {part} went to better ones"),
            Self::TooLarge { part } => write!(f, "needs more {part} than the whole budget has"),
        }
    }
}

fn date(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| "for ever".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// What becomes of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It runs.
    Run {
        /// At this place, from 1.
        place: u64,
        /// It has waited so long that its score did not matter.
        waited: bool,
    },
    /// It does not.
    Skip(WhyNot),
}

/// One table's place in the ranking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The table.
    pub table: TableName,
    /// What a run would gain.
    pub gain: Gain,
    /// What it would cost.
    pub cost: Cost,
    /// Gain per thousandth of a GB-hour, in thousandths.
    pub score: u64,
    /// Only so many of its files: all of them would cost more than the whole budget. Gain and cost are of this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    /// What becomes of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// A fleet, ranked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ranking {
    /// Tables that run first, in their order; then the others, best first.
    pub choices: Vec<Choice>,
    /// What those that run cost together.
    pub cost: Cost,
}

impl Ranking {
    /// Tables that run, in their order.
    pub fn chosen(&self) -> impl Iterator<Item = &Choice> {
        self.choices.iter().filter(|choice| matches!(choice.verdict, Verdict::Run { .. }))
    }
}

/// Ranks a fleet and spends a budget on it. The order of `tables` does not matter.
pub fn rank(tables: &[TableSummary], rules: &Rules, budget: &Budget, now_ms: i64) -> Ranking {
    let mut able: Vec<(&TableSummary, Choice)> = Vec::new();
    let mut choices = Vec::new();
    for table in tables {
        let mut choice = Choice {
            table: table.table.clone(),
            gain: gain(table, rules, now_ms),
            cost: Cost::default(),
            score: 0,
            max_files: None,
            verdict: Verdict::Run { place: 0, waited: false },
        };
        choice.cost = Cost::of(bytes_read(table, &choice.gain), &rules.cost);
        if let Some(why) = why_not(table, &choice.gain, rules, now_ms) {
            choice.verdict = Verdict::Skip(why);
        } else if let Some(part) = budget.overdrawn(&choice.cost, 1)
            && ![fairness::reserve(*budget), *budget].iter().any(|limit| cut(&mut choice, table, rules, limit))
        {
            choice.verdict = Verdict::Skip(WhyNot::TooLarge { part });
        }
        choice.score = score(&choice.gain, &choice.cost);
        match choice.verdict {
            Verdict::Run { .. } => able.push((table, choice)),
            Verdict::Skip(_) => choices.push(choice),
        }
    }
    let (mut chosen, skipped, cost) = spend(able, &rules.run, budget);
    choices.extend(skipped);
    choices.sort_by(|a, b| (Reverse(a.score), &a.table).cmp(&(Reverse(b.score), &b.table)));
    chosen.append(&mut choices);
    Ranking { choices: chosen, cost }
}

/// Those that have waited longest take their share, then the best scores take the rest.
fn spend(mut able: Vec<(&TableSummary, Choice)>, run: &str, budget: &Budget) -> (Vec<Choice>, Vec<Choice>, Cost) {
    let mut chosen: Vec<Choice> = Vec::new();
    let mut cost = Cost::default();
    let reserve = fairness::reserve(*budget);
    able.sort_by(|(a, x), (b, y)| {
        let waiting = |table: &TableSummary| fairness::waiting_since(&table.memory, run);
        (waiting(a), &x.table).cmp(&(waiting(b), &y.table))
    });
    let mut left = Vec::new();
    let mut reserving = true;
    for (_, mut choice) in able {
        let with = cost.plus(choice.cost);
        let count = chosen.len() as u64 + 1;
        // The very first may take more than the share: else a table larger than it would wait for ever.
        let fits = reserve.overdrawn(&with, count).is_none() || (count == 1 && budget.overdrawn(&with, 1).is_none());
        reserving &= fits && *budget != Budget::default();
        if reserving {
            choice.verdict = Verdict::Run { place: count, waited: true };
            cost = with;
            chosen.push(choice);
        } else {
            left.push(choice);
        }
    }
    left.sort_by(|a, b| (Reverse(a.score), &a.table).cmp(&(Reverse(b.score), &b.table)));
    let mut skipped = Vec::new();
    for mut choice in left {
        let with = cost.plus(choice.cost);
        let place = chosen.len() as u64 + 1;
        match budget.overdrawn(&with, place) {
            None => {
                choice.verdict = Verdict::Run { place, waited: false };
                cost = with;
                chosen.push(choice);
            }
            Some(part) => {
                choice.verdict = Verdict::Skip(WhyNot::BudgetSpent { part });
                skipped.push(choice);
            }
        }
    }
    (chosen, skipped, cost)
}

fn score(gain: &Gain, cost: &Cost) -> u64 {
    let score = u128::from(gain.total()) * 1_000_000 / u128::from(cost.micro_gb_hours.max(1));
    u64::try_from(score).unwrap_or(u64::MAX)
}

/// Cuts a run that the whole budget can't pay down to a part of the files that `budget` can: a table must not be too
/// large to ever be maintained. `false` when no part is worth it.
fn cut(choice: &mut Choice, table: &TableSummary, rules: &Rules, budget: &Budget) -> bool {
    let candidates = table.candidates;
    if choice.gain.files == 0 || choice.gain.deletes > 0 || candidates.bytes == 0 {
        return false;
    }
    // Halving finds the largest affordable part within a factor of two; ranking needs no more.
    let mut files = candidates.files;
    while files >= 2 * LEAST_PART {
        files /= 2;
        let bytes = u128::from(candidates.bytes) * u128::from(files) / u128::from(candidates.files);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let cost = Cost::of(bytes, &rules.cost);
        if budget.overdrawn(&cost, 1).is_none() {
            choice.gain.files = (u128::from(choice.gain.files) * u128::from(files) / u128::from(candidates.files))
                .try_into()
                .unwrap_or(u64::MAX);
            (choice.cost, choice.max_files) = (cost, Some(files));
            return choice.gain.is_worth(rules.min_gain.max(1));
        }
    }
    false
}

fn why_not(table: &TableSummary, gain: &Gain, rules: &Rules, now_ms: i64) -> Option<WhyNot> {
    let memory = &table.memory;
    if gain.total() == 0 {
        return Some(WhyNot::NothingToDo);
    }
    if !gain.is_worth(rules.min_gain) {
        return Some(WhyNot::TooLittle { min: rules.min_gain });
    }
    if let Some(until_ms) = paused_until(memory, now_ms) {
        return Some(WhyNot::Paused { failures: memory.failures, until_ms });
    }
    match (&memory.lease_owner, memory.lease_until_ms.filter(|until| *until > now_ms)) {
        (Some(owner), Some(until_ms)) if Some(owner) != rules.owner.as_ref() => {
            Some(WhyNot::Leased { owner: owner.clone(), until_ms })
        }
        _ => None,
    }
}

/// What a run over the rules' operations would gain.
fn gain(table: &TableSummary, rules: &Rules, now_ms: i64) -> Gain {
    let mut gain = Gain::default();
    for operation in &rules.operations {
        match operation {
            Operation::Compact => {
                gain.files = table.candidates.gain();
                let heavy =
                    u128::from(table.deletes) * 1000 >= u128::from(table.rows) * u128::from(rules.delete_permille);
                if table.delete_files > 0 && heavy {
                    gain.deletes = table.delete_files;
                }
            }
            Operation::RewriteManifests => {
                let after = table.manifests.div_ceil(MANY_MANIFESTS);
                gain.manifests = if table.manifests >= MANY_MANIFESTS { table.manifests - after } else { 0 };
            }
            Operation::Expire => {
                let old = table.oldest_snapshot_ms.is_some_and(|oldest| now_ms - oldest > rules.old_ms);
                let keep = if old { rules.retain_min } else { rules.retain_max };
                gain.snapshots = table.snapshots.saturating_sub(keep);
            }
            Operation::RemoveOrphans | Operation::Archive => gain.unknown += 1,
        }
    }
    gain
}

/// Bytes of data files that a run would read: candidates, and all of the table where deletes are to be applied.
fn bytes_read(table: &TableSummary, gain: &Gain) -> u64 {
    if gain.deletes > 0 { table.total_bytes() } else { table.candidates.bytes }
}

#[cfg(test)]
mod tests;
