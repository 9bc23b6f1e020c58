//! Orphan removal: nothing reachable is ever gone, whoever writes meanwhile, whatever lies around.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use icewright::lake::Ambient;
use serde_json::{Value, json};

use crate::support::gate::{Gate, Request};
use crate::support::{Lake, files, has_python, servers};

/// Makes a local file look as if it was written so many days ago.
fn age(path: &Path, days: u64) {
    let now = u64::try_from(Ambient::system().now_ms()).unwrap();
    let time = UNIX_EPOCH + Duration::from_millis(now) - Duration::from_secs(days * 86_400);
    std::fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A local lake with every snapshot kept, tagged and branched, all of its files old.
struct Old {
    lake: Lake,
    table: PathBuf,
    before: Value,
}

impl Old {
    fn make() -> Self {
        let lake = Lake::sqlite();
        lake.make(&["--appends", "6", "--tag", "keep"]);
        lake.run(&["compact", "--table", "db.t"]).exits(0);
        lake.script("statistics.py", &[]);
        let table = lake.path("warehouse/db/t");
        let before = snapshots(&lake);
        files(&table, "").iter().for_each(|file| age(file, 10));
        Self { lake, table, before }
    }

    /// A file that nothing refers to.
    fn leave(&self, name: &str, days: u64) -> PathBuf {
        let path = self.table.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, name).unwrap();
        age(&path, days);
        path
    }

    fn intact(&self) {
        assert_eq!(snapshots(&self.lake), self.before);
    }
}

fn snapshots(lake: &Lake) -> Value {
    serde_json::from_str(&lake.script("every_snapshot.py", &[])).unwrap()
}

const DELETE: [&str; 5] = ["remove-orphans", "--table", "db.t", "--delete", "--json"];

#[test]
fn should_remove_orphans_and_nothing_else() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let all = files(&old.table, "").len();
    let orphans = [
        old.leave("data/ts_year=2024/00000-0-lost.parquet", 9),
        old.leave("metadata/lost-m0.avro", 9),
        old.leave("metadata/snap-1-0-lost.avro", 9),
    ];
    let kept = [
        old.leave("data/ts_year=2024/young.parquet", 1),
        old.leave("_checkpoints/offsets/1.parquet", 9),
        old.leave("data/notes.txt", 9),
        old.leave("metadata/version-hint.text", 9),
    ];
    let preview = old.lake.run(&["remove-orphans", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!(
        (preview["status"].as_str(), preview["files_removed"].as_u64()),
        (Some("dry-run"), Some(3)),
        "{preview}"
    );
    let dry = old.lake.run(&[&DELETE[..], &["--dry-run"]].concat()).exits(0).report();
    assert_eq!(dry["status"], "dry-run");
    assert!(orphans.iter().all(|file| file.exists()), "a preview removes nothing");
    let seen = old.lake.run(&["remove-orphans", "--table", "db.t"]).exits(0).stdout;
    assert!(seen.contains("3 orphans") && seen.contains("00000-0-lost.parquet"), "{seen}");
    assert!(seen.contains("in hidden folders") && seen.contains("too young"), "{seen}");

    let report = old.lake.run(&DELETE).exits(0).report();
    assert_eq!((report["status"].as_str(), report["files_removed"].as_u64()), (Some("committed"), Some(3)), "{report}");
    assert_eq!(report["removed"]["by_kind"]["data"]["files"], 1, "{report}");
    assert!(orphans.iter().all(|file| !file.exists()) && kept.iter().all(|file| file.exists()));
    assert_eq!(files(&old.table, "").len(), all + kept.len());
    old.intact();
    assert_eq!(old.lake.run(&DELETE).exits(0).report()["status"], "nothing-to-do");
}

#[test]
fn should_find_what_killed_runs_left_and_survive_kills_itself() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let all = files(&old.table, "");
    let args = [&DELETE[..], &["--i-know"]].concat();
    let lose = |round: u32| {
        (0..300).for_each(|n| drop(old.leave(&format!("data/lost-{round}-{n}.parquet"), 9)));
    };
    lose(0);
    let start = Instant::now();
    old.lake.run(&args).exits(0);
    let mut whole = start.elapsed();
    let (mut died, mut round) = (0, 0);
    while died < 5 && round < 30 {
        round += 1;
        lose(round);
        let mut child = old.lake.run_in_background(&args);
        std::thread::sleep(whole.mul_f64(f64::from(1 + round % 7) / 8.0));
        let _ = child.kill();
        match child.wait().unwrap().success() {
            // The machine has become quicker: kills come sooner.
            true => whole = whole.mul_f64(0.7),
            false => died += 1,
        }
        let left: Vec<PathBuf> = files(&old.table, "").into_iter().filter(|file| !is_probe(file)).collect();
        assert!(all.iter().all(|file| left.contains(file)), "round {round}");
    }
    assert!(died > 2, "only {died} runs were killed before they ended");
    old.lake.run(&args).exits(0);
    let left: Vec<PathBuf> = files(&old.table, "").into_iter().filter(|file| !is_probe(file)).collect();
    assert_eq!(left, all);
    old.intact();
}

