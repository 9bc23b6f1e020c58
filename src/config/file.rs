//! `icewright.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use globset::Glob;
use serde::Deserialize;

use super::lines::line_of;
use super::schedule::{Schedule, Serve};
use super::units::{Age, Size};
use super::{CatalogSection, Settings, tier};
use crate::error::{Context, Error, Result};
use crate::model::{EncodingProfile, Verify};

/// `[defaults]`, and what a `[[table]]` overrides of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Defaults {
    /// Only in `[[table]]`: which tables.
    #[serde(rename = "match")]
    pattern: Option<String>,
    /// Upper edge of the output band.
    pub target_file_size: Option<Size>,
    /// ZSTD level of outputs.
    pub zstd_level: Option<i32>,
    /// Encoding profile of outputs.
    pub encodings: Option<EncodingProfile>,
    /// Candidates that make a group worth a rewrite.
    pub min_input_files: Option<u64>,
    /// What is compared before a commit.
    pub verify: Option<Verify>,
    /// How rows are arranged: binpack, sort, zorder or hilbert.
    pub strategy: Option<String>,
    /// What rows are sorted by; the table's own sort order by default.
    pub sort_order: Option<String>,
    /// The columns that a curve goes through.
    pub columns: Option<Vec<String>>,
    /// Size that manifests are merged up to.
    pub manifest_target_size: Option<Size>,
    /// Manifests that a rewrite must save.
    pub manifest_min_gain: Option<u64>,
    /// Snapshots that are always kept.
    pub retain_min: Option<u64>,
    /// Snapshots that are kept at most.
    pub retain_max: Option<u64>,
    /// Age at which snapshots expire.
    pub expire_older_than: Option<Age>,
    /// Age at which unreferenced files are removed.
    pub orphans_older_than: Option<Age>,
    /// Only in `[[table]]`: whether its data moves to other tiers at all.
    pub archive: Option<bool>,
    /// Only in `[[table]]`: the column that tells the age of rows.
    pub time_column: Option<String>,
    /// Only in `[[table]]`: what is different about tiers, by their names.
    #[serde(default)]
    tier: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// The same, read.
    #[serde(skip)]
    pub(super) tiers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Defaults {
    /// The options of a rewrite by Iceberg's names.
    pub(super) fn options(&self) -> BTreeMap<String, String> {
        let encodings = self.encodings.map(|profile| match profile {
            EncodingProfile::Compatible => "compatible".to_owned(),
            EncodingProfile::Modern => "modern".to_owned(),
        });
        let verify = self.verify.map(|verify| match verify {
            Verify::Stats => "stats".to_owned(),
            Verify::Content => "content".to_owned(),
        });
        let all = [
            ("target-file-size-bytes", self.target_file_size.map(|size| size.0.to_string())),
            ("zstd-level", self.zstd_level.map(|level| level.to_string())),
            ("encodings", encodings),
            ("min-input-files", self.min_input_files.map(|files| files.to_string())),
            ("verify", verify),
            ("strategy", self.strategy.clone()),
            ("sort-order", self.sort_order.clone()),
            ("columns", self.columns.as_ref().map(|columns| columns.join(","))),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// The options of an expiry.
    pub(super) fn expire_options(&self) -> BTreeMap<String, String> {
        let all = [
            ("retain-min", self.retain_min.map(|snapshots| snapshots.to_string())),
            ("retain-max", self.retain_max.map(|snapshots| snapshots.to_string())),
            ("older-than", self.expire_older_than.map(|age| format!("{}ms", age.0.as_millis()))),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.target_file_size == Some(Size(0)) {
            return Err("target-file-size is 0".to_owned());
        }
        if self.min_input_files == Some(0) {
            return Err("min-input-files is 0".to_owned());
        }
        if self.retain_min == Some(0) || self.retain_max == Some(0) {
            return Err("retain-min and retain-max are at least 1: a table keeps its current snapshot".to_owned());
        }
        if let (Some(min), Some(max)) = (self.retain_min, self.retain_max)
            && min > max
        {
            return Err(format!("retain-min ({min}) is above retain-max ({max})"));
        }
        level(self.zstd_level)
    }
}

/// `[[table]]`: overrides for the tables that match.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSection {
    /// A table name or glob.
    pub pattern: String,
    /// The overrides.
    pub policy: Defaults,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    catalog: BTreeMap<String, BTreeMap<String, toml::Value>>,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    table: Vec<Defaults>,
    #[serde(default)]
    tier: Vec<BTreeMap<String, toml::Value>>,
    #[serde(default)]
    schedule: Vec<Schedule>,
    #[serde(default)]
    serve: Serve,
}

/// Parses and checks a configuration file.
pub(super) fn parse(text: &str, path: &Path) -> Result<Settings> {
    let wrong = |message: String| {
        Error::invalid(format!("{}: {message}", path.display()))
            .hint("every key is described in the README; all of them may be left out")
    };
    // The parser's own text repeats the line, which may hold a secret: only its place and cause are said.
    let document: Document = toml::from_str(text).map_err(|e| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        wrong(format!("line {line}: {}", e.message()))
    })?;
    let place = |header: &str, nth: usize, key: Option<&str>| {
        line_of(text, header, nth, key).map_or_else(String::new, |line| format!(": line {line}"))
    };
    let wrong_at = |header: &str, nth: usize, message: String| {
        let line = line_of(text, header, nth, None).map_or_else(String::new, |line| format!("line {line}: "));
        wrong(line + &message)
    };
    let mut catalogs = BTreeMap::new();
    for (name, entries) in document.catalog {
        let mut section = CatalogSection::default();
        for (key, value) in entries {
            flatten(&mut section, &key, value)
                .map_err(|e| wrong_at(&format!("[catalog.{name}]"), 0, format!("[catalog.{name}] {e}")))?;
        }
        catalogs.insert(name, section);
    }
    document.defaults.check().map_err(|e| wrong_at("[defaults]", 0, format!("[defaults] {e}")))?;
    let defaults = &document.defaults;
    let of_tables = defaults.archive.is_some() || defaults.time_column.is_some() || !defaults.tier.is_empty();
    if defaults.pattern.is_some() || of_tables {
        return Err(wrong(
            "[defaults] has match, archive, time-column or tier: what is for some tables only belongs into a [[table]]"
                .to_owned(),
        ));
    }
    let mut tables: Vec<TableSection> = Vec::new();
    for (nth, section) in document.table.into_iter().enumerate() {
        let section = table(section).map_err(|e| wrong_at("[[table]]", nth, e))?;
        if tables.iter().any(|known| known.pattern == section.pattern) {
            return Err(wrong_at("[[table]]", nth, format!("[[table]] {:?} is there twice", section.pattern)));
        }
        tables.push(section);
    }
    let tiers = tier::parse(document.tier).map_err(wrong)?;
    for (nth, schedule) in document.schedule.iter().enumerate() {
        schedule.check().map_err(|(key, error)| {
            error.while_doing(format!("{}{}", path.display(), place("[[schedule]]", nth, Some(key))))
        })?;
    }
    document.serve.check().while_doing(|| format!("{}{}", path.display(), place("[serve]", 0, None)))?;
    Ok(Settings {
        file: Some(path.to_owned()),
        catalogs,
        defaults: document.defaults,
        tables,
        tiers,
        schedules: document.schedule,
        serve: document.serve,
    })
}

fn table(mut policy: Defaults) -> std::result::Result<TableSection, String> {
    let Some(pattern) = policy.pattern.take() else {
        return Err("a [[table]] has no match: name its tables, as in match = \"market.*\"".to_owned());
    };
    glob(&pattern).map_err(|e| format!("[[table]] match = {e}"))?;
    policy.check().map_err(|e| format!("[[table]] {pattern:?}: {e}"))?;
    policy.tiers =
        tier::changes(std::mem::take(&mut policy.tier)).map_err(|e| format!("[[table]] {pattern:?}: {e}"))?;
    Ok(TableSection { pattern, policy })
}

fn glob(pattern: &str) -> std::result::Result<(), String> {
    if pattern.is_empty() {
        return Err("\"\" names no table".to_owned());
    }
    Glob::new(pattern).map(|_| ()).map_err(|e| format!("{pattern:?} is no pattern: {}", e.kind()))
}

fn level(level: Option<i32>) -> std::result::Result<(), String> {
    match level {
        Some(level) if !(1..=22).contains(&level) => Err(format!("zstd-level {level} is not between 1 and 22")),
        _ => Ok(()),
    }
}

/// Nested tables become dotted property names: `s3.endpoint` may be written with or without quotes.
fn flatten(section: &mut CatalogSection, key: &str, value: toml::Value) -> std::result::Result<(), String> {
    let text = match value {
        toml::Value::Table(inner) => {
            return inner.into_iter().try_for_each(|(name, value)| flatten(section, &format!("{key}.{name}"), value));
        }
        toml::Value::String(text) => text,
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
        // The value may be a secret: it is not repeated.
        toml::Value::Datetime(_) | toml::Value::Array(_) => {
            return Err(format!("{key} is not a text: put it in quotes"));
        }
    };
    match key {
        "uri" | "warehouse" if text.is_empty() => return Err(format!("{key} is empty")),
        "uri" => section.uri = Some(text),
        "warehouse" => section.warehouse = Some(text),
        _ => {
            section.props.insert(key.to_owned(), text);
        }
    }
    Ok(())
}
