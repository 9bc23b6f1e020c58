//! Orphans: what is listed and not referred to, found by reading both in order, side by side.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::sorted::{Entry, Merged, Sorted, Sorter, Spill};
use crate::error::{Error, Result};
use crate::lake::{Links, Store, TableLocations};
use crate::model::{Count, Judged, LocationCount, OrphanSkip, Removal, judge, orphan_kind};

/// So many missing files are looked up one by one; beyond that the listing is of something else.
pub const MOST_UNLISTED: usize = 100_000;
/// So many metadata files that nothing refers to are remembered a folder, the youngest ones.
const METADATA_FILES: usize = 8;
/// In so many folders.
const METADATA_FOLDERS: usize = 256;

/// What decides about a file that nothing refers to.
#[derive(Debug)]
pub struct Rules<'a> {
    /// The table's locations.
    pub within: &'a TableLocations,
    /// Where its files are.
    pub store: &'a Store,
    /// When the listing began, milliseconds since 1970.
    pub now_ms: i64,
    /// Younger files are left alone.
    pub older_than_ms: u64,
    /// The names of the table's partition fields.
    pub partition_fields: &'a [String],
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Found {
    /// The orphans, by canonical location, with size and time.
    pub orphans: Sorted,
    /// Their sum.
    pub found: Count,
    /// The same by kind.
    pub by_kind: Removal,
    /// Everything that was listed.
    pub listed: Count,
    /// What was listed and is referred to.
    pub referenced: Count,
    /// By location as the table writes it.
    pub by_location: BTreeMap<String, LocationCount>,
    /// Why the others are left alone.
    pub left_alone: BTreeMap<OrphanSkip, Count>,
    /// Files that the table needs, that should have been listed, and were not; no more than [`MOST_UNLISTED`].
    pub unlisted: Vec<String>,
    /// All of those.
    pub unlisted_total: u64,
    /// References to places that are not the table's own.
    pub elsewhere: u64,
    /// By folder, the youngest metadata files that nothing refers to, whatever their age: another table's may be there.
    pub metadata_files: BTreeMap<String, Vec<Entry>>,
}

/// Compares a listing with what is referred to. Reads files of this machine's file system only to see symbolic links.
///
/// # Errors
/// `Exhausted` when there is no more temporary space, `Unavailable` when it can't be read.
pub fn compare(listing: &mut Sorted, referred: &mut Sorted, rules: &Rules<'_>, spill: &Spill) -> Result<Found> {
    let mut sides = Sides { listing: Side::new(listing)?, referred: Side::new(referred)? };
    let mut comparison = Comparison::new(rules, spill);
    loop {
        match sides.next()? {
            Pair::Both(file) => comparison.referenced(&file),
            Pair::OnlyListed(file) => comparison.unreferenced(file)?,
            Pair::OnlyReferred(reference) => comparison.unlisted(reference)?,
            Pair::End => return comparison.finish(),
        }
    }
}

struct Comparison<'a> {
    rules: &'a Rules<'a>,
    spill: &'a Spill,
    found: Found,
    links: Option<Links>,
    orphans: Sorter,
    /// Names of files that are referred to elsewhere.
    names: Sorter,
}

impl<'a> Comparison<'a> {
    fn new(rules: &'a Rules<'a>, spill: &'a Spill) -> Self {
        let mut found = Found::default();
        found.by_location.extend(rules.within.written().map(|root| (root.to_owned(), LocationCount::default())));
        let links = Links::of(rules.store, rules.within.canonical());
        Self { rules, spill, found, links, orphans: Sorter::new(spill), names: Sorter::new(spill) }
    }

