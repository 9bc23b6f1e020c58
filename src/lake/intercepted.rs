//! A catalog whose commits a test gets its hands on; all else is as the catalog behind it has it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;

use super::{Catalog, LoadedTable, Swap, TableChange};
use crate::error::Result;
use crate::model::TableName;

/// What happens to a commit on its way.
#[async_trait]
pub(crate) trait Meddler: Send + Sync {
    /// Takes the place of a commit to `catalog`.
    async fn commit(&self, catalog: &dyn Catalog, base: &LoadedTable, change: &TableChange) -> Result<Swap>;
}

/// The catalog.
pub(crate) struct Intercepted<M>(pub(crate) Arc<dyn Catalog>, pub(crate) M);

impl<M> fmt::Debug for Intercepted<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intercepted({})", self.0)
    }
}

impl<M> fmt::Display for Intercepted<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intercepted({})", self.0)
    }
}

#[async_trait]
impl<M: Meddler> Catalog for Intercepted<M> {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        self.0.list_tables().await
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        self.0.load_table(name).await
    }

    async fn create_table(&self, name: &TableName, metadata: TableMetadata) -> Result<LoadedTable> {
        self.0.create_table(name, metadata).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        self.1.commit(&*self.0, base, change).await
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        self.0.default_location(name)
    }
}
