//! Lakes written by Spark, read back by Spark: Iceberg's reference implementation on both sides.

use serde_json::{Value, json};

use crate::support::spark::{self as server, has_spark};
use crate::support::{icewright, python};

const TABLES: [&str; 5] = ["cow", "v1", "mor", "upgraded", "v3"];
/// Those with a sort order.
const ORDERED: [&str; 2] = ["cow", "v3"];

fn spark(action: &str, folder: &str) -> Value {
    server::spark("spark_lake", action, "c", folder)
}

#[test]
fn should_compact_what_spark_wrote_so_that_spark_reads_the_same() {
    if !has_spark() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    spark("make", &folder);
    let catalog = format!("sqlite://{folder}/catalog.db");
    // Equality deletes as Flink writes them, by a column that was renamed since.
    let uri = format!("uri=sqlite:///{folder}/catalog.db");
    let by_pyiceberg = |table| ["--name", "c", "--prop", "type=sql", "--prop", &uri, "--table", table];
    for table in ["db.mor", "db.upgraded"] {
        for by in [["--equality", "3,4,1003,2004,9999"], ["--by", "area=r3,r5,r99"]] {
            python("delete_files.py", &[&by_pyiceberg(table)[..], &by[..]].concat());
        }
    }
    let before = spark("upgrade", &folder);
    assert_eq!(before["upgraded"]["vectors"]["vectors"], 0, "files of positions, and equality deletes: {before}");
    // Positions for version 2, a file a partition; deletion vectors for version 3, one a data file.
    for (table, files) in [("mor", 2), ("upgraded", 12)] {
        let name = format!("db.{table}");
        let args = ["compact", "--deletes", "--catalog", &catalog, "--table", &name, "--verify", "content", "--json"];
        let report = icewright(&args).exits(0).report();
        assert_eq!(
            (&report["status"], &report["delete_files_after"]),
            (&json!("committed"), &json!(files)),
            "{report}"
        );
        assert_eq!(icewright(&args).exits(0).report()["status"], "nothing-to-do");
    }
    for table in TABLES {
        let name = format!("db.{table}");
        let args = ["rewrite-manifests", "--catalog", &catalog, "--table", &name, "--rewrite-all", "--json"];
        let report = icewright(&args).exits(0).report();
        assert_eq!(report["status"], "committed", "{report}");
    }
    let rewritten = spark("read", &folder);
    for table in TABLES {
        // Rows of an upgraded table get ids with the first commit.
        let upgraded = table == "upgraded";
        let key = |digest: &Value| if upgraded { without_lineage(digest) } else { digest.clone() };
        assert_eq!(key(&rewritten[table]), key(&before[table]), "{table}: the same through rewritten manifests");
    }
    assert_eq!(rewritten["upgraded"]["ids"], rewritten["upgraded"]["rows"], "{rewritten}");
    assert_eq!(rewritten["upgraded"]["vectors"], json!({"deletes": 12, "files": 2, "vectors": 12}), "{rewritten}");
    // PyIceberg reads the vectors as well.
    let args = [&by_pyiceberg("db.upgraded")[..], &["--no-duckdb"]].concat();
    let read: Value = serde_json::from_str(&python("rows.py", &args)).unwrap();
    assert_eq!((&read["rows"], &read["problems"]), (&rewritten["upgraded"]["rows"], &json!([])), "{read}");
    // The upgraded table keeps its vectors: Spark is to add its own deletes to them.
    for table in TABLES.into_iter().filter(|table| *table != "upgraded") {
        let report = compact(&catalog, table, if ORDERED.contains(&table) { &["--strategy", "sort"] } else { &[] });
        if table == "mor" || table == "v3" {
            assert_eq!(&report["delete_files_after"], &json!(0), "{report}");
            let rows = 3000 - report["rows_deleted"].as_u64().unwrap();
            assert_eq!(before[table]["rows"], json!(rows), "{report}");
            assert_ne!(report["delete_files_before"], 0, "{report}");
        }
    }
    // Only the newest snapshot stays; what others need of the older ones is found by the reference implementation.
    let tight = ["--retain-min", "1", "--retain-max", "1", "--older-than", "0s", "--min-age", "0s"];
    let report =
        icewright(&[&["expire", "--catalog", &catalog, "--all", "--json"], &tight[..]].concat()).exits(0).json();
    for table in report["tables"].as_array().unwrap() {
        assert_eq!((&table["status"], table["snapshots_after"].as_u64()), (&"committed".into(), Some(1)), "{table}");
        assert!(table["files_removed"].as_u64() > Some(0), "{table}");
    }
    // Reads what became of the tables, then changes those of version 3 and goes round again: some rows have their ids in
    // columns now, others inherit them.
    let after = spark("read", &folder);
    for table in TABLES {
        let (before, after) = (&rewritten[table], &after[table]);
        for key in ["rows", "hash", "ids", "lineage", "max"] {
            assert_eq!(before[key], after[key], "{table} {key}");
        }
        assert_eq!(before["files"] != after["files"], table != "upgraded", "{table}: {before} {after}");
        // What was sorted by the table's order says so; nothing else does.
        let order = i32::from(ORDERED.contains(&table));
        assert_eq!(after["orders"], json!([order]), "{table}: {after}");
    }
    let changed = spark("change", &folder);
    for table in ["upgraded", "v3"] {
        assert_eq!(changed[table]["ids"], changed[table]["rows"], "{changed}");
        assert_ne!(changed[table]["lineage"], after[table]["lineage"], "{changed}");
        assert_eq!(changed[table]["vectors"]["deletes"], changed[table]["vectors"]["vectors"], "{changed}");
        // To another tier: the files of one with their deletes applied, that of the other as it is.
        if table == "upgraded" {
            compact(&catalog, table, &["--rewrite-all"]);
        }
        let (name, config) = (format!("db.{table}"), format!("{folder}/icewright.toml"));
        let tiers = format!("[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"cold\"\nlocation = \"{folder}/tier\"\n");
        std::fs::write(&config, tiers).unwrap();
        let args =
            ["archive", "--catalog", &catalog, "--table", &name, "--config", &config, "--verify", "content", "--json"];
        let report = icewright(&args).exits(0).report();
        assert_eq!((&report["status"], &report["delete_files_after"]), (&json!("committed"), &json!(0)), "{report}");
        assert_eq!(report["rows_deleted"].as_u64() > Some(0), table == "v3", "{report}");
        assert_eq!(icewright(&args).exits(0).report()["status"], "nothing-to-do");
    }
    let again = spark("read", &folder);
    for table in ["upgraded", "v3"] {
        for key in ["rows", "hash", "ids", "lineage", "max"] {
            assert_eq!(changed[table][key], again[table][key], "{table} {key}");
        }
        assert_eq!((&again[table]["archived"], &again[table]["files"]), (&json!(2), &json!(2)), "{again}");
    }
}

fn compact(catalog: &str, table: &str, more: &[&str]) -> Value {
    let name = format!("db.{table}");
    let args = ["compact", "--catalog", catalog, "--table", &name, "--verify", "content", "--json"];
    let report = icewright(&[&args[..], more].concat()).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    report
}

fn without_lineage(digest: &Value) -> Value {
    let mut digest = digest.clone();
    for key in ["ids", "lineage", "max", "vectors"] {
        digest.as_object_mut().unwrap().remove(key);
    }
    digest
}
