//! Expiry on every catalog and store: retained snapshots read the same, and nothing that they do not need is left.

use std::time::Instant;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::proxy::Proxy;
use crate::support::{Lake, files, has_python, icewright, servers};

/// The fewest snapshots that may be kept, whatever their age: tests can't wait for days.
const TIGHT: [&str; 8] = ["--retain-min", "2", "--retain-max", "3", "--older-than", "0s", "--min-age", "0s"];

fn history(lake: &Lake, args: &[&str]) -> Value {
    serde_json::from_str(&lake.script("history.py", args)).unwrap()
}

fn expire(lake: &Lake, args: &[&str], code: i32) -> Value {
    lake.run(&[&["expire", "--table", "db.t", "--json"], args].concat()).exits(code).report()
}

/// Every snapshot that is still there reads as before; nothing that it needs is missing.
fn same_snapshots(before: &Value, after: &Value) {
    assert_eq!(after["missing"], json!([]), "something reachable is gone");
    for (id, read) in after["snapshots"].as_object().unwrap() {
        assert_eq!(&before["snapshots"][id], read, "snapshot {id}");
    }
    assert_eq!((&before["refs"], &before["current"]), (&after["refs"], &after["current"]));
    assert_eq!(before["main"], after["main"]);
}

/// A history of every shape, expired: rolled back ends, a picked commit, a tag, a branch, statistics.
fn expires(lake: &Lake, make: &[&str]) {
    let before = history(lake, &[&["make"], make].concat());
    let dry = expire(lake, &[&TIGHT[..], &["--dry-run"]].concat(), 0);
    assert_eq!(dry["status"], "dry-run");
    assert_eq!(history(lake, &["read", "--quick"])["location"], before["location"], "a dry run changes nothing");
    let report = expire(lake, &TIGHT, 0);
    assert_eq!(report["status"], "committed", "{report}");
    let after = history(lake, &["read"]);
    same_snapshots(&before, &after);
    // main keeps 2 (all are old), the tag its own, the branch its head.
    assert_eq!((report["snapshots_before"].as_u64(), after["count"].as_u64()), (Some(16), Some(4)), "{report}");
    assert_eq!(report["snapshots_after"], after["count"]);
    // All that is left is named by somebody, but for what lay there unnamed before.
    for file in after["unnamed"].as_array().unwrap() {
        assert!(before["unnamed"].as_array().unwrap().contains(file), "{file} is named by nobody");
    }
    let gone = before["files"].as_u64().unwrap() + 1 - after["files"].as_u64().unwrap();
    assert_eq!(report["files_removed"].as_u64(), Some(gone), "one metadata file more; {report}");
    assert_eq!((&report["files_removed"], &report["bytes_removed"]), (&dry["files_removed"], &dry["bytes_removed"]));
    let kinds = report["removed"]["by_kind"].as_object().unwrap();
    assert!(
        ["data", "manifest", "manifest_list", "statistics"].iter().all(|kind| kinds.contains_key(*kind)),
        "{report}"
    );
    assert_eq!(expire(lake, &TIGHT, 0)["status"], "nothing-to-do");
    assert_eq!(history(lake, &["read", "--quick"])["location"], after["location"], "a second run commits nothing");
}

#[test]
fn should_expire_sqlite_and_local_files() {
    if !has_python() {
        return;
    }
    for version in ["2", "1"] {
        expires(&Lake::sqlite(), &["--format-version", version]);
    }
}

#[test]
fn should_expire_postgresql() {
    let Some(server) = servers::postgres() else { return };
    if !has_python() {
        return;
    }
    let mut lake = Lake::postgresql(server.port);
    expires(&lake, &[]);
    // The answer to the commit is lost: it took effect, is recognised, and files are removed as ever.
    let before = history(&lake, &["add"]);
    let proxy = Proxy::start(server.port, "UPDATE iceberg_tables", 1);
    lake.catalog = Lake::postgresql(proxy.port).catalog;
    let report = expire(&lake, &TIGHT, 0);
    assert_eq!((proxy.lost(), &report["status"]), (1, &json!("committed")), "{report}");
    assert!(report["files_removed"].as_u64() > Some(0));
    same_snapshots(&before, &history(&lake, &["read"]));
}

