//! Deletes as Flink and Spark write them: applied, retired, and rewritten by themselves.

use serde_json::{Value, json};

use crate::support::{Lake, files, has_python, same_rows};

#[test]
fn should_apply_positions_on_the_way_and_remove_their_file() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "8"]);
    // Position deletes for files of 2023, written as Flink or Spark would.
    lake.script("delete_files.py", &["--positions", "--year", "2023"]);
    let before = lake.rows(&[]);
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    assert_eq!((&report["delete_files_before"], &report["delete_files_after"]), (&json!(1), &json!(0)));
    assert_eq!(report["rows_deleted"], 8);
    let after = lake.rows(&[]);
    same_rows(&before, &after);
    let plan = lake.run(&["plan", "compact", "--table", "db.t", "--json"]).exits(0).json();
    assert_eq!(plan["plans"][0]["tasks"], json!([]), "{plan}");
    let snapshot = lake.snapshot();
    assert_eq!(snapshot["summary"]["operation"], "replace");
    for (key, value) in [("removed-delete-files", "1"), ("removed-position-deletes", "8"), ("total-delete-files", "0")]
    {
        assert_eq!(snapshot["summary"][key], value, "{key} in {snapshot}");
    }
}

/// A table with equality deletes as Flink writes them, by id: everywhere, then in one year only; and what is to be read of it.
/// PyIceberg refuses such tables, and DuckDB 1.5 applies deletes of one partition to all of them: the truth is a second table
/// whose writer rewrote its files instead.
fn with_equality_deletes() -> (Lake, Value) {
    let (lake, twin) = (Lake::sqlite(), Lake::sqlite());
    for lake in [&lake, &twin] {
        lake.make(&["--appends", "6"]);
    }
    for deletes in
        [&["--equality", "0,1,2,3,250,700,1199,5000"][..], &["--equality", "10,11,12,13,14,15,16,17", "--year", "2023"]]
    {
        lake.script("delete_files.py", deletes);
        twin.script("delete_files.py", &[deletes, &["--rewrite"]].concat());
    }
    let left = twin.rows(&[]);
    (lake, left)
}

