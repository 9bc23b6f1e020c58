//! From what happened to metrics: the fleet as it was found, and runs as they end.

use std::collections::BTreeSet;

use super::names;
use super::registry::Registry;
use crate::model::{Status, TableName, TableReport, TableSummary};
use crate::telemetry::process;

/// The value of the `table` label that stands for all tables beyond the limit.
pub const OTHER_TABLES: &str = "_other";

/// How many tables have series of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetLimits {
    /// The first so many tables by name; all others are summed up as [`OTHER_TABLES`], so that a catalog that grows does
    /// not make the number of series grow without end. By name, so that series do not come and go between runs.
    pub tables: usize,
}

impl Default for FleetLimits {
    fn default() -> Self {
        // 15 gauges a table: 150,000 series, which a VictoriaMetrics of one core takes in its stride.
        Self { tables: 10_000 }
    }
}

/// Records what every process says about itself.
pub fn record_process(registry: &Registry, started_ms: i64) {
    registry.set(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    registry.set(&names::UP_SINCE, &[], seconds(started_ms));
    if let Some(bytes) = process::peak_memory() {
        registry.set(&names::PEAK_MEMORY, &[], bytes as f64);
    }
}

/// Records the fleet as it was found; series of tables that are gone disappear.
pub fn record_fleet(registry: &Registry, tables: &[TableSummary], limits: FleetLimits, now_ms: i64) {
    let mut sorted: Vec<&TableSummary> = tables.iter().collect();
    sorted.sort_by(|a, b| a.table.cmp(&b.table));
    let (own, others) = sorted.split_at(sorted.len().min(limits.tables));
    let mut known: BTreeSet<String> = own.iter().map(|table| table.table.to_string()).collect();
    if !others.is_empty() {
        known.insert(OTHER_TABLES.to_owned());
    }
    for metric in names::ALL.iter().filter(|metric| metric.labels.first() == Some(&"table")) {
        registry.retain(metric, |table| known.contains(table));
    }
    for table in own {
        one_table(registry, &table.table.to_string(), &[*table], now_ms);
    }
    if !others.is_empty() {
        one_table(registry, OTHER_TABLES, others, now_ms);
    }
    registry.set(&names::TABLES, &[], tables.len() as f64);
    registry.set(&names::INSPECTED_AT, &[], seconds(now_ms));
}

/// One table, or several under one name: sums, except for times (the oldest counts) and ratios (of the sums).
fn one_table(registry: &Registry, label: &str, tables: &[&TableSummary], now_ms: i64) {
    let sum = |pick: fn(&TableSummary) -> u64| tables.iter().map(|table| pick(table)).sum::<u64>() as f64;
    let set = |metric, value: f64| registry.set(metric, &[label], value);
    set(&names::TABLE_FILES, sum(|t| t.files));
    set(&names::TABLE_SMALL_FILES, sum(|t| t.small_files));
    set(&names::TABLE_ROWS, sum(|t| t.rows));
    set(&names::TABLE_DELETE_FILES, sum(|t| t.delete_files));
    set(&names::TABLE_SNAPSHOTS, sum(|t| t.snapshots));
    set(&names::TABLE_METADATA_BYTES, sum(|t| t.metadata_bytes));
    set(&names::TABLE_MANIFESTS, sum(|t| t.manifests));
    let (rows, deletes) = (sum(|t| t.rows), sum(|t| t.deletes));
    set(&names::TABLE_DELETE_RATIO, if rows > 0.0 { (deletes / rows).min(1.0) } else { 0.0 });
    let (added, rewritten) = (sum(|t| t.bytes_added), sum(|t| t.bytes_rewritten));
    if added > 0.0 {
        set(&names::TABLE_WRITE_AMPLIFICATION, (added + rewritten) / added);
    }
    let tiers: BTreeSet<&String> = tables.iter().flat_map(|table| table.bytes.keys()).collect();
    for tier in tiers {
        let bytes: u64 = tables.iter().filter_map(|table| table.bytes.get(tier)).sum();
        registry.set(&names::TABLE_BYTES, &[label, tier], bytes as f64);
    }
    if let Some(oldest) = tables.iter().filter_map(|table| table.last_data_ms).min() {
        set(&names::TABLE_LAST_SNAPSHOT, seconds(oldest));
        set(&names::TABLE_FRESHNESS, seconds(now_ms.saturating_sub(oldest).max(0)));
    }
}

/// Whether the last look at the fleet gave a table series of its own ([`FleetLimits`]).
pub fn has_own_series(registry: &Registry, table: &TableName) -> bool {
    registry.value(&names::TABLE_FILES, &[&table.to_string()]).is_some()
}

/// Records a run over one table. `operation` is the verb; `own_series` is false for tables beyond [`FleetLimits`].
pub fn record_run(registry: &Registry, operation: &str, report: &TableReport, own_series: bool, now_ms: i64) {
    let labels = [operation];
    registry.add(&names::RUNS, &[operation, status(report.status)], 1.0);
    registry.observe(&names::RUN_SECONDS_HISTOGRAM, &labels, report.seconds);
    if report.status != Status::DryRun {
        let add = |metric, value: Option<u64>| registry.add(metric, &labels, value.unwrap_or(0) as f64);
        add(&names::RUN_BYTES_READ, report.bytes_read);
        add(&names::RUN_BYTES_WRITTEN, report.bytes_written);
        add(&names::RUN_GROUPS, report.groups_committed);
        add(&names::RUN_CONFLICTS, report.commit_conflicts);
        add(&names::RUN_FILES_REMOVED, report.files_removed);
        add(&names::RUN_BYTES_REMOVED, report.bytes_removed);
        add(&names::RUN_FILES_SAVED, less(report.files_before, report.files_after));
        add(&names::RUN_BYTES_SAVED, less(report.bytes_before, report.bytes_after));
        if own_series {
            let table = report.table.to_string();
            let good = matches!(report.status, Status::Committed | Status::NothingToDo);
            registry.set(&names::TABLE_RUN_AT, &[&table, operation], seconds(now_ms));
            registry.set(&names::TABLE_RUN_SUCCESS, &[&table, operation], if good { 1.0 } else { 0.0 });
        }
    }
}

/// Records the end of a run over all tables that were asked for.
pub fn record_end(registry: &Registry, operation: &str, reports: &[TableReport], now_ms: i64) {
    let labels = [operation];
    registry.set(&names::LAST_RUN, &labels, seconds(now_ms));
    if reports.iter().all(|report| report.error.is_none()) {
        registry.set(&names::LAST_SUCCESS, &labels, seconds(now_ms));
    }
    for kind in [Status::Committed, Status::NothingToDo, Status::DryRun, Status::Refused, Status::Failed] {
        let tables = reports.iter().filter(|report| report.status == kind).count();
        registry.set(&names::LAST_RUN_TABLES, &[operation, status(kind)], tables as f64);
    }
    registry.set(&names::LAST_RUN_SECONDS, &labels, reports.iter().map(|report| report.seconds).sum());
    // A dry run changed nothing: its expectations are no savings.
    let real = || reports.iter().filter(|report| report.status != Status::DryRun);
    let sum = |metric, pick: fn(&TableReport) -> Option<u64>| {
        registry.set(metric, &labels, real().filter_map(pick).sum::<u64>() as f64);
    };
    sum(&names::LAST_RUN_READ, |report| report.bytes_read);
    sum(&names::LAST_RUN_WRITTEN, |report| report.bytes_written);
    sum(&names::LAST_RUN_FILES_SAVED, |report| less(report.files_before, report.files_after));
    sum(&names::LAST_RUN_BYTES_SAVED, |report| less(report.bytes_before, report.bytes_after));
    sum(&names::LAST_RUN_REMOVED, |report| report.bytes_removed);
}

fn less(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    Some(before?.saturating_sub(after?))
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Committed => "committed",
        Status::NothingToDo => "nothing-to-do",
        Status::DryRun => "dry-run",
        Status::Refused => "refused",
        Status::Failed => "failed",
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Candidates, Closeness, RunMemory};

    fn table(name: &str, files: u64) -> TableSummary {
        TableSummary {
            table: TableName::parse(name).unwrap(),
            closeness: Closeness::Manifests,
            files,
            small_files: files / 2,
            bytes: [("hot".to_owned(), files * 10), ("cold".to_owned(), files)].into(),
            rows: 100,
            delete_files: 1,
            deletes: 10,
            candidates: Candidates::default(),
            snapshots: 3,
            oldest_snapshot_ms: Some(0),
            last_data_ms: Some(1000 * files.cast_signed()),
            metadata_bytes: 7,
            metadata_versions: 2,
            manifests: 1,
            bytes_added: 100,
            bytes_rewritten: 50,
            history_ms: 1,
            memory: RunMemory::default(),
        }
    }

    #[test]
    fn should_sum_up_tables_beyond_the_limit_and_forget_dropped_ones() {
        let registry = Registry::default();
        let fleet: Vec<TableSummary> = (0..30).map(|n| table(&format!("db.t{n:02}"), n)).collect();
        record_fleet(&registry, &fleet, FleetLimits { tables: 10 }, 100_000);
        let with = |table: &str| registry.value(&names::TABLE_FILES, &[table]);
        assert_eq!((with("db.t09"), with("db.t10")), (Some(9.0), None));
        assert_eq!(with(OTHER_TABLES), Some((10..30).sum::<u64>() as f64));
        assert_eq!(registry.value(&names::TABLE_FRESHNESS, &[OTHER_TABLES]), Some(90.0), "the least fresh one");
        assert_eq!(registry.value(&names::TABLE_DELETE_RATIO, &[OTHER_TABLES]), Some(0.1));
        assert_eq!(registry.value(&names::TABLE_BYTES, &["db.t05", "cold"]), Some(5.0));
        assert_eq!(registry.value(&names::TABLE_WRITE_AMPLIFICATION, &["db.t05"]), Some(1.5));
        let series = registry.encode().lines().filter(|line| line.contains("table=")).count();
        record_fleet(&registry, &fleet[..5], FleetLimits { tables: 10 }, 100_000);
        assert_eq!((with("db.t04"), with("db.t09"), with(OTHER_TABLES)), (Some(4.0), None, None));
        // 10 tables and the others, whatever their number.
        assert!(series <= 11 * 16, "{series}");
    }

    #[test]
    fn should_count_what_runs_did() {
        let registry = Registry::default();
        let name = TableName::parse("db.t").unwrap();
        let mut report = TableReport::new(name, Status::Committed);
        (report.files_before, report.files_after) = (Some(100), Some(4));
        (report.bytes_before, report.bytes_after) = (Some(1000), Some(1100));
        (report.bytes_read, report.bytes_written) = (Some(900), Some(1000));
        record_run(&registry, "compact", &report, true, 5_000);
        let failed = report.clone().failed(&crate::error::Error::conflict("it moved"));
        record_run(&registry, "compact", &failed, true, 6_000);
        record_end(&registry, "compact", &[report, failed], 7_000);
        assert_eq!(registry.value(&names::RUN_FILES_SAVED, &["compact"]), Some(192.0));
        assert_eq!(registry.value(&names::RUN_BYTES_SAVED, &["compact"]), Some(0.0), "growing saves nothing");
        assert_eq!(registry.value(&names::TABLE_RUN_SUCCESS, &["db.t", "compact"]), Some(0.0));
        assert_eq!(registry.value(&names::RUNS, &["compact", "failed"]), Some(1.0));
        assert_eq!(registry.value(&names::LAST_RUN, &["compact"]), Some(7.0));
        assert_eq!(registry.value(&names::LAST_RUN_FILES_SAVED, &["compact"]), Some(192.0));
        assert_eq!(registry.value(&names::LAST_SUCCESS, &["compact"]), None);
    }
}
