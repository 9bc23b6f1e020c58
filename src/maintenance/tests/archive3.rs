//! Archival of tables of format version 3: rows keep their ids wherever they move, and deletion vectors their say.

use std::collections::BTreeSet;

use iceberg::spec::FormatVersion;

use super::interleavings::row;
use super::lake::{ID, Lake};
use super::reader::{Value, read};
use crate::error::Kind;
use crate::lake::{LoadOptions, load_state};
use crate::model::{
    ArchivePolicy, CompactPolicy, JobOrder, MIB, PartialProgress, Plan, Recompress, Status, TableReport, Tier, Verify,
};
use crate::planner::seal;

/// The id and the lineage of a row.
type Known = (Value, Option<i64>, i64);

/// Small files that a merge gains nothing for are copied as they are; `min` says what is small.
pub(super) fn to_tier(lake: &Lake, name: &str, min: u64) -> ArchivePolicy {
    let tier = |name: &str, location: Option<String>| Tier {
        name: name.to_owned(),
        older_than_ms: location.is_some().then_some(0),
        location,
        storage_class: None,
        policy: CompactPolicy {
            min_file_size_bytes: min,
            max_file_size_bytes: 1024 * MIB,
            verify: Verify::Content,
            codec: crate::model::Codec::Uncompressed,
            ..CompactPolicy::default()
        },
        recompress: Recompress::Never,
        min_object_bytes: 0,
        prices: None,
    };
    ArchivePolicy {
        tiers: vec![tier("hot", None), tier("cold", Some(lake.folder("cold")))],
        time_column: None,
        to: Some(name.to_owned()),
        filter: None,
        allow_offline: false,
        ignore_cost: true,
        job_order: JobOrder::None,
        max_concurrent: 2,
        partial_progress: PartialProgress { enabled: true, max_commits: 10, min_interval_ms: 60_000 },
    }
}

impl Lake {
    pub(super) async fn archived(&self, tier: &str, min: u64) -> TableReport {
        let policy = to_tier(self, tier, min);
        self.maintenance.archive(&self.name, &|_, _| Ok(policy.clone())).await
    }

    async fn known(&self) -> BTreeSet<Known> {
        let live = read(&self.load().await).await.into_iter();
        live.map(|found| (found.row[&ID].clone(), found.lineage.0, found.lineage.1)).collect()
    }

    /// Live data files in the cold tier, and elsewhere.
    async fn tiers(&self) -> (usize, usize) {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        let cold = state.files.iter().filter(|file| file.path.starts_with(&self.folder("cold"))).count();
        (cold, state.files.len() - cold)
    }
}

#[tokio::test]
async fn files_that_are_copied_keep_ids_that_their_rows_inherit() {
    let lake = Lake::two_partitions_of(FormatVersion::V3).await;
    let before = lake.known().await;
    assert!(before.iter().all(|(_, id, _)| id.is_some()));
    let report = lake.archived("cold", 0).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    assert_eq!(report.archive.unwrap().moved_files, 6);
    assert_eq!((lake.tiers().await, lake.known().await), ((6, 0), before.clone()));
    lake.check().await;
    assert_eq!(lake.archived("cold", 0).await.status, Status::NothingToDo);
    // Merged on the way back: what was inherited is written out.
    assert_eq!(lake.archived("hot", MIB).await.error, None);
    assert_eq!((lake.tiers().await, lake.known().await), ((0, 2), before.clone()));
    // And copied once more, with ids in columns.
    assert_eq!(lake.archived("cold", 0).await.error, None);
    assert_eq!((lake.tiers().await, lake.known().await), ((2, 0), before));
    lake.check().await;
}

#[tokio::test]
async fn vectors_are_applied_on_the_way_and_go() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    lake.delete_by_position(0, &[3, 17]).await;
    lake.delete_by_equality(Some(1), &[110]).await;
    let before = lake.known().await;
    let report = lake.archived("cold", 0).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    lake.check().await;
    assert_eq!((lake.tiers().await.1, lake.known().await), (0, before));
    assert_eq!(lake.files().await.1, 0, "a vector of a file that is gone is of no use");
    assert_eq!(lake.archived("cold", 0).await.status, Status::NothingToDo);
}

/// A vector names its data file: it would not find it in its new place.
#[tokio::test]
async fn a_vector_that_comes_during_a_move_puts_off_its_partition_alone() {
    for min in [0, MIB] {
        let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
        let policy = to_tier(&lake, "cold", min);
        let planned = lake.maintenance.plan_archive(&lake.name, &|_, _| Ok(policy.clone())).await.unwrap();
        let plan = seal(Plan::Archive(planned.plan)).unwrap();
        lake.delete_by_position(0, &[3]).await;
        lake.delete_by_equality(Some(1), &[110]).await;
        let before = lake.known().await;
        let report = lake.maintenance.apply(&plan).await;
        assert_eq!(report.error.unwrap().kind, Kind::Conflict);
        lake.check().await;
        assert_eq!(lake.known().await, before);
        let (cold, hot) = lake.tiers().await;
        assert!(cold > 0 && hot > 0, "{cold} {hot}");
        let report = lake.archived("cold", min).await;
        assert_eq!((report.status, report.error), (Status::Committed, None));
        lake.check().await;
        assert_eq!((lake.tiers().await.1, lake.known().await), (0, before));
    }
}

/// An upgrade gives ids with the first commit, also to files that are on their way.
#[tokio::test]
async fn rows_that_get_their_ids_during_a_move_keep_them() {
    for min in [0, MIB] {
        let mut lake = Lake::two_partitions().await;
        lake.upgrade().await;
        let policy = to_tier(&lake, "cold", min);
        let planned = lake.maintenance.plan_archive(&lake.name, &|_, _| Ok(policy.clone())).await.unwrap();
        let plan = seal(Plan::Archive(planned.plan)).unwrap();
        lake.add_rows(0, vec![row(0, 77)]).await;
        let before = lake.known().await;
        lake.maintenance.apply(&plan).await;
        assert_eq!(lake.archived("cold", min).await.error, None);
        lake.check().await;
        assert_eq!((lake.tiers().await.1, lake.known().await), (0, before));
    }
}
