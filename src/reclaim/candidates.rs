//! Files that may be unreachable, held in little memory: folders once, names without them, keys as 128-bit hashes.

use std::collections::{HashMap, HashSet};

use twox_hash::XxHash3_128;

use super::Doomed;
use crate::lake::Location;
use crate::lake::references::FileRef;
use crate::model::FileKind;

/// A location whichever way it is written. Two different ones that seem equal would only be kept for longer.
pub(super) fn key(location: &str) -> u128 {
    match Location::parse(location) {
        Ok(parsed) => XxHash3_128::oneshot(parsed.canonical().as_bytes()),
        Err(_) => XxHash3_128::oneshot(location.as_bytes()),
    }
}

/// A set of files.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    folders: Vec<String>,
    known: HashMap<String, u32>,
    files: HashMap<u128, File>,
    /// Those of earlier rounds: each file is removed, and counted, once.
    earlier: HashSet<u128>,
}

#[derive(Debug)]
struct File {
    name: Box<str>,
    size: u64,
    folder: u32,
    kind: FileKind,
}

impl Candidates {
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn add(&mut self, key: u128, file: &FileRef) {
        if self.earlier.contains(&key) {
            return;
        }
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let folder = match self.known.get(folder) {
            Some(known) => *known,
            None => {
                let next = u32::try_from(self.folders.len()).unwrap_or(u32::MAX);
                self.folders.push(folder.to_owned());
                self.known.insert(folder.to_owned(), next);
                next
            }
        };
        self.files.entry(key).or_insert_with(|| File { name: name.into(), size: file.size, folder, kind: file.kind });
    }

    /// Takes out a file that is reachable after all.
    pub(super) fn spare(&mut self, key: u128) {
        self.files.remove(&key);
    }

    /// Keeps in mind which files have been candidates, when there is another round to come. Returns how many there are.
    pub(super) fn remember(&mut self, another_round: bool) -> usize {
        if another_round {
            self.earlier.extend(self.files.keys());
        }
        self.files.len()
    }

    /// The files, one by one; a new round begins with none.
    pub(super) fn take_files(&mut self) -> impl Iterator<Item = Doomed> + Send + use<> {
        let folders = std::mem::take(&mut self.folders);
        self.known.clear();
        std::mem::take(&mut self.files).into_values().map(move |file| Doomed {
            kind: file.kind,
            path: match folders.get(file.folder as usize).map_or("", String::as_str) {
                "" => file.name.into_string(),
                folder => format!("{folder}/{}", file.name),
            },
            size: file.size,
        })
    }
}
