//! Tables whose partition spec was changed: rows move to where they belong, or stay with a reason.

use serde_json::{Value, json};

use crate::support::{Lake, has_python, same_rows};

fn partitions(lake: &Lake) -> Value {
    let found: Value = serde_json::from_str(&lake.script("partitions.py", &[])).unwrap();
    assert_eq!(found["problems"], json!([]), "{found}");
    found
}

/// Compacts, compares the rows, and sees that a second run does nothing.
fn moves(lake: &Lake, options: &[&str]) -> Value {
    let before = lake.rows(&[]);
    let args = [&["compact", "--table", "db.t", "--verify", "content", "--json"], options].concat();
    let report = lake.run(&args).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    let after = lake.rows(&[]);
    same_rows(&before, &after);
    assert_eq!(after["problems"], json!([]), "{after}");
    let again = lake.run(&args).exits(0).report();
    assert_eq!(again["status"], "nothing-to-do", "{again}");
    report
}

#[test]
fn should_move_rows_to_the_partitions_of_the_current_spec() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "8"]);
    // Deletes of the old spec's partitions.
    lake.script("delete_files.py", &["--positions", "--year", "2023"]);
    lake.script("delete_files.py", &["--positions", "--year", "2022"]);
    lake.script("respec.py", &["--spec", "bucket(3, id)", "--appends", "2"]);
    assert_eq!(partitions(&lake)["specs"]["0"], 24);
    let plan = ["plan", "compact", "--table", "db.t"];
    assert!(lake.run(&plan).exits(0).stdout.contains("24 files of an older spec belong to about 3 partitions"));
    let report = moves(&lake, &[]);
    assert_eq!((&report["files_after"], &report["delete_files_after"]), (&json!(3), &json!(0)), "{report}");
    let found = partitions(&lake);
    let spec = found["specs"].as_object().unwrap().keys().next().unwrap().clone();
    assert_eq!((found["specs"].as_object().unwrap().len(), &found["planned"]["id"]), (1, &json!(1)), "{found}");
    // Back to where they came from: an older spec by its number.
    assert_ne!(spec, "0");
    moves(&lake, &["--output-spec-id", "0", "--target-file-size-bytes", "32KiB"]);
    assert_eq!(partitions(&lake)["specs"], json!({"0": 3}));
}

#[test]
fn should_merge_in_the_old_spec_where_months_would_be_tiny_and_move_where_not() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "8", "--rows", "2000"]);
    lake.script("respec.py", &["--spec", "month(ts), truncate(2, region)", "--appends", "1"]);
    let plan = ["plan", "compact", "--table", "db.t", "--json"];
    let plan = lake.run(&plan).exits(0).json()["plans"][0].clone();
    let tasks = plan["tasks"].as_array().unwrap();
    assert!(tasks.iter().all(|task| task["spec_id"] == 0 && task["keeps_spec"]["keeps"] == "scattered"), "{plan}");
    moves(&lake, &[]);
    let kept = partitions(&lake);
    assert_eq!(kept["specs"]["0"], 3, "{kept}");
    // With a smaller target, a month is worth a file.
    moves(&lake, &["--target-file-size-bytes", "16KiB", "--sort-order", "price desc, id", "--output-spec-id", "2"]);
    let moved = partitions(&lake);
    assert!(moved["specs"]["0"].is_null() && moved["partitions"].as_array().unwrap().len() > 60, "{moved}");
    let files: u64 = moved["specs"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert!(moved["planned"]["month"].as_u64().unwrap() <= 4 && moved["planned"]["null"].as_u64().unwrap() < files / 3);
}

#[test]
fn should_move_rows_to_texts_and_to_no_partition_at_all() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--kind", "plain", "--appends", "21"]);
    lake.script("respec.py", &["--spec", "region"]);
    // Nobody knows how many regions there are before one was written.
    let plan = ["plan", "compact", "--table", "db.t", "--json"];
    let plan = lake.run(&plan).exits(0).json()["plans"][0].clone();
    assert_eq!(plan["tasks"][0]["keeps_spec"]["keeps"], "not_told", "{plan}");
    lake.script("respec.py", &["--spec", "region", "--appends", "1"]);
    moves(&lake, &[]);
    let regions = partitions(&lake);
    assert_eq!((regions["partitions"].as_array().unwrap().len(), &regions["planned"]["region"]), (4, &json!(1)));
    lake.script("respec.py", &["--spec", ""]);
    moves(&lake, &["--output-spec-id", "0"]);
    assert_eq!(partitions(&lake)["specs"].as_object().unwrap().len(), 1);
    let wrong = ["compact", "--table", "db.t", "--output-spec-id", "77", "--json"];
    assert!(lake.run(&wrong).exits(2).report()["error"]["hint"].as_str().unwrap().contains("output-spec-id"));
}
