//! Decode and encode, column by column and side by side: no two columns ever wait for each other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ArrayRef;
use arrow_schema::Field;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};

use super::decode::{count_nans, read_piece};
use super::output::{Files, OpenFile, write_error};
use super::pieces::{Batch, Pieces};
use super::{Output, writer_properties};
use crate::error::{Context, Error, Result};
use crate::executor::columns::{Matched, match_columns};
use crate::executor::cut::Cutter;
use crate::executor::source::Chunks;
use crate::executor::{Job, Written};
use crate::lake::parquet_schema::{WriteSchema, write_schema};

/// Row groups fetched from an object store at the same time.
const FETCHED_AT_ONCE: usize = 8;

/// Encodes all rows of the inputs, in order, into files of the right size.
pub(crate) fn encode(job: &Job, written: &Written) -> Result<Vec<Output>> {
    let schema = write_schema(&job.table.schema)?;
    let matched = job
        .sources
        .iter()
        .map(|source| match_columns(source, &schema.arrow, &job.table))
        .collect::<Result<Vec<_>>>()?;
    let props = Arc::new(writer_properties(&job.policy, &job.table.schema, &schema.parquet)?);
    let mut files = Files::new(job, written, &schema, props)?;
    let mut pieces = Pieces::new(&job.sources);
    let input: u64 = job.task.inputs.iter().map(|input| input.size).sum();
    // The plan's estimate is for whole files; row groups are nearly all of them.
    let expected = job.task.output.bytes.min(input.saturating_mul(4));
    let mut cutter = Cutter::new(job.policy.target_file_size_bytes, pieces.bytes(), expected);
    let (mut outputs, mut at_hand): (Vec<Output>, Option<OpenFile>) = (Vec::new(), None);
    let mut next = take(job, &mut pieces, &cutter);
    let mut chunks = next.as_ref().map(|batch| fetch(job, batch)).transpose()?;
    while let Some(batch) = next {
        let here = chunks.take().unwrap_or_default();
        next = take(job, &mut pieces, &cutter);
        if cutter.close_before(batch.bytes)
            && let Some(file) = at_hand.take()
        {
            outputs.push(files.close(file)?);
            cutter.closed();
        }
        let file = match &mut at_hand {
            Some(file) => file,
            none => none.insert(files.open()?),
        };
        // The next row group is fetched while this one is encoded.
        let (made, fetched) = std::thread::scope(|scope| {
            let ahead = next.as_ref().map(|batch| scope.spawn(move || fetch(job, batch)));
            let made = row_group(job, &schema, &matched, &batch, &here, file);
            (made, ahead.map(|thread| thread.join()))
        });
        match made {
            Ok(bytes) => cutter.wrote(batch.bytes, bytes),
            Err(error) => {
                file.writer.inner_mut().abort();
                return Err(error);
            }
        }
        chunks = match fetched {
            Some(Ok(fetched)) => Some(fetched?),
            Some(Err(_)) => return Err(Error::internal("the thread that reads ahead died")),
            None => None,
        };
        job.progress.read(batch.bytes);
    }
    if let Some(file) = at_hand {
        outputs.push(files.close(file)?);
    }
    Ok(outputs)
}

/// The inputs of the next row group, so that its output has about the right size.
fn take(job: &Job, pieces: &mut Pieces, cutter: &Cutter) -> Option<Batch> {
    // At least eight row groups in a file of the lower edge, so that files can be cut where they should be.
    let output = job.row_group_bytes.min(job.policy.band_min() / 8).max(1);
    let input = output as f64 / cutter.ratio().max(0.01);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
    pieces.next(job.policy.row_group_rows, (input as u64).min(job.row_group_bytes.saturating_mul(2)).max(1))
}

fn fetch(job: &Job, batch: &Batch) -> Result<Vec<Chunks>> {
    job.runtime.block_on(
        futures::stream::iter(batch.pieces.clone())
            .map(|piece| async move { job.sources[piece.source].row_group(piece.row_group).await })
            .buffered(FETCHED_AT_ONCE)
            .try_collect(),
    )
}

/// Encodes one row group and appends it to the file; says how many bytes it has.
fn row_group(
    job: &Job,
    schema: &WriteSchema,
    matched: &[Matched],
    batch: &Batch,
    chunks: &[Chunks],
    file: &mut OpenFile,
) -> Result<u64> {
    let location = file.writer.inner().location().to_owned();
    let index = file.writer.flushed_row_groups().len();
    let writers = file.columns.create_column_writers(index).map_err(|e| write_error(&location, e))?;
    let columns = Columns::new(schema, writers);
    let encoded = columns.run(job, schema, matched, batch, chunks)?;
    let before = file.writer.bytes_written();
    let mut group = file.writer.next_row_group().map_err(|e| write_error(&location, e))?;
    for root in encoded {
        for (leaf, nans) in root.nans {
            if let Some(counted) = &mut file.nans {
                *counted.entry(leaf).or_default() += nans;
            }
        }
        for chunk in root.chunks {
            chunk.append_to_row_group(&mut group).map_err(|e| write_error(&location, e))?;
        }
    }
    group.close().map_err(|e| write_error(&location, e))?;
    Ok((file.writer.bytes_written() - before) as u64)
}

