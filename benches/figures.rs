//! Figures that anyone can take: `cargo bench`. Prints a table; asserts nothing about time.
//!
//! - planning 10,000, 100,000 and 1,000,000 files;
//! - a lake of small Snappy files encoded to ZSTD, and the same lake in ZSTD copied, next to a plain copy of its files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when something is wrong")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use icewright::executor::ExecutorSettings;
use icewright::fixture::{Kind, TableSpec, make};
use icewright::lake::{Ambient, LoadOptions, connect_or_create, load_state};
use icewright::maintenance::Maintenance;
use icewright::model::{CatalogSettings, Codec, CompactPolicy, DataFile, MIB, TableName};
use icewright::planner::compact::plan;
use icewright::telemetry::Progress;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("| what | seconds | MB/s |\n|---|---|---|");
    runtime.block_on(async {
        planning().await;
        rewriting(Codec::Snappy, "encode: 60 Snappy files to ZSTD").await;
        rewriting(Codec::Zstd, "byte copy: 60 ZSTD files").await;
    });
}

fn row(what: &str, seconds: f64, bytes: Option<u64>) {
    let speed = bytes.map_or(String::new(), |bytes| format!("{:.0}", bytes as f64 / 1e6 / seconds));
    println!("| {what} | {seconds:.3} | {speed} |");
}

async fn lake(dir: &Path, spec: &TableSpec) -> Maintenance {
    let settings = CatalogSettings::in_folder("bench", dir);
    let ambient = Arc::new(Ambient::system());
    let catalog = connect_or_create(&settings, ambient.clone()).await.unwrap();
    make(&catalog, &ambient, spec, &Arc::new(Progress::default())).await.unwrap();
    let workers = std::thread::available_parallelism().unwrap().get();
    let resources = ExecutorSettings::new(512 * MIB, workers);
    Maintenance { catalog, ambient, resources, progress: Arc::new(Progress::default()) }
}

async fn planning() {
    let dir = tempfile::tempdir().unwrap();
    let name = TableName::parse("db.t").unwrap();
    let spec = TableSpec { files: 30, rows: 10, ..TableSpec::new(name.clone(), Kind::TimeSeries) };
    let maintenance = lake(dir.path(), &spec).await;
    let table = maintenance.catalog.load_table(&name).await.unwrap();
    let small = load_state(&table, &LoadOptions::default()).await.unwrap();
    for count in [10_000, 100_000, 1_000_000] {
        let mut state = small.clone();
        state.files = (0..count)
            .map(|n: usize| {
                let like = &small.files[n % small.files.len()];
                DataFile { path: format!("{}-{n:07}", like.path).into(), size: 3 * MIB, ..like.clone() }
            })
            .collect();
        let start = Instant::now();
        let made = plan(&state, &CompactPolicy::default(), 0).unwrap();
        row(&format!("plan {count} files"), start.elapsed().as_secs_f64(), None);
        assert_eq!(made.totals.input_files, count as u64);
    }
}

async fn rewriting(codec: Codec, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let name = TableName::parse("db.t").unwrap();
    // Row groups of some 8 MB, as they come from a writer that buffers well.
    let spec = TableSpec { files: 60, rows: 300_000, codec, ..TableSpec::new(name.clone(), Kind::TimeSeries) };
    let maintenance = lake(dir.path(), &spec).await;
    let start = Instant::now();
    let copied = copy(&dir.path().join("db"), &dir.path().join("copy"));
    row("a plain copy of the files", start.elapsed().as_secs_f64(), Some(copied));
    let policy = |_: &TableName, _: &HashMap<String, String>| Ok(CompactPolicy::default());
    let report = maintenance.compact(&name, &policy).await;
    row(what, report.seconds, report.bytes_read);
    assert!(report.error.is_none(), "{:?}", report.error);
}

fn copy(from: &Path, to: &Path) -> u64 {
    std::fs::create_dir_all(to).unwrap();
    let mut bytes = 0;
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        bytes += if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).unwrap() };
    }
    bytes
}
