//! An external merge sort of rows: memory stays within its share whatever comes in (I9).
//!
//! Batches are collected, sorted by keys whose bytes are in the wanted order, and written to temporary files as runs;
//! runs are merged by a tournament. What fits into memory never touches the disk.

mod curve;
mod key;
mod merge;
mod partition;
mod run;
mod transform;

use std::sync::Arc;
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;

pub(crate) use key::{Column, Keys};
use merge::{Merge, Ordered};
pub(crate) use partition::{Partitioning, columns};
use run::{Run, RunReader, RunWriter};

use crate::error::{Error, Result};
use crate::lake::Spill;

/// Bytes of a batch in a run: each run that is being merged holds one or two of them.
const CHUNK: usize = 1 << 20;
/// Most rows of a batch.
const ROWS: usize = 8192;
/// Least memory that a sort works with.
pub(crate) const LEAST_MEMORY: usize = 32 << 20;

/// Sorts rows.
pub(crate) struct Sorter {
    schema: SchemaRef,
    keys: Arc<Keys>,
    spill: Spill,
    memory: usize,
    pending: Vec<RecordBatch>,
    /// What the pending batches will take while they are sorted: their values, keys and index.
    pending_bytes: usize,
    /// Bytes that a row's key and its places in the index take, as last seen.
    beside_row: usize,
    runs: Vec<Run>,
    /// A run that is being written while the next one is collected.
    writing: Option<JoinHandle<Result<Run>>>,
}

impl Sorter {
    /// A sorter that holds about `memory` bytes (at least [`LEAST_MEMORY`]).
    pub(crate) fn new(schema: SchemaRef, keys: Arc<Keys>, spill: Spill, memory: usize) -> Self {
        let memory = memory.max(LEAST_MEMORY);
        let (pending, runs) = (Vec::new(), Vec::new());
        Self { schema, keys, spill, memory, pending, pending_bytes: 0, beside_row: 0, runs, writing: None }
    }

    /// Takes more rows.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.pending.is_empty() {
            // Of narrow rows the keys are the most of what a sort holds.
            let keys = self.keys.of(&batch)?.size().div_ceil(batch.num_rows());
            self.beside_row = keys + size_of::<Indexed>() + size_of::<(u32, u32)>();
        }
        self.pending_bytes += batch.get_array_memory_size() + batch.num_rows() * self.beside_row;
        self.pending.push(batch);
        // Two of them: one is sorted and written while the other fills.
        if self.pending_bytes >= self.memory / 2 { self.write_run() } else { Ok(()) }
    }

    fn write_run(&mut self) -> Result<()> {
        self.wait()?;
        let batches = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let (keys, spill, schema) = (Arc::clone(&self.keys), self.spill.clone(), Arc::clone(&self.schema));
        self.writing = Some(std::thread::spawn(move || {
            let mut writer = RunWriter::new(&spill, &schema)?;
            let mut sorted = InMemory::new(&keys, batches)?;
            while let Some(batch) = sorted.next()? {
                writer.write(&batch)?;
            }
            writer.finish()
        }));
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            self.runs.push(writing.join().map_err(|_| Error::internal("the thread that sorts died"))??);
        }
        Ok(())
    }

    /// All rows in order, handed to `take` batch by batch.
    pub(crate) fn finish(mut self, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        if self.runs.is_empty() && self.writing.is_none() {
            let mut sorted = InMemory::new(&self.keys, std::mem::take(&mut self.pending))?;
            while let Some(batch) = sorted.next()? {
                take(batch)?;
            }
            return Ok(());
        }
        if !self.pending.is_empty() {
            self.write_run()?;
        }
        self.wait()?;
        // Each run holds up to two batches, their keys, and a decoder's buffers.
        let fan_in = (self.memory / (4 * CHUNK)).clamp(2, 128);
        while self.runs.len() > fan_in {
            // Neighbours are merged, so that rows with equal keys stay in the order in which they came.
            let mut rest = std::mem::take(&mut self.runs);
            while !rest.is_empty() {
                let some: Vec<Run> = rest.drain(..fan_in.min(rest.len())).collect();
                let mut writer = RunWriter::new(&self.spill, &self.schema)?;
                self.merge(some, |batch| writer.write(&batch))?;
                self.runs.push(writer.finish()?);
            }
        }
        let runs = std::mem::take(&mut self.runs);
        self.merge(runs, take)
    }

    fn merge(&self, runs: Vec<Run>, mut take: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let mut inputs: Vec<Box<dyn Ordered>> = Vec::with_capacity(runs.len());
        for run in runs {
            inputs.push(Box::new(RunReader::new(run)?));
        }
        let mut merged = Merge::new(&self.keys, inputs, ROWS)?;
        while let Some(batch) = merged.next()? {
            take(batch)?;
        }
        Ok(())
    }
}

impl Drop for Sorter {
    /// A thread that still sorts holds memory that others may count on: it ends first.
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            drop(writing.join());
        }
    }
}

impl Ordered for RunReader {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Self::next(self)
    }
}

/// The head of a key, its batch and its row.
type Indexed = (u64, u32, u32);

/// Batches in memory, read in order.
struct InMemory {
    batches: Vec<RecordBatch>,
    /// Batch and row, in order.
    order: Vec<(u32, u32)>,
    at: usize,
    rows_at_once: usize,
}

impl InMemory {
    fn new(keys: &Keys, batches: Vec<RecordBatch>) -> Result<Self> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let all = batches.iter().map(|batch| keys.of(batch)).collect::<Result<Vec<_>>>()?;
        // Most comparisons are decided by the first bytes: they stand beside the index, where the cache finds them.
        let mut index: Vec<Indexed> = Vec::with_capacity(rows);
        for (batch, keys) in (0u32..).zip(&all) {
            let count = batches[batch as usize].num_rows();
            let count = u32::try_from(count).map_err(|e| Error::internal("a batch is too long").caused_by(e))?;
            index.extend((0..count).map(|row| (head(keys.get(row as usize)), batch, row)));
        }
        index.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| all[a.1 as usize].get(a.2 as usize).cmp(all[b.1 as usize].get(b.2 as usize)))
                // Equal keys stay in the order in which they came: the result is always the same (I11).
                .then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
        });
        let order = index.into_iter().map(|(_, batch, row)| (batch, row)).collect();
        let width = bytes.checked_div(rows).unwrap_or(0).max(1);
        Ok(Self { batches, order, at: 0, rows_at_once: (CHUNK / width).clamp(16, ROWS) })
    }
}

impl Ordered for InMemory {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.at == self.order.len() {
            return Ok(None);
        }
        let end = (self.at + self.rows_at_once).min(self.order.len());
        let some: Vec<(usize, usize)> =
            self.order[self.at..end].iter().map(|(batch, row)| (*batch as usize, *row as usize)).collect();
        self.at = end;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleave_record_batch(&batches, &some)
            .map(Some)
            .map_err(|e| Error::internal("sorted rows can't be put together").caused_by(e))
    }
}

/// The first eight bytes of a key as a number in the same order.
fn head(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(8);
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests;
