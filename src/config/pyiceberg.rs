//! PyIceberg's own configuration: `.pyiceberg.yaml` and `PYICEBERG_CATALOG__…` variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_norway::Value;

use super::{CatalogSection, Environment};
use crate::error::{Error, Result};

const FILE: &str = ".pyiceberg.yaml";
const PREFIX: &str = "pyiceberg_catalog__";

/// Catalogs that PyIceberg would know; variables win over the file.
pub(super) fn catalogs(environment: &Environment) -> Result<BTreeMap<String, CatalogSection>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    // PyIceberg looks into $PYICEBERG_HOME, the home folder and the current folder, and takes the first file.
    let folders: [Option<PathBuf>; 3] = [
        environment.variables.get("PYICEBERG_HOME").map(PathBuf::from),
        environment.home(),
        Some(environment.folder.clone()),
    ];
    if let Some(path) = folders.into_iter().flatten().map(|folder| folder.join(FILE)).find(|path| path.is_file()) {
        let wrong = |e: String| Error::invalid(format!("{} can't be read: {e}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let document: Value = serde_norway::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if let Some(Value::Mapping(catalogs)) = document.get("catalog") {
            for (name, entries) in catalogs {
                if let (Some(name), Value::Mapping(_)) = (name.as_str(), entries) {
                    flatten(found.entry(name.to_ascii_lowercase()).or_default(), "", entries);
                }
            }
        }
    }
    for (variable, value) in &environment.variables {
        let variable = variable.to_ascii_lowercase();
        if let Some(rest) = variable.strip_prefix(PREFIX)
            && let Some((name, key)) = rest.split_once("__")
        {
            // Two underscores separate levels, one stands for a hyphen; in a catalog's name as well.
            let key = key.replace("__", ".").replace('_', "-");
            found.entry(name.replace('_', "-")).or_default().insert(key, value.clone());
        }
    }
    Ok(found.into_iter().map(|(name, props)| (name, section(props, environment))).collect())
}

/// Nested mappings become dotted property names (`ssl: {cabundle: …}` is `ssl.cabundle`); keys are lower case.
fn flatten(into: &mut BTreeMap<String, String>, key: &str, value: &Value) {
    let text = match value {
        Value::Mapping(entries) => {
            for (name, value) in entries {
                if let Some(name) = name.as_str().map(str::to_ascii_lowercase) {
                    let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                    flatten(into, &key, value);
                }
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Null | Value::Sequence(_) | Value::Tagged(_) => return,
    };
    into.insert(key.to_owned(), text);
}

fn section(mut props: BTreeMap<String, String>, environment: &Environment) -> CatalogSection {
    let uri = props.remove("uri").map(|uri| from_sqlalchemy(&uri, environment));
    // Without an address the type says what it is: a warehouse alone must not be taken for a folder of tables.
    let by_type = |kind: &String| (kind != "rest" && kind != "sql").then(|| format!("{kind}:"));
    let uri = uri.or_else(|| props.get("type").and_then(by_type));
    CatalogSection { uri, warehouse: props.remove("warehouse"), props }
}

/// SQLAlchemy's URIs: three slashes are a relative SQLite path, four an absolute one; drivers follow a plus sign.
fn from_sqlalchemy(uri: &str, environment: &Environment) -> String {
    if let Some(rest) = uri.strip_prefix("sqlite:///").or_else(|| uri.strip_prefix("sqlite+pysqlite:///")) {
        let path = if rest.starts_with('/') { PathBuf::from(rest) } else { environment.folder.join(rest) };
        return format!("sqlite:///{}", path.display().to_string().trim_start_matches('/'));
    }
    match uri.split_once("://") {
        Some((scheme, rest)) if matches!(scheme.split('+').next(), Some("postgresql" | "postgres")) => {
            format!("postgresql://{rest}")
        }
        _ => uri.to_owned(),
    }
}
