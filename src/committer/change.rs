//! What a commit changes, and how its summary says so.

use std::collections::{BTreeSet, HashMap};

use iceberg::spec::DataFile;

/// What a commit changes, in figures.
#[derive(Debug, Default)]
pub(super) struct Change {
    added: Figures,
    removed: Figures,
    partitions: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Figures {
    files: u64,
    records: u64,
    bytes: u64,
}

impl Figures {
    fn count(&mut self, file: &DataFile) {
        self.files += 1;
        self.records += file.record_count();
        self.bytes += file.file_size_in_bytes();
    }
}

impl Change {
    pub(super) fn add(&mut self, file: &DataFile) {
        self.added.count(file);
        self.partitions.insert(format!("{:?}", file.partition()));
    }

    pub(super) fn remove(&mut self, file: &DataFile) {
        self.removed.count(file);
        self.partitions.insert(format!("{:?}", file.partition()));
    }

    /// The summary as the reference implementation writes it.
    pub(super) fn summary(&self, previous: Option<&HashMap<String, String>>) -> HashMap<String, String> {
        let mut summary = HashMap::new();
        let mut set = |key: &str, value: u64| {
            if value > 0 {
                summary.insert(key.to_owned(), value.to_string());
            }
        };
        set("added-data-files", self.added.files);
        set("added-records", self.added.records);
        set("added-files-size", self.added.bytes);
        set("deleted-data-files", self.removed.files);
        set("deleted-records", self.removed.records);
        set("removed-files-size", self.removed.bytes);
        set("changed-partition-count", self.partitions.len() as u64);
        let mut total = |key: &str, added: u64, removed: u64| {
            // A total that the parent does not have can't be continued; without a parent it starts at nothing.
            let before = match previous {
                Some(previous) => previous.get(key).and_then(|text| text.parse::<u64>().ok()),
                None => Some(0),
            };
            if let Some(after) = before.and_then(|before| (before + added).checked_sub(removed)) {
                summary.insert(key.to_owned(), after.to_string());
            }
        };
        total("total-data-files", self.added.files, self.removed.files);
        total("total-records", self.added.records, self.removed.records);
        total("total-files-size", self.added.bytes, self.removed.bytes);
        total("total-delete-files", 0, 0);
        total("total-position-deletes", 0, 0);
        total("total-equality-deletes", 0, 0);
        summary
    }
}
