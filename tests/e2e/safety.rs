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
fn should_refuse_encryption() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "6", "--property", "encryption.key-id=k"]);
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(3).report();
    assert_eq!((report["status"].as_str(), report["error"]["kind"].as_str()), (Some("refused"), Some("unsupported")));
}
