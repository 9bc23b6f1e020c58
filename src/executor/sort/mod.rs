//! An external merge sort of rows: memory stays within its share whatever comes in (I9).
//!
//! Batches are collected, sorted by keys whose bytes are in the wanted order, and written to temporary files as runs;
//! runs are merged by a tournament. What fits into memory never touches the disk, and what comes last stays there.

mod claimed;
mod curve;
mod gather;
mod head;
mod key;
mod memory;
mod merge;
mod partition;
mod run;
mod transform;

use std::sync::Arc;
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub(crate) use claimed::Claimed;
pub(crate) use key::{Column, Keys, looked_into};
use memory::{InMemory, Indexed};
use merge::Merge;
pub(crate) use merge::Ordered;
pub(crate) use partition::{Partitioning, columns};
use run::{Run, RunReader, RunWriter};

use crate::error::{Error, Result};
use crate::lake::Spill;

/// Bytes of a batch in a run: small, so that many runs can be merged at a time.
const CHUNK: usize = 256 << 10;
/// What a run takes while it is merged, in batches: one or two, their keys, what its file is read through.
const MERGED: usize = 2;
/// Most runs that are merged at a time: each has a file open.
const MOST_MERGED: usize = 256;
/// Most rows of so many bytes.
const ROWS_OF_A_CHUNK: usize = 8192;
/// Least memory that a sort works with.
pub(crate) const LEAST_MEMORY: usize = 32 << 20;

/// Rows of a batch of so many bytes, when one has so many. Where values are tiny, keys are not.
fn rows_in(bytes: usize, width: usize) -> usize {
    (bytes / width.max(1)).clamp(1, ROWS_OF_A_CHUNK * (bytes / CHUNK))
}

/// Sorts rows.
pub(crate) struct Sorter {
    schema: SchemaRef,
    keys: Arc<Keys>,
    spill: Spill,
    memory: usize,
    pending: Vec<RecordBatch>,
    /// What the pending batches will take while they are sorted: their values, keys and index.
    pending_bytes: usize,
    /// Bytes that a row's key and its place in the index take, as last seen.
    beside_row: usize,
    /// Bytes and rows that came altogether.
    came: (usize, usize),
    runs: Vec<Run>,
    /// A run that is being written while the next one is collected.
    writing: Option<JoinHandle<Result<Option<Run>>>>,
}

impl Sorter {
    /// A sorter that holds about `memory` bytes (at least [`LEAST_MEMORY`]).
    pub(crate) fn new(schema: SchemaRef, keys: Arc<Keys>, spill: Spill, memory: usize) -> Self {
        let memory = memory.max(LEAST_MEMORY);
        let (pending, runs) = (Vec::new(), Vec::new());
        Self {
            schema,
            keys,
            spill,
            memory,
            pending,
            pending_bytes: 0,
            beside_row: 0,
            came: (0, 0),
            runs,
            writing: None,
        }
    }

    /// Takes more rows.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.pending.is_empty() {
            // Of narrow rows the keys are the most of what a sort holds.
            let keys = self.keys.of(&batch)?.size().div_ceil(batch.num_rows());
            self.beside_row = keys + size_of::<Indexed>();
        }
        let bytes = batch.get_array_memory_size();
        self.came = (self.came.0 + bytes, self.came.1 + batch.num_rows());
        self.pending_bytes += bytes + batch.num_rows() * self.beside_row;
        self.pending.push(batch);
        // Two of them: one is sorted and written while the other fills.
        if self.pending_bytes >= self.memory / 2 { self.write_run() } else { Ok(()) }
    }

    /// Bytes of a row, on average.
    fn width(&self) -> usize {
        self.came.0 / self.came.1.max(1)
    }

    fn write_run(&mut self) -> Result<()> {
        self.wait()?;
        let batches = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let (keys, spill, schema) = (Arc::clone(&self.keys), self.spill.clone(), Arc::clone(&self.schema));
        self.writing = Some(std::thread::spawn(move || {
            let writer = RunWriter::new(&spill, &schema)?;
            writer.write_all(&keys, &mut InMemory::new(&keys, batches)?)
        }));
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            self.runs.extend(writing.join().map_err(|_| Error::internal("the thread that sorts died"))??);
        }
        Ok(())
    }

    /// All rows in order, handed to `take` batch by batch, together with those of sequences that are in order already.
    pub(crate) fn finish(
        mut self,
        ordered: Vec<Box<dyn Ordered + '_>>,
        take: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        if self.runs.is_empty() && self.writing.is_none() && ordered.is_empty() {
            let sorted = InMemory::new(&self.keys, std::mem::take(&mut self.pending))?;
            return hand_on(sorted, take);
        }
        let merged = MERGED * CHUNK.max(self.width());
        let fan_in = (self.memory / merged).clamp(2, MOST_MERGED).saturating_sub(ordered.len()).max(2);
        let runs = self.runs.len() + usize::from(self.writing.is_some());
        if runs >= fan_in || self.pending_bytes + runs * merged > self.memory {
            self.write_run()?;
        }
        // While the last run is written, what stays in memory is sorted.
        let last = InMemory::new(&self.keys, std::mem::take(&mut self.pending))?;
        self.wait()?;
        let mut at = 0;
        while self.runs.len() > fan_in {
            // Neighbours are merged, so that rows with equal keys stay in the order in which they came; no more of them
            // than have to be.
            let count = fan_in.min(self.runs.len() - fan_in + 1).min(self.runs.len() - at);
            if count < 2 {
                at = 0;
                continue;
            }
            let some: Vec<Run> = self.runs.drain(at..at + count).collect();
            let writer = RunWriter::new(&self.spill, &self.schema)?;
            let merged = writer.write_all(&self.keys, &mut self.merge(Vec::new(), some, None)?)?;
            self.runs.splice(at..at, merged);
            at += 1;
        }
        let runs = std::mem::take(&mut self.runs);
        hand_on(self.merge(ordered, runs, Some(last))?, take)
    }

    /// Runs in one sequence, what comes before them, and what comes behind them.
    fn merge<'s>(
        &'s self,
        ordered: Vec<Box<dyn Ordered + 's>>,
        runs: Vec<Run>,
        last: Option<InMemory>,
    ) -> Result<Merge<'s>> {
        let mut ends: Vec<Vec<u8>> = last.iter().flat_map(InMemory::ends).collect();
        // Nobody knows yet where the others end.
        let known = ordered.is_empty();
        let mut inputs = ordered;
        for mut run in runs {
            ends.extend(std::mem::take(&mut run.ends));
            inputs.push(Box::new(RunReader::new(run)?));
        }
        inputs.extend(last.map(|last| Box::new(last) as Box<dyn Ordered + 's>));
        // All keys of a run lie between its ends, so they begin with what these begin with alike.
        let skip = ends.iter().map(|end| head::common(&ends[0], end)).min().filter(|_| known).unwrap_or(0);
        Merge::new(&self.keys, skip, inputs, rows_in(CHUNK, self.width()))
    }
}

fn hand_on(mut sorted: impl Ordered, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    while let Some(batch) = sorted.next()? {
        take(batch)?;
    }
    Ok(())
}

impl Drop for Sorter {
    /// A thread that still sorts holds memory that others may count on: it ends first.
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            drop(writing.join());
        }
    }
}

#[cfg(test)]
mod tests;
