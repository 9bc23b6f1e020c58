//! Deletion vectors: the deleted positions of one data file as a bitmap in a Puffin file (Puffin spec, "deletion-vector-v1").

use roaring::{RoaringBitmap, RoaringTreemap};

use crate::error::{Error, Result};

/// What the bitmap begins with.
const MAGIC: [u8; 4] = [0xd1, 0xd3, 0x39, 0x64];
/// Bytes of the length before it, and of the checksum after it.
const FRAME: usize = 4;

/// The positions of a blob: length and checksum in network order around the magic and the bitmap in its portable form.
///
/// # Errors
/// `Corrupt` when it is not what its frame says.
pub(super) fn parse(blob: &[u8]) -> Result<RoaringTreemap> {
    let broken = |what: &str| {
        Error::corrupt(format!("its deletion vector {what}"))
            .hint("the file is damaged: restore it, or roll the table back; nothing was changed")
    };
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_be_bytes);
    let Some((length, rest)) = blob.split_at_checked(FRAME) else { return Err(broken("is cut off")) };
    let Some((body, checksum)) = rest.len().checked_sub(FRAME).map(|end| rest.split_at(end)) else {
        return Err(broken("is cut off"));
    };
    if number(length).map(u64::from) != Some(body.len() as u64) {
        return Err(broken("has another length than it says"));
    }
    let Some(mut bitmap) = body.strip_prefix(&MAGIC) else { return Err(broken("does not begin as one")) };
    if number(checksum) != Some(crc32fast::hash(body)) {
        return Err(broken("does not match its checksum"));
    }
    let positions = RoaringTreemap::deserialize_from(&mut bitmap).map_err(|e| broken("is no bitmap").caused_by(e))?;
    if bitmap.is_empty() { Ok(positions) } else { Err(broken("is longer than its bitmap")) }
}

/// A blob of positions below 2^32. The portable form of a 64-bit bitmap is the number of its parts, and of each part the
/// upper half of its positions and a 32-bit bitmap of the lower ones.
///
/// # Errors
/// `Internal` when the blob can't say how long it is.
pub(super) fn serialize(positions: &RoaringBitmap) -> Result<Vec<u8>> {
    let unsaid = || Error::internal("a deletion vector is larger than its frame can say");
    let parts = u64::from(!positions.is_empty());
    let bitmap = if parts == 0 { 0 } else { FRAME + positions.serialized_size() };
    let length = MAGIC.len() + size_of::<u64>() + bitmap;
    let mut blob = Vec::with_capacity(length + 2 * FRAME);
    blob.extend(u32::try_from(length).map_err(|_| unsaid())?.to_be_bytes());
    blob.extend(MAGIC);
    blob.extend(parts.to_le_bytes());
    if parts > 0 {
        blob.extend(0u32.to_le_bytes());
        positions.serialize_into(&mut blob).map_err(|e| unsaid().caused_by(e))?;
    }
    blob.extend(crc32fast::hash(&blob[FRAME..]).to_be_bytes());
    Ok(blob)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(positions: &RoaringTreemap) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        positions.serialize_into(&mut body).unwrap();
        let mut blob = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        blob.extend_from_slice(&body);
        blob.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        blob
    }

    proptest! {
        #[test]
        fn should_write_what_the_crate_writes_of_64_bits(
            scattered in prop::collection::btree_set(any::<u32>(), 0..200),
            start in any::<u32>(),
            run in 0u32..100_000,
        ) {
            let mut positions: RoaringBitmap = scattered.into_iter().collect();
            positions.insert_range(start..start.saturating_add(run));
            positions.optimize();
            let wide = RoaringTreemap::from_bitmaps([(0, positions.clone())].into_iter().filter(|(_, b)| !b.is_empty()));
            let made = serialize(&positions).unwrap();
            prop_assert_eq!(&made, &blob(&wide));
            prop_assert_eq!(parse(&made).unwrap(), wide);
        }
    }

    #[test]
    fn should_read_positions_and_refuse_every_kind_of_damage() {
        let positions: RoaringTreemap = (0..70_000).step_by(3).chain([1 << 33]).collect();
        let whole = blob(&positions);
        assert_eq!(parse(&whole).unwrap(), positions);
        for at in [0, 3, 4, 9, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(parse(&changed).is_err(), "byte {at}");
        }
        for length in [0, 3, 7, 8, whole.len() - 1] {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
