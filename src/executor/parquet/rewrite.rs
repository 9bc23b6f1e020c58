//! Many row groups become few: rows are divided into output row groups, whose columns are made side by side.
//!
//! The thread of the task conducts: it fetches ahead, hands columns to the crew, and writes what is done in order, while
//! the crew is at work on the next row group. Two row groups are in flight at a time, never more.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::file::properties::WriterProperties;
use tokio::task::JoinHandle;

use super::crew::{Closing, Crew, Done};
use super::decode::RowGroupInput;
use super::merge::{Choice, Pool, Rules};
use super::output::{Files, OpenFile, column_writers, write_error};
use super::pieces::{self, Batch, Piece, Pieces};
use super::roots::{Made, MadeLeaf};
use super::{Output, props};
use crate::error::{Error, Result};
use crate::executor::columns::{Matched, match_columns};
use crate::executor::cut::Cutter;
use crate::executor::opening::Walk;
use crate::executor::source::Source;
use crate::executor::verify::Before;
use crate::executor::{Job, TableContext, Written};
use crate::lake::parquet_schema::{WriteSchema, write_schema};
use crate::model::{ChunkSum, CompactPolicy, RewriteTask, Route};

/// Row groups fetched from an object store at the same time.
const FETCHED_AT_ONCE: usize = 16;
/// Row groups being made or written at the same time.
const IN_FLIGHT: usize = 2;

/// What all columns of a task share.
pub(super) struct Work<'a> {
    table: &'a TableContext,
    /// Of the task, for messages.
    id: u32,
    /// Where outputs go, for messages.
    pub(super) directory: &'a str,
    pub(super) schema: WriteSchema,
    /// Whether pages are moved where they can be; otherwise every value is decoded and encoded.
    pub(super) move_pages: bool,
    /// By leaf.
    pub(super) rules: Vec<Rules>,
    /// By leaf: what suited it in earlier row groups.
    pub(super) choices: Vec<Mutex<Choice>>,
    /// Memory for the chunks that are made of pages.
    pub(super) pool: Arc<Pool>,
    /// By root: why it is encoded, once that was said.
    told: Vec<Mutex<bool>>,
    factory: ArrowRowGroupWriterFactory,
}

/// An input, and where the table's columns are in it.
pub(super) struct Opened {
    pub(super) source: Source,
    pub(super) matched: Matched,
}

/// One output row group being made.
pub(super) struct RowGroup {
    pub(super) batch: Batch,
    /// By piece: the input that it is of, and what is read of that.
    opened: Vec<Arc<Opened>>,
    inputs: Vec<RowGroupInput>,
    pub(super) done: Mutex<Done>,
    /// The writers of columns that are encoded, made when the first one needs them.
    writers: Mutex<Vec<Option<ArrowColumnWriter>>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rewrites all rows of the inputs, in order, into files of the right size.
pub(crate) fn rewrite(job: &Job, walk: Walk<'_>, written: &Written) -> Result<(Vec<Output>, Before)> {
    let schema = write_schema(&job.table.schema)?;
    let properties = Arc::new(props::writer_properties(&job.policy, &job.table.schema, &schema.parquet)?);
    let mut files = Files::new(job, written, &schema, properties.clone())?;
    let work = Work {
        id: job.task.id,
        directory: &job.task.output.directory,
        move_pages: job.task.route != Route::Encode,
        ..Work::new(&job.table, &job.policy, schema.clone(), properties)?
    };
    let crew = Crew::default();
    std::thread::scope(|scope| {
        let _closing = Closing(&crew);
        for _ in 0..job.workers.max(1) {
            scope.spawn(|| {
                // Of the task before, one thread may still be at its last column.
                let seat = job.runtime.block_on(job.lanes.seat());
                crew.work(&work);
                drop(seat);
                // The last columns seldom end together: the next task takes the place of the thread that is done first.
                job.lanes.leave();
            });
        }
        Conductor::new(job, &work, walk).run(&crew, &mut files)
    })
}

impl<'a> Work<'a> {
    /// Pages are moved where they can be.
    pub(super) fn new(
        table: &'a TableContext,
        policy: &CompactPolicy,
        schema: WriteSchema,
        properties: Arc<WriterProperties>,
    ) -> Result<Self> {
        let leaves = schema.parquet.num_columns();
        let roots = schema.arrow.fields().len();
        Ok(Self {
            table,
            id: 0,
            directory: "",
            move_pages: true,
            rules: props::rules(policy, &table.schema, &schema.parquet),
            choices: (0..leaves).map(|_| Mutex::default()).collect(),
            pool: Arc::default(),
            told: (0..roots).map(|_| Mutex::default()).collect(),
            factory: column_writers(&schema, properties)?,
            schema,
        })
    }

