//! `icewright fixture`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::args::{FixtureArgs, Global};
use super::bars::Bars;
use super::session::{catalog_settings, settings};
use super::{output, render};
use crate::error::{Error, Result};
use crate::fixture::{self, Kind, Made, TableSpec};
use crate::lake::{Ambient, Catalog, connect_or_create};
use crate::model::{CatalogSettings, Codec, TableName, human_bytes, parse_age};
use crate::telemetry::Progress;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    command: &'static str,
    catalog: &'a str,
    tables: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    table: TableName,
    files: u64,
    rows: u64,
    bytes: u64,
}

/// Makes the tables that were asked for.
pub(super) async fn run(global: &Global, args: &FixtureArgs) -> Result<u8> {
    let catalog_settings = match &args.dir {
        Some(dir) => new_lake(dir)?,
        None => catalog_settings(global, &settings(global)?)?,
    };
    let specs = if args.kind == "demo" { fixture::demo_tables()? } else { many(args.tables, spec(args)?) };
    let age = args.age.as_deref().map(parse_age).transpose()?.unwrap_or_default();
    // Making a table moves a clock of the past on to now: each table has a past of its own.
    let one_past = if age.is_zero() { specs.len() } else { 1 };
    let mut made = Vec::new();
    for specs in specs.chunks(one_past.max(1)) {
        let ambient = Arc::new(past(age));
        let catalog = connect_or_create(&catalog_settings, ambient.clone()).await?;
        made.extend(if args.append {
            append(&catalog, &ambient, specs).await?
        } else {
            make(&catalog, &ambient, specs).await?
        });
    }
    let shown = catalog_settings.public_uri();
    if global.json {
        let tables = made
            .into_iter()
            .map(|made| Entry { table: made.table, files: made.files, rows: made.rows, bytes: made.bytes })
            .collect();
        output::json(&Document { version: 1, command: "fixture", catalog: &shown, tables })?;
    } else {
        output::data(&text(&made));
        output::talk(&format!("try: icewright inspect --catalog {shown} --all"));
    }
    Ok(0)
}

/// The same table so many times; names of several get numbers.
fn many(tables: u32, spec: TableSpec) -> Vec<TableSpec> {
    if tables <= 1 {
        return vec![spec];
    }
    let numbered = |n: u32| {
        let name = TableName::new(spec.name.namespace.iter(), format!("{}{n:05}", spec.name.table));
        TableSpec { name, seed: spec.seed.wrapping_add(u64::from(n)), ..spec.clone() }
    };
    (0..tables).map(numbered).collect()
}

/// Makes tables and shows progress.
pub(super) async fn make(catalog: &Arc<dyn Catalog>, ambient: &Arc<Ambient>, specs: &[TableSpec]) -> Result<Vec<Made>> {
    let progress = Arc::new(Progress::default());
    let _bars = Bars::start(progress.clone(), "making files");
    let mut made = Vec::new();
    for spec in specs {
        made.push(fixture::make(catalog, ambient, spec, &progress).await?);
    }
    Ok(made)
}

/// Adds files to tables that are there.
async fn append(catalog: &Arc<dyn Catalog>, ambient: &Arc<Ambient>, specs: &[TableSpec]) -> Result<Vec<Made>> {
    let progress = Arc::new(Progress::default());
    let mut made = Vec::new();
    for spec in specs {
        let commits = catalog.load_table(&spec.name).await?.metadata.last_sequence_number();
        // The seed is part of the files' names: no two commits write the same file.
        let spec = TableSpec { seed: spec.seed ^ (commits.unsigned_abs() << 32), ..spec.clone() };
        spec.validate()?;
        made.push(fixture::append(catalog, ambient, &spec, 0..spec.files, &progress).await?);
    }
    Ok(made)
}

/// A clock that starts so long ago and is moved on by whoever makes a lake; the real one without an age.
pub(super) fn past(age: Duration) -> Ambient {
    let system = Ambient::system();
    if age.is_zero() {
        return system;
    }
    let since = system.now_ms() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 2);
    let seed = system.uuid().as_u64_pair().0;
    Ambient::manual(since, seed)
}

/// The catalog of a new lake in a folder.
pub(super) fn new_lake(dir: &Path) -> Result<CatalogSettings> {
    std::fs::create_dir_all(dir)
        .and_then(|()| dir.canonicalize())
        .map(|dir| CatalogSettings {
            warehouse: Some(format!("file://{}", dir.display())),
            ..CatalogSettings::in_folder("local", &dir)
        })
        .map_err(|e| Error::invalid(format!("a lake can't be made in {}", dir.display())).caused_by(e))
}

/// What was made, for people.
pub(super) fn text(made: &[Made]) -> String {
    let row = |made: &Made| {
        vec![made.table.to_string(), made.files.to_string(), made.rows.to_string(), human_bytes(made.bytes)]
    };
    render::table(&["table", ">files", ">rows", ">bytes"], made.iter().map(row).collect())
}

fn spec(args: &FixtureArgs) -> Result<TableSpec> {
    let year = |text: &str| {
        text.trim().parse::<i32>().map_err(|_| {
            Error::invalid(format!("{:?} is no span of years", args.years)).hint("write --years 2021-2024")
        })
    };
    let years = match args.years.split_once('-') {
        Some((from, to)) => (year(from)?, year(to)?),
        None => (year(&args.years)?, year(&args.years)?),
    };
    let codec: Codec = serde_json::from_value(serde_json::Value::String(args.codec.clone())).map_err(|_| {
        Error::invalid(format!("there is no codec {:?}", args.codec))
            .hint("--codec is snappy, zstd, gzip, lz4_raw, brotli or uncompressed")
    })?;
    let age = args.age.as_deref().map(parse_age).transpose()?.unwrap_or_default();
    Ok(TableSpec {
        files: args.files,
        rows: args.rows,
        years,
        codec,
        row_group_rows: args.row_group_rows,
        skew: args.skew,
        nulls: args.nulls,
        commits: args.commits,
        pause: age / u32::try_from(args.commits.max(1)).unwrap_or(u32::MAX),
        format_version: args.format_version,
        seed: args.seed,
        ..TableSpec::new(TableName::parse(&args.table)?, Kind::parse(&args.kind)?)
    })
}
