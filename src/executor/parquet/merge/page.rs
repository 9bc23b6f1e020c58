//! One input page: levels and encoded values, taken slice by slice.

use std::ops::Range;

use arrow_buffer::BooleanBuffer;

use super::dictionary::{Dictionary, Layout, item};
use super::input::Shape;
use super::levels::{Levels, retain};
use super::stop::{Result, damaged};

/// One page. Its buffers are used again for the next one.
#[derive(Debug)]
pub(super) struct Page {
    /// The decompressed body, until its values are taken from it.
    pub(super) body: Vec<u8>,
    pub(super) repetition: Levels,
    pub(super) definition: Levels,
    pub(super) values: Values,
    /// Where the next slice begins: levels, values, bytes of PLAIN values.
    level: usize,
    value: usize,
    byte: usize,
    levels: usize,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) levels: Range<usize>,
    /// Defined values, counted from the beginning of the page.
    pub(super) values: Range<usize>,
    /// Rows that begin here.
    pub(super) rows: usize,
}

/// Encoded values, in one of two forms; the buffers of both are kept.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) are_indices: bool,
    /// As PLAIN has them (booleans one byte each).
    pub(super) plain: Vec<u8>,
    /// Indices into the chunk's dictionary.
    pub(super) indices: Vec<u32>,
}

impl Values {
    pub(super) fn begin_plain(&mut self) -> &mut Vec<u8> {
        self.are_indices = false;
        self.plain.clear();
        &mut self.plain
    }

    pub(super) fn begin_indices(&mut self) -> &mut Vec<u32> {
        self.are_indices = true;
        self.indices.clear();
        &mut self.indices
    }
}

impl Page {
    pub(super) fn new() -> Self {
        Self {
            body: Vec::new(),
            repetition: Levels::Same(0),
            definition: Levels::Same(0),
            values: Values::default(),
            level: 0,
            value: 0,
            byte: 0,
            levels: 0,
        }
    }

    /// Begins with new levels.
    pub(super) fn begin(&mut self, levels: usize) {
        self.levels = levels;
        (self.level, self.value, self.byte) = (0, 0, 0);
    }

    /// Takes the body for PLAIN values, which begin at a place in it.
    pub(super) fn body_is_plain(&mut self, at: usize) {
        self.values.begin_plain();
        std::mem::swap(&mut self.body, &mut self.values.plain);
        self.byte = at;
    }

    /// Puts other PLAIN values in the place of those that it has, if it has any.
    pub(super) fn replace_plain(&mut self, make: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<()>) -> Result<()> {
        if !self.values.are_indices {
            self.body.clear();
            make(&self.values.plain[self.byte..], &mut self.body)?;
            self.body_is_plain(0);
        }
        Ok(())
    }

    /// Whether all of it was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.level == self.levels
    }

    /// Whether what is left begins with a row (and not in the midst of one).
    pub(super) fn begins_row(&self) -> bool {
        self.is_empty() || self.repetition.is(self.level, 0)
    }

    /// About how many bytes of PLAIN a level stands for.
    pub(super) fn bytes_per_level(&self, dictionary: Option<&Dictionary>) -> usize {
        match dictionary {
            Some(dictionary) if self.values.are_indices => dictionary.plain().len() / dictionary.len().max(1),
            _ => self.values.plain.len() / self.levels.max(1),
        }
    }

    /// Takes so many rows, and whatever comes before the first row that begins after them. It ends with the page.
    pub(super) fn take(&mut self, rows: usize, shape: &Shape) -> Slice {
        let start = self.level;
        let (end, rows) = match &self.repetition {
            // Flat, or nothing but first values.
            Levels::Same(0) => {
                let rows = rows.min(self.levels - start);
                (start + rows, rows)
            }
            Levels::Same(_) => (self.levels, 0),
            Levels::Each(levels) => {
                let mut begun = 0;
                let end = levels[start..].iter().position(|level| {
                    begun += usize::from(*level == 0);
                    begun > rows
                });
                (end.map_or(self.levels, |end| start + end), begun.min(rows))
            }
        };
        let defined = self.definition.count(start..end, shape.max_definition);
        let values = self.value..self.value + defined;
        self.level = end;
        self.value += defined;
        Slice { levels: start..end, values, rows }
    }

    /// The PLAIN bytes from the next slice on.
    pub(super) fn plain(&self) -> &[u8] {
        &self.values.plain[self.byte..]
    }

    /// So many PLAIN bytes were used.
    pub(super) fn used(&mut self, bytes: usize) {
        self.byte += bytes;
    }

    /// Passes over a slice's values.
    pub(super) fn pass(&mut self, slice: &Slice, shape: &Shape) -> Result<()> {
        if self.values.are_indices {
            return Ok(());
        }
        match shape.layout {
            Layout::Fixed(width) => self.byte += slice.values.len() * width,
            Layout::Bytes => {
                for _ in slice.values.clone() {
                    self.byte += item(&self.values.plain, self.byte)?;
                }
            }
        }
        Ok(())
    }

    /// How many levels it has.
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    /// Drops what some levels stand for. Nothing may have been taken yet.
    pub(super) fn retain(&mut self, keep: &BooleanBuffer, shape: &Shape) -> Result<()> {
        let values = self.definition.kept_with(keep, shape.max_definition);
        match shape.layout {
            _ if self.values.are_indices => retain(&mut self.values.indices, 0, 1, &values),
            Layout::Fixed(width) => retain(&mut self.values.plain, self.byte, width, &values),
            Layout::Bytes => self.retain_items(&values)?,
        }
        self.repetition.retain(keep);
        self.definition.retain(keep);
        self.levels = keep.count_set_bits();
        Ok(())
    }

    fn retain_items(&mut self, keep: &BooleanBuffer) -> Result<()> {
        let plain = &mut self.values.plain;
        let pass = |plain: &[u8], from: usize, items: usize| -> Result<usize> {
            let mut at = from;
            for _ in 0..items {
                at += item(plain, at)?;
            }
            Ok(at)
        };
        let (mut to, mut at, mut passed) = (self.byte, self.byte, 0);
        for (from, end) in keep.set_slices() {
            let start = pass(plain, at, from - passed)?;
            at = pass(plain, start, end - from)?;
            plain.copy_within(start..at, to);
            to += at - start;
            passed = end;
        }
        if pass(plain, at, keep.len() - passed)? != plain.len() {
            return damaged("bytes after a page's last value");
        }
        plain.truncate(to);
        Ok(())
    }

    /// Fails when bytes are left over after the last value.
    pub(super) fn finish(&self) -> Result<()> {
        if !self.values.are_indices && self.byte != self.values.plain.len() {
            return damaged("bytes after a page's last value");
        }
        Ok(())
    }
}
