//! REST catalogs, by Iceberg's REST specification.
//!
//! The catalog itself applies a change; what it answers is read strictly: 409 is a rejection, other client errors mean that
//! nothing happened, and everything else after sending (5xx, a lost reply) leaves the result unknown (I5).

mod answer;
mod auth;
mod client;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::spec::TableMetadata;
use serde_json::{Value, json};

use super::{Ambient, Catalog, LoadedTable, Props, Store, Swap, TableChange, metadata, similar};
use crate::error::{Context, Error, Result};
use crate::model::{CatalogSettings, TableName};
use client::{Client, Failed, Sent};
use wire::{Config, LoadTable, Namespaces, Tables};

/// What a server sends for a table or namespace that is not there.
const NOT_FOUND: u16 = 404;
/// What a server sends when somebody else was first.
const CONFLICT: u16 = 409;
/// Namespaces whose tables are listed at the same time.
const SIDE_BY_SIDE: usize = 8;

/// A REST catalog.
pub struct RestCatalog {
    client: Client,
    store: Arc<Store>,
    /// What was lent for a table, and the store that was opened with it: the same loan opens no new clients.
    lent: Mutex<HashMap<TableName, (Props, Arc<Store>)>>,
    shown: String,
}

impl fmt::Debug for RestCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestCatalog({})", self.shown)
    }
}

impl fmt::Display for RestCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REST catalog {}", self.shown)
    }
}

impl RestCatalog {
    /// Connects: asks for the server's configuration, and for a token where credentials are given.
    ///
    /// # Errors
    /// `InvalidInput` for wrong credentials or a server that is no REST catalog, `Unsupported` for a way to
    /// authenticate that is not built in, `Unavailable` when it does not answer.
    pub async fn connect(settings: &CatalogSettings, ambient: Arc<Ambient>) -> Result<Self> {
        let shown = settings.public_uri();
        let mut client = Client::new(settings, ambient)?;
        let query: Vec<(&str, String)> = settings.warehouse.iter().map(|w| ("warehouse", w.clone())).collect();
        let answer = client.get(&["config"], &query).await.map_err(Error::from);
        let config: Config = answer.while_doing(|| format!("connecting to {shown}"))?;
        // Defaults are below what the user says, overrides above it.
        let mut props = config.defaults;
        props.remove("uri");
        props.extend(settings.props.clone());
        props.extend(config.overrides);
        client.configure(&props)?;
        Ok(Self {
            client,
            store: Arc::new(Store::new(props).with_places(settings.places.iter().cloned())?),
            lent: Mutex::default(),
            shown,
        })
    }

    fn loaded(&self, name: &TableName, answer: LoadTable) -> Result<LoadedTable> {
        let location = answer.metadata_location.unwrap_or_default();
        let shown = if location.is_empty() { &self.shown } else { &location };
        let metadata = metadata::typed(shown, &answer.metadata)?;
        let mut props = answer.config;
        // Credentials lent for the longest matching prefix win.
        let mut lent = answer.storage_credentials;
        lent.retain(|credential| metadata.location().starts_with(&credential.prefix));
        lent.sort_by_key(|credential| credential.prefix.len());
        props.extend(lent.into_iter().flat_map(|credential| credential.config));
        Ok(LoadedTable {
            name: name.clone(),
            metadata_location: location,
            document: Arc::new(answer.metadata),
            metadata: Arc::new(metadata),
            store: self.store_with(name, props),
        })
    }

    fn store_with(&self, name: &TableName, props: Props) -> Arc<Store> {
        if props.is_empty() {
            return self.store.clone();
        }
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        match lent.get(name) {
            Some((known, store)) if *known == props => store.clone(),
            _ => {
                let store = Arc::new(self.store.with_props(props.clone()));
                lent.insert(name.clone(), (props, store.clone()));
                store
            }
        }
    }

