//! The pages of one output column: slices of input pages in, pages of the right size out.
//!
//! A chunk begins with a dictionary as long as its values repeat. Inputs' dictionaries become one; where that grows too
//! large, or values turn out nearly unique, the rest of the chunk is written without.

use std::sync::Arc;

use parquet::schema::types::ColumnDescPtr;

use super::blocks::Pool;
use super::bounds::{Extent, Order};
use super::choose::{Choice, Rules, effort_for, encode, for_values};
use super::codec::{Codecs, Effort};
use super::dictionary::{Dictionary, Merged};
use super::header::{encoding, write_dictionary};
use super::index::{self, Content, Pages};
use super::input::Shape;
use super::levels::Collected;
use super::page::{Page, Slice};
use super::stop::{Result, damaged};
use super::{bits, hybrid};

/// So many values may be distinct before it is asked whether they are too many.
const FEW: usize = 8192;
/// Values that come less often than so many times (in tenths) are not worth a dictionary.
const REPEATED_TENTHS: usize = 25;
/// Levels that are the same throughout take fewer bytes than this.
const LEVELS_ROOM: usize = 32;
/// PLAIN values are gathered from dictionaries so many at a time.
const AT_ONCE: usize = 8192;

/// A number in [`Output::remap`] of a value that has not occurred yet.
const UNKNOWN: u32 = u32::MAX;

/// What an input is going to bring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming {
    /// The values (and nulls) of its column chunk.
    pub(super) values: usize,
    /// Whether all of its rows come.
    pub(super) whole: bool,
}

/// What a worker keeps from one chunk to the next, so that memory is not asked for again and again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    plain: Vec<u8>,
    indices: Vec<u32>,
    occurring: Vec<u8>,
    remap: Vec<u32>,
    body: Vec<u8>,
}

/// One output column chunk being made.
pub(super) struct Output {
    shape: Shape,
    rules: Rules,
    choice: Choice,
    repetition: Collected,
    definition: Collected,
    levels: usize,
    rows: usize,
    defined: usize,
    /// PLAIN values of the page at hand, after room for the levels that stand before them.
    plain: Vec<u8>,
    /// Indices of the page at hand, and 1 for each value of the dictionary that is among them.
    indices: Vec<u32>,
    occurring: Vec<u8>,
    /// The dictionary, as long as indices are written.
    merged: Option<Merged>,
    /// The dictionary of pages written before it was given up.
    retired: Option<Dictionary>,
    /// What the indices of the input at hand become; [`UNKNOWN`] until they occur, where only some of its rows come.
    remap: Vec<u32>,
    /// Whether only some rows of the input at hand come.
    in_part: bool,
    values_seen: usize,
    extent: Extent,
    body: Vec<u8>,
    pages: Pages,
}

impl Output {
    pub(super) fn new(shape: Shape, rules: Rules, choice: Choice, buffers: Buffers, pool: Arc<Pool>) -> Self {
        let dictionary = !(choice.unique || rules.no_dictionary || shape.order == Order::Bool);
        let Buffers { mut plain, mut indices, mut occurring, mut remap, body } = buffers;
        plain.clear();
        plain.resize(LEVELS_ROOM, 0);
        indices.clear();
        occurring.clear();
        remap.clear();
        Self {
            shape,
            rules,
            choice,
            repetition: Collected::new(shape.max_repetition),
            definition: Collected::new(shape.max_definition),
            levels: 0,
            rows: 0,
            defined: 0,
            plain,
            indices,
            occurring,
            merged: dictionary.then(|| Merged::new(shape.layout)),
            retired: None,
            remap,
            in_part: false,
            values_seen: 0,
            extent: Extent::new(shape.order),
            body,
            pages: Pages::new(Extent::new(shape.order), pool),
        }
    }

    /// Rows written and at hand.
    pub(super) fn rows(&self) -> usize {
        self.pages.rows() + self.rows
    }

    /// How many rows of a page, whose chunk has this dictionary, may come before the page at hand is full.
    pub(super) fn room(&self, page: &Page, dictionary: Option<&Dictionary>) -> usize {
        let rows = self.rules.page_rows.saturating_sub(self.rows);
        if self.merged.is_some() {
            // Looking values up is dear: it is asked often whether that is worth it.
            return if page.values.are_indices { rows } else { rows.min(FEW) };
        }
        let bytes = self.rules.page_bytes.saturating_sub(self.plain.len() - LEVELS_ROOM);
        rows.min(bytes / page.bytes_per_level(dictionary).max(1))
    }

