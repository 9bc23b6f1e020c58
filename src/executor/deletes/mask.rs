//! The rows of one input that do not live on.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_buffer::BooleanBufferBuilder;
use roaring::RoaringBitmap;

/// The deleted rows of one input, by their position in the file. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask(Option<Arc<RoaringBitmap>>);

impl Mask {
    /// A mask for these positions.
    pub(crate) fn new(deleted: Arc<RoaringBitmap>) -> Self {
        Self((!deleted.is_empty()).then_some(deleted))
    }

    /// How many rows are deleted in the file.
    #[cfg(test)]
    pub(crate) fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, |deleted| deleted.len())
    }

    /// The deleted positions; `None` when there is none.
    pub(crate) fn bitmap(&self) -> Option<&RoaringBitmap> {
        self.0.as_deref()
    }

    /// The deleted positions, ascending.
    pub(crate) fn positions(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|deleted| deleted.iter())
    }

    /// Whether two masks hide the same rows.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// How many of `rows` rows from position `start` on are deleted.
    pub(crate) fn deleted(&self, start: u64, rows: u64) -> u64 {
        let Some(deleted) = &self.0 else { return 0 };
        let (Ok(first), end) = (u32::try_from(start), start.saturating_add(rows)) else { return 0 };
        match u32::try_from(end) {
            Ok(end) => deleted.range_cardinality(first..end),
            Err(_) => deleted.range_cardinality(first..),
        }
    }

    /// Which of `rows` rows from position `start` on live; `None` when all of them do.
    pub(crate) fn living(&self, start: u64, rows: usize) -> Option<BooleanArray> {
        let deleted = self.0.as_ref()?;
        if self.deleted(start, rows as u64) == 0 {
            return None;
        }
        let first = u32::try_from(start).ok()?;
        let mut living = BooleanBufferBuilder::new(rows);
        living.append_n(rows, true);
        let mut positions = deleted.iter();
        positions.advance_to(first);
        for position in positions {
            let index = (position - first) as usize;
            if index >= rows {
                break;
            }
            living.set_bit(index, false);
        }
        Some(BooleanArray::new(living.finish(), None))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_tell_the_living_from_the_deleted(
            deleted in prop::collection::btree_set(0u32..300, 0..100),
            start in 0u32..300,
            rows in 0usize..100,
        ) {
            let mask = Mask::new(Arc::new(deleted.iter().copied().collect()));
            let expected: Vec<bool> =
                (start..).take(rows).map(|position| !deleted.contains(&position)).collect();
            let dead = expected.iter().filter(|lives| !**lives).count();
            prop_assert_eq!(mask.deleted(u64::from(start), rows as u64), dead as u64);
            prop_assert_eq!(mask.len(), deleted.len() as u64);
            match mask.living(u64::from(start), rows) {
                None => prop_assert_eq!(dead, 0),
                Some(living) => {
                    prop_assert!(dead > 0);
                    let living: Vec<bool> = living.values().iter().collect();
                    prop_assert_eq!(living, expected);
                }
            }
        }
    }

    #[test]
    fn should_look_no_further_than_positions_go() {
        let mask = Mask::new(Arc::new([u32::MAX].into_iter().collect()));
        assert_eq!(mask.deleted(u64::from(u32::MAX), 5), 1);
        assert_eq!(mask.deleted(u64::from(u32::MAX) + 1, 5), 0);
        assert!(mask.living(u64::from(u32::MAX) + 1, 5).is_none());
    }
}
