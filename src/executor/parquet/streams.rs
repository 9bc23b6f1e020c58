//! Inputs that are in the wanted order already go past the sort: each is read by a thread of its own, and merged.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use arrow_array::RecordBatch;
use parquet::file::metadata::ColumnChunkMetaData;

use super::batches::Batches;
use crate::error::{Error, Result};
use crate::executor::Job;
use crate::executor::sort::{Claimed, Keys, Ordered};
use crate::executor::source::Source;
use crate::lake::arrangement;
use crate::model::Arrangement;

/// Batches that wait to be merged.
const WAITING: usize = 2;
/// What is read of a column of a local file, and what its pages take once they are decompressed, at most.
const READ: u64 = 1 << 20;
const UNPACKED: u64 = 2 << 20;

/// The inputs that are read as they are.
#[derive(Default)]
pub(super) struct Streams<'a> {
    inputs: BTreeSet<usize>,
    broken: Option<&'a AtomicBool>,
}

impl<'a> Streams<'a> {
    /// Looks for inputs whose footers say that they are in order, as many as half of the memory is enough for; the memory
    /// that is left is for those that are sorted.
    pub(super) fn find(job: &Job, sources: &[Source], broken: &'a AtomicBool, memory: &mut usize) -> Self {
        let mut found = Self { inputs: BTreeSet::new(), broken: Some(broken) };
        // Places on a curve are ranks among values, which were others when the file was written.
        let (Arrangement::Sort { .. }, Some(wanted)) = (&job.task.arrangement, job.task.arrangement.mark()) else {
            return found;
        };
        let most = *memory / 2;
        let mut taken: usize = 0;
        for (number, source) in sources.iter().enumerate() {
            let takes = bytes(source);
            if taken.saturating_add(takes) <= most
                && arrangement(&source.metadata, &job.table.schema).as_ref() == Some(&wanted)
            {
                taken += takes;
                found.inputs.insert(number);
            }
        }
        *memory -= taken;
        tracing::debug!(group = job.task.id, files = found.inputs.len(), "in order already");
        found
    }

    /// The inputs.
    pub(super) fn inputs(&self) -> BTreeSet<usize> {
        self.inputs.clone()
    }

    /// Their living rows.
    pub(super) fn rows(&self, job: &Job, sources: &[Source]) -> Result<u64> {
        let living = |number: &usize| {
            let rows = sources[*number].rows();
            Ok(rows - job.masks.of(*number)?.deleted(0, rows))
        };
        self.inputs.iter().map(living).sum()
    }

    /// Begins to read them.
    pub(super) fn begin<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        batches: &'scope Batches<'_>,
        keys: &'scope Keys,
    ) -> Vec<Box<dyn Ordered + 'scope>>
    where
        'a: 'scope,
    {
        let Some(broken) = self.broken else { return Vec::new() };
        let stream = |number: &usize| -> Box<dyn Ordered + 'scope> {
            let (number, (send, rows)) = (*number, sync_channel(WAITING));
            scope.spawn(move || {
                let read = batches.one(number, &mut |batch| Ok(send.send(Ok(Some(batch))).is_ok()));
                // Nobody listens any more when something else went wrong.
                drop(send.send(read.map(|()| None)));
            });
            Box::new(Claimed::new(Stream(rows), keys, broken))
        };
        self.inputs.iter().map(stream).collect()
    }
}

/// Rows that another thread reads.
struct Stream(Receiver<Result<Option<RecordBatch>>>);

impl Ordered for Stream {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.0.recv().unwrap_or_else(|_| Err(Error::internal("a thread that reads is gone")))
    }
}

/// About what it takes to read a file page by page.
fn bytes(source: &Source) -> usize {
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let column = |column: &ColumnChunkMetaData| {
        // A row group comes in one piece from a store.
        let read = number(column.compressed_size()).min(if source.is_local() { READ } else { u64::MAX });
        read.saturating_add(number(column.uncompressed_size()).min(UNPACKED))
    };
    let groups = source.metadata.row_groups().iter();
    let largest = groups.map(|group| group.columns().iter().map(column).sum::<u64>()).max();
    usize::try_from(largest.unwrap_or(0)).unwrap_or(usize::MAX)
}
