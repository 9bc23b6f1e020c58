//! Configuration: files and environment become catalog settings and policies. Knows only `model`.
//!
//! Precedence: command line > environment > matching `[[table]]` > table properties > `[defaults]` > built-in.

pub mod budget;
mod file;
pub mod filter;
mod lines;
mod policy;
mod pyiceberg;
mod schedule;
mod tier;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use budget::Budget;
pub use file::{Defaults, TableSection};
pub use policy::{
    ArchiveRequest, PolicyLayers, archive_policy, compact_policy, expire_policy, manifest_policy, orphan_policy,
    tier_places,
};
pub use schedule::{MAINTAIN, Schedule, Serve};
pub use tier::Tier;
pub use units::{Age, Size};

use crate::error::{Error, Result};
use crate::model::{CatalogSettings, StoragePlace, closest};

/// The process environment as a value, so that configuration is a function of what it is given.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// The current folder.
    pub folder: PathBuf,
}

impl Environment {
    /// The environment of this process.
    pub fn from_process() -> Self {
        Self { variables: std::env::vars().collect(), folder: std::env::current_dir().unwrap_or_default() }
    }

    fn home(&self) -> Option<PathBuf> {
        self.variables.get("HOME").map(PathBuf::from)
    }
}

/// A catalog as a configuration file describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CatalogSection {
    pub(crate) uri: Option<String>,
    pub(crate) warehouse: Option<String>,
    pub(crate) props: BTreeMap<String, String>,
}

/// Everything that configuration files say.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The `icewright.toml` that was read, if there is one.
    pub file: Option<PathBuf>,
    pub(crate) catalogs: BTreeMap<String, CatalogSection>,
    pub(crate) defaults: Defaults,
    pub(crate) tables: Vec<TableSection>,
    /// Storage tiers, hottest first.
    pub tiers: Vec<Tier>,
    /// Schedules.
    pub schedules: Vec<Schedule>,
    /// How the scheduler behaves.
    pub serve: Serve,
}

impl Settings {
    /// Reads `icewright.toml` (as named, else from the current folder, else from the user's configuration folder) and
    /// PyIceberg's configuration.
    ///
    /// # Errors
    /// `InvalidInput` with the line for a file that can't be read as configuration.
    pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Self> {
        let found = match named {
            Some(path) => Some(path.to_owned()),
            None => {
                let user = environment
                    .variables
                    .get("XDG_CONFIG_HOME")
                    .map(PathBuf::from)
                    .or_else(|| environment.home().map(|home| home.join(".config")));
                [Some(environment.folder.join("icewright.toml")), user.map(|dir| dir.join("icewright/icewright.toml"))]
                    .into_iter()
                    .flatten()
                    .find(|path| path.is_file())
            }
        };
        let mut settings = match &found {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| {
                    Error::invalid(format!("reading the configuration {} failed", path.display()))
                        .hint("check --config (ICEWRIGHT_CONFIG) and the rights on the file")
                        .caused_by(e)
                })?;
                file::parse(&text, path)?
            }
            None => Self::default(),
        };
        settings.file = found;
        for (name, section) in pyiceberg::catalogs(environment)? {
            settings.catalogs.entry(name).or_insert(section);
        }
        Ok(settings)
    }
}

/// What the command line says about the catalog.
#[derive(Debug, Clone, Default)]
pub struct CatalogChoice<'a> {
    /// A configured name or a URI.
    pub selector: Option<&'a str>,
    /// The name inside a SQL catalog's database.
    pub catalog_name: Option<&'a str>,
    /// The warehouse.
    pub warehouse: Option<&'a str>,
    /// Further properties.
    pub props: BTreeMap<String, String>,
}

/// Resolves the catalog: the one that was named, else the only one that is configured.
///
/// # Errors
/// `InvalidInput` when there is none, or several to choose from.
pub fn catalog(settings: &Settings, choice: &CatalogChoice<'_>) -> Result<CatalogSettings> {
    let names = || settings.catalogs.keys().cloned().collect::<Vec<_>>().join(", ");
    let (name, section) = match choice.selector {
        Some(selector) => match settings.catalogs.get(selector) {
            Some(section) => (selector.to_owned(), section.clone()),
            None if is_uri(selector) => {
                (String::new(), CatalogSection { uri: Some(selector.to_owned()), ..CatalogSection::default() })
            }
            None => {
                let hint = if settings.catalogs.is_empty() {
                    "no catalog is configured: write a URI such as sqlite:///abs/catalog.db".to_owned()
                } else {
                    match closest(selector, settings.catalogs.keys().map(String::as_str)) {
                        Some(close) => format!("did you mean {close}?"),
                        None => format!("configured catalogs: {}", names()),
                    }
                };
                return Err(Error::invalid(format!("there is no catalog {selector:?}")).hint(hint));
            }
        },
        None => {
            let mut all = settings.catalogs.iter();
            match (all.next(), all.next()) {
                (Some((name, section)), None) => (name.clone(), section.clone()),
                (None, _) => {
                    return Err(Error::invalid("no catalog was named, and none is configured").hint(
                        "take --catalog sqlite:///abs/catalog.db, or describe one in icewright.toml: [catalog.lake] uri = \"…\"",
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(Error::invalid("several catalogs are configured and none was named")
                        .hint(format!("choose one with --catalog: {}", names())));
                }
            }
        }
    };
    let mut props = section.props;
    props.extend(choice.props.clone());
    let uri = section
        .uri
        .or_else(|| section.warehouse.clone())
        .ok_or_else(|| Error::invalid(format!("catalog {name} has no uri")).hint("add uri = \"…\" to its section"))?;
    Ok(CatalogSettings {
        name: choice.catalog_name.map_or(name, str::to_owned),
        uri,
        warehouse: choice.warehouse.map(str::to_owned).or(section.warehouse),
        props,
        places: places(settings),
    })
}

/// The locations of tiers that have properties of their own.
fn places(settings: &Settings) -> Vec<StoragePlace> {
    let of_tier = |tier: &Tier| {
        let location = tier.settings.get("location").filter(|_| !tier.props.is_empty())?;
        Some(StoragePlace { location: location.clone(), props: tier.props.clone() })
    };
    settings.tiers.iter().filter_map(of_tier).collect()
}

fn is_uri(text: &str) -> bool {
    text.starts_with('/') || text.split_once(':').is_some_and(|(scheme, _)| scheme.len() > 1)
}

#[cfg(test)]
mod tests;
