//! Tables that Spark evolved, partitioned anew, branched and tagged: the same rows after everything that icewright does.

use serde_json::{Value, json};

use crate::support::spark::{has_spark, spark};
use crate::support::{icewright, python};

/// Format versions 1 to 3, and one whose files were adopted.
const TABLES: [&str; 4] = ["e1", "e2", "e3", "added"];
/// What a row is told by, wherever it lies.
const ROWS: [&str; 4] = ["rows", "hash", "ids", "lineage"];

struct Lake {
    _dir: tempfile::TempDir,
    /// What the catalog is called.
    name: &'static str,
    folder: String,
    catalog: String,
}

impl Lake {
    fn ask(&self, action: &str) -> Value {
        spark("spark_evolved", action, self.name, &self.folder)
    }

    fn python(&self, script: &str, table: &str, more: &[&str]) -> String {
        let (uri, table) = (format!("uri=sqlite:///{}/catalog.db", self.folder), format!("db.{table}"));
        python(
            script,
            &[&["--name", self.name, "--prop", "type=sql", "--prop", &uri, "--table", &table], more].concat(),
        )
    }

    /// What PyIceberg reads, and DuckDB too unless `more` says otherwise.
    fn rows(&self, table: &str, more: &[&str]) -> Value {
        let read: Value = serde_json::from_str(&self.python("rows.py", table, more)).unwrap();
        // Spark does not count the bytes of files that it adopts.
        let counts = |problem: &&Value| table == "added" && problem.to_string().contains("total-files-size");
        let problems: Vec<&Value> = read["problems"].as_array().unwrap().iter().filter(|p| !counts(p)).collect();
        assert_eq!(problems, Vec::<&Value>::new(), "{table}: {read}");
        json!([read["rows"], read["columns"]])
    }

    /// Runs a verb over one table, which has to have something to do; then there is nothing left to do.
    fn run(&self, verb: &[&str], table: &str) -> Value {
        let name = format!("db.{table}");
        let args = [verb, &["--catalog", &self.catalog, "--table", &name, "--json"]].concat();
        let report = icewright(&args).exits(0).report();
        assert_eq!(report["status"], "committed", "{args:?}: {report}");
        let again = icewright(&args).exits(0).report();
        assert!(verb.contains(&"--rewrite-all") || again["status"] == "nothing-to-do", "{args:?}: {again}");
        report
    }

    /// Spark reads of all tables, branches and tags what it read before.
    fn check(&self, before: &Value, what: &str) -> Value {
        let after = self.ask("read");
        for (name, digest) in after.as_object().unwrap() {
            for key in ROWS {
                assert_eq!(digest[key], before[name][key], "{what}: {key} of {name}\n{before}\n{after}");
            }
        }
        after
    }
}

#[test]
fn should_keep_every_row_of_tables_that_spark_evolved() {
    if !has_spark() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let lake = Lake { catalog: format!("sqlite://{folder}/catalog.db"), name: "e", folder, _dir: dir };
    lake.ask("make");
    // As Flink writes them: by an id, by a column that will be renamed, and by one that will be dropped.
    for table in ["e2", "e3"] {
        for by in [["--equality", "11,12,111,9999"], ["--by", "old=text 2,nothing"]] {
            lake.python("delete_files.py", table, &by);
        }
    }
    lake.ask("adopt");
    let before = lake.ask("evolve");
    for table in TABLES {
        assert!(before[format!("{table}.main")]["rows"].as_u64() > Some(100), "{before}");
    }
    assert_eq!(before["e3.main"]["ids"], before["e3.main"]["rows"], "{before}");

    for table in ["e2", "e3"] {
        lake.run(&["compact", "--deletes", "--verify", "content"], table);
    }
    lake.check(&before, "after equality deletes became positions and vectors");
    // Where a Puffin file of Spark holds vectors that were replaced since, DuckDB 1.5 may take one for another.
    let without_duckdb = |table: &str| if table == "e3" { &["--no-duckdb"][..] } else { &[] };
    let others: Vec<Value> = TABLES.iter().map(|table| lake.rows(table, without_duckdb(table))).collect();
    // Three specs are in use (two where Spark rewrote files for its deletes); everything goes to the last one.
    for table in ["e1", "e2", "e3"] {
        let specs = before[format!("{table}.main")]["specs"].as_object().unwrap().clone();
        assert!(specs.len() >= if table == "e1" { 2 } else { 3 }, "{before}");
        let newest = specs.keys().map(|id| id.parse::<i32>().unwrap()).max().unwrap().to_string();
        lake.run(&["compact", "--output-spec-id", &newest, "--verify", "content"], table);
    }
    // Spark adopts files with a manifest of version 1 whose entries inherit everything.
    lake.run(&["rewrite-manifests", "--rewrite-all"], "added");
    lake.run(&["compact", "--verify", "content"], "added");
    let moved = lake.check(&before, "after all rows went to the current spec");
    for table in TABLES {
        let main = &moved[format!("{table}.main")];
        assert_eq!((main["specs"].as_object().unwrap().len(), &main["deletes"]), (1, &json!(0)), "{table}: {moved}");
    }
    lake.run(
        &["compact", "--strategy", "sort", "--sort-order", "later desc nulls last, id", "--verify", "content"],
        "e2",
    );
    lake.run(&["compact", "--strategy", "zorder", "--columns", "id,later,ts", "--verify", "content"], "e3");
    lake.run(&["compact", "--strategy", "hilbert", "--columns", "id,dec", "--verify", "content"], "e1");
    for table in TABLES {
        lake.run(&["rewrite-manifests", "--rewrite-all"], table);
    }
    lake.check(&before, "after rows and manifests were put in order");
    let config = format!("{}/icewright.toml", lake.folder);
    let tiers = format!("[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"cold\"\nlocation = \"{}/tier\"\n", lake.folder);
    std::fs::write(&config, tiers).unwrap();
    for table in ["e1", "e2", "e3"] {
        lake.run(&["archive", "--config", &config, "--verify", "content"], table);
    }
    for (table, before) in TABLES.iter().zip(others) {
        assert_eq!(lake.rows(table, &[]), before, "{table}");
    }
    let tight = ["expire", "--retain-min", "1", "--retain-max", "1", "--older-than", "0s", "--min-age", "0s"];
    for table in TABLES {
        let report = lake.run(&tight, table);
        // The newest, and what the branch and the tag hold.
        assert_eq!(report["snapshots_after"].as_u64(), Some(if table == "added" { 1 } else { 3 }), "{report}");
        assert!(report["files_removed"].as_u64() > Some(0), "{report}");
    }
    lake.check(&before, "after the archive and expiry");
}

