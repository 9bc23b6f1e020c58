//! From configured schedules to what the scheduler follows.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::super::rank::limits;
use super::super::session::of_no_table;
use crate::config::{self, MAINTAIN, Schedule, Settings};
use crate::error::{Error, Result};
use crate::model::Operation;
use crate::scheduler::{Plan, Rules, Timing};

/// Gains below this are not worth a commit by a schedule.
const MIN_GAIN: u64 = 4;

/// All schedules: those that are configured, or else the usual ones.
///
/// # Errors
/// `InvalidInput` when two have one name, or for what can't be read.
pub(in crate::cli) fn resolve(settings: &Settings) -> Result<Vec<Plan>> {
    let usual;
    let schedules = if settings.schedules.is_empty() {
        usual = Schedule::defaults(!settings.tiers.is_empty());
        &usual
    } else {
        &settings.schedules
    };
    let mut labels = BTreeSet::new();
    schedules
        .iter()
        .map(|schedule| {
            if !labels.insert(schedule.label()) {
                return Err(Error::invalid(format!("two schedules are called {:?}", schedule.label()))
                    .hint("give each a name of its own: name = \"…\""));
            }
            plan(settings, schedule)
        })
        .collect()
}

fn plan(settings: &Settings, schedule: &Schedule) -> Result<Plan> {
    let operations = if schedule.run == MAINTAIN {
        Operation::ALL.into_iter().filter(|operation| is_regular(*operation)).collect()
    } else {
        Operation::ALL.into_iter().filter(|operation| operation.name() == schedule.run).collect()
    };
    let history = of_no_table(settings, config::expire_policy)?;
    let mut seed = DefaultHasher::new();
    schedule.label().hash(&mut seed);
    let span = |age: Option<config::Age>| age.map_or(Duration::ZERO, |age| age.0);
    Ok(Plan {
        label: schedule.label().to_owned(),
        tables: patterns(&schedule.tables)?,
        timing: Timing {
            cron: schedule.due()?,
            windows: schedule.open()?,
            catch_up: span(schedule.catch_up),
            jitter: span(schedule.jitter),
            seed: seed.finish(),
        },
        budget: limits(schedule.budget),
        rules: Rules {
            min_gain: MIN_GAIN,
            retain_min: history.retain_min,
            retain_max: history.retain_max,
            old_ms: i64::try_from(history.older_than_ms).unwrap_or(i64::MAX),
            ..Rules::new(&schedule.run, operations)
        },
    })
}

/// What counts as gain of a maintenance run: what is cheap to see from afar. Orphans and archival come along.
fn is_regular(operation: Operation) -> bool {
    match operation {
        Operation::Compact | Operation::RewriteManifests | Operation::Expire => true,
        Operation::RemoveOrphans | Operation::Archive => false,
    }
}

fn patterns(list: &[String]) -> Result<GlobSet> {
    let wrong = |e: globset::Error| Error::invalid(format!("tables of a schedule: {e}"));
    let mut set = GlobSetBuilder::new();
    for pattern in list {
        set.add(GlobBuilder::new(pattern).build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}
