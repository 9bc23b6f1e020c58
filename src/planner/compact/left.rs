//! Files that are left alone. They are told by their places in the table's list until the plan is made: that list is
//! ordered by path, a table may have a million of them, and numbers are sorted and looked up at no cost.

use crate::model::{InputFile, SkipReason, Skipped, TableState};

/// A file that is left alone, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Left {
    /// Index into the state's files.
    pub(super) file: usize,
    pub(super) why: SkipReason,
}

impl Left {
    /// All inputs of a group that is not rewritten.
    pub(super) fn group(state: &TableState, inputs: &[InputFile], why: &SkipReason) -> Vec<Self> {
        let files = inputs.iter().filter_map(|input| state.file_index(&input.path));
        files.map(|file| Self { file, why: why.clone() }).collect()
    }

    /// As a plan has them, ordered by path.
    pub(super) fn told(state: &TableState, mut all: Vec<Self>) -> Vec<Skipped> {
        all.sort_by_key(|left| left.file);
        all.into_iter()
            .map(|Self { file, why }| Skipped {
                path: state.files[file].path.clone(),
                size: state.files[file].size,
                why,
            })
            .collect()
    }
}
