//! `[[schedule]]` and `[serve]`: what runs when, and how the scheduler itself behaves.

use std::net::SocketAddr;

use globset::Glob;
use serde::Deserialize;

use super::budget::Budget;
use super::units::Age;
use crate::error::{Error, Result};
use crate::model::{CronTime, Operation, Windows, closest, parse_zone};

/// Runs every operation, in its order.
pub const MAINTAIN: &str = "maintain";

/// `[[schedule]]`: what runs when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// Its name in metrics and on the status page; the operation when left out.
    pub name: Option<String>,
    /// The operation, or `maintain`.
    pub run: String,
    /// When, as Kubernetes reads it: minute, hour, day of month, month, day of week; or `@weekly` and the like.
    pub cron: String,
    /// The zone of cron, windows and blackouts; UTC when left out.
    pub time_zone: Option<String>,
    /// Tables or globs; all of them when left out.
    #[serde(default = "every_table")]
    pub tables: Vec<String>,
    /// How much a run may take.
    #[serde(default)]
    pub budget: Budget,
    /// When it may run, as in `mon-fri 22:00-06:00`; any time when left out.
    #[serde(default)]
    pub windows: Vec<String>,
    /// Days on which it may not, as in `2026-12-24..2027-01-01`.
    #[serde(default)]
    pub blackouts: Vec<String>,
    /// A due time that was missed is made up for within this time; not at all when left out.
    pub catch_up: Option<Age>,
    /// Starts are spread over this time.
    pub jitter: Option<Age>,
}

fn every_table() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Schedule {
    /// What a scheduler follows that was told nothing: everything on Sundays at 3, history every night, and on the first of
    /// a month what has aged, where there are tiers. UTC.
    pub fn defaults(tiers: bool) -> Vec<Self> {
        let schedule = |run: &str, cron: &str| Self {
            name: None,
            run: run.to_owned(),
            cron: cron.to_owned(),
            time_zone: None,
            tables: every_table(),
            budget: Budget::default(),
            windows: Vec::new(),
            blackouts: Vec::new(),
            catch_up: Some(Age(std::time::Duration::from_secs(12 * 3600))),
            jitter: None,
        };
        let mut all = vec![schedule(MAINTAIN, "0 3 * * 0"), schedule(Operation::Expire.name(), "30 1 * * *")];
        if tiers {
            all.push(schedule(Operation::Archive.name(), "0 2 1 * *"));
        }
        all
    }

    /// Its name.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.run)
    }

    /// When it is due.
    ///
    /// # Errors
    /// `InvalidInput` that names the field of cron, or the zone, that is wrong.
    pub fn due(&self) -> Result<CronTime> {
        CronTime::parse(&self.cron, parse_zone(self.zone_name())?)
    }

    /// When it may run.
    ///
    /// # Errors
    /// `InvalidInput` that names the window or date that is wrong.
    pub fn open(&self) -> Result<Windows> {
        Windows::parse(parse_zone(self.zone_name())?, &self.windows, &self.blackouts)
    }

    fn zone_name(&self) -> &str {
        self.time_zone.as_deref().unwrap_or("UTC")
    }

    /// Checks everything that it says; an error comes with the key that is wrong.
    pub(super) fn check(&self) -> std::result::Result<(), (&'static str, Error)> {
        let run = &self.run;
        let mut known = Operation::ALL.map(Operation::name).to_vec();
        known.push(MAINTAIN);
        if !known.contains(&run.as_str()) {
            let hint = closest(run, known.iter().copied()).map(|close| format!("did you mean {close}?"));
            let error = Error::invalid(format!("[[schedule]] run = {run:?} is not one of {}", known.join(", ")))
                .hint(hint.unwrap_or_else(|| "maintain runs all of them, in their order".to_owned()));
            return Err(("run", error));
        }
        if self.tables.is_empty() {
            let error = Error::invalid(format!("[[schedule]] {run}: tables is empty"));
            return Err(("tables", error.hint("leave it out for all tables")));
        }
        for pattern in &self.tables {
            Glob::new(pattern).map_err(|e| {
                let what = format!("[[schedule]] {run}: tables: {pattern:?} is no pattern: {}", e.kind());
                ("tables", Error::invalid(what))
            })?;
        }
        let zone = parse_zone(self.zone_name()).map_err(|e| ("time-zone", e))?;
        self.due().map_err(|e| ("cron", e))?;
        Windows::parse(zone, &self.windows, &[]).map_err(|e| ("windows", e))?;
        let windows = self.open().map_err(|e| ("blackouts", e))?;
        if windows.next_open(0).is_none() {
            return Err(("windows", Error::invalid(format!("[[schedule]] {run}: its windows never open"))));
        }
        Ok(())
    }
}