    /// Finds the table's columns in an input.
    pub(super) fn open(&self, source: Source) -> Result<Arc<Opened>> {
        let matched = match_columns(&source, &self.schema.arrow, self.table)?;
        Ok(Arc::new(Opened { source, matched }))
    }

    /// The leaves of a top-level column.
    pub(super) fn leaves(&self, root: usize) -> Range<usize> {
        let all = 0..self.schema.parquet.num_columns();
        let mut of_root = all.filter(|leaf| self.schema.parquet.get_column_root_idx(*leaf) == root);
        let first = of_root.next().unwrap_or(0);
        first..first + 1 + of_root.count()
    }

    /// Says once a task that a column is encoded, and why.
    pub(super) fn encodes(&self, root: usize, reason: &str) {
        let mut told = lock(&self.told[root]);
        if !std::mem::replace(&mut *told, true) {
            let column = self.schema.arrow.field(root).name();
            tracing::debug!(table = %self.table.table, task = self.id, column, reason, "a column is encoded anew");
        }
    }

    /// Columns by how much work they are, heaviest first: by their bytes before compression.
    pub(super) fn heaviest_first(&self, group: &RowGroup) -> Vec<usize> {
        let weight = |root: usize| -> i64 {
            let of_piece = |(piece, opened, _): (&Piece, &Opened, &RowGroupInput)| {
                let Opened { source, matched } = opened;
                let column = matched.roots[root]?;
                let descriptor = source.metadata.file_metadata().schema_descr();
                let group = source.metadata.row_group(piece.row_group);
                let leaves = (0..descriptor.num_columns()).filter(|l| descriptor.get_column_root_idx(*l) == column);
                Some(leaves.map(|leaf| group.column(leaf).uncompressed_size()).sum::<i64>())
            };
            group.pieces().filter_map(of_piece).sum()
        };
        let mut order: Vec<usize> = (0..self.schema.arrow.fields().len()).collect();
        order.sort_by_cached_key(|root| std::cmp::Reverse(weight(*root)));
        order
    }
}

impl RowGroup {
    /// A row group of these rows, of so many top-level columns.
    pub(super) fn new(batch: Batch, opened: Vec<Arc<Opened>>, inputs: Vec<RowGroupInput>, roots: usize) -> Self {
        Self { batch, opened, inputs, done: Mutex::new(Done::new(roots)), writers: Mutex::default() }
    }

    /// Its pieces, each with the input that it is of, and what is read of that.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&Piece, &Opened, &RowGroupInput)> {
        let opened = self.opened.iter().map(AsRef::as_ref);
        self.batch.pieces.iter().zip(opened).zip(&self.inputs).map(|((piece, opened), input)| (piece, opened, input))
    }

    /// The writers of a column that is encoded.
    pub(super) fn writers(&self, work: &Work<'_>, root: usize) -> Result<Vec<ArrowColumnWriter>> {
        let mut all = lock(&self.writers);
        if all.is_empty() {
            let made = work.factory.create_column_writers(0);
            let made = made.map_err(|e| write_error(work.directory, e))?;
            *all = made.into_iter().map(Some).collect();
        }
        Ok(work.leaves(root).filter_map(|leaf| all[leaf].take()).collect())
    }
}

