//! Pages move: row groups of many files become one large one without building values or arrays.
//!
//! Input pages are decompressed ([`input`]), cut into slices of rows, and collected into output pages ([`output`]): PLAIN
//! values as they are, indices by way of one merged dictionary, levels as runs. Nothing is known of a value but its
//! bytes; only its order is, for statistics and the page index ([`bounds`]). What can't go this way says so
//! ([`Stop::Unfit`]), and its column is decoded and encoded instead.
//!
//! Everything that comes from a file is checked before it is used: sizes against what is there, indices against their
//! dictionary, counts against the footer. Damaged pages are an error, never a panic, and never a wrong file.

mod bits;
mod blocks;
mod bounds;
mod choose;
mod codec;
mod compact;
mod delta;
mod dictionary;
#[cfg(any(test, feature = "internals"))]
#[expect(clippy::expect_used, reason = "a check that fails has to stop")]
#[cfg_attr(not(feature = "internals"), expect(unreachable_pub, reason = "it is the fuzzer that reaches it"))]
pub mod fuzz;
mod header;
mod hybrid;
mod index;
mod input;
#[cfg(feature = "internals")]
pub mod kernels;
mod levels;
mod living;
mod numbered;
mod output;
mod page;
mod split;
mod stop;
mod widen;

use std::sync::Arc;

use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

pub(crate) use blocks::Pool;
pub(crate) use choose::{Choice, Rules};
pub(crate) use codec::is_known;
pub(crate) use index::Merged;
pub(crate) use living::Wanted;
pub(crate) use numbered::{Known, Numbered};
pub(crate) use stop::{Result, Stop};

use codec::Codecs;
use dictionary::Dictionary;
use input::{Chunk, Shape};
use living::Living;
use output::{Buffers, Coming, Output};
use page::Page;
use stop::damaged;
use widen::Widen;

/// The ZSTD level for a page of such values, as far as the other writer (that of whole columns) has it.
pub(crate) fn level(rules: &Rules, plain: &[u8]) -> Result<i32> {
    Ok(choose::effort_for(&mut Codecs::new(), rules, plain)?.0.level().max(1))
}

/// What a worker keeps from one column to the next.
pub(crate) struct Workspace {
    codecs: Codecs,
    page: Page,
    spare: Option<Dictionary>,
    buffers: Buffers,
    pool: Arc<Pool>,
    /// For whoever reads column chunks.
    pub(crate) input: Vec<u8>,
}

/// A column chunk being made from the chunks of many row groups.
pub(crate) struct Merge {
    shape: Shape,
    column: ColumnDescPtr,
    output: Output,
    removed_nulls: usize,
}

impl Workspace {
    /// Chunks that are made in it take their memory from a pool.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        let (codecs, page) = (Codecs::new(), Page::new());
        Self { codecs, page, spare: None, buffers: Buffers::default(), pool, input: Vec::new() }
    }
}

/// Whether the values of a file's leaf are those of a table's, byte for byte.
pub(crate) fn is_same(file: &ColumnDescriptor, table: &ColumnDescriptor) -> bool {
    matches!((Shape::of(file), Shape::of(table)), (Ok(file), Ok(table)) if file == table)
}

/// Whether they can be changed one by one, so that they are.
pub(crate) fn can_change(file: &ColumnDescriptor, table: &ColumnDescriptor) -> bool {
    matches!((Shape::of(file), Shape::of(table)), (Ok(file), Ok(table)) if Widen::between(&file, &table).is_ok())
}

impl Merge {
    /// Begins a chunk of a table's leaf column.
    pub(crate) fn new(space: &mut Workspace, column: ColumnDescPtr, rules: Rules, choice: Choice) -> Result<Self> {
        let shape = Shape::of(&column)?;
        let output = Output::new(shape, rules, choice, std::mem::take(&mut space.buffers), space.pool.clone());
        Ok(Self { shape, column, output, removed_nulls: 0 })
    }

