//! What users of other tools lost rows to, or waited in vain for: each story once, by name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use iceberg::spec::{FormatVersion, Snapshot};

use super::lake::{Commit, ID, Lake, PART, Row, TEXT};
use super::reader::{Value, read};
use crate::error::Kind;
use crate::lake::{LoadOptions, load_state};
use crate::model::{CompactPolicy, PartialProgress, Plan, SavedPlan, Status, TableReport, Verify};
use crate::planner::seal;

pub(super) fn policy() -> CompactPolicy {
    CompactPolicy { min_input_files: 2, verify: Verify::Content, ..CompactPolicy::default() }
}

pub(super) fn row(part: i64, id: i64) -> Row {
    [(ID, Value::Int(id)), (PART, Value::Int(part)), (TEXT, Value::Text(format!("t{id}")))].into()
}

fn key(id: i64) -> Row {
    [(ID, Value::Int(id))].into()
}

impl Lake {
    /// Three files of ten rows in each of two partitions: ids 0 to 29 in partition 0, 100 to 129 in partition 1.
    pub(super) async fn two_partitions() -> Self {
        Self::two_partitions_of(FormatVersion::V2).await
    }

    pub(super) async fn two_partitions_of(version: FormatVersion) -> Self {
        let mut lake = Self::of_version(version).await;
        for file in 0..3 {
            for part in 0..2 {
                let rows: Vec<Row> = (0..10).map(|n| row(part, part * 100 + file * 10 + n)).collect();
                lake.add_rows(part, rows).await;
            }
        }
        lake
    }

    pub(super) async fn add_rows(&mut self, part: i64, rows: Vec<Row>) {
        let mut commit = Commit::default();
        self.append(&mut commit, part, &rows);
        self.commit(commit).await;
        self.model.extend(rows);
    }

    pub(super) async fn delete_by_position(&mut self, part: i64, ids: &[i64]) {
        let wanted: Vec<Value> = ids.iter().map(|id| Value::Int(*id)).collect();
        let live = read(&self.load().await).await;
        let pairs: Vec<_> = live
            .into_iter()
            .filter(|found| wanted.contains(&found.row[&ID]))
            .map(|found| (found.path, found.position))
            .collect();
        assert_eq!(pairs.len(), ids.len());
        let mut commit = Commit::default();
        self.delete_rows(&mut commit, part, &pairs, None).await;
        self.commit(commit).await;
        self.model.retain(|row| !wanted.contains(&row[&ID]));
    }

    pub(super) async fn delete_by_equality(&mut self, part: Option<i64>, ids: &[i64]) {
        let mut commit = Commit::default();
        let keys: Vec<Row> = ids.iter().map(|id| key(*id)).collect();
        self.equality(&mut commit, part, &[ID], &keys);
        self.commit(commit).await;
        self.model.retain(|row| {
            let here = part.is_none_or(|part| row[&PART] == Value::Int(part));
            !(here && keys.iter().any(|key| key[&ID] == row[&ID]))
        });
    }

    pub(super) async fn plan(&self) -> SavedPlan {
        let planned = self.maintenance.plan_compaction(&self.name, &|_, _| Ok(policy())).await.unwrap();
        seal(Plan::Compact(planned.plan)).unwrap()
    }

    pub(super) async fn compacted(&self) -> TableReport {
        self.maintenance.compact(&self.name, &|_, _| Ok(policy())).await
    }

    pub(super) async fn check(&self) {
        assert_eq!(self.rows().await, self.expected());
    }

    /// All snapshots, and all data and delete files on disk.
    async fn history(&self) -> (BTreeSet<i64>, BTreeSet<PathBuf>) {
        let snapshots = self.load().await.metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).collect();
        let files = std::fs::read_dir(self.folder("db/t/data")).unwrap().map(|entry| entry.unwrap().path());
        (snapshots, files.filter(|path| path.is_file()).collect())
    }

    /// Live data files and delete files.
    pub(super) async fn files(&self) -> (usize, usize) {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        (state.files.len(), state.deletes.len())
    }
}

