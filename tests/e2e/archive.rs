//! Archival on local files: a lake walked through the years, late writers, conflicts, kills.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use icewright::config::{self, ArchiveRequest, Environment, PolicyLayers, Settings};
use icewright::error::Result;
use icewright::executor::ExecutorSettings;
use icewright::lake::{Ambient, Catalog, LoadedTable, Swap, TableChange, connect};
use icewright::maintenance::Maintenance;
use icewright::model::{ArchivePolicy, CatalogSettings, MIB, Status, TableName, TableReport};
use icewright::telemetry::Progress;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::support::{Lake, files, has_python, icewright, same_rows};

const DAY_MS: i64 = 86_400_000;

/// A time series of 2019 to 2022 in a lake with three tiers, in folders beside each other.
fn four_years(tiers: &str, files: &str) -> Lake {
    let mut lake = Lake::sqlite();
    let dir = lake.dir.path().display().to_string();
    icewright(&["fixture", "--dir", &dir, "--files", files, "--rows", "200", "--years", "2019-2022", "--commits", "4"])
        .exits(0);
    lake.props = vec!["type=sql".into(), format!("uri=sqlite:///{dir}/catalog.db")];
    let text = tiers.replace("DIR", &dir);
    std::fs::write(lake.path("icewright.toml"), text).unwrap();
    lake.catalog.extend(["--config".into(), lake.path("icewright.toml").display().to_string()]);
    lake
}

/// Places alone: without classes nobody knows prices, so that ages alone decide.
const PLACES: &str = "[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"warm\"\nlocation = \"file://DIR/warm\"\n\
    [[tier]]\nname = \"cold\"\nlocation = \"DIR/cold\"\nzstd-level = 9\n";

/// The library with a clock that the test owns.
struct Walk {
    maintenance: Maintenance,
    settings: Settings,
    table: TableName,
}

impl Walk {
    fn new(lake: &Lake, now_ms: i64) -> Self {
        Self::with(lake, now_ms, |catalog| catalog)
    }

    fn with(lake: &Lake, now_ms: i64, wrap: impl FnOnce(Arc<dyn Catalog>) -> Arc<dyn Catalog>) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let ambient = Arc::new(Ambient::manual(now_ms, 7));
        let settings = CatalogSettings {
            name: String::new(),
            uri: lake.catalog[1].clone(),
            warehouse: None,
            props: BTreeMap::new(),
            places: Vec::new(),
        };
        let catalog = wrap(runtime.block_on(connect(&settings, ambient.clone())).unwrap());
        let maintenance = Maintenance {
            catalog,
            ambient,
            resources: ExecutorSettings::new(512 * MIB, 2),
            progress: Arc::new(Progress::default()),
        };
        let file = lake.path("icewright.toml");
        let settings = Settings::load(Some(&file), &Environment::default()).unwrap();
        Self { maintenance, settings, table: TableName::parse("db.t").unwrap() }
    }

    fn archive(&self) -> TableReport {
        let policy_for = |table: &TableName, properties: &HashMap<String, String>| -> Result<ArchivePolicy> {
            let options = BTreeMap::new();
            let layers = PolicyLayers { options: &options, filter: None, settings: &self.settings, table, properties };
            config::archive_policy(&layers, &ArchiveRequest::default())
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let report = runtime.block_on(self.maintenance.archive(&self.table, &policy_for));
        assert!(report.error.is_none(), "{report:?}");
        report
    }

    /// Years by the folder that their live files are in, as PyIceberg sees it.
    fn places(lake: &Lake) -> BTreeMap<String, BTreeSet<String>> {
        let listed: Vec<String> = serde_json::from_str(&lake.script("live_files.py", &[])).unwrap();
        let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in listed {
            let year = path.split("ts_year=").nth(1).unwrap()[..4].to_owned();
            let tier = ["warm", "cold"].into_iter().find(|tier| path.contains(&format!("/{tier}/db/t/data/")));
            places.entry(year).or_default().insert(tier.unwrap_or("hot").to_owned());
        }
        places
    }
}

fn first_of(year: i32, month: u32) -> i64 {
    let date = chrono::NaiveDate::from_ymd_opt(year, month, 1).unwrap();
    (date - chrono::NaiveDate::default()).num_days() * DAY_MS
}

fn expected(now_ms: i64, year: i32) -> &'static str {
    match (now_ms - first_of(year + 1, 1)) / DAY_MS {
        365.. => "cold",
        90..=364 => "warm",
        _ => "hot",
    }
}

