//! Files that are left alone in an old spec, and why.

use std::collections::HashMap;

use super::output_spec;
use crate::error::Result;
use crate::model::{CompactPolicy, KeepSpec, SkipReason, TableState};
use crate::planner::compact::left::Left;

/// A file that is left alone in an old spec.
pub(in crate::planner::compact) fn left(state: &TableState, file: usize, keep: &KeepSpec) -> Left {
    let spec_id = state.partition(state.files[file].partition).spec_id;
    Left { file, why: SkipReason::KeepsSpec { spec_id, why: Box::new(keep.clone()) } }
}

/// Says of files that are left alone in an old spec why that is.
///
/// # Errors
/// As [`output_spec`].
pub(in crate::planner::compact) fn explain(
    state: &TableState,
    policy: &CompactPolicy,
    keeps: &HashMap<usize, KeepSpec>,
    all: &mut [Left],
) -> Result<()> {
    let current = output_spec(state, policy)?.spec_id();
    for one in all {
        let spec_id = state.partition(state.files[one.file].partition).spec_id;
        match keeps.get(&one.file) {
            Some(keep) => *one = left(state, one.file, keep),
            None if spec_id != current && one.why == SkipReason::GoodAsItIs => {
                one.why = SkipReason::OldSpec { spec_id };
            }
            None => {}
        }
    }
    Ok(())
}
