//! Other writers at work, and answers that never arrive.

use serde_json::{Value, json};

use crate::support::proxy::Proxy;
use crate::support::{Lake, has_python, same_rows, servers};

#[test]
fn should_keep_every_row_once_while_others_write() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    let journal = lake.path("journal.json").display().to_string();
    lake.script("writer_loop.py", &["--create", "--seconds", "0", "--journal", &journal]);
    let mut writer = lake.script_in_background("writer_loop.py", &["--seconds", "12", "--journal", &journal]);
    let (mut commits, mut runs) = (0, 0);
    let ended = loop {
        if let Some(ended) = writer.try_wait().unwrap() {
            break ended;
        }
        let ran = lake.run(&["compact", "--table", "db.t", "--min-input-files", "2", "--json"]);
        // Done, nothing to do, or a conflict: nothing else may happen under other writers.
        assert!([0, 4].contains(&ran.code), "{ran:?}");
        commits += u32::from(ran.report()["status"] == "committed");
        runs += 1;
    };
    assert!(ended.success(), "the writer gave up: the test tests less than it should");
    assert!(commits > 0, "none of {runs} runs got a commit in");
    let checked: Value = serde_json::from_str(&lake.script("check_journal.py", &["--journal", &journal])).unwrap();
    for wrong in ["lost", "twice", "unknown", "stale"] {
        assert_eq!(checked[wrong], json!(0), "{checked}");
    }
    lake.rows(&[]);
    eprintln!("{commits} commits in {runs} runs beside a writer: {checked}");
}

/// A commit whose answer is lost took effect: it must be recognised, and nothing deleted.
fn survives_a_lost_answer(lake: &mut Lake, through: Vec<String>, proxy: &Proxy) {
    lake.make(&[]);
    let before = lake.rows(&[]);
    let direct = std::mem::replace(&mut lake.catalog, through);
    let report = lake.run(&["compact", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(proxy.lost(), 1, "no answer was lost: the test tests nothing");
    assert_eq!(report["status"], "committed", "{report}");
    lake.catalog = direct;
    let after = lake.rows(&[]);
    same_rows(&before, &after);
    assert_eq!(after["snapshots"].as_u64(), before["snapshots"].as_u64().map(|n| n + 1), "one commit, once");
}

#[test]
fn should_recognise_its_own_commit_in_postgresql() {
    let Some(server) = servers::postgres() else { return };
    if !has_python() {
        return;
    }
    let mut lake = Lake::postgresql(server.port);
    // The statement is prepared in one packet and executed by the next.
    let proxy = Proxy::start(server.port, "UPDATE iceberg_tables", 1);
    survives_a_lost_answer(&mut lake, Lake::postgresql(proxy.port).catalog, &proxy);
}

#[test]
fn should_recognise_its_own_commit_in_a_rest_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = servers::rest(folder.path()) else { return };
    if !has_python() {
        return;
    }
    let mut lake = Lake::rest(server.port);
    let proxy = Proxy::start(server.port, "\"add-snapshot\"", 0);
    survives_a_lost_answer(&mut lake, Lake::rest(proxy.port).catalog, &proxy);
}
