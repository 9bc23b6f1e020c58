//! Format version 3: many small files of deletion vectors become few, whoever else is at work.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::FormatVersion;

use super::conversions::deletes_alone;
use super::home::Home;
use super::interleavings::row;
use super::lake::{Commit, ID, Lake};
use super::reader::{Value, read};
use crate::error::Kind;
use crate::lake::{LoadOptions, load_state};
use crate::model::{CompactPolicy, DeleteContent, Status, TableReport};

/// What is to be seen of a deletion vector: its file, its age, how many rows it deletes.
type Vector = (String, i64, u64);

impl Lake {
    /// Live deletion vectors by data file.
    async fn live_vectors(&self) -> BTreeMap<String, Vector> {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        let vectors = state.deletes.into_iter().filter(|delete| delete.vector.is_some());
        vectors.map(|d| (d.referenced_data_file.unwrap(), (d.path, d.sequence_number, d.records))).collect()
    }

    async fn equality_deletes(&self) -> usize {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        state.deletes.iter().filter(|delete| delete.content == DeleteContent::Equality).count()
    }

    async fn merged(&self, min_input_files: u64) -> TableReport {
        let policy = CompactPolicy { min_input_files, ..deletes_alone() };
        let report = self.maintenance.compact(&self.name, &|_, _| Ok(policy.clone())).await;
        assert_eq!(report.error, None, "{report:?}");
        self.check().await;
        let again = self.maintenance.compact(&self.name, &|_, _| Ok(policy.clone())).await;
        assert_eq!(again.status, Status::NothingToDo, "{again:?}");
        report
    }

    /// Deletes these rows by vectors that are all in one file.
    async fn delete_in_one_file(&mut self, ids: &[i64]) {
        let wanted: Vec<Value> = ids.iter().map(|id| Value::Int(*id)).collect();
        let live = read(&self.load().await).await.into_iter().filter(|found| wanted.contains(&found.row[&ID]));
        let rows: Vec<(Home, String, i64)> = live.map(|found| (found.home, found.path, found.position)).collect();
        assert_eq!(rows.len(), ids.len());
        let mut commit = Commit::default();
        self.vectors(&mut commit, &rows).await;
        self.commit(commit).await;
        self.model.retain(|row| !wanted.contains(&row[&ID]));
    }
}

fn files(vectors: &BTreeMap<String, Vector>) -> BTreeSet<&str> {
    vectors.values().map(|(path, ..)| path.as_str()).collect()
}

/// Live vectors, the files that they are in, and equality deletes.
async fn left(lake: &Lake) -> (usize, usize, usize) {
    let vectors = lake.live_vectors().await;
    (vectors.len(), files(&vectors).len(), lake.equality_deletes().await)
}

/// Every vector is what it was, and as old as it was: in another file.
fn same(before: &BTreeMap<String, Vector>, after: &BTreeMap<String, Vector>) {
    let what = |vectors: &BTreeMap<String, Vector>| -> Vec<(String, i64, u64)> {
        vectors.iter().map(|(data, (_, age, rows))| (data.clone(), *age, *rows)).collect()
    };
    assert_eq!(what(before), what(after));
}

#[tokio::test]
async fn small_files_of_vectors_become_one_a_partition() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    for ids in [[0, 1], [10, 11], [20, 21]] {
        lake.delete_by_position(0, &ids).await;
    }
    lake.delete_by_position(1, &[100]).await;
    let before = lake.live_vectors().await;
    assert_eq!(files(&before).len(), 4);
    let few = CompactPolicy { min_input_files: 4, ..deletes_alone() };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(few.clone())).await;
    assert_eq!(report.status, Status::NothingToDo, "three of them are too few: {report:?}");
    let report = lake.merged(3).await;
    assert_eq!((report.groups_committed, report.delete_files_after), (Some(1), Some(4)), "{report:?}");
    let after = lake.live_vectors().await;
    same(&before, &after);
    assert_eq!(files(&after).len(), 2, "that of the other partition stays");
    // The next deletes take the place of vectors in the shared file, and a rewrite retires what is left of it.
    lake.delete_by_position(0, &[2]).await;
    lake.check().await;
    assert_eq!(lake.compacted().await.error, None);
    lake.check().await;
    assert_eq!(lake.files().await, (2, 0));
}

