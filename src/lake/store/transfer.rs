//! Whole files from place to place: inside the store where source and target are in one, through here otherwise.

use std::path::Path as LocalPath;

use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;

use super::local::sync_name;
use super::{Location, Scheme, Store, store_error};
use crate::error::{Error, Result};

/// The largest object that one request copies (S3's limit).
pub(super) const MOST_AT_ONCE: u64 = 5 << 30;
/// The size of an upload's parts; smaller files go up in one request.
const PART: usize = 8 << 20;
/// Parts of one file on their way at the same time.
const PARTS_AT_ONCE: usize = 4;

/// How a file was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// Inside the store: no byte came by here.
    InStore,
    /// Read and written.
    Streamed,
}

impl Store {
    /// Copies a file of `size` bytes to a place where nothing is, with a class where the store has them. It is complete,
    /// and on a local disk synced, when this returns.
    ///
    /// # Errors
    /// `Corrupt` when the source is missing or has another size, otherwise as [`Store::write`].
    pub async fn transfer(&self, from: &str, to: &str, size: u64, class: Option<&str>) -> Result<Copied> {
        if let (Some(source), Some(target)) = (self.local_path(from), self.local_path(to)) {
            let (shown, result) = (to.to_owned(), from.to_owned());
            let copied = tokio::task::spawn_blocking(move || local(&source, &target))
                .await
                .map_err(|e| Error::internal("a worker thread died").caused_by(e))?;
            let bytes = copied.map_err(|e| io_error(&result, &shown, e))?;
            return if bytes == size { Ok(Copied::Streamed) } else { Err(wrong_size(from, size, bytes)) };
        }
        let (source, target) = (Location::parse(from)?, Location::parse(to)?);
        #[cfg(feature = "s3")]
        if source.scheme == Scheme::S3
            && target.scheme == Scheme::S3
            && size <= MOST_AT_ONCE
            && self.place(&source) == self.place(&target)
            && let Some(direct) = &self.client(&target)?.s3
        {
            let path = source.object_path()?;
            let from = super::s3::Source { bucket: &source.authority, path: &path, etag: None };
            direct.copy(from, &target.object_path()?, class, to).await?;
            let copied = self.head(to).await?.map_or(0, |info| info.size);
            return if copied == size { Ok(Copied::InStore) } else { Err(wrong_size(to, size, copied)) };
        }
        let same = self.client_key(&source) == self.client_key(&target);
        if same && class.is_none() && matches!(source.scheme, Scheme::Gcs | Scheme::Azure) {
            let (client, path) = self.resolve(from)?;
            client.copy(&path, &target.object_path()?).await.map_err(|e| store_error("copying to", to, e))?;
            return Ok(Copied::InStore);
        }
        self.stream(from, to, size, class).await?;
        Ok(Copied::Streamed)
    }

    /// Reads a file and writes it, part by part. Nothing appears at the target unless all of it came.
    pub(super) async fn stream(&self, from: &str, to: &str, size: u64, class: Option<&str>) -> Result<()> {
        let (source, path) = self.resolve(from)?;
        let (target, target_path) = self.resolve(to)?;
        let result = source.get(&path).await.map_err(|e| store_error("reading", from, e))?;
        if result.meta.size != size {
            return Err(wrong_size(from, size, result.meta.size));
        }
        let mut upload = BufWriter::with_capacity(target, target_path, PART)
            .with_max_concurrency(PARTS_AT_ONCE)
            .with_attributes(self.attributes(to, class));
        let mut bytes = result.into_stream();
        let mut done = Ok(());
        while let Some(read) = bytes.next().await {
            done = match read {
                Ok(chunk) => upload.put(chunk).await.map_err(|e| store_error("writing", to, e)),
                Err(error) => Err(store_error("reading", from, error)),
            };
            if done.is_err() {
                break;
            }
        }
        if let Err(error) = done {
            if let Err(aborting) = upload.abort().await {
                tracing::debug!(file = to, error = %aborting, "parts of an upload were left behind; they expire by themselves");
            }
            return Err(error);
        }
        upload.shutdown().await.map_err(|e| {
            let kind = match e.downcast::<object_store::Error>() {
                Ok(error) => return store_error("writing", to, error),
                Err(error) => error,
            };
            io_error(from, to, kind)
        })
    }
}

/// The kernel copies (or shares blocks, where the file system can); the target must be new.
fn local(source: &LocalPath, target: &LocalPath) -> std::io::Result<u64> {
    let folder = target.parent().unwrap_or_else(|| LocalPath::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut from = std::fs::File::open(source)?;
    let mut to = std::fs::File::options().write(true).create_new(true).open(target)?;
    let copied = std::io::copy(&mut from, &mut to);
    let done = copied.and_then(|bytes| {
        to.sync_all()?;
        sync_name(target)?;
        Ok(bytes)
    });
    if done.is_err() {
        // Half a file, which nobody was told of.
        let removed = std::fs::remove_file(target);
        tracing::debug!(file = %target.display(), ?removed, "a copy failed");
    }
    done
}

fn wrong_size(location: &str, expected: u64, found: u64) -> Error {
    Error::corrupt(format!("{location} has {found} bytes, {expected} were expected"))
        .hint("the file is not the one that was committed: restore it; nothing was changed")
}

fn io_error(from: &str, to: &str, error: std::io::Error) -> Error {
    store_error(
        &format!("copying {from} to"),
        to,
        object_store::Error::Generic { store: "file", source: Box::new(error) },
    )
}
