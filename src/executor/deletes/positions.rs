//! Position delete files: (file, position) pairs (spec, "Position Delete Files").

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use super::gather::Gather;
use super::vector;
use crate::error::{Context, Error, Result};
use crate::executor::columns::id;
use crate::executor::source::{self, Source};
use crate::executor::threads::{guarded, side_by_side};
use crate::lake::{Store, damaged};
use crate::model::{DELETE_FILE_PATH, DELETE_POS, DeleteContent, FileFormat, RewriteTask, TaskDelete};

/// Delete files that are read side by side: most are tiny, and the time goes into waiting for the store.
const READ_AT_ONCE: usize = 8;
/// Rows decoded at a time.
const ROWS_AT_ONCE: usize = 8192;
/// So many other files are remembered of a delete file; one that names more is kept until it applies to nothing.
pub(super) const MOST_OTHERS: usize = 10_000;

/// Reads positions of inputs.
pub(super) struct Positions<'a> {
    /// Number and deletes of an input, by its location.
    inputs: HashMap<&'a str, (usize, &'a [u32])>,
    /// The inputs that deletion vectors are about, by the vector's number.
    of_vectors: HashMap<u32, Vec<usize>>,
    gathered: &'a Gather,
}

/// What a delete file was found to be about.
pub(super) struct Found {
    /// Its number in the task.
    pub(super) number: u32,
    /// The inputs that it names, whether it applies to them or not.
    pub(super) named: RoaringBitmap,
    /// Of those, the ones that it applies to.
    pub(super) used: RoaringBitmap,
    /// Files that it names and that are no inputs; `None` when there are too many.
    pub(super) others: Option<BTreeSet<String>>,
}

impl<'a> Positions<'a> {
    /// Positions go to `gathered`.
    pub(super) fn new(task: &'a RewriteTask, gathered: &'a Gather) -> Self {
        let inputs = task.inputs.iter().enumerate();
        let mut of_vectors: HashMap<u32, Vec<usize>> = HashMap::new();
        for (number, input) in inputs.clone() {
            let is_vector =
                |n: &&u32| task.deletes.get(**n as usize).is_some_and(|delete| delete.format == FileFormat::Puffin);
            for vector in input.deletes.iter().filter(is_vector) {
                of_vectors.entry(*vector).or_default().push(number);
            }
        }
        Self {
            inputs: inputs.map(|(number, input)| (input.path.as_str(), (number, input.deletes.as_slice()))).collect(),
            of_vectors,
            gathered,
        }
    }

    /// Reads all position delete files of a task.
    pub(super) fn read_all(&self, task: &RewriteTask, store: &Arc<Store>, runtime: &Handle) -> Result<Vec<Found>> {
        let wanted: Vec<(u32, &TaskDelete)> =
            (0..).zip(&task.deletes).filter(|(_, delete)| delete.content == DeleteContent::Position).collect();
        let done = Mutex::new(Vec::new());
        side_by_side(READ_AT_ONCE, wanted.len(), |index| {
            let (number, delete) = wanted[index];
            let found = guarded(|| self.read(number, delete, store, runtime))
                .while_doing(|| format!("reading delete file {}", delete.key))?;
            done.lock().unwrap_or_else(PoisonError::into_inner).push(found);
            Ok(())
        })?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// A deletion vector: it stands for one data file.
    fn vector(&self, number: u32, delete: &TaskDelete, store: &Arc<Store>, runtime: &Handle) -> Result<Found> {
        let (Some(offset), Some(length)) = (delete.key.offset, delete.length) else {
            return Err(Error::corrupt("its manifest does not say where the deletion vector is"));
        };
        // A manifest that lies about lengths must not make us reserve its lie.
        let end = offset.checked_add(length).filter(|end| *end <= delete.size);
        let end =
            end.ok_or_else(|| Error::corrupt(format!("it has {} bytes, less than its manifest says", delete.size)))?;
        let positions = vector::parse(&runtime.block_on(store.read_range(&delete.key.path, offset..end))?)?;
        if positions.len() != delete.records {
            let found = positions.len();
            return Err(Error::corrupt(format!("it has {found} positions, its manifest says {}", delete.records))
                .hint("the file is not the one that was committed: restore it; nothing was changed"));
        }
        let mut found = Found::new(number);
        for input in self.of_vectors.get(&number).into_iter().flatten() {
            if !positions.is_empty() {
                found.used.insert(numbered(*input)?);
            }
            // What is beyond 2^32 is beyond the end of the input.
            if let Some((_, low)) = positions.bitmaps().find(|(high, _)| *high == 0) {
                self.gathered.add_all(*input, low)?;
            }
        }
        Ok(found)
    }

    fn read(&self, number: u32, delete: &TaskDelete, store: &Arc<Store>, runtime: &Handle) -> Result<Found> {
        if delete.format == FileFormat::Puffin {
            return self.vector(number, delete, store, runtime);
        }
        let source = runtime.block_on(source::open(store, &delete.key.path, delete.size))?;
        if source.rows() != delete.records {
            return Err(Error::corrupt(format!("it has {} rows, its manifest says {}", source.rows(), delete.records))
                .hint("the file is not the one that was committed: restore it; nothing was changed"));
        }
        let (columns, arrow) = pair(&source)?;
        let bad = |e: parquet::errors::ParquetError| damaged(&source.path, e);
        let mut found = Found::new(number);
        for group in 0..source.metadata.num_row_groups() {
            let chunks = runtime.block_on(source.row_group(group))?;
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, arrow.clone())
                .with_projection(ProjectionMask::roots(source.metadata.file_metadata().schema_descr(), columns))
                .with_row_groups(vec![group])
                .with_batch_size(ROWS_AT_ONCE)
                .build()
                .map_err(bad)?;
            for batch in reader {
                self.take(&batch.map_err(|e| bad(e.into()))?, columns[0] < columns[1], &mut found)?;
            }
        }
        Ok(found)
    }

