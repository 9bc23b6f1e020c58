//! Which rows of which inputs make up the next row group.

use std::collections::VecDeque;

use crate::error::Result;
use crate::executor::deletes::{Mask, Masks};
use crate::executor::source::Source;

/// Rows of one row group of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) source: usize,
    pub(super) row_group: usize,
    pub(super) offset: u64,
    pub(super) rows: u64,
    /// The compressed bytes of these rows in the input (a share, when the row group is split).
    pub(super) bytes: u64,
}

/// The inputs of one output row group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) pieces: Vec<Piece>,
    /// Living rows.
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Walks through the inputs in order.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    /// Row groups that are known and not taken yet.
    groups: VecDeque<Group>,
    masks: &'a Masks,
    /// How many rows of the first of them were taken.
    offset: u64,
}

/// A row group of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    source: usize,
    row_group: usize,
    /// The position of its first row in the file.
    first: u64,
    rows: u64,
    /// Compressed bytes.
    bytes: u64,
}

impl<'a> Pieces<'a> {
    /// Nothing is known yet.
    pub(super) fn new(masks: &'a Masks) -> Self {
        Self { groups: VecDeque::new(), masks, offset: 0 }
    }

    /// Inputs of the next row group: at most so many living rows and about so many input bytes. Row groups of inputs stay
    /// whole unless one alone is too much. `more` tells the row groups of the next input, as long as there is one.
    pub(super) fn next(
        &mut self,
        max_rows: u64,
        max_bytes: u64,
        mut more: impl FnMut() -> Result<Option<Vec<Group>>>,
    ) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        while let Some(group) = self.first(&mut more)? {
            let mask = self.masks.of(group.source)?;
            let living = |offset: u64, rows: u64| rows - mask.deleted(group.first + offset, rows);
            let left = group.rows - self.offset;
            let left_bytes = share(group.bytes, left, group.rows);
            let fits = batch.rows + living(self.offset, left) <= max_rows && batch.bytes + left_bytes <= max_bytes;
            if !fits && batch.rows > 0 {
                break;
            }
            let mut take = if fits { left } else { left.min(max_rows).min(share(left, max_bytes, left_bytes).max(1)) };
            // Dead rows at the end belong to this piece: a piece without a living row would make an empty row group.
            if living(self.offset + take, left - take) == 0 {
                take = left;
            }
            let bytes = share(group.bytes, take, group.rows);
            let (source, row_group) = (group.source, group.row_group);
            batch.pieces.push(Piece { source, row_group, offset: self.offset, rows: take, bytes });
            batch.rows += living(self.offset, take);
            batch.bytes += bytes;
            self.offset += take;
            if self.offset == group.rows {
                self.groups.pop_front();
                self.offset = 0;
            }
            if !fits && batch.rows > 0 {
                break;
            }
        }
        Ok((batch.rows > 0).then_some(batch))
    }

    fn first(&mut self, more: &mut impl FnMut() -> Result<Option<Vec<Group>>>) -> Result<Option<Group>> {
        while self.groups.is_empty() {
            let Some(found) = more()? else { return Ok(None) };
            self.groups.extend(found);
        }
        Ok(self.groups.front().copied())
    }
}

/// The row groups of an input, in order; those without a living row are left out.
pub(super) fn groups(number: usize, input: &Source, mask: &Mask) -> Vec<Group> {
    let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
    let (mut groups, mut first) = (Vec::new(), 0);
    for (row_group, metadata) in input.metadata.row_groups().iter().enumerate() {
        let (rows, bytes) = (unsigned(metadata.num_rows()), unsigned(metadata.compressed_size()));
        if mask.deleted(first, rows) < rows {
            groups.push(Group { source: number, row_group, first, rows, bytes });
        }
        first += rows;
    }
    groups
}

/// `of × part / whole` without overflow.
fn share(of: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return of;
    }
    u64::try_from(u128::from(of) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_take_every_row_once_and_keep_the_limits(
            groups in prop::collection::vec((1u64..5_000, 1u64..100_000, prop::collection::vec((0u32..5_000, 0u32..2_000), 0..3)), 1..40),
            max_rows in 1u64..3_000,
            max_bytes in 1u64..200_000,
        ) {
            let masks = Masks::new(groups.iter().map(|(rows, _, ranges)| {
                let rows = u32::try_from(*rows).unwrap();
                let dead = ranges.iter().flat_map(|(from, n)| (*from..from + n).filter(|at| *at < rows));
                Mask::new(Arc::new(dead.collect()))
            }).collect());
            let live = |index: usize| groups[index].0 - masks.of(index).unwrap().len();
            let all: Vec<Group> = groups.iter().enumerate().filter(|(index, _)| live(*index) > 0)
                .map(|(source, (rows, bytes, _))| Group { source, row_group: 0, first: 0, rows: *rows, bytes: *bytes })
                .collect();
            let expected: u64 = all.iter().map(|group| live(group.source)).sum();
            // Inputs come one by one, some of them without a row group.
            let mut coming = all.iter().flat_map(|group| [vec![], vec![*group]]);
            let mut pieces = Pieces::new(&masks);
            let (mut next_row, mut living) = (vec![0; groups.len()], 0);
            while let Some(batch) = pieces.next(max_rows, max_bytes, || Ok(coming.next())).unwrap() {
                prop_assert!(batch.rows <= max_rows && batch.rows > 0);
                let sources: std::collections::BTreeSet<_> = batch.pieces.iter().map(|piece| piece.source).collect();
                prop_assert!(batch.bytes <= max_bytes || sources.len() == 1);
                living += batch.rows;
                for piece in batch.pieces {
                    prop_assert_eq!(piece.offset, next_row[piece.source]);
                    next_row[piece.source] += piece.rows;
                }
            }
            prop_assert_eq!(living, expected);
            for group in all {
                prop_assert_eq!(next_row[group.source], group.rows);
            }
        }
    }
}
