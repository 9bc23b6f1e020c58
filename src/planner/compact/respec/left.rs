//! Files that are left alone in an old spec, and why.

use std::collections::HashMap;

use super::output_spec;
use crate::error::Result;
use crate::model::{CompactPolicy, KeepSpec, SkipReason, Skipped, TableState};

/// A file that is left alone in an old spec.
pub(in crate::planner::compact) fn skipped(state: &TableState, file: usize, keep: &KeepSpec) -> Skipped {
    let data = &state.files[file];
    let why = SkipReason::KeepsSpec { spec_id: state.partition(data.partition).spec_id, why: keep.clone() };
    Skipped { path: data.path.clone(), size: data.size, why }
}

/// Says of files that are left alone in an old spec why that is.
///
/// # Errors
/// As [`output_spec`].
pub(in crate::planner::compact) fn explain(
    state: &TableState,
    policy: &CompactPolicy,
    keeps: &HashMap<usize, KeepSpec>,
    left: &mut [Skipped],
) -> Result<()> {
    let current = output_spec(state, policy)?.spec_id();
    for one in left {
        let Ok(index) = state.files.binary_search_by(|file| file.path.cmp(&one.path)) else { continue };
        let spec_id = state.partition(state.files[index].partition).spec_id;
        match keeps.get(&index) {
            Some(keep) => *one = skipped(state, index, keep),
            None if spec_id != current && one.why == SkipReason::GoodAsItIs => {
                one.why = SkipReason::OldSpec { spec_id };
            }
            None => {}
        }
    }
    Ok(())
}
