//! Row ids that live data files without their own inherit from their manifest (spec, "First Row ID Inheritance").

use iceberg::spec::ManifestFile;

/// The row ids that a manifest hands down.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowIds {
    next: Option<u64>,
}

impl RowIds {
    /// The ids of a manifest, as its list has them.
    pub(crate) fn of(manifest: &ManifestFile) -> Self {
        Self { next: manifest.first_row_id }
    }

    /// The first row id of the next live data file.
    pub(crate) fn of_file(&mut self, own: Option<i64>, records: u64) -> Option<i64> {
        if own.is_some() {
            return own;
        }
        let first = self.next?;
        self.next = first.checked_add(records);
        i64::try_from(first).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_hand_down_ids_in_order_and_leave_own_ones() {
        let mut ids = RowIds { next: Some(100) };
        let files = [(None, 10), (Some(7), 5), (None, 3), (Some(0), 1), (None, 1)];
        let first = files.map(|(own, records)| ids.of_file(own, records));
        assert_eq!(first, [Some(100), Some(7), Some(110), Some(0), Some(113)]);
        assert_eq!(RowIds { next: None }.of_file(None, 10), None, "a manifest from before an upgrade");
    }
}
