//! Living rows of inputs as batches in the table's schema.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_select::filter::filter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::task::JoinHandle;

use super::numbers::Numbers;
use crate::error::{Context, Error, Result};
use crate::executor::Job;
use crate::executor::columns::Matched;
use crate::executor::source::{Chunks, Source};
use crate::lake::damaged;

/// The most rows that are decoded at a time, and about the most bytes.
const ROWS_AT_ONCE: usize = 8192;
const BYTES_AT_ONCE: usize = 4 << 20;
/// A row group of at most so many bytes is read in one go; of a larger one, pages as they are needed.
const WHOLE: u64 = 32 << 20;

/// Reads all inputs of a job, row group by row group.
pub(super) struct Batches<'a> {
    job: &'a Job,
    sources: &'a [Source],
    /// The table's columns, and which of them come as numbers.
    numbers: &'a Numbers,
    matched: &'a [Matched],
    /// Inputs that are read apart from the others.
    apart: BTreeSet<usize>,
    /// Nulls that went with deleted rows, by top-level column.
    removed_nulls: Mutex<HashMap<usize, u64>>,
}

/// A row group whose bytes are on their way.
type Coming = JoinHandle<Result<Chunks>>;

impl<'a> Batches<'a> {
    pub(super) fn new(
        job: &'a Job,
        sources: &'a [Source],
        numbers: &'a Numbers,
        matched: &'a [Matched],
        apart: BTreeSet<usize>,
    ) -> Self {
        Self { job, sources, numbers, matched, apart, removed_nulls: Mutex::default() }
    }

    /// Row groups of some inputs with living rows: input and number, in order.
    fn groups(&self, wanted: impl Fn(usize) -> bool) -> Result<Vec<(usize, usize)>> {
        let mut groups = Vec::new();
        for (number, source) in self.sources.iter().enumerate().filter(|(number, _)| wanted(*number)) {
            let mask = self.job.masks.of(number)?;
            for (index, group) in source.metadata.row_groups().iter().enumerate() {
                let rows = u64::try_from(group.num_rows()).unwrap_or(0);
                if mask.deleted(source.first_row(index), rows) < rows {
                    groups.push((number, index));
                }
            }
        }
        Ok(groups)
    }

    /// The first living rows of so many row groups, spread over all inputs.
    pub(super) fn sample(&self, most: usize) -> Result<Vec<RecordBatch>> {
        let groups = self.groups(|_| true)?;
        let step = groups.len().div_ceil(most.max(1)).max(1);
        let mut sample = Vec::new();
        for (number, index) in groups.into_iter().step_by(step) {
            let chunks = self.job.runtime.block_on(self.sources[number].row_group(index))?;
            let mut first = None;
            self.read(number, index, &chunks, WHOLE, &mut |batch| {
                first = Some(batch);
                Ok(false)
            })?;
            sample.extend(first);
        }
        // Whatever was counted here will be counted again.
        self.removed_nulls();
        Ok(sample)
    }

