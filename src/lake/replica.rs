//! A catalog whose reads may go to a replica (`read-uri`), while everything that changes a table goes to the primary.
//!
//! The replica may lag. Only looking and planning use it ([`Catalog::replica`]); the committer loads what it builds on from
//! the primary and checks every input against it, removal reads the primary too. So a stale view costs a plan that has to
//! be made anew, and can't become a wrong commit.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;

use super::{Catalog, LoadedTable, Swap, TableChange};
use crate::error::Result;
use crate::model::TableName;

/// The property that names the replica's URI.
pub(super) const READ_URI: &str = "read-uri";

/// A primary and its replica.
#[derive(Debug)]
pub(super) struct WithReplica {
    pub(super) primary: Arc<dyn Catalog>,
    pub(super) replica: Arc<dyn Catalog>,
}

impl fmt::Display for WithReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, read from {}", self.primary, self.replica)
    }
}

#[async_trait]
impl Catalog for WithReplica {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        match self.replica.list_tables().await {
            Err(error) => {
                tracing::warn!(%error, "the replica does not list tables, asking the primary");
                self.primary.list_tables().await
            }
            listed => listed,
        }
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        self.primary.load_table(name).await
    }

    async fn create_table(&self, name: &TableName, metadata: TableMetadata) -> Result<LoadedTable> {
        self.primary.create_table(name, metadata).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        self.primary.commit(base, change).await
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        self.primary.default_location(name)
    }

    fn replica(&self) -> Option<&Arc<dyn Catalog>> {
        Some(&self.replica)
    }
}