/// The file that the store's clock is read from; a kill may leave one.
fn is_probe(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".icewright-clock-"))
}

#[test]
fn should_let_writers_write() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    let journal = lake.path("journal.json").display().to_string();
    lake.script("writer_loop.py", &["--create", "--seconds", "0", "--journal", &journal]);
    let table = lake.path("warehouse/db/t");
    let mut writer = lake.script_in_background("writer_loop.py", &["--seconds", "8", "--journal", &journal]);
    let mut runs = 0;
    let ended = loop {
        if let Some(ended) = writer.try_wait().unwrap() {
            break ended;
        }
        let lost = table.join(format!("data/lost-{runs}.parquet"));
        std::fs::create_dir_all(lost.parent().unwrap()).unwrap();
        std::fs::write(&lost, "lost").unwrap();
        age(&lost, 9);
        let report = lake.run(&DELETE).exits(0).report();
        assert_eq!(report["files_removed"], 1, "{report}");
        runs += 1;
    };
    assert!(ended.success() && runs > 3, "{runs}");
    let checked: Value = serde_json::from_str(&lake.script("check_journal.py", &["--journal", &journal])).unwrap();
    for wrong in ["lost", "twice", "unknown", "stale"] {
        assert_eq!(checked[wrong], json!(0), "{checked}");
    }
    snapshots(&lake);
}

#[test]
fn should_refuse_what_cannot_be_told_apart() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let refused = |words: &str, args: &[&str]| {
        let report = old.lake.run(&[&DELETE[..], args].concat()).exits(3).report();
        let message = report["error"]["message"].as_str().unwrap();
        assert!(message.contains(words) && report["status"] == "refused", "{report}");
    };
    let lost = old.leave("data/lost.parquet", 9);

    // A table inside this one's folder, known to the catalog: named.
    old.lake.make(&[
        "--table",
        "db.inner",
        "--appends",
        "1",
        "--location",
        &format!("file://{}", old.table.join("x").display()),
    ]);
    refused("db.inner", &[]);
    refused("db.inner", &["--i-know"]);
    let inner = old.lake.run(&["remove-orphans", "--table", "db.inner", "--json"]).exits(3).report();
    assert!(inner["error"]["message"].as_str().unwrap().contains("db.t"), "{inner}");
    // The same table, unknown to the catalog: its metadata gives it away.
    old.lake.script("drop_table.py", &["--table", "db.inner"]);
    refused("metadata of another table", &[]);
    std::fs::remove_dir_all(old.table.join("x")).unwrap();

    old.lake.script("set_property.py", &["gc.enabled=false"]);
    refused("gc.enabled", &["--i-know"]);
    old.lake.script("set_property.py", &["gc.enabled=true"]);

    for n in 0..1000 {
        old.leave(&format!("data/many-{n}.parquet"), 9);
    }
    refused("look like orphans", &[]);
    old.lake.run(&["remove-orphans", "--table", "db.t", "--delete", "--older-than", "10h"]).exits(2);
    assert!(lost.exists(), "nothing was removed");
    let report = old.lake.run(&[&DELETE[..], &["--i-know", "--max-per-second", "100000"]].concat()).exits(0).report();
    assert_eq!(report["files_removed"], 1001, "{report}");
    old.intact();

    // A file that the table needs is gone.
    let lost = old.leave("data/lost.parquet", 9);
    let needed = files(&old.table.join("data"), ".parquet").into_iter().find(|file| *file != lost).unwrap();
    std::fs::rename(&needed, needed.with_extension("gone")).unwrap();
    refused(needed.file_name().unwrap().to_str().unwrap(), &["--i-know"]);
    std::fs::rename(needed.with_extension("gone"), &needed).unwrap();
    assert!(lost.exists());
    // The catalog's pointer, a manifest: damaged, not refused.
    let manifest = files(&old.table.join("metadata"), "-m0.avro").pop().unwrap();
    std::fs::rename(&manifest, manifest.with_extension("gone")).unwrap();
    old.lake.run(&DELETE).exits(7);
    std::fs::rename(manifest.with_extension("gone"), &manifest).unwrap();
    assert!(lost.exists());
    old.intact();
}

