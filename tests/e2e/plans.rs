//! Saved plans, and what people see.

use serde_json::Value;

use crate::support::{Lake, has_python, icewright, same_rows};

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

#[test]
fn should_save_the_plans_of_the_tables_that_a_budget_pays_for() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake").display().to_string();
    let shape = ["--tables", "3", "--files", "24", "--commits", "24", "--age", "40d", "--rows", "20"];
    icewright(&[&["fixture", "--dir", &lake, "--years", "2024-2024"][..], &shape].concat()).exits(0);
    let catalog = format!("sqlite://{lake}/catalog.db");
    let file = dir.path().join("night.json").display().to_string();
    let night = ["plan", "maintain", "--all", "--catalog", &catalog, "--budget", "tables=2", "-o", &file];
    let said = icewright(&night).exits(0).stderr;
    assert!(said.contains("4 plans for 2 tables") && said.contains("icewright apply"), "{said}");
    let applied = icewright(&["apply", &file, "--catalog", &catalog, "--json"]).exits(0).json();
    let did = |report: &Value| {
        let of = |key: &str| report[key].as_u64().unwrap_or(0);
        let expired = of("snapshots_before").saturating_sub(of("snapshots_after"));
        (report["table"].as_str().unwrap().to_owned(), of("files_before").saturating_sub(of("files_after")), expired)
    };
    let done: Vec<_> = applied["tables"].as_array().unwrap().iter().map(did).collect();
    let of_both = |files, expired| ["db.t00000", "db.t00001"].map(|table| (table.to_owned(), files, expired));
    let [compactions, expiries] = [of_both(23, 0), of_both(0, 14)];
    // Each table's compaction comes before its expiry, and one table's after the other's.
    assert_eq!(done, [&compactions[..1], &expiries[..1], &compactions[1..], &expiries[1..]].concat(), "{applied}");
    let said = icewright(&night).exits(0).stderr;
    assert!(said.contains("2 plans for 1 tables"), "the third is left: {said}");
}