    /// Adds rows of an input's column chunk, given as its bytes.
    pub(crate) fn add(
        &mut self,
        space: &mut Workspace,
        metadata: &ColumnChunkMetaData,
        bytes: &[u8],
        wanted: Wanted<'_>,
    ) -> Result<()> {
        let mut chunk = Chunk::new(self.shape, metadata, bytes, space.spare.take())?;
        let values = usize::try_from(metadata.num_values()).unwrap_or(0);
        let added = match wanted {
            Wanted::Ranges(rows) => {
                let whole = rows.iter().all(|(keep, rows)| *keep || *rows == 0);
                self.add_pages(space, &mut chunk, Coming { values, whole }, rows, None)
            }
            Wanted::Living { all, offset, rows } => {
                let mut living = Living::new(all, offset, rows);
                let ranges = [(true, living.count() as u64)];
                // Nothing of a deleted row may stay behind, in a dictionary for example.
                let coming = Coming { values, whole: false };
                let added = self.add_pages(space, &mut chunk, coming, &ranges, Some(&mut living));
                self.removed_nulls += living.removed_nulls;
                added
            }
        };
        space.spare = chunk.dictionary.take();
        added
    }

    fn add_pages(
        &mut self,
        space: &mut Workspace,
        chunk: &mut Chunk<'_>,
        coming: Coming,
        rows: &[(bool, u64)],
        mut living: Option<&mut Living<'_>>,
    ) -> Result<()> {
        let Workspace { codecs, page, .. } = space;
        let mut ranges = rows.iter().copied().filter(|(_, rows)| *rows > 0).peekable();
        let mut range = match ranges.next() {
            Some(range) => range,
            // Nothing lives: there are only nulls to be counted.
            None if living.as_ref().is_some_and(|living| !living.is_done(&self.shape)) => (false, 0),
            None => return Ok(()),
        };
        let mut begun = !range.0 && ranges.peek().is_none();
        while chunk.next(codecs, page)? {
            if !begun {
                self.output.begin(codecs, chunk.dictionary.as_ref(), coming)?;
                begun = true;
            }
            if let Some(living) = &mut living {
                living.thin(page, &self.shape)?;
            }
            while !page.is_empty() {
                if range.1 == 0 && page.begins_row() {
                    let Some(next) = ranges.next() else {
                        return damaged("a column chunk has more rows than its row group");
                    };
                    range = next;
                }
                let (keep, left) = range;
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                if !keep {
                    if ranges.peek().is_none() {
                        // All that was asked for is there.
                        return Ok(());
                    }
                    let slice = page.take(most, &self.shape);
                    page.pass(&slice, &self.shape)?;
                    range.1 -= slice.rows as u64;
                    continue;
                }
                if page.begins_row() && self.output.is_full() {
                    self.output.flush(codecs)?;
                }
                let room = self.output.room(page, chunk.dictionary.as_ref()).max(1);
                let slice = page.take(most.min(room), &self.shape);
                range.1 -= slice.rows as u64;
                self.output.push(codecs, page, &slice, chunk.dictionary.as_ref())?;
            }
            page.finish()?;
            if living.as_ref().is_some_and(|living| living.is_done(&self.shape)) {
                return Ok(());
            }
        }
        if let Some(living) = &living {
            living.finish()?;
        }
        if range.1 > 0 || ranges.next().is_some() {
            return damaged("a column chunk has fewer rows than its row group");
        }
        Ok(())
    }

    /// Completes the chunk.
    pub(crate) fn finish(self, space: &mut Workspace) -> Result<(Merged, Choice)> {
        let (mut merged, choice, buffers) = self.output.finish(&mut space.codecs, self.column)?;
        space.buffers = buffers;
        merged.removed_nulls = self.removed_nulls as u64;
        Ok((merged, choice))
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.output.rows()
    }
}

#[cfg(test)]
mod tests;
