//! Copies of files: by the store itself where it can, else through this machine.

use futures::StreamExt;
use object_store::{CopyMode, CopyOptions, ObjectStore, ObjectStoreExt, WriteMultipart};

use super::{Location, Store, store_error};
use crate::error::{Error, Result};

/// Object stores copy at most so much with one request.
const MOST_AT_ONCE: u64 = 5 << 30;

impl Store {
    /// Copies a file of `size` bytes, and looks whether the copy has as many. Replaces what was there.
    ///
    /// # Errors
    /// `Corrupt` when there is no such file, `InvalidInput` without the rights, `Unavailable` otherwise.
    pub async fn copy(&self, from: &str, to: &str, size: u64) -> Result<()> {
        let (source, source_path) = self.resolve(from)?;
        let (target, target_path) = self.resolve(to)?;
        let same_store = self.client_key(&Location::parse(from)?) == self.client_key(&Location::parse(to)?);
        let mut copied = false;
        if same_store && size <= MOST_AT_ONCE {
            match source.copy(&source_path, &target_path).await {
                Ok(()) => copied = true,
                Err(error @ (object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. })) => {
                    return Err(store_error("copying", from, error));
                }
                // Another file system, or a store that can't: the bytes go through here.
                Err(error) => tracing::debug!(file = from, %error, "the store could not copy by itself"),
            }
        }
        if !copied {
            let mut bytes = source.get(&source_path).await.map_err(|e| store_error("reading", from, e))?.into_stream();
            let upload = target.put_multipart(&target_path).await.map_err(|e| store_error("writing", to, e))?;
            let mut writer = WriteMultipart::new(upload);
            while let Some(chunk) = bytes.next().await {
                match chunk {
                    Ok(chunk) => writer.write(&chunk),
                    Err(error) => {
                        let _ = writer.abort().await;
                        return Err(store_error("reading", from, error));
                    }
                }
                writer.wait_for_capacity(4).await.map_err(|e| store_error("writing", to, e))?;
            }
            writer.finish().await.map_err(|e| store_error("writing", to, e))?;
        }
        match self.head(to).await? {
            Some(copy) if copy.size == size => Ok(()),
            found => Err(Error::unavailable(format!(
                "the copy {to} of {from} has {} bytes of {size}",
                found.map_or("no".to_owned(), |copy| copy.size.to_string())
            ))
            .hint("run again; the file is still where it was")),
        }
    }

    /// Copies a file unless there is one already; `false` when there is.
    ///
    /// # Errors
    /// As [`Store::copy`].
    pub async fn copy_if_absent(&self, from: &str, to: &str, size: u64) -> Result<bool> {
        if self.head(to).await?.is_some() {
            return Ok(false);
        }
        if self.client_key(&Location::parse(from)?) == self.client_key(&Location::parse(to)?) {
            let (client, source) = self.resolve(from)?;
            let (_, target) = self.resolve(to)?;
            let options = CopyOptions { mode: CopyMode::Create, ..CopyOptions::default() };
            match client.copy_opts(&source, &target, options).await {
                Ok(()) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => return Ok(false),
                // Not every store has the conditional form: then the look above has to do.
                Err(error) => tracing::debug!(file = from, %error, "no conditional copy"),
            }
        }
        self.copy(from, to, size).await.map(|()| true)
    }
}
