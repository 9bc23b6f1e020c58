//! The platform in `deploy/`: what its manifests say, and that the programs they start do it. The tests themselves are in
//! `tests/deploy`; each file there is one test here.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{available, cache};

fn passes(file: &str) {
    let pytest = cache().join("deploy/venv/bin/pytest");
    if !available("pytest for deploy/", &pytest) {
        return;
    }
    let out = Command::new(pytest)
        .args(["-q", "-rs", "--tb=short", "-p", "no:cacheprovider", file])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy"))
        .env("ICEWRIGHT_BIN", env!("CARGO_BIN_EXE_icewright"))
        .env("ICEWRIGHT_CACHE", cache())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{file}:\n{said}\n{}", String::from_utf8_lossy(&out.stderr));
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("\n*** {file}: {line} ***\n");
    }
}

#[test]
fn should_build_manifests_that_kubernetes_takes() {
    passes("test_build.py");
}

#[test]
fn should_keep_the_promised_names_and_numbers() {
    passes("test_numbers.py");
}

#[test]
fn should_see_mistakes_in_manifests() {
    passes("test_mutants.py");
}

#[test]
fn should_be_taken_by_a_real_api_server() {
    passes("test_apiserver.py");
}

#[test]
fn should_come_up_as_its_readme_says() {
    passes("test_readme.py");
}

#[test]
fn should_alert_when_it_must_and_not_before() {
    passes("test_rules.py");
}

#[test]
fn should_watch_alert_and_store_with_real_programs() {
    passes("test_stack.py");
}

#[test]
fn should_lose_no_commit_in_a_failover_of_postgres() {
    passes("test_postgres.py");
}

#[test]
fn should_run_the_cron_jobs_in_the_image() {
    passes("test_jobs.py");
}

#[test]
fn should_serve_in_the_image() {
    passes("test_serve.py");
}
