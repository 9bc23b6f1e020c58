//! Format version 3: deletion vectors are written, replaced and kept, whoever else is at work.

use std::collections::BTreeSet;

use iceberg::spec::FormatVersion;

use super::conversions::deletes_alone;
use super::interleavings::row;
use super::lake::{Lake, PART};
use super::reader::{Value, read};
use crate::error::Kind;
use crate::lake::{LoadOptions, load_state};
use crate::model::{CompactPolicy, DeleteContent, DeleteFile, FileFormat, Status, TableReport};

impl Lake {
    async fn version_3() -> Self {
        Self::two_partitions_of(FormatVersion::V3).await
    }

    async fn deletes(&self) -> Vec<DeleteFile> {
        load_state(&self.load().await, &LoadOptions::default()).await.unwrap().deletes
    }

    /// Live equality deletes, files of positions, deletion vectors, and the files that hold those.
    async fn delete_kinds(&self) -> (usize, usize, usize, usize) {
        let deletes = self.deletes().await;
        let (equality, positions): (Vec<_>, Vec<_>) =
            deletes.iter().partition(|delete| delete.content == DeleteContent::Equality);
        let vectors: Vec<_> = positions.iter().filter(|delete| delete.format == FileFormat::Puffin).collect();
        let files: BTreeSet<&str> = vectors.iter().map(|delete| delete.path.as_str()).collect();
        (equality.len(), positions.len() - vectors.len(), vectors.len(), files.len())
    }

    async fn converted(&self) -> TableReport {
        self.maintenance.compact(&self.name, &|_, _| Ok(deletes_alone())).await
    }

    /// Row ids and the commits that last changed them, of rows of one partition.
    async fn lineage_of(&self, part: i64) -> BTreeSet<(Option<i64>, i64)> {
        let live = read(&self.load().await).await.into_iter();
        live.filter(|found| found.row[&PART] == Value::Int(part)).map(|found| found.lineage).collect()
    }
}

/// Version 2 and what it leaves behind: files of positions, by partition and by file, and equality deletes.
#[tokio::test]
async fn deletes_of_an_upgraded_table_become_one_vector_a_file() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_position(0, &[0, 1, 11]).await;
    lake.delete_by_position(1, &[100]).await;
    lake.upgrade().await;
    // A vector takes over the positions of its file; the old file of positions stays for the other one.
    lake.delete_by_position(0, &[2]).await;
    lake.delete_by_equality(None, &[3, 21, 110]).await;
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (1, 2, 1, 1));
    let before = lake.lineage_of(0).await;
    let report = lake.converted().await;
    assert_eq!((report.status, report.groups_committed), (Status::Committed, Some(2)), "{report:?}");
    lake.check().await;
    assert_eq!(lake.lineage_of(0).await, before);
    // Three data files of partition 0 and two of partition 1; one file of vectors a partition.
    assert_eq!(lake.delete_kinds().await, (0, 0, 5, 2));
    assert_eq!((report.delete_files_before, report.delete_files_after), (Some(4), Some(5)), "{report:?}");
    assert_eq!((report.rows_deleted, report.rows), (Some(0), Some(60)), "no row leaves its file");
    let again = lake.converted().await;
    assert_eq!(again.status, Status::NothingToDo, "{again:?}");
    assert_eq!(lake.compacted().await.error, None);
    lake.check().await;
    assert_eq!(lake.files().await, (2, 0));
    assert_eq!(lake.lineage_of(0).await, before);
}

/// A table may ask to keep what nothing needs any more: what was written anew goes all the same, or there would be two
/// vectors of one file.
#[tokio::test]
async fn a_new_vector_takes_the_place_of_the_older_one_whatever_the_policy() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_position(0, &[0]).await;
    lake.delete_by_equality(Some(0), &[1]).await;
    let keeping = CompactPolicy { remove_dangling_deletes: false, ..deletes_alone() };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(keeping.clone())).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (0, 0, 1, 1));
}

#[tokio::test]
async fn a_vector_that_says_it_all_stays() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_position(0, &[3, 4]).await;
    let before = lake.deletes().await;
    // By now these rows are gone: the delete finds them in the file all the same, and nothing else.
    lake.delete_by_equality(None, &[3, 4, 999]).await;
    // Where two small files are worth a merge, it would move to what is written now.
    let three = CompactPolicy { min_input_files: 3, ..deletes_alone() };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(three.clone())).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!(lake.deletes().await, before);
    let again = lake.maintenance.compact(&lake.name, &|_, _| Ok(three.clone())).await;
    assert_eq!(again.status, Status::NothingToDo);
}

/// Once every data file that it names has a vector, nobody looks at an old file of positions.
#[tokio::test]
async fn positions_that_only_files_with_vectors_have_go() {
    let mut lake = Lake::two_partitions().await;
    lake.delete_by_position(0, &[0, 11]).await;
    lake.upgrade().await;
    lake.delete_by_position(0, &[1, 12]).await;
    lake.add_rows(1, vec![row(1, 130)]).await;
    let deletes = lake.delete_kinds().await;
    assert_eq!(deletes, (0, 1, 2, 1));
    let report = lake.converted().await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    // The file is one of a whole partition, and its third data file got what it says of it: nothing.
    assert_eq!(lake.delete_kinds().await, (0, 0, 2, 1));
    assert_eq!(lake.converted().await.status, Status::NothingToDo);
}

/// A file of vectors is no larger than delete files should be.
#[tokio::test]
async fn vectors_share_files_of_a_bounded_size() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_equality(Some(0), &[0, 10, 20]).await;
    let tiny = CompactPolicy { target_delete_file_size_bytes: 60, ..deletes_alone() };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(tiny.clone())).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (0, 0, 3, 2));
}

