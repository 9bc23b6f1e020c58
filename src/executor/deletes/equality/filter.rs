//! A bloom filter in blocks of half a cache line: whether a key was never added is told by one look at memory.

/// An odd number with many bits set (the golden ratio's).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits a key: about one key in a hundred passes wrongly.
const BITS_PER_KEY: u64 = 12;
/// Bits of a hash that choose a bit of one word.
const BITS_OF_WORD: u32 = 6;

/// Four words, one bit of a key in each.
pub(super) type Block = [u64; 4];

/// How many blocks suit so many keys.
pub(super) fn blocks(keys: u64) -> u64 {
    keys.saturating_mul(BITS_PER_KEY).div_ceil(8 * size_of::<Block>() as u64).max(1)
}

/// Says of a hash that it was never added, or that it may have been.
#[derive(Debug)]
pub(super) struct Filter<'p> {
    blocks: &'p mut [Block],
}

impl<'p> Filter<'p> {
    /// A filter in these blocks, all of them zero.
    pub(super) fn new(blocks: &'p mut [Block]) -> Self {
        Self { blocks }
    }

    fn block(&self, hash: u64) -> usize {
        // Keys of one partition have the upper bits of their hashes in common.
        let block = ((hash.wrapping_mul(SPREAD) >> 32) * self.blocks.len() as u64) >> 32;
        usize::try_from(block).unwrap_or(0)
    }

    /// Adds a hash.
    pub(super) fn add(&mut self, hash: u64) {
        let block = self.block(hash);
        let bits = bits(hash);
        for (word, bit) in self.blocks[block].iter_mut().zip(bits) {
            *word |= bit;
        }
    }

    /// Whether a hash may have been added.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let missing = self.blocks[self.block(hash)].iter().zip(bits(hash)).map(|(word, bit)| bit & !word);
        missing.fold(0, |all, word| all | word) == 0
    }
}

/// One bit a word, by the lower bits of a hash.
fn bits(hash: u64) -> Block {
    [0, 1, 2, 3].map(|word| 1 << ((hash >> (word * BITS_OF_WORD)) & (u64::from(u64::BITS) - 1)))
}

#[cfg(test)]
mod tests {
    use super::super::hashed::hash;
    use super::*;

    #[test]
    fn should_pass_every_key_and_few_others() {
        // Keys of one of 256 partitions.
        let hashes: Vec<u64> = (0..40_000u32).map(|n| hash(&n.to_le_bytes()) >> 8).collect();
        let (added, others) = hashes.split_at(20_000);
        for size in [blocks(20_000), blocks(2_000)] {
            let mut memory = vec![Block::default(); usize::try_from(size).unwrap()];
            let mut filter = Filter::new(&mut memory);
            added.iter().for_each(|hash| filter.add(*hash));
            assert!(added.iter().all(|hash| filter.may_have(*hash)));
            let wrong = others.iter().filter(|hash| filter.may_have(**hash)).count();
            assert!(size < blocks(20_000) || wrong < 400, "{wrong} of 20,000");
        }
    }
}
