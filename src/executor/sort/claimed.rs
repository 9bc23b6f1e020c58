//! Sequences that are in order already, as somebody says: they are merged as they come, and every row is looked at.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;

use super::key::Keys;
use super::merge::Ordered;
use crate::error::{Error, Result};

/// A sequence whose order is checked while it is read.
pub(crate) struct Claimed<'a, O> {
    rows: O,
    keys: &'a Keys,
    last: Vec<u8>,
    /// Set when a row comes before the one that it follows.
    broken: &'a AtomicBool,
}

impl<'a, O: Ordered> Claimed<'a, O> {
    /// Rows that should be in the order of these keys.
    pub(crate) fn new(rows: O, keys: &'a Keys, broken: &'a AtomicBool) -> Self {
        Self { rows, keys, last: Vec::new(), broken }
    }
}

impl<O: Ordered> Ordered for Claimed<'_, O> {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.rows.next()? else { return Ok(None) };
        let keys = self.keys.of(&batch)?;
        let mut last = self.last.as_slice();
        for row in 0..keys.count() {
            let key = keys.get(row);
            if key < last {
                self.broken.store(true, Ordering::Relaxed);
                return Err(Error::corrupt("rows are not in the order that their file's footer says"));
            }
            last = key;
        }
        self.last = last.to_vec();
        Ok(Some(batch))
    }
}
