//! Definition and repetition levels. Nearly all pages have one level throughout, and nothing is unpacked then.

use std::ops::Range;

use arrow_buffer::BooleanBuffer;

use super::bits::width_of;
use super::hybrid;
use super::stop::{Result, damaged};

/// The levels of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Levels {
    /// The same level for all.
    Same(u32),
    Each(Vec<u32>),
}

impl Levels {
    /// Reads `count` levels up to `max`; a column with `max` 0 has none written.
    pub(super) fn read(bytes: &[u8], max: u32, count: usize) -> Result<Self> {
        if max == 0 {
            return Ok(Self::Same(0));
        }
        let width = width_of(max);
        if let Some(level) = hybrid::single_run(bytes, width, count) {
            return if level <= max { Ok(Self::Same(level)) } else { damaged("a level is above its maximum") };
        }
        let mut levels = Vec::new();
        hybrid::decode(bytes, width, count, &mut levels)?;
        let (least, most) = levels.iter().fold((max, 0), |(low, high), level| (low.min(*level), high.max(*level)));
        if most > max {
            return damaged("a level is above its maximum");
        }
        Ok(if least == most { Self::Same(most) } else { Self::Each(levels) })
    }

    /// How many of a range have a level.
    pub(super) fn count(&self, range: Range<usize>, level: u32) -> usize {
        match self {
            Self::Same(all) if *all == level => range.len(),
            Self::Same(_) => 0,
            Self::Each(levels) => levels[range].iter().filter(|other| **other == level).count(),
        }
    }

    /// How many of a range are not kept and have another level.
    pub(super) fn left_out(&self, range: Range<usize>, keep: &BooleanBuffer, level: u32) -> usize {
        match self {
            Self::Same(all) if *all == level => 0,
            Self::Same(_) => range.len() - keep.slice(range.start, range.len()).count_set_bits(),
            Self::Each(levels) => range.filter(|at| levels[*at] != level && !keep.value(*at)).count(),
        }
    }

    /// Which of the kept ones have a level, as far as all with that level are concerned.
    pub(super) fn kept_with(&self, keep: &BooleanBuffer, level: u32) -> BooleanBuffer {
        match self {
            Self::Same(all) if *all == level => keep.clone(),
            Self::Same(_) => BooleanBuffer::new_unset(0),
            Self::Each(levels) => {
                let with = levels.iter().enumerate().filter(|(_, other)| **other == level);
                with.map(|(at, _)| keep.value(at)).collect()
            }
        }
    }

    /// Drops the others.
    pub(super) fn retain(&mut self, keep: &BooleanBuffer) {
        if let Self::Each(levels) = self {
            retain(levels, 0, 1, keep);
        }
    }

    /// Whether the value at a place has a level.
    pub(super) fn is(&self, at: usize, level: u32) -> bool {
        match self {
            Self::Same(all) => *all == level,
            Self::Each(levels) => levels[at] == level,
        }
    }
}

/// Keeps some items of so many elements each, which begin at a place.
pub(super) fn retain<T: Copy>(items: &mut Vec<T>, start: usize, width: usize, keep: &BooleanBuffer) {
    let mut to = start;
    for (from, end) in keep.set_slices() {
        items.copy_within(start + from * width..start + end * width, to);
        to += (end - from) * width;
    }
    items.truncate(to);
}

/// Levels being collected for a page.
#[derive(Debug)]
pub(super) struct Collected {
    max: u32,
    len: usize,
    levels: Levels,
}

impl Collected {
    pub(super) fn new(max: u32) -> Self {
        Self { max, len: 0, levels: Levels::Same(max) }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.levels = Levels::Same(self.max);
    }

    pub(super) fn append(&mut self, from: &Levels, range: Range<usize>) {
        if self.max == 0 {
            return;
        }
        let count = range.len();
        match (&mut self.levels, from) {
            (Levels::Same(mine), Levels::Same(theirs)) if mine == theirs || self.len == 0 => *mine = *theirs,
            (Levels::Each(mine), Levels::Same(theirs)) => mine.resize(self.len + count, *theirs),
            (Levels::Each(mine), Levels::Each(theirs)) => mine.extend_from_slice(&theirs[range]),
            (Levels::Same(mine), _) => {
                let mut each = vec![*mine; self.len];
                match from {
                    Levels::Same(theirs) => each.resize(self.len + count, *theirs),
                    Levels::Each(theirs) => each.extend_from_slice(&theirs[range]),
                }
                self.levels = Levels::Each(each);
            }
        }
        self.len += count;
    }

    /// Appends the levels as a version 1 page has them: nothing for a maximum of 0, else their length before them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.max == 0 {
            return;
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let width = width_of(self.max);
        match &self.levels {
            Levels::Same(level) => hybrid::encode_run(*level, self.len, width, out),
            Levels::Each(levels) => hybrid::encode(levels, width, out),
        }
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}
