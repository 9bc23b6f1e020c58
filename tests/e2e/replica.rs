//! Reads from a real PostgreSQL standby that is held back: it may cost a round, never a wrong commit.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::icewright;
use crate::support::servers::{postgres, sql, standby};

#[test]
fn should_plan_anew_on_the_primary_when_the_replica_lags() {
    let Some(primary) = postgres() else { return };
    let replica = standby(&primary);
    let dir = tempfile::tempdir().unwrap();
    let uri = |port: u16| format!("postgresql://postgres@127.0.0.1:{port}/postgres");
    let (write, read) = (uri(primary.port), uri(replica.port));
    let warehouse = dir.path().join("lake").display().to_string();
    let fixture = ["fixture", "--catalog", &write, "--catalog-name", "lake", "--warehouse", &warehouse];
    let table = ["--files", "12", "--rows", "50", "--years", "2024-2024", "--commits", "3"];
    icewright(&[&fixture[..], &table].concat()).exits(0);
    let caught_up = || sql(replica.port, "SELECT count(*) FROM iceberg_tables").trim() == "1";
    let end = Instant::now() + Duration::from_secs(20);
    while !caught_up() {
        assert!(Instant::now() < end, "the standby does not follow");
        std::thread::sleep(Duration::from_millis(100));
    }
    let read_uri = format!("read-uri={read}");
    let seen = |args: &[&str]| -> Value {
        let all = [args, &["--all", "--json", "--catalog", &write, "--prop", &read_uri]].concat();
        icewright(&all).exits(0).report()
    };
    assert_eq!(seen(&["inspect"])["files"], 12);
    // From here on the standby shows the past.
    sql(replica.port, "SELECT pg_wal_replay_pause()");
    let first = icewright(&["compact", "--all", "--json", "--catalog", &write]).exits(0).report();
    assert_eq!((&first["status"], &first["files_after"]), (&"committed".into(), &1.into()), "{first}");
    assert_eq!(seen(&["inspect"])["files"], 12, "looking reads the replica");
    // The plan is made from the past; its inputs are gone; the second round finds nothing left to do.
    let second = seen(&["compact"]);
    assert!(second["error"].is_null(), "{second}");
    assert_eq!((&second["files_after"], &second["rows"]), (&1.into(), &600.into()), "{second}");
    assert_eq!(second["groups_committed"], 0, "nothing is committed twice: {second}");
    let truth = icewright(&["inspect", "--all", "--json", "--catalog", &write]).exits(0).report();
    assert_eq!((&truth["files"], &truth["rows"]), (&1.into(), &600.into()), "{truth}");
    // A replica that is gone is left out.
    drop(replica);
    assert_eq!(seen(&["inspect"])["files"], 1);
}
