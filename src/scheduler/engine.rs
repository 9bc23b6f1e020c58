//! The scheduler at work: one loop a schedule, side by side, until it is told to stop.
//!
//! A due time becomes a look at the fleet, a ranking within the budget and what is left of the window, and then runs over
//! single tables, each under the table's lease. Between two tables it looks whether it should stop, whether the window
//! has closed, and whether what was really spent is still within the budget.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use globset::GlobSet;
use tokio::sync::{Semaphore, watch};

use super::budget::Budget;
use super::due::{Timing, handled_by, look};
use super::fleetwatch::record;
use super::looks::Looks;
use super::rank::{Choice, Ranking, Rules, rank};
use super::status::StatusBoard;
use super::work::{Job, Work};
use crate::error::Result;
use crate::lake::Ambient;
use crate::maintenance::{Lease, Taken};
use crate::model::{Status, TableReport, TableSummary};
use crate::telemetry::metrics::{FleetLimits, Registry, has_own_series, names, record_end, record_run};

/// One schedule, resolved.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name.
    pub label: String,
    /// Which tables.
    pub tables: GlobSet,
    /// When.
    pub timing: Timing,
    /// How much it may cost.
    pub budget: Budget,
    /// What is worth doing.
    pub rules: Rules,
}

/// What all schedules share.
#[derive(Clone)]
pub struct Engine {
    /// Who does the work.
    pub work: Arc<dyn Work>,
    /// The last look at the fleet.
    pub looks: Arc<Looks>,
    /// The clock.
    pub ambient: Arc<Ambient>,
    /// Metrics.
    pub registry: Arc<Registry>,
    /// What is shown.
    pub board: Arc<StatusBoard>,
    /// Tables with metrics of their own.
    pub limits: FleetLimits,
    /// Tables that are worked on side by side, over all schedules.
    pub jobs: Arc<Semaphore>,
    /// How long a lease lasts that is not renewed.
    pub lease: Duration,
    /// Who this process is, in leases.
    pub owner: String,
    /// Turns true when no further table may start.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.owner)
    }
}

impl Engine {
    /// Follows one schedule until it is told to stop.
    pub async fn follow(self, plan: Plan) {
        let mut handled = self.first_handled(&plan).await;
        self.board.schedule(&plan.label, |status| {
            status.when = format!("{} ({})", plan.timing.cron, plan.timing.windows);
            status.run.clone_from(&plan.rules.run);
        });
        while !self.stopping() {
            let now = self.ambient.now_ms();
            let due = look(&plan.timing, handled, now);
            if due.missed.count > 0 {
                handled = due.missed.newest.unwrap_or(handled);
                tracing::warn!(schedule = plan.label, missed = due.missed.count, "due times were missed");
                self.registry.add(&names::SCHEDULE_MISSED, &[&plan.label], due.missed.count as f64);
                self.board.schedule(&plan.label, |status| status.missed += due.missed.count);
            }
            if let Some(at) = due.run {
                handled = at;
                self.run_once(&plan, at).await;
                continue;
            }
            self.announce(&plan.label, due.look_again_ms);
            self.wait(due.look_again_ms.saturating_sub(now)).await;
        }
    }

    /// The last due time that counts as handled when a scheduler starts: what its tables remember of the last run, else
    /// now. That is how a restart neither forgets a time that fell into the downtime nor runs one twice.
    async fn first_handled(&self, plan: &Plan) -> i64 {
        let now = self.ambient.now_ms();
        let Ok(tables) = self.tables(plan).await else { return now };
        let last = tables.iter().filter_map(|table| table.memory.last_runs.get(&plan.rules.run)).max();
        handled_by(&plan.timing, last.copied(), now)
    }

    /// The tables of a schedule as they are.
    async fn tables(&self, plan: &Plan) -> Result<Vec<TableSummary>> {
        let fleet = self.looks.fleet(&*self.work, &self.ambient).await?;
        Ok(fleet.tables.iter().filter(|table| plan.tables.is_match(table.table.to_string())).cloned().collect())
    }