#[test]
fn should_live_with_a_log_that_points_at_missing_files() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let current = old.lake.metadata_file();
    let document: Value = serde_json::from_slice(&std::fs::read(&current).unwrap()).unwrap();
    let first = document["metadata-log"][0]["metadata-file"].as_str().unwrap().trim_start_matches("file://");
    std::fs::remove_file(first).unwrap();
    let lost = old.leave("data/lost.parquet", 9);
    old.lake.run(&DELETE).exits(0);
    assert!(!lost.exists());
    old.intact();
}

#[test]
fn should_apply_a_saved_plan_to_what_is_still_an_orphan() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let [gone, rewritten, adopted] =
        ["data/gone.parquet", "data/rewritten.parquet", "data/adopted.parquet"].map(|name| old.leave(name, 9));
    let plan = old.lake.path("plan.json").display().to_string();
    old.lake.run(&["plan", "remove-orphans", "--table", "db.t", "-o", &plan]).exits(0);
    let saved: Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
    assert_eq!(saved["plans"][0]["orphans"].as_array().unwrap().len(), 3, "{saved}");
    // One is written anew, one becomes a statistics file of the table.
    std::fs::write(&rewritten, "data/rewritten.parquet").unwrap();
    let current = old.lake.metadata_file();
    let mut document: Value = serde_json::from_slice(&std::fs::read(&current).unwrap()).unwrap();
    let snapshot = document["snapshots"][0]["snapshot-id"].clone();
    document["statistics"].as_array_mut().unwrap().push(json!({"snapshot-id": snapshot, "file-size-in-bytes": 9,
        "statistics-path": adopted.display().to_string(), "file-footer-size-in-bytes": 4, "blob-metadata": []}));
    std::fs::write(&current, document.to_string()).unwrap();
    assert_eq!(old.lake.run(&["apply", &plan, "--dry-run", "--json"]).exits(0).report()["files_removed"], 3);
    let report = old.lake.run(&["apply", &plan, "--json"]).exits(0).report();
    assert_eq!(report["files_removed"], 1, "{report}");
    assert!(!gone.exists() && rewritten.exists() && adopted.exists());
    old.intact();
}

