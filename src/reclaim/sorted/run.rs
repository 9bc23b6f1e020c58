//! One sorted run: records that say how they differ from the one before, compressed.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use super::{Entry, Spill};
use crate::error::{Error, Result};

/// Runs are read many at a time: a small window keeps their decoders small.
const WINDOW_LOG: u32 = 17;
const LEVEL: i32 = 1;
const BUFFER: usize = 64 * 1024;
/// Space is asked for in pieces of this size.
const PIECE: u64 = 1 << 20;

/// A finished run.
#[derive(Debug)]
pub(super) struct Run {
    data: Data,
    _space: Space,
}

#[derive(Debug)]
enum Data {
    /// A small one needs no disk.
    Memory(Vec<u8>),
    File(File),
}

/// Temporary space that is given back when its run is gone.
#[derive(Debug)]
struct Space {
    spill: Spill,
    bytes: u64,
}

impl Drop for Space {
    fn drop(&mut self) {
        self.spill.give_back(self.bytes);
    }
}

fn failed(spill: &Spill, error: std::io::Error) -> Error {
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    let message = format!("writing temporary files in {} failed", spill.dir.display());
    let error = if full { Error::exhausted(message) } else { Error::invalid(message) }.caused_by(error);
    error.hint("name a folder with more room that can be written to: --spill-dir")
}

fn unreadable(error: std::io::Error) -> Error {
    Error::unavailable("reading a temporary file failed").hint("run again; nothing was changed").caused_by(error)
}

/// Counts what goes to disk.
struct Counted {
    to: Box<dyn Write + Send>,
    space: Space,
    open: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let wrote = self.to.write(bytes)?;
        self.open += wrote as u64;
        while self.open > self.space.bytes {
            self.space.bytes += PIECE;
            self.space.spill.take(PIECE).map_err(std::io::Error::other)?;
        }
        Ok(wrote)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Where a run is written to.
enum Target {
    Memory(zstd::Encoder<'static, Vec<u8>>),
    File(zstd::Encoder<'static, BufWriter<Counted>>, File),
}

/// Writes a run.
pub(super) struct RunWriter {
    target: Target,
    spill: Spill,
    last: Vec<u8>,
    record: Vec<u8>,
    any: bool,
}

impl fmt::Debug for RunWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunWriter")
    }
}

fn encoder<W: Write>(to: W) -> std::io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    encoder.window_log(WINDOW_LOG)?;
    Ok(encoder)
}

impl RunWriter {
    pub(super) fn new(spill: &Spill, in_memory: bool) -> Result<Self> {
        let open = || -> std::io::Result<Target> {
            if in_memory {
                return Ok(Target::Memory(encoder(Vec::new())?));
            }
            let file = tempfile::tempfile_in(&spill.dir)?;
            let space = Space { spill: spill.clone(), bytes: 0 };
            let counted = Counted { to: Box::new(file.try_clone()?), space, open: 0 };
            Ok(Target::File(encoder(BufWriter::with_capacity(BUFFER, counted))?, file))
        };
        let target = open().map_err(|e| failed(spill, e))?;
        Ok(Self { target, spill: spill.clone(), last: Vec::new(), record: Vec::new(), any: false })
    }

    /// Adds the next entry; one with the key of the last is left out.
    pub(super) fn push(&mut self, key: &[u8], size: u64, modified_ms: i64) -> Result<()> {
        if self.any && self.last == key {
            return Ok(());
        }
        self.any = true;
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        self.record.clear();
        number(&mut self.record, shared as u64);
        number(&mut self.record, (key.len() - shared) as u64);
        self.record.extend_from_slice(&key[shared..]);
        number(&mut self.record, size);
        self.record.extend_from_slice(&modified_ms.to_le_bytes());
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        let done = match &mut self.target {
            Target::Memory(encoder) => encoder.write_all(&self.record),
            Target::File(encoder, _) => encoder.write_all(&self.record),
        };
        done.map_err(|e| self.wrong(e))
    }

    pub(super) fn finish(self) -> Result<Run> {
        let spill = self.spill.clone();
        let done = match self.target {
            Target::Memory(encoder) => encoder
                .finish()
                .map(|bytes| Run { data: Data::Memory(bytes), _space: Space { spill: spill.clone(), bytes: 0 } }),
            Target::File(encoder, file) => encoder
                .finish()
                .and_then(|buffered| buffered.into_inner().map_err(std::io::IntoInnerError::into_error))
                .map(|counted| Run { data: Data::File(file), _space: counted.space }),
        };
        done.map_err(|e| born_here(e, &spill))
    }

    fn wrong(&self, error: std::io::Error) -> Error {
        born_here(error, &self.spill)
    }
}

/// An error of our own travels through the writers as one of theirs.
fn born_here(error: std::io::Error, spill: &Spill) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(other) => failed(spill, other),
    }
}

impl Run {
    pub(super) fn read(&mut self) -> Result<RunReader<'_>> {
        let from: Box<dyn Read + Send + '_> = match &mut self.data {
            Data::Memory(bytes) => Box::new(bytes.as_slice()),
            Data::File(file) => {
                file.rewind().map_err(unreadable)?;
                Box::new(&*file)
            }
        };
        let decoder = zstd::Decoder::new(from).map_err(unreadable)?;
        Ok(RunReader { from: BufReader::with_capacity(BUFFER, decoder), last: Vec::new() })
    }
}

/// Reads a run from its first entry on.
pub(super) struct RunReader<'a> {
    from: BufReader<zstd::Decoder<'static, BufReader<Box<dyn Read + Send + 'a>>>>,
    last: Vec<u8>,
}

impl fmt::Debug for RunReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunReader")
    }
}

impl RunReader<'_> {
    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        self.step().map_err(unreadable)
    }

    fn step(&mut self) -> std::io::Result<Option<Entry>> {
        let Some(shared) = self.number(true)? else { return Ok(None) };
        let length = self.some()?;
        let (shared, length) = (usize_of(shared)?, usize_of(length)?);
        self.last.resize(shared + length, 0);
        self.from.read_exact(&mut self.last[shared..])?;
        let size = self.some()?;
        let mut modified = [0; 8];
        self.from.read_exact(&mut modified)?;
        let key = str::from_utf8(&self.last).map_err(std::io::Error::other)?.to_owned();
        Ok(Some(Entry { key, size, modified_ms: i64::from_le_bytes(modified) }))
    }

    fn some(&mut self) -> std::io::Result<u64> {
        self.number(false)?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn number(&mut self, may_end: bool) -> std::io::Result<Option<u64>> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let mut byte = [0];
            if self.from.read(&mut byte)? == 0 {
                return if may_end && shift == 0 { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
            }
            value |= u64::from(byte[0] & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte[0] & 0x80 == 0 {
                return Ok(Some(value));
            }
            shift += 7;
        }
    }
}

fn usize_of(n: u64) -> std::io::Result<usize> {
    usize::try_from(n).map_err(std::io::Error::other)
}

/// A number in seven bits a byte, lowest first.
fn number(to: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        to.push(u8::try_from(n & 0x7f).unwrap_or(0) | 0x80);
        n >>= 7;
    }
    to.push(u8::try_from(n).unwrap_or(0));
}
