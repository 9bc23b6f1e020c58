//! How much of each data file is deleted, as far as metadata tells.

use std::collections::HashSet;

use super::DeleteIndex;
use crate::model::{CompactPolicy, DataFile, DeleteContent, DeleteFile, FileFormat, PickReason, TableState};

/// The deletes of one data file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::planner) struct Burden {
    /// Indexes into [`TableState::deletes`], ascending.
    pub(in crate::planner) deletes: Vec<u32>,
    /// Of those, the ones that may hit a row: a file that a later commit added is not named by older positions.
    counting: u64,
    /// About how many rows are deleted.
    pub(in crate::planner) deleted: u64,
}

/// The deletes of all data files, in their order; of a table without deletes nothing is kept.
#[derive(Debug)]
pub(in crate::planner) struct Burdens(Vec<Burden>);

static NONE: Burden = Burden { deletes: Vec::new(), counting: 0, deleted: 0 };

impl Burdens {
    /// Looks up what applies to every file. A delete file that says which data file it is for counts there with all its
    /// records; any other one is shared out among the rows that it may apply to.
    pub(in crate::planner) fn find(state: &TableState) -> Self {
        if state.deletes.is_empty() {
            return Self(Vec::new());
        }
        let index = DeleteIndex::new(state);
        let of = |file| Burden { deletes: index.applying_to(file), ..Burden::default() };
        let mut burdens = Self(state.files.iter().map(of).collect());
        burdens.share_out(state, &HashSet::new());
        burdens
    }

    /// Looks ahead: once these files are rewritten, what they share with others is shared out among fewer rows. That may
    /// make another file a candidate, or let a group fit that did not: better done in the same run (I8). Says whether
    /// anything is different.
    pub(in crate::planner) fn look_ahead(&mut self, state: &TableState, rewritten: &HashSet<&str>) -> bool {
        if state.deletes.is_empty() {
            return false;
        }
        let mut then = Self(self.0.clone());
        then.share_out(state, rewritten);
        let mut more = false;
        for ((file, now), then) in state.files.iter().zip(&mut self.0).zip(then.0) {
            if *now != then && !rewritten.contains(&*file.path) {
                *now = then;
                more = true;
            }
        }
        more
    }

    fn share_out(&mut self, state: &TableState, rewritten: &HashSet<&str>) {
        let mut reached = vec![0u64; state.deletes.len()];
        for (file, burden) in state.files.iter().zip(&self.0) {
            if rewritten.contains(&*file.path) {
                continue;
            }
            for delete in counting(state, file, burden) {
                reached[delete] += file.records;
            }
        }
        for (file, burden) in state.files.iter().zip(&mut self.0) {
            let (mut deleted, mut count) = (0u64, 0);
            for number in counting(state, file, burden) {
                let delete = &state.deletes[number];
                count += 1;
                deleted = deleted.saturating_add(match &delete.referenced_data_file {
                    Some(_) => delete.records,
                    None => {
                        let shared = u128::from(delete.records) * u128::from(file.records);
                        u64::try_from(shared.div_ceil(u128::from(reached[number].max(1)))).unwrap_or(u64::MAX)
                    }
                });
            }
            burden.counting = count;
            burden.deleted = deleted.min(file.records);
        }
    }

    /// The burden of one file, by its index in the state.
    pub(in crate::planner) fn of(&self, file: usize) -> &Burden {
        self.0.get(file).unwrap_or(&NONE)
    }

    /// How many files have deletes.
    pub(in crate::planner) fn files(&self) -> u64 {
        self.0.iter().filter(|burden| !burden.deletes.is_empty()).count() as u64
    }
}

/// The deletes that may hit a row of the file. By the spec's rule positions also apply to files that were rewritten with
/// the data's old number after them; they can't name those, and must not make them candidates for ever (I8).
fn counting<'a>(state: &'a TableState, file: &'a DataFile, burden: &'a Burden) -> impl Iterator<Item = usize> + 'a {
    burden.deletes.iter().map(|number| *number as usize).filter(|number| {
        let delete = &state.deletes[*number];
        delete.content == DeleteContent::Equality || file.file_sequence_number <= delete.file_sequence_number
    })
}

impl Burden {
    /// Why its deletes alone make a file a candidate.
    pub(in crate::planner) fn reason(&self, file: &DataFile, policy: &CompactPolicy) -> Option<PickReason> {
        if self.counting == 0 {
            None
        } else if self.deleted as f64 >= file.records as f64 * policy.delete_ratio_threshold {
            Some(PickReason::HighDeleteRatio { deleted: self.deleted })
        } else if self.counting >= policy.delete_file_threshold {
            Some(PickReason::TooManyDeletes { delete_files: self.counting })
        } else {
            None
        }
    }
}

/// What stands against applying a delete, if anything does.
pub(in crate::planner) fn obstacle(delete: &DeleteFile) -> Option<String> {
    if delete.encrypted {
        return Some("is encrypted".to_owned());
    }
    match (delete.content, delete.format) {
        (_, FileFormat::Parquet) | (DeleteContent::Position, FileFormat::Puffin) => None,
        (_, format) => Some(format!("is in format {format:?} (not supported yet)")),
    }
}
