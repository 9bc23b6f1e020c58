//! Deletes that were written anew, as manifest entries.

use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::{DataFile, DataFileFormat, ManifestFile, ManifestStatus};

use super::change::Change;
use super::check::Live;
use super::entries::{position_file, vector_file};
use super::retire::key_of;
use super::write::{Gone, Kind, Written};
use crate::error::{Error, Result};
use crate::model::Outcome;

impl Written<'_> {
    /// Manifests of deletes that were written anew. They are as old as the newest of those that they stand for, so that a
    /// writer who knew all of those has no conflict with them; a vector that only moved to another file is as old as it was.
    pub(super) async fn new_deletes(
        &mut self,
        outcome: &Outcome,
        gone: Gone<'_>,
        list: &[ManifestFile],
        change: &mut Change,
    ) -> Result<Vec<ManifestFile>> {
        one_vector_each(outcome, gone, list)?;
        let sequence = gone.checker.newest(list, outcome.applied.iter().map(|delete| &delete.key));
        let only_vectors = outcome.applied.iter().all(|delete| delete.key.offset.is_some());
        let own = if only_vectors { gone.checker.of_vectors(list, &outcome.applied) } else { HashMap::new() };
        let first = outcome.inputs.first().map(String::as_str);
        let mut by_spec: BTreeMap<i32, Vec<(DataFile, Option<i64>)>> = BTreeMap::new();
        for file in &outcome.outputs {
            // Vectors of several partitions may be in one file: each is of the partition of its data file.
            let data_file = file.vector.as_ref().map(|vector| vector.data_file.as_str());
            let Some(Live { spec_id, partition, .. }) = data_file.or(first).and_then(|path| gone.found.live.get(path))
            else {
                return Err(Error::internal(format!("{} is about no live input", file.path)));
            };
            let made = match &file.vector {
                Some(vector) => vector_file(file, vector, *spec_id, partition)?,
                None => position_file(file, *spec_id, partition)?,
            };
            change.add(&made);
            let moved = data_file.and_then(|path| own.get(path)).copied();
            by_spec.entry(*spec_id).or_default().push((made, moved.or(sequence)));
        }
        let mut manifests = Vec::new();
        for (spec_id, files) in by_spec {
            manifests.push(self.added(Kind { spec_id, deletes: true }, files).await?);
        }
        Ok(manifests)
    }
}

/// A data file has one deletion vector at most (spec, "Deletion Vectors"): readers refuse a table that breaks this.
fn one_vector_each(outcome: &Outcome, gone: Gone<'_>, list: &[ManifestFile]) -> Result<()> {
    let new: HashSet<&str> = outcome.vectors().collect();
    if new.is_empty() {
        return Ok(());
    }
    for manifest in list {
        let retired = gone.retired.by_manifest.get(&manifest.manifest_path);
        for entry in gone.checker.deletes_of(&manifest.manifest_path) {
            let data = entry.data_file();
            let live = entry.status != ManifestStatus::Deleted && data.file_format() == DataFileFormat::Puffin;
            let stays = !retired.is_some_and(|keys| keys.contains(&key_of(entry)));
            if let Some(path) = data.referenced_data_file().filter(|path| live && stays && new.contains(path.as_str()))
            {
                return Err(Error::internal(format!("{path} would have two deletion vectors"))
                    .hint("nothing was committed; please report this"));
            }
        }
    }
    Ok(())
}
