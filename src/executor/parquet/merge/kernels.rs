//! The inner loops of moved pages, for `benches/kernels.rs`.

use super::dictionary::{Dictionary, Layout, Merged};
use super::stop::{Result, Stop};
use super::{bits, delta, hybrid, split};

fn done<T>(result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|stop| match stop {
        Stop::Unfit(why) | Stop::Damaged(why) => why.into_owned(),
    })
}

/// Indices as the hybrid of runs and packed values; gives the bit width.
pub fn pack(indices: &[u32], out: &mut Vec<u8>) -> u32 {
    let width = bits::width_of(indices.iter().copied().max().unwrap_or(0));
    out.clear();
    hybrid::encode(indices, width, out);
    width
}

/// And back.
///
/// # Errors
/// What is wrong with the bytes.
pub fn unpack(bytes: &[u8], width: u32, count: usize, out: &mut Vec<u32>) -> std::result::Result<(), String> {
    out.clear();
    done(hybrid::decode(bytes, width, count, out))
}

/// Makes one dictionary of many of 8-byte values; gives how many values it has, and the last one's map.
///
/// # Errors
/// When a dictionary is not made of whole values.
pub fn merge_dictionaries(dictionaries: &[Vec<u8>]) -> std::result::Result<(usize, Vec<u32>), String> {
    let layout = Layout::Fixed(8);
    let (mut merged, mut remap) = (Merged::new(layout), Vec::new());
    for plain in dictionaries {
        let read = done(Dictionary::read(layout, plain.clone(), Vec::new(), plain.len() / 8))?;
        merged.adopt(&read, &mut remap);
    }
    Ok((merged.values().len(), remap))
}

/// 8-byte numbers as DELTA_BINARY_PACKED.
pub fn to_delta(plain: &[u8], out: &mut Vec<u8>) {
    out.clear();
    delta::encode::<8>(plain, out);
}

/// 8-byte values as BYTE_STREAM_SPLIT.
pub fn to_streams(plain: &[u8], out: &mut Vec<u8>) {
    out.clear();
    split::split(plain, 8, out);
}
