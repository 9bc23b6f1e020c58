//! What end-to-end tests share: the binary, Python, servers.

pub(crate) mod gate;
pub(crate) mod proxy;
pub(crate) mod servers;
pub(crate) mod spark;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the exit code is `code`.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }

    /// The report of the only table.
    pub(crate) fn report(&self) -> Value {
        self.json()["tables"][0].clone()
    }
}

fn ran(command: &mut Command) -> Ran {
    let out = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icewright"));
    // Neither configuration nor environment of whoever runs the tests may matter.
    command
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(std::env::temp_dir());
    command
}

/// Runs icewright.
#[must_use = "look at the exit code"]
pub(crate) fn icewright(args: &[&str]) -> Ran {
    ran(&mut command(args))
}

/// Starts icewright and comes back at once.
pub(crate) fn icewright_in_background(args: &[&str]) -> Child {
    command(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The cache folder that `tests/run` fills.
pub(crate) fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    match std::env::var_os("ICEWRIGHT_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("icewright"),
    }
}

/// Whether something that a test needs is there. In CI it must be; elsewhere its absence is said loudly.
pub(crate) fn available(what: &str, path: &Path) -> bool {
    if path.exists() {
        return true;
    }
    let message = format!("{what} is missing ({} not found): run tests/run, which installs it", path.display());
    assert!(std::env::var_os("ICEWRIGHT_REQUIRE_ALL").is_none(), "{message}");
    eprintln!("\n*** SKIPPED: {message} ***\n");
    false
}

/// Whether Python with its libraries is there.
pub(crate) fn has_python() -> bool {
    available("Python with PyIceberg", &python_path())
}

fn python_path() -> PathBuf {
    cache().join("venv/bin/python")
}

fn python_command(script: &str, args: &[&str]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let mut command = Command::new(python_path());
    command.arg(path).args(args);
    command
}

/// Runs a script of `tests/python`.
pub(crate) fn python(script: &str, args: &[&str]) -> String {
    let ran = ran(&mut python_command(script, args));
    assert_eq!(ran.code, 0, "{script} {args:?}:\n{}\n{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Starts a script and comes back at once.
pub(crate) fn python_in_background(script: &str, args: &[&str]) -> Child {
    python_command(script, args).stdin(Stdio::null()).spawn().unwrap()
}

/// A lake of one test: how icewright and how Python reach its catalog.
pub(crate) struct Lake {
    pub(crate) dir: tempfile::TempDir,
    /// icewright's arguments.
    pub(crate) catalog: Vec<String>,
    /// PyIceberg's properties.
    pub(crate) props: Vec<String>,
}

impl Lake {
    /// SQLite and local files, made by PyIceberg.
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display().to_string();
        Self {
            catalog: vec!["--catalog".into(), format!("sqlite://{root}/catalog.db")],
            props: vec![
                "type=sql".into(),
                format!("uri=sqlite:///{root}/catalog.db"),
                format!("warehouse=file://{root}/warehouse"),
            ],
            dir,
        }
    }

    /// PostgreSQL as the catalog, local files.
    pub(crate) fn postgresql(port: u16) -> Self {
        let mut lake = Self::sqlite();
        let uri = format!("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        lake.catalog = vec!["--catalog".into(), uri];
        lake.props[1] = format!("uri=postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres");
        lake
    }

    /// SQLite as the catalog, files on S3.
    pub(crate) fn s3(port: u16) -> Self {
        let mut lake = Self::sqlite();
        let storage = [
            format!("s3.endpoint=http://127.0.0.1:{port}"),
            "s3.access-key-id=key".to_owned(),
            "s3.secret-access-key=secret".to_owned(),
            "s3.region=us-east-1".to_owned(),
        ];
        lake.props[2] = "warehouse=s3://lake/warehouse".into();
        lake.props.extend(storage.iter().cloned());
        for prop in storage {
            lake.catalog.extend(["--prop".to_owned(), prop]);
        }
        lake
    }

    /// A REST catalog.
    pub(crate) fn rest(port: u16) -> Self {
        let mut lake = Self::sqlite();
        let uri = format!("http://127.0.0.1:{port}");
        lake.catalog = vec!["--catalog".into(), uri.clone()];
        lake.props = vec!["type=rest".into(), format!("uri={uri}")];
        lake
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn python_args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let mut all = args.to_vec();
        for prop in &self.props {
            all.extend(["--prop", prop]);
        }
        all
    }

    /// Makes table `db.t` with PyIceberg.
    pub(crate) fn make(&self, args: &[&str]) {
        python("make_lake.py", &self.python_args(args));
    }

    /// Runs a script of `tests/python` on this lake.
    pub(crate) fn script(&self, script: &str, args: &[&str]) -> String {
        python(script, &self.python_args(args))
    }

    /// Starts a script on this lake.
    pub(crate) fn script_in_background(&self, script: &str, args: &[&str]) -> Child {
        python_in_background(script, &self.python_args(args))
    }

    /// What PyIceberg (and DuckDB, where it can) reads; fails the test when they see problems.
    pub(crate) fn rows(&self, args: &[&str]) -> Value {
        let rows: Value = serde_json::from_str(&self.script("rows.py", args)).unwrap();
        assert_eq!(rows["problems"], Value::Array(vec![]), "{rows}");
        rows
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let mut all = args.to_vec();
        all.extend(self.catalog.iter().map(String::as_str));
        all
    }

    /// Runs icewright on this lake.
    #[must_use = "look at the exit code"]
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        icewright(&self.args(args))
    }

    /// Starts icewright on this lake.
    pub(crate) fn run_in_background(&self, args: &[&str]) -> Child {
        icewright_in_background(&self.args(args))
    }

    /// The table's current snapshot, as its metadata has it (SQLite catalogs).
    pub(crate) fn snapshot(&self) -> Value {
        let metadata: Value = serde_json::from_slice(&std::fs::read(self.metadata_file()).unwrap()).unwrap();
        metadata["snapshots"].as_array().unwrap().last().unwrap().clone()
    }

    /// The table's current metadata file (SQLite catalogs).
    pub(crate) fn metadata_file(&self) -> PathBuf {
        let rows: Value = serde_json::from_str(&self.script("rows.py", &["--no-duckdb"])).unwrap();
        PathBuf::from(rows["metadata"].as_str().unwrap().trim_start_matches("file://"))
    }
}

/// Asserts that the same rows are read before and after.
pub(crate) fn same_rows(before: &Value, after: &Value) {
    assert_eq!(before["rows"], after["rows"]);
    assert_eq!(before["columns"], after["columns"]);
    assert_eq!(before["duckdb"], after["duckdb"]);
}

/// All files below a folder whose names end so.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
