//! What goes over the wire.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::{Error, Result};

#[derive(Debug, Deserialize)]
pub(super) struct Config {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) defaults: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) overrides: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Namespaces {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) namespaces: Vec<Vec<String>>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Identifier {
    pub(super) namespace: Vec<String>,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Tables {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) identifiers: Vec<Identifier>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StorageCredential {
    pub(super) prefix: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) config: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LoadTable {
    pub(super) metadata_location: Option<String>,
    /// Kept as it is (I12).
    pub(super) metadata: Value,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) config: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) storage_credentials: Vec<StorageCredential>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) access_token: String,
    pub(super) expires_in: Option<u64>,
}

/// Some servers send `null` where there is nothing to say.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> std::result::Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// An answer in the form that was expected.
pub(super) fn parse<T: DeserializeOwned>(answer: Value, shown: &str) -> Result<T> {
    serde_json::from_value(answer).map_err(|e| {
        Error::invalid(format!("{shown} does not answer as a REST catalog does"))
            .hint("check the URI: it is the part before /v1")
            .caused_by(e)
    })
}
