//! `icewright.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{CatalogSection, Settings};
use crate::error::{Error, Result};
use crate::model::parse_bytes;

/// `[defaults]`: the policy of every table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Defaults {
    /// Upper edge of the output band.
    pub target_file_size: Option<String>,
    /// ZSTD level of outputs.
    pub zstd_level: Option<i32>,
    /// Encoding profile of outputs.
    pub encodings: Option<String>,
    /// Candidates that make a group worth a rewrite.
    pub min_input_files: Option<u64>,
    /// What is compared before a commit.
    pub verify: Option<String>,
    /// Snapshots that are always kept.
    pub retain_min: Option<u64>,
    /// Snapshots that are kept at most.
    pub retain_max: Option<u64>,
    /// Age at which snapshots expire.
    pub expire_older_than: Option<String>,
    /// Age at which unreferenced files are removed.
    pub orphans_older_than: Option<String>,
}

impl Defaults {
    /// The options of a rewrite by Iceberg's names.
    pub(super) fn options(&self) -> BTreeMap<String, String> {
        let mut options = BTreeMap::new();
        let mut set = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                options.insert(key.to_owned(), value);
            }
        };
        set("target-file-size-bytes", self.target_file_size.clone());
        set("zstd-level", self.zstd_level.map(|level| level.to_string()));
        set("encodings", self.encodings.clone());
        set("min-input-files", self.min_input_files.map(|files| files.to_string()));
        set("verify", self.verify.clone());
        options
    }
}

/// `[[table]]`: overrides for the tables that match.
#[derive(Debug, Clone, Deserialize)]
pub struct TableSection {
    /// A table name or glob.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The overrides.
    #[serde(flatten)]
    pub policy: Defaults,
}

/// `[[tier]]`: a class of storage.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Data older than this belongs here; the first tier has none.
    pub older_than: Option<String>,
    /// Where its files go.
    pub location: Option<String>,
    /// The store's class for them.
    pub storage_class: Option<String>,
    /// Their ZSTD level.
    pub zstd_level: Option<i32>,
    /// Their encodings.
    pub encodings: Option<String>,
    /// Their size.
    pub target_file_size: Option<String>,
}

/// `[[schedule]]`: what runs when.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// The operation.
    pub run: String,
    /// When, as cron says it.
    pub cron: String,
    /// Tables or globs.
    #[serde(default)]
    pub tables: Vec<String>,
    /// How much a run may take.
    #[serde(default)]
    pub budget: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    catalog: BTreeMap<String, BTreeMap<String, toml::Value>>,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    table: Vec<TableSection>,
    #[serde(default)]
    tier: Vec<Tier>,
    #[serde(default)]
    schedule: Vec<Schedule>,
}

/// Parses and checks a configuration file.
pub(super) fn parse(text: &str, path: &Path) -> Result<Settings> {
    let wrong = |message: String| Error::invalid(format!("{}: {message}", path.display()));
    // The parser's own message names line and column.
    let document: Document = toml::from_str(text).map_err(|e| {
        wrong(e.to_string().trim_end().to_owned())
            .hint("every key is described in the README; all of them may be left out")
    })?;
    let mut catalogs = BTreeMap::new();
    for (name, entries) in document.catalog {
        let mut section = CatalogSection::default();
        for (key, value) in entries {
            flatten(&mut section, &key, value);
        }
        catalogs.insert(name, section);
    }
    let sizes = std::iter::once(&document.defaults)
        .chain(document.table.iter().map(|table| &table.policy))
        .filter_map(|policy| policy.target_file_size.as_deref())
        .chain(document.tier.iter().filter_map(|tier| tier.target_file_size.as_deref()));
    for size in sizes {
        parse_bytes(size).map_err(|e| wrong(e.to_string()))?;
    }
    for table in &document.table {
        globset::Glob::new(&table.pattern)
            .map_err(|e| wrong(format!("[[table]] match = {:?} is no pattern: {e}", table.pattern)))?;
    }
    for (index, tier) in document.tier.iter().enumerate() {
        match (index, &tier.older_than) {
            (0, Some(_)) => return Err(wrong(format!("the first tier, {}, has no age", tier.name))),
            (1.., None) => return Err(wrong(format!("tier {} lacks older-than", tier.name))),
            (_, Some(age)) => {
                days(age).ok_or_else(|| wrong(format!("tier {}: {age:?} is not an age such as 90d", tier.name)))?;
            }
            (0, None) => {}
        }
    }
    Ok(Settings {
        file: Some(path.to_owned()),
        catalogs,
        defaults: document.defaults,
        tables: document.table,
        tiers: document.tier,
        schedules: document.schedule,
    })
}

/// Nested tables become dotted property names: `s3.endpoint` may be written with or without quotes.
fn flatten(section: &mut CatalogSection, key: &str, value: toml::Value) {
    let text = match value {
        toml::Value::Table(inner) => {
            for (name, value) in inner {
                flatten(section, &format!("{key}.{name}"), value);
            }
            return;
        }
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    match key {
        "uri" => section.uri = Some(text),
        "warehouse" => section.warehouse = Some(text),
        _ => {
            section.props.insert(key.to_owned(), text);
        }
    }
}

fn days(text: &str) -> Option<u64> {
    text.strip_suffix('d')?.parse().ok()
}
