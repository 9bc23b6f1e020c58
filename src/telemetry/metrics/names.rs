//! Every metric there is: name, kind, labels, help. The only place that spells them; the README's table is checked
//! against it.
//!
//! Names, units and kinds follow Prometheus' conventions: base units (seconds, bytes, ratios from 0 to 1), `_total` on
//! counters, points in time as `_timestamp_seconds`. Label values come from bounded sets: tables (see
//! [`FleetLimits`](super::FleetLimits)), operations, statuses, tiers, schedules.

/// What kind of series a metric has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows while the process lives.
    Counter,
    /// Observations counted below upper edges; an edge at infinity is always added.
    Histogram(&'static [f64]),
}

impl MetricKind {
    /// The word of the exposition format.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// The description of a metric.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// Its name, with its unit.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it says, for people.
    pub help: &'static str,
}

/// Upper edges of run durations, in seconds: from a quick look to a long night.
const RUN_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];
/// Upper edges of how long looking at the whole fleet takes, in seconds.
const INSPECTION_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0];

macro_rules! metrics {
    ($($(#[$doc:meta])* $ident:ident = $name:literal $kind:expr, [$($label:literal),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $ident: Metric = Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help };
        )+
        /// All of them, in the order of the exposition.
        pub static ALL: &[&Metric] = &[$(&$ident),+];
    };
}

use MetricKind::{Counter, Gauge, Histogram};

metrics! {
    BUILD_INFO = "icewright_build_info" Gauge, ["version"], "Always 1; the label says which version runs.";
    UP_SINCE = "icewright_start_timestamp_seconds" Gauge, [], "When this process started, seconds since 1970.";
    PEAK_MEMORY = "icewright_peak_memory_bytes" Gauge, [], "Peak resident memory of this process.";

    TABLES = "icewright_tables" Gauge, [], "Tables in the catalog at the last inspection.";
    TABLES_UNREADABLE = "icewright_tables_unreadable" Gauge, [], "Tables that could not be read at the last inspection.";
    TABLES_PAUSED = "icewright_tables_paused" Gauge, [], "Tables that are left alone for a while after repeated failures.";
    TABLES_DUE = "icewright_tables_due" Gauge, ["operation"], "Tables for which an operation is worth its cost.";
    INSPECTED_AT = "icewright_inspection_timestamp_seconds" Gauge, [], "When the fleet was last inspected, seconds since 1970.";
    INSPECTION_SECONDS_HISTOGRAM = "icewright_inspection_duration_seconds" Histogram(INSPECTION_SECONDS), [], "How long inspecting the whole fleet took.";

    TABLE_FILES = "icewright_table_files" Gauge, ["table"], "Live data files.";
    TABLE_SMALL_FILES = "icewright_table_small_files" Gauge, ["table"], "Live data files below the smallest size that is left alone; an estimate from manifests' averages where not every file was read.";
    TABLE_BYTES = "icewright_table_bytes" Gauge, ["table", "tier"], "Bytes of live data files by storage tier.";
    TABLE_ROWS = "icewright_table_rows" Gauge, ["table"], "Rows of live data files, deleted ones included.";
    TABLE_DELETE_FILES = "icewright_table_delete_files" Gauge, ["table"], "Live delete files.";
    TABLE_DELETE_RATIO = "icewright_table_delete_ratio" Gauge, ["table"], "Deleted rows over rows, 0 to 1.";
    TABLE_SNAPSHOTS = "icewright_table_snapshots" Gauge, ["table"], "Snapshots in the metadata.";
    TABLE_METADATA_BYTES = "icewright_table_metadata_bytes" Gauge, ["table"], "Bytes of the current metadata file, manifest list and manifests.";
    TABLE_MANIFESTS = "icewright_table_manifests" Gauge, ["table"], "Manifests of the current snapshot.";
    TABLE_FRESHNESS = "icewright_table_freshness_seconds" Gauge, ["table"], "Now minus the last snapshot with new rows; rewrites do not count.";
    TABLE_LAST_SNAPSHOT = "icewright_table_last_snapshot_timestamp_seconds" Gauge, ["table"], "When the last snapshot with new rows was made, seconds since 1970; rewrites do not count.";
    TABLE_WRITE_AMPLIFICATION = "icewright_table_write_amplification_ratio" Gauge, ["table"], "Bytes written, rewrites included, over bytes that writers added, in retained snapshots.";
    TABLE_PAUSED_UNTIL = "icewright_table_paused_until_timestamp_seconds" Gauge, ["table"], "Until when the table is left alone after failures, seconds since 1970; absent when it is not.";
    TABLE_RUN_AT = "icewright_table_last_run_timestamp_seconds" Gauge, ["table", "operation"], "When the last run over the table ended, seconds since 1970.";
    TABLE_RUN_SUCCESS = "icewright_table_last_run_success" Gauge, ["table", "operation"], "1 when the last run over the table succeeded or had nothing to do, else 0.";

    RUNS = "icewright_runs_total" Counter, ["operation", "status"], "Runs over one table by how they ended: committed, nothing-to-do, dry-run, refused, failed.";
    RUN_SECONDS_HISTOGRAM = "icewright_run_duration_seconds" Histogram(RUN_SECONDS), ["operation"], "How long runs over one table took.";
    RUN_BYTES_READ = "icewright_run_read_bytes_total" Counter, ["operation"], "Bytes of data files read by groups that were committed.";
    RUN_BYTES_WRITTEN = "icewright_run_written_bytes_total" Counter, ["operation"], "Bytes of data files written by groups that were committed (bytes rewritten).";
    RUN_GROUPS = "icewright_run_groups_committed_total" Counter, ["operation"], "Groups of files that were committed.";
    RUN_CONFLICTS = "icewright_commit_conflicts_total" Counter, ["operation"], "Commits that another writer's commit came before; they were tried again.";
    RUN_FILES_REMOVED = "icewright_removed_files_total" Counter, ["operation"], "Files removed from storage.";
    RUN_BYTES_REMOVED = "icewright_removed_bytes_total" Counter, ["operation"], "Bytes removed from storage.";
    RUN_FILES_SAVED = "icewright_saved_files_total" Counter, ["operation"], "Live data files that queries no longer have to open.";
    RUN_BYTES_SAVED = "icewright_saved_bytes_total" Counter, ["operation"], "Live bytes that queries no longer have to read.";
    LAST_SUCCESS = "icewright_last_success_timestamp_seconds" Gauge, ["operation"], "When an operation over all its tables last ended without a failure, seconds since 1970.";
    LAST_RUN = "icewright_last_run_timestamp_seconds" Gauge, ["operation"], "When an operation over all its tables last ended, seconds since 1970.";

    LAST_RUN_SECONDS = "icewright_last_run_duration_seconds" Gauge, ["operation"], "How long the last run over all its tables took. For jobs that push and end: their counters start anew each time, sum_over_time of these adds up.";
    LAST_RUN_TABLES = "icewright_last_run_tables" Gauge, ["operation", "status"], "Tables of the last run by how they ended.";
    LAST_RUN_READ = "icewright_last_run_read_bytes" Gauge, ["operation"], "Bytes of data files that the last run read.";
    LAST_RUN_WRITTEN = "icewright_last_run_written_bytes" Gauge, ["operation"], "Bytes of data files that the last run wrote.";
    LAST_RUN_FILES_SAVED = "icewright_last_run_saved_files" Gauge, ["operation"], "Live data files that queries no longer have to open since the last run.";
    LAST_RUN_BYTES_SAVED = "icewright_last_run_saved_bytes" Gauge, ["operation"], "Live bytes that queries no longer have to read since the last run.";
    LAST_RUN_REMOVED = "icewright_last_run_removed_bytes" Gauge, ["operation"], "Bytes that the last run removed from storage.";

    SCHEDULE_NEXT = "icewright_schedule_next_timestamp_seconds" Gauge, ["schedule"], "When a schedule is due next, seconds since 1970.";
    SCHEDULE_MISSED = "icewright_schedule_missed_total" Counter, ["schedule"], "Times at which a schedule was due and did not start: outside of its window, or during a downtime beyond its catch-up.";
    SCHEDULE_STARTED = "icewright_schedule_started_total" Counter, ["schedule"], "Times at which a schedule started.";
    LEASES_LOST = "icewright_leases_lost_total" Counter, [], "Runs that did not start because another process holds the table's lease.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_be_listed_in_the_readme() {
        let row = |metric: &&Metric| {
            let labels = metric.labels.join(", ");
            format!("| `{}` | {} | {labels} | {} |\n", metric.name, metric.kind.word(), metric.help)
        };
        let expected: String = ALL.iter().map(row).collect();
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&expected), "the README's table of metrics should be:\n{expected}");
    }

    #[test]
    fn should_follow_the_conventions_of_prometheus() {
        let mut names = std::collections::BTreeSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("icewright_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(metric.kind == Counter, name.ends_with("_total"), "{name}: only counters end in _total");
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}: {}", metric.help);
            assert!(!metric.labels.contains(&"le"), "{name}: le belongs to histograms");
            for wrong in ["_ms", "_minutes", "_kib", "_percent", "_count", "_sum", "_bucket", "_info_"] {
                assert!(!name.ends_with(wrong), "{name} ends in {wrong}");
            }
            if let Histogram(edges) = metric.kind {
                assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{name}: edges rise");
            }
        }
    }
}
