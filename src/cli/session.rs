//! A resolved request: configuration read, catalog connected, resources settled.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use globset::GlobBuilder;

use super::args::{ArchiveOptions, ExpireOptions, Global, ManifestOptions, RewriteOptions, Tables};
use super::ending::Aftermath;
use crate::config::{self, ArchiveRequest, Environment, PolicyLayers, Settings};
use crate::error::{Error, Result};
use crate::executor::ExecutorSettings;
use crate::lake::{Ambient, Spill, connect};
use crate::maintenance::Maintenance;
use crate::model::{
    ArchivePolicy, CatalogSettings, CompactPolicy, ExpirePolicy, Filter, MIB, ManifestPolicy, TableName, Tier,
    parse_bytes,
};
use crate::telemetry::{Progress, process};

/// Memory budget when nothing is said.
const DEFAULT_MEMORY: u64 = 512 * MIB;

/// What a verb that works on tables needs.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) maintenance: Maintenance,
    pub(super) settings: Settings,
    pub(super) json: bool,
    pub(super) aftermath: Aftermath,
}

impl Session {
    /// Reads the configuration and connects the catalog.
    pub(super) async fn open(global: &Global) -> Result<Self> {
        Self::open_with(global, Arc::new(Ambient::system())).await
    }

    /// The same under another clock.
    pub(super) async fn open_with(global: &Global, ambient: Arc<Ambient>) -> Result<Self> {
        let settings = settings(global)?;
        let catalog = catalog_settings(global, &settings)?;
        let aftermath = Aftermath::new(global, &ambient)?;
        let catalog = connect(&catalog, ambient.clone()).await?;
        let maintenance =
            Maintenance { catalog, ambient, resources: resources(global)?, progress: Arc::new(Progress::default()) };
        Ok(Self { maintenance, settings, json: global.json, aftermath })
    }

