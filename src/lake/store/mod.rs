//! One storage stack: every byte that is read, written, listed or deleted goes through here.

mod class;
mod copy;
mod links;
mod local;
mod location;
mod open;
mod removal;
#[cfg(feature = "s3")]
mod s3;
mod transfer;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

pub use links::Links;
pub(crate) use local::sync_name;
pub use location::{Location, Scheme, match_key};
pub use transfer::Copied;

use crate::error::{Error, Kind, Result};
use crate::model::StoragePlace;
use open::Client;

/// Storage properties by Iceberg's own names (`s3.endpoint`, `s3.access-key-id`, …).
pub type Props = BTreeMap<String, String>;

/// What a listing or a HEAD says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Full location, in the scheme that was asked with.
    pub location: String,
    /// Bytes.
    pub size: u64,
    /// Last modified, milliseconds since 1970.
    pub modified_ms: i64,
}

type Wrap = Arc<dyn Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync>;

/// Files by their full location (`s3://bucket/key`, `file:///path`, `/path`), over `object_store`.
///
/// One client per scheme and authority is opened on first use and kept. `s3`, `s3a` and `s3n` are the same place.
pub struct Store {
    props: Props,
    /// Canonical prefixes with a final slash, longest first, and what differs below them.
    places: Vec<(String, Props)>,
    opened: Mutex<HashMap<String, Client>>,
    wrap: Option<Wrap>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Properties hold secrets: never printed.
        f.write_str("Store")
    }
}

impl Store {
    /// A store that opens its clients with `props`.
    pub fn new(props: Props) -> Self {
        Self { props, places: Vec::new(), opened: Mutex::new(HashMap::new()), wrap: None }
    }

    /// Locations below which other properties count, over the store's own.
    ///
    /// # Errors
    /// `InvalidInput` or `Unsupported` for one that is no location.
    pub fn with_places(mut self, places: impl IntoIterator<Item = StoragePlace>) -> Result<Self> {
        for place in places {
            self.places.push((format!("{}/", Location::parse(&place.location)?.canonical()), place.props));
        }
        self.places.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(self)
    }

    /// Wraps every client, for limits and injected faults. Wrappers sit at this seam only.
    #[must_use]
    pub fn wrapped(
        mut self,
        wrap: impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> + Send + Sync + 'static,
    ) -> Self {
        self.wrap = Some(Arc::new(wrap));
        self
    }

    /// The same kind of store with further properties on top (storage credentials that a catalog lends).
    #[must_use]
    pub fn with_props(&self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut props = self.props.clone();
        props.extend(more);
        Self { props, places: self.places.clone(), opened: Mutex::new(HashMap::new()), wrap: self.wrap.clone() }
    }

    /// The client and the path in it for a location.
    ///
    /// # Errors
    /// `InvalidInput` for a location that is no URI; `Unsupported` for a scheme that is not built in.
    pub fn resolve(&self, location: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let parsed = Location::parse(location)?;
        let path = parsed.object_path()?;
        Ok((self.client(&parsed)?.files, path))
    }

    /// The client for a location, opened on first use.
    fn client(&self, location: &Location) -> Result<Client> {
        let key = self.client_key(location);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = opened.get(&key) {
            return Ok(client.clone());
        }
        let mut props = self.props.clone();
        props.extend(self.place(location).map(|place| self.places[place].1.clone()).unwrap_or_default());
        let mut client = open::open(location, &props)?;
        if let Some(wrap) = &self.wrap {
            client.files = wrap(client.files);
        }
        opened.insert(key, client.clone());
        Ok(client)
    }

    /// The innermost place with properties of its own that a location lies in.
    fn place(&self, location: &Location) -> Option<usize> {
        let canonical = format!("{}/", location.canonical());
        self.places.iter().position(|(prefix, _)| canonical.starts_with(prefix.as_str()))
    }

    /// Locations with the same key are reached by one client, with the same rights.
    fn client_key(&self, location: &Location) -> String {
        let place = self.place(location).map_or_else(String::new, |place| format!("{place} "));
        format!("{place}{}", location.client_key())
    }

    /// The path on this machine's file system, for local locations when nothing wraps the store.
    pub fn local_path(&self, location: &str) -> Option<PathBuf> {
        if self.wrap.is_some() {
            return None;
        }
        let parsed = Location::parse(location).ok()?;
        (parsed.scheme == Scheme::File).then(|| PathBuf::from(format!("/{}", parsed.path)))
    }

