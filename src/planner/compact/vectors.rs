//! Small files of deletion vectors, of which one lot becomes few files: a writer that commits every minute leaves a file
//! every minute, with a vector or two in it.
//!
//! A file may hold vectors of several partitions. Partitions that share small files are looked at together: a file a
//! partition could be more than there were. Where other deletes of a partition are written anew, its small files go along
//! if they would be merged the next time, beside what is written now (I8).

use std::collections::{BTreeMap, BTreeSet};

use super::deletes::is_small;
use crate::model::{CompactPolicy, FileFormat, TableState};
use crate::planner::deletes::Burdens;

/// The vectors of a partition that are in small files.
#[derive(Debug, Default)]
pub(super) struct SmallVectors {
    /// Indexes into the table's list of deletes: what is to be merged where that is worth it.
    pub(super) numbers: BTreeSet<u32>,
}

impl SmallVectors {
    pub(super) fn of(state: &TableState, policy: &CompactPolicy, burdens: &Burdens, files: &[usize]) -> Self {
        let small = |number: &u32| {
            let delete = &state.deletes[*number as usize];
            delete.format == FileFormat::Puffin && is_small(delete.size, policy)
        };
        let applying = files.iter().flat_map(|file| burdens.of(*file).deletes.iter().copied());
        Self { numbers: applying.filter(small).collect() }
    }

    fn paths<'s>(&self, state: &'s TableState) -> impl Iterator<Item = &'s str> {
        self.numbers.iter().map(|number| state.deletes[*number as usize].path.as_str())
    }
}

/// A partition in which vectors may be merged.
pub(super) struct Partition {
    pub(super) spec_id: i32,
    pub(super) small: SmallVectors,
    /// The files of vectors that are written there anyway, at most; 0 where nothing is.
    pub(super) written: u64,
}

/// What is merged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merges {
    /// The partitions whose small files go along with what is written anyway.
    pub(super) along: BTreeSet<usize>,
    /// The partitions that are merged together, where nothing else is written, and the number of their small files.
    pub(super) together: Vec<(Vec<usize>, u64)>,
}

/// Finds out what is worth it: `min-input-files` small files, those that are about to be written among them.
pub(super) fn merges(state: &TableState, policy: &CompactPolicy, partitions: &[Partition]) -> Merges {
    let mut found = Merges::default();
    let enough = |files: u64| files >= policy.min_input_files;
    let all: Vec<usize> = (0..partitions.len()).collect();
    for (members, files) in connected(state, partitions, &all) {
        let written: u64 = members.iter().map(|member| partitions[*member].written).sum();
        if !enough(files + written) {
            continue;
        }
        let is_written = |member: &&usize| partitions[**member].written > 0;
        let (busy, quiet): (Vec<usize>, Vec<usize>) = members.iter().partition(is_written);
        found.along.extend(busy.into_iter().filter(|member| !partitions[*member].small.numbers.is_empty()));
        let alone = connected(state, partitions, &quiet).into_iter();
        found.together.extend(alone.filter(|(_, files)| enough(*files)));
    }
    found
}

/// Partitions of one spec that share small files, directly or by way of others, and the number of those files.
fn connected(state: &TableState, partitions: &[Partition], of: &[usize]) -> Vec<(Vec<usize>, u64)> {
    // The first partition of each group stands for it, found by way of earlier ones.
    let mut leader: BTreeMap<usize, usize> = of.iter().map(|member| (*member, *member)).collect();
    fn find(leader: &mut BTreeMap<usize, usize>, member: usize) -> usize {
        let mut at = member;
        while leader[&at] != at {
            at = leader[&at];
        }
        leader.insert(member, at);
        at
    }
    let mut first: BTreeMap<(i32, &str), usize> = BTreeMap::new();
    for member in of {
        for path in partitions[*member].small.paths(state) {
            let other = *first.entry((partitions[*member].spec_id, path)).or_insert(*member);
            let (a, b) = (find(&mut leader, other), find(&mut leader, *member));
            leader.insert(a.max(b), a.min(b));
        }
    }
    let mut groups: BTreeMap<usize, (Vec<usize>, u64)> = BTreeMap::new();
    for member in of {
        let group = find(&mut leader, *member);
        groups.entry(group).or_default().0.push(*member);
    }
    for member in first.into_values() {
        let group = find(&mut leader, member);
        groups.entry(group).or_default().1 += 1;
    }
    groups.into_values().collect()
}