/// The columns of one row group, to be encoded by whoever is free, heaviest first.
struct Columns {
    roots: Vec<Mutex<Option<Root>>>,
}

struct Root {
    index: usize,
    first_leaf: usize,
    writers: Vec<ArrowColumnWriter>,
}

struct Encoded {
    chunks: Vec<ArrowColumnChunk>,
    nans: Vec<(usize, u64)>,
}

impl Columns {
    fn new(schema: &WriteSchema, writers: Vec<ArrowColumnWriter>) -> Self {
        let count = schema.arrow.fields().len();
        let mut roots: Vec<Root> =
            (0..count).map(|index| Root { index, first_leaf: usize::MAX, writers: Vec::new() }).collect();
        for (leaf, writer) in writers.into_iter().enumerate() {
            let root = &mut roots[schema.parquet.get_column_root_idx(leaf)];
            root.first_leaf = root.first_leaf.min(leaf);
            root.writers.push(writer);
        }
        Self { roots: roots.into_iter().map(|root| Mutex::new(Some(root))).collect() }
    }

    fn run(
        &self,
        job: &Job,
        schema: &WriteSchema,
        matched: &[Matched],
        batch: &Batch,
        chunks: &[Chunks],
    ) -> Result<Vec<Encoded>> {
        let mut order: Vec<usize> = (0..self.roots.len()).collect();
        order.sort_by_key(|root| std::cmp::Reverse(weight(job, matched, batch, *root)));
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Option<Encoded>>> = Mutex::new((0..self.roots.len()).map(|_| None).collect());
        let failure: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some(root) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(column) = lock(&self.roots[*root]).take() else { continue };
                let field = &schema.arrow.fields()[*root];
                match encode_root(job, column, field, matched, batch, chunks) {
                    Ok(encoded) => lock(&done)[*root] = Some(encoded),
                    Err(error) => {
                        next.store(usize::MAX / 2, Ordering::Relaxed);
                        lock(&failure).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..job.workers.min(order.len()).max(1) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        let done = std::mem::take(&mut *lock(&done));
        done.into_iter().map(|root| root.ok_or_else(|| Error::internal("a column was not encoded"))).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much work a column is: its bytes before compression.
fn weight(job: &Job, matched: &[Matched], batch: &Batch, root: usize) -> i64 {
    batch
        .pieces
        .iter()
        .filter_map(|piece| {
            let source = &job.sources[piece.source];
            let column = matched[piece.source].roots[root]?;
            let descriptor = source.metadata.file_metadata().schema_descr();
            let group = source.metadata.row_group(piece.row_group);
            let leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == column);
            Some(leaves.map(|leaf| group.column(leaf).uncompressed_size()).sum::<i64>())
        })
        .sum()
}

fn encode_root(
    job: &Job,
    mut root: Root,
    field: &Field,
    matched: &[Matched],
    batch: &Batch,
    chunks: &[Chunks],
) -> Result<Encoded> {
    let mut nans = HashMap::new();
    for (piece, chunks) in batch.pieces.iter().zip(chunks) {
        let source = &job.sources[piece.source];
        let mut write = |values: &ArrayRef| {
            count_nans(values, root.first_leaf, &mut nans);
            let leaves = compute_leaves(field, values).map_err(|e| write_error(&job.task.output.directory, e))?;
            for (writer, leaf) in root.writers.iter_mut().zip(leaves) {
                writer.write(&leaf).map_err(|e| write_error(&job.task.output.directory, e))?;
            }
            Ok(())
        };
        // Decoders may panic on garbage: that must name the file and fail this group only.
        let read = catch_unwind(AssertUnwindSafe(|| {
            read_piece(source, &matched[piece.source], root.index, field, *piece, chunks, &mut write)
        }));
        read.unwrap_or_else(|_| Err(Error::corrupt("its pages can't be decoded")))
            .while_doing(|| format!("reading column {} of {}", field.name(), source.path))?;
    }
    let chunks = root
        .writers
        .into_iter()
        .map(|writer| writer.close().map_err(|e| write_error(&job.task.output.directory, e)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Encoded { chunks, nans: nans.into_iter().collect() })
}
