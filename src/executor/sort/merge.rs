//! Merging sorted runs into one sequence of batches.

use arrow_array::RecordBatch;

use super::gather::{Stretch, gather};
use super::head::{Head, head, tell_all};
use super::key::{KeyRows, Keys};
use crate::error::Result;

/// So many batches that are used up may wait for the output at hand. Rows that are wide come few at a time.
const USED_UP: usize = 16;
/// A stretch of so many rows is a batch by itself: nothing is copied.
const BATCH: usize = 1024;

/// A sorted sequence of batches.
pub(crate) trait Ordered {
    /// The next batch; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}

/// Merges sequences by a tournament: a row costs log2(sequences) comparisons at most, and about one where rows of the same
/// sequence follow each other.
pub(super) struct Merge<'a> {
    keys: &'a Keys,
    /// Bytes that all keys begin with alike.
    skip: usize,
    inputs: Vec<Box<dyn Ordered + 'a>>,
    cursors: Vec<Option<Cursor>>,
    /// `losers[0]` is the winner; `losers[n]` lost the match at node n.
    losers: Vec<usize>,
    /// The winner before this one.
    before: usize,
    /// Batches that rows were taken from since the last output, and the rows taken, in order.
    window: Vec<RecordBatch>,
    taken: Vec<Stretch>,
    rows: usize,
    rows_at_once: usize,
}

/// Where one sequence stands.
struct Cursor {
    heads: Vec<Head>,
    /// The whole keys, unless heads tell all.
    rows: Option<KeyRows>,
    at: usize,
    /// Its batch in the window.
    slot: usize,
}

impl Cursor {
    /// Whether its row comes before a row of another one; of equal ones, `first` says.
    fn precedes(&self, at: usize, other: &Self, first: bool) -> bool {
        let order = self.heads[at].cmp(&other.heads[other.at]).then_with(|| match (&self.rows, &other.rows) {
            (Some(a), Some(b)) => a.get(at).cmp(b.get(other.at)),
            // A key that ends within its head would be the beginning of the other one if they were not equal.
            _ => std::cmp::Ordering::Equal,
        });
        if first { order.is_le() } else { order.is_lt() }
    }
}

impl<'a> Merge<'a> {
    /// Merges sequences whose keys all begin with the same `skip` bytes.
    pub(super) fn new(
        keys: &'a Keys,
        skip: usize,
        inputs: Vec<Box<dyn Ordered + 'a>>,
        rows_at_once: usize,
    ) -> Result<Self> {
        let count = inputs.len();
        let mut merge = Self {
            keys,
            skip,
            inputs,
            cursors: Vec::new(),
            losers: vec![usize::MAX; count.max(1)],
            before: usize::MAX,
            window: Vec::new(),
            taken: Vec::new(),
            rows: 0,
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
                let rows = self.keys.of(&batch)?;
                let heads = (0..rows.count()).map(|row| head(rows.get(row), self.skip)).collect();
                let rows = (!tell_all(&rows, self.skip)).then_some(rows);
                self.window.push(batch);
                break Some(Cursor { heads, rows, at: 0, slot: self.window.len() - 1 });
            }
        };
        Ok(())
    }

    /// Lets a sequence climb from its leaf: at each node the loser stays, the winner goes on.
    fn play(&mut self, leaf: usize) {
        let mut winner = leaf;
        let mut node = (leaf + self.cursors.len()) / 2;
        while node > 0 {
            let other = self.losers[node];
            if other == usize::MAX {
                // The first to come waits here for the other half of the tree.
                self.losers[node] = winner;
                return;
            }
            if self.precedes(other, winner) {
                self.losers[node] = winner;
                winner = other;
            }
            node /= 2;
        }
        self.losers[0] = winner;
    }

    /// Whether sequence `a` comes before `b`: finished ones come last, equal keys keep the order of the sequences.
    fn precedes(&self, a: usize, b: usize) -> bool {
        match (&self.cursors[a], &self.cursors[b]) {
            (None, _) => false,
            (_, None) => true,
            (Some(x), Some(y)) => x.precedes(x.at, y, a < b),
        }
    }

    /// How many rows of the winner's batch come before the rows of all other sequences.
    fn stretch(&self, winner: usize, cursor: &Cursor) -> usize {
        let left = cursor.heads.len() - cursor.at;
        if self.before != winner {
            // Where sequences take turns, a look for the second one would be in vain.
            return 1;
        }
        // The second one lost against the winner: it waits on the winner's way.
        let (mut second, mut node) = (None, (winner + self.cursors.len()) / 2);
        while node > 0 {
            let other = self.losers[node];
            if second.is_none_or(|second| self.precedes(other, second)) {
                second = Some(other);
            }
            node /= 2;
        }
        let Some((other, Some(second))) = second.map(|second| (second, &self.cursors[second])) else { return left };
        let ahead = |row: usize| cursor.precedes(cursor.at + row, second, winner < other);
        // By steps that double, then by halves between the last two.
        let (mut known, mut step) = (0, 1);
        while known + step < left && ahead(known + step) {
            known += step;
            step *= 2;
        }
        let mut end = (known + step).min(left);
        while known + 1 < end {
            let middle = known.midpoint(end);
            if ahead(middle) {
                known = middle;
            } else {
                end = middle;
            }
        }
        known + 1
    }

    fn emit(&mut self) -> Result<RecordBatch> {
        let merged = gather(&self.window, &self.taken)?;
        self.taken.clear();
        self.rows = 0;
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
        while self.rows < self.rows_at_once && (self.window.len() < most || self.taken.is_empty()) {
            let winner = self.losers[0];
            let Some(Some(cursor)) = self.cursors.get(winner) else { break };
            let count = self.stretch(winner, cursor);
            if count >= BATCH && !self.taken.is_empty() {
                break;
            }
            self.before = winner;
            self.taken.push(Stretch { batch: cursor.slot, from: cursor.at, count });
            self.rows += count;
            if let Some(Some(cursor)) = self.cursors.get_mut(winner) {
                cursor.at += count;
                if cursor.at == cursor.heads.len() {
                    self.load(winner)?;
                }
            }
            self.play(winner);
            if count >= BATCH {
                break;
            }
        }
        if self.taken.is_empty() { Ok(None) } else { self.emit().map(Some) }
    }
}