    /// The tables that were asked for, sorted, each once.
    pub(super) async fn tables(&self, asked: &Tables) -> Result<Vec<TableName>> {
        if asked.table.is_empty() && !asked.all {
            return Err(Error::invalid("no table was named").hint("name one with --table db.t, or take --all"));
        }
        let is_glob = |text: &str| text.contains(['*', '?', '[', '{']);
        let mut names = Vec::new();
        for text in asked.table.iter().filter(|text| !is_glob(text)) {
            names.push(TableName::parse(text)?);
        }
        if asked.all || asked.table.iter().any(|text| is_glob(text)) {
            let listed = self.maintenance.catalog.list_tables().await?;
            if asked.all {
                names.extend(listed.iter().cloned());
            }
            for text in asked.table.iter().filter(|text| is_glob(text)) {
                let glob = GlobBuilder::new(text)
                    .build()
                    .map_err(|e| Error::invalid(format!("{text:?} is not a table pattern")).caused_by(e))?
                    .compile_matcher();
                let before = names.len();
                names.extend(listed.iter().filter(|name| glob.is_match(name.to_string())).cloned());
                if names.len() == before {
                    return Err(Error::invalid(format!("no table matches {text:?}"))
                        .hint("`icewright inspect --all` lists the tables of the catalog"));
                }
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The policy of a table: command line and environment over its own section, its properties, and the defaults.
    pub(super) fn policy(
        &self,
        options: &RewriteOptions,
        table: &TableName,
        properties: &HashMap<String, String>,
    ) -> Result<CompactPolicy> {
        let (given, filter) = read_options(options)?;
        config::compact_policy(&PolicyLayers { options: &given, filter, settings: &self.settings, table, properties })
    }

    /// How tables are maintained, with temporary files where the options want them.
    pub(super) fn maintenance_with(&self, options: &RewriteOptions) -> Result<Maintenance> {
        let mut maintenance = self.maintenance.clone();
        let dir = options.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        let limit = options.spill_limit.as_deref().map(parse_bytes).transpose()?.unwrap_or(Spill::LIMIT);
        maintenance.resources.spill = Spill::new(dir, limit);
        if options.spill_dir.is_some() {
            // Known before a sort has worked for an hour.
            maintenance.resources.spill.file()?;
        }
        Ok(maintenance)
    }

    /// The policy of rewriting a table's manifests, from the same layers.
    pub(super) fn manifest_policy(
        &self,
        options: &ManifestOptions,
        table: &TableName,
        properties: &HashMap<String, String>,
    ) -> Result<ManifestPolicy> {
        let (options, settings) = (options.given(), &self.settings);
        config::manifest_policy(&PolicyLayers { options: &options, filter: None, settings, table, properties })
    }

    /// The policy of a table's expiry, from the same layers.
    pub(super) fn expire_policy(
        &self,
        options: &ExpireOptions,
        table: &TableName,
        properties: &HashMap<String, String>,
    ) -> Result<ExpirePolicy> {
        let options = options.given().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.expire_policy_by(&options, table, properties)
    }

    /// The same, from options by name.
    pub(super) fn expire_policy_by(
        &self,
        options: &BTreeMap<String, String>,
        table: &TableName,
        properties: &HashMap<String, String>,
    ) -> Result<ExpirePolicy> {
        let settings = &self.settings;
        config::expire_policy(&PolicyLayers { options, filter: None, settings, table, properties })
    }

    /// Where a table's data belongs, by the same layers.
    pub(super) fn archive_policy(
        &self,
        asked: &ArchiveOptions,
        options: &RewriteOptions,
        table: &TableName,
        properties: &HashMap<String, String>,
    ) -> Result<ArchivePolicy> {
        let (given, filter) = read_options(options)?;
        let layers = PolicyLayers { options: &given, filter, settings: &self.settings, table, properties };
        let request = ArchiveRequest {
            to: asked.to.clone(),
            allow_offline: asked.allow_offline,
            ignore_cost: asked.ignore_cost,
            time_column: asked.time_column.clone(),
        };
        config::archive_policy(&layers, &request)
    }
}

/// Options by Iceberg's names, and the row filter.
fn read_options(options: &RewriteOptions) -> Result<(BTreeMap<String, String>, Option<Filter>)> {
    let mut given: BTreeMap<String, String> =
        options.given().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for pair in &options.more {
        let (name, value) = key_value(pair, "--option")?;
        given.insert(name, value);
    }
    let filter = options.filter.as_deref().map(config::filter::parse).transpose()?;
    Ok((given, filter))
}

impl Session {
    /// The configured tiers, as they are without any table's own wishes.
    pub(super) fn tiers(&self) -> Result<Vec<Tier>> {
        if self.settings.tiers.is_empty() {
            return Ok(Vec::new());
        }
        let request = config::ArchiveRequest { allow_offline: true, ..config::ArchiveRequest::default() };
        of_no_table(&self.settings, |layers| Ok(config::archive_policy(layers, &request)?.tiers))
    }

    /// Storage classes by tier, where one is configured.
    pub(super) fn tier_classes(&self) -> Result<BTreeMap<String, String>> {
        Ok(self.tiers()?.into_iter().filter_map(|tier| Some((tier.name, tier.storage_class?))).collect())
    }
}

/// What the configuration says as long as no table, flag or property says otherwise.
pub(super) fn of_no_table<T>(settings: &Settings, policy: impl FnOnce(&PolicyLayers<'_>) -> Result<T>) -> Result<T> {
    let (options, properties, table) = (BTreeMap::new(), HashMap::new(), TableName::new(["*"], "*"));
    policy(&PolicyLayers { options: &options, filter: None, settings, table: &table, properties: &properties })
}

/// Reads the configuration files.
pub(super) fn settings(global: &Global) -> Result<Settings> {
    Settings::load(global.config.as_deref(), &Environment::from_process())
}

/// The catalog that was asked for.
pub(super) fn catalog_settings(global: &Global, settings: &Settings) -> Result<CatalogSettings> {
    let mut props = BTreeMap::new();
    for pair in global.prop.iter().filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = key_value(pair, "--prop")?;
        props.insert(name, value);
    }
    config::catalog(
        settings,
        &config::CatalogChoice {
            selector: global.catalog.as_deref(),
            catalog_name: global.catalog_name.as_deref(),
            warehouse: global.warehouse.as_deref(),
            props,
        },
    )
}

/// Memory and workers.
pub(super) fn resources(global: &Global) -> Result<ExecutorSettings> {
    let memory = match &global.memory {
        Some(text) => parse_bytes(text)?,
        // A quarter of a small container is left to the runtime, the catalog client and the kernel's page tables.
        None => process::memory_limit().map_or(DEFAULT_MEMORY, |limit| DEFAULT_MEMORY.min(limit / 4 * 3)),
    };
    let workers = global.workers.unwrap_or_else(process::processors);
    if workers == 0 {
        return Err(Error::invalid("--workers is 0").hint("leave it out to use every processor"));
    }
    Ok(ExecutorSettings::new(memory, workers))
}

fn key_value(pair: &str, flag: &str) -> Result<(String, String)> {
    // The value may be a secret: it is not repeated.
    let (name, value) = pair
        .split_once('=')
        .ok_or_else(|| Error::invalid(format!("{flag} wants key=value")).hint(format!("as in {flag} name=value")))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