/// Nanoseconds, times, UUIDs, fixed bytes, floats with NaN and two zeros; equality deletes by them, as Java's library (and
/// Flink with it) writes and applies them.
#[test]
fn should_keep_what_java_wrote_of_types_that_spark_lacks() {
    if !has_spark() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let lake = Lake { catalog: format!("sqlite://{folder}/catalog.db"), name: "n", folder, _dir: dir };
    let ask = |action| spark("java_rows", action, "n", &lake.folder);
    let before = ask("make");
    let ids: Vec<i64> = before.as_array().unwrap().iter().map(|row| row[0].as_i64().unwrap()).collect();
    // Times, a UUID, bytes; NaN, which is NaN, and -0.0 alone of the zeros, in the even partition; two columns.
    let gone = [1, 3, 5, 7, 8, 9, 13, 0, 14, 28, 8, 22, 36, 20, 34];
    assert!(
        gone.iter().all(|id| !ids.contains(id)) && [2, 16, 15, 21, 11].iter().all(|id| ids.contains(id)),
        "{ids:?}"
    );
    // From now on Java can't read the table, until nothing is deleted by the column that is gone.
    ask("drop");
    let without_clock = |row: &Value| {
        let values = row.as_array().unwrap().iter().enumerate().filter(|(column, _)| *column != 4);
        values.map(|(_, value)| value.clone()).collect::<Value>()
    };
    let before: Value = before.as_array().unwrap().iter().map(without_clock).collect();
    lake.run(&["compact", "--deletes", "--verify", "content"], "types");
    assert_eq!(ask("read"), before, "after equality deletes became deletion vectors");
    // DuckDB 1.5 does not know timestamptz_ns.
    let others = lake.rows("types", &["--no-duckdb"]);
    let sort = ["compact", "--strategy", "sort", "--sort-order", "local desc, key", "--min-input-files", "2"];
    let report = lake.run(&[&sort[..], &["--verify", "content"]].concat(), "types");
    assert_eq!((&report["files_after"], &report["delete_files_after"]), (&json!(2), &json!(0)), "{report}");
    assert_eq!(ask("read"), before, "after a sort by nanoseconds");
    assert_eq!(lake.rows("types", &["--no-duckdb"]), others);
    // Which files the filter takes is told by bounds in nanoseconds.
    let plan =
        ["plan", "compact", "--table", "db.types", "--catalog", &lake.catalog, "--json", "--rewrite-all", "--where"];
    for (filter, groups) in [("local >= '2023-11-16'", 0), ("local < '2023-11-15 00:00:00'", 1), ("number = 42", 2)] {
        let plan = icewright(&[&plan[..], &[filter]].concat()).exits(0).json();
        assert_eq!(plan["plans"][0]["tasks"].as_array().unwrap().len(), groups, "{filter}: {plan}");
    }
}
