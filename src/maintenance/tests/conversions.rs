//! Deletes rewritten by themselves, while others write.

use super::interleavings::{policy, row};
use super::lake::Lake;
use crate::error::Kind;
use crate::lake::{LoadOptions, load_state};
use crate::model::{CompactPolicy, DeleteContent, Plan, SavedPlan, Status};
use crate::planner::seal;

pub(super) fn deletes_alone() -> CompactPolicy {
    CompactPolicy { only_deletes: true, ..policy() }
}

impl Lake {
    pub(super) async fn plan_deletes(&self) -> SavedPlan {
        let planned = self.maintenance.plan_compaction(&self.name, &|_, _| Ok(deletes_alone())).await.unwrap();
        seal(Plan::Compact(planned.plan)).unwrap()
    }

    /// Live files of equality deletes and of positions.
    async fn kinds(&self) -> (usize, usize) {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        let equality = state.deletes.iter().filter(|delete| delete.content == DeleteContent::Equality).count();
        (equality, state.deletes.len() - equality)
    }
}

/// apache/iceberg 3909, 10054, 8160: equality deletes are what readers choke on, and only Flink turns them into others.
#[tokio::test]
async fn equality_deletes_become_positions_and_data_files_stay() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_equality(None, &[2, 3, 110]).await;
    lake.delete_by_position(0, &[0, 1]).await;
    lake.delete_by_equality(Some(0), &[4]).await;
    lake.add_rows(0, vec![row(0, 2), row(0, 4)]).await;
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(deletes_alone())).await;
    assert_eq!((report.status, report.groups_committed), (Status::Committed, Some(2)), "{report:?}");
    assert_eq!(
        (report.files_after, report.delete_files_before, report.delete_files_after),
        (Some(7), Some(3), Some(2))
    );
    assert_eq!((report.rows_deleted, report.rows), (Some(0), Some(62)), "no row leaves its file");
    lake.check().await;
    assert_eq!(lake.kinds().await, (0, 2), "one file of positions a partition");
    let again = lake.maintenance.compact(&lake.name, &|_, _| Ok(deletes_alone())).await;
    assert_eq!(again.status, Status::NothingToDo, "{again:?}");
    assert_eq!(lake.compacted().await.error, None);
    lake.check().await;
    assert_eq!(lake.files().await, (2, 0));
}

/// apache/iceberg 4127: thousands of small files of positions.
#[tokio::test]
async fn many_files_of_positions_become_few() {
    let mut lake = Lake::two_partitions().await;
    for id in 0..6 {
        lake.delete_by_position(0, &[id * 3, id * 3 + 2]).await;
    }
    lake.delete_by_position(1, &[100]).await;
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(deletes_alone())).await;
    assert_eq!((report.status, report.groups_committed), (Status::Committed, Some(1)), "{report:?}");
    lake.check().await;
    assert_eq!(lake.kinds().await, (0, 2));
}

/// What came between the plan of a conversion and its commit stays beside what it wrote.
#[tokio::test]
async fn deletes_that_come_during_a_conversion_stay() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_equality(None, &[2, 110]).await;
    let plan = lake.plan_deletes().await;
    lake.delete_by_position(0, &[3]).await;
    lake.delete_by_equality(Some(1), &[111]).await;
    lake.add_rows(0, vec![row(0, 2)]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!(lake.kinds().await, (1, 3));
}

/// A data file that was rewritten meanwhile takes its group with it; the delete stays for what is not done.
#[tokio::test]
async fn a_conversion_gives_way_to_a_rewrite() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_equality(None, &[2, 110]).await;
    let plan = lake.plan_deletes().await;
    let of_one = |_: &_, _: &_| Ok(CompactPolicy { max_files_to_rewrite: Some(3), ..policy() });
    assert_eq!(lake.maintenance.compact(&lake.name, &of_one).await.groups_committed, Some(1));
    let report = lake.maintenance.apply(&plan).await;
    // The plan is refused as a whole when an input is gone before it begins.
    assert_eq!(report.error.unwrap().kind, Kind::Conflict);
    lake.check().await;
    assert_eq!(lake.maintenance.compact(&lake.name, &|_, _| Ok(deletes_alone())).await.error, None);
    lake.check().await;
    assert_eq!(lake.kinds().await, (0, 1));
}

/// After a rollback the rows live again: positions that were made of the delete must not be committed.
#[tokio::test]
async fn a_conversion_of_deletes_that_were_rolled_back_is_left_alone() {
    let mut lake = Lake::two_partitions().await;
    let before = lake.load().await.metadata.current_snapshot_id().unwrap();
    let model = lake.model.clone();
    lake.delete_by_equality(None, &[7, 107]).await;
    let plan = lake.plan_deletes().await;
    lake.roll_back(before).await;
    lake.model = model;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.groups_committed.unwrap_or(0), report.error.unwrap().kind), (0, Kind::Conflict));
    lake.check().await;
}
