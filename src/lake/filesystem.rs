//! Filesystem tables: no catalog but a warehouse folder; a table is a folder with `metadata/vN.metadata.json`.
//!
//! The compare-and-swap is "put if absent" of the next version's file, so it is as safe as the store's: local files by
//! link, S3 and the other clouds by conditional put. `version-hint.text` is a hint and written last.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::TableMetadata;

use super::{Ambient, Catalog, LoadedTable, Location, Store, Swap, TableChange, metadata, similar};
use crate::error::{Error, Result};
use crate::model::TableName;

/// A warehouse folder with tables in it.
pub struct FilesystemCatalog {
    root: String,
    store: Arc<Store>,
    ambient: Arc<Ambient>,
}

impl fmt::Debug for FilesystemCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilesystemCatalog({})", self.root)
    }
}

impl fmt::Display for FilesystemCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warehouse {}", self.root)
    }
}

impl FilesystemCatalog {
    /// Opens a warehouse folder.
    ///
    /// # Errors
    /// `InvalidInput` when the location is none, or the local folder does not exist.
    pub fn open(root: &str, store: Arc<Store>, ambient: Arc<Ambient>) -> Result<Self> {
        Location::parse(root)?;
        if let Some(path) = store.local_path(root)
            && !path.is_dir()
        {
            return Err(Error::invalid(format!("there is no warehouse folder {}", path.display()))
                .hint("a filesystem catalog is written file:///absolute/path/of/warehouse"));
        }
        Ok(Self { root: root.trim_end_matches('/').to_owned(), store, ambient })
    }

    fn table_location(&self, name: &TableName) -> String {
        format!("{}/{}/{}", self.root, name.namespace.join("/"), name.table)
    }

    /// The newest metadata file of a table: the hint saves a listing where it is right; newer versions win over it.
    async fn newest(&self, name: &TableName) -> Result<Option<String>> {
        let folder = format!("{}/metadata", self.table_location(name));
        let files: Vec<String> = self
            .store
            .list(&folder)?
            .map_ok(|info| info.location)
            .try_filter(|location| futures::future::ready(is_metadata(location)))
            .try_collect()
            .await?;
        // A hint may point below the newest version (its write is best effort), never above it.
        Ok(files.into_iter().max_by(|a, b| (metadata::version(a), a).cmp(&(metadata::version(b), b))))
    }

    async fn hint(&self, folder: &str, version: u64) {
        let location = format!("{folder}/version-hint.text");
        if let Err(error) = self.store.write(&location, Bytes::from(version.to_string())).await {
            tracing::warn!(file = location, %error, "the version hint could not be written; readers list instead");
        }
    }
}

fn is_metadata(location: &str) -> bool {
    location.ends_with(".metadata.json") || location.ends_with(".metadata.json.gz")
}

#[async_trait]
impl Catalog for FilesystemCatalog {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        let mut names = BTreeSet::new();
        let mut listing = self.store.list(&self.root)?;
        let root = Location::parse(&self.root)?.path;
        while let Some(item) = listing.next().await {
            let location = item?.location;
            if !is_metadata(&location) {
                continue;
            }
            let path = Location::parse(&location)?.path;
            let below = path.strip_prefix(&root).unwrap_or(&path).trim_start_matches('/');
            let mut levels: Vec<&str> = below.split('/').collect();
            levels.pop();
            if levels.pop() == Some("metadata")
                && let Some(table) = levels.pop()
                && !levels.is_empty()
            {
                names.insert(TableName::new(levels, table));
            }
        }
        Ok(names.into_iter().collect())
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        match self.newest(name).await? {
            Some(location) => LoadedTable::read(&self.store, name, location).await,
            None => Err(similar::unknown_table(name, &self.list_tables().await.unwrap_or_default(), &self.root)),
        }
    }

    async fn create_table(&self, name: &TableName, table: TableMetadata) -> Result<LoadedTable> {
        let folder = format!("{}/metadata", self.table_location(name));
        let location = format!("{folder}/v1.metadata.json");
        let document = serde_json::to_value(&table)
            .map_err(|e| Error::internal("table metadata can't be written as JSON").caused_by(e))?;
        if !self.store.write_if_absent(&location, Bytes::from(metadata::to_bytes(&document, false)?)).await? {
            return Err(Error::invalid(format!("{self} holds a table {name} already"))
                .hint("choose another name, or another folder"));
        }
        self.hint(&folder, 1).await;
        LoadedTable::read(&self.store, name, location).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        if let Err(reason) = metadata::check(&base.metadata, change) {
            return Ok(Swap::Rejected { reason });
        }
        let document = metadata::apply(&base.document, change, &base.metadata_location, self.ambient.now_ms())?;
        let gzip = metadata::wants_gzip(&base.metadata);
        let bytes = Bytes::from(metadata::to_bytes(&document, gzip)?);
        let folder = format!("{}/metadata", self.table_location(&base.name));
        let version = metadata::version(&base.metadata_location) + 1;
        // A version file of the other compression, or one that sorts later, would escape a plain put-if-absent.
        match self.newest(&base.name).await? {
            Some(newest) if newest == base.metadata_location => {}
            _ => return Ok(Swap::Rejected { reason: "the table has a newer version".to_owned() }),
        }
        let ending = if gzip { ".gz.metadata.json" } else { ".metadata.json" };
        let location = format!("{folder}/v{version}{ending}");
        match self.store.write_if_absent(&location, bytes).await {
            Ok(true) => {
                self.hint(&folder, version).await;
                Ok(Swap::Committed { metadata_location: location })
            }
            // It may be our own: a client retries a put whose answer was lost. Fresh metadata tells.
            Ok(false) => Ok(Swap::Unknown { reason: format!("version {version} exists already") }),
            Err(error) => Ok(Swap::Unknown { reason: error.to_string() }),
        }
    }

    fn warehouse(&self) -> Option<&str> {
        Some(&self.root)
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        Ok(self.table_location(name))
    }
}
