//! Bit packing, 32 values at a time (parquet-format, "Encodings": lowest bits first).
//!
//! Values meet in pairs, or in fours where these fit into 64 bits, before they come to their place among the packed
//! words: each place waits for the one before it, pairs and fours are made side by side. Widths are constants of the
//! compiler and the steps of a block are written out, so that all places and shifts are known when it is built.

/// Values in one block.
pub(super) const BLOCK: usize = 32;

/// Calls a function with the width as a constant.
macro_rules! with_width {
    ($width:expr, $call:ident $arguments:tt, $($w:literal)*) => {
        match $width {
            $($w => $call::<$w> $arguments,)*
            _ => {}
        }
    };
}

/// The steps of a block, one for each pair of values. A loop would not be unrolled.
macro_rules! each_pair {
    ($step:ident) => {
        each_pair!($step: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($step:ident: $($pair:literal)*) => {
        $($step!($pair);)*
    };
}

/// Unpacks whole blocks of `width`-bit values; `bytes` holds `width × 4` bytes for each.
pub(super) fn unpack(bytes: &[u8], width: u32, out: &mut [u32]) {
    if width == 0 {
        out.fill(0);
    }
    with_width!(width, unpack_all(bytes, out), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28
        29 30 31 32);
}

/// Packs whole blocks into `width`-bit values and appends them.
pub(super) fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    with_width!(width, pack_all(values, out), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28
        29 30 31 32);
}

/// Packs one block of values that have up to 64 bits, and no more than `width`.
pub(super) fn pack_wide(values: &[u64; BLOCK], width: u32, out: &mut Vec<u8>) {
    with_width!(width, pack_wide_block(values, out), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26
        27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64);
}

fn unpack_all<const W: usize>(bytes: &[u8], out: &mut [u32]) {
    let mask = mask::<W>();
    let (blocks, _) = out.as_chunks_mut::<BLOCK>();
    for (block, packed) in blocks.iter_mut().zip(bytes.chunks_exact(W * 4)) {
        let mut words = [0u64; BLOCK / 2 + 1];
        let (whole, half) = packed.as_chunks::<8>();
        for (word, bytes) in words.iter_mut().zip(whole) {
            *word = u64::from_le_bytes(*bytes);
        }
        if let Some(last) = half.first_chunk::<4>() {
            words[W / 2] = u32::from_le_bytes(*last).into();
        }
        let mut pairs = [0u64; BLOCK / 2];
        if W <= 16 {
            for (four, two) in pairs.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let bits = get(&words, four * 4 * W, 4 * W);
                *two = [bits, bits >> (2 * W % 64)];
            }
        } else {
            for (number, pair) in pairs.iter_mut().enumerate() {
                *pair = get(&words, number * 2 * W, 2 * W);
            }
        }
        for (two, pair) in block.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            #[expect(clippy::cast_possible_truncation, reason = "masked to 32 bits")]
            let values = [(pair & mask) as u32, ((pair >> W) & mask) as u32];
            *two = values;
        }
    }
}

fn pack_all<const W: usize>(values: &[u32], out: &mut Vec<u8>) {
    let mask = mask::<W>();
    let start = out.len();
    let (blocks, _) = values.as_chunks::<BLOCK>();
    out.resize(start + blocks.len() * W * 4, 0);
    for (block, packed) in blocks.iter().zip(out[start..].chunks_exact_mut(W * 4)) {
        let mut pairs = [0u64; BLOCK / 2];
        for (pair, two) in pairs.iter_mut().zip(block.as_chunks::<2>().0) {
            *pair = (u64::from(two[0]) & mask) | ((u64::from(two[1]) & mask) << W);
        }
        let mut words = [0u64; BLOCK / 2 + 1];
        put_pairs::<W, _>(&mut words, &pairs);
        store::<W>(&words, packed);
    }
}

fn pack_wide_block<const W: usize>(values: &[u64; BLOCK], out: &mut Vec<u8>) {
    let mut words = [0u64; BLOCK + 1];
    if W <= 32 {
        let mut pairs = [0u64; BLOCK / 2];
        for (pair, two) in pairs.iter_mut().zip(values.as_chunks::<2>().0) {
            *pair = two[0] | (two[1] << (W % 64));
        }
        put_pairs::<W, _>(&mut words, &pairs);
    } else {
        macro_rules! step {
            ($pair:literal) => {
                put(&mut words, 2 * $pair * W, values[2 * $pair], W);
                put(&mut words, (2 * $pair + 1) * W, values[2 * $pair + 1], W)
            };
        }
        each_pair!(step);
    }
    let start = out.len();
    out.resize(start + W * 4, 0);
    store::<W>(&words, &mut out[start..]);
}

/// The lowest bits of a value of up to 32.
fn mask<const W: usize>() -> u64 {
    (1 << W) - 1
}

/// So many bits from a place on, and whatever follows them.
#[inline(always)]
fn get(words: &[u64; BLOCK / 2 + 1], bit: usize, width: usize) -> u64 {
    let (word, shift) = (bit / 64, bit % 64);
    let low = words[word] >> shift;
    if shift + width > 64 { low | (words[word + 1] << (64 - shift)) } else { low }
}

/// Puts bits to a place where there are none yet.
#[inline(always)]
fn put<const N: usize>(words: &mut [u64; N], bit: usize, value: u64, width: usize) {
    let (word, shift) = (bit / 64, bit % 64);
    words[word] |= value << shift;
    if shift + width > 64 {
        words[word + 1] |= value >> (64 - shift);
    }
}

/// Puts the pairs of a block to their places.
#[inline(always)]
fn put_pairs<const W: usize, const N: usize>(words: &mut [u64; N], pairs: &[u64; BLOCK / 2]) {
    macro_rules! step {
        ($pair:literal) => {
            put(words, $pair * 2 * W, pairs[$pair], 2 * W)
        };
    }
    each_pair!(step);
}

/// Writes the words of a block, which has `W × 4` bytes.
#[inline(always)]
fn store<const W: usize>(words: &[u64], packed: &mut [u8]) {
    let (whole, half) = packed.as_chunks_mut::<8>();
    for (to, word) in whole.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    if let (Some(half), Some(low)) = (half.first_chunk_mut::<4>(), words[W / 2].to_le_bytes().first_chunk::<4>()) {
        *half = *low;
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

        #[test]
        fn should_place_every_bit_where_the_format_has_it(width in 1u32..=64, seed in any::<u64>()) {
            let mask = u64::MAX >> (64 - width);
            let values: [u64; BLOCK] = std::array::from_fn(|n| seed.wrapping_mul(2 * n as u64 + 1).rotate_left(n as u32) & mask);
            let mut expected = vec![0u8; width as usize * 4];
            for (n, value) in values.iter().enumerate() {
                for bit in (0..width as usize).filter(|bit| value >> bit & 1 == 1) {
                    let at = n * width as usize + bit;
                    expected[at / 8] |= 1 << (at % 8);
                }
            }
            let mut packed = Vec::new();
            pack_wide(&values, width, &mut packed);
            prop_assert_eq!(&packed, &expected);
            if width <= 32 {
                let narrow: Vec<u32> = values.iter().map(|value| u32::try_from(*value).unwrap()).collect();
                packed.clear();
                pack(&narrow, width, &mut packed);
                prop_assert_eq!(packed, expected);
            }
        }
    }
}
