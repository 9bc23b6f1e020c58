//! The walls of the house: who may use whom, how long a file may be, and what stays out of the pure rooms.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests say what went wrong by failing")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that each room may use. A room may always use itself.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("error", &[]),
    ("model", &["error"]),
    ("config", &["error", "model"]),
    ("telemetry", &["error", "model"]),
    ("planner", &["error", "model"]),
    ("lake", &["error", "model", "telemetry"]),
    ("executor", &["error", "model", "telemetry", "lake"]),
    ("committer", &["error", "model", "telemetry", "lake"]),
    ("reclaim", &["error", "model", "telemetry", "lake"]),
    ("fixture", &["error", "model", "telemetry", "lake", "executor", "committer"]),
    ("maintenance", &["error", "model", "telemetry", "lake", "planner", "executor", "committer", "reclaim"]),
    ("scheduler", &["error", "model", "telemetry", "lake", "maintenance"]),
    (
        "cli",
        &[
            "error",
            "model",
            "config",
            "telemetry",
            "lake",
            "planner",
            "executor",
            "maintenance",
            "fixture",
            "scheduler",
        ],
    ),
];
/// What may not appear in a pure room.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "tokio",
    "object_store",
    "reqwest",
    "sqlx",
    "SystemTime",
    "Instant",
    "Utc::now",
    "rand::",
];
const PURE: [&str; 2] = ["model", "planner"];
const LONGEST: usize = 500;

fn room(path: &Path) -> String {
    let first = path.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without its tests: what follows `#[cfg(test)]` with a module body, and files called tests.
fn without_tests(text: &str) -> String {
    match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// What is wrong with one file.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let room = room(path);
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        found.push(format!("{} has {lines} lines, more than {LONGEST}", path.display()));
    }
    if room == "lib" || room == "main" {
        return found;
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{} is in no room of the design", path.display())];
    };
    let in_tests = path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs");
    let code = if in_tests { String::new() } else { without_tests(text) };
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for used in uses(&code) {
        if used != room && !allowed.contains(&used.as_str()) {
            found.push(format!("{} uses {used}, which {room} may not", path.display()));
        }
    }
    if PURE.contains(&room.as_str()) {
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{} is in a pure room and mentions {word}", path.display()));
        }
    }
    found
}

/// The rooms named after `crate::`, also inside braces.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut item) = (0, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(std::mem::take(&mut item)),
                        _ if depth == 0 => item.push(c),
                        _ => {}
                    }
                }
                found.push(item);
            }
            None => found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()),
        }
    }
    found
        .into_iter()
        .map(|item| item.trim().split("::").next().unwrap_or_default().trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn should_keep_the_walls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in sources(&root) {
        let text = fs::read_to_string(&path).unwrap();
        found.extend(violations(path.strip_prefix(&root).unwrap(), &text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn should_see_each_kind_of_violation() {
    let wrong = |path: &str, text: &str| !violations(Path::new(path), text).is_empty();
    assert!(wrong("planner/x.rs", "use crate::lake::Store;"));
    assert!(wrong("executor/x.rs", "use crate::{error::Result, planner};"));
    assert!(wrong("committer/x.rs", "fn f() { crate::executor::run() }"));
    assert!(wrong("planner/x.rs", "use std::time::Instant;"));
    assert!(wrong("model/x.rs", "let now = chrono::Utc::now();"));
    assert!(wrong("attic/x.rs", ""));
    assert!(wrong("cli/x.rs", &"\n".repeat(501)));
    assert!(!wrong("maintenance/x.rs", "use crate::{executor, planner};\nuse crate::lake::{Ambient, Store};"));
    assert!(!wrong("planner/x.rs", "#[cfg(test)]\nmod tests {\n use std::fs; }"));
}
