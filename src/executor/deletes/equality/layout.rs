//! How a key lies in memory and on disk: some bytes that belong to it, its length where lengths differ, and the key.

/// A length of so much or more follows in four bytes.
const LONG: u8 = u8::MAX;

/// The form of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes before the key.
    pub(super) head: usize,
    /// The width of keys that all have the same.
    pub(super) width: Option<usize>,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) head: &'a [u8],
    pub(super) key: &'a [u8],
    /// The whole entry's bytes.
    pub(super) length: usize,
}

impl Layout {
    /// The bytes of a key's entry.
    pub(super) fn length(&self, key: &[u8]) -> usize {
        self.head + self.before(key) + key.len()
    }

    fn before(&self, key: &[u8]) -> usize {
        match self.width {
            Some(_) => 0,
            None if key.len() < usize::from(LONG) => 1,
            None => 5,
        }
    }

    /// Writes an entry into just its length.
    pub(super) fn write(&self, head: &[u8], key: &[u8], to: &mut [u8]) {
        let (first, rest) = to.split_at_mut(self.head);
        first.copy_from_slice(&head[..self.head]);
        let (length, rest) = rest.split_at_mut(self.before(key));
        match length {
            [] => {}
            [short] => *short = u8::try_from(key.len()).unwrap_or(LONG),
            [mark, long @ ..] => {
                *mark = LONG;
                long.copy_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
            }
        }
        rest.copy_from_slice(key);
    }

    /// The entry that begins here.
    pub(super) fn read<'a>(&self, from: &'a [u8]) -> Entry<'a> {
        let (head, rest) = from.split_at(self.head);
        let (before, width) = match self.width {
            Some(width) => (0, width),
            None if rest[0] < LONG => (1, usize::from(rest[0])),
            None => (5, u32::from_le_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize),
        };
        Entry { head, key: &rest[before..before + width], length: self.head + before + width }
    }

    /// All entries of a chunk, with their places.
    pub(super) fn entries<'a>(&self, chunk: &'a [u8]) -> impl Iterator<Item = (usize, Entry<'a>)> {
        let (layout, mut at) = (*self, 0);
        std::iter::from_fn(move || {
            let rest = chunk.get(at..).filter(|rest| !rest.is_empty())?;
            let entry = layout.read(rest);
            at += entry.length;
            Some((at - entry.length, entry))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_read_what_was_written(
            keys in prop::collection::vec(
                prop_oneof![prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 250..600)],
                1..20,
            ),
            head in 0usize..=8,
            one_width in any::<bool>(),
        ) {
            let width = one_width.then(|| keys[0].len()).filter(|width| head + width > 0);
            let layout = Layout { head, width };
            let fits = |key: &&Vec<u8>| width.is_none_or(|width| width == key.len());
            let keys: Vec<&Vec<u8>> = keys.iter().filter(fits).collect();
            let heads = |n: usize| (n as u64).to_le_bytes();
            let mut chunk = Vec::new();
            for (number, key) in keys.iter().enumerate() {
                let start = chunk.len();
                chunk.resize(start + layout.length(key), 0);
                layout.write(&heads(number), key, &mut chunk[start..]);
            }
            let found: Vec<(usize, Entry<'_>)> = layout.entries(&chunk).collect();
            prop_assert_eq!(found.len(), keys.len());
            for (number, (at, entry)) in found.into_iter().enumerate() {
                prop_assert_eq!(entry.key, keys[number].as_slice());
                prop_assert_eq!(entry.head, &heads(number)[..head]);
                prop_assert_eq!(layout.read(&chunk[at..]), entry);
            }
        }
    }
}
