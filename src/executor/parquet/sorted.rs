//! Rows of all inputs in order: an external sort between decoders and encoders.
//!
//! Files that are in order already are merged with what was sorted, and are not sorted again. Row groups hold ranges of the order, and pages are short: a reader that looks for a range skips the others. Where rows
//! move to partitions of another spec, they are sorted by partition first: one is written after the other, and never more
//! than one file is open.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;

use super::batches::Batches;
use super::encoders::Encoders;
use super::merge::Rules;
use super::numbers::Numbers;
use super::output::{Files, OpenFile};
use super::partitions::Partitions;
use super::rewrite::{append, nothing_moves};
use super::streams::Streams;
use super::writers::Writers;
use super::{Output, props};
use crate::error::Result;
use crate::executor::columns::{Matched, match_columns};
use crate::executor::cut::Cutter;
use crate::executor::opening::Walk;
use crate::executor::sort::{Column, Keys, Sorter, looked_into};
use crate::executor::source::Source;
use crate::executor::verify::Before;
use crate::executor::{Job, Written, remove};
use crate::lake::parquet_schema::{WriteSchema, write_schema};

/// Row groups that a curve learns the spread of values from.
const SAMPLED: usize = 48;

/// Sorts all rows of the inputs into files of the right size.
pub(crate) fn sorted(job: &Job, walk: Walk<'_>, written: &Written) -> Result<(Vec<Output>, Before)> {
    let (sources, before) = walk.all()?;
    let broken = AtomicBool::new(false);
    let outputs = match put_in_order(job, &sources, written, Some(&broken)) {
        Err(error) if broken.load(Ordering::Relaxed) => {
            tracing::warn!(group = job.task.id, %error, "all rows are sorted");
            remove(job, written);
            put_in_order(job, &sources, written, None)
        }
        done => done,
    };
    Ok((outputs?, before))
}

/// The same; what files say of their order is believed as long as it is not `broken`.
fn put_in_order(job: &Job, sources: &[Source], written: &Written, broken: Option<&AtomicBool>) -> Result<Vec<Output>> {
    let schema = write_schema(&job.table.schema)?;
    let matched = sources.iter().map(|s| match_columns(s, &schema.arrow, &job.table)).collect::<Result<Vec<_>>>()?;
    let mut partitions = Partitions::of(job, &schema)?;
    let before = partitions.as_ref().map_or(Ok(Vec::new()), |partitions| partitions.columns(&schema))?;
    let as_they_come = job.task.arrangement.is_bin_pack() && before.is_empty();
    let rules = props::sorted_rules(&job.policy, &job.table.schema, &schema.parquet, &job.task.arrangement);
    let mut asked = looked_into(&job.task.arrangement, &schema.arrow)?;
    asked.extend(before.iter().map(Column::root));
    let numbers = Numbers::find(job, sources, &schema, &matched, &rules, &asked)?;
    let mut memory = job.sort_memory.saturating_sub(numbers.bytes());
    let claimed = broken.filter(|_| before.is_empty());
    let streams = claimed.map_or_else(Streams::default, |broken| Streams::find(job, sources, broken, &mut memory));
    let batches = Batches::new(job, sources, &numbers, &matched, streams.inputs());
    let sample = if job.task.arrangement.needs_sample() { batches.sample(SAMPLED)? } else { Vec::new() };
    let keys = Arc::new(Keys::new(&job.task.arrangement, before, numbers.schema(), &sample)?);
    drop(sample);
    let columns = Columns { schema: &schema, numbers: &numbers, rules, weights: weights(sources, &schema, &matched) };
    if as_they_come {
        // One partition, and no order: there is nothing to sort by.
        let rows = job.task.inputs.iter().map(|input| input.records).sum();
        if let Some(partitions) = &mut partitions {
            partitions.expect(rows);
        }
        return writing(job, written, &columns, rows, partitions, |writing| {
            batches.all(&mut |batch| writing.take(&batch))?;
            Ok(batches.removed_nulls())
        });
    }
    let mut sorter = Sorter::new(numbers.schema().clone(), keys.clone(), job.spill.clone(), memory);
    let mut rows = streams.rows(job, sources)?;
    batches.all(&mut |batch| {
        rows += batch.num_rows() as u64;
        if let Some(partitions) = &mut partitions {
            partitions.count(&batch)?;
        }
        sorter.push(batch)
    })?;
    std::thread::scope(|scope| {
        let ordered = streams.begin(scope, &batches, &keys);
        writing(job, written, &columns, rows, partitions, |writing| {
            sorter.finish(ordered, |batch| writing.take(&batch))?;
            Ok(batches.removed_nulls())
        })
    })
}

