//! Deleted rows: which rows of a task's inputs do not live on.
//!
//! Whatever kind a delete file is, it comes down to positions in inputs: one [`Mask`] an input. Encoding and verification
//! know nothing else of deletes.

mod equality;
mod mask;
mod positions;
mod puffin;
mod vector;
mod vectors;
mod write;

use std::sync::Arc;

use tokio::runtime::Handle;

pub(crate) use mask::Mask;
pub(super) use vectors::write as write_vectors;
pub(super) use write::write;

use super::TableContext;
use super::source::Source;
use crate::error::{Error, Result};
use crate::lake::{Ambient, Store};
use crate::model::{AppliedDelete, FileFormat, RewriteTask, Route, TaskDelete};
use positions::Positions;

/// The masks of a task's inputs, in their order.
#[derive(Debug, Default)]
pub(crate) struct Masks {
    of: Vec<Mask>,
}

impl Masks {
    /// Masks by input.
    pub(crate) fn new(of: Vec<Mask>) -> Self {
        Self { of }
    }

    /// No deletes at all.
    pub(crate) const fn none() -> Self {
        Self { of: Vec::new() }
    }

    /// The mask of one input; inputs beyond the known ones have no deletes.
    ///
    /// # Errors
    /// None today; masks that were moved to disk can fail to come back.
    #[expect(clippy::unnecessary_wraps, reason = "masks that do not fit into memory are read from disk")]
    pub(crate) fn of(&self, input: usize) -> Result<Mask> {
        Ok(self.of.get(input).cloned().unwrap_or_default())
    }
}

/// The deletion vector that an input has, if it has one.
fn vector_of(task: &RewriteTask, input: usize) -> Option<&TaskDelete> {
    let deletes = task.inputs.get(input)?.deletes.iter();
    deletes.filter_map(|number| task.deletes.get(*number as usize)).find(|delete| delete.format == FileFormat::Puffin)
}

/// The deletes of a task, applied.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) masks: Masks,
    /// How many rows they remove.
    pub(crate) rows: u64,
    pub(crate) applied: Vec<AppliedDelete>,
}

/// What is needed to apply a task's deletes.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) task: &'a RewriteTask,
    pub(crate) table: &'a TableContext,
    pub(crate) sources: &'a [Source],
    pub(crate) store: &'a Arc<Store>,
    pub(crate) ambient: &'a Arc<Ambient>,
    pub(crate) runtime: &'a Handle,
    pub(crate) workers: usize,
    /// Bytes that keys of equality deletes may hold in memory (I9).
    pub(crate) memory: u64,
}

/// Reads the deletes of a task and finds the rows that they hit.
///
/// # Errors
/// `Corrupt` naming the delete file that can't be read, `Unavailable` when the store does not answer, `Exhausted` when
/// keys that do not fit into memory do not fit on disk either.
pub(crate) fn resolve(inputs: &Inputs<'_>) -> Result<Resolved> {
    if inputs.task.deletes.is_empty() {
        return Ok(Resolved::default());
    }
    if let Some(source) = inputs.sources.iter().find(|source| source.rows() > u64::from(u32::MAX)) {
        return Err(Error::unsupported(format!("{} has deletes and more than 2^32 rows", source.path)));
    }
    let positions = Positions::new(inputs.task);
    let mut applied = positions.read_all(inputs.task, inputs.store, inputs.runtime)?;
    applied.extend(equality::apply(inputs, &positions)?);
    applied.sort_by(|a, b| a.key.cmp(&b.key));
    let mut resolved = Resolved { applied, ..Resolved::default() };
    let mut masks = Vec::with_capacity(inputs.sources.len());
    for (source, mut deleted) in inputs.sources.iter().zip(positions.finish()) {
        // A position beyond the end deletes nothing.
        if let Ok(end) = u32::try_from(source.rows()) {
            deleted.remove_range(end..);
        }
        let known = vector_of(inputs.task, masks.len()).filter(|_| inputs.task.route == Route::Vectors);
        if let Some(known) = known.filter(|known| known.records == deleted.len()) {
            // It holds no position that was not found: to write the same anew would gain nothing.
            resolved
                .applied
                .iter_mut()
                .filter(|applied| applied.key == known.key)
                .for_each(|applied| applied.stays = true);
            masks.push(Mask::default());
            continue;
        }
        deleted.optimize();
        resolved.rows += deleted.len();
        masks.push(Mask::new(Arc::new(deleted)));
    }
    resolved.masks = Masks::new(masks);
    Ok(resolved)
}
