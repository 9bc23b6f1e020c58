//! Archival on a real S3 server over HTTP: classes on every object, buckets with their own keys, refused writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::gate::Gate;
use crate::support::{Lake, Ran, has_python, python, same_rows, servers};

/// A lake in bucket `lake`, with its time series of 2022 and 2025; tiers as the test describes them.
struct S3Lake {
    lake: Lake,
    server: servers::Server,
    port: u16,
}

impl S3Lake {
    fn new(tiers: &str, port: impl FnOnce(u16) -> u16, fixture: &[&str]) -> Option<Self> {
        let server = servers::s3()?;
        if !has_python() {
            return None;
        }
        let port = port(server.port);
        let mut lake = Lake::sqlite();
        let uri = lake.catalog[1].clone();
        let storage = |port: u16, key: &str| {
            vec![
                format!("s3.endpoint=http://127.0.0.1:{port}"),
                format!("s3.access-key-id={key}"),
                "s3.secret-access-key=secret".to_owned(),
                "s3.region=us-east-1".to_owned(),
            ]
        };
        for bucket in ["warm", "cold"] {
            assert!(servers::http(server.port, &format!("PUT /{bucket} HTTP/1.1")).contains(" 200 "));
        }
        let config = lake.path("icewright.toml");
        std::fs::write(&config, tiers.replace("PORT", &port.to_string())).unwrap();
        lake.catalog = vec!["--catalog".into(), uri, "--warehouse".into(), "s3://lake/wh".into()];
        lake.catalog.extend(["--config".into(), config.display().to_string()]);
        for prop in storage(port, "lake") {
            lake.catalog.extend(["--prop".into(), prop]);
        }
        // Other readers go to the server itself, with a key of their own.
        lake.props[2] = "warehouse=s3://lake/wh".into();
        lake.props.extend(storage(server.port, "reader"));
        // The catalog's database is made by whoever comes first.
        lake.make(&["--kind", "years", "--table", "db.other"]);
        lake.run(&[&["fixture", "--years", "2022-2022"], fixture].concat()).exits(0);
        Some(Self { lake, server, port })
    }

    fn archive(&self, more: &[&str]) -> Ran {
        self.lake.run(&[&["archive", "--table", "db.t", "--json"], more].concat())
    }

    /// Every live data file's bucket, and the class that a HEAD tells.
    fn classes(&self) -> BTreeMap<String, String> {
        let listed: Vec<String> = serde_json::from_str(&self.lake.script("live_files.py", &[])).unwrap();
        let endpoint = format!("http://127.0.0.1:{}", self.server.port);
        let mut args = vec![endpoint.as_str()];
        args.extend(listed.iter().map(String::as_str));
        serde_json::from_str(&python("s3_heads.py", &args)).unwrap()
    }

    fn rows(&self) -> Value {
        self.lake.rows(&["--no-duckdb"])
    }
}

const BUCKETS: &str = "[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"cold\"\nlocation = \"s3://cold/wh\"\n\
    storage-class = \"GLACIER_IR\"\n";

#[test]
fn should_write_the_class_of_a_tier_and_read_it_back() {
    // Files of more than one part, whole ones and ones that are merged.
    let Some(s3) = S3Lake::new(BUCKETS, |port| port, &["--files", "2", "--rows", "150000", "--codec", "zstd"]) else {
        return;
    };
    let before = s3.rows();
    let dry = s3.archive(&["--dry-run"]).exits(0).report();
    assert_eq!(dry["archive"]["moved_files"], 2, "{dry}");
    let (once, saved) = (&dry["archive"]["cost_once"], &dry["archive"]["saved_monthly"]);
    assert!(once.as_f64() > Some(0.0) && saved.as_f64() > Some(0.0), "{dry}");
    let report = s3.archive(&[]).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    let classes = s3.classes();
    assert_eq!(classes.len(), 1, "{classes:?}");
    for (path, class) in &classes {
        assert!(path.starts_with("s3://cold/wh/db/t/data/ts_year=2022/") && class == "GLACIER_IR", "{classes:?}");
    }
    assert_eq!(s3.archive(&[]).exits(0).report()["status"], "nothing-to-do");
    // Back, and to the cold again: whole files, copied within the store, with the class of their tier.
    let all = ["--where", "ts > '2000-01-01'"];
    s3.archive(&[&["--to", "hot"][..], &all].concat()).exits(0);
    assert!(s3.classes().iter().all(|(path, class)| path.starts_with("s3://lake/") && class == "STANDARD"));
    assert_eq!(s3.archive(&[]).exits(0).report()["status"], "nothing-to-do", "what was asked back stays for a while");
    s3.archive(&[&["--to", "cold"][..], &all].concat()).exits(0);
    assert!(s3.classes().values().all(|class| class == "GLACIER_IR"));
    same_rows(&before, &s3.rows());
}

