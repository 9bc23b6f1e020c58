//! From layers of options to validated policies: one file an operation.

mod archive;
mod arrange;
mod compact;
mod expire;
mod manifests;
mod orphans;

use std::collections::{BTreeMap, HashMap};

use globset::Glob;

use super::{Defaults, Settings, TableSection};
use crate::error::{Context, Error, Result};
use crate::model::{Filter, TableName, parse_age, parse_bytes};

pub use archive::{ArchiveRequest, archive_policy, tier_places};
pub use compact::compact_policy;
pub use expire::expire_policy;
pub use manifests::manifest_policy;
pub use orphans::orphan_policy;

/// Everything that may say something about a table's policy.
#[derive(Debug)]
pub struct PolicyLayers<'a> {
    /// Command line and environment, by Iceberg's names.
    pub options: &'a BTreeMap<String, String>,
    /// `--where`.
    pub filter: Option<Filter>,
    /// Configuration files.
    pub settings: &'a Settings,
    /// The table.
    pub table: &'a TableName,
    /// Its properties.
    pub properties: &'a HashMap<String, String>,
}

/// Options by name.
type Options = BTreeMap<String, String>;

/// What the layers say together: the defaults, the table's properties over them, its section over those, and the
/// command line over all. `of_section` and `of_properties` pick what is of interest to one operation.
fn layered(
    layers: &PolicyLayers<'_>,
    of_section: fn(&Defaults) -> Options,
    of_properties: fn(&HashMap<String, String>) -> Options,
) -> Result<BTreeMap<String, Given>> {
    let section = most_specific(&layers.settings.tables, layers.table)?;
    let mut options: BTreeMap<String, Given> = BTreeMap::new();
    let mut lay = |layer: Options, rank: u8, from: &str| {
        options.extend(layer.into_iter().map(|(key, value)| (key, Given { value, rank, from: from.to_owned() })));
    };
    lay(of_section(&layers.settings.defaults), 1, "[defaults] in the configuration");
    lay(of_properties(layers.properties), 2, "the table's own properties");
    if let Some(section) = section {
        lay(of_section(&section.policy), 3, &format!("[[table]] {:?} in the configuration", section.pattern));
    }
    lay(layers.options.clone(), 4, "");
    Ok(options)
}

/// A value, and where it comes from; empty for the command line and the environment.
struct Given {
    value: String,
    /// Values of a higher rank win; built-in ones have 0.
    rank: u8,
    from: String,
}

impl Given {
    fn in_context<T>(&self, result: Result<T>) -> Result<T> {
        if self.from.is_empty() { result } else { result.while_doing(|| format!("following {}", self.from)) }
    }
}

/// The matching section that says most about the name: the one with the most characters that are no wildcard.
fn most_specific<'a>(sections: &'a [TableSection], table: &TableName) -> Result<Option<&'a TableSection>> {
    let name = table.to_string();
    let mut best: Option<(usize, &TableSection)> = None;
    for section in sections {
        let glob = Glob::new(&section.pattern)
            .map_err(|e| Error::invalid(format!("{:?} is no table pattern", section.pattern)).caused_by(e))?;
        if !glob.compile_matcher().is_match(&name) {
            continue;
        }
        let weight = section.pattern.chars().filter(|c| !"*?[]{}".contains(*c)).count();
        match best {
            Some((known, other)) if known == weight => {
                return Err(Error::invalid(format!(
                    "[[table]] {:?} and {:?} match {name} equally well",
                    other.pattern, section.pattern
                ))
                .hint("make one of the patterns more specific"));
            }
            Some((known, _)) if known > weight => {}
            _ => best = Some((weight, section)),
        }
    }
    Ok(best.map(|(_, section)| section))
}

fn wrong(key: &str, value: &str, want: &str) -> Error {
    Error::invalid(format!("{value:?} is no value for {key}")).hint(format!("{key} is {want}"))
}

fn size(key: &str, value: &str) -> Result<u64> {
    parse_bytes(value).map_err(|_| wrong(key, value, "a size such as 512MiB, or a number of bytes"))
}

fn number(key: &str, value: &str) -> Result<u64> {
    value.trim().parse().map_err(|_| wrong(key, value, "a whole number"))
}

/// Milliseconds of `5d`, `2h`, or, as Iceberg's properties have it, a plain number of milliseconds with `ms`.
fn age(key: &str, value: &str) -> Result<u64> {
    if let Some(number) = value.trim().strip_suffix("ms") {
        return number.trim().parse().map_err(|_| wrong(key, value, "a number of milliseconds"));
    }
    let age = parse_age(value).map_err(|_| wrong(key, value, "a time span such as 5d or 12h"))?;
    Ok(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(key, value, "true or false")),
    }
}
