//! Files as their writers leave them (pyarrow in all its ways, DuckDB, Polars), through every way of rewriting.

use serde_json::{Value, json};

use crate::support::{Lake, has_python};

/// Every way in turn. What comes out of one is what goes into the next.
fn keeps_what_they_hold(seed: &str, first: &str) {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.script("foreign_files.py", &["--seed", seed]);
    // DuckDB does not read columns by a mapping of names.
    let before = lake.rows(&["--no-duckdb"]);
    let small =
        ["--target-file-size-bytes", "64KiB", "--min-file-size-bytes", "32KiB", "--max-file-size-bytes", "96KiB"];
    let ways: [(&str, Vec<&str>); 4] = [
        ("merged", vec!["--encodings", first]),
        ("copied", vec!["--encodings", "modern", "--rewrite-all"]),
        ("encoded", vec!["--encodings", first, "--rewrite-all", "--sort-order", "many, i desc"]),
        ("merged", [vec!["--encodings", "compatible", "--rewrite-all"], small.to_vec()].concat()),
    ];
    for (way, options) in ways {
        let compact = [&["compact", "--table", "db.t", "--verify", "content", "--json"], &options[..]].concat();
        let report = lake.run(&compact).exits(0).report();
        assert_eq!(report["status"], "committed", "{report}");
        assert!(report["chunks"][way]["bytes"].as_u64().unwrap() > 0, "seed {seed}, {options:?}: {report}");
        let after = lake.rows(&[]);
        assert_eq!(after["problems"], json!([]), "seed {seed}, {options:?}: {after}");
        // DuckDB's were compared with PyIceberg's.
        for what in ["rows", "columns"] {
            assert_eq!(before[what], after[what], "seed {seed}, {options:?}");
        }
        let found: Value =
            serde_json::from_str(&lake.script("foreign_files.py", &["--seed", seed, "--check"])).unwrap();
        assert_eq!(found["problems"], json!([]), "seed {seed}, {options:?}");
    }
}

#[test]
fn should_keep_what_other_writers_wrote() {
    keeps_what_they_hold("1", "compatible");
}

#[test]
fn should_keep_what_other_writers_wrote_in_modern_encodings() {
    keeps_what_they_hold("2", "modern");
}