    /// All namespaces of all levels.
    async fn namespaces(&self) -> Result<BTreeSet<Vec<String>>> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Option<Vec<String>>> = vec![None];
        while let Some(parent) = open.pop() {
            let mut token: Option<String> = None;
            loop {
                let mut query: Vec<(&str, String)> =
                    parent.iter().map(|levels| ("parent", client::namespace(levels))).collect();
                query.extend(token.take().map(|token| ("pageToken", token)));
                let page: Namespaces = match self.client.get(&["namespaces"], &query).await {
                    Ok(page) => page,
                    // Gone since it was listed, or a catalog whose namespaces have one level.
                    Err(Failed::Refused(no)) if parent.is_some() && matches!(no.status, 400 | 404..=406 | 501) => break,
                    Err(failed) => return Err(failed.into()),
                };
                for levels in page.namespaces {
                    // Some servers answer a question for children with everything: each one once.
                    if found.insert(levels.clone()) {
                        open.push(Some(levels));
                    }
                }
                token = page.next_page_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The tables of one namespace; none when it is not there.
    async fn tables_in(&self, levels: &[String]) -> Result<Vec<TableName>> {
        let namespace = client::namespace(levels);
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let query: Vec<(&str, String)> = token.take().map(|token| ("pageToken", token)).into_iter().collect();
            let page: Tables = match self.client.get(&["namespaces", &namespace, "tables"], &query).await {
                Ok(page) => page,
                Err(Failed::Refused(no)) if no.status == NOT_FOUND => return Ok(names),
                Err(failed) => return Err(failed.into()),
            };
            names.extend(page.identifiers.into_iter().map(|id| TableName::new(id.namespace, id.name)));
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// The error for a table that is not there; names of its own namespace are looked at first.
    async fn unknown_table(&self, name: &TableName) -> Error {
        let shown = self.to_string();
        let known = match self.tables_in(&name.namespace).await {
            Ok(near) if !near.is_empty() => Ok(near),
            Ok(_) | Err(_) => self.list_tables().await,
        };
        match known {
            Ok(known) => similar::unknown_table(name, &known, &shown),
            Err(_) => Error::invalid(format!("there is no table {name} in {shown}")).hint("check the name"),
        }
    }
}

#[async_trait]
impl Catalog for RestCatalog {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        let doing = || format!("listing the tables of {self}");
        let namespaces = self.namespaces().await.while_doing(doing)?;
        let lists: Vec<Vec<TableName>> = stream::iter(namespaces)
            .map(|levels| async move { self.tables_in(&levels).await })
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await
            .while_doing(doing)?;
        let mut names: Vec<TableName> = lists.into_iter().flatten().collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        let namespace = client::namespace(&name.namespace);
        let doing = || format!("loading table {name}");
        match self.client.get(&["namespaces", &namespace, "tables", &name.table], &[]).await {
            Ok(answer) => self.loaded(name, answer).while_doing(doing),
            Err(Failed::Refused(no)) if no.status == NOT_FOUND => Err(self.unknown_table(name).await),
            Err(failed) => Err(Error::from(failed).while_doing(doing())),
        }
    }

    async fn create_table(&self, name: &TableName, table: TableMetadata) -> Result<LoadedTable> {
        let doing = || format!("creating table {name}");
        // Some servers want every outer namespace to be there first.
        for depth in 1..=name.namespace.len() {
            match self.client.post(&["namespaces"], &json!({"namespace": name.namespace[..depth]})).await {
                Sent::Refused(no) if no.status == CONFLICT => {}
                other => {
                    other.answer().while_doing(doing)?;
                }
            }
        }
        let broken = |e| Error::internal("table metadata can't be written as JSON").caused_by(e);
        let document = serde_json::to_value(&table).map_err(broken)?;
        let mut request = json!({
            "name": name.table,
            "schema": serde_json::to_value(table.current_schema().as_ref()).map_err(broken)?,
            "partition-spec": serde_json::to_value(table.default_partition_spec().as_ref()).map_err(broken)?,
            "properties": document.get("properties").cloned().unwrap_or_else(|| json!({})),
        });
        request["properties"]["format-version"] = json!((table.format_version() as u8).to_string());
        if !table.location().is_empty() && table.location() != DEFAULT_LOCATION {
            request["location"] = json!(table.location());
        }
        let namespace = client::namespace(&name.namespace);
        match self.client.post(&["namespaces", &namespace, "tables"], &request).await {
            Sent::Refused(no) if no.status == CONFLICT => {
                Err(Error::invalid(format!("{self} holds a table {name} already")).hint("choose another name"))
            }
            other => {
                let answer = other.answer().while_doing(doing)?;
                self.loaded(name, wire::parse(answer, &self.shown)?).while_doing(doing)
            }
        }
    }

    async fn commit(&self, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        let namespace = client::namespace(&base.name.namespace);
        let broken = |e| Error::internal("a commit can't be written as JSON").caused_by(e);
        let request = json!({
            "identifier": {"namespace": base.name.namespace, "name": base.name.table},
            "requirements": serde_json::to_value(&change.requirements).map_err(broken)?,
            "updates": serde_json::to_value(&change.updates).map_err(broken)?,
        });
        match self.client.post(&["namespaces", &namespace, "tables", &base.name.table], &request).await {
            Sent::Answer(answer) => {
                let location = answer.get("metadata-location").and_then(Value::as_str).unwrap_or_default();
                Ok(Swap::Committed { metadata_location: location.to_owned() })
            }
            Sent::Refused(no) if no.status == CONFLICT => Ok(Swap::Rejected { reason: no.message }),
            Sent::Refused(no) => Err(Error::from(no).while_doing(format!("committing to table {}", base.name))),
            Sent::Unreached(error) => Err(error.while_doing(format!("committing to table {}", base.name))),
            Sent::Unknown { reason } => Ok(Swap::Unknown { reason }),
        }
    }

    fn default_location(&self, _: &TableName) -> Result<String> {
        // The server chooses.
        Ok(DEFAULT_LOCATION.to_owned())
    }
}

/// Stands for "where the server likes" in metadata of a table to be made.
const DEFAULT_LOCATION: &str = "rest:";

#[cfg(test)]
mod tests;
