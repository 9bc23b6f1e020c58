//! What another engine left in a table survives; what is not supported is refused or left alone.

use serde_json::{Value, json};

use crate::support::{Lake, has_python, same_rows};

#[test]
fn should_keep_refs_properties_statistics_and_what_nobody_knows() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--tag", "keep", "--property", "owner=me", "--property", "odd.key=1"]);
    let before = lake.rows(&[]);
    // Another engine's marks, on the document itself.
    let path = lake.metadata_file();
    let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    document["x-vendor"] = json!({"deep": [1, {"a": null}]});
    document["snapshots"][0]["x-note"] = json!("kept");
    document["refs"]["keep"]["x-ref"] = json!(7);
    let first = document["snapshots"][0]["snapshot-id"].clone();
    document["statistics"] = json!([{"snapshot-id": first, "statistics-path": "file:///s.puffin", "file-size-in-bytes": 9,
        "file-footer-size-in-bytes": 4, "blob-metadata": []}]);
    document["refs"]["main"]["min-snapshots-to-keep"] = json!(4);
    std::fs::write(&path, document.to_string()).unwrap();
    lake.run(&["compact", "--table", "db.t"]).exits(0);
    let after: Value = serde_json::from_slice(&std::fs::read(lake.metadata_file()).unwrap()).unwrap();
    for key in ["x-vendor", "properties", "statistics", "schemas", "partition-specs", "sort-orders", "table-uuid"] {
        assert_eq!(after[key], document[key], "{key}");
    }
    assert_eq!(after["snapshots"][0], document["snapshots"][0]);
    assert_eq!(after["refs"]["keep"], document["refs"]["keep"]);
    assert_eq!(after["refs"]["side"], document["refs"]["side"]);
    assert_eq!(after["refs"]["main"]["min-snapshots-to-keep"], 4);
    assert_eq!(after["metadata-log"].as_array().unwrap().len(), document["metadata-log"].as_array().unwrap().len() + 1);
    let snapshot = after["snapshots"].as_array().unwrap().last().unwrap();
    assert_eq!(snapshot["summary"]["operation"], "replace");
    assert!(snapshot["summary"]["icewright.version"].is_string());
    same_rows(&before, &lake.rows(&[]));
    // Time travel to the tagged snapshot still reads what it read.
    let old = lake.rows(&["--snapshot-id", &first.to_string()]);
    assert_eq!(old["rows"], 200);
}

#[test]
fn should_refuse_version_three_and_encryption() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "6", "--property", "encryption.key-id=k"]);
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(3).report();
    assert_eq!((report["status"].as_str(), report["error"]["kind"].as_str()), (Some("refused"), Some("unsupported")));
    let path = lake.metadata_file();
    let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    document["properties"].as_object_mut().unwrap().remove("encryption.key-id");
    document["format-version"] = json!(3);
    document["next-row-id"] = json!(0);
    std::fs::write(&path, document.to_string()).unwrap();
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(3).report();
    assert!(report["error"]["message"].as_str().unwrap().contains("version 3"), "{report}");
}

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

#[test]
fn should_apply_equality_deletes_of_a_partition_and_of_the_whole_table() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "6"]);
    // As Flink would: rows by id everywhere, then in one year only; rows that come after them live. DuckDB 1.5 applies those
    // of one partition to all of them, so the truth is a second table whose writer rewrote its files instead.
    let twin = Lake::sqlite();
    twin.make(&["--appends", "6"]);
    for deletes in
        [&["--equality", "0,1,2,3,250,700,1199,5000"][..], &["--equality", "10,11,12,13,14,15,16,17", "--year", "2023"]]
    {
        lake.script("delete_files.py", deletes);
        twin.script("delete_files.py", &[deletes, &["--rewrite"]].concat());
    }
    let left = twin.rows(&[]);
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