#[test]
fn should_walk_a_lake_through_three_years_month_by_month() {
    if !has_python() {
        return;
    }
    let lake = four_years(PLACES, "40");
    let mut before = lake.rows(&[]);
    let walk = Walk::new(&lake, first_of(2020, 1));
    let (mut now, mut moves) = (first_of(2020, 1), 0);
    for month in 0..=36u32 {
        let at = first_of(2020 + i32::try_from(month / 12).unwrap(), month % 12 + 1);
        walk.maintenance.ambient.advance(Duration::from_millis(u64::try_from(at - now).unwrap()));
        now = at;
        if month == 20 {
            // Rows of a year that went cold long ago.
            lake.script("late_rows.py", &["--year", "2019", "--files", "6"]);
            before = lake.rows(&[]);
            assert_eq!(Walk::places(&lake)["2019"], BTreeSet::from(["cold".to_owned(), "hot".to_owned()]));
            // Compaction serves them in the hot tier, and leaves what is cold alone.
            let cold = files(&lake.path("cold"), ".parquet");
            let compacted = lake.run(&["compact", "--all", "--where", "ts < '2020-01-01'", "--json"]).exits(0).report();
            assert_eq!(compacted["status"], "committed");
            assert_eq!(files(&lake.path("cold"), ".parquet"), cold);
            same_rows(&before, &lake.rows(&[]));
        }
        let report = walk.archive();
        let told = report.archive.clone().unwrap();
        moves += told.moved_files;
        let again = walk.archive();
        assert_eq!(again.status, Status::NothingToDo, "month {month}: a second run has nothing to do (I8)");
        assert_eq!(again.archive.unwrap().tiers_before, told.tiers_after);
        // Reading with other engines takes most of the time: at the months where something may happen.
        if report.status == Status::Committed || month % 12 == 0 {
            for (year, places) in Walk::places(&lake) {
                let year: i32 = year.parse().unwrap();
                assert_eq!(places, BTreeSet::from([expected(now, year).to_owned()]), "{year} in month {month}");
            }
            same_rows(&before, &lake.rows(&[]));
        }
    }
    // 2019 to 2021 went through warm to cold, 2022 is still hot on 1 January 2023.
    assert_eq!(moves, 10 + 1 + 10 + 1 + 10 + 1 + 1, "ten files of each year, then one, and the late ones");
    let cold = |year| expected(now, year);
    assert_eq!([2019, 2020, 2021, 2022].map(cold), ["cold", "cold", "cold", "hot"]);
    // Old copies stay until expiry: the first snapshot still reads.
    assert_eq!(files(&lake.path("db"), ".parquet").len(), 40 + 6 + 1);
}

/// A catalog that lets somebody else in before a table is loaded for the n-th time.
struct Meddled {
    inner: Arc<dyn Catalog>,
    loads: AtomicUsize,
    before: usize,
    meddle: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

impl fmt::Display for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl Catalog for Meddled {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        self.inner.list_tables().await
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        if self.loads.fetch_add(1, Ordering::SeqCst) + 1 == self.before {
            (self.meddle)();
        }
        self.inner.load_table(name).await
    }

    async fn create_table(&self, name: &TableName, metadata: iceberg::spec::TableMetadata) -> Result<LoadedTable> {
        self.inner.create_table(name, metadata).await
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        self.inner.commit(base, change).await
    }

    fn default_location(&self, name: &TableName) -> Result<String> {
        self.inner.default_location(name)
    }
}

