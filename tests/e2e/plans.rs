//! Saved plans, and what people see.

use serde_json::Value;

use crate::support::{Lake, has_python, same_rows};

#[test]
fn should_apply_a_saved_plan_and_refuse_one_that_was_edited_or_is_stale() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&[]);
    let before = lake.rows(&[]);
    let plan = lake.path("plan.json").display().to_string();
    lake.run(&["plan", "compact", "--table", "db.t", "-o", &plan]).exits(0);
    let text = std::fs::read_to_string(&plan).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let task = &document["plans"][0]["tasks"][0];
    assert!(task["inputs"].as_array().unwrap().len() > 1 && task["estimate"]["memory"].as_u64() > Some(0), "{task}");
    assert_eq!(task["why"]["reason"], "enough_files");

    let edited = lake.path("edited.json").display().to_string();
    std::fs::write(&edited, text.replacen("\"zstd-level\": 3", "\"zstd-level\": 9", 1)).unwrap();
    let refused = lake.run(&["apply", &edited, "--json"]).exits(2).report();
    assert!(refused["error"]["message"].as_str().unwrap().contains("changed after it was made"), "{refused}");

    lake.run(&["apply", &plan, "--dry-run"]).exits(0);
    let report = lake.run(&["apply", &plan, "--json"]).exits(0).report();
    assert_eq!(report["status"], "committed");
    same_rows(&before, &lake.rows(&[]));

    let metadata = lake.metadata_file();
    let stale = lake.run(&["apply", &plan, "--json"]).exits(4).report();
    assert!(stale["error"]["message"].as_str().unwrap().contains("stale"), "{stale}");
    assert_eq!(lake.metadata_file(), metadata);
    let garbage = lake.path("garbage.json").display().to_string();
    std::fs::write(&garbage, "{").unwrap();
    lake.run(&["apply", &garbage]).exits(2);
}

#[test]
fn should_select_partitions_by_a_filter() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&[]);
    let before = lake.rows(&[]);
    let filter = "ts >= '2024-01-01' AND NOT region IS NULL OR id < 0";
    let args = ["plan", "compact", "--table", "db.t", "--where", filter, "--json"];
    let plan = lake.run(&args).exits(0).json()["plans"][0].clone();
    let partitions: Vec<&str> =
        plan["tasks"].as_array().unwrap().iter().map(|t| t["partition"].as_str().unwrap()).collect();
    assert_eq!(partitions, ["ts_year=2024"]);
    let out = plan["skipped"].as_array().unwrap().iter().filter(|s| s["reason"] == "filtered_out").count();
    assert!(out > 0);
    lake.run(&["compact", "--table", "db.t", "--where", filter]).exits(0);
    same_rows(&before, &lake.rows(&[]));
    let left = lake.run(&["plan", "compact", "--table", "db.t", "--json"]).exits(0).json();
    assert_eq!(left["plans"][0]["tasks"].as_array().unwrap().len(), 2, "2022 and 2023 are still to do");
}

#[test]
fn should_show_health_and_progress() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&[]);
    let seen = lake.run(&["inspect", "--all"]).exits(0).stdout;
    assert!(seen.contains("compact: due: 3 groups"), "{seen}");
    assert!(seen.contains("< 1 MiB │█"), "{seen}");
    let json = lake.run(&["inspect", "--all", "--json"]).exits(0).report();
    assert_eq!((json["snapshots"].as_u64(), json["partitions"].as_u64()), (Some(8), Some(3)));
    let log = lake.run(&["compact", "--all", "--log-format", "json"]).exits(0).stderr;
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["message"], "compaction ended");
}
