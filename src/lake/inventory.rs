//! Listings made elsewhere: S3 Inventory, as CSV (gzipped or not) or Parquet, by its `manifest.json` or file by file.
//!
//! A bucket of tens of millions of objects is listed once a day by the store itself, at a fraction of the price and the
//! time of asking for it. Such a listing is hours old: what was written since is not in it, so it can't be removed; what
//! was removed or written anew since is looked up before anything is done to it.

mod csv_file;
mod parquet_file;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::Stream;
use object_store::ObjectStoreExt;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::store::store_error;
use super::{FileInfo, Location, Store};
use crate::error::{Context, Error, Result};

/// Files handed on at a time.
const BATCH: usize = 1024;
/// So many batches wait to be taken.
const QUEUE: usize = 8;

/// S3 Inventory's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    destination_bucket: String,
    file_format: String,
    #[serde(default)]
    file_schema: String,
    files: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    key: String,
}

/// How a file of a listing is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    /// Columns by name; a header line names them where nothing else does.
    Csv(Vec<String>),
    Parquet,
}

/// Reads a listing from a local path or a location. Remote files are kept in `temporary` while they are read.
///
/// # Errors
/// `InvalidInput` when it is no listing that is understood; the stream's items carry what goes wrong while reading.
pub async fn read(
    store: &Store,
    file: &str,
    temporary: &Path,
) -> Result<impl Stream<Item = Result<FileInfo>> + Send + 'static + use<>> {
    let parts = parts(store, file, temporary).await?;
    let (send, mut receive) = mpsc::channel::<Result<Vec<FileInfo>>>(QUEUE);
    let (store, temporary) = (store.with_props([]), temporary.to_owned());
    tokio::spawn(async move {
        for (part, format) in parts {
            let read = read_part(&store, &part, format, &temporary, send.clone()).await;
            if let Err(error) = read.while_doing(|| format!("reading the listing {part}")) {
                // Nobody listens any more when the reader has given up already.
                let _ = send.send(Err(error)).await;
                return;
            }
        }
    });
    let batches = futures::stream::poll_fn(move |context| receive.poll_recv(context));
    Ok(batches.flat_map(|batch| match batch {
        Ok(files) => futures::stream::iter(files.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => futures::stream::iter(vec![Err(error)]),
    }))
}

async fn parts(store: &Store, file: &str, temporary: &Path) -> Result<Vec<(String, Format)>> {
    let lower = file.to_ascii_lowercase();
    if lower.ends_with(".csv") || lower.ends_with(".csv.gz") {
        return Ok(vec![(file.to_owned(), Format::Csv(Vec::new()))]);
    }
    if lower.ends_with(".parquet") {
        return Ok(vec![(file.to_owned(), Format::Parquet)]);
    }
    if !lower.ends_with(".json") {
        return Err(Error::invalid(format!("{file} is no listing"))
            .hint("name S3 Inventory's manifest.json, or a .csv, .csv.gz or .parquet file of it"));
    }
    let opened = open(store, file, temporary).await?;
    let manifest: Manifest = serde_json::from_reader(std::io::BufReader::new(opened)).map_err(|e| {
        Error::invalid(format!("{file} is not the manifest of an inventory")).hint("S3 Inventory makes it").caused_by(e)
    })?;
    let format = match manifest.file_format.to_ascii_lowercase().as_str() {
        "csv" => Format::Csv(manifest.file_schema.split(',').map(|name| name.trim().to_owned()).collect()),
        "parquet" => Format::Parquet,
        other => {
            return Err(Error::unsupported(format!("inventories in {other} are not read"))
                .hint("let the inventory be made as CSV or Parquet"));
        }
    };
    Ok(manifest
        .files
        .iter()
        .map(|part| (place(file, &manifest.destination_bucket, &part.key), format.clone()))
        .collect())
}

/// Where a part of an inventory is: in the bucket that the manifest names or, when the manifest was downloaded, near it.
fn place(manifest: &str, bucket: &str, key: &str) -> String {
    if let Some(local) = local(manifest) {
        let folder = local.parent().unwrap_or(Path::new("."));
        let name = key.rsplit('/').next().unwrap_or(key);
        let candidates = folder.ancestors().map(|above| above.join(key)).chain([
            folder.join(name),
            folder.join("data").join(name),
            folder.join("../data").join(name),
        ]);
        let found = candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| folder.join(name));
        return found.display().to_string();
    }
    let scheme = manifest.split(':').next().unwrap_or("s3");
    format!("{scheme}://{}/{key}", bucket.rsplit(':').next().unwrap_or(bucket))
}

/// The path of a file on this machine; `None` for other places.
fn local(file: &str) -> Option<PathBuf> {
    match file.split_once("://") {
        None => Some(PathBuf::from(file)),
        Some(("file", path)) => Some(PathBuf::from(path)),
        Some(_) => None,
    }
}

/// Opens a file of a listing; a remote one is fetched first.
async fn open(store: &Store, file: &str, temporary: &Path) -> Result<File> {
    let failed = |e: std::io::Error| {
        Error::invalid(format!("opening {file} failed")).hint("check the path and the rights on it").caused_by(e)
    };
    if let Some(path) = local(file) {
        return File::open(path).map_err(failed);
    }
    let (client, path) = store.resolve(file)?;
    let got = client.get(&path).await.map_err(|e| match e {
        object_store::Error::NotFound { .. } => Error::invalid(format!("there is no listing {file}")),
        other => store_error("reading", file, other),
    })?;
    let mut kept = tempfile::tempfile_in(temporary).map_err(|e| {
        Error::invalid(format!("writing temporary files in {} failed", temporary.display()))
            .hint("name a folder that can be written to: --spill-dir")
            .caused_by(e)
    })?;
    let mut bytes = got.into_stream();
    while let Some(chunk) = bytes.next().await {
        kept.write_all(&chunk.map_err(|e| store_error("reading", file, e))?).map_err(failed)?;
    }
    std::io::Seek::rewind(&mut kept).map_err(failed)?;
    Ok(kept)
}

async fn read_part(
    store: &Store,
    part: &str,
    format: Format,
    temporary: &Path,
    to: mpsc::Sender<Result<Vec<FileInfo>>>,
) -> Result<()> {
    let file = open(store, part, temporary).await?;
    let gzipped = part.ends_with(".gz");
    tokio::task::spawn_blocking(move || {
        let mut batch = Vec::with_capacity(BATCH);
        let mut take = |info: FileInfo| {
            batch.push(info);
            if batch.len() < BATCH {
                return true;
            }
            to.blocking_send(Ok(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))).is_ok()
        };
        match format {
            Format::Csv(columns) => csv_file::read(file, gzipped, &columns, &mut take)?,
            Format::Parquet => parquet_file::read(file, &mut take)?,
        }
        let _ = to.blocking_send(Ok(batch));
        Ok(())
    })
    .await
    .map_err(|e| Error::internal("reading a listing failed").caused_by(e))?
}

/// The location of an object. A listing without buckets has whole locations as keys.
fn location(bucket: &str, key: &str) -> Option<String> {
    let location = if bucket.is_empty() { key.to_owned() } else { format!("s3://{bucket}/{key}") };
    // A key that ends with a slash stands for a folder.
    (!key.ends_with('/') && Location::parse(&location).is_ok()).then_some(location)
}

#[cfg(test)]
mod tests;