    /// Whether the page should be written before anything is added.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.rules.page_rows || self.plain.len() - LEVELS_ROOM >= self.rules.page_bytes
    }

    /// Begins with an input, which may have a dictionary.
    ///
    /// Where all of its rows come, all of its dictionary is used, and taken over at once. Where only some do, a value
    /// is taken over when it first occurs: the others would take room for nothing (many times the room of the rows
    /// themselves, when a large row group is cut into small ones).
    pub(super) fn begin(&mut self, codecs: &mut Codecs, dictionary: Option<&Dictionary>, coming: Coming) -> Result<()> {
        let (Some(merged), Some(dictionary)) = (&mut self.merged, dictionary) else { return Ok(()) };
        let before = merged.values().len();
        if dictionary.len() > FEW && dictionary.len() * REPEATED_TENTHS > coming.values * 10 {
            return self.retire(codecs, before);
        }
        self.in_part = !coming.whole;
        if self.in_part {
            self.remap.clear();
            self.remap.resize(dictionary.len(), UNKNOWN);
            return Ok(());
        }
        self.values_seen += coming.values;
        merged.adopt(dictionary, &mut self.remap);
        if self.is_too_large() { self.retire(codecs, before) } else { Ok(()) }
    }

    fn is_too_large(&self) -> bool {
        self.merged.as_ref().is_some_and(|merged| {
            let values = merged.values();
            values.plain().len() > self.rules.dictionary_bytes
                || (values.len() > FEW && values.len() * REPEATED_TENTHS > self.values_seen * 10)
        })
    }

    /// Gives the dictionary up for the rest of the chunk; so many of its values were used.
    fn retire(&mut self, codecs: &mut Codecs, used: usize) -> Result<()> {
        if self.pages.rows() > 0 {
            self.flush(codecs)?;
            self.retired = self.merged.take().map(|merged| merged.into_values(used));
            return Ok(());
        }
        // Nothing was written with it: it goes without a trace, and later row groups of the task will not try again.
        if let Some(merged) = self.merged.take() {
            let mut indices = std::mem::take(&mut self.indices);
            self.gather(merged.values(), &indices)?;
            indices.clear();
            self.indices = indices;
        }
        self.occurring.fill(0);
        self.choice.unique = true;
        Ok(())
    }

    /// Adds a slice of a page whose chunk has this dictionary.
    pub(super) fn push(
        &mut self,
        codecs: &mut Codecs,
        page: &mut Page,
        slice: &Slice,
        dictionary: Option<&Dictionary>,
    ) -> Result<()> {
        if page.values.are_indices {
            let indices = &page.values.indices[slice.values.clone()];
            match (&self.merged, dictionary) {
                (_, None) => return damaged("indices without a dictionary"),
                (Some(_), Some(dictionary)) => self.take_indices(dictionary, indices),
                (None, Some(dictionary)) => self.gather(dictionary, indices)?,
            }
        } else if self.merged.is_some() {
            self.intern(page, slice)?;
        } else {
            let plain = page.plain();
            let bytes = self.extent.add(self.shape.layout, plain, slice.values.len())?;
            self.plain.extend_from_slice(&plain[..bytes]);
            page.used(bytes);
        }
        self.repetition.append(&page.repetition, slice.levels.clone());
        self.definition.append(&page.definition, slice.levels.clone());
        self.levels += slice.levels.len();
        self.defined += slice.values.len();
        self.rows += slice.rows;
        if self.is_too_large() {
            let used = self.merged.as_ref().map_or(0, |merged| merged.values().len());
            self.retire(codecs, used)?;
        }
        Ok(())
    }

    fn take_indices(&mut self, dictionary: &Dictionary, indices: &[u32]) {
        let start = self.indices.len();
        // In range: they were checked against the dictionary that the map was made from.
        if let (true, Some(merged)) = (self.in_part, &mut self.merged) {
            self.values_seen += indices.len();
            self.indices.extend(indices.iter().map(|index| {
                let number = &mut self.remap[*index as usize];
                if *number == UNKNOWN {
                    *number = merged.intern(dictionary.get(*index as usize));
                }
                *number
            }));
            self.note(start);
        } else {
            self.make_room_to_note();
            self.indices.extend(indices.iter().map(|index| {
                let number = self.remap[*index as usize];
                self.occurring[number as usize] = 1;
                number
            }));
        }
    }

    /// Marks the values of new indices as occurring.
    fn note(&mut self, start: usize) {
        self.make_room_to_note();
        for index in &self.indices[start..] {
            self.occurring[*index as usize] = 1;
        }
    }

    fn make_room_to_note(&mut self) {
        let values = self.merged.as_ref().map_or(0, |merged| merged.values().len());
        self.occurring.resize(values.max(self.occurring.len()), 0);
    }

    fn gather(&mut self, dictionary: &Dictionary, indices: &[u32]) -> Result<()> {
        for some in indices.chunks(AT_ONCE) {
            let start = self.plain.len();
            dictionary.gather(some, &mut self.plain)?;
            self.extent.add(self.shape.layout, &self.plain[start..], some.len())?;
        }
        Ok(())
    }

    /// Looks PLAIN values up in the dictionary.
    fn intern(&mut self, page: &mut Page, slice: &Slice) -> Result<()> {
        let Some(merged) = &mut self.merged else { return Ok(()) };
        let start = self.indices.len();
        let mut used = 0;
        let plain = page.plain();
        for _ in slice.values.clone() {
            let size = self.shape.layout.size(plain, used)?;
            self.indices.push(merged.intern(&plain[used..used + size]));
            used += size;
        }
        page.used(used);
        self.values_seen += slice.values.len();
        self.note(start);
        Ok(())
    }

    /// Writes the page at hand.
    pub(super) fn flush(&mut self, codecs: &mut Codecs) -> Result<()> {
        if self.levels == 0 {
            return Ok(());
        }
        self.body.clear();
        self.repetition.write(&mut self.body);
        self.definition.write(&mut self.body);
        let levels_end = self.body.len();
        let (encoding, effort) = match &self.merged {
            Some(merged) if merged.values().len() > 0 => self.write_indices(codecs)?,
            // Nothing but nulls so far needs no dictionary.
            _ => self.write_values(codecs)?,
        };
        // PLAIN values stay where they were collected, unless the levels need more room than was left for them.
        let in_place = encoding == encoding::PLAIN && self.body.len() == levels_end && self.defined > 0;
        let body = match LEVELS_ROOM.checked_sub(levels_end) {
            Some(start) if in_place => {
                self.plain[start..LEVELS_ROOM].copy_from_slice(&self.body);
                &self.plain[start..]
            }
            _ if in_place => {
                self.body.extend_from_slice(&self.plain[LEVELS_ROOM..]);
                &self.body[..]
            }
            _ => &self.body[..],
        };
        let content = Content {
            encoding,
            levels: self.levels,
            rows: self.rows,
            nulls: self.levels - self.defined,
            extent: &self.extent,
            uncompressed: body.len(),
        };
        self.pages.append(&content, codecs.compress(effort, body)?);
        self.repetition.clear();
        self.definition.clear();
        self.extent.clear();
        self.plain.truncate(LEVELS_ROOM);
        self.indices.clear();
        (self.levels, self.rows, self.defined) = (0, 0, 0);
        Ok(())
    }

    fn write_values(&mut self, codecs: &mut Codecs) -> Result<(i32, Effort)> {
        let (shape, rules) = (&self.shape, &self.rules);
        if self.defined == 0 {
            return Ok((encoding::PLAIN, rules.effort()));
        }
        let (encoding, effort) = match self.choice.plain {
            Some(chosen) => chosen,
            None => {
                *self.choice.plain.insert(for_values(codecs, shape, rules, &self.plain[LEVELS_ROOM..], self.defined)?)
            }
        };
        if encoding != encoding::PLAIN || shape.order == Order::Bool {
            encode(encoding, shape, &self.plain[LEVELS_ROOM..], self.defined, &mut self.body)?;
        }
        Ok((encoding, effort))
    }

    fn write_indices(&mut self, codecs: &mut Codecs) -> Result<(i32, Effort)> {
        let largest = self.occurring.iter().rposition(|occurs| *occurs != 0).unwrap_or(0);
        let width = bits::width_of(u32::try_from(largest).unwrap_or(u32::MAX));
        self.body.push(u8::try_from(width).unwrap_or(32));
        hybrid::encode(&self.indices, width, &mut self.body);
        let effort = match self.choice.indices {
            Some(effort) => effort,
            None => *self.choice.indices.insert(effort_for(codecs, &self.rules, &self.body)?.0),
        };
        if let Some(merged) = &self.merged {
            let values = merged.values();
            for (index, _) in self.occurring.iter().enumerate().filter(|(_, occurs)| **occurs != 0) {
                self.extent.add(self.shape.layout, values.get(index), 1)?;
            }
            self.occurring.fill(0);
            if self.extent.nans > 0 {
                // Found among distinct values; what is wanted is how often they come.
                let is_nan = |index: &&u32| self.shape.order.is_nan(values.get(**index as usize));
                self.extent.nans = self.indices.iter().filter(is_nan).count() as u64;
            }
        }
        Ok((encoding::RLE_DICTIONARY, effort))
    }

    /// Completes the chunk; says what was chosen for it.
    pub(super) fn finish(
        mut self,
        codecs: &mut Codecs,
        column: ColumnDescPtr,
    ) -> Result<(index::Merged, Choice, Buffers)> {
        self.flush(codecs)?;
        let dictionary = self.retired.take().or_else(|| {
            let merged = self.merged.take()?;
            let len = merged.values().len();
            (len > 0).then(|| merged.into_values(len))
        });
        let effort = self.choice.plain.map(|(_, effort)| effort).or(self.choice.indices);
        let effort = effort.unwrap_or(self.rules.effort());
        let page = match &dictionary {
            Some(dictionary) => {
                let plain = dictionary.plain();
                let mut page = Vec::new();
                let compressed = codecs.compress(effort, plain)?;
                write_dictionary(&mut page, dictionary.len(), plain.len(), compressed.len());
                let uncompressed = page.len() + plain.len();
                page.extend_from_slice(compressed);
                Some((page, uncompressed))
            }
            None => None,
        };
        let Self { plain, indices, occurring, remap, body, pages, choice, .. } = self;
        Ok((pages.close(column, page)?, choice, Buffers { plain, indices, occurring, remap, body }))
    }
}
