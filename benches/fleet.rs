//! 10,000 tables looked at and ranked: `cargo bench --bench fleet [-- TABLES]`. Prints a table; asserts nothing about time.
//!
//! The catalog is a SQLite database with one row a table and a metadata file of its own for each; manifests are those of
//! four model tables (tidy, many small files, many snapshots, partitions), so every table is read as a real one is. The same
//! tables are then looked at through a REST catalog, which counts what it is asked.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when something is wrong")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use icewright::executor::ExecutorSettings;
use icewright::fixture::{Kind, TableSpec, make};
use icewright::lake::{Ambient, Catalog, connect, connect_or_create};
use icewright::maintenance::Maintenance;
use icewright::model::{CatalogSettings, CompactPolicy, MIB, Operation, TableName};
use icewright::scheduler::{Budget, Rules, rank};
use icewright::telemetry::{Progress, process};
use sqlx::{Connection, Row};

/// How long the REST catalog takes at least to answer, as over a network.
const ROUND_TRIP: Duration = Duration::from_millis(1);

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
        "generated {tables} tables, {} MB of metadata, in {:.1} s\n",
        bytes / 1_000_000,
        start.elapsed().as_secs_f64()
    );
    drop(catalog);
    println!("| catalog | tables | looked at, s | ranked, s | chosen | peak MB | requests | at once |");
    println!("|---|---|---|---|---|---|---|---|");
    let sql = look("SQLite", &settings, &ambient, tables).await;
    println!("{sql} – | – |");
    let server = RestServer::start(dir.path()).await;
    let settings = CatalogSettings { uri: server.uri.clone(), warehouse: None, ..settings };
    let rest = look("REST", &settings, &ambient, tables).await;
    let (asked, most) = (server.count(&server.asked), server.count(&server.most_at_once));
    println!("{rest} {asked} | {most} |");
    // One request a table; two for each namespace (its tables, its own namespaces); the server's configuration and the list.
    assert!(asked <= tables as u64 + 2 * server.tables.len() as u64 + 2, "{asked} requests are too many");
    assert!(most <= 16, "{most} requests at once are too many");
}

/// Lists, looks at and ranks all tables of a catalog; gives a line of the table, up to its figures of requests.
async fn look(name: &str, settings: &CatalogSettings, ambient: &Arc<Ambient>, tables: usize) -> String {
    // Linux forgets the peak so far; elsewhere it is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let catalog = connect(settings, ambient.clone()).await.unwrap();
    let resources = ExecutorSettings::new(512 * MIB, 1);
    let maintenance =
        Maintenance { catalog, ambient: ambient.clone(), resources, progress: Arc::new(Progress::default()) };
    let start = Instant::now();
    let names = maintenance.catalog.list_tables().await.unwrap();
    let policy = |_: &TableName, _: &HashMap<String, String>| Ok(CompactPolicy::default());
    let fleet = maintenance.inspect_fleet(names, &policy).await;
    let looked = start.elapsed().as_secs_f64();
    assert_eq!((fleet.tables.len(), fleet.unreadable.len()), (tables, 0));
    let rules = Rules::new("maintain", vec![Operation::Compact, Operation::RewriteManifests, Operation::Expire]);
    let budget = Budget { tables: Some(500), ..Budget::default() };
    let start = Instant::now();
    let ranking = rank(&fleet.tables, &rules, &budget, ambient.now_ms());
    let (ranked, chosen) = (start.elapsed().as_secs_f64(), ranking.chosen().count());
    let peak = process::peak_memory().unwrap_or(0) / 1_000_000;
    format!("| {name} | {tables} | {looked:.1} | {ranked:.3} | {chosen} | {peak} |")
}

/// A REST catalog of the tables in the SQLite catalog, within this process: what it costs is in the figures too.
struct RestServer {
    uri: String,
    /// Metadata files by namespace and table.
    tables: BTreeMap<String, BTreeMap<String, String>>,
    asked: AtomicU64,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
}

impl RestServer {
    async fn start(dir: &Path) -> Arc<Self> {
        let mut database = database(dir).await;
        let rows = sqlx::query("SELECT table_namespace, table_name, metadata_location FROM iceberg_tables");
        let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for row in rows.fetch_all(&mut database).await.unwrap() {
            tables.entry(row.get(0)).or_default().insert(row.get(1), row.get(2));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let [asked, at_once, most_at_once] = [const { AtomicU64::new(0) }; 3];
        let server = Arc::new(Self { uri, tables, asked, at_once, most_at_once });
        let served = server.clone();
        let router = axum::Router::new().fallback(move |uri: axum::http::Uri| {
            let served = served.clone();
            async move { served.counted(&uri).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn count(&self, counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    async fn counted(&self, uri: &axum::http::Uri) -> (axum::http::StatusCode, String) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        tokio::time::sleep(ROUND_TRIP).await;
        let answer = self.answer(uri.path(), uri.query());
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        answer.map_or((axum::http::StatusCode::NOT_FOUND, "{}".to_owned()), |body| (axum::http::StatusCode::OK, body))
    }

    fn answer(&self, path: &str, query: Option<&str>) -> Option<String> {
        let list = |items: Vec<String>| items.join(",");
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match parts[..] {
            ["config"] => Some(r#"{"defaults":{},"overrides":{}}"#.to_owned()),
            ["namespaces"] if query.is_some_and(|query| query.contains("parent=")) => {
                Some(r#"{"namespaces":[]}"#.to_owned())
            }
            ["namespaces"] => {
                let names = self.tables.keys().map(|name| format!(r#"["{name}"]"#)).collect();
                Some(format!(r#"{{"namespaces":[{}]}}"#, list(names)))
            }
            ["namespaces", namespace, "tables"] => {
                let of = |table: &String| format!(r#"{{"namespace":["{namespace}"],"name":"{table}"}}"#);
                let tables = self.tables.get(namespace)?.keys().map(of).collect();
                Some(format!(r#"{{"identifiers":[{}]}}"#, list(tables)))
            }
            ["namespaces", namespace, "tables", table] => {
                let location = self.tables.get(namespace)?.get(table)?;
                let metadata = std::fs::read_to_string(location.trim_start_matches("file://")).unwrap();
                Some(format!(r#"{{"metadata-location":"{location}","metadata":{metadata},"config":{{}}}}"#))
            }
            _ => None,
        }
    }
}

async fn database(dir: &Path) -> sqlx::SqliteConnection {
    sqlx::SqliteConnection::connect(&format!("sqlite://{}/catalog.db", dir.display())).await.unwrap()
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
    let mut database = database(dir).await;
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
