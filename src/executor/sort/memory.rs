//! Rows in memory, in order.

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;

use super::head::{Head, common_of_all, head, tell_all};
use super::key::Keys;
use super::merge::Ordered;
use super::{CHUNK, rows_in};
use crate::error::{Error, Result};

/// Bytes that are put together in one go: so many rows of a column that what is looked up for one of them is still in the
/// cache for another.
const BLOCK: usize = 16 * CHUNK;

/// A row: the head of its key, its batch, its place there.
pub(super) type Indexed = (Head, u32, u32);

/// Batches in memory, read in order.
#[derive(Debug)]
pub(super) struct InMemory {
    batches: Vec<RecordBatch>,
    order: Vec<Indexed>,
    /// The first key and the last one; nothing when there are no rows.
    ends: Vec<Vec<u8>>,
    at: usize,
    /// Rows in order that were not handed on yet.
    ready: Option<RecordBatch>,
    /// Rows of a batch, and of what is put together in one go.
    rows_at_once: usize,
    rows_of_a_block: usize,
}

impl InMemory {
    /// Sorts batches.
    pub(super) fn new(keys: &Keys, batches: Vec<RecordBatch>) -> Result<Self> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let all = batches.iter().map(|batch| keys.of(batch)).collect::<Result<Vec<_>>>()?;
        let skip = common_of_all(&all);
        let mut order: Vec<Indexed> = Vec::with_capacity(rows);
        for (batch, keys) in (0u32..).zip(&all) {
            let count = u32::try_from(keys.count());
            let count = count.map_err(|e| Error::internal("a batch is too long").caused_by(e))?;
            order.extend((0..count).map(|row| (head(keys.get(row as usize), skip), batch, row)));
        }
        // Equal keys stay in the order in which they came: the result is always the same (I11).
        if all.iter().all(|keys| tell_all(keys, skip)) {
            order.sort_unstable();
        } else {
            let key = |row: &Indexed| all[row.1 as usize].get(row.2 as usize);
            order.sort_unstable_by(|a, b| {
                a.0.cmp(&b.0).then_with(|| key(a).cmp(key(b))).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
            });
        }
        let key = |row: &Indexed| all[row.1 as usize].get(row.2 as usize).to_vec();
        let ends = order.first().into_iter().chain(order.last()).map(key).collect();
        let width = bytes.checked_div(rows).unwrap_or(0);
        let (rows_at_once, rows_of_a_block) = (rows_in(CHUNK, width), rows_in(BLOCK, width));
        Ok(Self { batches, order, ends, at: 0, ready: None, rows_at_once, rows_of_a_block })
    }
}

impl InMemory {
    /// The first key and the last one; nothing when there are no rows.
    pub(super) fn ends(&self) -> Vec<Vec<u8>> {
        self.ends.clone()
    }
}

impl Ordered for InMemory {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let ready = match self.ready.take() {
            Some(ready) => ready,
            None if self.at == self.order.len() => return Ok(None),
            None => {
                let end = (self.at + self.rows_of_a_block).min(self.order.len());
                let some = self.order[self.at..end].iter();
                let some: Vec<(usize, usize)> = some.map(|(_, batch, row)| (*batch as usize, *row as usize)).collect();
                self.at = end;
                let batches: Vec<&RecordBatch> = self.batches.iter().collect();
                interleave_record_batch(&batches, &some)
                    .map_err(|e| Error::internal("sorted rows can't be put together").caused_by(e))?
            }
        };
        let some = self.rows_at_once.min(ready.num_rows());
        if some < ready.num_rows() {
            self.ready = Some(ready.slice(some, ready.num_rows() - some));
        }
        Ok(Some(ready.slice(0, some)))
    }
}