/// Leads the crew through a task.
struct Conductor<'a> {
    job: &'a Job,
    work: &'a Work<'a>,
    walk: Walk<'a>,
    pieces: Pieces<'a>,
    /// Inputs with rows that were not taken yet, by their numbers, in order.
    opened: VecDeque<(usize, Arc<Opened>)>,
    cutter: Cutter,
    ahead: Option<Ahead>,
    unasked: String,
}

/// A row group whose inputs are being fetched.
struct Ahead {
    batch: Batch,
    opened: Vec<Arc<Opened>>,
    inputs: JoinHandle<Result<Vec<RowGroupInput>>>,
}

impl<'a> Conductor<'a> {
    fn new(job: &'a Job, work: &'a Work<'a>, walk: Walk<'a>) -> Self {
        let input = walk.bytes();
        // The plan's estimate is for whole files; row groups are nearly all of them.
        let expected = job.task.output.bytes.min(input.saturating_mul(4));
        let cutter = Cutter::new(job.policy.target_file_size_bytes, input, expected);
        let (pieces, opened) = (Pieces::new(&job.masks), VecDeque::new());
        Self { job, work, walk, pieces, opened, cutter, ahead: None, unasked: nothing_moves(&job.task) }
    }

    fn run(mut self, crew: &Crew, files: &mut Files<'_>) -> Result<(Vec<Output>, Before)> {
        let mut at_hand = None;
        match self.write_all(crew, files, &mut at_hand) {
            Ok(outputs) => Ok((outputs, self.walk.before())),
            Err(error) => {
                at_hand.iter_mut().for_each(OpenFile::abort);
                Err(error)
            }
        }
    }

    fn write_all(&mut self, crew: &Crew, files: &mut Files<'_>, at_hand: &mut Option<OpenFile>) -> Result<Vec<Output>> {
        let mut outputs: Vec<Output> = Vec::new();
        let mut in_flight: VecDeque<Arc<RowGroup>> = VecDeque::new();
        loop {
            while in_flight.len() < IN_FLIGHT {
                let Some(group) = self.next()? else {
                    crew.end();
                    // The next task begins while this one is completed, and takes its memory over.
                    self.work.pool.dissolve();
                    break;
                };
                let group = Arc::new(group);
                crew.submit(&group, self.work.heaviest_first(&group));
                in_flight.push_back(group);
            }
            let Some(group) = in_flight.pop_front() else { break };
            let made = crew.wait(&group)?;
            self.cutter.expect(self.walk.bytes());
            if self.cutter.close_before(group.batch.bytes)
                && let Some(file) = at_hand.take()
            {
                outputs.push(files.close(file)?);
                self.cutter.closed();
            }
            let file = match &mut *at_hand {
                Some(file) => file,
                none => none.insert(files.open()?),
            };
            let bytes = append(made, file, &self.unasked)?;
            self.cutter.wrote(group.batch.bytes, bytes);
            self.job.progress.read(group.batch.bytes);
        }
        if let Some(file) = at_hand.take() {
            outputs.push(files.close(file)?);
        }
        Ok(outputs)
    }

