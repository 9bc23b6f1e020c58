//! Which files may be rewritten at all, and which of those want it.

use std::collections::HashSet;

use super::left::Left;
use crate::error::Result;
use crate::model::{
    CompactPolicy, DataFile, DeleteFile, FileFormat, PickReason, SkipReason, TableState, UnsupportedDelete, tier_of,
};
use crate::planner::deletes::{Burden, Burdens, obstacle};
use crate::planner::filter::FilterOn;

/// The files that may be rewritten, and why the others may not.
pub(super) struct Eligible {
    /// Indexes into the state's files.
    pub(super) files: Vec<usize>,
    pub(super) left: Vec<Left>,
}

impl Eligible {
    /// Sorts the files of a table.
    pub(super) fn find(state: &TableState, policy: &CompactPolicy, burdens: &Burdens) -> Result<Self> {
        let filter = policy.filter.as_ref().map(|filter| FilterOn::new(filter, &state.metadata)).transpose()?;
        let mut found = Self { files: Vec::new(), left: Vec::new() };
        for (index, file) in state.files.iter().enumerate() {
            let why = if file.format != FileFormat::Parquet {
                Some(SkipReason::NotParquet)
            } else if file.encrypted {
                Some(SkipReason::Encrypted)
            } else if filter.as_ref().is_some_and(|filter| !filter.may_match(state, file)) {
                Some(SkipReason::FilteredOut)
            } else if let Some(tier) = colder_tier(state, policy, file) {
                Some(SkipReason::InTier { tier })
            } else {
                unsupported_deletes(state, burdens.of(index))
            };
            match why {
                Some(why) => found.left.push(Left { file: index, why }),
                None => found.files.push(index),
            }
        }
        Ok(found)
    }
}

/// The tier of a file that is not in the hottest one.
fn colder_tier(state: &TableState, policy: &CompactPolicy, file: &DataFile) -> Option<Box<str>> {
    let class = state.classes.get(&*file.path).map(String::as_str);
    match tier_of(&policy.tiers, &file.path, class) {
        0 => None,
        index => Some(policy.tiers[index].name.as_str().into()),
    }
}

/// A delete that can't be applied keeps its files from being rewritten.
pub(in crate::planner) fn unsupported_deletes(state: &TableState, burden: &Burden) -> Option<SkipReason> {
    let vectors = burden.deletes.iter().map(|number| &state.deletes[*number as usize]);
    let mut vectors = vectors.filter(|delete| delete.format == FileFormat::Puffin);
    if let (Some(_), Some(second)) = (vectors.next(), vectors.next()) {
        let what = "is a second deletion vector of one file".to_owned();
        return Some(unsupported(second, what));
    }
    burden.deletes.iter().find_map(|number| {
        let delete = &state.deletes[*number as usize];
        obstacle(delete).map(|what| unsupported(delete, what))
    })
}

fn unsupported(delete: &DeleteFile, what: String) -> SkipReason {
    SkipReason::UnsupportedDeletes(Box::new(UnsupportedDelete { delete_file: delete.path.clone(), what }))
}

/// Why a file wants to be rewritten, if it does.
pub(super) fn pick(state: &TableState, policy: &CompactPolicy, file: &DataFile, burden: &Burden) -> Option<PickReason> {
    let codec = state.footers.get(&*file.path).and_then(|footer| footer.main_codec());
    burden
        .reason(file, policy)
        .or_else(|| size_reason(file, policy))
        .or_else(|| codec.filter(|found| *found != policy.codec).map(|found| PickReason::WrongCodec { found }))
        .or_else(|| policy.rewrite_all.then_some(PickReason::RewriteAll))
}

/// Why its size alone makes a file a candidate.
pub(in crate::planner) fn size_reason(file: &DataFile, policy: &CompactPolicy) -> Option<PickReason> {
    if file.size < policy.min_file_size_bytes {
        Some(PickReason::TooSmall)
    } else if file.size > policy.max_file_size_bytes {
        Some(PickReason::TooLarge)
    } else {
        None
    }
}

/// Snapshots that icewright made: the files that they added are in the right codec.
pub(super) fn our_snapshots(state: &TableState) -> HashSet<i64> {
    state
        .metadata
        .snapshots()
        .filter(|snapshot| snapshot.summary().additional_properties.contains_key("icewright.version"))
        .map(|snapshot| snapshot.snapshot_id())
        .collect()
}