/// The columns of a task.
struct Columns<'a> {
    schema: &'a WriteSchema,
    numbers: &'a Numbers,
    /// By leaf: how it is written.
    rules: Vec<Rules>,
    /// By top-level column: how much work it is.
    weights: Vec<u64>,
}

/// Writes what `fill` hands on, which gives the nulls that went with deleted rows.
fn writing(
    job: &Job,
    written: &Written,
    columns: &Columns<'_>,
    rows: u64,
    partitions: Option<Partitions>,
    fill: impl FnOnce(&mut Writing<'_>) -> Result<HashMap<usize, u64>>,
) -> Result<Vec<Output>> {
    std::thread::scope(|scope| {
        let mut writing = Writing::new(scope, job, written, columns, rows, partitions)?;
        let done = fill(&mut writing).and_then(|nulls| Ok((nulls, writing.finish()?)));
        match done {
            Ok((removed_nulls, mut outputs)) => {
                if let Some(first) = outputs.first_mut() {
                    first.removed_nulls = removed_nulls;
                }
                Ok(outputs)
            }
            Err(error) => {
                writing.abort();
                Err(error)
            }
        }
    })
}

/// The work that each top-level column is: its bytes before compression.
fn weights(sources: &[Source], schema: &WriteSchema, matched: &[Matched]) -> Vec<u64> {
    let mut weights = vec![0; schema.arrow.fields().len()];
    for (source, matched) in sources.iter().zip(matched) {
        let descriptor = source.metadata.file_metadata().schema_descr();
        let mut of_column = vec![0; source.schema().fields().len()];
        for group in source.metadata.row_groups() {
            for (leaf, column) in group.columns().iter().enumerate() {
                of_column[descriptor.get_column_root_idx(leaf)] +=
                    u64::try_from(column.uncompressed_size()).unwrap_or(0);
            }
        }
        for (weight, root) in weights.iter_mut().zip(&matched.roots) {
            *weight += root.map_or(0, |root| of_column[root]);
        }
    }
    weights
}

/// Output files in the making.
struct Writing<'a> {
    job: &'a Job,
    files: Files<'a>,
    writers: Writers<'a>,
    numbers: &'a Numbers,
    encoders: Encoders,
    cutter: Cutter,
    outputs: Vec<Output>,
    at_hand: Option<OpenFile>,
    /// Input bytes of a row, on average.
    row_bytes: f64,
    /// Rows of the row group at hand, and how many it will have.
    rows: u64,
    full: u64,
    /// The partitions that rows move to.
    partitions: Option<Partitions>,
    /// Why columns are encoded.
    why: String,
}

