//! `--report`: a page that a real browser shows, without a network.

use std::path::Path;
use std::process::Command;

use crate::support::{available, icewright};

const BROWSER: &str = "/usr/bin/chromium-headless-shell";

fn browser(args: &[&str], page: &str) -> String {
    let out = Command::new(BROWSER)
        .args(["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1100,1600"])
        .args(args)
        .arg(page)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn should_write_a_report_that_a_browser_shows() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (lake, report) = (at("lake"), at("report.html"));
    icewright(&["fixture", "--dir", &lake, "--files", "40", "--rows", "2000", "--years", "2024-2025"]).exits(0);
    let catalog = format!("sqlite://{lake}/catalog.db");
    icewright(&["compact", "--all", "--catalog", &catalog, "--report", &report]).exits(0);
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("<script") && !text.contains("http"), "one page, no network");
    if !available("a headless Chromium", Path::new(BROWSER)) {
        return;
    }
    let page = format!("file://{report}");
    let shown = browser(&["--dump-dom"], &page);
    for words in ["db.t", "40 → 2", "committed", "Timeline", "Tiers"] {
        assert!(shown.contains(words), "{words} is not in what the browser shows");
    }
    let picture = at("report.png");
    browser(&[&format!("--screenshot={picture}")], &page);
    let bytes = std::fs::metadata(&picture).unwrap().len();
    assert!(bytes > 20_000, "a page of bars and figures is not a blank picture: {bytes} bytes");
    // No run fails after the fact: what can't be written is said.
    let refused = icewright(&["compact", "--all", "--catalog", &catalog, "--report", "/nonexistent/r.html"]).exits(2);
    assert!(refused.stderr.contains("the report /nonexistent/r.html was not written"), "{}", refused.stderr);
}
