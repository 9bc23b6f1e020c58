//! Table names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A table's name: a namespace of one or more levels, and the table's own name. Written `db.t` or `a.b.t`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    /// Namespace levels, outermost first; never empty.
    pub namespace: Vec<String>,
    /// The table's own name.
    pub table: String,
}

impl TableName {
    /// Joins a namespace and a table name.
    pub fn new(namespace: impl IntoIterator<Item = impl Into<String>>, table: impl Into<String>) -> Self {
        Self { namespace: namespace.into_iter().map(Into::into).collect(), table: table.into() }
    }

    /// Parses `db.t`; the last dot separates the table from its namespace.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind::InvalidInput) when a level is empty or there is no namespace.
    pub fn parse(text: &str) -> Result<Self> {
        let mut levels: Vec<String> = text.split('.').map(str::to_owned).collect();
        let table = levels.pop().unwrap_or_default();
        if table.is_empty() || levels.is_empty() || levels.iter().any(String::is_empty) {
            return Err(Error::invalid(format!("{text:?} is not a table name"))
                .hint("write the namespace and the table, as in --table db.events"));
        }
        Ok(Self { namespace: levels, table })
    }

    /// The namespace with its levels joined by dots.
    pub fn namespace_text(&self) -> String {
        self.namespace.join(".")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace.join("."), self.table)
    }
}

impl TryFrom<String> for TableName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}
