//! Files of deletion vectors are removed when nothing in them is in use, and not before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use iceberg::spec::FormatVersion;

use super::conversions::deletes_alone;
use super::lake::Lake;
use crate::lake::{LoadOptions, load_state};
use crate::maintenance::orphans::{OrphanRun, Spill};
use crate::model::{ExpirePolicy, FileFormat, OrphanPolicy, Status};

impl Lake {
    /// The files of live deletion vectors.
    async fn puffins(&self) -> BTreeSet<PathBuf> {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        let vectors = state.deletes.into_iter().filter(|delete| delete.format == FileFormat::Puffin);
        vectors.map(|delete| PathBuf::from(delete.path)).collect()
    }

    async fn only_the_newest_snapshot(&self) {
        let policy =
            ExpirePolicy { retain_min: 1, retain_max: 1, older_than_ms: 0, min_age_ms: 0, ..ExpirePolicy::default() };
        let report = self.maintenance.expire(&self.name, &|_, _| Ok(policy.clone())).await;
        assert_eq!((report.snapshots_after, report.error), (Some(1), None));
    }

    /// Removes orphans of any age: the test's clock stands still in 2023.
    async fn without_orphans(&self) -> u64 {
        age(Path::new(&self.folder("db")));
        let run = OrphanRun {
            policy_for: Box::new(|_, _| Ok(OrphanPolicy { i_know: true, ..OrphanPolicy::default() })),
            locations_for: Box::new(|_, _| Ok(Vec::new())),
            listing: None,
            spill: Spill::new(PathBuf::from(self.folder("spill")), Spill::LIMIT),
            most_named: 100,
            neighbours: Default::default(),
        };
        let (report, _) = self.maintenance.remove_orphans(&self.name, &run, true).await;
        assert_eq!(report.error, None);
        report.files_removed.unwrap_or(0)
    }
}

/// Makes all files look old.
fn age(folder: &Path) {
    let old = UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        }
    }
}

#[tokio::test]
async fn files_of_vectors_are_orphans_only_when_nobody_refers_to_them() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    lake.delete_by_position(0, &[3, 17]).await;
    lake.delete_by_equality(Some(1), &[110, 120]).await;
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(deletes_alone())).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    let used = lake.puffins().await;
    assert_eq!(used.len(), 2, "one of another writer, one of ours");
    // What a killed run leaves.
    let lost: Vec<PathBuf> = used.iter().map(|path| path.with_file_name("00000-00000-lost-deletes.puffin")).collect();
    used.iter().zip(&lost).for_each(|(from, to)| std::fs::copy(from, to).map(drop).unwrap());
    assert_eq!(lake.without_orphans().await, lost.len() as u64);
    assert!(used.iter().all(|path| path.exists()) && !lost.iter().any(|path| path.exists()));
    lake.check().await;
    assert_eq!(lake.without_orphans().await, 0);
}

#[tokio::test]
async fn a_file_of_vectors_stays_while_one_of_them_lives() {
    let mut lake = Lake::two_partitions_of(FormatVersion::V3).await;
    lake.delete_by_equality(Some(0), &[0, 10, 20]).await;
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(deletes_alone())).await;
    assert_eq!((report.status, report.delete_files_after), (Status::Committed, Some(3)));
    let shared = lake.puffins().await;
    assert_eq!(shared.len(), 1);
    // Another writer replaces the vectors one by one.
    for (round, id) in [1, 11, 21].into_iter().enumerate() {
        lake.delete_by_position(0, &[id]).await;
        lake.only_the_newest_snapshot().await;
        lake.check().await;
        assert_eq!(shared.iter().all(|path| path.exists()), round < 2, "round {round}");
        lake.without_orphans().await;
        assert!(lake.puffins().await.iter().all(|path| path.exists()), "round {round}");
        lake.check().await;
    }
}
