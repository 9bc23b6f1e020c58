//! Deletes written anew: one sorted list of (file, position) pairs a partition (spec, "Position Delete Files").

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::gather::Gather;
use super::positions::Positions;
use crate::error::{Context, Error, Result};
use crate::executor::parquet::{write_error, writer_properties};
use crate::executor::sink::Sink;
use crate::executor::stats::{self, MetricsModes};
use crate::executor::{Job, Written};
use crate::lake::parquet_schema::{WriteSchema, write_schema};
use crate::model::{
    DELETE_FILE_PATH, DELETE_POS, DeleteContent, DeleteKey, FileFormat, NewFile, RewriteTask, TaskDelete, Verify,
};

/// Pairs written at a time.
const PAIRS_AT_ONCE: usize = 8192;
/// Bytes of memory for positions that are read back.
const READ_BACK: u64 = 32 << 20;

/// Writes the masks of a job as position delete files.
///
/// # Errors
/// Those of writing; `Internal` when what was written is not what was to be (I3).
pub(in crate::executor) fn write(job: &Job, written: &Written) -> Result<Vec<NewFile>> {
    let files = Files::new(job, written)?;
    // Sorted by file, then position, as the spec wants it.
    let mut order: Vec<usize> = (0..job.task.inputs.len()).collect();
    order.sort_by(|a, b| job.task.inputs[*a].path.cmp(&job.task.inputs[*b].path));
    let (mut open, mut made, mut rows) = (None, Vec::new(), 0);
    let mut pairs = Vec::with_capacity(PAIRS_AT_ONCE);
    for input in order {
        let mask = job.masks.of(input)?;
        let mut positions = mask.positions().map(i64::from);
        loop {
            pairs.clear();
            pairs.extend(positions.by_ref().take(PAIRS_AT_ONCE));
            if pairs.is_empty() {
                break;
            }
            rows += pairs.len() as u64;
            let mut file = match open.take() {
                Some(file) => file,
                None => files.open(made.len())?,
            };
            files.append(&mut file, &job.task.inputs[input].path, &pairs)?;
            let size = file.inner().total() + file.in_progress_size() as u64;
            if size >= job.policy.target_delete_file_size_bytes {
                made.push(files.close(file)?);
            } else {
                open = Some(file);
            }
        }
    }
    if let Some(file) = open {
        made.push(files.close(file)?);
    }
    let records: u64 = made.iter().map(|file| file.records).sum();
    if records != rows {
        return Err(Error::internal(format!("{records} positions were written instead of {rows}")));
    }
    if job.policy.verify == Verify::Content {
        read_back(job, &made).while_doing(|| "reading the new delete files back")?;
    }
    Ok(made)
}

/// The files of one task.
struct Files<'a> {
    job: &'a Job,
    written: &'a Written,
    schema: Schema,
    columns: WriteSchema,
}

impl<'a> Files<'a> {
    fn new(job: &'a Job, written: &'a Written) -> Result<Self> {
        let field = |id, name, kind| Arc::new(NestedField::required(id, name, Type::Primitive(kind)));
        let schema = Schema::builder()
            .with_fields([
                field(DELETE_FILE_PATH, "file_path", PrimitiveType::String),
                field(DELETE_POS, "pos", PrimitiveType::Long),
            ])
            .build()
            .map_err(|e| Error::internal("position deletes have no schema").caused_by(e))?;
        let columns = write_schema(&schema)?;
        Ok(Self { job, written, schema, columns })
    }

    fn open(&self, number: usize) -> Result<ArrowWriter<Sink>> {
        let job = self.job;
        let name = format!("{:05}-{number:05}-{}-deletes.parquet", job.task.id, job.ambient.uuid());
        let location = format!("{}/{name}", job.task.output.directory);
        self.written.add(&location);
        let class = job.task.output.storage_class.as_deref();
        let sink = Sink::create(&job.store, &location, class, &job.runtime, job.progress.clone())?;
        let props = writer_properties(&job.policy, &self.schema, &self.columns.parquet)?;
        let options = ArrowWriterOptions::new().with_properties(props).with_skip_arrow_metadata(true);
        ArrowWriter::try_new_with_options(sink, self.columns.arrow.clone(), options)
            .map_err(|e| write_error(&location, e))
    }

    fn append(&self, file: &mut ArrowWriter<Sink>, path: &str, positions: &[i64]) -> Result<()> {
        let paths: ArrayRef = Arc::new(StringArray::from_iter_values(positions.iter().map(|_| path)));
        let positions: ArrayRef = Arc::new(Int64Array::from(positions.to_vec()));
        let batch = RecordBatch::try_new(self.columns.arrow.clone(), vec![paths, positions])
            .map_err(|e| Error::internal("position deletes don't fit their schema").caused_by(e))?;
        file.write(&batch).map_err(|e| write_error(file.inner().location(), e))
    }

    fn close(&self, mut file: ArrowWriter<Sink>) -> Result<NewFile> {
        let path = file.inner().location().to_owned();
        let metadata = file.finish().map_err(|e| write_error(&path, e))?;
        file.inner_mut().finish()?;
        self.job.progress.file_done();
        let offsets = metadata.row_groups().iter().filter_map(|group| group.columns().first());
        Ok(NewFile {
            size: file.inner().total(),
            records: u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0),
            // Whole paths as bounds: equal ones tell readers that the file is about one data file alone.
            columns: stats::file_columns(&metadata, &self.schema, &MetricsModes::full(), None)?,
            split_offsets: offsets.map(|chunk| i64::try_from(chunk.byte_range().0).unwrap_or(i64::MAX)).collect(),
            sort_order_id: None,
            vector: None,
            path,
            partition: None,
        })
    }
}

/// Reads what was written as a task would that applies it, and compares the masks (I3).
pub(super) fn read_back(job: &Job, made: &[NewFile]) -> Result<()> {
    let delete = |file: &NewFile| {
        let vector = file.vector.as_ref();
        TaskDelete {
            key: DeleteKey { path: file.path.clone(), offset: vector.map(|vector| vector.offset) },
            content: DeleteContent::Position,
            format: if vector.is_some() { FileFormat::Puffin } else { FileFormat::Parquet },
            size: file.size,
            length: vector.map(|vector| vector.length),
            records: file.records,
            sequence_number: 0,
            equality_ids: Vec::new(),
            moves: false,
        }
    };
    let mut task = RewriteTask { deletes: made.iter().map(delete).collect(), ..job.task.as_ref().clone() };
    // A vector is about one data file, a list of positions about any.
    let mut of_one: HashMap<&str, Vec<u32>> = HashMap::new();
    let mut of_all = Vec::new();
    for (file, number) in made.iter().zip(0..) {
        match &file.vector {
            Some(vector) => of_one.entry(&vector.data_file).or_default().push(number),
            None => of_all.push(number),
        }
    }
    for input in &mut task.inputs {
        input.deletes = of_all.iter().chain(of_one.get(input.path.as_str()).into_iter().flatten()).copied().collect();
    }
    let gathered = Gather::new(task.inputs.len(), READ_BACK, &job.spill);
    Positions::new(&task, &gathered).read_all(&task, &job.store, &job.runtime)?;
    for (number, input) in task.inputs.iter().enumerate() {
        let found = gathered.take(number)?;
        if !super::Mask::new(Arc::new(found)).same(&job.masks.of(number)?) {
            return Err(Error::internal(format!("the positions in {} are not those that were found", input.path))
                .hint("nothing was committed for this group; please report this"));
        }
    }
    Ok(())
}
