//! Where a catalog is and how to talk to it.

use std::collections::BTreeMap;
use std::fmt;

/// A resolved catalog configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogSettings {
    /// Its name: in the configuration, and inside a SQL catalog's database when it holds several. Empty when unknown.
    pub name: String,
    /// `sqlite:///abs/catalog.db`, `postgresql://…`, `http(s)://…`, `file:///warehouse`, `s3://warehouse`.
    pub uri: String,
    /// Where new tables go.
    pub warehouse: Option<String>,
    /// Everything else by Iceberg's names.
    pub props: BTreeMap<String, String>,
}

impl fmt::Debug for CatalogSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URI may hold a password and properties may hold keys: only names are shown.
        f.debug_struct("CatalogSettings")
            .field("name", &self.name)
            .field("uri", &self.public_uri())
            .field("props", &self.props.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl CatalogSettings {
    /// The URI without user, password and query, for messages.
    pub fn public_uri(&self) -> String {
        let Some((scheme, rest)) = self.uri.split_once("://") else {
            return self.uri.clone();
        };
        let rest = rest.split('?').next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
        let host = authority.rsplit('@').next().unwrap_or_default();
        path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_never_show_a_secret() {
        let settings = CatalogSettings {
            name: "lake".into(),
            uri: "postgresql://me:hidden@db:5432/cat?sslpassword=hidden".into(),
            warehouse: None,
            props: [("s3.secret-access-key".to_owned(), "hidden".to_owned())].into(),
        };
        let text = format!("{settings:?}");
        assert!(!text.contains("hidden"), "{text}");
        assert_eq!(settings.public_uri(), "postgresql://db:5432/cat");
    }
}
