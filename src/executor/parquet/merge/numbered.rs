//! Values that come as numbers in one dictionary become a column chunk. Of a row group's values each is looked up once; what
//! is written is chosen as for pages that are moved.

use std::sync::Arc;

use arrow_array::{Array, UInt32Array};
use parquet::schema::types::ColumnDescPtr;

use super::dictionary::{Dictionary, Layout};
use super::input::Shape;
use super::levels::Levels;
use super::output::{Buffers, Coming, Output};
use super::stop::{Result, damaged};
use super::{Choice, Merged, Pool, Rules, Workspace};

/// Byte arrays by their number.
#[derive(Debug)]
pub(crate) struct Known(Dictionary);

impl Known {
    /// Values in the order of their numbers.
    pub(crate) fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Result<Self> {
        let (mut known, mut plain) = (Dictionary::empty(Layout::Bytes), Vec::new());
        for value in values {
            let Ok(length) = u32::try_from(value.len()) else { return damaged("a value is too large") };
            plain.clear();
            plain.extend_from_slice(&length.to_le_bytes());
            plain.extend_from_slice(value);
            known.push(&plain);
        }
        Ok(Self(known))
    }

    /// The values of a dictionary page's body, which has so many.
    pub(crate) fn read(body: &[u8], count: usize) -> Result<Self> {
        Dictionary::read(Layout::Bytes, body.to_vec(), Vec::new(), count).map(Self)
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        // Their lengths stand before them.
        (0..self.0.len()).map(|number| &self.0.get(number)[size_of::<u32>()..])
    }
}

/// A column chunk being made.
pub(crate) struct Numbered {
    shape: Shape,
    column: ColumnDescPtr,
    known: Arc<Known>,
    output: Output,
    begun: bool,
}

impl Numbered {
    /// Begins a chunk of a flat column of byte arrays.
    pub(crate) fn new(
        pool: Arc<Pool>,
        column: ColumnDescPtr,
        rules: Rules,
        choice: Choice,
        known: Arc<Known>,
    ) -> Result<Self> {
        let shape = Shape::of(&column)?;
        let output = Output::new(shape, rules, choice, Buffers::default(), pool);
        Ok(Self { shape, column, known, output, begun: false })
    }

    /// Adds values.
    pub(crate) fn push(&mut self, space: &mut Workspace, numbers: &UInt32Array) -> Result<()> {
        let Workspace { codecs, page, .. } = space;
        let dictionary = &self.known.0;
        if !self.begun {
            // How many values are to come is not known: whether a dictionary pays is seen as they do.
            let coming = Coming { values: usize::MAX / 10, whole: false };
            self.output.begin(codecs, Some(dictionary), coming)?;
            self.begun = true;
        }
        page.begin(numbers.len());
        page.repetition = Levels::Same(0);
        page.definition = match numbers.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => Levels::Same(self.shape.max_definition),
            Some(_) if self.shape.max_definition == 0 => return damaged("a null in a required column"),
            Some(nulls) => Levels::Each(nulls.iter().map(u32::from).collect()),
        };
        let indices = page.values.begin_indices();
        match numbers.nulls() {
            None => indices.extend_from_slice(numbers.values()),
            Some(_) => indices.extend(numbers.iter().flatten()),
        }
        dictionary.check(indices)?;
        while !page.is_empty() {
            if self.output.is_full() {
                self.output.flush(codecs)?;
            }
            let room = self.output.room(page, Some(dictionary)).max(1);
            let slice = page.take(room, &self.shape);
            self.output.push(codecs, page, &slice, Some(dictionary))?;
        }
        Ok(())
    }

    /// Completes the chunk.
    pub(crate) fn finish(self, space: &mut Workspace) -> Result<(Merged, Choice)> {
        let (merged, choice, _) = self.output.finish(&mut space.codecs, self.column)?;
        Ok((merged, choice))
    }
}
