//! REST catalogs, by Iceberg's REST specification.
//!
//! The catalog itself applies a change; what it answers is read strictly: 409 is a rejection, other client errors mean that
//! nothing happened, and everything else after sending (5xx, a lost reply) leaves the result unknown (I5).

mod auth;
mod client;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use serde_json::{Value, json};

use super::{Ambient, Catalog, LoadedTable, Store, Swap, TableChange, metadata, similar};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{CatalogSettings, TableName};
use client::{Client, Sent};
use wire::{Config, LoadTable, Namespaces, Tables};

/// What a server sends for a table that is not there.
const NOT_FOUND: u16 = 404;

/// A REST catalog.
pub struct RestCatalog {
    client: Client,
    props: BTreeMap<String, String>,
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
    /// `InvalidInput` for wrong credentials or a server that is no REST catalog, `Unavailable` when it does not answer.
    pub async fn connect(settings: &CatalogSettings, ambient: Arc<Ambient>) -> Result<Self> {
        let shown = settings.public_uri();
        let mut client = Client::new(settings, ambient)?;
        let query: Vec<(&str, String)> = settings.warehouse.iter().map(|w| ("warehouse", w.clone())).collect();
        let config: Config = client.get(&["config"], &query).await.while_doing(|| format!("connecting to {shown}"))?;
        // Defaults are below what the user says, overrides above it.
        let mut props = config.defaults;
        props.extend(settings.props.clone());
        props.extend(config.overrides);
        client.set_prefix(props.get("prefix").map(String::as_str));
        Ok(Self { client, props, shown })
    }

    async fn load(&self, name: &TableName) -> Result<LoadTable> {
        let namespace = client::namespace(&name.namespace);
        self.client.get(&["namespaces", &namespace, "tables", &name.table], &[]).await
    }

    fn loaded(&self, name: &TableName, answer: LoadTable) -> Result<LoadedTable> {
        let location = answer.metadata_location.unwrap_or_default();
        let shown = if location.is_empty() { &self.shown } else { &location };
        let metadata = metadata::typed(shown, &answer.metadata)?;
        let mut props = self.props.clone();
        props.extend(answer.config);
        // Credentials lent for the longest matching prefix win.
        let mut lent: Vec<_> = answer.storage_credentials.into_iter().collect();
        lent.retain(|credential| metadata.location().starts_with(&credential.prefix));
        lent.sort_by_key(|credential| credential.prefix.len());
        props.extend(lent.into_iter().flat_map(|credential| credential.config));
        Ok(LoadedTable {
            name: name.clone(),
            metadata_location: location,
            document: Arc::new(answer.metadata),
            metadata: Arc::new(metadata),
            store: Arc::new(Store::new(props)),
        })
    }

    async fn namespaces(&self) -> Result<Vec<Vec<String>>> {
        let mut found = Vec::new();
        let mut open: Vec<Option<Vec<String>>> = vec![None];
        while let Some(parent) = open.pop() {
            let mut token: Option<String> = None;
            loop {
                let mut query: Vec<(&str, String)> =
                    parent.iter().map(|levels| ("parent", levels.join(client::SEPARATOR))).collect();
                query.extend(token.take().map(|token| ("pageToken", token)));
                let page: Namespaces = self.client.get(&["namespaces"], &query).await?;
                for levels in page.namespaces {
                    // Some servers answer a question for children with everything: each one once.
                    if !found.contains(&levels) {
                        open.push(Some(levels.clone()));
                        found.push(levels);
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
}

#[async_trait]
impl Catalog for RestCatalog {
    async fn list_tables(&self) -> Result<Vec<TableName>> {
        let mut names = Vec::new();
        for levels in self.namespaces().await? {
            let namespace = client::namespace(&levels);
            let mut token: Option<String> = None;
            loop {
                let query: Vec<(&str, String)> = token.take().map(|token| ("pageToken", token)).into_iter().collect();
                let page: Tables = self.client.get(&["namespaces", &namespace, "tables"], &query).await?;
                names.extend(page.identifiers.into_iter().map(|id| TableName::new(id.namespace, id.name)));
                token = page.next_page_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn load_table(&self, name: &TableName) -> Result<LoadedTable> {
        match self.load(name).await {
            Ok(answer) => self.loaded(name, answer),
            Err(error) if client::status(&error) == Some(NOT_FOUND) => {
                Err(similar::unknown_table(name, &self.list_tables().await.unwrap_or_default(), &self.shown))
            }
            Err(error) => Err(error.while_doing(format!("loading table {name}"))),
        }
    }

    async fn create_table(&self, name: &TableName, table: TableMetadata) -> Result<LoadedTable> {
        let namespace = client::namespace(&name.namespace);
        let broken = |e| Error::internal("table metadata can't be written as JSON").caused_by(e);
        match self.client.post(&["namespaces"], &json!({"namespace": name.namespace})).await {
            Sent::Answer(_) | Sent::Refused { status: 409, .. } => {}
            other => return Err(other.into_error()),
        }
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
        match self.client.post(&["namespaces", &namespace, "tables"], &request).await {
            Sent::Answer(answer) => self.loaded(name, wire::parse(answer, &self.shown)?),
            Sent::Refused { status: 409, .. } => {
                Err(Error::invalid(format!("{self} holds a table {name} already")).hint("choose another name"))
            }
            other => Err(other.into_error()),
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
            Sent::Refused { status: 409, message } => Ok(Swap::Rejected { reason: message }),
            Sent::Unknown { reason } => Ok(Swap::Unknown { reason }),
            other => Err(other.into_error()),
        }
    }

    fn default_location(&self, _: &TableName) -> Result<String> {
        // The server chooses.
        Ok(DEFAULT_LOCATION.to_owned())
    }
}

/// Stands for "where the server likes" in metadata of a table to be made.
const DEFAULT_LOCATION: &str = "rest:";

/// An error of a request that was certainly not carried out.
fn refused(status: u16, message: String, shown: &str) -> Error {
    let (kind, hint) = match status {
        401 | 403 => (Kind::InvalidInput, "check the properties token or credential, and the rights behind them"),
        404 => (Kind::InvalidInput, "check the URI, the warehouse and the name"),
        406 | 501 => (Kind::Unsupported, "the catalog does not offer this"),
        419 => (Kind::InvalidInput, "the token has expired: get a new one, or give a credential"),
        429 => (Kind::Unavailable, "the catalog is busy: run again later"),
        _ => (Kind::InvalidInput, "the catalog did not accept the request; its message says why"),
    };
    Error::new(kind, format!("{shown} answered {status}: {message}")).hint(hint)
}

/// The error for a server that did not answer; the address may hold secrets and is left out.
fn no_answer(shown: &str, error: &reqwest::Error) -> Error {
    let mut why = "the request failed".to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        why = inner.to_string();
        cause = inner.source();
    }
    Error::unavailable(format!("{shown} does not answer: {why}"))
        .hint("check the URI, and that the catalog is up; then run again")
}

#[cfg(test)]
mod tests;
