//! Rewriting manifests: the same rows for every reader, and nothing that an entry said is lost.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{Lake, has_python, icewright, same_rows, servers};

fn entries(lake: &Lake) -> Value {
    serde_json::from_str(&lake.script("manifest_entries.py", &[])).unwrap()
}

/// Many manifests in, few out; the same rows and entries; nothing to do afterwards; time travel still works.
fn rewrites(lake: &Lake, rows: &[&str]) {
    let (before, said) = (lake.rows(rows), entries(lake));
    let first = said["snapshots"][0].to_string();
    let old = lake.rows(&["--no-duckdb", "--snapshot-id", &first]);
    let dry = lake.run(&["rewrite-manifests", "--table", "db.t", "--dry-run", "--json"]).exits(0).report();
    assert_eq!(dry["status"], "dry-run", "{dry}");
    assert_eq!(lake.rows(rows)["metadata"], before["metadata"], "a dry run changes nothing");
    let seen = lake.run(&["inspect", "--table", "db.t", "--json"]).exits(0).report();
    let due = |seen: &Value| {
        let all = seen["due"].as_array().unwrap();
        all.iter().find(|due| due["operation"] == "rewrite-manifests").unwrap()["due"].clone()
    };
    assert_eq!(due(&seen), true, "{seen}");
    let report = lake.run(&["rewrite-manifests", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    let now = entries(lake);
    assert_eq!(report["manifests_before"], said["manifests"]);
    assert_eq!(report["manifests_after"], now["manifests"]);
    assert_eq!(report["manifests_after"], dry["manifests_after"]);
    assert!(now["manifests"].as_u64() < said["manifests"].as_u64());
    assert_eq!(now["entries"], said["entries"], "snapshot ids, sequence numbers, statistics");
    assert_eq!(now["statuses"], json!(["EXISTING"]));
    let after = lake.rows(rows);
    same_rows(&before, &after);
    assert_eq!(old["columns"], lake.rows(&["--no-duckdb", "--snapshot-id", &first])["columns"], "time travel");
    let again = lake.run(&["rewrite-manifests", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(again["status"], "nothing-to-do", "{again}");
    let all = lake.run(&["rewrite-manifests", "--table", "db.t", "--rewrite-all", "--json"]).exits(0).report();
    assert_eq!(all["status"], "committed", "{all}");
    let again = lake.run(&["rewrite-manifests", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(again["status"], "nothing-to-do", "{again}");
    assert_eq!(due(&lake.run(&["inspect", "--table", "db.t", "--json"]).exits(0).report()), false);
    same_rows(&before, &lake.rows(rows));
}

#[test]
fn should_rewrite_manifests_on_sqlite_and_local_files() {
    if !has_python() {
        return;
    }
    for (kind, version) in [("years", "2"), ("plain", "1"), ("types", "2")] {
        let lake = Lake::sqlite();
        lake.make(&["--kind", kind, "--format-version", version]);
        rewrites(&lake, &[]);
    }
}

#[test]
fn should_rewrite_manifests_of_deletes_and_of_older_specs() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "7"]);
    for year in ["2022", "2023", "2024", "2022", "2023", "2024"] {
        lake.script("delete_files.py", &["--positions", "--year", year]);
    }
    // Another spec, with the source of the old one renamed, and more appends under it.
    lake.script("evolve.py", &["--appends", "7"]);
    rewrites(&lake, &[]);
    let plan = ["plan", "rewrite-manifests", "--table", "db.t", "--min-gain", "1", "--json"];
    let plan = lake.run(&plan).exits(0).json()["plans"][0].clone();
    let groups: Vec<(bool, i64)> = plan["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["deletes"].as_bool().unwrap(), task["spec_id"].as_i64().unwrap()))
        .collect();
    assert_eq!(groups, [(false, 0), (false, 1), (true, 0)], "{plan}");
}

#[test]
fn should_rewrite_manifests_in_a_rest_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = servers::rest(folder.path()) else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::rest(server.port);
    lake.make(&["--kind", "years"]);
    rewrites(&lake, &[]);
}

#[test]
fn should_rewrite_manifests_on_s3() {
    let Some(server) = servers::s3() else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::s3(server.port);
    lake.make(&["--kind", "years"]);
    rewrites(&lake, &["--no-duckdb"]);
}

#[test]
fn should_apply_a_saved_plan_and_refuse_a_stale_one() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--property", "commit.manifest.target-size-bytes=1048576"]);
    let before = lake.rows(&[]);
    let path = lake.path("plan.json").display().to_string();
    lake.run(&["plan", "rewrite-manifests", "--table", "db.t", "-o", &path]).exits(0);
    let plan: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let plan = &plan["plans"][0];
    assert_eq!(
        (&plan["policy"]["target-size-bytes"], &plan["tasks"][0]["reason"]),
        (&json!(1 << 20), &json!("scattered"))
    );
    let text = lake.run(&["plan", "rewrite-manifests", "--table", "db.t"]).exits(0).stdout;
    assert!(text.contains("a partition is spread over 8.0 manifests"), "{text}");
    lake.run(&["apply", &path, "--dry-run"]).exits(0);
    let report = lake.run(&["apply", &path, "--json"]).exits(0).report();
    assert_eq!((&report["status"], &report["manifests_after"]), (&json!("committed"), &json!(1)), "{report}");
    same_rows(&before, &lake.rows(&[]));
    let metadata = lake.metadata_file();
    let stale = lake.run(&["apply", &path, "--json"]).exits(4).report();
    assert!(stale["error"]["message"].as_str().unwrap().contains("stale"), "{stale}");
    assert_eq!(lake.metadata_file(), metadata);
    lake.run(&["rewrite-manifests", "--table", "db.t", "--min-gain", "0"]).exits(2);
    lake.run(&["rewrite-manifests", "--table", "db.t", "--target-size-bytes", "big"]).exits(2);
}

#[test]
fn should_rewrite_manifests_beside_a_writer_that_appends() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    let journal = lake.path("journal.json").display().to_string();
    lake.script("writer_loop.py", &["--create", "--seconds", "0", "--journal", &journal]);
    let mut writer = lake.script_in_background("writer_loop.py", &["--seconds", "8", "--journal", &journal]);
    let (mut commits, mut runs) = (0, 0);
    let ended = loop {
        if let Some(ended) = writer.try_wait().unwrap() {
            break ended;
        }
        let ran = lake.run(&["rewrite-manifests", "--table", "db.t", "--min-gain", "1", "--json"]);
        assert!([0, 4].contains(&ran.code), "{ran:?}");
        commits += u32::from(ran.report()["status"] == "committed");
        runs += 1;
        // A rewrite takes a few milliseconds: without a pause the writer would never be first.
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(ended.success(), "the writer gave up: the test tests less than it should");
    assert!(commits > 0, "none of {runs} runs got a commit in");
    let checked: Value = serde_json::from_str(&lake.script("check_journal.py", &["--journal", &journal])).unwrap();
    for wrong in ["lost", "twice", "unknown", "stale"] {
        assert_eq!(checked[wrong], json!(0), "{checked}");
    }
    lake.rows(&[]);
    eprintln!("{commits} rewrites in {runs} runs beside a writer: {checked}");
}

#[test]
fn should_survive_being_killed_while_manifests_are_rewritten() {
    if !has_python() {
        return;
    }
    let mut lake = Lake::sqlite();
    let dir = lake.dir.path().display().to_string();
    icewright(&["fixture", "--dir", &dir, "--files", "300", "--rows", "5", "--commits", "60"]).exits(0);
    lake.props = vec!["type=sql".into(), format!("uri=sqlite:///{dir}/catalog.db")];
    let (before, said) = (lake.rows(&["--no-duckdb"]), entries(&lake));
    let args = ["rewrite-manifests", "--table", "db.t", "--rewrite-all", "--target-size-bytes", "4KiB"];
    let start = std::time::Instant::now();
    lake.run(&args).exits(0);
    let whole = start.elapsed();
    let mut random = StdRng::seed_from_u64(11);
    let mut died = 0;
    for _ in 0..12 {
        let mut child = lake.run_in_background(&args);
        std::thread::sleep(whole.mul_f64(random.random_range(0.2..1.0)));
        let _ = child.kill();
        died += u32::from(!child.wait().unwrap().success());
        assert_eq!(entries(&lake)["entries"], said["entries"]);
    }
    assert!(died > 3, "only {died} of 12 runs were killed before they ended");
    lake.run(&args).exits(0);
    same_rows(&before, &lake.rows(&["--no-duckdb"]));
}
