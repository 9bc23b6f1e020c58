//! Dictionaries: those of inputs, and the one that they become.

use twox_hash::XxHash64;

use super::stop::{Result, damaged};

/// How values of a column lie in PLAIN pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// So many bytes each.
    Fixed(usize),
    /// A length of four bytes before each.
    Bytes,
}

impl Layout {
    /// The bytes that the value at a place of PLAIN bytes takes, its length included.
    pub(super) fn size(self, plain: &[u8], at: usize) -> Result<usize> {
        match self {
            Self::Fixed(width) => Ok(width),
            Self::Bytes => item(plain, at),
        }
    }
}

/// Distinct values in PLAIN form, found by number.
#[derive(Debug)]
pub(super) struct Dictionary {
    layout: Layout,
    plain: Vec<u8>,
    /// Where each value begins, and where the last ends; empty for fixed layouts.
    offsets: Vec<u32>,
}

impl Dictionary {
    pub(super) fn empty(layout: Layout) -> Self {
        let offsets = if layout == Layout::Bytes { vec![0] } else { Vec::new() };
        Self { layout, plain: Vec::new(), offsets }
    }

    /// Takes a dictionary page's body of `count` values; `offsets` is a buffer to use.
    pub(super) fn read(layout: Layout, plain: Vec<u8>, mut offsets: Vec<u32>, count: usize) -> Result<Self> {
        offsets.clear();
        match layout {
            Layout::Fixed(width) => {
                if count.checked_mul(width) != Some(plain.len()) {
                    return damaged("a dictionary page has another number of values than its header says");
                }
            }
            Layout::Bytes => {
                offsets.reserve(count.min(plain.len()) + 1);
                let mut at = 0;
                offsets.push(0);
                for _ in 0..count {
                    at += item(&plain, at)?;
                    offsets.push(u32::try_from(at).or_else(|_| damaged("a dictionary page is too large"))?);
                }
                if at != plain.len() {
                    return damaged("a dictionary page has bytes after its last value");
                }
            }
        }
        Ok(Self { layout, plain, offsets })
    }

    /// Its buffers, to be used again.
    pub(super) fn into_buffers(self) -> (Vec<u8>, Vec<u32>) {
        (self.plain, self.offsets)
    }

    pub(super) fn len(&self) -> usize {
        match self.layout {
            Layout::Fixed(width) => self.plain.len() / width.max(1),
            Layout::Bytes => self.offsets.len() - 1,
        }
    }

    /// The values one after another, as PLAIN.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// A value as PLAIN has it (with its length before it, where there is one).
    pub(super) fn get(&self, index: usize) -> &[u8] {
        match self.layout {
            Layout::Fixed(width) => &self.plain[index * width..(index + 1) * width],
            Layout::Bytes => &self.plain[self.offsets[index] as usize..self.offsets[index + 1] as usize],
        }
    }

    /// Appends the values of some indices as PLAIN.
    pub(super) fn gather(&self, indices: &[u32], out: &mut Vec<u8>) -> Result<()> {
        match self.layout {
            Layout::Fixed(4) => gather_fixed::<4>(&self.plain, indices, out),
            Layout::Fixed(8) => gather_fixed::<8>(&self.plain, indices, out),
            Layout::Fixed(16) => gather_fixed::<16>(&self.plain, indices, out),
            Layout::Fixed(_) => {
                self.check(indices)?;
                indices.iter().for_each(|index| out.extend_from_slice(self.get(*index as usize)));
                Ok(())
            }
            Layout::Bytes => {
                self.check(indices)?;
                self.gather_bytes(indices, out);
                Ok(())
            }
        }
    }

    fn gather_bytes(&self, indices: &[u32], out: &mut Vec<u8>) {
        let place = |index: u32| (self.offsets[index as usize] as usize, self.offsets[index as usize + 1] as usize);
        let total: usize = indices.iter().map(|index| place(*index)).map(|(start, end)| end - start).sum();
        let mut at = out.len();
        out.resize(at + total, 0);
        for index in indices {
            let (start, end) = place(*index);
            copy_value(&self.plain[start..], &mut out[at..], end - start);
            at += end - start;
        }
    }

    /// Fails for an index that is outside.
    pub(super) fn check(&self, indices: &[u32]) -> Result<()> {
        let most = indices.iter().copied().max();
        if most.is_some_and(|most| most as usize >= self.len()) { outside() } else { Ok(()) }
    }