    /// One due time.
    #[tracing::instrument(target = "spans", name = "schedule", skip_all,
        fields(schedule = plan.label, run = plan.rules.run))]
    async fn run_once(&self, plan: &Plan, due: i64) {
        self.registry.add(&names::SCHEDULE_STARTED, &[&plan.label], 1.0);
        self.board.schedule(&plan.label, |status| {
            (status.running, status.started, status.last_due_ms) = (true, status.started + 1, Some(due));
        });
        let reports = match self.look_and_rank(plan).await {
            Ok(ranking) => self.run_chosen(plan, &ranking).await,
            Err(error) => {
                tracing::warn!(schedule = plan.label, %error, "the catalog could not be listed");
                self.board.update(|view| (view.ready, view.trouble) = (false, Some(error.to_string())));
                Vec::new()
            }
        };
        let failed = reports.iter().filter(|report| report.error.is_some()).count();
        tracing::info!(schedule = plan.label, tables = reports.len(), failed, "schedule ended");
        record_end(&self.registry, &plan.rules.run, &reports, self.ambient.now_ms());
        self.board.schedule(&plan.label, |status| status.running = false);
    }

    async fn look_and_rank(&self, plan: &Plan) -> Result<Ranking> {
        let tables = self.tables(plan).await?;
        let now = self.ambient.now_ms();
        let left = plan.timing.windows.next_close(now).map(|close| u64::try_from(close - now).unwrap_or(0));
        let rules = Rules { owner: Some(self.owner_of(plan)), ..plan.rules.clone() };
        let ranking = rank(&tables, &rules, &plan.budget.within(left), now);
        let chosen = ranking.chosen().count() as u64;
        tracing::info!(
            schedule = plan.label,
            tables = tables.len(),
            chosen,
            bytes = ranking.cost.bytes,
            "fleet ranked"
        );
        let due = ranking.choices.iter().filter(|choice| choice.gain.total() > 0).count();
        self.registry.set(&names::TABLES_DUE, &[&plan.rules.run], due as f64);
        self.board.paused(&ranking.choices);
        let others = ranking.choices.len() as u64 - chosen;
        self.board.schedule(&plan.label, |status| status.last_tables = (chosen, others));
        self.board.update(|view| (view.ready, view.trouble) = (true, None));
        Ok(ranking)
    }

    async fn run_chosen(&self, plan: &Plan, ranking: &Ranking) -> Vec<TableReport> {
        let started = self.ambient.now_ms();
        let spent = std::sync::atomic::AtomicU64::new(0);
        let spent = &spent;
        let runs = futures::stream::iter(ranking.chosen())
            .map(|choice| async move {
                let Ok(_permit) = self.jobs.acquire().await else { return None };
                if !self.may_start(plan, choice, started, spent.load(std::sync::atomic::Ordering::Relaxed)) {
                    return None;
                }
                let report = self.run_leased(plan, choice).await?;
                let bytes = report.bytes_read.unwrap_or(0) + report.bytes_written.unwrap_or(0);
                spent.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
                Some(report)
            })
            .buffered(self.jobs.available_permits().max(1));
        runs.filter_map(|report| async { report }).collect().await
    }

    /// Estimates were made for all of them together; what really happened decides whether the next one starts.
    fn may_start(&self, plan: &Plan, choice: &Choice, started: i64, spent_bytes: u64) -> bool {
        let now = self.ambient.now_ms();
        let cost = i64::try_from(choice.cost.ms).unwrap_or(i64::MAX);
        let in_window = plan.timing.windows.next_close(now).is_none_or(|close| now.saturating_add(cost) <= close);
        let in_time = plan.budget.ms.is_none_or(|limit| now.abs_diff(started).saturating_add(choice.cost.ms) <= limit);
        let in_bytes = plan.budget.bytes.is_none_or(|limit| spent_bytes.saturating_add(choice.cost.bytes) <= limit);
        let may = !self.stopping() && in_window && in_time && in_bytes;
        if !may {
            tracing::info!(table = %choice.table, in_window, in_time, in_bytes, "left for another time");
        }
        may
    }

    /// Two schedules of one process are two owners: they must not work on one table at once either.
    fn owner_of(&self, plan: &Plan) -> String {
        format!("{}/{}", self.owner, plan.label)
    }

    /// One table under its lease; `None` when somebody else has it.
    #[tracing::instrument(target = "spans", name = "table", skip_all, fields(table = %choice.table))]
    async fn run_leased(&self, plan: &Plan, choice: &Choice) -> Option<TableReport> {
        let table = &choice.table;
        let owner = self.owner_of(plan);
        let lease = match self.work.take_lease(table, &owner, self.lease).await {
            Ok(Taken::Ours(lease)) => lease,
            Ok(Taken::Held { owner, until_ms }) => {
                tracing::info!(%table, owner, until_ms, "another process is at work on it");
                self.registry.add(&names::LEASES_LOST, &[], 1.0);
                return None;
            }
            Err(error) => {
                let report = TableReport::new(table.clone(), Status::Failed).failed(&error);
                self.record(plan, &report);
                return Some(report);
            }
        };
        self.board.update(|view| {
            view.working_on.insert(table.to_string(), plan.label.clone());
        });
        let job = Job { run: plan.rules.run.clone(), table: table.clone(), max_files: choice.max_files };
        let report = self.keep_lease(&lease, self.work.run(&job)).await;
        if let Err(error) = self.work.release_lease(&lease, &plan.rules.run, report.error.is_none()).await {
            tracing::warn!(%table, %error, "the lease was not given back");
        }
        self.looks.outdate();
        self.record(plan, &report);
        Some(report)
    }

    /// Renews a lease while work goes on. A lost lease does not stop the work: it is safe, only perhaps done twice.
    async fn keep_lease(&self, lease: &Lease, work: impl Future<Output = TableReport>) -> TableReport {
        tokio::pin!(work);
        loop {
            tokio::select! {
                report = &mut work => return report,
                () = self.ambient.sleep(self.lease / 2) => match self.work.renew_lease(lease, self.lease).await {
                    Ok(true) => {}
                    Ok(false) => tracing::warn!(table = %lease.table, "the lease went to somebody else"),
                    Err(error) => tracing::warn!(table = %lease.table, %error, "the lease was not renewed"),
                },
            }
        }
    }

    fn record(&self, plan: &Plan, report: &TableReport) {
        let now = self.ambient.now_ms();
        let own_series = has_own_series(&self.registry, &report.table);
        record_run(&self.registry, &plan.rules.run, report, own_series, now);
        self.board.ended(&plan.label, report, now);
        let (table, schedule, seconds) = (&report.table, &plan.label, report.seconds);
        if let Some(error) = &report.error {
            tracing::warn!(%table, schedule, kind = ?error.kind, error = error.message, "run failed");
        } else {
            let (before, after) = (report.files_before, report.files_after);
            tracing::info!(%table, schedule, status = ?report.status, before, after, seconds, "run ended");
        }
    }

    /// Looks at the whole fleet now and then, for metrics, until it is told to stop.
    pub async fn watch_fleet(self, every: Duration) {
        while !self.stopping() {
            match self.looks.fleet(&*self.work, &self.ambient).await {
                Ok(fleet) => record(&self.registry, &self.board, &fleet, self.limits, self.ambient.now_ms()),
                Err(error) => {
                    tracing::warn!(%error, "the catalog could not be listed");
                    self.board.update(|view| (view.ready, view.trouble) = (false, Some(error.to_string())));
                }
            }
            self.wait(i64::try_from(every.as_millis()).unwrap_or(i64::MAX)).await;
        }
    }

    fn announce(&self, label: &str, next_ms: i64) {
        self.board.schedule(label, |status| status.next_ms = Some(next_ms));
        self.registry.set(&names::SCHEDULE_NEXT, &[label], next_ms as f64 / 1000.0);
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits, but not beyond the word to stop, and never so long that a clock that was set goes unnoticed.
    async fn wait(&self, ms: i64) {
        const LONGEST: Duration = Duration::from_secs(3600);
        let span = Duration::from_millis(u64::try_from(ms).unwrap_or(0)).clamp(Duration::from_millis(1), LONGEST);
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.ambient.sleep(span) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// Tables of a fleet that are paused now, for metrics.
pub(super) fn paused(tables: &[TableSummary], now_ms: i64) -> impl Iterator<Item = (&TableSummary, i64)> {
    tables.iter().filter_map(move |table| Some((table, super::paused_until(&table.memory, now_ms)?)))
}