/// As Spark writes them: what a task deletes, in whatever partitions, is in one file. A file a partition would be no fewer.
#[tokio::test]
async fn files_that_partitions_share_become_one_for_all_of_them() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    for ids in [[0, 100], [10, 110], [20, 120]] {
        lake.delete_in_one_file(&ids).await;
    }
    let before = lake.live_vectors().await;
    assert_eq!((before.len(), files(&before).len()), (6, 3));
    assert_eq!(lake.merged(3).await.groups_committed, Some(1));
    let after = lake.live_vectors().await;
    same(&before, &after);
    assert_eq!(files(&after).len(), 1);
    lake.delete_in_one_file(&[1, 101]).await;
    lake.check().await;
}

/// What is written beside small files must not be one too many of them: they go along.
#[tokio::test]
async fn small_files_go_along_where_they_would_be_merged_the_next_time() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    lake.add_rows(0, vec![row(0, 30)]).await;
    lake.delete_by_position(0, &[0]).await;
    lake.delete_by_position(0, &[10]).await;
    lake.delete_by_equality(Some(0), &[20]).await;
    lake.merged(3).await;
    assert_eq!(left(&lake).await, (3, 1, 0));
    // Fewer than are worth it: the new file stands beside the old ones.
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    lake.delete_by_position(0, &[0]).await;
    lake.delete_by_equality(Some(0), &[20]).await;
    lake.merged(3).await;
    assert_eq!(left(&lake).await, (2, 2, 0));
}

/// A vector that says already what an equality delete says moves all the same, where its file is to go.
#[tokio::test]
async fn vectors_that_say_it_all_move_as_well() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    for id in [0, 10, 20] {
        lake.delete_by_position(0, &[id]).await;
    }
    lake.delete_by_equality(Some(0), &[0, 999]).await;
    lake.merged(3).await;
    assert_eq!(left(&lake).await, (3, 1, 0));
}

/// A vector that another writer replaces meanwhile must not come back: the group is planned again.
#[tokio::test]
async fn a_vector_that_is_replaced_meanwhile_puts_off_its_group() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    for ids in [[0, 100], [10, 110]] {
        lake.delete_by_position(0, &ids[..1]).await;
        lake.delete_by_position(1, &ids[1..]).await;
    }
    let plan = lake.plan_deletes().await;
    lake.delete_by_position(0, &[1]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.groups_committed, report.error.unwrap().kind), (Some(1), Kind::Conflict));
    lake.check().await;
    // By itself a run plans once more, and is done.
    let before = lake.live_vectors().await;
    lake.merged(2).await;
    same(&before, &lake.live_vectors().await);
    assert_eq!(files(&lake.live_vectors().await).len(), 2);
}

/// Deletes and rows that come meanwhile are in nobody's way.
#[tokio::test]
async fn what_others_add_meanwhile_stays_beside_the_merged_file() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    lake.delete_by_position(0, &[0]).await;
    lake.delete_by_position(0, &[10]).await;
    let plan = lake.plan_deletes().await;
    lake.delete_by_position(0, &[20]).await;
    lake.delete_by_equality(None, &[2, 102]).await;
    lake.add_rows(0, vec![row(0, 2)]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!(left(&lake).await, (3, 2, 1));
}

/// A file of vectors of good size stays where it is, and so do those that a filter leaves out.
#[tokio::test]
async fn only_small_files_of_what_was_asked_for_are_merged() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    for part in 0..2 {
        for file in 0..3 {
            lake.delete_by_position(part, &[part * 100 + file * 10]).await;
        }
    }
    let before = lake.live_vectors().await;
    let large = CompactPolicy { target_delete_file_size_bytes: 100, ..deletes_alone() };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(large.clone())).await;
    assert_eq!(report.status, Status::NothingToDo, "{report:?}");
    let filter = Some(crate::config::filter::parse("part = 1").unwrap());
    let one = CompactPolicy { filter, ..deletes_alone() };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(one.clone())).await;
    assert_eq!((report.status, report.groups_committed), (Status::Committed, Some(1)), "{report:?}");
    lake.check().await;
    let after = lake.live_vectors().await;
    same(&before, &after);
    assert_eq!(files(&after).len(), 4);
}
