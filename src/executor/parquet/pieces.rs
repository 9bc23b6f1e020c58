//! Which rows of which inputs make up the next row group.

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
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Walks through the inputs in order.
#[derive(Debug)]
pub(super) struct Pieces {
    /// (source, row group, rows, compressed bytes) of all inputs, in order.
    groups: Vec<(usize, usize, u64, u64)>,
    at: usize,
    offset: u64,
}

impl Pieces {
    pub(super) fn new(sources: &[Source]) -> Self {
        let groups = sources
            .iter()
            .enumerate()
            .flat_map(|(source, input)| {
                input.metadata.row_groups().iter().enumerate().map(move |(index, group)| {
                    let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
                    (source, index, unsigned(group.num_rows()), unsigned(group.compressed_size()))
                })
            })
            .filter(|(_, _, rows, _)| *rows > 0)
            .collect();
        Self { groups, at: 0, offset: 0 }
    }

    /// The compressed bytes of all row groups.
    pub(super) fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.3).sum()
    }

    /// Inputs of the next row group: at most so many rows and about so many input bytes. Row groups of inputs stay whole
    /// unless one alone is too much.
    pub(super) fn next(&mut self, max_rows: u64, max_bytes: u64) -> Option<Batch> {
        let mut batch = Batch::default();
        while let Some((source, row_group, rows, bytes)) = self.groups.get(self.at).copied() {
            let left = rows - self.offset;
            let left_bytes = share(bytes, left, rows);
            let fits = batch.rows + left <= max_rows && batch.bytes + left_bytes <= max_bytes;
            if !fits && !batch.pieces.is_empty() {
                break;
            }
            let take = if fits { left } else { left.min(max_rows).min(share(left, max_bytes, left_bytes).max(1)) };
            let taken_bytes = share(bytes, take, rows);
            batch.pieces.push(Piece { source, row_group, offset: self.offset, rows: take, bytes: taken_bytes });
            batch.rows += take;
            batch.bytes += taken_bytes;
            self.offset += take;
            if self.offset == rows {
                self.at += 1;
                self.offset = 0;
            }
            if !fits {
                break;
            }
        }
        (!batch.pieces.is_empty()).then_some(batch)
    }
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_take_every_row_once_and_keep_the_limits(
            groups in prop::collection::vec((1u64..5_000, 1u64..100_000), 1..40),
            max_rows in 1u64..3_000,
            max_bytes in 1u64..200_000,
        ) {
            let all: Vec<_> = groups.iter().enumerate().map(|(i, (rows, bytes))| (i, 0, *rows, *bytes)).collect();
            let mut pieces = Pieces { groups: all.clone(), at: 0, offset: 0 };
            let mut next_row = vec![0; all.len()];
            while let Some(batch) = pieces.next(max_rows, max_bytes) {
                prop_assert!(batch.rows <= max_rows && batch.rows > 0);
                prop_assert!(batch.bytes <= max_bytes || batch.pieces.len() == 1);
                for piece in batch.pieces {
                    prop_assert_eq!(piece.offset, next_row[piece.source]);
                    next_row[piece.source] += piece.rows;
                }
            }
            prop_assert_eq!(next_row, all.iter().map(|group| group.2).collect::<Vec<_>>());
        }
    }
}
