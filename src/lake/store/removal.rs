//! Deleting many files: in bulk where the store can.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use futures::stream::{self, StreamExt};
use object_store::path::Path;

use super::{Store, store_error};
use crate::error::{Error, Result};

impl Store {
    /// Deletes files, a thousand with one request where the store has that. Gives back those that could not be deleted;
    /// a file that is gone already is fine.
    ///
    /// # Errors
    /// `InvalidInput` or `Unsupported` for a location that no store has; nothing is deleted then.
    pub async fn delete_many(&self, locations: &[String]) -> Result<Vec<(String, Error)>> {
        let local: Option<Vec<PathBuf>> = locations.iter().map(|location| self.local_path(location)).collect();
        if let Some(paths) = local {
            return delete_local(locations, paths).await;
        }
        let mut by_store: BTreeMap<String, (_, Vec<(Path, &String)>)> = BTreeMap::new();
        for location in locations {
            let (client, path) = self.resolve(location)?;
            let key = self.client_key(&super::Location::parse(location)?);
            by_store.entry(key).or_insert_with(|| (client, Vec::new())).1.push((path, location));
        }
        let mut failed = Vec::new();
        for (client, files) in by_store.into_values() {
            let paths: Vec<_> = files.iter().map(|(path, _)| Ok(path.clone())).collect();
            let results: Vec<_> = client.delete_stream(stream::iter(paths).boxed()).collect().await;
            failed.extend(failures(&files, results));
        }
        Ok(failed)
    }
}

/// Deletes files of this machine, one after the other in one go: a task for each would cost more than the deletion.
async fn delete_local(locations: &[String], paths: Vec<PathBuf>) -> Result<Vec<(String, Error)>> {
    let deleting = move || -> Vec<std::io::Result<()>> { paths.iter().map(std::fs::remove_file).collect() };
    let results = tokio::task::spawn_blocking(deleting)
        .await
        .map_err(|e| Error::internal("deleting local files failed").caused_by(e))?;
    let failed = locations.iter().zip(results).filter_map(|(location, result)| {
        let error = result.err().filter(|error| error.kind() != std::io::ErrorKind::NotFound)?;
        let error = object_store::Error::Generic { store: "local", source: error.into() };
        Some((location.clone(), store_error("deleting", location, error)))
    });
    Ok(failed.collect())
}

/// Which files are still there. Usually there is one result a file, in order; a bulk request that failed as a whole is
/// one error for all of its files.
fn failures(files: &[(Path, &String)], results: Vec<object_store::Result<Path>>) -> Vec<(String, Error)> {
    let failure = |location: &str, error| (location.to_owned(), store_error("deleting", location, error));
    if results.len() == files.len() {
        let each = files.iter().zip(results);
        return each
            .filter_map(|((_, location), result)| match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => None,
                Err(error) => Some(failure(location, error)),
            })
            .collect();
    }
    let mut deleted = HashSet::new();
    let mut why = String::from("the store gave no answer for it");
    for result in results {
        match result {
            Ok(path) => {
                deleted.insert(path);
            }
            Err(error) => why = error.to_string(),
        }
    }
    let left = files.iter().filter(|(path, _)| !deleted.contains(path));
    left.map(|(_, location)| {
        failure(location, object_store::Error::Generic { store: "bulk delete", source: why.clone().into() })
    })
    .collect()
}