    fn truncate(&mut self, len: usize) {
        match self.layout {
            Layout::Fixed(width) => self.plain.truncate(len * width),
            Layout::Bytes => {
                self.offsets.truncate(len + 1);
                self.plain.truncate(self.offsets.last().map_or(0, |end| *end as usize));
            }
        }
    }

    /// Adds a value as PLAIN has it.
    pub(super) fn push(&mut self, value: &[u8]) {
        self.plain.extend_from_slice(value);
        if self.layout == Layout::Bytes {
            self.offsets.push(u32::try_from(self.plain.len()).unwrap_or(u32::MAX));
        }
    }
}

fn outside<T>() -> Result<T> {
    damaged("an index is outside of its dictionary")
}

fn gather_fixed<const W: usize>(plain: &[u8], indices: &[u32], out: &mut Vec<u8>) -> Result<()> {
    let (values, _) = plain.as_chunks::<W>();
    let start = out.len();
    out.resize(start + indices.len() * W, 0);
    for (target, index) in out[start..].as_chunks_mut::<W>().0.iter_mut().zip(indices) {
        let Some(value) = values.get(*index as usize) else { return outside() };
        *target = *value;
    }
    Ok(())
}

/// The bytes that the value at a place of a PLAIN page of byte arrays takes, its length included.
pub(super) fn item(plain: &[u8], at: usize) -> Result<usize> {
    let Some(length) = plain.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
        return damaged("a value's length is cut off");
    };
    let length = u32::from_le_bytes(*length) as usize;
    match at.checked_add(4).and_then(|at| at.checked_add(length)) {
        Some(end) if end <= plain.len() => Ok(length + 4),
        _ => damaged("a value is longer than its page"),
    }
}

/// One dictionary made of many: every value once, found by its hash.
#[derive(Debug)]
pub(super) struct Merged {
    values: Dictionary,
    /// Open addressing: numbers of values plus one; 0 is free.
    slots: Vec<u32>,
}

impl Merged {
    pub(super) fn new(layout: Layout) -> Self {
        Self { values: Dictionary::empty(layout), slots: vec![0; 1024] }
    }

    pub(super) fn values(&self) -> &Dictionary {
        &self.values
    }

    /// The first `len` values, when no more will come.
    pub(super) fn into_values(mut self, len: usize) -> Dictionary {
        self.values.truncate(len);
        self.values
    }

    /// The numbers that a dictionary's values have in this one.
    pub(super) fn adopt(&mut self, other: &Dictionary, numbers: &mut Vec<u32>) {
        numbers.clear();
        numbers.extend((0..other.len()).map(|index| self.intern(other.get(index))));
    }

    /// A value's number; it is taken in if it is new.
    pub(super) fn intern(&mut self, value: &[u8]) -> u32 {
        if (self.values.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(value) & mask;
        loop {
            match self.slots[slot] {
                0 => {
                    let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX - 1);
                    self.values.push(value);
                    self.slots[slot] = number + 1;
                    return number;
                }
                number if self.values.get(number as usize - 1) == value => return number - 1,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let mut slots = vec![0u32; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for number in 0..self.values.len() {
            let mut slot = hash(self.values.get(number)) & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = u32::try_from(number).unwrap_or(u32::MAX - 1) + 1;
        }
        self.slots = slots;
    }
}

/// Copies the first bytes of one slice to another, which is filled from its beginning to its end. Most values are short:
/// they are copied in one piece of a fixed size, and what is too much is written over by the next one.
pub(super) fn copy_value(from: &[u8], to: &mut [u8], length: usize) {
    const SHORT: usize = 32;
    match (from.first_chunk::<SHORT>(), to.first_chunk_mut::<SHORT>()) {
        (Some(from), Some(to)) if length <= SHORT => *to = *from,
        _ => to[..length].copy_from_slice(&from[..length]),
    }
}

fn hash(value: &[u8]) -> usize {
    let spread = |word: u64| (word ^ (word >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = if let Ok(eight) = <[u8; 8]>::try_from(value) {
        spread(u64::from_le_bytes(eight))
    } else if let Ok(four) = <[u8; 4]>::try_from(value) {
        spread(u64::from(u32::from_le_bytes(four)))
    } else {
        XxHash64::oneshot(0, value)
    };
    // The upper bits are the good ones.
    (hash >> 24) as usize
}
