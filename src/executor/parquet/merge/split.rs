//! BYTE_STREAM_SPLIT, and booleans as bits.

use super::stop::{Result, damaged, unfit};

/// Takes values of `width` bytes apart into one stream a byte.
pub(super) fn split(plain: &[u8], width: usize, out: &mut Vec<u8>) {
    match width {
        4 => split_fixed::<4>(plain, out),
        8 => split_eight(plain, out),
        _ => (0..width).for_each(|byte| out.extend(plain.chunks_exact(width).map(|value| value[byte]))),
    }
}

/// The streams of a fixed width: a block of values at a time, so that values are read from the cache once.
fn split_fixed<const W: usize>(plain: &[u8], out: &mut Vec<u8>) {
    let (values, _) = plain.as_chunks::<W>();
    let start = out.len();
    out.resize(start + values.len() * W, 0);
    let target = &mut out[start..];
    for (block, at) in values.chunks(1024).zip((0..).step_by(1024)) {
        for byte in 0..W {
            let stream = &mut target[byte * values.len() + at..][..block.len()];
            for (to, value) in stream.iter_mut().zip(block) {
                *to = value[byte];
            }
        }
    }
}

/// The streams of values of eight bytes, eight of them at a time: they are a square of bytes, which is turned.
fn split_eight(plain: &[u8], out: &mut Vec<u8>) {
    let (squares, rest) = plain.as_chunks::<64>();
    let count = plain.len() / 8;
    let start = out.len();
    out.resize(start + count * 8, 0);
    let target = &mut out[start..];
    for (number, square) in squares.iter().enumerate() {
        for (byte, stream) in turned(square).iter().enumerate() {
            target[byte * count + number * 8..][..8].copy_from_slice(&stream.to_le_bytes());
        }
    }
    for (at, value) in rest.as_chunks::<8>().0.iter().enumerate() {
        for (byte, bits) in value.iter().enumerate() {
            target[byte * count + squares.len() * 8 + at] = *bits;
        }
    }
}

/// Turns a square of bytes: blocks of four by four change places, then of two by two, then single bytes (H. S. Warren,
/// "Hacker's Delight", 7-3, for bytes instead of bits).
fn turned(square: &[u8; 64]) -> [u64; 8] {
    let mut rows = [0u64; 8];
    for (row, bytes) in rows.iter_mut().zip(square.as_chunks::<8>().0) {
        *row = u64::from_le_bytes(*bytes);
    }
    for (step, mask) in [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ffu64)] {
        for row in (0..8).filter(|row| row & step == 0) {
            let (upper, lower) = (rows[row], rows[row + step]);
            rows[row] = (upper & mask) | ((lower & mask) << (8 * step));
            rows[row + step] = ((upper >> (8 * step)) & mask) | (lower & !mask);
        }
    }
    rows
}

/// Puts `count` values of `width` bytes together again.
pub(super) fn join(streams: &[u8], width: usize, count: usize, out: &mut Vec<u8>) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    match count.checked_mul(width) {
        Some(size) if size == streams.len() => {}
        Some(size) if size < streams.len() => return unfit("bytes after a page's last value"),
        _ => return damaged("a page has fewer values than it says"),
    }
    let start = out.len();
    out.resize(start + streams.len(), 0);
    for (byte, stream) in streams.chunks_exact(count).enumerate() {
        for (to, from) in out[start + byte..].iter_mut().step_by(width).zip(stream) {
            *to = *from;
        }
    }
    Ok(())
}

/// One byte for every bit.
pub(super) fn unpack_bools(bits: &[u8], count: usize, out: &mut Vec<u8>) -> Result<()> {
    if bits.len() < count.div_ceil(8) {
        return damaged("booleans are cut off");
    }
    out.extend((0..count).map(|at| (bits[at / 8] >> (at % 8)) & 1));
    Ok(())
}

/// One bit for every byte.
pub(super) fn pack_bools(bools: &[u8], out: &mut Vec<u8>) {
    out.extend(
        bools.chunks(8).map(|eight| eight.iter().enumerate().fold(0, |bits, (at, one)| bits | ((one & 1) << at))),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_join_what_it_splits(width in 1usize..20, count in 0usize..2_100) {
            let plain: Vec<u8> = (0..width * count).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect();
            let mut streams = Vec::new();
            split(&plain, width, &mut streams);
            let mut back = Vec::new();
            prop_assert_eq!(join(&streams, width, count, &mut back), Ok(()));
            prop_assert_eq!(back, plain);
        }

        #[test]
        fn should_unpack_the_bits_it_packs(bools in prop::collection::vec(0u8..2, 0..50)) {
            let (mut bits, mut back) = (Vec::new(), Vec::new());
            pack_bools(&bools, &mut bits);
            prop_assert_eq!(unpack_bools(&bits, bools.len(), &mut back), Ok(()));
            prop_assert_eq!(back, bools);
        }
    }
}
