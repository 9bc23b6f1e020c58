//! Where reachability begins: what the metadata before and after an expiry names.

use std::collections::HashSet;

use serde_json::Value;

use super::Doomed;
use crate::lake::LoadedTable;
use crate::model::{ExpirePlan, FileKind};

/// What metadata names that stays, and what it named that has gone, or would go.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    /// Manifest lists of all snapshots that stay: of every branch and tag, and of none.
    pub(super) kept_lists: Vec<String>,
    /// Manifest lists of the snapshots that go.
    pub(super) gone_lists: Vec<String>,
    /// Statistics files that only the snapshots that go have.
    pub(super) statistics: Vec<Doomed>,
    /// Metadata files that fall off the log, oldest first.
    pub(super) falling: Vec<String>,
    /// Those that stay in it, oldest first, and the current one.
    pub(super) log: Vec<String>,
}

impl Heads {
    /// After the commit: `fresh` is the table as it is now, whoever else has been at work on it.
    pub fn committed(before: &LoadedTable, fresh: &LoadedTable, plan: &ExpirePlan) -> Self {
        let still: HashSet<i64> = fresh.metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).collect();
        let gone: HashSet<i64> = plan.expired.iter().map(|gone| gone.id).filter(|id| !still.contains(id)).collect();
        let kept_lists = fresh.metadata.snapshots().map(|snapshot| snapshot.manifest_list().to_owned()).collect();
        let log: Vec<String> = self::log(fresh).map(str::to_owned).collect();
        let stays: HashSet<&str> = log.iter().map(String::as_str).collect();
        let falling = self::log(before).filter(|file| !stays.contains(file)).map(str::to_owned).collect();
        let statistics = statistics(fresh).map(|file| file.path).collect();
        Self { kept_lists, falling, log, ..Self::gone(before, &gone, &statistics) }
    }

    /// Before the commit: what would come of it if nobody else did anything.
    pub fn planned(before: &LoadedTable, plan: &ExpirePlan) -> Self {
        let gone: HashSet<i64> = plan.expired.iter().map(|gone| gone.id).collect();
        let kept = before.metadata.snapshots().filter(|snapshot| !gone.contains(&snapshot.snapshot_id()));
        let kept_lists = kept.map(|snapshot| snapshot.manifest_list().to_owned()).collect();
        let mut log: Vec<String> = log(before).map(str::to_owned).collect();
        let limit = plan.trim_log_to.or_else(|| {
            let limit = before.metadata.properties().get("write.metadata.previous-versions-max");
            limit.and_then(|text| text.trim().parse().ok())
        });
        let keep = usize::try_from(limit.unwrap_or(LOG_DEFAULT).max(1)).unwrap_or(usize::MAX);
        let falling = log.drain(..log.len().saturating_sub(keep)).collect();
        let stays = statistics(before).filter(|s| !gone.contains(&s.snapshot)).map(|s| s.path).collect();
        Self { kept_lists, falling, log, ..Self::gone(before, &gone, &stays) }
    }

    fn gone(before: &LoadedTable, gone: &HashSet<i64>, statistics_that_stay: &HashSet<&str>) -> Self {
        let snapshots = before.metadata.snapshots().filter(|snapshot| gone.contains(&snapshot.snapshot_id()));
        let statistics = statistics(before)
            .filter(|file| gone.contains(&file.snapshot) && !statistics_that_stay.contains(file.path))
            .map(|file| Doomed { kind: FileKind::Statistics, path: file.path.to_owned(), size: file.size })
            .collect();
        let gone_lists = snapshots.map(|snapshot| snapshot.manifest_list().to_owned()).collect();
        Self { gone_lists, statistics, ..Self::default() }
    }
}

/// How many older metadata files the log keeps when the table does not say (Iceberg's default).
const LOG_DEFAULT: u64 = 100;

/// Older metadata files, oldest first, and the current one.
fn log(table: &LoadedTable) -> impl Iterator<Item = &str> {
    let entries = table.document.get("metadata-log").and_then(Value::as_array).into_iter().flatten();
    let older = entries.filter_map(|entry| entry.get("metadata-file")?.as_str());
    older.chain([table.metadata_location.as_str()])
}

struct StatisticsFile<'a> {
    snapshot: i64,
    path: &'a str,
    size: u64,
}

fn statistics(table: &LoadedTable) -> impl Iterator<Item = StatisticsFile<'_>> {
    let lists =
        ["statistics", "partition-statistics"].into_iter().filter_map(|key| table.document.get(key)?.as_array());
    lists.flatten().filter_map(|entry| {
        Some(StatisticsFile {
            snapshot: entry.get("snapshot-id")?.as_i64()?,
            path: entry.get("statistics-path")?.as_str()?,
            size: entry.get("file-size-in-bytes").and_then(Value::as_u64).unwrap_or(0),
        })
    })
}
