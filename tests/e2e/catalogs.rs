//! Every catalog and store: rows equal before and after, in every reader; a second run does nothing.

use std::sync::Arc;

use icewright::lake::{Ambient, conformance, connect_or_create};
use icewright::model::{CatalogSettings, TableName};
use serde_json::Value;

use crate::support::{Lake, has_python, same_rows, servers};

/// Every promise that the committer relies on, kept by a live catalog.
fn conforms(uri: &str, warehouse: &str) {
    let settings = CatalogSettings {
        name: "conformance".into(),
        uri: uri.to_owned(),
        warehouse: Some(warehouse.to_owned()),
        props: Default::default(),
        places: Vec::new(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let checked = runtime.block_on(async {
        let catalog = connect_or_create(&settings, Arc::new(Ambient::system())).await?;
        conformance::check(&catalog, &TableName::parse("conformance.t")?).await
    });
    checked.unwrap_or_else(|e| panic!("{uri}: {e}"));
}

/// Small files in, fewer out; the same rows; nothing to do afterwards.
fn compacts(lake: &Lake, rows: &[&str]) {
    let before = lake.rows(rows);
    let dry = lake.run(&["compact", "--table", "db.t", "--dry-run", "--json"]).exits(0).report();
    assert_eq!(dry["status"], "dry-run");
    assert_eq!(lake.rows(rows)["metadata"], before["metadata"], "a dry run changes nothing");
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    let after = lake.rows(rows);
    same_rows(&before, &after);
    assert_eq!(report["files_before"], before["files"]);
    assert_eq!(report["files_after"], after["files"]);
    assert!(after["files"].as_u64() < before["files"].as_u64(), "{before} {after}");
    assert_eq!(report["error"], Value::Null);
    let again = lake.run(&["compact", "--table", "db.*", "--json"]).exits(0).report();
    assert_eq!(again["status"], "nothing-to-do");
    assert_eq!(lake.rows(rows)["metadata"], after["metadata"], "a second run makes no snapshot");
}

#[test]
fn should_compact_sqlite_and_local_files() {
    if !has_python() {
        return;
    }
    for (kind, version) in [("years", "2"), ("plain", "1"), ("types", "2")] {
        let lake = Lake::sqlite();
        lake.make(&["--kind", kind, "--format-version", version]);
        compacts(&lake, &[]);
    }
}

#[test]
fn should_compact_every_type_of_our_own_fixture() {
    if !has_python() {
        return;
    }
    let mut lake = Lake::sqlite();
    let dir = lake.dir.path().display().to_string();
    crate::support::icewright(&[
        "fixture",
        "--dir",
        &dir,
        "--kind",
        "many-types",
        "--files",
        "40",
        "--rows",
        "150",
        "--nulls",
        "0.2",
    ])
    .exits(0);
    lake.props = vec!["type=sql".into(), format!("uri=sqlite:///{dir}/catalog.db")];
    compacts(&lake, &[]);
}

#[test]
fn should_compact_postgresql() {
    let Some(server) = servers::postgres() else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::postgresql(server.port);
    lake.make(&["--kind", "years"]);
    compacts(&lake, &[]);
    conforms(&lake.catalog[1], &lake.path("pg").display().to_string());
}

#[test]
fn should_compact_s3() {
    let Some(server) = servers::s3() else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::s3(server.port);
    lake.make(&["--kind", "years"]);
    compacts(&lake, &["--no-duckdb"]);
    // Filesystem tables on the same store: the swap is a conditional put.
    let mut warehouse = vec!["--catalog", "s3://lake/plain"];
    warehouse.extend(lake.catalog[2..].iter().map(String::as_str));
    let run = |args: &[&str]| crate::support::icewright(&[args, &warehouse[..]].concat());
    run(&["fixture", "--files", "8", "--rows", "20", "--years", "2025", "--commits", "4"]).exits(0);
    let report = run(&["compact", "--all", "--verify", "content", "--json"]).exits(0).report();
    assert_eq!((report["files_after"].as_u64(), report["rows"].as_u64()), (Some(1), Some(160)), "{report}");
    assert_eq!(run(&["compact", "--all", "--json"]).exits(0).report()["status"], "nothing-to-do");
    let doctor = lake.run(&["doctor", "--json"]).exits(0).json();
    assert!(doctor["checks"].as_array().unwrap().iter().all(|check| check["verdict"] == "good"), "{doctor}");
}

#[test]
fn should_compact_the_reference_rest_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = servers::rest(folder.path()) else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::rest(server.port);
    lake.make(&["--kind", "years"]);
    compacts(&lake, &[]);
    conforms(&lake.catalog[1], "");
}

#[test]
fn should_compact_filesystem_tables() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("file://{}", dir.path().display());
    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--catalog", &uri]);
        crate::support::icewright(&all)
    };
    run(&["fixture", "--files", "12", "--rows", "50", "--years", "2025", "--commits", "3"]).exits(0);
    let report = run(&["compact", "--all", "--verify", "content", "--json"]).exits(0).report();
    assert_eq!((report["files_after"].as_u64(), report["rows"].as_u64()), (Some(1), Some(600)));
    let metadata = dir.path().join("db/t/metadata");
    assert_eq!(std::fs::read_to_string(metadata.join("version-hint.text")).unwrap(), "5");
    assert!(metadata.join("v5.metadata.json").exists());
    let again = run(&["compact", "--all", "--json"]).exits(0).report();
    assert_eq!(again["status"], "nothing-to-do");
}
