//! Which deletes apply to which data file (spec, "Scan Planning").

use std::collections::HashMap;

use crate::model::{DataFile, DeleteContent, FileFormat, PartitionId, TableState};

/// Delete files, found by what they may apply to.
pub(in crate::planner) struct DeleteIndex<'a> {
    state: &'a TableState,
    /// Files of a whole partition, oldest first.
    by_partition: HashMap<PartitionId, Vec<u32>>,
    /// Positions in one data file.
    by_path: HashMap<&'a str, Vec<u32>>,
    /// Equality deletes of unpartitioned specs: they apply to every partition of every spec.
    global: Vec<u32>,
}

impl<'a> DeleteIndex<'a> {
    pub(in crate::planner) fn new(state: &'a TableState) -> Self {
        let mut index = Self { state, by_partition: HashMap::new(), by_path: HashMap::new(), global: Vec::new() };
        let mut order: Vec<u32> = (0..u32::try_from(state.deletes.len()).unwrap_or(u32::MAX)).collect();
        order.sort_by_key(|number| (state.deletes[*number as usize].sequence_number, *number));
        for number in order {
            let delete = &state.deletes[number as usize];
            let spec = state.metadata.partition_spec_by_id(state.partition(delete.partition).spec_id);
            match (&delete.referenced_data_file, delete.content) {
                (Some(path), DeleteContent::Position) => index.by_path.entry(path).or_default().push(number),
                (_, DeleteContent::Equality) if spec.is_some_and(|spec| spec.is_unpartitioned()) => {
                    index.global.push(number);
                }
                _ => index.by_partition.entry(delete.partition).or_default().push(number),
            }
        }
        index
    }

    /// The deletes that apply to a data file, as ascending indexes into [`TableState::deletes`]. A deletion vector stands
    /// for all positions of its file: older position deletes are in it (spec, "Deletion Vectors").
    pub(in crate::planner) fn applying_to(&self, file: &DataFile) -> Vec<u32> {
        let here = self.by_partition.get(&file.partition).into_iter();
        let lists = here.chain(self.by_path.get(&*file.path)).chain([&self.global]);
        let mut found: Vec<u32> = lists
            .flat_map(|list| {
                // Lists are in the order of sequence numbers: those that are too old are passed over at once.
                let new_enough = list.partition_point(|number| {
                    let delete = &self.state.deletes[*number as usize];
                    delete.sequence_number < file.sequence_number
                });
                &list[new_enough..]
            })
            .copied()
            .filter(|number| {
                let delete = &self.state.deletes[*number as usize];
                delete.content.reaches(delete.sequence_number, file.sequence_number)
            })
            .collect();
        let is_vector = |number: &u32| self.state.deletes[*number as usize].format == FileFormat::Puffin;
        if found.iter().any(is_vector) {
            found.retain(|number| {
                is_vector(number) || self.state.deletes[*number as usize].content == DeleteContent::Equality
            });
        }
        found.sort_unstable();
        found
    }
}