#[test]
fn should_apply_equality_deletes_of_a_partition_and_of_the_whole_table() {
    if !has_python() {
        return;
    }
    let (lake, left) = with_equality_deletes();
    let rows = left["rows"].as_u64().unwrap();
    assert!((1185..1193).contains(&rows), "the test tests nothing: {left}");
    let report = lake.run(&["compact", "--table", "db.t", "--verify", "content", "--json"]).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    assert_eq!((&report["delete_files_before"], &report["delete_files_after"]), (&json!(2), &json!(0)), "{report}");
    assert_eq!(report["rows_deleted"], 1200 - rows);
    same_rows(&left, &lake.rows(&[]));
    let again = lake.run(&["compact", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(again["status"], "nothing-to-do", "{again}");
}

/// A file that moves has another name: deletes would not find it there, and its rows would come back.
#[test]
fn should_apply_deletes_on_the_way_to_another_tier() {
    if !has_python() {
        return;
    }
    let (lake, left) = with_equality_deletes();
    let config = lake.path("icewright.toml").display().to_string();
    let tiers = format!(
        "[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"cold\"\nlocation = \"{}\"\n",
        lake.path("cold").display()
    );
    std::fs::write(&config, tiers).unwrap();
    let archive = |more: &[&str]| {
        let all = ["archive", "--table", "db.t", "--to", "cold", "--where", "ts > '2000-01-01'", "--config", &config];
        lake.run(&[&all[..], more].concat()).exits(0)
    };
    let report = archive(&["--json"]).report();
    assert_eq!(report["status"], "committed", "{report}");
    assert_eq!(report["rows_deleted"], 1200 - left["rows"].as_u64().unwrap(), "{report}");
    assert_eq!(archive(&["--json"]).report()["status"], "nothing-to-do");
    // Nothing is left for the deletes to apply to: a compaction retires them, and leaves the cold files alone.
    let report = lake.run(&["compact", "--table", "db.t", "--config", &config, "--json"]).exits(0).report();
    assert_eq!((&report["status"], &report["delete_files_after"]), (&json!("committed"), &json!(0)), "{report}");
    same_rows(&left, &lake.rows(&[]));
}

fn deletes(lake: &Lake, more: &[&str]) -> Value {
    lake.run(&[&["compact", "--deletes", "--table", "db.t", "--verify", "content", "--json"], more].concat())
        .exits(0)
        .report()
}

#[test]
fn should_turn_equality_deletes_into_positions_that_every_reader_applies() {
    if !has_python() {
        return;
    }
    let (lake, left) = with_equality_deletes();
    let said = lake.run(&["compact", "--deletes", "--table", "db.t", "--dry-run"]).exits(0).stdout;
    assert!(said.contains("files of equality deletes") && said.contains("their positions are written anew"), "{said}");
    let dry = deletes(&lake, &["--dry-run"]);
    assert_eq!((&dry["status"], &dry["files_after"]), (&json!("dry-run"), &dry["files_before"]), "{dry}");
    let plan = lake.path("deletes.plan").display().to_string();
    lake.run(&["plan", "compact", "--deletes", "--table", "db.t", "-o", &plan]).exits(0);
    let report = lake.run(&["apply", &plan, "--json"]).exits(0).report();
    assert_eq!((&report["status"], &report["files_after"]), (&json!("committed"), &report["files_before"]), "{report}");
    assert_eq!(
        (&report["delete_files_before"], &report["delete_files_after"]),
        (&json!(2), &dry["delete_files_after"])
    );
    same_rows(&left, &lake.rows(&[]));
    let snapshot = lake.snapshot();
    assert_eq!(snapshot["summary"]["operation"], "replace");
    assert_eq!(snapshot["summary"]["total-equality-deletes"], "0", "{snapshot}");
    assert_eq!(deletes(&lake, &[])["status"], "nothing-to-do");
    // The positions are ordinary deletes: a compaction applies them, and their files go.
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!((&report["status"], &report["delete_files_after"]), (&json!("committed"), &json!(0)), "{report}");
    same_rows(&left, &lake.rows(&[]));
}

/// Makes the table one of format version 3, as another engine would.
fn upgrade(lake: &Lake) {
    let path = files(&lake.path("warehouse"), ".metadata.json").pop().unwrap();
    let mut metadata: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    metadata["format-version"] = json!(3);
    metadata["next-row-id"] = json!(0);
    std::fs::write(&path, metadata.to_string()).unwrap();
}

#[test]
fn should_turn_deletes_of_version_3_into_vectors_that_every_reader_applies() {
    if !has_python() {
        return;
    }
    let (lake, left) = with_equality_deletes();
    upgrade(&lake);
    let said = lake.run(&["compact", "--deletes", "--table", "db.t", "--dry-run"]).exits(0).stdout;
    assert!(said.contains("deletion vectors: data files stay as they are"), "{said}");
    let report = deletes(&lake, &[]);
    assert_eq!((&report["status"], &report["files_after"]), (&json!("committed"), &report["files_before"]), "{report}");
    same_rows(&left, &lake.rows(&[]));
    let snapshot = lake.snapshot();
    let (vectors, deleted) = (&report["delete_files_after"], 1200 - left["rows"].as_u64().unwrap());
    for (key, value) in [
        ("added-dvs", vectors.to_string()),
        ("added-position-deletes", deleted.to_string()),
        ("removed-equality-delete-files", "2".to_owned()),
        ("total-equality-deletes", "0".to_owned()),
    ] {
        assert_eq!(snapshot["summary"][key], value, "{key} in {snapshot}");
    }
    let partitions = files(&lake.path("warehouse"), ".puffin").len();
    assert_eq!((partitions as u64, vectors.as_u64() > Some(3)), (report["groups"].as_u64().unwrap(), true), "{report}");
    assert_eq!(deletes(&lake, &[])["status"], "nothing-to-do");
    let report = lake.run(&["compact", "--table", "db.t", "--verify", "content", "--json"]).exits(0).report();
    assert_eq!((&report["status"], &report["delete_files_after"]), (&json!("committed"), &json!(0)), "{report}");
    same_rows(&left, &lake.rows(&[]));
}

#[test]
fn should_merge_many_files_of_positions() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "3"]);
    for _ in 0..5 {
        lake.script("delete_files.py", &["--positions", "--year", "2023"]);
    }
    lake.script("delete_files.py", &["--positions", "--year", "2022"]);
    let before = lake.rows(&[]);
    assert_eq!(deletes(&lake, &["--min-input-files", "6"])["status"], "nothing-to-do");
    let report = deletes(&lake, &[]);
    assert_eq!((&report["delete_files_before"], &report["delete_files_after"]), (&json!(6), &json!(2)), "{report}");
    same_rows(&before, &lake.rows(&[]));
    let error = lake.run(&["compact", "--deletes", "--table", "db.t", "--max-files-to-rewrite", "30"]).exits(2).stderr;
    assert!(error.contains("--deletes rewrites none"), "{error}");
}
