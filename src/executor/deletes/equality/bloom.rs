//! A bloom filter in blocks of one cache line half, as Parquet's.

/// Eight odd numbers (Parquet format, "Split Block Bloom Filter").
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];
/// An odd number with many bits set (the golden ratio's).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits a key: about one key in two hundred passes wrongly.
const BITS_PER_KEY: u64 = 12;

/// Says of a hash that it was never added, or that it may have been.
#[derive(Debug)]
pub(super) struct Bloom {
    blocks: Vec<[u32; 8]>,
}

impl Bloom {
    /// A filter for so many keys within so many bytes.
    pub(super) fn new(keys: u64, most_bytes: u64) -> Self {
        let bytes = keys.saturating_mul(BITS_PER_KEY).div_ceil(8).min(most_bytes);
        let blocks = usize::try_from(bytes.div_ceil(32)).unwrap_or(1).max(1);
        Self { blocks: vec![[0; 8]; blocks] }
    }

    fn place(&self, hash: u64) -> (usize, [u32; 8]) {
        // Keys of one partition have the upper bits of their hashes in common.
        let block = ((hash.wrapping_mul(SPREAD) >> 32) * self.blocks.len() as u64) >> 32;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash")]
        let low = hash as u32;
        let bits = SALT.map(|salt| 1u32 << (low.wrapping_mul(salt) >> 27));
        (usize::try_from(block).unwrap_or(0), bits)
    }

    /// Adds a hash.
    pub(super) fn add(&mut self, hash: u64) {
        let (block, bits) = self.place(hash);
        for (word, bit) in self.blocks[block].iter_mut().zip(bits) {
            *word |= bit;
        }
    }

    /// Whether a hash may have been added.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let (block, bits) = self.place(hash);
        self.blocks[block].iter().zip(bits).all(|(word, bit)| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use twox_hash::XxHash64;

    use super::*;

    #[test]
    fn should_pass_every_key_and_few_others() {
        let hash = |n: u32| XxHash64::oneshot(3, &n.to_le_bytes()) >> 8;
        for bytes in [u64::MAX, 4096] {
            let mut bloom = Bloom::new(20_000, bytes);
            (0..20_000).for_each(|n| bloom.add(hash(n)));
            assert!((0..20_000).all(|n| bloom.may_have(hash(n))));
            let wrong = (20_000..40_000).filter(|n| bloom.may_have(hash(*n))).count();
            assert!(bytes == 4096 || wrong < 400, "{wrong} of 20,000");
        }
    }
}
