//! Temporary files for what does not fit into memory (I9), with a cap on their bytes.
//!
//! The files have no name where the system allows that: a kill leaves nothing behind.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::model::{GIB, human_bytes};

/// Space is asked for in pieces of this size.
const PIECE: u64 = 1 << 20;

/// Temporary space in a folder. Clones share the cap.
#[derive(Debug, Clone)]
pub struct Spill {
    dir: PathBuf,
    limit: u64,
    used: Arc<AtomicU64>,
}

impl Spill {
    /// Bytes of disk when nothing is said.
    pub const LIMIT: u64 = 16 * GIB;

    /// Spills into a folder, up to so many bytes altogether.
    pub fn new(dir: PathBuf, limit: u64) -> Self {
        Self { dir, limit, used: Arc::default() }
    }

    /// A fresh temporary file.
    ///
    /// # Errors
    /// `InvalidInput` when the folder can't be written to.
    pub fn file(&self) -> Result<SpillFile> {
        let file = tempfile::tempfile_in(&self.dir).map_err(|e| {
            Error::invalid(format!("a temporary file can't be made in {}", self.dir.display()))
                .hint("name a folder that can be written to: --spill-dir")
                .caused_by(e)
        })?;
        Ok(SpillFile { file, spill: self.clone(), written: 0, taken: 0 })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<()> {
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::exhausted(format!(
                "more than {} of temporary space in {} would be needed",
                human_bytes(self.limit),
                self.dir.display()
            ))
            .hint("raise --spill-limit, name a larger folder with --spill-dir, or give more --memory"));
        }
        Ok(())
    }
}

/// A temporary file. Its space is given back when it is dropped.
#[derive(Debug)]
pub struct SpillFile {
    file: File,
    spill: Spill,
    written: u64,
    taken: u64,
}

impl SpillFile {
    /// Goes back to the beginning, so that it can be read.
    ///
    /// # Errors
    /// What the system says.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()
    }
}

impl Read for SpillFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Write for SpillFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let after = self.written + bytes.len() as u64;
        while self.taken < after {
            self.spill.take(PIECE).map_err(io::Error::other)?;
            self.taken += PIECE;
        }
        let wrote = self.file.write(bytes)?;
        self.written += wrote as u64;
        Ok(wrote)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        self.spill.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Blocks of bytes in one temporary file, which is made when the first one comes. May be used by several threads.
#[derive(Debug)]
pub struct SpillBlocks {
    spill: Spill,
    file: Mutex<Option<SpillFile>>,
}

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpillBlock {
    offset: u64,
    /// Its bytes.
    pub length: usize,
}

impl SpillBlocks {
    /// No blocks yet.
    pub fn new(spill: Spill) -> Self {
        Self { spill, file: Mutex::default() }
    }

    /// Writes a block.
    ///
    /// # Errors
    /// `InvalidInput` when the folder can't be written to, `Exhausted` at the cap or when the disk is full.
    pub fn write(&self, bytes: &[u8]) -> Result<SpillBlock> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(self.spill.file()?),
        };
        let block = SpillBlock { offset: file.written, length: bytes.len() };
        file.write_all(bytes).map_err(spill_failed)?;
        Ok(block)
    }

    /// Reads a block into a buffer, which has its length then.
    ///
    /// # Errors
    /// `Exhausted` when the system does not give it back.
    pub fn read(&self, block: SpillBlock, into: &mut Vec<u8>) -> Result<()> {
        into.resize(block.length, 0);
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &*file else { return Err(Error::internal("a block of no temporary file")) };
        file.file.read_exact_at(into, block.offset).map_err(spill_failed)
    }
}

/// An error of a temporary file: our own one when there is one inside (the cap), otherwise what the system says.
pub fn spill_failed(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(theirs) => Error::exhausted("a temporary file can't be written or read")
            .hint("name a folder with more room that can be written to: --spill-dir")
            .caused_by(theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn should_give_blocks_back_and_their_space() {
        let spill = Spill::new(std::env::temp_dir(), 2 * PIECE);
        let blocks = SpillBlocks::new(spill.clone());
        let contents: Vec<Vec<u8>> = (0..10).map(|n| vec![n; usize::from(n) * 1000]).collect();
        let places: Vec<SpillBlock> = contents.iter().map(|bytes| blocks.write(bytes).unwrap()).collect();
        let mut read = Vec::new();
        for (place, bytes) in places.iter().zip(&contents).rev() {
            blocks.read(*place, &mut read).unwrap();
            assert_eq!(&read, bytes);
        }
        assert_eq!(blocks.write(&[0; 3 << 20]).unwrap_err().kind(), Kind::Exhausted);
        drop(blocks);
        assert_eq!(spill.used(), 0);
    }

    #[test]
    fn should_keep_the_cap_and_give_space_back() {
        let spill = Spill::new(std::env::temp_dir(), 2 * PIECE);
        let mut first = spill.file().unwrap();
        first.write_all(&[1; 100]).unwrap();
        let mut second = spill.file().unwrap();
        second.write_all(&[2; 1 << 20]).unwrap();
        assert_eq!(spill.used(), 2 * PIECE);
        let error = spill_failed(second.write_all(&[3]).unwrap_err());
        assert_eq!(error.kind(), Kind::Exhausted);
        assert!(error.hint_text().unwrap().contains("--spill-limit"));
        drop(first);
        second.write_all(&[3]).unwrap();
        drop(second);
        assert_eq!(spill.used(), 0);
        let nowhere = Spill::new("/nonexistent".into(), 1).file().unwrap_err();
        assert_eq!(nowhere.kind(), Kind::InvalidInput);
    }
}