impl<'a> Writing<'a> {
    fn new<'scope>(
        scope: &'scope std::thread::Scope<'scope, '_>,
        job: &'a Job,
        written: &'a Written,
        columns: &Columns<'a>,
        rows: u64,
        partitions: Option<Partitions>,
    ) -> Result<Self> {
        let Columns { schema, numbers, rules, weights } = columns;
        let properties =
            Arc::new(props::sorted_properties(&job.policy, &job.table.schema, &schema.parquet, &job.task.arrangement)?);
        let writers = Writers::new(schema, properties.clone(), rules.clone())?;
        let mut leaves = vec![0; schema.arrow.fields().len()];
        for leaf in 0..schema.parquet.num_columns() {
            leaves[schema.parquet.get_column_root_idx(leaf)] += 1;
        }
        let directory = &job.task.output.directory;
        // What columns hold is the same however many threads encode them; a task without a neighbour uses all processors.
        let encoders =
            Encoders::start(scope, job.workers.max(job.lanes.all), &schema.arrow, weights, &leaves, directory);
        let input: u64 = job.task.inputs.iter().map(|input| input.size).sum();
        let cutter = Cutter::new(job.policy.target_file_size_bytes, input, job.task.output.bytes);
        let mut writing = Self {
            job,
            files: Files::new(job, written, schema, properties)?,
            writers,
            numbers,
            encoders,
            cutter,
            outputs: Vec::new(),
            at_hand: None,
            row_bytes: input as f64 / rows.max(1) as f64,
            rows: 0,
            full: 0,
            partitions,
            why: nothing_moves(&job.task),
        };
        writing.full = writing.rows_of_a_group();
        Ok(writing)
    }

    /// Rows of the next row group, so that it has about the right size.
    fn rows_of_a_group(&self) -> u64 {
        let (most, lower) = (self.job.row_group_bytes, self.job.policy.band_min());
        let output = if self.job.task.arrangement.is_bin_pack() {
            // Rows that only move to their partitions: so many of equal size as make up a file.
            let (most, share) = (most.min(lower / 2).max(1) as f64, self.cutter.share());
            share / (share / most).ceil().max(1.0)
        } else {
            // At least sixteen row groups in a file of the lower edge: each is a range that readers can skip.
            most.min(lower / 16).max(1) as f64
        };
        let rows = output / (self.row_bytes * self.cutter.ratio().max(0.01)).max(0.01);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of rows")]
        let rows = rows as u64;
        rows.clamp(1, self.job.policy.row_group_rows)
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(mut partitions) = self.partitions.take() else { return self.rows(batch) };
        for run in partitions.runs(batch)? {
            if let Some(entered) = run.entered {
                self.end_file()?;
                self.files.enter(entered.values, &entered.path);
                let input = self.input_bytes(entered.rows);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a positive number of bytes"
                )]
                let output = (input as f64 * self.cutter.ratio()) as u64;
                self.cutter = Cutter::new(self.job.policy.target_file_size_bytes, input, output);
                self.full = self.rows_of_a_group();
            }
            self.rows(&batch.slice(run.from, run.count))?;
        }
        self.partitions = Some(partitions);
        Ok(())
    }

    /// Input bytes of so many rows.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
    fn input_bytes(&self, rows: u64) -> u64 {
        (rows as f64 * self.row_bytes) as u64
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let room = usize::try_from(self.full - self.rows).unwrap_or(usize::MAX);
            let some = room.min(batch.num_rows() - from);
            let rows = batch.slice(from, some);
            self.encoders.write(&self.writers, self.numbers, &rows)?;
            self.writers.saw(rows);
            self.rows += some as u64;
            from += some;
            if self.rows >= self.full {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let made = self.encoders.end()?;
        self.writers.learn(&made)?;
        let input = self.input_bytes(self.rows);
        if self.cutter.close_before(input)
            && let Some(file) = self.at_hand.take()
        {
            self.outputs.push(self.files.close(file)?);
            self.cutter.closed();
        }
        let file = match &mut self.at_hand {
            Some(file) => file,
            none => none.insert(self.files.open()?),
        };
        self.cutter.wrote(input, append(made, file, &self.why)?);
        self.rows = 0;
        self.full = self.rows_of_a_group();
        Ok(())
    }

    /// Completes the file at hand.
    fn end_file(&mut self) -> Result<()> {
        if self.rows > 0 {
            self.end_group()?;
        }
        if let Some(file) = self.at_hand.take() {
            self.outputs.push(self.files.close(file)?);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Output>> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.job.lanes.leave();
        self.end_file()?;
        Ok(std::mem::take(&mut self.outputs))
    }

    fn abort(&mut self) {
        self.at_hand.iter_mut().for_each(OpenFile::abort);
    }
}