#[test]
fn should_commit_the_other_partitions_when_a_writer_changes_one() {
    if !has_python() {
        return;
    }
    let lake = four_years(PLACES, "24");
    let before = lake.rows(&[]);
    let args: Vec<String> = ["compact", "--all", "--where", "ts >= '2020-01-01' AND ts < '2021-01-01'"]
        .map(str::to_owned)
        .into_iter()
        .chain(lake.catalog.clone())
        .collect();
    let meddle = Box::new(move || {
        icewright(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    });
    // The first load is the plan's, the second one the commit's.
    let wrap =
        |inner| -> Arc<dyn Catalog> { Arc::new(Meddled { inner, loads: AtomicUsize::new(0), before: 2, meddle }) };
    let report = Walk::with(&lake, first_of(2026, 1), wrap).archive();
    assert_eq!((report.groups, report.groups_committed), (Some(5), Some(4)), "2020 was planned twice: {report:?}");
    assert!(Walk::places(&lake).values().all(|places| *places == BTreeSet::from(["cold".to_owned()])));
    same_rows(&before, &lake.rows(&[]));
    // What was made for the group that lost is gone, and nothing else.
    assert_eq!(files(&lake.path("cold"), ".parquet").len(), 4);
}

#[test]
fn should_survive_being_killed_at_random_moments() {
    if !has_python() {
        return;
    }
    let kills: u32 = std::env::var("ICEWRIGHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let seed: u64 = std::env::var("ICEWRIGHT_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut random = StdRng::seed_from_u64(seed);
    let lake = four_years(PLACES, "40");
    let before = lake.rows(&[]);
    let everywhere = ["--where", "ts > '2000-01-01'", "--option", "partial-progress.min-interval-ms=0"];
    let to = |tier: &'static str| [&["archive", "--all", "--to", tier][..], &everywhere].concat();
    let start = std::time::Instant::now();
    lake.run(&to("warm")).exits(0);
    let whole = start.elapsed();
    let mut died = 0;
    for kill in 0..kills {
        let mut child = lake.run_in_background(&to(if kill % 2 == 0 { "cold" } else { "hot" }));
        std::thread::sleep(whole.mul_f64(random.random_range(0.0..1.05)));
        let _ = child.kill();
        died += u32::from(!child.wait().unwrap().success());
        let after = lake.rows(&["--no-duckdb"]);
        assert_eq!(before["columns"], after["columns"], "seed {seed}, kill {kill}");
    }
    assert!(died > kills / 4, "only {died} of {kills} runs were killed before they ended");
    lake.run(&to("cold")).exits(0);
    assert!(Walk::places(&lake).values().all(|places| *places == BTreeSet::from(["cold".to_owned()])));
    assert_eq!(lake.run(&[&to("cold")[..], &["--json"]].concat()).exits(0).report()["status"], "nothing-to-do");
    same_rows(&before, &lake.rows(&[]));
}

#[test]
fn should_plan_apply_show_and_refuse() {
    if !has_python() {
        return;
    }
    let priced = PLACES.replace("location = \"DIR/cold\"", "location = \"DIR/cold\"\nstorage-class = \"GLACIER_IR\"");
    let lake = four_years(&priced, "12");
    let before = lake.rows(&[]);
    // A few kilobytes a file: on real storage such a move would never pay.
    let dry = lake.run(&["archive", "--all", "--dry-run"]).exits(0).stdout;
    assert!(dry.contains("smaller than an object of cold may be (128 KiB)") && dry.contains("nothing to do"), "{dry}");
    let plan = lake.path("plan.json").display().to_string();
    lake.run(&["plan", "archive", "--all", "--ignore-cost", "-o", &plan]).exits(0);
    let text = std::fs::read_to_string(&plan).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let task = &document["plans"][0]["tasks"][0];
    assert_eq!((task["how"].as_str(), task["why"]["tier"].as_str()), (Some("rewrite"), Some("cold")), "{task}");
    let told = lake.run(&["apply", &plan, "--dry-run", "--json"]).exits(0).report();
    assert_eq!(told["archive"]["moved_files"], 12, "{told}");
    assert!(!Path::new(&lake.path("cold")).exists());
    let report = lake.run(&["apply", &plan, "--json"]).exits(0).report();
    assert_eq!((report["status"].as_str(), report["archive"]["moved_files"].as_u64()), (Some("committed"), Some(12)));
    assert!(report["archive"]["tiers_after"][2]["monthly"].as_f64() > Some(0.0), "{report}");
    same_rows(&before, &lake.rows(&[]));
    let stale = lake.run(&["apply", &plan, "--json"]).exits(4).report();
    assert!(stale["error"]["message"].as_str().unwrap().contains("stale"), "{stale}");
    let seen = lake.run(&["inspect", "--all"]).exits(0).stdout;
    assert!(seen.contains("cold │█"), "{seen}");

    std::fs::write(lake.path("icewright.toml"), priced.replace("GLACIER_IR", "DEEP_ARCHIVE")).unwrap();
    let refused = lake.run(&["archive", "--all", "--json"]).exits(3).report();
    assert!(refused["error"]["message"].as_str().unwrap().contains("without a restore"), "{refused}");
    lake.run(&["archive", "--all", "--allow-offline"]).exits(0);
    std::fs::write(lake.path("icewright.toml"), "").unwrap();
    lake.run(&["archive", "--all"]).exits(2);
}
