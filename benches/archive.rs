//! Figures of archival that anyone can take: `cargo bench --bench archive [-- move]`. Prints tables; asserts nothing about
//! time. With `move`, only the first of them.
//!
//! - a move that needs no encoding, next to a plain copy of the same files between the same places;
//! - cold encodings: what levels and profiles make of one lake, and how long they take.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when something is wrong")]

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use icewright::config::filter;
use icewright::executor::ExecutorSettings;
use icewright::fixture::{Kind, TableSpec, make};
use icewright::lake::{Ambient, connect_or_create};
use icewright::maintenance::Maintenance;
use icewright::model::{
    ArchivePolicy, CatalogSettings, Codec, CompactPolicy, EncodingProfile, JobOrder, MIB, Recompress, TableName, Tier,
};
use icewright::telemetry::Progress;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("| what | seconds | MB/s | MB |\n|---|---|---|---|");
        for _ in 0..3 {
            moving().await;
        }
        if std::env::args().any(|word| word == "move") {
            return;
        }
        for encodings in [EncodingProfile::Compatible, EncodingProfile::Modern] {
            for level in [1, 3, 9, 15, 19] {
                encoding(encodings, level).await;
            }
        }
    });
}

fn row(what: &str, seconds: f64, read: u64, written: u64) {
    let (speed, written) = (read as f64 / 1e6 / seconds, written as f64 / 1e6);
    println!("| {what} | {seconds:.2} | {speed:.0} | {written:.1} |");
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

/// Everything goes to one other tier, whatever its age.
fn policy(cold: &Path, policy: CompactPolicy, recompress: Recompress) -> ArchivePolicy {
    let tier = |name: &str, location: Option<String>| Tier {
        name: name.to_owned(),
        older_than_ms: location.as_ref().map(|_| 0),
        location,
        storage_class: None,
        policy: policy.clone(),
        recompress,
        min_object_bytes: 0,
        prices: None,
    };
    ArchivePolicy {
        tiers: vec![tier("hot", None), tier("cold", Some(cold.display().to_string()))],
        time_column: None,
        to: Some("cold".to_owned()),
        filter: Some(filter::parse("ts > '1970-01-01'").unwrap()),
        allow_offline: false,
        ignore_cost: true,
        job_order: JobOrder::None,
        max_concurrent: policy.max_concurrent_file_group_rewrites,
        partial_progress: policy.partial_progress,
    }
}

async fn archive(maintenance: &Maintenance, policy: &ArchivePolicy) -> (f64, u64, u64) {
    let policy_for = |_: &TableName, _: &HashMap<String, String>| Ok(policy.clone());
    let report = maintenance.archive(&TableName::parse("db.t").unwrap(), &policy_for).await;
    assert!(report.error.is_none(), "{:?}", report.error);
    (report.seconds, report.bytes_read.unwrap(), report.bytes_written.unwrap())
}

async fn moving() {
    let dir = tempfile::tempdir().unwrap();
    let name = TableName::parse("db.t").unwrap();
    let spec = TableSpec { files: 60, rows: 600_000, codec: Codec::Zstd, ..TableSpec::new(name, Kind::TimeSeries) };
    let maintenance = lake(dir.path(), &spec).await;
    for synced in [false, true] {
        let start = Instant::now();
        let bytes = copy(&dir.path().join("db"), &dir.path().join(format!("copy-{synced}")), synced);
        let what = if synced { "a plain copy of the files, each synced" } else { "a plain copy of the files" };
        row(what, start.elapsed().as_secs_f64(), bytes, bytes);
    }
    // Files of the size that the tier wants: nothing is merged.
    let sizes = CompactPolicy {
        target_file_size_bytes: 24 * MIB,
        min_file_size_bytes: MIB,
        max_file_size_bytes: 64 * MIB,
        ..CompactPolicy::default()
    };
    let cold = dir.path().join("cold");
    let (seconds, read, written) = archive(&maintenance, &policy(&cold, sizes, Recompress::Never)).await;
    row("archive, nothing to encode", seconds, read, written);
}

async fn encoding(encodings: EncodingProfile, zstd_level: i32) {
    let dir = tempfile::tempdir().unwrap();
    let name = TableName::parse("db.t").unwrap();
    let spec = TableSpec { files: 24, rows: 300_000, ..TableSpec::new(name, Kind::TimeSeries) };
    let maintenance = lake(dir.path(), &spec).await;
    let written = CompactPolicy { zstd_level, encodings, ..CompactPolicy::default() };
    let cold = dir.path().join("cold");
    let (seconds, read, bytes) = archive(&maintenance, &policy(&cold, written, Recompress::Always)).await;
    row(&format!("archive, {encodings:?}, ZSTD {zstd_level}"), seconds, read, bytes);
}

fn copy(from: &Path, to: &Path, synced: bool) -> u64 {
    std::fs::create_dir_all(to).unwrap();
    let mut bytes = 0;
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            bytes += copy(&path, &target, synced);
            continue;
        }
        bytes += std::fs::copy(&path, &target).unwrap();
        if synced {
            File::open(&target).unwrap().sync_all().unwrap();
        }
    }
    bytes
}
