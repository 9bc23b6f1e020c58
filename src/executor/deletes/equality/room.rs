//! How the memory for a set of keys is divided.

use super::filter::blocks;
use super::layout::Layout;

/// Bytes of a slot for a key, at the load that tables have.
const BYTES_OF_SLOT: u64 = 6;
/// What a key that may be of any length takes with what belongs to it, roughly.
const VARIABLE: u64 = 16;
/// Keys of a partition take about so many bytes: a table in the making stays in a processor's own cache.
const PART: u64 = 1 << 20;
const MOST_PARTS: u64 = 512;
/// The largest chunk; the smallest is for tests.
const MOST_CHUNK: u64 = 64 << 10;
const LEAST_CHUNK: u64 = 64;

/// Sizes of what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Partitions; a power of two.
    pub(super) parts: usize,
    /// Bytes of a chunk; a power of two.
    pub(super) chunk: usize,
    /// Bytes of all chunks.
    pub(super) chunks: usize,
    /// Blocks of the filters: as many in each partition.
    pub(super) blocks: usize,
    /// The most slots of tables.
    pub(super) slots: usize,
}

impl Room {
    /// Divides `memory` bytes for at most so many keys.
    pub(super) fn new(keys: u64, layout: Layout, memory: u64) -> Self {
        let entry = layout.width.map_or(VARIABLE, |width| width as u64) + layout.head as u64;
        let of_keys = keys.saturating_mul(entry);
        // A part is for partitions that come back from disk, each with a small one of the keys.
        let parts = of_keys.div_ceil(PART).next_power_of_two().clamp(4, MOST_PARTS);
        let memory = memory - memory / 8;
        let filter = blocks(keys).min(memory / 5 / 32).div_ceil(parts).max(1) * parts;
        let rest = memory.saturating_sub(filter * 32);
        let chunks = rest / (entry + BYTES_OF_SLOT) * entry;
        let slots = rest.saturating_sub(chunks) / 4;
        // Each partition has a chunk that is not full: they should be a small part.
        let chunk = (chunks / parts / 8).clamp(LEAST_CHUNK, MOST_CHUNK);
        let chunk = if chunk.is_power_of_two() { chunk } else { chunk.next_power_of_two() / 2 };
        // Keys whose width is known take no more than this.
        let most = if layout.width.is_some() { of_keys.saturating_add(parts * chunk * 2) } else { u64::MAX };
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            parts: size(parts),
            chunk: size(chunk),
            chunks: size(chunks.min(most).max(parts * chunk)),
            blocks: size(filter),
            slots: size(slots),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_keep_within_the_memory_and_have_room_for_what_fits() {
        let of = |layout: Layout, keys: u64, memory: u64| {
            let room = Room::new(keys, layout, memory);
            let taken = (room.chunks + room.blocks * 32 + room.slots * 4) as u64;
            assert!(taken <= memory, "{room:?} of {memory}");
            assert_eq!((room.parts.is_power_of_two(), room.blocks % room.parts), (true, 0));
            room
        };
        let (long, text) = (Layout { head: 1, width: Some(8) }, Layout { head: 1, width: None });
        let room = of(long, 10_000_000, 300 << 20);
        assert!(room.chunks >= 90_000_000 && room.slots >= 13_400_000, "{room:?}");
        assert_eq!((room.parts, room.chunk), (128, 65536));
        let room = of(text, 100_000_000, 300 << 20);
        assert_eq!(room.parts, 512);
        of(long, 5, 1 << 20);
        of(text, 1 << 40, 64 << 20);
    }
}
