//! Bit packing, 32 values at a time: the widths are compile-time constants, so that the loops unroll.

/// Values in one block.
pub(super) const BLOCK: usize = 32;

/// Unpacks whole blocks of `width`-bit values; `bytes` holds `width × 4` bytes for each.
pub(super) fn unpack(bytes: &[u8], width: u32, out: &mut [u32]) {
    macro_rules! dispatch {
        ($($w:literal)*) => {
            match width {
                0 => out.fill(0),
                $($w => unpack_all::<$w>(bytes, out),)*
                _ => {}
            }
        };
    }
    dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

/// Packs whole blocks into `width`-bit values and appends them.
pub(super) fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    macro_rules! dispatch {
        ($($w:literal)*) => {
            match width {
                $($w => pack_all::<$w>(values, out),)*
                _ => {}
            }
        };
    }
    dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
}

fn unpack_all<const W: usize>(bytes: &[u8], out: &mut [u32]) {
    let (blocks, _) = out.as_chunks_mut::<BLOCK>();
    for (block, packed) in blocks.iter_mut().zip(bytes.chunks_exact(W * 4)) {
        let mut words = [0u32; BLOCK + 1];
        for (word, bytes) in words.iter_mut().zip(packed.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mask = if W == 32 { u32::MAX } else { (1u32 << (W % 32)) - 1 };
        for (index, value) in block.iter_mut().enumerate() {
            let (word, shift) = (index * W / 32, index * W % 32);
            let both = u64::from(words[word]) | (u64::from(words[word + 1]) << 32);
            #[expect(clippy::cast_possible_truncation, reason = "masked to 32 bits")]
            let low = (both >> shift) as u32;
            *value = low & mask;
        }
    }
}

fn pack_all<const W: usize>(values: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    let (blocks, _) = values.as_chunks::<BLOCK>();
    out.resize(start + blocks.len() * W * 4, 0);
    for (block, packed) in blocks.iter().zip(out[start..].chunks_exact_mut(W * 4)) {
        let mut words = [0u32; BLOCK + 1];
        let mask = if W == 32 { u32::MAX } else { (1u32 << (W % 32)) - 1 };
        for (index, value) in block.iter().enumerate() {
            let (word, shift) = (index * W / 32, index * W % 32);
            let both = u64::from(value & mask) << shift;
            #[expect(clippy::cast_possible_truncation, reason = "the lower and the upper half")]
            let (low, high) = (both as u32, (both >> 32) as u32);
            words[word] |= low;
            words[word + 1] |= high;
        }
        for (bytes, word) in packed.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
    }
}

/// How many bits the largest value needs.
pub(super) fn width_of(largest: u32) -> u32 {
    32 - largest.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_unpack_what_it_packs(width in 1u32..=32, values in prop::collection::vec(any::<u32>(), 0..5)) {
            let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            let blocks: Vec<u32> = values
                .iter()
                .flat_map(|value| (0u32..32).map(move |n| value.wrapping_mul(n * 2 + 1).rotate_left(n) & mask))
                .collect();
            let mut packed = Vec::new();
            pack(&blocks, width, &mut packed);
            prop_assert_eq!(packed.len(), blocks.len() * width as usize / 8);
            let mut back = vec![0; blocks.len()];
            unpack(&packed, width, &mut back);
            prop_assert_eq!(back, blocks);
        }
    }
}