    /// The count of the location that a file lies in, and the path below it.
    fn at<'k>(&mut self, key: &'k str) -> Option<(&mut LocationCount, &'k str)> {
        let (canonical, written) = self.rules.within.both().find(|(root, _)| key.starts_with(root))?;
        Some((self.found.by_location.entry(written.to_owned()).or_default(), &key[canonical.len()..]))
    }

    fn referenced(&mut self, file: &Entry) {
        self.found.listed.add(file.size);
        self.found.referenced.add(file.size);
        if let Some((location, _)) = self.at(&file.key) {
            location.listed.add(file.size);
        }
    }

    fn unreferenced(&mut self, file: Entry) -> Result<()> {
        self.found.listed.add(file.size);
        let Some((location, relative)) = self.at(&file.key) else { return Ok(()) };
        location.listed.add(file.size);
        if file.key.ends_with(".metadata.json") || file.key.ends_with(".metadata.json.gz") {
            self.remember(&file);
        }
        let age = self.rules.now_ms.saturating_sub(file.modified_ms);
        let judged = match judge(relative, age, self.rules.older_than_ms, self.rules.partition_fields) {
            Judged::Orphan if self.leads_away(&file.key) => Judged::Left(OrphanSkip::Linked),
            judged => judged,
        };
        match judged {
            Judged::Orphan => self.orphans.push(&file.key, file.size, file.modified_ms),
            Judged::Left(why) => {
                self.found.left_alone.entry(why).or_default().add(file.size);
                Ok(())
            }
            Judged::Kept => {
                self.found.referenced.add(file.size);
                Ok(())
            }
        }
    }

    fn remember(&mut self, metadata: &Entry) {
        let folder = metadata.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        if self.found.metadata_files.len() == METADATA_FOLDERS && !self.found.metadata_files.contains_key(folder) {
            return;
        }
        let files = self.found.metadata_files.entry(folder.to_owned()).or_default();
        files.push(metadata.clone());
        if files.len() > METADATA_FILES {
            files.sort_by_key(|file| std::cmp::Reverse(file.modified_ms));
            files.truncate(METADATA_FILES);
        }
    }

    fn leads_away(&mut self, key: &str) -> bool {
        self.links.as_mut().is_some_and(|links| links.leads_away(self.rules.store, key))
    }

    fn unlisted(&mut self, reference: Entry) -> Result<()> {
        if self.rules.within.root_of(&reference.key).is_none() {
            self.found.elsewhere += 1;
            return self.names.push(&format!("{}\0", name(&reference.key)), 0, 0);
        }
        if reference.modified_ms > 0 {
            self.found.unlisted_total += 1;
            if self.found.unlisted.len() < MOST_UNLISTED {
                self.found.unlisted.push(reference.key);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Found> {
        let mut orphans = std::mem::replace(&mut self.orphans, Sorter::new(self.spill)).finish()?;
        if self.found.elsewhere > 0 {
            orphans = self.without_same_names(&mut orphans)?;
        }
        for orphan in orphans.iter()? {
            let orphan = orphan?;
            self.found.found.add(orphan.size);
            if let Some((location, _)) = self.at(&orphan.key) {
                location.orphans.add(orphan.size);
            }
            self.found.by_kind.add(orphan_kind(&orphan.key), orphan.size);
        }
        self.found.orphans = orphans;
        Ok(self.found)
    }

    /// Leaves orphans alone that have the name of a file that is referred to elsewhere. A bucket with two names, a mount
    /// point, an access point: the file may be one and the same, and writers make names unique.
    fn without_same_names(&mut self, orphans: &mut Sorted) -> Result<Sorted> {
        let mut names = std::mem::replace(&mut self.names, Sorter::new(self.spill));
        for orphan in orphans.iter()? {
            let Entry { key, size, modified_ms } = orphan?;
            names.push(&format!("{}\0{key}", name(&key)), size, modified_ms)?;
        }
        let mut left = Sorter::new(self.spill);
        let mut taken = String::new();
        for entry in names.finish()?.iter()? {
            let entry = entry?;
            match entry.key.split_once('\0') {
                // The reference comes before the files of its name: nothing follows its separator.
                Some((name, "")) => name.clone_into(&mut taken),
                Some((name, _)) if name == taken => {
                    self.found.left_alone.entry(OrphanSkip::SameName).or_default().add(entry.size);
                }
                Some((_, key)) => left.push(key, entry.size, entry.modified_ms)?,
                None => return Err(Error::internal("a sorted name has no separator")),
            }
        }
        left.finish()
    }
}

fn name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// One of two ordered lists, with a look at its next entry.
struct Side<'a> {
    rest: Merged<'a>,
    next: Option<Entry>,
}

impl<'a> Side<'a> {
    fn new(sorted: &'a mut Sorted) -> Result<Self> {
        let mut rest = sorted.iter()?;
        let next = rest.next().transpose()?;
        Ok(Self { rest, next })
    }

    fn take(&mut self) -> Result<Option<Entry>> {
        let following = self.rest.next().transpose()?;
        Ok(std::mem::replace(&mut self.next, following))
    }
}

struct Sides<'a> {
    listing: Side<'a>,
    referred: Side<'a>,
}

enum Pair {
    Both(Entry),
    OnlyListed(Entry),
    OnlyReferred(Entry),
    End,
}

impl Sides<'_> {
    fn next(&mut self) -> Result<Pair> {
        let order = match (&self.listing.next, &self.referred.next) {
            (Some(listed), Some(referred)) => listed.key.as_bytes().cmp(referred.key.as_bytes()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(Pair::End),
        };
        let pair = match order {
            Ordering::Less => self.listing.take()?.map(Pair::OnlyListed),
            Ordering::Greater => self.referred.take()?.map(Pair::OnlyReferred),
            Ordering::Equal => {
                self.referred.take()?;
                self.listing.take()?.map(Pair::Both)
            }
        };
        Ok(pair.unwrap_or(Pair::End))
    }
}

#[cfg(test)]
mod tests;
