//! Where rows are that moved to another partition spec.

use std::collections::{HashMap, HashSet};

use iceberg::spec::Struct;

use super::entries::new_partition;
use crate::error::Result;
use crate::lake::LoadedTable;
use crate::model::Outcome;

/// The partitions that moved rows are in.
pub(super) struct MovedTo<'t> {
    table: &'t LoadedTable,
    /// By task; `None` where the values can't be read.
    known: HashMap<u32, Option<HashSet<Struct>>>,
}

impl<'t> MovedTo<'t> {
    pub(super) fn new(table: &'t LoadedTable) -> Self {
        Self { table, known: HashMap::new() }
    }

    /// Whether an outcome may have a file in a partition.
    pub(super) fn reaches(&mut self, outcome: &Outcome, partition: &Struct) -> bool {
        let partitions = self.known.entry(outcome.task).or_insert_with(|| {
            let files = outcome.outputs.iter();
            files
                .filter_map(|file| new_partition(self.table, outcome.spec_id, file).transpose())
                .collect::<Result<_>>()
                .ok()
        });
        partitions.as_ref().is_none_or(|partitions| partitions.contains(partition))
    }
}
