//! Outputs: a local file, synced when it is complete, or an upload in parts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;

use crate::error::{Error, Kind, Result};
use crate::lake::{Store, sync_name};
use crate::telemetry::Progress;

/// How much is handed on at a time.
const BUFFER: usize = 1 << 20;
/// A local file is sent to its disk so many bytes at a time while it is still written: at its end little is left to wait for.
const SENT: u64 = 2 << 20;
/// What was sent is on its disk, as a rule, when so many bytes more were written.
const BEHIND: u64 = 32 << 20;
/// The size of an upload's parts; smaller files go up in one request.
const PART: usize = 8 << 20;
/// Parts of one file on their way at the same time.
const PARTS_AT_ONCE: usize = 4;

/// A file being written.
pub(crate) struct Sink {
    target: Target,
    buffer: Vec<u8>,
    progress: Arc<Progress>,
    location: String,
    total: u64,
}

enum Target {
    Local { file: File, path: PathBuf, writeback: Writeback, runtime: Handle },
    Remote { upload: Box<BufWriter>, runtime: Handle },
}

/// Sends a file to its disk while it is still written, and waits for nothing: what goes wrong is told when it is synced.
///
/// `POSIX_FADV_DONTNEED` does both that is wanted here. Pages that are not on the disk begin to be written there
/// (`generic_fadvise` in Linux; with a sync of every 32 MiB in its place, each with a commit of the file system's journal, a
/// copy took a twentieth longer), and of those that are, the system gives back the memory: nobody has asked for what is
/// written here, and what others read would have to make room for it.
#[derive(Debug, Default)]
struct Writeback {
    written: u64,
    sent: u64,
    forgotten: u64,
}

impl Writeback {
    fn wrote(&mut self, file: &File, bytes: u64) {
        self.written += bytes;
        if self.written - self.sent >= SENT {
            dont_need(file, self.sent..self.written);
            self.sent = self.written;
        }
        if self.written - self.forgotten >= 2 * BEHIND {
            let until = self.written - BEHIND;
            dont_need(file, self.forgotten..until);
            self.forgotten = until;
        }
    }
}

fn dont_need(file: &File, part: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let Some(length) = std::num::NonZeroU64::new(part.end - part.start)
        && let Err(error) = rustix::fs::fadvise(file, part.start, Some(length), rustix::fs::Advice::DontNeed)
    {
        tracing::debug!(%error, "the system keeps a file in memory");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, part);
}

impl Sink {
    /// Begins a file. Nobody knows of it until it is committed, so it is written under its final name.
    pub(crate) fn create(
        store: &Store,
        location: &str,
        class: Option<&str>,
        runtime: &Handle,
        progress: Arc<Progress>,
    ) -> Result<Self> {
        let target = match store.local_path(location) {
            Some(path) => {
                let made = path
                    .parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| File::options().write(true).create_new(true).open(&path));
                let file = made.map_err(|e| failed(location, e))?;
                Target::Local { file, path, writeback: Writeback::default(), runtime: runtime.clone() }
            }
            None => {
                let (client, path) = store.resolve(location)?;
                let upload = BufWriter::with_capacity(client, path, PART)
                    .with_max_concurrency(PARTS_AT_ONCE)
                    .with_attributes(store.attributes(location, class));
                Target::Remote { upload: Box::new(upload), runtime: runtime.clone() }
            }
        };
        Ok(Self {
            target,
            buffer: Vec::with_capacity(BUFFER + (16 << 10)),
            progress,
            location: location.to_owned(),
            total: 0,
        })
    }

    /// Bytes taken so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Where the file is.
    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// Takes a part of a local file, whose cursor moves. Where this file is local as well, the kernel passes the bytes on
    /// (`copy_file_range`, which [`io::copy`] uses where it can): they never come to this process, and some file systems
    /// share them instead.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other file is too short, otherwise what either file says.
    pub(crate) fn copy(&mut self, mut from: &File, part: Range<u64>) -> io::Result<()> {
        from.seek(SeekFrom::Start(part.start))?;
        let mut left = part.end.saturating_sub(part.start);
        if matches!(self.target, Target::Local { .. }) {
            self.pass_on()?;
        }
        while left > 0 {
            let mut piece = from.take(left.min(SENT));
            let taken = match &mut self.target {
                Target::Local { file, writeback, .. } => {
                    let taken = io::copy(&mut piece, file)?;
                    writeback.wrote(file, taken);
                    self.progress.wrote(taken);
                    self.total += taken;
                    taken
                }
                Target::Remote { .. } => io::copy(&mut piece, self)?,
            };
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= taken;
        }
        Ok(())
    }

    /// Makes the file durable.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.pass_on().and_then(|()| self.settle()).map_err(|e| failed(&self.location, e))
    }

    fn settle(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Local { file, path, writeback, runtime } => {
                file.sync_all()?;
                // It takes a moment, in which the disk would have nothing to do: nobody waits for it.
                let (rest, file) = (writeback.forgotten..writeback.written, file.try_clone()?);
                drop(runtime.spawn_blocking(move || dont_need(&file, rest)));
                sync_name(path)
            }
            Target::Remote { upload, runtime } => runtime.block_on(upload.shutdown()),
        }
    }

    /// Gives up on the file. What is left of a local one is removed by name later.
    pub(crate) fn abort(&mut self) {
        if let Target::Remote { upload, runtime } = &mut self.target
            && let Err(error) = runtime.block_on(upload.abort())
        {
            tracing::debug!(file = self.location, %error, "nothing to abandon, or it could not be; parts expire by themselves");
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.progress.wrote(self.buffer.len() as u64);
        match &mut self.target {
            Target::Local { file, writeback, .. } => {
                file.write_all(&self.buffer)?;
                writeback.wrote(file, self.buffer.len() as u64);
                self.buffer.clear();
                Ok(())
            }
            Target::Remote { upload, runtime } => {
                let bytes = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER + (16 << 10)));
                runtime.block_on(upload.put(bytes.into())).map_err(io::Error::other)
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.total += bytes.len() as u64;
        if self.buffer.len() >= BUFFER {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Pages are flushed one by one; they are handed on in large pieces all the same.
        Ok(())
    }
}

/// The error for an output that could not be written.
pub(crate) fn failed(location: &str, error: io::Error) -> Error {
    let text = error.to_string();
    let (kind, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Kind::Exhausted, "free disk space, then run again: nothing was lost")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (Kind::InvalidInput, "check the rights on this location; `icewright doctor` tries each of them")
        }
        _ if text.contains("No space left") => (Kind::Exhausted, "free disk space, then run again: nothing was lost"),
        _ if text.contains("AccessDenied") || text.contains("403") => {
            (Kind::InvalidInput, "check the credentials and the rights on this location; try `icewright doctor`")
        }
        _ => (Kind::Unavailable, "storage did not take the file: run again later"),
    };
    Error::new(kind, format!("writing {location} failed")).hint(hint).caused_by(error)
}
