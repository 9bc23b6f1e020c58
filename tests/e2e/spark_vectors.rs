//! Deletion vectors that Spark wrote, a small file a commit: merged, and read by everybody.

use serde_json::{Value, json};

use crate::support::spark::{has_spark, spark};
use crate::support::{icewright, python};

#[test]
fn should_merge_small_files_of_vectors_that_spark_wrote() {
    if !has_spark() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let ask = |action: &str| spark("spark_vectors", action, "vectors", &folder);
    let (catalog, uri) = (format!("sqlite://{folder}/catalog.db"), format!("uri=sqlite:///{folder}/catalog.db"));
    let others = || -> Value {
        let args = ["--name", "vectors", "--prop", "type=sql", "--prop", &uri, "--table", "db.t"];
        let read: Value = serde_json::from_str(&python("rows.py", &args)).unwrap();
        assert_eq!(read["problems"], json!([]), "{read}");
        json!([read["rows"], read["columns"], read["duckdb"]])
    };
    let merge = |more: &[&str]| {
        let args = ["compact", "--deletes", "--catalog", &catalog, "--table", "db.t", "--verify", "content", "--json"];
        icewright(&[&args[..], more].concat()).exits(0).report()
    };
    let same = |before: &Value, after: &Value| {
        for key in ["rows", "hash", "lineage", "vectors", "deleted"] {
            assert_eq!(before[key], after[key], "{key}: {before} {after}");
        }
    };
    let before = ask("make");
    assert!(before["files"].as_u64() >= Some(7), "a file a commit at least: {before}");
    let read = others();
    assert_eq!(merge(&["--min-input-files", "100"])["status"], "nothing-to-do");
    let report = merge(&[]);
    assert_eq!((&report["status"], &report["files_after"]), (&json!("committed"), &report["files_before"]), "{report}");
    let after = ask("read");
    same(&before, &after);
    assert!(after["files"].as_u64() <= Some(2), "one of both days, or one a day: {after}");
    assert_eq!(others(), read);
    assert_eq!(merge(&[])["status"], "nothing-to-do");
    // Spark replaces vectors of the merged file by its own, and adds new ones.
    let changed = ask("delete");
    assert_eq!(changed["rows"].as_u64().unwrap() + 5, after["rows"].as_u64().unwrap(), "{changed}");
    let read = others();
    assert_eq!(merge(&["--min-input-files", "2"])["status"], "committed");
    let again = ask("read");
    same(&changed, &again);
    assert_eq!(others(), read);
    let args = ["compact", "--catalog", &catalog, "--table", "db.t", "--verify", "content", "--json"];
    let report = icewright(&args).exits(0).report();
    assert_eq!((&report["status"], &report["delete_files_after"]), (&json!("committed"), &json!(0)), "{report}");
    let compacted = ask("read");
    for key in ["rows", "hash", "lineage"] {
        assert_eq!(again[key], compacted[key], "{key}: {again} {compacted}");
    }
    assert_eq!(others(), read);
}