    /// The next row group with its inputs at hand; the one after it is fetched meanwhile.
    fn next(&mut self) -> Result<Option<RowGroup>> {
        let here = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.fetch()?,
        };
        let Some(Ahead { batch, opened, inputs }) = here else { return Ok(None) };
        self.ahead = self.fetch()?;
        let fetched = self.job.runtime.block_on(inputs);
        let inputs = fetched.map_err(|e| Error::internal("reading ahead failed").caused_by(e)).flatten()?;
        let roots = self.work.schema.arrow.fields().len();
        Ok(Some(RowGroup::new(batch, opened, inputs, roots)))
    }

    /// Begins to fetch the inputs of a row group.
    fn fetch(&mut self) -> Result<Option<Ahead>> {
        let Some(batch) = self.take()? else { return Ok(None) };
        let job = self.job;
        let mut opened = Vec::with_capacity(batch.pieces.len());
        let mut wanted = Vec::with_capacity(batch.pieces.len());
        for piece in &batch.pieces {
            let place = self.opened.binary_search_by_key(&piece.source, |(number, _)| *number);
            let place = place.map_err(|_| Error::internal("rows of a file that was not opened"))?;
            let input = &self.opened[place].1;
            opened.push(Arc::clone(input));
            wanted.push((Arc::clone(input), piece.row_group, job.masks.of(piece.source)?));
        }
        // Of the last one there may be more to come.
        let last = batch.pieces.last().map_or(0, |piece| piece.source);
        while self.opened.front().is_some_and(|(number, _)| *number < last) {
            self.opened.pop_front();
        }
        let reading = futures::stream::iter(wanted)
            .map(|(input, row_group, mask)| async move {
                Ok(RowGroupInput { chunks: input.source.row_group(row_group).await?, mask })
            })
            .buffered(FETCHED_AT_ONCE)
            .try_collect();
        Ok(Some(Ahead { batch, opened, inputs: job.runtime.spawn(reading) }))
    }

    /// The inputs of the next row group, so that its output has about the right size.
    fn take(&mut self) -> Result<Option<Batch>> {
        let job = self.job;
        // At least eight row groups in a file of the lower edge, so that files can be cut where they should be.
        let output = job.row_group_bytes.min(job.policy.band_min() / 8).max(1);
        let input = output as f64 / self.cutter.ratio().max(0.01);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of bytes")]
        let input = (input as u64).min(job.row_group_bytes.saturating_mul(2)).max(1);
        let Self { work, walk, pieces, opened, .. } = self;
        pieces.next(job.policy.row_group_rows, input, || {
            let Some((number, source)) = walk.next()? else { return Ok(None) };
            let groups = pieces::groups(number, &source, &job.masks.of(number)?);
            opened.push_back((number, work.open(source)?));
            Ok(Some(groups))
        })
    }
}

/// Why columns are encoded in a task in which no pages are moved.
pub(super) fn nothing_moves(task: &RewriteTask) -> String {
    match task.route {
        Route::Sort if task.arrangement.is_bin_pack() => "rows go to their partitions".to_owned(),
        Route::Sort => format!("rows are put in order: {}", task.arrangement),
        _ => format!("no pages of the group are moved: {}", task.route_why),
    }
}

/// Appends a row group to a file; says how many bytes it has. `unasked` is why columns were encoded that nobody tried to
/// make of pages.
pub(super) fn append(made: Vec<Made>, file: &mut OpenFile, unasked: &str) -> Result<u64> {
    let location = file.writer.inner().location().to_owned();
    let names = file.writer.schema_descr().root_schema_ptr();
    let failed = |e| write_error(&location, e);
    let before = file.writer.bytes_written();
    let mut group = file.writer.next_row_group().map_err(failed)?;
    for (number, root) in made.into_iter().enumerate() {
        *file.removed_nulls.entry(number).or_default() += root.removed_nulls;
        for (leaf, nans) in root.nans {
            if let Some(counted) = &mut file.nans {
                *counted.entry(leaf).or_default() += nans;
            }
        }
        let mut encoded = ChunkSum::default();
        let kept = root.leaves.iter().any(|leaf| matches!(leaf, MadeLeaf::Numbered(_)));
        for leaf in root.leaves {
            let chunk = ChunkSum::one(leaf.bytes());
            match &leaf {
                MadeLeaf::Encoded(_) | MadeLeaf::Numbered(_) => encoded.add(chunk),
                MadeLeaf::Moved(_) => file.chunks.merged.add(chunk),
            }
            match leaf {
                MadeLeaf::Encoded(chunk) => chunk.append_to_row_group(&mut group).map_err(failed)?,
                MadeLeaf::Moved(merged) | MadeLeaf::Numbered(merged) => {
                    group.append_column(&merged.bytes, merged.close).map_err(failed)?
                }
            }
        }
        if encoded.chunks > 0 {
            let column = names.get_fields().get(number).map_or("", |field| field.name());
            let why = root.why.as_deref().unwrap_or(unasked);
            let why = if kept { Cow::from(format!("{why} (dictionaries kept)")) } else { Cow::from(why) };
            file.chunks.add_encoded(column, &why, encoded);
        }
    }
    group.close().map_err(failed)?;
    Ok((file.writer.bytes_written() - before) as u64)
}
