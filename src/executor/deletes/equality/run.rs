//! Entries one after another, in memory or on disk.

use super::layout::{Entry, Layout};
use super::pool::{Chunk, Pool};
use crate::error::Result;
use crate::lake::{SpillBlock, SpillBlocks};

/// What all runs share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a, 'p> {
    pub(super) layout: Layout,
    pub(super) pool: &'a Pool<'p>,
    pub(super) disk: &'a SpillBlocks,
}

/// A run of entries. It moves to disk when there is no memory left, and keeps one chunk as its buffer then.
#[derive(Debug)]
pub(super) struct Run<'p> {
    chunks: Vec<Chunk<'p>>,
    blocks: Vec<SpillBlock>,
    on_disk: bool,
}

impl<'p> Run<'p> {
    /// An empty run in a chunk of its own.
    pub(super) fn new(chunk: Chunk<'p>) -> Self {
        Self { chunks: vec![chunk], blocks: Vec::new(), on_disk: false }
    }

    /// An empty run that is on disk, with a buffer.
    pub(super) fn on_disk(buffer: Chunk<'p>) -> Self {
        Self { on_disk: true, ..Self::new(buffer) }
    }

    /// Whether it is on disk, or begins to be.
    pub(super) fn is_on_disk(&self) -> bool {
        self.on_disk
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, place: &Place<'_, 'p>, head: &[u8], key: &[u8]) -> Result<()> {
        let Place { layout, pool, disk } = *place;
        let length = layout.length(key);
        if length > pool.chunk() {
            let mut bytes = vec![0; length];
            layout.write(head, key, &mut bytes);
            // It is as good as on disk: such keys are not what memory is divided for.
            self.spill(place)?;
            self.blocks.push(disk.write(&bytes)?);
            return Ok(());
        }
        loop {
            if let Some(room) = self.chunks.last_mut().and_then(|chunk| chunk.extend(length)) {
                layout.write(head, key, room);
                return Ok(());
            }
            match if self.on_disk { None } else { pool.take() } {
                Some(chunk) => self.chunks.push(chunk),
                None => self.spill(place)?,
            }
        }
    }

    /// Moves everything to disk, except for one empty chunk.
    pub(super) fn spill(&mut self, place: &Place<'_, 'p>) -> Result<()> {
        self.on_disk = true;
        for chunk in &mut self.chunks {
            if !chunk.bytes().is_empty() {
                self.blocks.push(place.disk.write(chunk.bytes())?);
                chunk.clear();
            }
        }
        place.pool.give(self.chunks.drain(1..));
        Ok(())
    }

    /// What is in memory.
    pub(super) fn into_chunks(self) -> Vec<Chunk<'p>> {
        self.chunks
    }

    /// What is on disk, once everything is, and the buffer.
    pub(super) fn into_blocks(mut self, place: &Place<'_, 'p>) -> Result<(Vec<SpillBlock>, Option<Chunk<'p>>)> {
        self.spill(place)?;
        Ok((self.blocks, self.chunks.pop()))
    }
}

/// Hands on entries on disk in the order in which they were written.
pub(super) fn read(
    blocks: &[SpillBlock],
    layout: Layout,
    disk: &SpillBlocks,
    mut take: impl FnMut(Entry<'_>) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::new();
    for block in blocks {
        disk.read(*block, &mut bytes)?;
        layout.entries(&bytes).try_for_each(|(_, entry)| take(entry))?;
    }
    Ok(())
}
