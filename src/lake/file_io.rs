//! The `iceberg` crate's storage trait over [`Store`]: one storage stack for metadata and data.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use serde::{Deserialize, Serialize};

use super::Store;

/// Iceberg's file access over a store.
pub fn file_io(store: &Arc<Store>) -> FileIO {
    FileIOBuilder::new(Arc::new(Factory { store: Some(store.clone()) })).build()
}

/// The trait wants to be serialisable so that query engines can ship it to workers; ours never leaves the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Factory {
    #[serde(skip)]
    store: Option<Arc<Store>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoreStorage {
    #[serde(skip)]
    store: Option<Arc<Store>>,
}

#[typetag::serde(name = "icewright")]
impl StorageFactory for Factory {
    fn build(&self, _: &StorageConfig) -> iceberg::Result<Arc<dyn Storage>> {
        Ok(Arc::new(StoreStorage { store: self.store.clone() }))
    }
}

fn foreign(error: crate::error::Error) -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::Unexpected, error.to_string()).with_source(error)
}

fn lost() -> iceberg::Error {
    iceberg::Error::new(iceberg::ErrorKind::FeatureUnsupported, "this storage can't be sent to another process")
}

impl StoreStorage {
    fn store(&self) -> iceberg::Result<&Arc<Store>> {
        self.store.as_ref().ok_or_else(lost)
    }
}

#[async_trait]
#[typetag::serde(name = "icewright")]
impl Storage for StoreStorage {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        Ok(self.store()?.head(path).await.map_err(foreign)?.is_some())
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        let info = self.store()?.head(path).await.map_err(foreign)?;
        let info = info
            .ok_or_else(|| iceberg::Error::new(iceberg::ErrorKind::DataInvalid, format!("there is no file {path}")))?;
        Ok(FileMetadata { size: info.size })
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        self.store()?.read(path).await.map_err(foreign)
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        Ok(Box::new(Reader { store: self.store()?.clone(), path: path.to_owned() }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        self.store()?.write(path, bytes).await.map_err(foreign)
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        Ok(Box::new(Writer { store: self.store()?.clone(), path: path.to_owned(), buffer: BytesMut::new() }))
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.store()?.delete(path).await.map_err(foreign)
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        Err(iceberg::Error::new(
            iceberg::ErrorKind::FeatureUnsupported,
            format!("removing everything below {path} is not something icewright ever does"),
        ))
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

#[derive(Debug)]
struct Reader {
    store: Arc<Store>,
    path: String,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: std::ops::Range<u64>) -> iceberg::Result<Bytes> {
        self.store.read_range(&self.path, range).await.map_err(foreign)
    }
}

/// Collects a metadata file (a few MiB at most) and puts it in one piece when it is closed.
#[derive(Debug)]
struct Writer {
    store: Arc<Store>,
    path: String,
    buffer: BytesMut,
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        let bytes = std::mem::take(&mut self.buffer).freeze();
        self.store.write(&self.path, bytes).await.map_err(foreign)
    }
}
