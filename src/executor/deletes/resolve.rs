//! Reading deletes, and finding the rows that they hit.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use super::equality;
use super::gather::Gather;
use super::masks::{Keeper, MaskRoom, Masks};
use super::positions::{Found, MOST_OTHERS, Positions};
use super::shared::{Member, Together};
use crate::error::{Error, Result};
use crate::executor::TableContext;
use crate::lake::{Spill, Store};
use crate::model::{AppliedDelete, DeleteContent, DeleteKey, FileFormat, MIB, RewriteTask, Route, TaskDelete};

/// What threads that read delete files and key columns hold.
const BUFFERS: u64 = 48 * MIB;
/// What a position takes while it is gathered, at most: two bytes, and once more while its bitmap is merged.
const PER_POSITION: u64 = 4;
/// What a key takes in a table, about.
const PER_KEY: u64 = 40;
/// Of the memory for deletes, positions that are gathered have one part in four while keys are at hand.
const SHARE: u64 = 4;

/// The deletes of a task, applied.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) masks: Masks,
    /// How many rows they remove.
    pub(crate) rows: u64,
    pub(crate) applied: Vec<AppliedDelete>,
}

/// What is needed to apply deletes.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// All tasks that are looked after together, as one.
    pub(crate) task: &'a RewriteTask,
    pub(crate) table: &'a TableContext,
    pub(crate) store: &'a Arc<Store>,
    pub(crate) runtime: &'a Handle,
    pub(crate) workers: usize,
    /// Bytes of memory for all that is read (I9).
    pub(crate) memory: u64,
    /// Where that goes that is more.
    pub(crate) spill: &'a Spill,
}

/// The memory that a task's deletes would like to have; with less, more goes to disk.
pub(crate) fn memory_wanted(task: &RewriteTask) -> u64 {
    let sum = |content| {
        let of = task.deletes.iter().filter(|delete| delete.content == content);
        of.map(|delete| delete.records).fold(0, u64::saturating_add)
    };
    let (positions, keys) = (sum(DeleteContent::Position), sum(DeleteContent::Equality));
    let gathered = positions.saturating_mul(PER_POSITION);
    // What is deleted by keys is positions too.
    let rows = if keys > 0 { keys.saturating_mul(PER_KEY).saturating_mul(SHARE) / (SHARE - 1) } else { 0 };
    BUFFERS.saturating_add(gathered).saturating_add(rows)
}

/// Reads the deletes of tasks and finds the rows that they hit, by task.
///
/// # Errors
/// `Corrupt` naming the delete file that can't be read, `Unavailable` when the store does not answer, `Exhausted` when
/// what does not fit into memory does not fit on disk either.
pub(crate) fn resolve(inputs: &Inputs<'_>, tasks: &Together, room: &MaskRoom) -> Result<HashMap<u32, Resolved>> {
    if let Some(input) = inputs.task.inputs.iter().find(|input| input.records > u64::from(u32::MAX)) {
        return Err(Error::unsupported(format!("{} has deletes and more than 2^32 rows", input.path)));
    }
    let memory = inputs.memory.saturating_sub(BUFFERS).max(MIB);
    let equality = inputs.task.deletes.iter().any(|delete| delete.content == DeleteContent::Equality);
    let gather = if equality { memory / SHARE } else { memory / 2 };
    let gathered = Gather::new(inputs.task.inputs.len(), gather, inputs.spill);
    let positions = Positions::new(inputs.task, &gathered);
    let mut found: HashMap<&DeleteKey, Found> = HashMap::new();
    for one in positions.read_all(inputs.task, inputs.store, inputs.runtime)? {
        found.insert(&inputs.task.deletes[one.number as usize].key, one);
    }
    equality::apply(&Inputs { memory: memory - gather, ..*inputs }, &gathered)?;
    let keeper = Keeper::new(room, inputs.spill);
    tasks
        .members
        .iter()
        .map(|member| Ok((member.id, finish(inputs.task, member, &found, &gathered, &keeper)?)))
        .collect()
}

/// What was found for one of the tasks.
fn finish(
    all: &RewriteTask,
    member: &Member,
    found: &HashMap<&DeleteKey, Found>,
    gathered: &Gather,
    keeper: &Keeper,
) -> Result<Resolved> {
    let mut resolved = Resolved {
        applied: member.deletes.iter().map(|delete| applied(all, member, delete, found.get(delete))).collect(),
        ..Resolved::default()
    };
    resolved.applied.sort_by(|a, b| a.key.cmp(&b.key));
    let Resolved { applied, rows, .. } = &mut resolved;
    let masks = keeper.keep(member.inputs.clone().map(|input| {
        let mut deleted = gathered.take(input)?;
        // A position beyond the end deletes nothing.
        if let Ok(end) = u32::try_from(all.inputs[input].records) {
            deleted.remove_range(end..);
        }
        let known = vector_of(all, input).filter(|known| member.route == Route::Vectors && !known.moves);
        if let Some(known) = known.filter(|known| known.records == deleted.len()) {
            // It holds no position that was not found: to write the same anew would gain nothing.
            let same = |applied: &&mut AppliedDelete| applied.key == known.key;
            applied.iter_mut().filter(same).for_each(|applied| applied.stays = true);
            return Ok(RoaringBitmap::new());
        }
        deleted.optimize();
        *rows += deleted.len();
        Ok(deleted)
    }))?;
    resolved.masks = masks;
    Ok(resolved)
}

/// What a delete was found to be for one of the tasks: inputs of the others are files like any other.
fn applied(all: &RewriteTask, member: &Member, key: &DeleteKey, found: Option<&Found>) -> AppliedDelete {
    let Some(found) = found else {
        return AppliedDelete { key: key.clone(), used: true, others: None, stays: false };
    };
    let own = |input: u32| member.inputs.contains(&(input as usize));
    let others = found.others.as_ref().and_then(|others| {
        let foreign = found.named.iter().filter(|input| !own(*input)).map(|input| &all.inputs[input as usize].path);
        let mut names: Vec<String> = others.iter().chain(foreign).take(MOST_OTHERS + 1).cloned().collect();
        names.sort_unstable();
        (names.len() <= MOST_OTHERS).then_some(names)
    });
    AppliedDelete { key: key.clone(), used: found.used.iter().any(own), others, stays: false }
}

/// The deletion vector that an input has, if it has one.
fn vector_of(task: &RewriteTask, input: usize) -> Option<&TaskDelete> {
    let deletes = task.inputs.get(input)?.deletes.iter();
    deletes.filter_map(|number| task.deletes.get(*number as usize)).find(|delete| delete.format == FileFormat::Puffin)
}
