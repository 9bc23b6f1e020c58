//! 10,000 tables looked at and ranked: `cargo bench --bench fleet [-- TABLES]`. Prints a table; asserts nothing about time.
//!
//! The catalog is a SQLite database with one row a table and a metadata file of its own for each; manifests are those of
//! four model tables (tidy, many small files, many snapshots, partitions), so every table is read as a real one is.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when something is wrong")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use icewright::executor::ExecutorSettings;
use icewright::fixture::{Kind, TableSpec, make};
use icewright::lake::{Ambient, Catalog, connect, connect_or_create};
use icewright::maintenance::Maintenance;
use icewright::model::{CatalogSettings, CompactPolicy, MIB, Operation, TableName};
use icewright::scheduler::{Budget, Rules, rank};
use icewright::telemetry::{Progress, process};
use sqlx::Connection;

fn main() {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse::<usize>().ok());
    let tables = asked.unwrap_or(10_000);
    tokio::runtime::Runtime::new().unwrap().block_on(run(tables));
}

async fn run(tables: usize) {
    let dir = tempfile::tempdir().unwrap();
    let settings = CatalogSettings::in_folder("bench", dir.path());
    let ambient = Arc::new(Ambient::system());
    let catalog = connect_or_create(&settings, ambient.clone()).await.unwrap();
    let start = Instant::now();
    let bytes = generate(&catalog, &ambient, dir.path(), tables).await;
    println!(
        "generated {tables} tables, {} MB of metadata, in {:.1} s",
        bytes / 1_000_000,
        start.elapsed().as_secs_f64()
    );
    drop(catalog);
    let catalog = connect(&settings, ambient.clone()).await.unwrap();
    let resources = ExecutorSettings::new(512 * MIB, 1);
    let maintenance = Maintenance { catalog, ambient, resources, progress: Arc::new(Progress::default()) };
    let start = Instant::now();
    let names = maintenance.catalog.list_tables().await.unwrap();
    let policy = |_: &TableName, _: &HashMap<String, String>| Ok(CompactPolicy::default());
    let fleet = maintenance.inspect_fleet(names, &policy).await;
    let looked = start.elapsed().as_secs_f64();
    assert_eq!((fleet.tables.len(), fleet.unreadable.len()), (tables, 0));
    let rules = Rules::new("maintain", vec![Operation::Compact, Operation::RewriteManifests, Operation::Expire]);
    let budget = Budget { tables: Some(500), ..Budget::default() };
    let start = Instant::now();
    let ranking = rank(&fleet.tables, &rules, &budget, maintenance.ambient.now_ms());
    let ranked = start.elapsed().as_secs_f64();
    println!("| tables | looked at, s | ranked, s | chosen | peak MB |\n|---|---|---|---|---|");
    println!(
        "| {tables} | {looked:.1} | {ranked:.3} | {} | {} |",
        ranking.chosen().count(),
        process::peak_memory().unwrap_or(0) / 1_000_000
    );
}

/// Makes the model tables, and many more that have a metadata file of their own each.
async fn generate(catalog: &Arc<dyn Catalog>, ambient: &Arc<Ambient>, dir: &Path, tables: usize) -> usize {
    let mut models = Vec::new();
    for (n, (files, commits, years)) in
        [(3, 1, (2024, 2024)), (60, 12, (2024, 2024)), (40, 40, (2024, 2025)), (30, 6, (2020, 2025))]
            .into_iter()
            .enumerate()
    {
        let name = TableName::parse(&format!("model.m{n}")).unwrap();
        let spec = TableSpec { files, commits, years, rows: 5, ..TableSpec::new(name.clone(), Kind::TimeSeries) };
        make(catalog, ambient, &spec, &Arc::new(Progress::default())).await.unwrap();
        let loaded = catalog.load_table(&name).await.unwrap();
        models.push(
            serde_json::to_string(&*loaded.document)
                .unwrap()
                .replace(&loaded.metadata.uuid().to_string(), "00000000-0000-4000-8000-0000000XXXXX"),
        );
    }
    let url = format!("sqlite://{}/catalog.db", dir.display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    std::fs::create_dir(dir.join("many")).unwrap();
    let mut bytes = 0;
    for n in models.len()..tables {
        let path = dir.join(format!("many/{n:05}.metadata.json"));
        let text = models[n % models.len()].replace("XXXXX", &format!("{n:05}"));
        bytes += text.len();
        std::fs::write(&path, text).unwrap();
        sqlx::query("INSERT INTO iceberg_tables VALUES ('bench', $1, $2, $3, NULL, 'TABLE')")
            .bind(format!("ns{:03}", n % 250))
            .bind(format!("t{n:05}"))
            .bind(path.display().to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    bytes
}
