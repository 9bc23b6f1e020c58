//! `icewright serve`: schedules, pages, reload, graceful stop, leases, and a fleet that is killed again and again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::metrics::promtool_accepts;
use crate::support::servers::{free_port, get, postgres};
use crate::support::{icewright, icewright_in_background};

/// A scheduler of a test, on a port of its own.
struct Served {
    child: Child,
    port: u16,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(config: &Path, catalog: &str, more: &[&str]) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let config = config.display().to_string();
        let mut args = vec!["serve", "--config", &config, "--catalog", catalog, "--listen", &listen];
        args.extend(more);
        let served = Self { child: icewright_in_background(&args), port };
        within(Duration::from_secs(30), "it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        served
    }

    fn status(&self) -> Value {
        let answer = get(self.port, "/status.json");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    fn schedule(&self, name: &str, key: &str) -> u64 {
        self.status()["schedules"][name][key].as_u64().unwrap_or(0)
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

/// Waits until something holds.
fn within(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !holds() {
        assert!(Instant::now() < end, "not within {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn lake(tables: &str, files: &str) -> (tempfile::TempDir, String, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake").display().to_string();
    let years = ["--years", "2024-2024", "--rows", "20"];
    let args = [&["fixture", "--dir", &lake, "--tables", tables, "--files", files][..], &years].concat();
    icewright(&args).exits(0);
    let config = dir.path().join("icewright.toml");
    (dir, format!("sqlite://{lake}/catalog.db"), config)
}

const NIGHTLY: &str = "[[schedule]]\nname = \"nightly\"\nrun = \"maintain\"\ncron = \"0 3 * * *\"\n";

#[test]
fn should_maintain_a_fleet_for_a_month_under_a_fast_clock() {
    let (_dir, catalog, config) = lake("6", "8");
    std::fs::write(&config, format!("{NIGHTLY}catch-up = \"20h\"\n[serve]\ninspect-every = \"12h\"\n")).unwrap();
    // A day passes in two seconds.
    let served = Served::start(&config, &catalog, &["--speed", "43200", "--for", "60d"]);
    within(Duration::from_secs(30), "ready", || get(served.port, "/readyz").contains(" 200 "));
    within(Duration::from_secs(120), "30 nights", || served.schedule("nightly", "started") >= 30);
    let status = served.status();
    assert_eq!(status["tables"], 6, "{status}");
    assert!(status["schedules"]["nightly"]["missed"].as_u64() <= Some(5), "{status}");
    let committed = status["recent"].as_array().unwrap().iter().filter(|run| run["status"] == "committed").count();
    assert_eq!(committed, 6, "each table is compacted in the first night, and then it is tidy: {status}");
    let metrics = get(served.port, "/metrics");
    let exposition = metrics.split_once("\r\n\r\n").unwrap().1;
    promtool_accepts(exposition);
    assert!(
        exposition.contains("icewright_runs_total{operation=\"maintain\",status=\"committed\"} 6\n"),
        "{exposition}"
    );
    assert!(exposition.contains("icewright_table_files{table=\"db.t00000\"} 1\n"), "{exposition}");
    let page = get(served.port, "/");
    assert!(page.contains("nightly") && page.contains("db.t00000") && page.contains("8 → 1"), "{page}");
    assert!(get(served.port, "/healthz").contains(" 200 "));
}

#[test]
fn should_reload_keep_a_working_configuration_and_stop_gracefully() {
    let (_dir, catalog, config) = lake("2", "6");
    std::fs::write(&config, NIGHTLY).unwrap();
    let mut served = Served::start(&config, &catalog, &[]);
    within(Duration::from_secs(30), "the first schedule", || {
        served.status()["schedules"]["nightly"]["next_ms"].is_u64()
    });
    std::fs::write(&config, "[[schedule]]\nrun = \"compact\"\ncron = \"0 99 * * *\"\n").unwrap();
    served.signal("-HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(served.status()["schedules"]["nightly"].is_object(), "a typing error changes nothing");
    std::fs::write(&config, "[[schedule]]\nname = \"weekly\"\nrun = \"compact\"\ncron = \"@weekly\"\n").unwrap();
    served.signal("-HUP");
    within(Duration::from_secs(30), "the new schedule", || {
        let status = served.status();
        status["schedules"]["weekly"].is_object() && status["schedules"]["nightly"].is_null()
    });
    served.signal("-TERM");
    let end = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = served.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it does not stop");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
}

/// Stops a scheduler while it is at work on the only table; gives the files and snapshots that are there then.
fn stop_at_work(grace: &str) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake").display().to_string();
    let many = ["--files", "40", "--rows", "20000", "--years", "2024-2024"];
    icewright(&[&["fixture", "--dir", &lake][..], &many].concat()).exits(0);
    let config = dir.path().join("icewright.toml");
    std::fs::write(&config, "[[schedule]]\nrun = \"compact\"\ncron = \"* * * * *\"\n").unwrap();
    let catalog = format!("sqlite://{lake}/catalog.db");
    let mut served = Served::start(&config, &catalog, &["--speed", "60", "--grace", grace]);
    within(Duration::from_secs(30), "it is at work", || served.status()["working_on"]["db.t"].is_string());
    served.signal("-TERM");
    assert!(served.child.wait().unwrap().success());
    let table = icewright(&["inspect", "--all", "--json", "--catalog", &catalog]).exits(0).report();
    assert_eq!(table["rows"], 40 * 20_000, "{table}");
    (table["files"].as_u64().unwrap(), table["snapshots"].as_u64().unwrap())
}

#[test]
fn should_finish_within_the_grace_period_and_give_up_after_it() {
    assert_eq!(stop_at_work("60s"), (1, 2));
    assert_eq!(stop_at_work("0s"), (40, 1), "nothing of it was committed");
}

#[test]
fn should_serve_the_usual_schedules_and_refuse_a_taken_address() {
    let (dir, catalog, config) = lake("1", "1");
    std::fs::write(&config, "").unwrap();
    let config = config.display().to_string();
    let serve = ["serve", "--config", &config, "--catalog", &catalog, "--listen", "127.0.0.1:0", "--for", "1s"];
    let served = icewright(&serve).exits(0);
    assert!(served.stderr.contains("serves schedules maintain, expire; status on http"), "{}", served.stderr);
    std::fs::write(dir.path().join("icewright.toml"), NIGHTLY).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = icewright(&["serve", "--config", &config, "--catalog", &catalog, "--listen", &address]).exits(2);
    assert!(refused.stderr.contains(&format!("listening on {address} failed")), "{}", refused.stderr);
}

#[test]
fn should_finish_a_fleet_although_it_is_killed_again_and_again() {
    let Some(server) = postgres() else { return };
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("postgresql://postgres@127.0.0.1:{}/postgres", server.port);
    let warehouse = dir.path().join("lake").display().to_string();
    let fixture = ["fixture", "--catalog", &uri, "--catalog-name", "lake", "--warehouse", &warehouse];
    // ICEWRIGHT_FLEET is for other sizes.
    let count = std::env::var("ICEWRIGHT_FLEET").unwrap_or_else(|_| "200".to_owned());
    let fleet: usize = count.parse().unwrap();
    let tables = ["--tables", count.as_str(), "--files", "6", "--rows", "10", "--years", "2024-2024"];
    icewright(&[&fixture[..], &tables].concat()).exits(0);
    let config = dir.path().join("icewright.toml");
    // Every minute of its clock, and two schedulers side by side: leases keep them apart.
    let every_minute = "[[schedule]]\nname = \"always\"\nrun = \"compact\"\ncron = \"* * * * *\"\n\
                        catch-up = \"7d\"\nbudget = { tables = 40 }\n";
    std::fs::write(&config, every_minute).unwrap();
    let seed = std::env::var("ICEWRIGHT_SEED").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(7);
    let mut lives = 0;
    let small = || {
        let plan = icewright(&["plan", "maintain", "--all", "--operations", "compact", "--json", "--catalog", &uri])
            .exits(0)
            .json();
        let runs = plan["tables"].as_array().unwrap().iter().filter(|table| table["gain"]["files"] != 0).count();
        assert_eq!(plan["tables"].as_array().unwrap().len(), fleet, "every table can be read: {}", plan["unreadable"]);
        runs
    };
    let end = Instant::now() + Duration::from_secs(60 + 3 * fleet as u64);
    while small() > 0 {
        assert!(Instant::now() < end, "{} tables are left after {lives} lives", small());
        let both = ["a", "b"].map(|name| Served::start(&config, &uri, &["--speed", "120", "--identity", name]));
        // The first life is too short for all of them; later ones leave time for a look at the whole fleet.
        let life =
            if lives == 0 { 400 } else { 3000 + (seed.wrapping_mul(2_654_435_761).wrapping_add(lives * 7919)) % 3000 };
        std::thread::sleep(Duration::from_millis(life));
        lives += 1;
        // Dropping kills it, whatever it is doing.
        drop(both);
    }
    assert!(lives >= 2, "it was killed at least once on the way");
    let inspected = icewright(&["inspect", "--all", "--json", "--catalog", &uri]).exits(0).json();
    let rows: u64 = inspected["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, fleet as u64 * 6 * 10, "no row was lost or doubled");
}