    /// How many files like this one should be opened side by side: many where each is a round trip, and few on this machine,
    /// where more are only memory.
    pub fn opened_at_once(&self, location: &str) -> usize {
        if self.local_path(location).is_some() { 8 } else { 64 }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// `Corrupt` when it is missing (callers read what metadata names), `Unavailable` when the store does not answer.
    pub async fn read(&self, location: &str) -> Result<Bytes> {
        let (client, path) = self.resolve(location)?;
        let result = client.get(&path).await.map_err(|e| store_error("reading", location, e))?;
        result.bytes().await.map_err(|e| store_error("reading", location, e))
    }

    /// Reads one range of a file.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_range(&self, location: &str, range: Range<u64>) -> Result<Bytes> {
        let (client, path) = self.resolve(location)?;
        client.get_range(&path, range).await.map_err(|e| store_error("reading", location, e))
    }

    /// Size and time of a file; `None` when there is none.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn head(&self, location: &str) -> Result<Option<FileInfo>> {
        let (client, path) = self.resolve(location)?;
        match client.head(&path).await {
            Ok(meta) => Ok(Some(FileInfo {
                location: location.to_owned(),
                size: meta.size,
                modified_ms: meta.last_modified.timestamp_millis(),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(store_error("looking up", location, error)),
        }
    }

    /// Writes a whole file, replacing what was there.
    ///
    /// # Errors
    /// `InvalidInput` without the right to write, `Exhausted` on a full disk, `Unavailable` otherwise.
    pub async fn write(&self, location: &str, bytes: Bytes) -> Result<()> {
        let (client, path) = self.resolve(location)?;
        if let Some(local) = self.local_path(location) {
            return write_local(local, location, bytes, true).await.map(|_| ());
        }
        client.put(&path, bytes.into()).await.map_err(|e| store_error("writing", location, e))?;
        Ok(())
    }

    /// Writes a whole file only if there is none; `false` when there is one.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_if_absent(&self, location: &str, bytes: Bytes) -> Result<bool> {
        let (client, path) = self.resolve(location)?;
        if let Some(local) = self.local_path(location) {
            return write_local(local, location, bytes, false).await;
        }
        let options = PutOptions::from(PutMode::Create);
        match client.put_opts(&path, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(store_error("writing", location, error)),
        }
    }

    /// Removes a file; one that is gone already is fine.
    ///
    /// # Errors
    /// `InvalidInput` without the right to delete, `Unavailable` otherwise.
    pub async fn delete(&self, location: &str) -> Result<()> {
        let (client, path) = self.resolve(location)?;
        match client.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(store_error("deleting", location, error)),
        }
    }

    /// Lists all files below a location.
    ///
    /// # Errors
    /// `InvalidInput` for a bad location; the stream's items carry the store's own errors.
    pub fn list(&self, location: &str) -> Result<BoxStream<'static, Result<FileInfo>>> {
        let (client, path) = self.resolve(location)?;
        let prefix = Location::parse(location)?;
        let asked = location.to_owned();
        let stream = client.list(Some(&path)).map(move |item| match item {
            Ok(meta) => Ok(FileInfo {
                location: prefix.with_object_path(&meta.location),
                size: meta.size,
                modified_ms: meta.last_modified.timestamp_millis(),
            }),
            Err(error) => Err(store_error("listing", &asked, error)),
        });
        Ok(stream.boxed())
    }
}

/// Writes a file of this machine's where that holds nobody up.
async fn write_local(path: PathBuf, location: &str, bytes: Bytes, replace: bool) -> Result<bool> {
    let failed = |source: std::io::Error| {
        let source = Box::new(source);
        store_error("writing", location, object_store::Error::Generic { store: "local", source })
    };
    let written = tokio::task::spawn_blocking(move || local::write(&path, &bytes, replace)).await;
    written.map_err(std::io::Error::other).flatten().map_err(failed)
}

const RIGHTS: &str = "check the credentials and the rights on this location; `icewright doctor` tries each of them";

/// Turns a storage error into ours: what was being done to which file, why it failed, what to do.
pub fn store_error(doing: &str, location: &str, error: object_store::Error) -> Error {
    let text = error.to_string();
    // Refused listings come without a kind of their own.
    let refused = ["403 Forbidden", "401 Unauthorized", "AccessDenied"].iter().any(|said| text.contains(said))
        || text.contains("Permission denied")
        || text.contains("Read-only file system");
    let full_disk = text.contains("No space left") || text.contains("StorageFull") || text.contains("os error 28");
    let (kind, hint) = match &error {
        object_store::Error::NotFound { .. } => {
            (Kind::Corrupt, "the table names a file that is not in the store: check that nothing else removes files")
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            (Kind::InvalidInput, RIGHTS)
        }
        _ if full_disk => (Kind::Exhausted, "free disk space, then run again: nothing was lost"),
        _ if refused => (Kind::InvalidInput, RIGHTS),
        _ => (Kind::Unavailable, "storage did not answer as it should: run again later"),
    };
    Error::new(kind, format!("{doing} {location} failed")).hint(hint).caused_by(error)
}

#[cfg(test)]
mod tests;
