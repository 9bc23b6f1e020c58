//! The delta encodings (parquet-format, "Encodings"): numbers by their differences, byte arrays by their lengths.

use super::bits::pack_wide;
use super::compact::varint;
use super::dictionary::{Layout, copy_value, item};
use super::stop::{Result, damaged, unfit};

/// The block layout that every writer uses: 128 values in four miniblocks.
const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
/// What a page may become that says how its values repeat each other.
const LARGEST: usize = 256 << 20;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

/// Encodes little-endian integers of `W` bytes as DELTA_BINARY_PACKED.
pub(super) fn encode<const W: usize>(plain: &[u8], out: &mut Vec<u8>) {
    encode_numbers::<W, _>(plain.as_chunks::<W>().0, integer, out);
}

fn encode_numbers<const W: usize, T: Copy>(values: &[T], number: impl Fn(T) -> i64, out: &mut Vec<u8>) {
    varint(out, BLOCK as u64);
    varint(out, MINIBLOCKS as u64);
    varint(out, values.len() as u64);
    let mut last = values.first().map_or(0, |first| number(*first));
    varint(out, zigzag(last));
    let mut deltas = [0i64; BLOCK];
    for some in values.get(1..).unwrap_or_default().chunks(BLOCK) {
        for (delta, value) in deltas.iter_mut().zip(some) {
            let value = number(*value);
            *delta = difference::<W>(value, last);
            last = value;
        }
        block::<W>(&mut deltas, some.len(), out);
    }
}

/// Differences wrap in the width of the values: both sides do, so nothing is lost.
fn difference<const W: usize>(value: i64, last: i64) -> i64 {
    let delta = value.wrapping_sub(last);
    #[expect(clippy::cast_possible_truncation, reason = "wrapping is meant")]
    if W == 4 { i64::from(delta as i32) } else { delta }
}

fn block<const W: usize>(deltas: &mut [i64; BLOCK], filled: usize, out: &mut Vec<u8>) {
    let least = deltas[..filled].iter().copied().min().unwrap_or(0);
    deltas[filled..].fill(least);
    varint(out, zigzag(least));
    let above = deltas.map(|delta| {
        let above = delta.wrapping_sub(least).cast_unsigned();
        if W == 4 { above & u64::from(u32::MAX) } else { above }
    });
    let (minis, _) = above.as_chunks::<MINIBLOCK>();
    let widths = [0, 1, 2, 3].map(|mini: usize| 64 - minis[mini].iter().fold(0, |all, v| all | v).leading_zeros());
    let present = filled.div_ceil(MINIBLOCK);
    for (mini, width) in widths.iter().enumerate() {
        out.push(if mini < present { u8::try_from(*width).unwrap_or(64) } else { 0 });
    }
    for (mini, width) in minis.iter().zip(widths).take(present) {
        pack_wide(mini, width, out);
    }
}

/// Decodes `count` integers into little-endian ones of `W` bytes; all bytes must be used.
pub(super) fn decode<const W: usize>(bytes: &[u8], count: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut numbers = Vec::new();
    let used = decode_numbers::<W>(bytes, count, &mut numbers)?;
    if used != bytes.len() {
        return damaged("bytes after a page's last value");
    }
    out.reserve(numbers.len() * W);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()[..W]));
    Ok(())
}

/// Decodes numbers and says how many bytes they took.
fn decode_numbers<const W: usize>(bytes: &[u8], count: usize, out: &mut Vec<i64>) -> Result<usize> {
    if bytes.is_empty() && count == 0 {
        return Ok(0);
    }
    let mut at = 0;
    let block = read_size(bytes, &mut at)?;
    let minis = read_size(bytes, &mut at)?;
    let total = read_size(bytes, &mut at)?;
    let first = unzigzag(read_varint(bytes, &mut at)?);
    let mini = block.checked_div(minis).unwrap_or(0);
    let sane = block > 0 && block <= 1 << 16 && block.is_multiple_of(128) && mini.is_multiple_of(32) && mini > 0;
    if !sane || mini * minis != block || total != count {
        return damaged("a delta-encoded page has a head that can't be");
    }
    if count == 0 {
        return Ok(at);
    }
    out.push(first);
    let mut last = first;
    while out.len() < count {
        let least = unzigzag(read_varint(bytes, &mut at)?);
        let Some(widths) = bytes.get(at..at + minis) else { return damaged("delta-encoded values are cut off") };
        at += minis;
        for width in widths {
            if out.len() == count {
                break;
            }
            let (width, size) = (u32::from(*width), mini * usize::from(*width) / 8);
            let Some(packed) = bytes.get(at..).and_then(|rest| rest.get(..size)).filter(|_| width <= 64) else {
                return damaged("delta-encoded values are cut off");
            };
            at += size;
            let mut bits = Bits { bytes: packed, held: 0, left: 0 };
            for _ in 0..mini.min(count - out.len()) {
                let delta = bits.take(width).cast_signed().wrapping_add(least);
                last = last.wrapping_add(delta);
                #[expect(clippy::cast_possible_truncation, reason = "values of four bytes wrap in four bytes")]
                if W == 4 {
                    last = i64::from(last as i32);
                }
                out.push(last);
            }
        }
    }
    Ok(at)
}

/// Reads values of any width, lowest bits first.
struct Bits<'a> {
    bytes: &'a [u8],
    held: u128,
    left: u32,
}