#[test]
fn should_expire_s3() {
    let Some(server) = servers::s3() else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::s3(server.port);
    expires(&lake, &[]);
}

#[test]
fn should_expire_the_reference_rest_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = servers::rest(folder.path()) else { return };
    if !has_python() {
        return;
    }
    let mut lake = Lake::rest(server.port);
    expires(&lake, &[]);
    let before = history(&lake, &["add"]);
    let proxy = Proxy::start(server.port, "\"remove-snapshots\"", 0);
    lake.catalog = Lake::rest(proxy.port).catalog;
    let report = expire(&lake, &[&TIGHT[..], &["--clean-expired-metadata"]].concat(), 0);
    assert_eq!((proxy.lost(), &report["status"]), (1, &json!("committed")), "{report}");
    same_snapshots(&before, &history(&lake, &["read"]));
}

#[test]
fn should_trim_the_log_whatever_is_missing_from_it_and_apply_saved_plans() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    let before = history(&lake, &["make"]);
    let log = before["log"].as_u64().unwrap();
    // Somebody removed old metadata files by hand: the log names what is not there.
    let metadata = files(&lake.path("warehouse"), ".metadata.json");
    metadata[..3].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let plan = lake.path("plan.json").display().to_string();
    let args =
        [&["plan", "expire", "--table", "db.t", "--previous-versions-max", "12", "-o", &plan], &TIGHT[..]].concat();
    lake.run(&args).exits(0);
    lake.run(&["apply", &plan, "--dry-run"]).exits(0);
    let report = lake.run(&["apply", &plan, "--json"]).exits(0).report();
    assert_eq!(
        (report["metadata_versions_before"].as_u64(), report["metadata_versions_after"].as_u64()),
        (Some(log), Some(12))
    );
    assert_eq!(report["removed"]["by_kind"]["metadata"]["files"].as_u64(), Some(log + 1 - 12 - 3), "{report}");
    let after = history(&lake, &["read"]);
    same_snapshots(&before, &after);
    assert_eq!(files(&lake.path("warehouse"), ".metadata.json").len(), 13);
    // Writers keep the log at 12 from now on, but leave behind what falls off it.
    history(&lake, &["add", "--count", "17"]);
    assert_eq!(files(&lake.path("warehouse"), ".metadata.json").len(), 13 + 18);
    expire(&lake, &TIGHT, 0);
    assert_eq!(files(&lake.path("warehouse"), ".metadata.json").len(), 13, "all that fell off earlier is gone too");
    assert_eq!(history(&lake, &["read", "--quick"])["missing"], json!([]));
    let stale = lake.run(&["apply", &plan, "--json"]).exits(4).report();
    assert!(stale["error"]["message"].as_str().unwrap().contains("stale"), "{stale}");
}

#[test]
fn should_refuse_what_contradicts_itself_and_what_is_held() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    let before = history(&lake, &["make"]);
    let release = before["refs"]["release"].to_string();
    let message = |args: &[&str], code: i32| {
        let error = expire(&lake, args, code)["error"].clone();
        assert!(error["hint"].is_string(), "{error}");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(message(&["--retain-min", "9", "--retain-max", "8"], 2).contains("above retain-max"));
    assert!(message(&["--retain-max", "5"], 2).contains("above retain-max"));
    assert!(message(&["--older-than", "soon"], 2).contains("older-than"));
    assert!(message(&["--snapshot-id", &release, "--min-age", "0s"], 2).contains("tag release"));
    assert!(message(&["--snapshot-id", "12"], 2).contains("no snapshot 12"));
    lake.script("set_property.py", &["gc.enabled=false"]);
    let shared = history(&lake, &["read", "--quick"]);
    assert!(message(&TIGHT, 3).contains("gc.enabled"));
    lake.script("set_property.py", &["gc.enabled=true"]);
    // A kept snapshot's manifest list is missing: what it reaches can't be known, so no file is removed.
    let list = files(&lake.path("warehouse"), ".avro");
    let current = before["current"].to_string();
    let list = list.iter().find(|file| file.display().to_string().contains(&format!("snap-{current}-"))).unwrap();
    std::fs::rename(list, lake.path("list")).unwrap();
    assert!(message(&TIGHT, 7).contains(&current));
    std::fs::rename(lake.path("list"), list).unwrap();
    let after = history(&lake, &["read"]);
    same_snapshots(&before, &after);
    assert!(after["files"].as_u64() >= shared["files"].as_u64(), "{shared} {after}");
}

