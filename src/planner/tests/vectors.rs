//! Small files of deletion vectors: which are merged, together with which, and that it ends (I8).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::support::{Table, metadata};
use crate::model::{
    Blob, Codec, CompactPlan, CompactPolicy, DeleteContent, DeleteFile, FileFormat, MIB, Route, TableState, TaskReason,
};
use crate::planner::compact::plan;

/// A table of format version 3 with a file f000, f001, … of each of these years.
fn of_years(years: &[i32]) -> Table {
    let table = Table::with(metadata(3, &[]));
    years.iter().enumerate().fold(table, |t, (n, year)| t.file(&format!("f{n:03}"), *year, 400 * MIB, Codec::Zstd))
}

fn vector(state: &TableState, file: usize, path: &str, size: u64) -> DeleteFile {
    let offset = 4 + 50 * u64::try_from(file).unwrap();
    DeleteFile {
        path: path.to_owned(),
        content: DeleteContent::Position,
        format: FileFormat::Puffin,
        partition: state.files[file].partition,
        records: 10,
        size,
        sequence_number: 6,
        file_sequence_number: 6,
        vector: Some(Blob { offset, length: 50 }),
        encrypted: false,
        referenced_data_file: Some(state.files[file].path.to_string()),
        equality_ids: Vec::new(),
    }
}

impl Table {
    /// Adds vectors of some files, all in one file.
    fn vectors(mut self, path: &str, size: u64, files: &[usize]) -> Self {
        let made: Vec<DeleteFile> = files.iter().map(|file| vector(&self.state, *file, path, size)).collect();
        self.state.deletes.extend(made);
        self
    }
}

fn policy(min_input_files: u64) -> CompactPolicy {
    CompactPolicy { only_deletes: true, min_input_files, ..CompactPolicy::default() }
}

/// Tasks by partition and the number of their inputs, and why.
fn tasks(plan: &CompactPlan) -> Vec<(String, usize, TaskReason)> {
    plan.rewrites().map(|task| (task.partition.clone(), task.inputs.len(), task.why.clone())).collect()
}

#[test]
fn should_merge_what_shares_files_and_leave_the_rest() {
    // Six files of the first two years, of which some hold vectors of both; four of the third.
    let table = of_years(&[2020, 2020, 2020, 2021, 2021, 2021, 2022, 2022, 2022, 2022, 2023]);
    let table = [
        ("a", &[0, 3][..]),
        ("b", &[1][..]),
        ("c", &[4][..]),
        ("d", &[2][..]),
        ("e", &[5][..]),
        ("f", &[6][..]),
        ("g", &[7][..]),
    ]
    .into_iter()
    .fold(table, |t, (path, files)| t.vectors(path, 300, files))
    .vectors("h", 300, &[8])
    .vectors("i", 300, &[9])
    .vectors("large", 60 * MIB, &[10]);
    let made = plan(&table.state, &policy(5), 0).unwrap();
    assert_eq!(tasks(&made), [(String::new(), 6, TaskReason::ManyVectorFiles { files: 5 })]);
    assert_eq!(made.rewrites().next().unwrap().output.directory, "s3://b/db/t/data");
    let left: Vec<&str> = made.skipped.iter().map(|file| &*file.path).collect();
    assert_eq!(left, ["f006", "f007", "f008", "f009", "f010"]);
    let made = plan(&table.state, &policy(4), 0).unwrap();
    let wanted = [("", 6, 5), ("ts_year=2022", 4, 4)];
    let wanted = wanted.map(|(at, inputs, files)| (at.to_owned(), inputs, TaskReason::ManyVectorFiles { files }));
    assert_eq!(tasks(&made), wanted);
    assert!(made.rewrites().all(|task| task.deletes.iter().all(|delete| delete.moves)));
    assert_eq!((made.totals.retired_delete_files, made.totals.new_delete_files), (10, 10), "they count by vector");
}

/// What a run leaves: new vectors where something was found, old ones where there was nothing new to be said.
fn after(state: &TableState, plan: &CompactPlan, hits: &BTreeSet<usize>) -> TableState {
    let mut after = state.clone();
    let gone: BTreeSet<_> = plan.retired().map(|delete| delete.key.clone()).collect();
    let mut stay = BTreeSet::new();
    let mut new = Vec::new();
    for task in plan.rewrites() {
        assert_eq!(task.route, Route::Vectors);
        for input in &task.inputs {
            let file = state.files.iter().position(|file| *file.path == *input.path).unwrap();
            let mut known = input.deletes.iter().map(|number| &task.deletes[*number as usize]);
            let known = known.find(|delete| delete.format == FileFormat::Puffin);
            match known {
                Some(known) if !known.moves && !hits.contains(&file) => drop(stay.insert(known.key.clone())),
                None if !hits.contains(&file) => {}
                _ => new.push(vector(state, file, &format!("new-{}-{}", plan.created_ms, task.id), 300)),
            }
        }
    }
    after.deletes.retain(|delete| !gone.contains(&delete.key()) || stay.contains(&delete.key()));
    after.deletes.extend(new);
    after.deletes.sort_by_key(DeleteFile::key);
    let mut vectors: BTreeMap<&str, u32> = BTreeMap::new();
    for delete in after.deletes.iter().filter(|delete| delete.format == FileFormat::Puffin) {
        *vectors.entry(delete.referenced_data_file.as_deref().unwrap()).or_default() += 1;
    }
    assert!(vectors.values().all(|count| *count == 1), "{vectors:?}");
    after
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn should_merge_vectors_once(
        years in prop::collection::vec(2020i32..2024, 1..16),
        vectors in prop::collection::vec(prop::option::of((0usize..8, any::<bool>())), 16),
        equality in prop::collection::vec((0i32..5, any::<bool>()), 0..4),
        hits in prop::collection::btree_set(0usize..16, 0..16),
        min_input_files in 1u64..6,
    ) {
        let mut table = of_years(&years);
        for (file, of) in vectors.iter().enumerate().take(years.len()) {
            if let Some((path, _)) = of {
                // The last ones are of good size.
                let size = if *path > 5 { 60 * MIB } else { 300 };
                table = table.vectors(&format!("v{path}"), size, &[file]);
            }
        }
        for (year, everywhere) in equality {
            table = table.delete(DeleteContent::Equality, if everywhere { 0 } else { 2020 + year }, 6, None);
        }
        table.state.deletes.sort_by_key(DeleteFile::key);
        let policy = policy(min_input_files);
        let made = plan(&table.state, &policy, 0).unwrap();
        let then = after(&table.state, &made, &hits);
        let again = plan(&then, &policy, 1).unwrap();
        prop_assert!(again.is_empty(), "{:#?}\nafter {:#?}", tasks(&again), tasks(&made));
        // Every file is spoken of once, and nothing is worse than it was.
        let spoken: Vec<&str> = made.rewrites().flat_map(|task| &task.inputs).map(|input| input.path.as_str())
            .chain(made.skipped.iter().map(|file| &*file.path)).collect();
        prop_assert_eq!(spoken.len(), table.state.files.len());
        prop_assert_eq!(spoken.iter().collect::<BTreeSet<_>>().len(), spoken.len());
        let small = |state: &TableState| -> usize {
            let small = state.deletes.iter().filter(|d| d.format == FileFormat::Puffin && d.size < MIB);
            small.map(|delete| delete.path.as_str()).collect::<BTreeSet<_>>().len()
        };
        let converted = made.rewrites().filter(|task| matches!(task.why, TaskReason::Convert { .. })).count();
        prop_assert!(small(&then) <= small(&table.state) + converted);
    }
}
