//! Sorted runs in temporary files: Arrow's own stream format, compressed.

use std::io::{BufReader, BufWriter};

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};

use super::key::Keys;
use super::merge::Ordered;
use crate::error::{Error, Result};
use crate::lake::{Spill, SpillFile, spill_failed};

/// Runs are written in pieces of this size.
const BUFFER: usize = 1 << 20;
/// What a reader holds of its file: headers. Values are read past it.
const READ_BUFFER: usize = 16 << 10;

/// A finished run.
#[derive(Debug)]
pub(super) struct Run {
    file: SpillFile,
    /// Its first key and its last one.
    pub(super) ends: [Vec<u8>; 2],
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

    /// Writes what comes in order; nothing of a sequence without rows.
    pub(super) fn write_all(mut self, keys: &Keys, sorted: &mut dyn Ordered) -> Result<Option<Run>> {
        let key = |batch: &RecordBatch, row| Ok::<_, Error>(keys.of(&batch.slice(row, 1))?.get(0).to_vec());
        let Some(mut batch) = sorted.next()? else { return Ok(None) };
        let first = key(&batch, 0)?;
        loop {
            self.writer.write(&batch).map_err(failed)?;
            match sorted.next()? {
                Some(next) => batch = next,
                None => break,
            }
        }
        let last = key(&batch, batch.num_rows() - 1)?;
        self.finish([first, last]).map(Some)
    }

    fn finish(mut self, ends: [Vec<u8>; 2]) -> Result<Run> {
        self.writer.finish().map_err(failed)?;
        let buffered = self.writer.into_inner().map_err(failed)?;
        let file = buffered.into_inner().map_err(|e| failed(ArrowError::from(e.into_error())))?;
        Ok(Run { file, ends })
    }
}

/// Reads a run, batch by batch. The file is gone when the reader is.
pub(super) struct RunReader {
    batches: StreamReader<BufReader<SpillFile>>,
}

impl RunReader {
    pub(super) fn new(run: Run) -> Result<Self> {
        let mut file = run.file;
        file.rewind().map_err(|e| failed(e.into()))?;
        let batches = StreamReader::try_new(BufReader::with_capacity(READ_BUFFER, file), None).map_err(failed)?;
        Ok(Self { batches })
    }
}

impl Ordered for RunReader {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
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
