//! What a commit changes, and how its summary says so.

use std::collections::{BTreeSet, HashMap};

use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Struct};

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
    /// Bytes of files of all kinds.
    bytes: u64,
    delete_files: u64,
    position_files: u64,
    vectors: u64,
    equality_files: u64,
    positions: u64,
    equality_rows: u64,
}

impl Figures {
    fn count(&mut self, file: &DataFile) {
        let content = file.content_size_in_bytes().and_then(|bytes| u64::try_from(bytes).ok());
        let size = content.unwrap_or_else(|| file.file_size_in_bytes());
        match file.content_type() {
            DataContentType::Data => return self.count_data(size, file.record_count()),
            DataContentType::PositionDeletes => {
                self.delete_files += 1;
                let vector = file.file_format() == DataFileFormat::Puffin;
                *(if vector { &mut self.vectors } else { &mut self.position_files }) += 1;
                self.positions += file.record_count();
            }
            DataContentType::EqualityDeletes => {
                self.delete_files += 1;
                self.equality_files += 1;
                self.equality_rows += file.record_count();
            }
        }
        self.bytes += size;
    }

    fn count_data(&mut self, size: u64, records: u64) {
        self.bytes += size;
        self.files += 1;
        self.records += records;
    }
}

impl Change {
    pub(super) fn add(&mut self, file: &DataFile) {
        self.added.count(file);
        self.partitions.insert(format!("{:?}", file.partition()));
    }

    /// A data file that goes, by its figures.
    pub(super) fn remove_data(&mut self, size: u64, records: u64, partition: &Struct) {
        self.removed.count_data(size, records);
        self.partitions.insert(format!("{partition:?}"));
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
        let (added, removed) = (&self.added, &self.removed);
        set("added-data-files", added.files);
        set("added-records", added.records);
        set("added-files-size", added.bytes);
        set("deleted-data-files", removed.files);
        set("deleted-records", removed.records);
        set("removed-files-size", removed.bytes);
        for (word, figures) in [("added", added), ("removed", removed)] {
            set(&format!("{word}-delete-files"), figures.delete_files);
            set(&format!("{word}-position-delete-files"), figures.position_files);
            set(&format!("{word}-dvs"), figures.vectors);
            set(&format!("{word}-equality-delete-files"), figures.equality_files);
            set(&format!("{word}-position-deletes"), figures.positions);
            set(&format!("{word}-equality-deletes"), figures.equality_rows);
        }
        set("changed-partition-count", self.partitions.len() as u64);
        let mut total = |key: &str, figure: fn(&Figures) -> u64| {
            // A total that the parent does not have can't be continued; without a parent it starts at nothing.
            let before = match previous {
                Some(previous) => previous.get(key).and_then(|text| text.parse::<u64>().ok()),
                None => Some(0),
            };
            if let Some(after) = before.and_then(|before| (before + figure(added)).checked_sub(figure(removed))) {
                summary.insert(key.to_owned(), after.to_string());
            }
        };
        total("total-data-files", |figures| figures.files);
        total("total-records", |figures| figures.records);
        total("total-files-size", |figures| figures.bytes);
        total("total-delete-files", |figures| figures.delete_files);
        total("total-position-deletes", |figures| figures.positions);
        total("total-equality-deletes", |figures| figures.equality_rows);
        summary
    }
}
