//! Merging sorted runs into one sequence of batches.

use std::cmp::Ordering;

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;

use super::key::{KeyRows, Keys};
use crate::error::{Error, Result};

/// So many batches that are used up may wait for the output at hand. Rows that are wide come few at a time.
const USED_UP: usize = 16;

/// A sorted sequence of batches.
pub(crate) trait Ordered {
    /// The next batch; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}

/// Merges sequences by a tournament: each row costs log2(sequences) comparisons.
pub(super) struct Merge<'a> {
    keys: &'a Keys,
    inputs: Vec<Box<dyn Ordered + 'a>>,
    cursors: Vec<Option<Cursor>>,
    /// `losers[0]` is the winner; `losers[n]` lost the match at node n.
    losers: Vec<usize>,
    /// Batches that rows were taken from since the last output, and the rows taken, in order.
    window: Vec<RecordBatch>,
    taken: Vec<(usize, usize)>,
    rows_at_once: usize,
}

/// Where one sequence stands.
struct Cursor {
    rows: KeyRows,
    count: usize,
    at: usize,
    /// Its batch in the window.
    slot: usize,
}

impl<'a> Merge<'a> {
    pub(super) fn new(keys: &'a Keys, inputs: Vec<Box<dyn Ordered + 'a>>, rows_at_once: usize) -> Result<Self> {
        let count = inputs.len();
        let mut merge = Self {
            keys,
            inputs,
            cursors: Vec::new(),
            losers: vec![usize::MAX; count.max(1)],
            window: Vec::new(),
            taken: Vec::with_capacity(rows_at_once),
            rows_at_once,
        };
        for index in 0..count {
            merge.cursors.push(None);
            merge.load(index)?;
        }
        for index in 0..count {
            merge.play(index);
        }
        Ok(merge)
    }

    /// Reads the next batch of a sequence into the window.
    fn load(&mut self, index: usize) -> Result<()> {
        self.cursors[index] = loop {
            let Some(batch) = self.inputs[index].next()? else { break None };
            if batch.num_rows() > 0 {
                let (rows, count) = (self.keys.of(&batch)?, batch.num_rows());
                self.window.push(batch);
                break Some(Cursor { rows, count, at: 0, slot: self.window.len() - 1 });
            }
        };
        Ok(())
    }

    /// Lets a sequence climb from its leaf: at each node the loser stays, the winner goes on.
    fn play(&mut self, leaf: usize) {
        let count = self.cursors.len();
        let mut winner = leaf;
        let mut node = (leaf + count) / 2;
        while node > 0 {
            let other = self.losers[node];
            if other == usize::MAX {
                // The first to come waits here for the other half of the tree.
                self.losers[node] = winner;
                return;
            }
            if self.before(other, winner) {
                self.losers[node] = winner;
                winner = other;
            }
            node /= 2;
        }
        self.losers[0] = winner;
    }

    /// Whether sequence `a` comes before `b`: finished ones come last, equal keys keep the order of the sequences.
    fn before(&self, a: usize, b: usize) -> bool {
        match (&self.cursors[a], &self.cursors[b]) {
            (None, _) => false,
            (_, None) => true,
            (Some(x), Some(y)) => match x.rows.get(x.at).cmp(y.rows.get(y.at)) {
                Ordering::Less => true,
                Ordering::Greater => false,
                Ordering::Equal => a < b,
            },
        }
    }

    fn emit(&mut self) -> Result<RecordBatch> {
        let batches: Vec<&RecordBatch> = self.window.iter().collect();
        let merged = interleave_record_batch(&batches, &self.taken)
            .map_err(|e| Error::internal("sorted rows can't be put together").caused_by(e))?;
        self.taken.clear();
        // Only the batches that cursors stand on are still needed.
        let mut kept = Vec::with_capacity(self.cursors.len());
        for cursor in self.cursors.iter_mut().flatten() {
            kept.push(self.window[cursor.slot].clone());
            cursor.slot = kept.len() - 1;
        }
        self.window = kept;
        Ok(merged)
    }
}

impl Ordered for Merge<'_> {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let most = self.cursors.len() + USED_UP;
        while self.taken.len() < self.rows_at_once && (self.window.len() < most || self.taken.is_empty()) {
            let winner = self.losers[0];
            let Some(Some(cursor)) = self.cursors.get_mut(winner) else { break };
            self.taken.push((cursor.slot, cursor.at));
            cursor.at += 1;
            if cursor.at == cursor.count {
                self.load(winner)?;
            }
            self.play(winner);
        }
        if self.taken.is_empty() { Ok(None) } else { self.emit().map(Some) }
    }
}
