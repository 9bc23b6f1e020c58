//! What the scheduler starts: maintenance runs under the configured policies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::args::{
    ArchiveOptions, ExpireOptions, ManifestOptions, OrphanOptions, RewriteOptions, from_environment,
};
use super::super::orphans::run_of;
use super::super::rank::look;
use super::super::session::Session;
use crate::error::Result;
use crate::maintenance::{Fleet, Lease, Taken};
use crate::model::{Operation, Status, TableName, TableReport};
use crate::scheduler::{Job, Work};

/// Runs jobs with one session's catalog and configuration.
#[derive(Debug)]
pub(super) struct SessionWork(pub(super) Arc<Session>);

impl SessionWork {
    async fn step(&self, operation: Operation, job: &Job) -> TableReport {
        let session = &self.0;
        match operation {
            Operation::Compact => {
                let options = RewriteOptions::default();
                let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
                    let mut policy = session.policy(&options, table, properties)?;
                    policy.max_files_to_rewrite = match (policy.max_files_to_rewrite, job.max_files) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    Ok(policy)
                };
                session.maintenance.compact(&job.table, &policy_for).await
            }
            Operation::Expire => {
                let options = ExpireOptions::default();
                let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
                    session.expire_policy(&options, table, properties)
                };
                session.maintenance.expire(&job.table, &policy_for).await
            }
            Operation::RewriteManifests => {
                let options = ManifestOptions::default();
                let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
                    session.manifest_policy(&options, table, properties)
                };
                session.maintenance.rewrite_manifests(&job.table, &policy_for).await
            }
            Operation::Archive => {
                let (asked, options) = (ArchiveOptions::default(), RewriteOptions::default());
                let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
                    session.archive_policy(&asked, &options, table, properties)
                };
                session.maintenance.archive(&job.table, &policy_for).await
            }
            Operation::RemoveOrphans => {
                let options: OrphanOptions = from_environment();
                match run_of(session, &options, 0) {
                    Ok(run) => session.maintenance.remove_orphans(&job.table, &run, true).await.0,
                    Err(error) => TableReport::new(job.table.clone(), Status::Refused).failed(&error),
                }
            }
        }
    }
}

#[async_trait(?Send)]
impl Work for SessionWork {
    async fn tables(&self) -> Result<Vec<TableName>> {
        self.0.maintenance.catalog.list_tables().await
    }

    async fn look(&self, tables: Vec<TableName>) -> Fleet {
        look(&self.0, tables).await
    }

    async fn run(&self, job: &Job) -> TableReport {
        if let Some(operation) = Operation::ALL.into_iter().find(|operation| operation.name() == job.run) {
            return self.step(operation, job).await;
        }
        let mut report = TableReport::new(job.table.clone(), Status::NothingToDo);
        for operation in [Operation::Compact, Operation::RewriteManifests, Operation::Expire] {
            report.add_step(operation, self.step(operation, job).await);
        }
        report
    }

    async fn take_lease(&self, table: &TableName, owner: &str, span: Duration) -> Result<Taken> {
        self.0.maintenance.take_lease(table, owner, span).await
    }

    async fn renew_lease(&self, lease: &Lease, span: Duration) -> Result<bool> {
        self.0.maintenance.renew_lease(lease, span).await
    }

    async fn release_lease(&self, lease: &Lease, run: &str, succeeded: bool) -> Result<()> {
        self.0.maintenance.release_lease(lease, run, succeeded).await
    }
}
