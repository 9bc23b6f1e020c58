//! Some weeks in the life of a lake.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::super::args::{OrphanOptions, RewriteOptions, Step, StepOptions, from_environment};
use super::super::bars::Bars;
use super::super::maintain::{run_over, steps};
use super::super::session::Session;
use super::super::{output, render};
use super::{DAY, WEEKS, disk, picture};
use crate::error::Result;
use crate::fixture::{self, TableSpec};
use crate::maintenance::maintain::MaintainRun;
use crate::model::{MIB, TableReport, human_bytes};
use crate::telemetry::Progress;

/// What writers add to each table in half a week: so many commits of one small file. They are more than the snapshots
/// that are kept, so that by Thursday nothing holds what Sunday's compaction replaced.
const COMMITS: u64 = 22;
/// What a crashed writer leaves behind in that time.
const LEFT_BEHIND: u64 = 2 * MIB;
/// The width of the longest bar.
const BAR: u64 = 40;

/// Lives through the weeks and shows each of them; the reports of the first Sunday come back.
pub(super) async fn run(session: &Session, specs: &[TableSpec], dir: &Path) -> Result<Vec<TableReport>> {
    let (rewrite, orphans) = (RewriteOptions::default(), from_environment::<OrphanOptions>());
    let (all, only_expiry) = (StepOptions::default(), StepOptions { steps: vec![Step::Expire], ..Default::default() });
    let sunday = run_over(session, &rewrite, &all, &orphans, false)?;
    let thursday = run_over(session, &rewrite, &only_expiry, &orphans, false)?;
    let (mut first, mut days) = (Vec::new(), vec![Day::new(session, specs, dir, "the lake", 0).await?]);
    for week in 0..=u64::from(WEEKS) {
        write(session, specs, dir, 2 * week).await?;
        let reports = maintain(session, specs, dir, &thursday).await?;
        days.push(Day::new(session, specs, dir, &format!("{}. Thursday: expire", week + 1), freed(&reports)).await?);
        if week == u64::from(WEEKS) {
            break;
        }
        write(session, specs, dir, 2 * week + 1).await?;
        days.push(Day::new(session, specs, dir, "   Saturday", 0).await?);
        let reports = maintain(session, specs, dir, &sunday).await?;
        days.push(Day::new(session, specs, dir, &format!("{}. Sunday: maintain", week + 1), freed(&reports)).await?);
        if first.is_empty() {
            picture(&reports);
            reports.iter().for_each(|report| output::talk(&steps(report)));
            first = reports;
        }
    }
    output::talk(&chart(&days));
    Ok(first)
}

fn freed(reports: &[TableReport]) -> u64 {
    reports.iter().filter_map(|report| report.bytes_removed).sum()
}

/// Half a week of writing: small files, each in a commit of its own, and what a writer that died left behind.
async fn write(session: &Session, specs: &[TableSpec], dir: &Path, half: u64) -> Result<()> {
    let (catalog, ambient) = (&session.maintenance.catalog, &session.maintenance.ambient);
    for spec in specs {
        let table = catalog.load_table(&spec.name).await?;
        let path = format!("{}/data/lost-{half}-{}.parquet", table.metadata.location(), ambient.uuid());
        table.store.write(&path, Bytes::from(vec![0; usize::try_from(LEFT_BEHIND).unwrap_or(0)])).await?;
    }
    disk::date(dir, ambient.now_ms())?;
    for spec in specs {
        let from = spec.files + half * COMMITS;
        // The writers of all tables share these days: the clock moves for one after the other.
        let pause = DAY * 7 / 2 / u32::try_from(COMMITS * specs.len() as u64).unwrap_or(1);
        let spec = TableSpec { commits: COMMITS, pause, rows: spec.rows / 4, ..spec.clone() };
        fixture::append(catalog, ambient, &spec, from..from + COMMITS, &Arc::new(Progress::default())).await?;
    }
    disk::date(dir, ambient.now_ms())
}

async fn maintain(
    session: &Session,
    specs: &[TableSpec],
    dir: &Path,
    run: &MaintainRun<'_>,
) -> Result<Vec<TableReport>> {
    let mut reports = Vec::new();
    for spec in specs {
        let _bars = Bars::start(session.maintenance.progress.clone(), &spec.name.to_string());
        reports.push(session.maintenance.maintain(&spec.name, run).await.0);
    }
    disk::date(dir, session.maintenance.ambient.now_ms())?;
    Ok(reports)
}

/// Bytes of live data of all tables.
async fn live(session: &Session, specs: &[TableSpec]) -> Result<u64> {
    let mut bytes = 0;
    for spec in specs {
        let table = session.maintenance.catalog.load_table(&spec.name).await?;
        let summary = table.metadata.current_snapshot().map(|snapshot| &snapshot.summary().additional_properties);
        bytes += summary.and_then(|s| s.get("total-files-size")?.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(bytes)
}

/// The lake at one moment.
struct Day {
    name: String,
    on_disk: u64,
    freed: u64,
    live: u64,
}

impl Day {
    async fn new(session: &Session, specs: &[TableSpec], dir: &Path, name: &str, freed: u64) -> Result<Self> {
        let (on_disk, live) = (disk::usage(dir)?, live(session, specs).await?);
        Ok(Self { name: name.to_owned(), on_disk, freed, live })
    }
}

/// Bytes on disk over time: what is live, and what only history and accidents hold.
fn chart(days: &[Day]) -> String {
    let most = days.iter().map(|day| day.on_disk).max().unwrap_or(1).max(1);
    let width = |bytes: u64| usize::try_from(bytes * BAR / most).unwrap_or(0);
    let rows = days
        .iter()
        .map(|day| {
            let live = width(day.live.min(day.on_disk));
            let bar = "█".repeat(live) + &"░".repeat(width(day.on_disk).saturating_sub(live));
            let freed = if day.freed > 0 { human_bytes(day.freed) } else { String::new() };
            vec![day.name.clone(), human_bytes(day.on_disk), human_bytes(day.live), freed, bar]
        })
        .collect();
    render::table(&["", ">on disk", ">live", ">freed", "█ live  ░ held by history, or by nothing"], rows)
}
