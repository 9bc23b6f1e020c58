//! Several operations on one table, reported as one run.

use super::{Operation, Status, StepReport, TableReport};

impl TableReport {
    /// Adds what a step did: figures before are those of the first step that has them, figures after those of the last,
    /// sums add up, and the worst error is the run's.
    pub fn add_step(&mut self, operation: Operation, step: Self) {
        let first = |mine: &mut Option<u64>, step: Option<u64>| *mine = mine.or(step);
        let last = |mine: &mut Option<u64>, step: Option<u64>| *mine = step.or(*mine);
        let sum = |mine: &mut Option<u64>, step: Option<u64>| {
            *mine = match (*mine, step) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        };
        if self.files_before.is_none() {
            self.sizes_before.clone_from(&step.sizes_before);
        }
        if step.files_after.is_some() {
            self.sizes_after.clone_from(&step.sizes_after);
        }
        first(&mut self.files_before, step.files_before);
        last(&mut self.files_after, step.files_after);
        first(&mut self.delete_files_before, step.delete_files_before);
        last(&mut self.delete_files_after, step.delete_files_after);
        first(&mut self.bytes_before, step.bytes_before);
        last(&mut self.bytes_after, step.bytes_after);
        last(&mut self.rows, step.rows);
        first(&mut self.snapshots_before, step.snapshots_before);
        last(&mut self.snapshots_after, step.snapshots_after);
        first(&mut self.manifests_before, step.manifests_before);
        last(&mut self.manifests_after, step.manifests_after);
        first(&mut self.metadata_versions_before, step.metadata_versions_before);
        last(&mut self.metadata_versions_after, step.metadata_versions_after);
        sum(&mut self.bytes_read, step.bytes_read);
        sum(&mut self.bytes_written, step.bytes_written);
        sum(&mut self.groups, step.groups);
        sum(&mut self.groups_committed, step.groups_committed);
        sum(&mut self.commit_conflicts, step.commit_conflicts);
        if let Some(chunks) = &step.chunks {
            self.chunks.get_or_insert_default().merge(chunks);
        }
        if let Some(removal) = &step.removed {
            self.add_removal(removal);
        }
        self.snapshot_id = step.snapshot_id.or(self.snapshot_id);
        self.peak_memory_bytes = self.peak_memory_bytes.max(step.peak_memory_bytes);
        if step.exit_code() > self.exit_code() {
            self.error.clone_from(&step.error);
        }
        self.status = worse(self.status, step.status);
        self.steps.push(StepReport { operation, report: Some(step) });
    }

    /// Adds a step that was not begun.
    pub fn skip_step(&mut self, operation: Operation) {
        self.steps.push(StepReport { operation, report: None });
    }
}

/// The status of a run of two steps: a failure shows, then that something was changed, then a refusal.
fn worse(a: Status, b: Status) -> Status {
    let weight = |status: Status| match status {
        Status::NothingToDo => 0,
        Status::DryRun => 1,
        Status::Refused => 2,
        Status::Committed => 3,
        Status::Failed => 4,
    };
    if weight(b) > weight(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::model::{FileKind, Removal, TableName};

    #[test]
    fn should_report_steps_as_one_run() {
        let table = TableName::new(["db"], "t");
        let step = |status| TableReport::new(table.clone(), status);
        let mut run = step(Status::NothingToDo);
        let refused = step(Status::NothingToDo).failed(&Error::unsupported("format version 3"));
        run.add_step(Operation::Compact, refused);
        assert_eq!((run.status, run.exit_code()), (Status::Refused, 3));
        let mut removal = Removal::default();
        removal.add(FileKind::Data, 7);
        let mut expired = step(Status::Committed);
        (expired.snapshots_before, expired.snapshots_after) = (Some(30), Some(20));
        expired.add_removal(&removal);
        run.add_step(Operation::Expire, expired);
        let mut orphans = step(Status::Committed);
        (orphans.snapshots_before, orphans.snapshots_after) = (Some(20), Some(20));
        orphans.add_removal(&removal);
        run.add_step(Operation::RemoveOrphans, orphans);
        assert_eq!(
            (run.status, run.exit_code()),
            (Status::Committed, 3),
            "what succeeded shows, and so does the refusal"
        );
        assert_eq!((run.snapshots_before, run.snapshots_after), (Some(30), Some(20)));
        assert_eq!((run.files_removed, run.bytes_removed), (Some(2), Some(14)));
        run.add_step(Operation::Expire, step(Status::NothingToDo).failed(&Error::unavailable("down")));
        assert_eq!((run.status, run.exit_code()), (Status::Failed, 5));
        run.skip_step(Operation::RemoveOrphans);
        assert_eq!(run.steps.len(), 5);
    }
}