#[test]
fn should_quarantine_and_bring_back() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let orphans = [old.leave("data/ts_year=2024/lost.parquet", 9), old.leave("metadata/lost-m0.avro", 9)];
    let with_orphans = files(&old.table, "");
    let trash = format!("file://{}", old.lake.path("trash").display());
    let quarantine = ["remove-orphans", "--table", "db.t", "--json", "--quarantine", &trash];
    old.lake.run(&[&quarantine[..], &["--dry-run"]].concat()).exits(0);
    assert_eq!(files(&old.table, ""), with_orphans);
    let inside = format!("file://{}", old.table.join("trash").display());
    old.lake.run(&["remove-orphans", "--table", "db.t", "--quarantine", &inside]).exits(2);
    let report = old.lake.run(&quarantine).exits(0).report();
    assert_eq!((report["status"].as_str(), report["files_removed"].as_u64()), (Some("committed"), Some(2)), "{report}");
    assert!(orphans.iter().all(|file| !file.exists()));
    assert_eq!(files(&old.lake.path("trash"), "").len(), 3, "two files and a manifest");
    old.intact();
    let restore = ["restore", "--from", &trash, "--json"];
    let dry = old.lake.run(&[&restore[..], &["--dry-run"]].concat()).exits(0).json();
    assert_eq!(dry["restored"]["files"], 2, "{dry}");
    assert!(orphans.iter().all(|file| !file.exists()));
    assert_eq!(old.lake.run(&restore).exits(0).json()["restored"]["files"], 2);
    assert_eq!(files(&old.table, ""), with_orphans);
    assert_eq!(std::fs::read_to_string(&orphans[0]).unwrap(), "data/ts_year=2024/lost.parquet");
    old.lake.run(&restore).exits(2);
    old.lake.run(&["restore", "--from", "/nonexistent"]).exits(2);
}

/// One orphan is found and removed, whatever the catalog and the store; a second one goes into quarantine and back.
#[test]
fn should_refuse_places_outside_of_the_warehouse() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let elsewhere = old.lake.path("somebody/else");
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("precious"), "x").unwrap();
    age(&elsewhere.join("precious"), 100);
    let property = format!("write.data.path=file://{}", elsewhere.display());
    old.lake.script("set_property.py", &[&property]);
    let warehouse = old.lake.path("warehouse").display().to_string();
    let run = [&DELETE[..], &["--warehouse", &warehouse]].concat();
    let report = old.lake.run(&run).exits(3).report();
    let message = report["error"]["message"].as_str().unwrap();
    assert!(message.contains("somebody/else, outside of the catalog's warehouse"), "{report}");
    assert!(elsewhere.join("precious").exists());
    old.intact();
}

fn cleans(lake: &Lake, trash: &str) {
    lake.make(&["--appends", "4", "--tag", "keep"]);
    lake.run(&["compact", "--table", "db.t"]).exits(0);
    let before = snapshots(lake);
    // Servers stamp files with the time they were written: only an age of nothing finds them.
    let now = ["--table", "db.t", "--older-than", "0s", "--i-know", "--json"];
    let run = |args: &[&str]| lake.run(&[&["remove-orphans"], &now[..], args].concat()).exits(0).report();
    run(&["--delete"]);
    lake.script("put_file.py", &["data/lost.parquet"]);
    assert_eq!(run(&[])["files_removed"], 1);
    assert_eq!(run(&["--delete"])["files_removed"], 1);
    assert_eq!(run(&["--delete"])["status"], "nothing-to-do");
    lake.script("put_file.py", &["data/lost again.parquet"]);
    assert_eq!(run(&["--quarantine", trash])["files_removed"], 1);
    assert_eq!(run(&[])["status"], "nothing-to-do");
    let restored = lake.run(&["restore", "--from", trash, "--json"]).exits(0).json();
    assert_eq!(restored["restored"]["files"], 1, "{restored}");
    assert_eq!(run(&["--delete"])["files_removed"], 1);
    assert_eq!(snapshots(lake), before);
    lake.rows(&["--no-duckdb"]);
}

