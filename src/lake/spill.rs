//! Temporary files for what does not fit into memory (I9), with a cap on their bytes.
//!
//! The files have no name where the system allows that: a kill leaves nothing behind.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Another handle on the same file and position.
    ///
    /// # Errors
    /// What the system says.
    pub fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
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
