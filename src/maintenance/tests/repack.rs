//! Many small files of an older partition spec, repacked for real: apache/iceberg 15465, 16514, 16189, 12651.

use std::collections::BTreeMap;

use super::home::Home;
use super::interleavings::policy;
use super::lake::{Commit, ID, Lake, PART, Row, TEXT};
use super::reader::Value;
use crate::lake::{LoadOptions, load_state};
use crate::model::{CompactPolicy, KIB, Status, TableState};

const PARTITIONS: i64 = 20;
const FILES: i64 = 200;
const ROWS: i64 = 40;

/// Text that no codec makes smaller than 4 bits a letter.
fn noise(seed: i64) -> String {
    let mut state = seed.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    (0..6).map(|_| next()).collect()
}

impl Lake {
    /// Every partition of `part` has 200 files, cut further by a spec that is no longer the current one.
    async fn of_an_old_spec() -> Self {
        let mut lake = Self::new().await;
        let mut commit = Commit::default();
        for file in 0..FILES {
            for part in 0..PARTITIONS {
                let row = |n: i64| -> Row {
                    // Ids of one file are in one bucket.
                    let id = (part * FILES + file) * 1000;
                    let text = Value::Text(noise(id + n));
                    [(ID, Value::Int(id)), (PART, Value::Int(part)), (TEXT, text)].into()
                };
                let rows: Vec<Row> = (0..ROWS).map(row).collect();
                lake.append(&mut commit, Home::of(2, &rows[0]), &rows);
                lake.model.extend(rows);
            }
        }
        lake.commit(commit).await;
        lake
    }

    async fn state(&self) -> TableState {
        load_state(&self.load().await, &LoadOptions::default()).await.unwrap()
    }
}

#[tokio::test]
async fn partitions_of_many_small_old_files_get_full_ones() {
    let lake = Lake::of_an_old_spec().await;
    assert_eq!(lake.state().await.files.len() as i64, PARTITIONS * FILES);
    let target = 100 * KIB;
    let policy = CompactPolicy {
        target_file_size_bytes: target,
        min_file_size_bytes: target / 4 * 3,
        max_file_size_bytes: target / 5 * 9,
        row_group_rows: 400,
        ..policy()
    };
    let report = lake.maintenance.compact(&lake.name, &|_, _| Ok(policy.clone())).await;
    assert_eq!((report.status, report.error), (Status::Committed, None));
    let state = lake.state().await;
    let mut sizes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for file in &state.files {
        let partition = state.partition(file.partition);
        assert_eq!(partition.spec_id, 1, "{}", file.path);
        sizes.entry(&partition.path).or_default().push(file.size);
    }
    assert_eq!(sizes.len() as i64, PARTITIONS);
    for (partition, sizes) in &sizes {
        let bytes: u64 = sizes.iter().sum();
        assert!(bytes > 3 * target, "the test tests nothing: {partition} has {bytes} bytes");
        // As many files as there must be, and no tail.
        assert!(sizes.iter().all(|size| (target / 4 * 3..=target).contains(size)), "{partition}: {sizes:?}");
    }
    lake.check().await;
    assert_eq!(lake.maintenance.compact(&lake.name, &|_, _| Ok(policy.clone())).await.status, Status::NothingToDo);
}