#[test]
fn should_change_the_class_where_a_file_is() {
    let tiers = "[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"warm\"\nstorage-class = \"STANDARD_IA\"\n";
    let Some(s3) = S3Lake::new(tiers, |port| port, &["--files", "1", "--rows", "2000", "--codec", "zstd"]) else {
        return;
    };
    let before = s3.rows();
    let paths: Vec<String> = s3.classes().into_keys().collect();
    let report = s3.archive(&["--ignore-cost"]).exits(0).report();
    assert_eq!((report["status"].as_str(), report["snapshot_id"].as_i64()), (Some("committed"), None), "{report}");
    let classes = s3.classes();
    assert_eq!(classes.keys().cloned().collect::<Vec<_>>(), paths, "nothing was renamed");
    assert!(classes.values().all(|class| class == "STANDARD_IA"), "{classes:?}");
    assert_eq!(s3.archive(&["--ignore-cost"]).exits(0).report()["status"], "nothing-to-do");
    assert_eq!(before["metadata"], s3.rows()["metadata"], "a change of class is no commit");
    same_rows(&before, &s3.rows());
    // Late rows: compaction does not take the file out of its class again, however small it is.
    s3.lake.script("late_rows.py", &["--year", "2022", "--files", "6"]);
    let compacted = s3.lake.run(&["compact", "--table", "db.t", "--json"]).exits(0).report();
    assert_eq!((compacted["files_before"].as_u64(), compacted["files_after"].as_u64()), (Some(7), Some(2)));
    assert_eq!(s3.classes()[&paths[0]], "STANDARD_IA");
    s3.archive(&["--ignore-cost"]).exits(0);
    assert!(s3.classes().values().all(|class| class == "STANDARD_IA"));
}

#[test]
fn should_use_each_buckets_own_keys() {
    // The gate lets a key into its own bucket only.
    let mut seen = None;
    let tiers = BUCKETS.to_owned() + "\"s3.access-key-id\" = \"cold\"\n\"s3.secret-access-key\" = \"other\"\n";
    let gate = |server: u16| {
        let gate = Gate::start(server, |request| {
            let bucket = request.path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
            bucket != request.key
        });
        seen.insert(gate).port
    };
    let Some(s3) = S3Lake::new(&tiers, gate, &["--files", "6", "--rows", "300"]) else { return };
    let before = s3.rows();
    let report = s3.archive(&["--ignore-cost"]).exits(0).report();
    assert_eq!(report["status"], "committed", "{report}");
    let classes = s3.classes();
    assert!(classes.iter().all(|(path, class)| path.starts_with("s3://cold/") && class == "GLACIER_IR"), "{classes:?}");
    // A whole file, too: through here, because neither key may read the one bucket and write the other.
    s3.archive(&["--to", "hot", "--where", "ts > '2000-01-01'"]).exits(0);
    assert!(s3.classes().keys().all(|path| path.starts_with("s3://lake/")));
    let gate = seen.unwrap();
    assert!(gate.seen().iter().any(|request| request.key == "cold" && request.method == "PUT"));
    assert!(gate.seen().iter().all(|request| !request.copies));
    same_rows(&before, &s3.rows());
}

#[test]
fn should_finish_when_a_bucket_takes_writes_again() {
    let closed = Arc::new(AtomicBool::new(true));
    let refuses = closed.clone();
    let gate = move |server: u16| {
        let closed = move |request: &crate::support::gate::Request| {
            request.path.starts_with("/cold") && request.method != "GET" && refuses.load(Ordering::SeqCst)
        };
        Box::leak(Box::new(Gate::start(server, closed))).port
    };
    let Some(s3) = S3Lake::new(BUCKETS, gate, &["--files", "6", "--rows", "300"]) else { return };
    let before = s3.rows();
    let paths = s3.classes();
    let report = s3.archive(&["--ignore-cost"]).exits(2).report();
    assert!(report["error"]["message"].as_str().unwrap().contains("s3://cold/wh/db/t"), "{report}");
    assert_eq!((s3.classes(), &s3.rows()["metadata"]), (paths, &before["metadata"]), "nothing is half moved");
    closed.store(false, Ordering::SeqCst);
    let report = s3.archive(&["--ignore-cost"]).exits(0).report();
    assert_eq!(report["archive"]["moved_files"], 6, "{report}");
    assert!(s3.classes().keys().all(|path| path.starts_with("s3://cold/")));
    same_rows(&before, &s3.rows());
    assert!(s3.port != s3.server.port);
}
