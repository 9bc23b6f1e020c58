//! The bytes of finished pages, in blocks that are used again: a column chunk of many megabytes in one piece would be
//! copied while it grows, and taken from the system and given back for every column of every row group.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size of a block.
const BLOCK: usize = 256 << 10;

/// Blocks that nobody uses at the moment. There are never more than were in use at one time.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Free>);

#[derive(Debug, Default)]
struct Free {
    blocks: Vec<Vec<u8>>,
    dissolved: bool,
}

impl Pool {
    fn free(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        let free = self.free().blocks.pop();
        free.unwrap_or_else(|| Vec::with_capacity(BLOCK))
    }

    /// Few will be asked for any more: what is free, or becomes free, is for others.
    pub(crate) fn dissolve(&self) {
        let mut free = self.free();
        free.dissolved = true;
        free.blocks = Vec::new();
    }
}

/// Bytes in blocks, all of them full but the last.
#[derive(Debug)]
pub(super) struct Blocks {
    pool: Arc<Pool>,
    blocks: Vec<Vec<u8>>,
    len: usize,
}

impl Blocks {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, blocks: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let block = match self.blocks.last_mut() {
                Some(block) if block.len() < BLOCK => block,
                _ => {
                    self.blocks.push(self.pool.take());
                    continue;
                }
            };
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
            block.extend_from_slice(now);
            bytes = later;
        }
    }

    /// What lies at a place, as far as it is in one block.
    fn at(&self, place: usize) -> &[u8] {
        self.blocks.get(place / BLOCK).and_then(|block| block.get(place % BLOCK..)).unwrap_or_default()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let mut free = self.pool.free();
        if !free.dissolved {
            self.blocks.iter_mut().for_each(Vec::clear);
            free.blocks.append(&mut self.blocks);
        }
    }
}

/// Reads blocks from a place on.
pub(super) struct Reader {
    pub(super) blocks: Arc<Blocks>,
    pub(super) at: usize,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.blocks.at(self.at).read(out)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_give_back_the_bytes_and_then_the_blocks() {
        let pool = Arc::new(Pool::default());
        let bytes: Vec<u8> = (0..BLOCK * 2 + 100).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for round in 0..4 {
            let mut blocks = Blocks::new(pool.clone());
            bytes.chunks(70_001).for_each(|some| blocks.append(some));
            assert_eq!(blocks.len(), bytes.len());
            let (mut back, blocks) = (Vec::new(), Arc::new(blocks));
            Reader { blocks, at: 5 }.read_to_end(&mut back).unwrap();
            assert!(back == bytes[5..]);
            let kept = if round < 3 { 3 } else { 0 };
            assert_eq!(pool.free().blocks.len(), kept, "they were used again, until there was no more use");
            if round == 2 {
                pool.dissolve();
            }
        }
    }
}
