//! An output file being written: row groups in, statistics out.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::Output;
use crate::error::{Error, Result};
use crate::executor::sink::{Sink, failed};
use crate::executor::stats::{self, MetricsModes};
use crate::executor::{Job, Written};
use crate::lake::parquet_schema::WriteSchema;
use crate::model::{ChunkWays, NewFile, PartitionValues};

/// What makes the writers of columns. They depend on schema and properties alone, not on the file that they end up in.
pub(super) fn column_writers(
    schema: &WriteSchema,
    properties: Arc<WriterProperties>,
) -> Result<ArrowRowGroupWriterFactory> {
    let nowhere = SerializedFileWriter::new(io::sink(), schema.parquet.root_schema_ptr(), properties)
        .map_err(|e| Error::internal("the schema can't be written").caused_by(e))?;
    Ok(ArrowRowGroupWriterFactory::new(&nowhere, schema.arrow.clone()))
}

/// What all outputs of a task share.
pub(super) struct Files<'a> {
    job: &'a Job,
    written: &'a Written,
    schema: &'a WriteSchema,
    props: Arc<WriterProperties>,
    modes: MetricsModes,
    made: u32,
    /// The partition that files are in, and its folder; that of the task, unless rows move to others.
    partition: Option<PartitionValues>,
    folder: String,
}

/// One output file.
pub(super) struct OpenFile {
    pub(super) writer: SerializedFileWriter<Sink>,
    /// NaNs by leaf column, where they were counted.
    pub(super) nans: Option<HashMap<usize, u64>>,
    /// Nulls that went with deleted rows, by top-level column.
    pub(super) removed_nulls: HashMap<usize, u64>,
    /// How its column chunks were made.
    pub(super) chunks: ChunkWays,
}

impl OpenFile {
    /// Gives up on the file.
    pub(super) fn abort(&mut self) {
        self.writer.inner_mut().abort();
    }
}

impl<'a> Files<'a> {
    pub(super) fn new(
        job: &'a Job,
        written: &'a Written,
        schema: &'a WriteSchema,
        props: Arc<WriterProperties>,
    ) -> Result<Self> {
        let modes = MetricsModes::from_properties(&job.table.schema, &job.table.properties)?;
        let folder = job.task.output.directory.clone();
        Ok(Self { job, written, schema, props, modes, made: 0, partition: None, folder })
    }

    /// From now on, files are in another partition: its values, and its path below the table's data.
    pub(super) fn enter(&mut self, partition: PartitionValues, path: &str) {
        let root = &self.job.task.output.directory;
        self.folder = if path.is_empty() { root.clone() } else { format!("{root}/{path}") };
        self.partition = Some(partition);
    }

    /// Begins the next file, empty.
    pub(super) fn create(&mut self) -> Result<Sink> {
        let name = format!("{:05}-{:05}-{}.parquet", self.job.task.id, self.made, self.job.ambient.uuid());
        let location = format!("{}/{name}", self.folder);
        self.made += 1;
        self.written.add(&location);
        let class = self.job.task.output.storage_class.as_deref();
        Sink::create(&self.job.store, &location, class, &self.job.runtime, self.job.progress.clone())
    }

    /// Begins the next file, for row groups.
    pub(super) fn open(&mut self) -> Result<OpenFile> {
        let sink = self.create()?;
        let (location, root) = (sink.location().to_owned(), self.schema.parquet.root_schema_ptr());
        let writer =
            SerializedFileWriter::new(sink, root, self.props.clone()).map_err(|e| write_error(&location, e))?;
        Ok(OpenFile { writer, nans: Some(HashMap::new()), removed_nulls: HashMap::new(), chunks: ChunkWays::default() })
    }

    /// Completes a file and takes its statistics.
    pub(super) fn close(&self, mut file: OpenFile) -> Result<Output> {
        let location = file.writer.inner().location().to_owned();
        let metadata = match file.writer.finish() {
            Ok(metadata) => metadata,
            Err(error) => {
                file.writer.inner_mut().abort();
                return Err(write_error(&location, error));
            }
        };
        let (nans, removed_nulls) = (file.nans.take(), std::mem::take(&mut file.removed_nulls));
        let chunks = std::mem::take(&mut file.chunks);
        let output = self.complete(file.writer.inner_mut(), metadata, nans.as_ref(), chunks)?;
        Ok(Output { removed_nulls, ..output })
    }

    /// Makes a file durable that has its footer, and takes its statistics.
    pub(super) fn complete(
        &self,
        sink: &mut Sink,
        metadata: ParquetMetaData,
        nans: Option<&HashMap<usize, u64>>,
        chunks: ChunkWays,
    ) -> Result<Output> {
        sink.finish()?;
        let records = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let split_offsets = metadata
            .row_groups()
            .iter()
            .filter_map(|group| group.columns().iter().map(|column| column.byte_range().0).min())
            .map(|offset| i64::try_from(offset).unwrap_or(i64::MAX))
            .collect();
        let columns = stats::file_columns(&metadata, &self.job.table.schema, &self.modes, nans)?;
        self.job.progress.file_done();
        let file = NewFile {
            path: sink.location().to_owned(),
            size: sink.total(),
            records,
            columns,
            split_offsets,
            sort_order_id: self.job.task.sort_order_id,
            vector: None,
            partition: self.partition.clone(),
        };
        Ok(Output { file, metadata, removed_nulls: HashMap::new(), chunks })
    }
}

/// An error of the Parquet writer is nearly always one of the file below it.
pub(crate) fn write_error(location: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => failed(location, *io),
            Err(other) => Error::internal(format!("writing {location} failed")).caused_by(other),
        },
        other => Error::internal(format!("writing {location} failed")).caused_by(other),
    }
}
