//! The seam to catalogs: list, load, create, and one conditional swap.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};

use super::{Store, metadata, types};
use crate::error::{Context, Error, Result};
use crate::model::TableName;

/// A table as its catalog has it at one moment.
#[derive(Debug, Clone)]
pub struct LoadedTable {
    /// Its name.
    pub name: TableName,
    /// The current metadata file.
    pub metadata_location: String,
    /// The metadata as it was read, byte for byte as JSON: what the typed form does not know survives in it (I12).
    pub document: Arc<serde_json::Value>,
    /// The same, typed.
    pub metadata: Arc<TableMetadata>,
    /// Where its files are (with storage credentials that the catalog may have lent for this table).
    pub store: Arc<Store>,
}

impl LoadedTable {
    /// Reads a table from the metadata file that a catalog points at.
    ///
    /// # Errors
    /// `Corrupt` when the file is missing or no table metadata, `Unavailable` when the store does not answer.
    pub async fn read(store: &Arc<Store>, name: &TableName, location: String) -> Result<Self> {
        let what = || format!("loading table {name}");
        let bytes = store.read(&location).await.while_doing(what)?;
        let (document, metadata) = metadata::parse(&location, &bytes).while_doing(what)?;
        Ok(Self {
            name: name.clone(),
            metadata_location: location,
            document: Arc::new(document),
            metadata: Arc::new(metadata),
            store: store.clone(),
        })
    }

    /// Refuses a table with a column of a type that is not supported here, whose files and manifests can't be written.
    ///
    /// # Errors
    /// `Unsupported` naming the column.
    pub fn refuse_unknown_types(&self) -> Result<()> {
        let Some(column) = types::unknown(&self.document) else { return Ok(()) };
        let older = if column.current { "" } else { " in an older schema" };
        Err(Error::unsupported(format!(
            "column {} of {} has type {}{older}, which is not supported",
            column.name, self.name, column.kind
        ))
        .hint(
            "its snapshots expire and its orphans are removed as usual; let another engine rewrite its files. Nothing was changed",
        ))
    }
}

/// A change of a table's metadata: what must still hold, and what to do.
#[derive(Debug, Clone)]
pub struct TableChange {
    /// Checked by the catalog (or by us, right before a compare-and-swap).
    pub requirements: Vec<TableRequirement>,
    /// Applied in order.
    pub updates: Vec<TableUpdate>,
}

/// The three results of a commit (I5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The change is durable; the new metadata file is named where the catalog tells it.
    Committed {
        /// The new metadata file, empty when the catalog does not say.
        metadata_location: String,
    },
    /// Definitely not committed: somebody else was first, or a requirement failed.
    Rejected {
        /// Why, for the log.
        reason: String,
    },
    /// It may or may not have been committed. Nothing may be deleted until that is known.
    Unknown {
        /// Why, for the log.
        reason: String,
    },
}

/// A catalog. Implementations hold no retries of commits and no metrics; the committer decides what a result means.
#[async_trait]
pub trait Catalog: Send + Sync + Debug + Display {
    /// Names of all tables, sorted.
    async fn list_tables(&self) -> Result<Vec<TableName>>;

    /// Loads a table's current metadata.
    ///
    /// # Errors
    /// `InvalidInput` when there is no such table (the hint names similar ones), `Corrupt` when its metadata can't be
    /// read as Iceberg metadata, `Unavailable` when catalog or storage do not answer.
    async fn load_table(&self, name: &TableName) -> Result<LoadedTable>;

    /// Creates a namespace where needed, and a table with this metadata (its `location` is final). Used by fixtures.
    async fn create_table(&self, name: &TableName, metadata: TableMetadata) -> Result<LoadedTable>;

    /// Swaps `base`'s metadata for one with `change` applied, if `base` is still current.
    ///
    /// Catalogs that keep a pointer (SQL, filesystem) check the requirements against `base`, write the next metadata
    /// file and swap the pointer; a REST catalog does all of that itself. A metadata file that was written before a
    /// definite rejection is removed again.
    ///
    /// # Errors
    /// Only for what happened before anything could have been committed (bad input, no rights); everything that may
    /// have reached the catalog is an `Ok` with a [`Swap`].
    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap>;

    /// The default location of a table made in this catalog, without a final slash.
    fn default_location(&self, name: &TableName) -> Result<String>;

    /// Where its tables are, as far as it was told.
    fn warehouse(&self) -> Option<&str> {
        None
    }

    /// A replica that may lag behind, for looking and planning; `None` when there is none. What it says is never built on
    /// without a check against this catalog.
    fn replica(&self) -> Option<&Arc<dyn Catalog>> {
        None
    }
}
