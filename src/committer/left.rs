//! The data files that will be live after a commit, as far as deletes may apply to them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use iceberg::spec::{DataFileFormat, ManifestFile, Struct};

use super::retire::Candidate;
use crate::lake::LiveEntries;
use crate::model::DeleteContent;

/// What matters of the live data files of one manifest.
#[derive(Debug, Default)]
pub(super) struct Digest {
    spec_id: i32,
    /// The lowest data sequence number in each partition.
    lowest: HashMap<Struct, i64>,
    /// The same over data files without deletion vectors: a vector stands for all positions of its file.
    lowest_bare: HashMap<Struct, i64>,
    /// Hashes of paths: should two ever be equal, a delete file stays that might have gone.
    paths: HashSet<u64>,
}

impl Digest {
    pub(super) fn of(
        file: &ManifestFile,
        manifest: &LiveEntries,
        removed: &HashSet<&str>,
        vectored: &HashSet<String>,
        hasher: &RandomState,
    ) -> Self {
        let mut digest = Self { spec_id: file.partition_spec_id, ..Self::default() };
        for entry in manifest.entries.iter().filter(|entry| !removed.contains(&*entry.path)) {
            let (sequence, partition) = (entry.sequence_number, &entry.partition);
            digest.paths.insert(hasher.hash_one(&*entry.path));
            note(&mut digest.lowest, partition, sequence);
            if !vectored.contains(&*entry.path) {
                note(&mut digest.lowest_bare, partition, sequence);
            }
        }
        digest
    }
}

fn note(lowest: &mut HashMap<Struct, i64>, partition: &Struct, sequence: i64) {
    match lowest.get_mut(partition) {
        Some(known) => *known = sequence.min(*known),
        None => {
            lowest.insert(partition.clone(), sequence);
        }
    }
}

/// The data files that stay.
pub(super) struct Left<'d> {
    lowest: HashMap<(i32, &'d Struct), i64>,
    lowest_bare: HashMap<(i32, &'d Struct), i64>,
    lowest_of_all: i64,
    digests: Vec<&'d Digest>,
    vectored: &'d HashSet<String>,
    hasher: RandomState,
}

impl<'d> Left<'d> {
    pub(super) fn of(digests: Vec<&'d Digest>, vectored: &'d HashSet<String>, hasher: RandomState) -> Self {
        let over = |of: fn(&Digest) -> &HashMap<Struct, i64>| {
            let mut lowest: HashMap<(i32, &Struct), i64> = HashMap::new();
            for digest in &digests {
                for (partition, sequence) in of(digest) {
                    let known = lowest.entry((digest.spec_id, partition)).or_insert(*sequence);
                    *known = (*known).min(*sequence);
                }
            }
            lowest
        };
        let (lowest, lowest_bare) = (over(|digest| &digest.lowest), over(|digest| &digest.lowest_bare));
        let lowest_of_all = lowest.values().copied().min().unwrap_or(i64::MAX);
        Self { lowest, lowest_bare, lowest_of_all, digests, vectored, hasher }
    }

    /// Whether a delete may apply to one of them.
    pub(super) fn needs(&self, delete: &Candidate<'_>, everywhere: bool, others: Option<&[String]>) -> bool {
        let data = delete.entry.data_file();
        let is_vector = data.file_format() == DataFileFormat::Puffin;
        let lives = |path: &str| {
            let hash = self.hasher.hash_one(path);
            let bare = is_vector || !self.vectored.contains(path);
            bare && self.digests.iter().any(|digest| digest.paths.contains(&hash))
        };
        let place = (delete.manifest.partition_spec_id, data.partition());
        let oldest = match (delete.content, data.referenced_data_file(), others) {
            (DeleteContent::Position, Some(path), _) => return lives(&path),
            (DeleteContent::Position, None, Some(others)) => return others.iter().any(|path| lives(path)),
            (DeleteContent::Position, None, None) => self.lowest_bare.get(&place).copied(),
            (DeleteContent::Equality, ..) if everywhere => Some(self.lowest_of_all),
            (DeleteContent::Equality, ..) => self.lowest.get(&place).copied(),
        };
        oldest.is_some_and(|data| delete.content.reaches(delete.sequence, data))
    }
}
