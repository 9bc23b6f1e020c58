//! Memory for keys, in chunks of one size.
//!
//! It is taken from the system in one piece, and given back in one: what an allocator would keep of many small pieces does
//! not add to it. Pages that were never touched cost nothing.

use std::sync::{Mutex, PoisonError};

/// Chunks that nobody uses.
#[derive(Debug)]
pub(super) struct Pool<'p> {
    free: Mutex<Vec<&'p mut [u8]>>,
    chunk: usize,
}

/// Bytes that are filled from the front.
#[derive(Debug)]
pub(super) struct Chunk<'p> {
    room: Room<'p>,
    used: usize,
}

#[derive(Debug)]
enum Room<'p> {
    Pooled(&'p mut [u8]),
    /// For a key that is longer than a chunk, and for what comes back from disk.
    Own(Vec<u8>),
}

impl<'p> Pool<'p> {
    /// Divides memory into chunks.
    pub(super) fn new(memory: &'p mut [u8], chunk: usize) -> Self {
        let mut free: Vec<&mut [u8]> = memory.chunks_exact_mut(chunk).collect();
        // Chunks are taken from the end.
        free.reverse();
        Self { free: Mutex::new(free), chunk }
    }

    /// Bytes of a chunk.
    pub(super) fn chunk(&self) -> usize {
        self.chunk
    }

    /// A free chunk; `None` when all are in use.
    pub(super) fn take(&self) -> Option<Chunk<'p>> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Chunk { room: Room::Pooled(free), used: 0 })
    }

    /// Takes chunks back.
    pub(super) fn give(&self, chunks: impl IntoIterator<Item = Chunk<'p>>) {
        let pooled = chunks.into_iter().filter_map(|chunk| match chunk.room {
            Room::Pooled(bytes) => Some(bytes),
            Room::Own(_) => None,
        });
        self.free.lock().unwrap_or_else(PoisonError::into_inner).extend(pooled);
    }
}

impl Chunk<'_> {
    /// A chunk of its own memory, full.
    pub(super) fn own(bytes: Vec<u8>) -> Self {
        Self { used: bytes.len(), room: Room::Own(bytes) }
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.room {
            Room::Pooled(bytes) => &bytes[..self.used],
            Room::Own(bytes) => bytes,
        }
    }

    /// What was written, to be changed.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.room {
            Room::Pooled(bytes) => &mut bytes[..self.used],
            Room::Own(bytes) => bytes,
        }
    }

    /// Room for so many bytes more, if there is.
    pub(super) fn extend(&mut self, length: usize) -> Option<&mut [u8]> {
        let Room::Pooled(bytes) = &mut self.room else { return None };
        let end = self.used.checked_add(length)?;
        let room = bytes.get_mut(self.used..end)?;
        self.used = end;
        Some(room)
    }

    /// Forgets what was written.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }
}
