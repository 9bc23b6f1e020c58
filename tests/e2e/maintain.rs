//! All operations in one run, on every catalog and store.

use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{Lake, files, has_python, icewright, same_rows, servers};

/// Retention that tests can wait for.
const TIGHT: [&str; 8] = ["--retain-min", "1", "--retain-max", "2", "--expire-older-than", "0s", "--min-age", "0s"];

fn maintain(lake: &Lake, args: &[&str], code: i32) -> Value {
    lake.run(&[&["maintain", "--table", "db.t", "--json"], args].concat()).exits(code).report()
}

fn statuses(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["operation"].as_str().unwrap(), step["status"].as_str().unwrap_or("not begun"))).collect()
}

/// Small files, history and what was left behind go; the same rows stay; a second run finds nothing.
fn maintains(lake: &Lake, rows: &[&str]) {
    let before = lake.rows(rows);
    let dry = maintain(lake, &[&TIGHT[..], &["--dry-run"]].concat(), 0);
    assert_eq!(dry["status"], "dry-run", "{dry}");
    assert_eq!(lake.rows(rows)["metadata"], before["metadata"], "a dry run changes nothing");
    let report = maintain(lake, &TIGHT, 0);
    assert_eq!(report["status"], "committed", "{report}");
    let order: Vec<&str> = statuses(&report).iter().map(|(operation, _)| *operation).collect();
    assert_eq!(order, ["compact", "rewrite-manifests", "expire", "remove-orphans"]);
    let after = lake.rows(rows);
    same_rows(&before, &after);
    assert_eq!((&report["files_before"], &report["files_after"]), (&before["files"], &after["files"]), "{report}");
    assert!(report["files_after"].as_u64() < report["files_before"].as_u64(), "{report}");
    assert!(report["snapshots_after"].as_u64() < report["snapshots_before"].as_u64(), "{report}");
    assert!(report["files_removed"].as_u64() > Some(0), "{report}");
    let again = maintain(lake, &TIGHT, 0);
    assert_eq!(again["status"], "nothing-to-do", "{again}");
    assert_eq!(lake.rows(rows)["metadata"], after["metadata"], "a second run commits nothing");
}

#[test]
fn should_maintain_sqlite_and_local_files_down_to_what_is_live() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&[]);
    let folder = files(&lake.path("warehouse"), ".parquet")[0].parent().unwrap().to_owned();
    let lost = folder.join("00000-7-0a1b2c3d-4e5f-6789-abcd-ef0123456789-00001.parquet");
    std::fs::write(&lost, [0; 4096]).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().write(true).open(&lost).unwrap().set_modified(old).unwrap();
    maintains(&lake, &[]);
    assert!(!lost.exists(), "what a crashed writer left behind is gone");
    // One snapshot of history at the most: what is on disk is what is live, and what that one needs.
    let live = lake.rows(&["--no-duckdb"])["files"].as_u64().unwrap();
    let report = maintain(&lake, &["--retain-min", "1", "--retain-max", "1", "--min-age", "0s"], 0);
    assert_eq!(report["error"], Value::Null, "{report}");
    assert_eq!(files(&lake.path("warehouse"), ".parquet").len() as u64, live);
}

#[test]
fn should_maintain_postgresql() {
    let Some(server) = servers::postgres() else { return };
    if has_python() {
        let lake = Lake::postgresql(server.port);
        lake.make(&[]);
        maintains(&lake, &[]);
    }
}

#[test]
fn should_maintain_s3() {
    let Some(server) = servers::s3() else { return };
    if has_python() {
        let lake = Lake::s3(server.port);
        lake.make(&[]);
        maintains(&lake, &["--no-duckdb"]);
    }
}

#[test]
fn should_maintain_the_reference_rest_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = servers::rest(folder.path()) else { return };
    if has_python() {
        let lake = Lake::rest(server.port);
        lake.make(&[]);
        maintains(&lake, &[]);
    }
}

#[test]
fn should_go_on_where_one_step_is_refused() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&[]);
    lake.script("set_property.py", &["gc.enabled=false"]);
    let report = maintain(&lake, &TIGHT, 3);
    assert_eq!(report["status"], "committed", "{report}");
    assert_eq!(report["error"]["kind"], "unsupported", "{report}");
    assert_eq!(
        statuses(&report),
        [
            ("compact", "committed"),
            ("rewrite-manifests", "nothing-to-do"),
            ("expire", "refused"),
            ("remove-orphans", "refused")
        ]
    );
    let only = maintain(&lake, &["--steps", "compact,rewrite-manifests"], 0);
    assert_eq!(statuses(&only).len(), 2, "{only}");
    let none = lake.run(&["maintain", "--table", "db.t", "--steps", "expire", "--skip", "expire"]).exits(2);
    assert!(none.stderr.contains("no step is left"), "{}", none.stderr);
}

#[test]
fn should_show_a_lake_that_gets_healthier() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("lake").display().to_string();
    let shown = icewright(&["demo", "--dir", &place]).exits(0);
    for word in ["1. Thursday: expire", "3. Sunday: maintain", "remove-orphans", "held by history"] {
        assert!(shown.stderr.contains(word), "{word}: {}", shown.stderr);
    }
    // On disk and live, in MiB: nearly the same once expiry has let go of what compaction replaced.
    let line = shown.stderr.lines().find(|line| line.contains("4. Thursday")).unwrap();
    let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(figures[1] > 0.0 && figures[0] < 1.2 * figures[1], "{line}");
    let place = format!("sqlite://{place}/catalog.db");
    let again = icewright(&["maintain", "--catalog", &place, "--all", "--json", "--skip", "remove-orphans"]).exits(0);
    let tables = again.json();
    assert_eq!(tables["tables"].as_array().unwrap().len(), 3);
}
