//! Files that PyIceberg's `add_files` adopted: without field ids, told by the table's mapping of names.

use serde_json::Value;

use crate::support::{Lake, has_python, same_rows};

#[test]
fn should_compact_files_that_pyiceberg_adopted() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.script("add_files.py", &[]);
    let before = lake.rows(&["--no-duckdb"]);
    assert_eq!(before["rows"], 2700, "{before}");
    let compact = ["compact", "--table", "db.t", "--verify", "content", "--json"];
    let report = lake.run(&compact).exits(0).report();
    assert_eq!((&report["status"], &report["files_after"]), (&"committed".into(), &1.into()), "{report}");
    same_rows(&before, &lake.rows(&["--no-duckdb"]));
    assert_eq!(lake.run(&compact).exits(0).report()["status"], "nothing-to-do");
    // What could not be taken as pages, and why.
    let reason = |column: &str| -> Option<&str> {
        let encoded: &Vec<Value> = report["chunks"]["encoded_because"].as_array().unwrap();
        encoded.iter().find(|one| one["column"] == column).and_then(|one| one["reason"].as_str())
    };
    assert_eq!(reason("id"), None, "{report}");
    assert_eq!(reason("count"), None, "numbers of a promoted column are made wider in their pages: {report}");
    assert_eq!(reason("extra"), Some("some files are older than the column"), "{report}");
    assert_eq!(reason("price"), Some("decimals as bytes, as older writers have them"), "{report}");
    let bytes = |way: &str| report["chunks"][way]["bytes"].as_u64().unwrap();
    assert!(bytes("merged") > 0 && bytes("encoded") > 0 && bytes("copied") == 0, "{report}");
    // In order, by a column that was renamed.
    let sort = ["compact", "--table", "db.t", "--sort-order", "area, place.b desc", "--verify", "content", "--json"];
    let report = lake.run(&sort).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    same_rows(&before, &lake.rows(&["--no-duckdb"]));
    let encoded = report["chunks"]["encoded_because"].as_array().unwrap();
    assert_eq!(encoded.len(), 8, "every column: {report}");
    assert_eq!(encoded[0]["reason"], "rows are put in order: area ASC NULLS FIRST, place.b DESC NULLS LAST");
    assert_eq!(lake.run(&sort).exits(0).report()["status"], "nothing-to-do");
}
