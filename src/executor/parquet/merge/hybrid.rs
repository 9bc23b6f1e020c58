//! The RLE / bit-packing hybrid of levels and dictionary indices (parquet-format, "Encodings").

use super::bits::{BLOCK, pack, unpack};
use super::compact::varint;
use super::stop::{Result, damaged};

/// Values in one bit-packed run that is written: its header stays one byte, as every writer keeps it.
const PACKED_RUN: usize = 480;
/// A run of equal values is worth leaving the packed ones for.
const WORTH_A_RUN: usize = 24;

/// Decodes `count` values of `width` bits and appends them.
pub(super) fn decode(bytes: &[u8], width: u32, count: usize, out: &mut Vec<u32>) -> Result<()> {
    if width > 32 {
        return damaged("a bit width is above 32");
    }
    let end = out.len() + count;
    out.reserve(count);
    let mut at = 0;
    while out.len() < end {
        let header = read_varint(bytes, &mut at)?;
        let left = end - out.len();
        if header & 1 == 0 {
            let run = usize::try_from(header >> 1).unwrap_or(usize::MAX).min(left);
            let length = width.div_ceil(8) as usize;
            let Some(value) = bytes.get(at..at + length) else { return damaged("a run of values is cut off") };
            let value = value.iter().rev().fold(0u32, |value, byte| (value << 8) | u32::from(*byte));
            at += length;
            if run == 0 {
                return damaged("a run of no values");
            }
            out.resize(out.len() + run, value);
        } else {
            let groups = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            // Some writers leave out the padding of the very last group.
            let present = (bytes.len() - at).saturating_mul(8) / width.max(1) as usize;
            let run = groups.saturating_mul(8).min(left);
            if run == 0 || (width > 0 && run > present) {
                return damaged("a run of packed values is cut off");
            }
            unpack_run(&bytes[at..], width, run, out);
            at = at.saturating_add(groups.saturating_mul(width as usize)).min(bytes.len());
        }
    }
    Ok(())
}

/// The value that all `count` values have, if one run says so.
pub(super) fn single_run(bytes: &[u8], width: u32, count: usize) -> Option<u32> {
    let mut at = 0;
    let header = read_varint(bytes, &mut at).ok()?;
    if header & 1 == 1 || usize::try_from(header >> 1).ok()? < count {
        return None;
    }
    let value = bytes.get(at..at + width.div_ceil(8) as usize)?;
    Some(value.iter().rev().fold(0u32, |value, byte| (value << 8) | u32::from(*byte)))
}

/// Encodes values of `width` bits.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut packed_from, mut at) = (0, 0);
    while at < values.len() {
        let value = values[at];
        // Looked at every eight values: packed runs come in groups of eight.
        if values.get(at + 7) == Some(&value) {
            let run = values[at..].iter().take_while(|other| **other == value).count();
            if run >= WORTH_A_RUN {
                packed(&values[packed_from..at], width, out);
                encode_run(value, run, width, out);
                at += run;
                packed_from = at;
                continue;
            }
        }
        at = (at + 8).min(values.len());
    }
    packed(&values[packed_from..], width, out);
}

/// Encodes one run.
pub(super) fn encode_run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    varint(out, (count as u64) << 1);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn packed(values: &[u32], width: u32, out: &mut Vec<u8>) {
    for run in values.chunks(PACKED_RUN) {
        varint(out, ((run.len().div_ceil(8) as u64) << 1) | 1);
        let whole = run.len() / BLOCK * BLOCK;
        pack(&run[..whole], width, out);
        if whole < run.len() {
            let mut last = [0u32; BLOCK];
            last[..run.len() - whole].copy_from_slice(&run[whole..]);
            let end = out.len() + (run.len() - whole).div_ceil(8) * width as usize;
            pack(&last, width, out);
            out.truncate(end);
        }
    }
}

fn unpack_run(bytes: &[u8], width: u32, run: usize, out: &mut Vec<u32>) {
    let start = out.len();
    out.resize(start + run, 0);
    let target = &mut out[start..];
    let whole = run / BLOCK * BLOCK;
    let used = whole / 8 * width as usize;
    unpack(&bytes[..used], width, &mut target[..whole]);
    if whole < run {
        let rest = &bytes[used..bytes.len().min(used + BLOCK / 8 * width as usize)];
        let (mut block, mut values) = ([0u8; BLOCK * 4], [0u32; BLOCK]);
        block[..rest.len()].copy_from_slice(rest);
        unpack(&block[..BLOCK / 8 * width as usize], width, &mut values);
        target[whole..].copy_from_slice(&values[..run - whole]);
    }
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let Some(byte) = bytes.get(*at) else { return damaged("values are cut off") };
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    damaged("the length of a run does not end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_decode_what_it_encodes(
            width in 1u32..=32,
            runs in prop::collection::vec((any::<u32>(), 1usize..200, any::<bool>()), 0..8),
        ) {
            let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            let values: Vec<u32> = runs
                .iter()
                .flat_map(|(value, length, same)| {
                    (0..*length).map(move |n| if *same { *value } else { value.wrapping_add(u32::try_from(n * 7).unwrap()) } & mask)
                })
                .collect();
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            let mut back = Vec::new();
            prop_assert_eq!(decode(&bytes, width, values.len(), &mut back), Ok(()));
            prop_assert_eq!(back, values);
        }

        #[test]
        fn should_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), width in 0u32..=40, count in 0usize..500) {
            let mut out = Vec::new();
            if decode(&bytes, width, count, &mut out).is_ok() {
                prop_assert_eq!(out.len(), count);
            }
            let _ = single_run(&bytes, width.min(32), count);
        }
    }
}