    /// Nulls that went with deleted rows since this was asked last, by top-level column.
    pub(super) fn removed_nulls(&self) -> HashMap<usize, u64> {
        std::mem::take(&mut self.removed_nulls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hands on the living rows of one input, page by page.
    pub(super) fn one(&self, number: usize, take: &mut dyn FnMut(RecordBatch) -> Result<bool>) -> Result<()> {
        let source = &self.sources[number];
        for (_, index) in self.groups(|other| other == number)? {
            let chunks = self.job.runtime.block_on(source.row_group(index))?;
            let mut more = true;
            self.read(number, index, &chunks, 0, &mut |batch| {
                more = take(batch)?;
                Ok(more)
            })?;
            if !more {
                break;
            }
            self.count(number, index);
        }
        Ok(())
    }

    /// Hands on the living rows of all inputs that are not read apart; the next row group is fetched meanwhile.
    pub(super) fn all(&self, take: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let groups = self.groups(|number| !self.apart.contains(&number))?;
        let mut ahead = self.fetch(groups.first());
        for (at, (number, index)) in groups.iter().enumerate() {
            let Some(here) = ahead.take() else { break };
            ahead = self.fetch(groups.get(at + 1));
            let fetched = self.job.runtime.block_on(here);
            let chunks = fetched.map_err(|e| Error::internal("reading ahead failed").caused_by(e)).flatten()?;
            self.read(*number, *index, &chunks, WHOLE, &mut |batch| take(batch).map(|()| true))?;
            self.count(*number, *index);
        }
        Ok(())
    }

    /// Counts a row group as read.
    fn count(&self, number: usize, index: usize) {
        let bytes = self.sources[number].metadata.row_group(index).compressed_size();
        self.job.progress.read(u64::try_from(bytes).unwrap_or(0));
    }

    fn fetch(&self, group: Option<&(usize, usize)>) -> Option<Coming> {
        let (number, index) = *group?;
        let source: Source = self.sources[number].clone();
        Some(self.job.runtime.spawn(async move { source.row_group(index).await }))
    }

    /// Reads one row group until `take` has had enough; in one go if it has at most so many bytes.
    fn read(
        &self,
        number: usize,
        index: usize,
        chunks: &Chunks,
        whole: u64,
        take: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let source = &self.sources[number];
        // Decoders may panic on garbage: that must name the file and fail this group only.
        let read = catch_unwind(AssertUnwindSafe(|| self.decode(number, index, chunks, whole, take)));
        read.unwrap_or_else(|_| Err(Error::corrupt("its pages can't be decoded")))
            .while_doing(|| format!("reading {}", source.path))
    }

    fn decode(
        &self,
        number: usize,
        index: usize,
        chunks: &Chunks,
        whole: u64,
        take: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let (source, matched) = (&self.sources[number], &self.matched[number]);
        let bad = |e: parquet::errors::ParquetError| damaged(&source.path, e);
        let range = source.range(index);
        let window =
            if range.end - range.start <= whole { chunks.preload(range).map_err(bad)? } else { chunks.clone() };
        let descriptor = source.metadata.file_metadata().schema_descr();
        // The reader hands on columns in the file's order, those that the table has dropped left out.
        let mut columns: Vec<usize> = matched.roots.iter().flatten().copied().collect();
        columns.sort_unstable();
        columns.dedup();
        let (rows, bytes) =
            (source.metadata.row_group(index).num_rows(), source.metadata.row_group(index).total_byte_size());
        let width = usize::try_from(bytes / rows.max(1)).unwrap_or(0).max(1);
        let arrays = self.numbers.reader(source, matched).map_err(bad)?;
        let schema = self.numbers.schema();
        let mut dictionaries = vec![None; matched.roots.len()];
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(window, arrays)
            .with_projection(ProjectionMask::roots(descriptor, columns.iter().copied()))
            .with_row_groups(vec![index])
            .with_batch_size((BYTES_AT_ONCE / width).clamp(16, ROWS_AT_ONCE))
            .build()
            .map_err(bad)?;
        let mask = self.job.masks.of(number)?;
        let mut at = source.first_row(index);
        let end = at + u64::try_from(source.metadata.row_group(index).num_rows()).unwrap_or(0);
        for batch in reader {
            let batch = batch.map_err(|e| bad(e.into()))?;
            let rows = batch.num_rows();
            let living = mask.living(at, rows);
            let mut values: Vec<ArrayRef> = Vec::with_capacity(matched.roots.len());
            for (number, (field, root)) in schema.fields().iter().zip(&matched.roots).enumerate() {
                let place = root.and_then(|root| columns.binary_search(&root).ok().zip(Some(root)));
                let found = match (place, self.numbers.column(number)) {
                    (Some((place, _)), Some(numbering)) => {
                        numbering.of(batch.column(place), &mut dictionaries[number])?
                    }
                    (Some((place, root)), None) => {
                        matched.align(batch.column(place), source.schema().field(root), field)?
                    }
                    (None, _) => matched.missing(field, rows)?,
                };
                values.push(source.lineage.fill(field, found, at));
            }
            at += rows as u64;
            let mut left = rows;
            if let Some(living) = &living {
                let mut all = self.removed_nulls.lock().unwrap_or_else(PoisonError::into_inner);
                for (root, array) in values.iter_mut().enumerate() {
                    let nulls = array.null_count();
                    *array =
                        filter(array, living).map_err(|e| Error::internal("rows can't be left out").caused_by(e))?;
                    *all.entry(root).or_default() += (nulls - array.null_count()) as u64;
                }
                left = living.true_count();
            }
            if left == 0 {
                continue;
            }
            let options = RecordBatchOptions::new().with_row_count(Some(left));
            let made = RecordBatch::try_new_with_options(Arc::clone(schema), values, &options);
            let made = made.map_err(|e| Error::corrupt("its rows do not fit the table's schema").caused_by(e))?;
            if !take(made)? {
                return Ok(());
            }
        }
        if at != end {
            return Err(Error::corrupt(format!("a row group lacks {} rows", end.saturating_sub(at)))
                .hint("the file is damaged: restore it; nothing was changed"));
        }
        Ok(())
    }
}
