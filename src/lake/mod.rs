//! Where tables live: catalogs, object stores, loading a [`TableState`](crate::model::TableState), clock and ids.
//!
//! This is the only room that talks to the outside. Everything above it sees three seams: [`Catalog`], [`Store`] and
//! [`Ambient`] (clock, ids, jitter).

pub mod ambient;
mod avro;
pub mod catalog;
pub mod conformance;
mod entries;
mod file_io;
pub mod filesystem;
mod footers;
mod history;
mod in_use;
#[cfg(test)]
pub(crate) mod intercepted;
pub mod inventory;
mod load;
mod locations;
mod manifest_info;
pub mod manifests;
pub mod metadata;
pub mod parquet_schema;
mod partition_path;
mod partition_types;
pub mod references;
mod replica;
pub mod rest;
mod row_ids;
mod runs;
mod similar;
mod spill;
pub mod sql;
pub mod store;
pub mod summary;
mod types;

use std::sync::Arc;
use std::time::Duration;

pub use ambient::Ambient;
pub use catalog::{Catalog, LoadedTable, Swap, TableChange};
pub(crate) use entries::LiveEntries;
pub use file_io::file_io;
pub(crate) use footers::{arrangement, damaged, read_metadata_like};
pub use footers::{codec_of, read_footers, read_metadata};
pub use history::history;
pub use in_use::in_use;
pub use load::{LoadOptions, load_state};
pub use locations::TableLocations;
pub(crate) use manifest_info::manifest_info;
pub use partition_path::{partition_path, spec_path};
pub use partition_types::{copied, partition_schema};
pub(crate) use row_ids::RowIds;
pub use spill::{Spill, SpillBlock, SpillBlocks, SpillFile, spill_failed};
pub(crate) use store::sync_name;
pub use store::{FileInfo, Links, Location, Props, Store, match_key};

use crate::error::{Error, Result};
use crate::model::{CatalogSettings, TableName};

/// How long the database that commits go to may take to give a connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connects to a catalog.
///
/// # Errors
/// `InvalidInput` for a wrong URI or wrong credentials, `Unsupported` for a catalog that this build lacks,
/// `Unavailable` when it does not answer.
pub async fn connect(settings: &CatalogSettings, ambient: Arc<Ambient>) -> Result<Arc<dyn Catalog>> {
    open(settings, ambient, false).await
}

/// Connects to a catalog and makes a SQL catalog's database and tables when they are missing; for fixtures.
///
/// # Errors
/// As [`connect`].
pub async fn connect_or_create(settings: &CatalogSettings, ambient: Arc<Ambient>) -> Result<Arc<dyn Catalog>> {
    open(settings, ambient, true).await
}

async fn open(settings: &CatalogSettings, ambient: Arc<Ambient>, create: bool) -> Result<Arc<dyn Catalog>> {
    let mut settings = settings.clone();
    let Some(uri) = settings.props.remove(replica::READ_URI) else {
        return open_one(&settings, ambient, create, PATIENCE).await;
    };
    let primary = open_one(&settings, ambient.clone(), create, PATIENCE).await?;
    settings.uri = uri;
    match open_one(&settings, ambient, false, replica::PATIENCE).await {
        Ok(replica) => Ok(Arc::new(replica::WithReplica::new(primary, replica))),
        // A replica saves the primary work; its absence must not keep tables from their maintenance.
        Err(error) if error.is_retryable() => {
            tracing::warn!(%error, "the replica does not answer, the primary is read instead");
            Ok(primary)
        }
        Err(error) => Err(error.while_doing("opening read-uri")),
    }
}

/// Opens one catalog. A database may take as long as `patience` to give a connection.
async fn open_one(
    settings: &CatalogSettings,
    ambient: Arc<Ambient>,
    create: bool,
    patience: Duration,
) -> Result<Arc<dyn Catalog>> {
    let store = Arc::new(Store::new(settings.props.clone()).with_places(settings.places.iter().cloned())?);
    let scheme = settings.uri.split(':').next().unwrap_or_default();
    Ok(match scheme {
        "sqlite" | "postgresql" | "postgres" => {
            Arc::new(sql::SqlCatalog::connect(settings, store, ambient, create, patience).await?)
        }
        "http" | "https" => Arc::new(rest::RestCatalog::connect(settings, ambient).await?),
        "glue" => {
            return Err(Error::unsupported("the Glue catalog is not supported yet")
                .hint("Glue's own REST endpoint works as a REST catalog where it accepts a token"));
        }
        _ if Location::parse(&settings.uri).is_ok() => {
            Arc::new(filesystem::FilesystemCatalog::open(&settings.uri, store, ambient)?)
        }
        _ => {
            return Err(Error::invalid(format!("{:?} is not a catalog", settings.public_uri()))
                .hint("write sqlite:///abs/catalog.db, postgresql://…, http(s)://… (REST), or file:///warehouse"));
        }
    })
}

fn default_location(warehouse: Option<&str>, name: &TableName) -> Result<String> {
    let Some(warehouse) = warehouse else {
        return Err(Error::invalid("the catalog has no warehouse to make tables in").hint("give one with --warehouse"));
    };
    Ok(format!("{}/{}/{}", warehouse.trim_end_matches('/'), name.namespace.join("/"), name.table))
}
