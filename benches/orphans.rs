//! Orphans of a table with a million and with two million listed files: `cargo bench --bench orphans`.
//!
//! Of the listed files 95 % are named by manifests of 50,000 entries each, the others by nothing. The listing comes as a
//! CSV file of an inventory, gzipped; the data files themselves do not exist. icewright runs as a process of its own, so
//! that its memory can be told.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when something is wrong")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use iceberg::spec::Struct;
use icewright::committer::{AppendFile, Committer};
use icewright::fixture::{Kind, TableSpec, make};
use icewright::lake::{Ambient, connect_or_create};
use icewright::model::{CatalogSettings, NewFile, TableName};
use icewright::telemetry::Progress;

const ENTRIES: u64 = 50_000;
/// One file of so many is an orphan.
const ORPHANS: u64 = 20;

fn main() {
    println!("| listed | referenced | orphans | seconds | peak MB |\n|---|---|---|---|---|");
    for listed in [1_000_000, 2_000_000] {
        let dir = tempfile::tempdir().unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(table(dir.path(), listed));
        let (catalog, listing) =
            (format!("sqlite://{}/catalog.db", dir.path().display()), dir.path().join("inventory.csv.gz"));
        let start = Instant::now();
        let ran = Command::new(env!("CARGO_BIN_EXE_icewright"))
            .args(["remove-orphans", "--table", "db.t", "--json", "--catalog", &catalog, "--listing"])
            .arg(&listing)
            .output()
            .unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let document: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        let report = &document["tables"][0];
        let orphans = report["files_removed"].as_u64();
        assert_eq!(orphans, Some(listed / ORPHANS), "{report}");
        let peak = report["peak_memory_bytes"].as_f64().unwrap() / 1e6;
        let referenced = listed - listed / ORPHANS;
        println!("| {listed} | {referenced} | {} | {seconds:.1} | {peak:.0} |", listed / ORPHANS);
    }
}

/// A table whose manifests name files that were never written, and a listing of them and of some more.
async fn table(dir: &Path, listed: u64) {
    let settings = CatalogSettings::in_folder("bench", dir);
    let ambient = Arc::new(Ambient::system());
    let catalog = connect_or_create(&settings, ambient.clone()).await.unwrap();
    let name = TableName::parse("db.t").unwrap();
    let spec = TableSpec { files: 1, rows: 1, ..TableSpec::new(name.clone(), Kind::Events) };
    make(&catalog, &ambient, &spec, &Arc::new(Progress::default())).await.unwrap();
    let data = format!("{}/data", catalog.load_table(&name).await.unwrap().metadata.location());
    let committer = Committer::new(catalog, ambient.clone());
    let gzip = flate2::write::GzEncoder::new(
        BufWriter::new(File::create(dir.join("inventory.csv.gz")).unwrap()),
        flate2::Compression::fast(),
    );
    let mut csv = BufWriter::new(gzip);
    let mut batch = Vec::new();
    for number in 0..listed {
        let path = format!("{data}/part={}/{:05}-{}-00001.parquet", number % 365, number % 1000, ambient.uuid());
        let key = path.replace('=', "%3D");
        writeln!(csv, "\"\",\"{key}\",\"134217728\",\"2024-03-0{}T10:00:00.000Z\"", number % 9 + 1).unwrap();
        if number % ORPHANS != 0 {
            let file = NewFile {
                path,
                size: 134_217_728,
                records: 1_000_000,
                columns: BTreeMap::new(),
                split_offsets: vec![4],
                sort_order_id: None,
                vector: None,
                partition: None,
            };
            batch.push(AppendFile { file, spec_id: 0, partition: Struct::empty() });
        }
        if batch.len() as u64 == ENTRIES || number + 1 == listed {
            committer.append(&name, &std::mem::take(&mut batch)).await.unwrap();
        }
    }
    // What lies in a folder that can't be looked at is left alone: the folders have to be there.
    for part in 0..365 {
        std::fs::create_dir_all(format!("{}/part={part}", data.trim_start_matches("file://"))).unwrap();
    }
    csv.into_inner().unwrap().finish().unwrap().flush().unwrap();
}
