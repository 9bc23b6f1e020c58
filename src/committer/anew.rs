//! Deletes that were written anew, as manifest entries.

use iceberg::spec::ManifestFile;

use super::change::Change;
use super::entries::position_file;
use super::write::{Gone, Kind, Written};
use crate::error::Result;
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
        let Some((spec_id, entry)) = first.filter(|_| !outcome.outputs.is_empty()) else { return Ok(None) };
        let partition = entry.data_file().partition();
        let files: Vec<_> =
            outcome.outputs.iter().map(|file| position_file(file, *spec_id, partition)).collect::<Result<_>>()?;
        files.iter().for_each(|file| change.add(file));
        let sequence = gone.checker.newest(list, outcome.applied.iter().map(|delete| &delete.key));
        self.added(Kind { spec_id: *spec_id, deletes: true }, files, sequence).await.map(Some)
    }
}
