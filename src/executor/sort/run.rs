//! Sorted runs in temporary files: Arrow's own stream format, compressed.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{Error, Result};
use crate::lake::{Spill, SpillFile, spill_failed};

/// Runs are written and read in pieces of this size.
const BUFFER: usize = 1 << 20;
const READ_BUFFER: usize = 128 * 1024;

/// A finished run.
#[derive(Debug)]
pub(super) struct Run {
    file: SpillFile,
}

/// Writes a run.
pub(super) struct RunWriter {
    writer: StreamWriter<BufWriter<SpillFile>>,
}

impl RunWriter {
    pub(super) fn new(spill: &Spill, schema: &SchemaRef) -> Result<Self> {
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(|e| Error::internal("runs can't be compressed").caused_by(e))?;
        let file = BufWriter::with_capacity(BUFFER, spill.file()?);
        let writer = StreamWriter::try_new_with_options(file, schema, options).map_err(failed)?;
        Ok(Self { writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(failed)
    }

    pub(super) fn finish(mut self) -> Result<Run> {
        self.writer.finish().map_err(failed)?;
        let buffered = self.writer.into_inner().map_err(failed)?;
        let file = buffered.into_inner().map_err(|e| failed(ArrowError::from(e.into_error())))?;
        Ok(Run { file })
    }
}

/// Reads a run, batch by batch. The file is gone when the reader is.
pub(super) struct RunReader {
    batches: StreamReader<BufReader<File>>,
    _space: SpillFile,
}

impl RunReader {
    pub(super) fn new(run: Run) -> Result<Self> {
        let mut file = run.file.handle().map_err(|e| failed(e.into()))?;
        file.rewind().map_err(|e| failed(e.into()))?;
        let batches = StreamReader::try_new(BufReader::with_capacity(READ_BUFFER, file), None).map_err(failed)?;
        Ok(Self { batches, _space: run.file })
    }

    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.batches.next().transpose().map_err(failed)
    }
}

/// What went wrong with a temporary file.
fn failed(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, source) => spill_failed(source),
        other => Error::internal("a sorted run can't be written or read").caused_by(other),
    }
}