/// apache/iceberg 17206: two deletion vectors of one file, and nobody can read the table.
#[tokio::test]
async fn a_vector_that_comes_during_a_conversion_puts_off_its_group_alone() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_equality(None, &[2, 110]).await;
    let plan = lake.plan_deletes().await;
    lake.delete_by_position(0, &[3]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!(report.groups_committed, Some(1), "{report:?}");
    assert_eq!(report.error.unwrap().kind, Kind::Conflict);
    lake.check().await;
    // The equality delete is still needed where nothing was done.
    assert_eq!(lake.delete_kinds().await, (1, 0, 2, 2));
    // Of the other partition, what is to be said is in its vector: that stays.
    let report = lake.converted().await;
    assert_eq!((report.status, report.groups_committed), (Status::Committed, Some(2)), "{report:?}");
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (0, 0, 2, 2));
}

/// A vector that comes to a file which the conversion found nothing in is in nobody's way.
#[tokio::test]
async fn a_vector_of_another_file_is_in_nobodys_way() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_equality(None, &[2, 110]).await;
    let plan = lake.plan_deletes().await;
    lake.delete_by_position(0, &[13]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.error, report.groups_committed), (None, Some(2)));
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (0, 0, 3, 3));
}

#[tokio::test]
async fn equality_deletes_that_come_during_a_conversion_stay() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_equality(None, &[2, 110]).await;
    let plan = lake.plan_deletes().await;
    lake.delete_by_equality(Some(0), &[4]).await;
    lake.add_rows(0, vec![row(0, 4)]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (1, 0, 2, 2));
    assert_eq!(lake.converted().await.error, None);
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (0, 0, 2, 2));
}

/// The same of a rewrite: what is known of a file that is replaced would be lost with it.
#[tokio::test]
async fn a_vector_that_comes_during_a_rewrite_puts_off_its_group_alone() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_position(1, &[100]).await;
    let ids = (lake.lineage_of(0).await, lake.lineage_of(1).await);
    let plan = lake.plan().await;
    lake.delete_by_position(0, &[3, 17]).await;
    // A vector that was applied is replaced meanwhile.
    lake.delete_by_equality(Some(1), &[111]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!(report.groups_committed, Some(1), "the group of the other partition is done: {report:?}");
    assert_eq!(report.error.unwrap().kind, Kind::Conflict);
    lake.check().await;
    assert_eq!(
        lake.delete_kinds().await,
        (1, 0, 2, 1),
        "the new vectors, and the delete that is newer than the output"
    );
    let report = lake.compacted().await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert!(lake.lineage_of(0).await.is_subset(&ids.0) && lake.lineage_of(1).await.is_subset(&ids.1));
}

/// apache/iceberg 17764: one file gets vector after vector, and no other file is compacted any more ("Can't index multiple
/// DVs"). Vectors of a file that is not in the group, of its partition or another one, are in nobody's way.
#[tokio::test]
async fn vectors_of_other_files_do_not_stall_a_rewrite() {
    let mut lake = Lake::version_3().await;
    let policy = CompactPolicy {
        min_file_size_bytes: 6000,
        codec: crate::model::Codec::Uncompressed,
        ..super::interleavings::policy()
    };
    // A file that is large enough, beside three small ones.
    lake.add_rows(0, (1000..1500).map(|id| row(0, id)).collect()).await;
    lake.delete_by_position(0, &[1000]).await;
    let planned = lake.maintenance.plan_compaction(&lake.name, &|_, _| Ok(policy.clone())).await.unwrap();
    assert!(planned.plan.rewrites().all(|task| task.inputs.len() == 3), "{:#?}", planned.plan.tasks);
    let plan = crate::planner::seal(crate::model::Plan::Compact(planned.plan)).unwrap();
    for id in 1001..1004 {
        lake.delete_by_position(0, &[id]).await;
    }
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!((report.error, report.groups_committed), (None, Some(2)));
    lake.check().await;
    assert_eq!(lake.delete_kinds().await, (0, 0, 1, 1), "the newest vector of its file stays");
}

#[tokio::test]
async fn a_vector_that_replaces_an_applied_one_puts_off_the_rewrite() {
    let mut lake = Lake::version_3().await;
    lake.delete_by_position(0, &[3]).await;
    let plan = lake.plan().await;
    lake.delete_by_position(0, &[4]).await;
    let report = lake.maintenance.apply(&plan).await;
    assert_eq!(report.groups_committed, Some(1), "{report:?}");
    lake.check().await;
    assert_eq!(lake.compacted().await.error, None);
    lake.check().await;
    assert_eq!(lake.files().await, (2, 0));
}

/// What was made for version 2 is not committed to a table of version 3 if rows have got ids that it does not know, or if
/// files of positions would have to be added.
#[tokio::test]
async fn an_upgrade_sends_every_group_back() {
    for deletes in [false, true] {
        let mut lake = Lake::two_partitions().await;
        lake.delete_by_equality(None, &[2, 110]).await;
        let plan = if deletes { lake.plan_deletes().await } else { lake.plan().await };
        lake.upgrade().await;
        lake.add_rows(0, vec![row(0, 30)]).await;
        let ids = lake.lineage_of(0).await;
        let report = lake.maintenance.apply(&plan).await;
        assert_eq!(report.groups_committed.unwrap_or(0), 0, "{report:?}");
        assert_eq!(report.error.unwrap().kind, Kind::Conflict);
        lake.check().await;
        let report = if deletes { lake.converted().await } else { lake.compacted().await };
        assert_eq!((report.status, report.error), (Status::Committed, None));
        lake.check().await;
        assert_eq!(lake.lineage_of(0).await, ids);
    }
}