/// `[serve]`: how the scheduler behaves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Serve {
    /// Where `/healthz`, `/readyz`, `/metrics` and the status page are.
    pub listen: SocketAddr,
    /// How long a stop waits for running work.
    pub grace: Age,
    /// Tables that are worked on side by side.
    pub jobs: usize,
    /// How often the fleet is looked at for metrics, beside the looks that schedules take.
    pub inspect_every: Age,
    /// Tables with metrics of their own; the others are summed up.
    pub metrics_tables: usize,
    /// How long a lease lasts that is not renewed.
    pub lease: Age,
    /// A name that this scheduler keeps over restarts: it takes its own leases back at once. Made up when left out.
    pub identity: Option<String>,
}

impl Default for Serve {
    fn default() -> Self {
        let minutes = |n: u64| Age(std::time::Duration::from_secs(60 * n));
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9187)),
            grace: minutes(5),
            jobs: 1,
            inspect_every: minutes(15),
            metrics_tables: 10_000,
            lease: minutes(60),
            identity: None,
        }
    }
}

impl Serve {
    pub(super) fn check(&self) -> Result<()> {
        if self.jobs == 0 {
            return Err(Error::invalid("[serve] jobs is 0").hint("leave it out for one table at a time"));
        }
        if self.lease.0.as_secs() < 30 {
            return Err(Error::invalid("[serve] lease is shorter than 30 s")
                .hint("clocks of machines differ: a lease of some minutes keeps two of them apart"));
        }
        if self.inspect_every.0.is_zero() {
            return Err(Error::invalid("[serve] inspect-every is 0").hint("every 15m is plenty"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Schedule, String> {
        let schedule: Schedule = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        schedule.check().map(|()| schedule).map_err(|(_, e)| format!("{e}; {}", e.hint_text().unwrap_or_default()))
    }

    #[test]
    fn should_read_a_schedule_and_say_what_is_wrong_with_one() {
        let good = read(
            r#"run = "compact"
            cron = "0 3 * * 0"
            time-zone = "Europe/Berlin"
            windows = ["sat,sun 00:00-08:00"]
            blackouts = ["2026-12-24..2026-12-26"]
            catch-up = "12h"
            jitter = "10m"
            budget = { time = "4h", bytes = "2TiB", dollars = 2.5 }"#,
        )
        .unwrap();
        assert_eq!((good.label(), good.tables.as_slice()), ("compact", ["*".to_owned()].as_slice()));
        assert_eq!(good.budget.dollars.map(|dollars| dollars.micro()), Some(2_500_000));
        let refusal = |more: &str| read(&format!("run = \"compact\"\n{more}")).unwrap_err();
        assert!(refusal("cron = \"0 25 * * 0\"").contains("\"25\" is no hour"));
        assert!(refusal("cron = \"0 3 * * 0\"\ntime-zone = \"Berlin\"").contains("no time zone"));
        assert!(refusal("cron = \"0 3 * * 0\"\nwindows = [\"22-06\"]").contains("window \"22-06\""));
        assert!(refusal("cron = \"0 3 * * 0\"\ntables = []").contains("tables is empty"));
        assert!(refusal("cron = \"0 3 * * 0\"\ntables = [\"[\"]").contains("is no pattern"));
        assert!(refusal("cron = \"0 3 * * 0\"\nbudget = { bytes = \"much\" }").contains("is not a size"));
        assert!(read("run = \"compakt\"\ncron = \"@weekly\"").unwrap_err().contains("did you mean compact?"));
    }
}