#[test]
fn should_expire_beside_a_writer() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    let journal = lake.path("journal.json").display().to_string();
    lake.script("writer_loop.py", &["--create", "--seconds", "0", "--journal", &journal]);
    let mut writer = lake.script_in_background("writer_loop.py", &["--seconds", "8", "--journal", &journal]);
    let mut commits = 0;
    while writer.try_wait().unwrap().is_none() {
        // A writer's parent may expire under it only if it is no head any more: 10 commits are enough here.
        let policy = ["--retain-min", "10", "--retain-max", "10", "--older-than", "0s", "--min-age", "0s"];
        let ran = lake.run(&[&["expire", "--table", "db.t", "--json"], &policy[..]].concat());
        assert!([0, 4].contains(&ran.code), "{ran:?}");
        commits += u32::from(ran.report()["status"] == "committed");
    }
    assert!(writer.wait().unwrap().success() && commits > 0, "{commits} expiries");
    let checked: Value = serde_json::from_str(&lake.script("check_journal.py", &["--journal", &journal])).unwrap();
    for wrong in ["lost", "twice", "unknown", "stale"] {
        assert_eq!(checked[wrong], json!(0), "{checked}");
    }
    let read = history(&lake, &["read"]);
    assert_eq!(read["missing"], json!([]), "after {commits} expiries");
    let data = |file: &Value| file.as_str().unwrap().ends_with(".parquet");
    let left = read["unnamed"].as_array().unwrap().iter().filter(|file| data(file)).count();
    eprintln!("{commits} expiries beside a writer; its failed commits left {left} data files");
}

#[test]
fn should_lose_nothing_reachable_when_killed() {
    if !has_python() {
        return;
    }
    let kills: u32 = std::env::var("ICEWRIGHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let seed: u64 = std::env::var("ICEWRIGHT_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut random = StdRng::seed_from_u64(seed);
    let made = || {
        let mut lake = Lake::sqlite();
        let dir = lake.dir.path().display().to_string();
        icewright(&["fixture", "--dir", &dir, "--files", "150", "--rows", "3", "--commits", "150"]).exits(0);
        lake.props = vec!["type=sql".into(), format!("uri=sqlite:///{dir}/catalog.db")];
        lake.run(&["compact", "--table", "db.t"]).exits(0);
        lake
    };
    // One snapshot is kept: the compacted one, so that all of the small files go.
    let args = ["expire", "--table", "db.t", "--json", "--retain-min", "1", "--retain-max", "1", "--min-age", "0s"];
    let start = Instant::now();
    let whole = made().run(&args).exits(0).report();
    let whole_time = start.elapsed().min(std::time::Duration::from_secs_f64(whole["seconds"].as_f64().unwrap() + 0.05));
    assert!(whole["removed"]["by_kind"]["data"]["files"].as_u64() >= Some(150), "{whole}");
    let (mut died, mut halfway) = (0, 0);
    for kill in 0..kills {
        let lake = made();
        let before = files(&lake.path("db"), "").len();
        let mut child = lake.run_in_background(&args);
        std::thread::sleep(whole_time.mul_f64(random.random_range(0.0..1.0)));
        let _ = child.kill();
        died += u32::from(!child.wait().unwrap().success());
        let after = files(&lake.path("db"), "").len();
        halfway += u32::from(after < before);
        lake.run(&args).exits(0);
        let read = history(&lake, &["read"]);
        assert_eq!((&read["missing"], &read["main"]), (&json!([]), &json!(450)), "seed {seed}, kill {kill}");
        assert_eq!(read["count"], 1);
    }
    assert!(died > 0, "none of {kills} runs was killed before it ended");
    eprintln!("survived {died} kills, {halfway} of them after files had been removed");
}