    /// Takes the pairs of one batch; rows are sorted by file, so there are long runs of one path.
    fn take(&self, batch: &RecordBatch, path_first: bool, found: &mut Found) -> Result<()> {
        let (path, pos) = if path_first { (0, 1) } else { (1, 0) };
        let (paths, positions) = (batch.column(path).as_string_view(), batch.column(pos).as_primitive::<Int64Type>());
        if paths.null_count() > 0 || positions.null_count() > 0 {
            return Err(Error::corrupt("it has a row without file or position"));
        }
        let (views, positions) = (paths.views(), positions.values());
        let (mut start, mut low) = (0, Vec::new());
        while start < views.len() {
            let path = paths.value(start);
            // Equal views are the same bytes; different ones may still be equal texts.
            let same = |index: &usize| views[*index] == views[start] || paths.value(*index) == path;
            let end = (start + 1..views.len()).take_while(same).last().map_or(start + 1, |last| last + 1);
            match self.inputs.get(path) {
                Some((input, deletes)) => {
                    found.named.insert(numbered(*input)?);
                    if deletes.contains(&found.number) {
                        found.used.insert(numbered(*input)?);
                        low.clear();
                        for position in &positions[start..end] {
                            if *position < 0 {
                                return Err(Error::corrupt(format!("it has the position {position}")));
                            }
                            // What is beyond 2^32 is beyond the end of the input.
                            low.extend(u32::try_from(*position));
                        }
                        self.gathered.add(*input, &low)?;
                    }
                }
                None => found.remember(path),
            }
            start = end;
        }
        Ok(())
    }
}

impl Found {
    fn new(number: u32) -> Self {
        let (named, used) = (RoaringBitmap::new(), RoaringBitmap::new());
        Self { number, named, used, others: Some(BTreeSet::new()) }
    }

    fn remember(&mut self, path: &str) {
        if let Some(known) = &mut self.others
            && !known.contains(path)
        {
            known.insert(path.to_owned());
            if known.len() > MOST_OTHERS {
                self.others = None;
            }
        }
    }
}

fn numbered(input: usize) -> Result<u32> {
    u32::try_from(input).map_err(|e| Error::internal("too many inputs").caused_by(e))
}

/// Where path and position are in the file, and how to read them: paths as views, so that equal ones are cheap to tell.
fn pair(source: &Source) -> Result<([usize; 2], ArrowReaderMetadata)> {
    let fields = source.schema().fields();
    let find = |wanted: i32, name: &str| {
        let by_id = fields.iter().position(|field| id(field) == Some(wanted));
        by_id
            .or_else(|| fields.iter().position(|field| id(field).is_none() && field.name() == name))
            .ok_or_else(|| Error::corrupt(format!("it has no column {name}")))
    };
    let (path, pos) = (find(DELETE_FILE_PATH, "file_path")?, find(DELETE_POS, "pos")?);
    if fields[pos].data_type() != &DataType::Int64 {
        return Err(Error::corrupt(format!("its column pos is {}", fields[pos].data_type())));
    }
    let fields: Vec<Field> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let field = field.as_ref().clone();
            if index == path { field.with_data_type(DataType::Utf8View) } else { field }
        })
        .collect();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(Arc::new(Schema::new(fields)));
    let arrow = ArrowReaderMetadata::try_new(source.metadata.clone(), options).map_err(|e| damaged(&source.path, e))?;
    Ok(([path, pos], arrow))
}