/// nimtable/iceberg-compaction 163: a delete that comes during a rewrite is dropped as dangling, and rows come back.
/// apache/iceberg 4996, 5404: "found new position delete for replaced data file", and nothing is ever committed.
#[tokio::test]
async fn positions_that_come_during_a_rewrite_put_off_their_group_alone() {
    let mut lake = Lake::two_partitions().await;
    let plan = lake.plan().await;
    lake.delete_by_position(0, &[3, 17]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!(report.groups_committed, Some(1), "the group of the other partition is done: {report:?}");
    assert_eq!(report.error.unwrap().kind, Kind::Conflict);
    lake.check().await;
    assert_eq!(lake.files().await, (4, 1));
    // The next run redoes what was touched, and the delete file goes.
    let report = lake.compacted().await;
    assert_eq!((report.status, report.rows_deleted), (Status::Committed, Some(2)), "{report:?}");
    lake.check().await;
    assert_eq!(lake.files().await, (2, 0));
}

/// apache/iceberg 10312: an equality delete that comes during a rewrite is lost after it.
#[tokio::test]
async fn equality_deletes_that_come_during_a_rewrite_apply_to_its_outputs() {
    for part in [Some(0), None] {
        let mut lake = Lake::two_partitions().await;
        let plan = lake.plan().await;
        lake.delete_by_equality(part, &[3, 17]).await;
        let report = lake.maintenance.apply(&plan).await;
        assert_eq!((report.status, report.groups_committed), (Status::Committed, Some(2)), "{report:?}");
        lake.check().await;
        assert_eq!(lake.files().await, (2, 1), "the delete is newer than the outputs, and stays");
        // A rewrite for its sake, once the share of deleted rows asks for it.
        lake.delete_by_equality(part, &[4, 5, 6, 7, 100, 101, 102, 103]).await;
        assert_eq!(lake.compacted().await.error, None);
        lake.check().await;
        assert_eq!(lake.files().await, (2, 0));
    }
}

/// An upsert removes a row and adds it anew in one commit: its delete reaches what was there before, not the row itself.
#[tokio::test]
async fn upserts_during_a_rewrite_keep_their_new_rows() {
    let mut lake = Lake::two_partitions().await;
    let plan = lake.plan().await;
    for round in 0..3 {
        let mut commit = Commit::default();
        lake.equality(&mut commit, Some(0), &[ID], &[key(5)]);
        let new = [(ID, Value::Int(5)), (PART, Value::Int(0)), (TEXT, Value::Text(format!("round {round}")))].into();
        lake.append(&mut commit, 0, std::slice::from_ref(&new));
        lake.commit(commit).await;
        lake.model.retain(|row| row[&ID] != Value::Int(5));
        lake.model.push(new);
    }
    assert_eq!(lake.maintenance.apply(&plan).await.error, None);
    lake.check().await;
    assert_eq!(lake.compacted().await.error, None);
    lake.check().await;
    assert_eq!(lake.files().await, (2, 0));
}

/// ClickHouse 120165, 114437: a rewrite rooted at a stale snapshot takes what came later with it, snapshots and files.
#[tokio::test]
async fn a_stale_plan_takes_nothing_away_that_came_later() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_equality(None, &[0, 100]).await;
    let plan = lake.plan().await;
    lake.add_rows(0, vec![row(0, 0), row(0, 31)]).await;
    lake.delete_by_equality(Some(1), &[101]).await;
    lake.add_rows(1, vec![row(1, 100)]).await;
    let (snapshots, files) = lake.history().await;
    assert_eq!(lake.maintenance.apply(&plan).await.error, None);
    lake.check().await;
    let (kept, there) = lake.history().await;
    assert!(kept.len() > snapshots.len() && snapshots.is_subset(&kept), "{snapshots:?} {kept:?}");
    assert!(files.is_subset(&there), "a rewrite removes no file");
}

/// apache/iceberg 2195, 11014: row counts differ after a rewrite, and users find out.
#[tokio::test]
async fn rows_in_are_rows_out_and_rows_deleted() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_position(0, &[0, 1, 2]).await;
    lake.delete_by_equality(None, &[2, 3, 110]).await;
    lake.check().await;
    let report = lake.compacted().await;
    assert_eq!((report.rows, report.rows_deleted), (Some(60 - 5), Some(5)), "{report:?}");
    lake.check().await;
    assert_eq!(lake.model.len(), 55);
}

