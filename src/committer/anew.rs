//! Deletes that were written anew, as manifest entries.

use std::collections::HashSet;

use iceberg::spec::{DataFileFormat, ManifestFile, ManifestStatus};

use super::change::Change;
use super::check::Live;
use super::entries::{position_file, vector_file};
use super::retire::key_of;
use super::write::{Gone, Kind, Written};
use crate::error::{Error, Result};
use crate::model::Outcome;

impl Written<'_> {
    /// The manifest of deletes that were written anew. They are as old as the newest of those that they stand for, so that
    /// a writer who knew all of those has no conflict with them.
    pub(super) async fn new_deletes(
        &mut self,
        outcome: &Outcome,
        gone: Gone<'_>,
        list: &[ManifestFile],
        change: &mut Change,
    ) -> Result<Option<ManifestFile>> {
        let first = outcome.inputs.first().and_then(|path| gone.found.live.get(path));
        let Some(Live { spec_id, entry, .. }) = first.filter(|_| !outcome.outputs.is_empty()) else { return Ok(None) };
        one_vector_each(outcome, gone, list)?;
        let partition = entry.data_file().partition();
        let made = outcome.outputs.iter().map(|file| match &file.vector {
            Some(vector) => vector_file(file, vector, *spec_id, partition),
            None => position_file(file, *spec_id, partition),
        });
        let files: Vec<_> = made.collect::<Result<_>>()?;
        files.iter().for_each(|file| change.add(file));
        let sequence = gone.checker.newest(list, outcome.applied.iter().map(|delete| &delete.key));
        let files = files.into_iter().map(|file| (file, sequence)).collect();
        self.added(Kind { spec_id: *spec_id, deletes: true }, files).await.map(Some)
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
