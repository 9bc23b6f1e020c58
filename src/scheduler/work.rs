//! The seam between deciding and doing: what the engine asks for, and who does it.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::maintenance::{Fleet, Lease, Taken};
use crate::model::{TableName, TableReport};

/// What is to be run over one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The operation by its name, or `maintain`.
    pub run: String,
    /// The table.
    pub table: TableName,
    /// Only so many of its files.
    pub max_files: Option<u64>,
}

/// Looks at tables and works on them. Made by whoever knows configuration and policies; errors are per table.
///
/// The engine runs on one thread: bytes are encoded on others, and what waits for catalog and store needs no more.
#[async_trait(?Send)]
pub trait Work: Send + Sync + 'static {
    /// Names of all tables.
    ///
    /// # Errors
    /// Whatever the catalog says.
    async fn tables(&self) -> Result<Vec<TableName>>;

    /// Looks at tables from afar.
    async fn look(&self, tables: Vec<TableName>) -> Fleet;

    /// Runs a job; what went wrong is in the report.
    async fn run(&self, job: &Job) -> TableReport;

    /// Takes a table's lease.
    ///
    /// # Errors
    /// Whatever the catalog says.
    async fn take_lease(&self, table: &TableName, owner: &str, span: Duration) -> Result<Taken>;

    /// Makes a lease last longer; `false` when it is lost.
    ///
    /// # Errors
    /// Whatever the catalog says.
    async fn renew_lease(&self, lease: &Lease, span: Duration) -> Result<bool>;

    /// Gives a lease back and remembers how the run ended.
    ///
    /// # Errors
    /// Whatever the catalog says.
    async fn release_lease(&self, lease: &Lease, run: &str, succeeded: bool) -> Result<()>;
}
