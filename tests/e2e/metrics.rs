//! Metrics: read by promtool, received by a real VictoriaMetrics, and never a reason for a run to fail.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::servers::{get, victoria_metrics};
use crate::support::{available, icewright};

fn lake() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake").display().to_string();
    icewright(&["fixture", "--dir", &lake, "--files", "12", "--rows", "100", "--years", "2024-2025"]).exits(0);
    let catalog = format!("sqlite://{lake}/catalog.db");
    (dir, catalog)
}

/// Fails unless promtool finds nothing to say about an exposition.
pub(crate) fn promtool_accepts(exposition: &str) {
    if !available("promtool", Path::new("/usr/bin/promtool")) {
        return;
    }
    let mut child = Command::new("/usr/bin/promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(exposition.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.is_empty(), "{said}\n{exposition}");
}

#[test]
fn should_push_to_victoria_metrics_at_the_end_of_a_run() {
    let Some(server) = victoria_metrics() else { return };
    let (_dir, catalog) = lake();
    let url = format!("http://127.0.0.1:{}", server.port);
    icewright(&["compact", "--all", "--catalog", &catalog, "--metrics-push", &url]).exits(0);
    let queried = |query: &str| get(server.port, &format!("/api/v1/query?query={query}"));
    let end = Instant::now() + Duration::from_secs(20);
    let committed = loop {
        get(server.port, "/internal/force_flush");
        let answer = queried("icewright_last_run_tables%7Bstatus=%22committed%22%7D");
        if answer.contains("\"committed\"") || Instant::now() > end {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(committed.contains("\"operation\":\"compact\"") && committed.contains(",\"1\"]"), "{committed}");
    let saved = queried("icewright_saved_files_total");
    assert!(saved.contains(",\"10\"]"), "12 files became 2: {saved}");
}

#[test]
fn should_push_what_promtool_accepts() {
    let (_dir, catalog) = lake();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics/job/icewright", listener.local_addr().unwrap());
    let received = std::thread::spawn(move || receive(&listener));
    icewright(&["compact", "--all", "--catalog", &catalog, "--metrics-push", &url]).exits(0);
    let (head, body) = received.join().unwrap();
    assert!(head.starts_with("POST /metrics/job/icewright HTTP/1.1"), "{head}");
    assert!(body.contains("icewright_runs_total{operation=\"compact\",status=\"committed\"} 1\n"), "{body}");
    promtool_accepts(&body);
}

/// Takes one request: its head and body.
fn receive(listener: &TcpListener) -> (String, String) {
    let (mut socket, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let n = socket.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if n == 0 || body.len() >= length.unwrap_or(0) {
            socket.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            return (head.to_owned(), body.to_owned());
        }
    }
}

#[test]
fn should_succeed_and_say_so_when_metrics_can_not_be_pushed() {
    let (_dir, catalog) = lake();
    let run = ["compact", "--all", "--catalog", &catalog, "--json", "--metrics-push", "http://me:hidden@127.0.0.1:9"];
    let ran = icewright(&run).exits(0);
    assert_eq!(ran.report()["status"], "committed");
    assert!(ran.stderr.contains("metrics were not sent: http://127.0.0.1:9/"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hidden"), "{}", ran.stderr);
    icewright(&["compact", "--all", "--catalog", &catalog, "--metrics-push", "vm"]).exits(2);
}
