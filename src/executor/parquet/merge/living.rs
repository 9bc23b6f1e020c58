//! Deleted rows are taken out of a page before anything else is done with it: what goes on is a smaller page.

use std::ops::Range;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use super::input::Shape;
use super::levels::Levels;
use super::page::Page;
use super::stop::{Result, damaged};

/// Which rows of a column chunk go on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Ranges that cover all rows, kept (`true`) or passed over.
    Ranges(&'a [(bool, u64)]),
    /// Of `all` rows those from `offset` on whose bit is set; none before, none after.
    Living { all: usize, offset: usize, rows: &'a BooleanBuffer },
}

/// Row by row through a chunk.
pub(super) struct Living<'a> {
    all: usize,
    offset: usize,
    rows: &'a BooleanBuffer,
    /// Rows that have begun so far.
    begun: usize,
    /// The last living row is the one before this.
    end: usize,
    /// Nulls that went with deleted rows (of flat columns; in others it is not a number of rows).
    pub(super) removed_nulls: usize,
}

impl<'a> Living<'a> {
    pub(super) fn new(all: usize, offset: usize, rows: &'a BooleanBuffer) -> Self {
        let end = rows.set_slices().last().map_or(0, |(_, end)| offset + end);
        Self { all, offset, rows, begun: 0, end, removed_nulls: 0 }
    }

    /// How many rows live.
    pub(super) fn count(&self) -> usize {
        self.rows.count_set_bits()
    }

    /// Takes the other rows out of the next page.
    pub(super) fn thin(&mut self, page: &mut Page, shape: &Shape) -> Result<()> {
        let keep = match &page.repetition {
            Levels::Same(0) => {
                let (keep, asked) = self.rows_of(page.levels())?;
                self.removed_nulls += page.definition.left_out(asked, &keep, shape.max_definition);
                keep
            }
            Levels::Same(_) => {
                let lives = self.lives(self.begun)?;
                BooleanBuffer::collect_bool(page.levels(), |_| lives)
            }
            Levels::Each(levels) => self.levels_of(levels)?,
        };
        if keep.count_set_bits() == keep.len() { Ok(()) } else { page.retain(&keep, shape) }
    }

    /// Whether all that lives has come, as far as it can be told between two pages; and all nulls that went, where they are
    /// counted.
    pub(super) fn is_done(&self, shape: &Shape) -> bool {
        match (shape.max_repetition, shape.max_definition) {
            (0, 0) => self.begun >= self.end,
            (0, _) => self.begun >= self.offset + self.rows.len(),
            // What belongs to the last row of a nested column may go on in the next page.
            _ => self.begun > self.end || self.end == 0,
        }
    }

    /// Fails when the chunk had fewer rows than it should have.
    pub(super) fn finish(&self) -> Result<()> {
        if self.begun < self.all { damaged("a column chunk has fewer rows than its row group") } else { Ok(()) }
    }

    /// The next rows, each of one level: which of them live, and which of them were asked for.
    fn rows_of(&mut self, count: usize) -> Result<(BooleanBuffer, Range<usize>)> {
        let (first, end) = (self.begun, self.begun + count);
        self.begun = end;
        if end > self.all {
            return damaged("a column chunk has more rows than its row group");
        }
        let from = first.max(self.offset).min(end);
        let to = end.min(self.offset + self.rows.len()).max(from);
        let mut keep = BooleanBufferBuilder::new(count);
        keep.append_n(from - first, false);
        if from < to {
            keep.append_buffer(&self.rows.slice(from - self.offset, to - from));
        }
        keep.resize(count);
        Ok((keep.finish(), from - first..to - first))
    }

    fn levels_of(&mut self, repetition: &[u32]) -> Result<BooleanBuffer> {
        let mut keep = BooleanBufferBuilder::new(repetition.len());
        for level in repetition {
            self.begun += usize::from(*level == 0);
            keep.append(self.lives(self.begun)?);
        }
        Ok(keep.finish())
    }

    /// Whether the last of so many rows lives.
    fn lives(&self, begun: usize) -> Result<bool> {
        let Some(row) = begun.checked_sub(1) else { return damaged("a column chunk begins amid a row") };
        if row >= self.all {
            return damaged("a column chunk has more rows than its row group");
        }
        let inside = row.checked_sub(self.offset).filter(|row| *row < self.rows.len());
        Ok(inside.is_some_and(|row| self.rows.value(row)))
    }
}
