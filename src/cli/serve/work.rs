//! What the scheduler starts: maintenance runs under the configured policies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::super::args::{OrphanOptions, RewriteOptions, StepOptions, from_environment};
use super::super::maintain::run_over;
use super::super::rank::look;
use super::super::session::Session;
use crate::error::Result;
use crate::maintenance::maintain::MaintainRun;
use crate::maintenance::orphans::Neighbour;
use crate::maintenance::{Fleet, Lease, Taken};
use crate::model::{Operation, Status, TableName, TableReport};
use crate::scheduler::{Job, Work};

/// Where the other tables are is looked up again after this time: each orphan removal asks, and a catalog has thousands.
const NEIGHBOURS_FOR: Duration = Duration::from_secs(600);

type Neighbours = Arc<OnceCell<Vec<Neighbour>>>;

/// Runs jobs with one session's catalog and configuration.
#[derive(Debug)]
pub(super) struct SessionWork {
    session: Arc<Session>,
    neighbours: Mutex<(Instant, Neighbours)>,
}

impl SessionWork {
    pub(super) fn new(session: Session) -> Self {
        Self { session: Arc::new(session), neighbours: Mutex::new((Instant::now(), Neighbours::default())) }
    }

    fn neighbours(&self) -> Neighbours {
        let mut known = self.neighbours.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.elapsed() > NEIGHBOURS_FOR {
            *known = (Instant::now(), Neighbours::default());
        }
        known.1.clone()
    }

    /// What `icewright maintain` would do, or one step of it.
    async fn maintain(&self, job: &Job, only: Option<Operation>) -> Result<TableReport> {
        let (rewrite, steps) = (RewriteOptions::default(), StepOptions::default());
        let orphans: OrphanOptions = from_environment();
        let session = &self.session;
        let mut run: MaintainRun<'_> = run_over(session, &rewrite, &steps, &orphans, false)?;
        run.orphans.neighbours = self.neighbours();
        if let Some(operation) = only {
            run.steps = vec![operation];
        }
        run.compact = Box::new(|table: &TableName, properties: &HashMap<String, String>| {
            Ok(session.policy(&rewrite, table, properties)?.with_at_most(job.max_files))
        });
        let (mut report, _) = session.maintenance.maintain(&job.table, &run).await;
        let single = only.and_then(|_| report.steps.pop()).and_then(|step| step.report);
        Ok(single.unwrap_or(report))
    }
}

#[async_trait(?Send)]
impl Work for SessionWork {
    async fn tables(&self) -> Result<Vec<TableName>> {
        self.session.maintenance.catalog.list_tables().await
    }

    async fn look(&self, tables: Vec<TableName>) -> Fleet {
        look(&self.session, tables).await
    }

    async fn run(&self, job: &Job) -> TableReport {
        let only = Operation::ALL.into_iter().find(|operation| operation.name() == job.run);
        match self.maintain(job, only).await {
            Ok(report) => report,
            Err(error) => TableReport::new(job.table.clone(), Status::Refused).failed(&error),
        }
    }

    async fn take_lease(&self, table: &TableName, owner: &str, span: Duration) -> Result<Taken> {
        self.session.maintenance.take_lease(table, owner, span).await
    }

    async fn renew_lease(&self, lease: &Lease, span: Duration) -> Result<bool> {
        self.session.maintenance.renew_lease(lease, span).await
    }

    async fn release_lease(&self, lease: &Lease, run: &str, succeeded: bool) -> Result<()> {
        self.session.maintenance.release_lease(lease, run, succeeded).await
    }
}