#[test]
fn should_clean_s3() {
    let Some(server) = servers::s3() else { return };
    if !has_python() {
        return;
    }
    let mut lake = Lake::s3(server.port);
    cleans(&lake, "s3a://lake/trash");
    // Keys that may not remove: tried again, told, and an orphan still.
    let own = lake.catalog.clone();
    let through = |gate: Gate| {
        let mut catalog: Vec<String> = own[..2].to_vec();
        catalog.extend(Lake::s3(gate.port).catalog.into_iter().skip(2));
        catalog
    };
    lake.script("put_file.py", &["data/kept.parquet"]);
    lake.catalog =
        through(Gate::start(server.port, |request| request.path.contains("delete") || request.method == "DELETE"));
    let now = ["remove-orphans", "--table", "db.t", "--older-than", "0s", "--i-know", "--json", "--delete"];
    let report = lake.run(&now).json();
    assert_eq!(report["tables"][0]["removed"]["failed"], 1, "{report}");
    lake.catalog = own.clone();
    assert_eq!(lake.run(&now).exits(0).report()["files_removed"], 1);
    // Keys that may read and remove, but not list.
    let before = snapshots(&lake);
    let lists = |request: &Request| request.method == "GET" && request.path.contains("list-type");
    lake.catalog = through(Gate::start(server.port, lists));
    for args in [&["--delete"][..], &["--quarantine", "s3://lake/trash"], &[]] {
        let now = ["remove-orphans", "--table", "db.t", "--older-than", "0s", "--i-know", "--json"];
        let report = lake.run(&[&now[..], args].concat()).exits(2).report();
        let message = report["error"]["message"].as_str().unwrap();
        assert!(message.contains("listing s3://lake/warehouse/db/t"), "{report}");
        assert!(report["error"]["hint"].as_str().unwrap().contains("rights"), "{report}");
    }
    assert_eq!(snapshots(&lake), before);
}

#[test]
fn should_clean_postgresql() {
    let Some(server) = servers::postgres() else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::postgresql(server.port);
    let trash = lake.path("trash").display().to_string();
    cleans(&lake, &trash);
}

#[test]
fn should_clean_the_reference_rest_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = servers::rest(folder.path()) else { return };
    if !has_python() {
        return;
    }
    let lake = Lake::rest(server.port);
    let trash = lake.path("trash").display().to_string();
    cleans(&lake, &trash);
}

#[test]
fn should_take_a_listing_from_a_file() {
    if !has_python() {
        return;
    }
    let old = Old::make();
    let lost = old.leave("data/lost + found.parquet", 9);
    let rewritten = old.leave("data/rewritten.parquet", 9);
    let mut csv = String::new();
    let mut row = |path: &Path| {
        let key = path.display().to_string().replace('+', "%2B").replace(' ', "+").replace('=', "%3D");
        let time = chrono::DateTime::<chrono::Utc>::from(path.metadata().unwrap().modified().unwrap());
        csv += &format!("\"\",\"{key}\",\"{}\",\"{}\"\n", path.metadata().unwrap().len(), time.to_rfc3339());
    };
    files(&old.table, "").iter().for_each(|file| row(file));
    let listing = old.lake.path("inventory.csv").display().to_string();
    std::fs::write(&listing, csv).unwrap();
    // Since it was made: a file was written anew, one was written, and one was committed.
    std::fs::write(&rewritten, "data/rewritten.parquet").unwrap();
    let unseen = old.leave("data/unseen.parquet", 9);
    old.lake.script("set_property.py", &["owner=me"]);
    let report = old.lake.run(&[&DELETE[..], &["--listing", &listing]].concat()).exits(0).report();
    assert_eq!(report["files_removed"], 1, "{report}");
    assert!(!lost.exists() && rewritten.exists() && unseen.exists());
    old.intact();
    // One of another place: refused.
    std::fs::write(&listing, "lake,a.parquet,1,2024-01-01T00:00:00Z\n").unwrap();
    let report = old.lake.run(&[&DELETE[..], &["--listing", &listing]].concat()).exits(0).report();
    assert_eq!(report["status"], "nothing-to-do", "everything is still there, and nothing is listed: {report}");
    std::fs::write(&listing, "nonsense").unwrap();
    old.lake.run(&[&DELETE[..], &["--listing", &listing]].concat()).exits(2);
}