impl Bits<'_> {
    fn take(&mut self, width: u32) -> u64 {
        if self.left < width {
            let (word, size) = match self.bytes.split_first_chunk::<8>() {
                Some((word, rest)) => {
                    self.bytes = rest;
                    (u64::from_le_bytes(*word), 64)
                }
                None => {
                    let word = self.bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
                    self.bytes = &[];
                    (word, 64)
                }
            };
            self.held |= u128::from(word) << self.left;
            self.left += size;
        }
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        #[expect(clippy::cast_possible_truncation, reason = "masked")]
        let value = (self.held as u64) & mask;
        self.held >>= width;
        self.left -= width;
        value
    }
}

/// Encodes PLAIN byte arrays as DELTA_LENGTH_BYTE_ARRAY.
pub(super) fn encode_bytes(plain: &[u8], count: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut lengths: Vec<u32> = Vec::with_capacity(count);
    let mut at = 0;
    for _ in 0..count {
        let size = item(plain, at)?;
        lengths.push(u32::try_from(size - 4).or_else(|_| damaged("a value is too long"))?);
        at += size;
    }
    encode_numbers::<4, _>(&lengths, i64::from, out);
    let (mut from, mut to) = (0, out.len());
    out.resize(to + at - 4 * count, 0);
    for length in lengths {
        let length = length as usize;
        copy_value(&plain[from + 4..], &mut out[to..], length);
        from += length + 4;
        to += length;
    }
    Ok(())
}

/// Decodes DELTA_LENGTH_BYTE_ARRAY into PLAIN.
pub(super) fn decode_bytes(bytes: &[u8], count: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut lengths = Vec::new();
    let mut at = decode_numbers::<4>(bytes, count, &mut lengths)?;
    for length in lengths {
        let value = usize::try_from(length).ok().and_then(|length| bytes.get(at..)?.get(..length));
        let Some(value) = value else { return damaged("a value is longer than its page") };
        at += value.len();
        push(value, out);
    }
    if at != bytes.len() {
        return damaged("bytes after a page's last value");
    }
    Ok(())
}

/// Decodes DELTA_BYTE_ARRAY (values by what they share with the one before) into PLAIN of a layout.
pub(super) fn decode_prefixed(bytes: &[u8], layout: Layout, count: usize, out: &mut Vec<u8>) -> Result<()> {
    let (mut prefixes, mut suffixes) = (Vec::new(), Vec::new());
    let mut at = decode_numbers::<4>(bytes, count, &mut prefixes)?;
    at += decode_numbers::<4>(&bytes[at..], count, &mut suffixes)?;
    let mut last: Vec<u8> = Vec::new();
    for (prefix, suffix) in prefixes.into_iter().zip(suffixes) {
        let shared = usize::try_from(prefix).ok().filter(|shared| *shared <= last.len());
        let rest = usize::try_from(suffix).ok().and_then(|length| bytes.get(at..)?.get(..length));
        let (Some(shared), Some(rest)) = (shared, rest) else { return damaged("a value is longer than its page") };
        at += rest.len();
        last.truncate(shared);
        last.extend_from_slice(rest);
        if out.len() + last.len() > LARGEST {
            return unfit("a page that becomes very large");
        }
        match layout {
            Layout::Bytes => push(&last, out),
            Layout::Fixed(width) if width == last.len() => out.extend_from_slice(&last),
            Layout::Fixed(_) => return damaged("a value of another length than its column's"),
        }
    }
    if at != bytes.len() {
        return damaged("bytes after a page's last value");
    }
    Ok(())
}

fn push(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(value);
}

fn integer<const W: usize>(bytes: [u8; W]) -> i64 {
    let mut wide = [if bytes[W - 1] & 0x80 == 0 { 0 } else { 0xff }; 8];
    wide[..W].copy_from_slice(&bytes);
    i64::from_le_bytes(wide)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn read_size(bytes: &[u8], at: &mut usize) -> Result<usize> {
    usize::try_from(read_varint(bytes, at)?).or_else(|_| damaged("a count is out of range"))
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let Some(byte) = bytes.get(*at) else { return damaged("delta-encoded values are cut off") };
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    damaged("a number does not end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_decode_the_numbers_it_encodes(
            longs in prop::collection::vec(prop_oneof![any::<i64>(), -5i64..5, Just(i64::MIN)], 0..400),
            ints in prop::collection::vec(prop_oneof![any::<i32>(), 0i32..3], 0..400),
        ) {
            let plain: Vec<u8> = longs.iter().flat_map(|n| n.to_le_bytes()).collect();
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            encode::<8>(&plain, &mut bytes);
            prop_assert_eq!(decode::<8>(&bytes, longs.len(), &mut back), Ok(()));
            prop_assert_eq!(back, plain);
            let plain: Vec<u8> = ints.iter().flat_map(|n| n.to_le_bytes()).collect();
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            encode::<4>(&plain, &mut bytes);
            prop_assert_eq!(decode::<4>(&bytes, ints.len(), &mut back), Ok(()));
            prop_assert_eq!(back, plain);
        }

        #[test]
        fn should_decode_the_byte_arrays_it_encodes(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..300)) {
            let mut plain = Vec::new();
            values.iter().for_each(|value| push(value, &mut plain));
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            prop_assert_eq!(encode_bytes(&plain, values.len(), &mut bytes), Ok(()));
            prop_assert_eq!(decode_bytes(&bytes, values.len(), &mut back), Ok(()));
            prop_assert_eq!(back, plain);
        }

        #[test]
        fn should_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..300) {
            let mut out = Vec::new();
            let _ = decode::<8>(&bytes, count, &mut out);
            let _ = decode_bytes(&bytes, count, &mut out);
            let _ = decode_prefixed(&bytes, Layout::Bytes, count, &mut out);
        }
    }
}
