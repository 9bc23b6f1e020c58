//! One Spark for all tests: starting it takes longer than most of what they ask.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{available, cache};

struct Spark {
    /// Ends when its stdin is closed, at the latest with this process.
    _child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

static SPARK: Mutex<Option<Spark>> = Mutex::new(None);

/// Whether Spark with Iceberg's runtime is there.
pub(crate) fn has_spark() -> bool {
    available("Spark", &home().join("complete"))
}

fn home() -> std::path::PathBuf {
    cache().join("spark-3.5-iceberg-1.10.0")
}

impl Spark {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/spark_server.py");
        let mut child = Command::new(home().join("venv/bin/python"))
            .arg(script)
            .arg(home().join("jars"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (requests, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { _child: child, requests, answers }
    }
}

/// Asks a function of a script of `tests/python`, with a catalog of this name on the lake in `folder`.
pub(crate) fn spark(script: &str, action: &str, catalog: &str, folder: &str) -> Value {
    // A test that failed while it asked left a whole answer behind, or none.
    let mut held = SPARK.lock().unwrap_or_else(PoisonError::into_inner);
    let spark = held.get_or_insert_with(Spark::start);
    let request = json!({"script": script, "action": action, "catalog": catalog, "folder": folder});
    writeln!(spark.requests, "{request}").unwrap();
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if spark.answers.read_line(&mut line).unwrap() == 0 {
            *held = None;
            panic!("Spark ended: {said}");
        }
        if let Some(answer) = line.strip_prefix("ANSWER ") {
            return serde_json::from_str(answer).unwrap();
        }
        if let Some(failed) = line.strip_prefix("FAILED ") {
            drop(held);
            panic!("{script} {action}: {}", serde_json::from_str::<String>(failed).unwrap());
        }
        said += &line;
    }
}