/// The same where large files are cut, and groups are committed one by one (11014): each commit by itself adds what it takes.
#[tokio::test]
async fn every_commit_adds_as_many_rows_as_it_takes() {
    let mut lake = Lake::two_partitions().await;
    for part in 0..2 {
        lake.add_rows(part, (0..3000).map(|n| row(part, 1000 + part * 5000 + n)).collect()).await;
    }
    lake.delete_by_position(0, &[1001, 3999]).await;
    lake.delete_by_equality(None, &[1002, 6001, 6002]).await;
    let (known, _) = lake.history().await;
    let tight = CompactPolicy {
        target_file_size_bytes: 8 << 10,
        min_file_size_bytes: 6 << 10,
        max_file_size_bytes: 9 << 10,
        partial_progress: PartialProgress { enabled: true, max_commits: 10, min_interval_ms: 0 },
        max_concurrent_file_group_rewrites: 1,
        ..policy()
    };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(tight.clone())).await;
    assert_eq!((report.status, report.rows_deleted), (Status::Committed, Some(5)), "{report:?}");
    lake.check().await;
    let table = lake.load().await;
    let mut made: Vec<_> = table.metadata.snapshots().filter(|one| !known.contains(&one.snapshot_id())).collect();
    made.sort_by_key(|snapshot| snapshot.sequence_number());
    assert_eq!(made.len(), 2, "a commit for each group");
    let count = |snapshot: &Snapshot, key: &str| -> i64 {
        snapshot.summary().additional_properties.get(key).map_or(0, |count| count.parse().unwrap())
    };
    let lost: Vec<i64> = made.iter().map(|one| count(one, "deleted-records") - count(one, "added-records")).collect();
    assert!(made.iter().all(|one| count(one, "added-data-files") > 2), "large files are cut: {made:?}");
    assert_eq!(lost.iter().sum::<i64>(), 5, "{lost:?}");
    assert!(lost.iter().all(|lost| [2, 3].contains(lost)), "{lost:?}");
}

/// apache/iceberg 6669, 1661: the same bytes are rewritten in every run, or never. 4127, 5058: delete files never go away.
#[tokio::test]
async fn a_stream_of_deletes_comes_to_rest_after_every_run() {
    let mut lake = Lake::two_partitions().await;
    for round in 0..6 {
        lake.add_rows(0, (0..5).map(|n| row(0, 1000 + round * 10 + n)).collect()).await;
        lake.add_rows(0, (5..9).map(|n| row(0, 1000 + round * 10 + n)).collect()).await;
        lake.delete_by_position(0, &[1000 + round * 10, 1006 + round * 10]).await;
        lake.delete_by_equality(None, &[round, 1001 + round * 10]).await;
        lake.delete_by_equality(Some(0), &[1002 + round * 10]).await;
        let report = lake.compacted().await;
        assert_eq!(report.error, None);
        lake.check().await;
        let again = lake.compacted().await;
        assert_eq!(again.status, Status::NothingToDo, "round {round}: {again:?}");
        let (_, deletes) = lake.files().await;
        assert!(deletes <= usize::try_from(round).unwrap() + 1, "round {round}: {deletes} delete files are left");
    }
    // Global deletes stayed for the sake of partition 1, where there was nothing to merge. Now there is.
    lake.add_rows(1, vec![row(1, 500)]).await;
    assert_eq!(lake.compacted().await.error, None);
    lake.check().await;
    assert_eq!(lake.files().await.1, 0);
}

/// Rows that live again after a rollback must not be lost to a rewrite that had seen them deleted.
#[tokio::test]
async fn a_group_whose_deletes_were_rolled_back_is_left_alone() {
    let mut lake = Lake::two_partitions().await;
    let before = lake.load().await.metadata.current_snapshot_id().unwrap();
    let model = lake.model.clone();
    lake.delete_by_position(0, &[7]).await;
    let plan = lake.plan().await;
    lake.roll_back(before).await;
    lake.model = model;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.groups_committed, report.error.unwrap().kind), (Some(1), Kind::Conflict));
    lake.check().await;
}
