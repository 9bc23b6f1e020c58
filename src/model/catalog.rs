//! Where a catalog is and how to talk to it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

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
    /// Locations whose store has properties of its own, such as the bucket of a colder tier.
    pub places: Vec<StoragePlace>,
}

/// A location whose store has properties of its own, over those of the catalog.
#[derive(Clone, PartialEq, Eq)]
pub struct StoragePlace {
    /// Everything below it.
    pub location: String,
    /// Properties by Iceberg's names.
    pub props: BTreeMap<String, String>,
}

impl fmt::Debug for StoragePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoragePlace")
            .field("location", &self.location)
            .field("props", &self.props.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Debug for CatalogSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URI may hold a password and properties may hold keys: only names are shown.
        f.debug_struct("CatalogSettings")
            .field("name", &self.name)
            .field("uri", &self.public_uri())
            .field("props", &self.props.keys().collect::<Vec<_>>())
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl CatalogSettings {
    /// A SQLite catalog in a folder, whose tables lie in that folder too.
    pub fn in_folder(name: &str, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            uri: format!("sqlite://{}/catalog.db", folder.display()),
            warehouse: Some(folder.display().to_string()),
            props: BTreeMap::new(),
            places: Vec::new(),
        }
    }

    /// The URI without user, password and query, for messages.
    pub fn public_uri(&self) -> String {
        let Some((scheme, rest)) = self.uri.split_once("://") else {
            // Not a URI as it should be, but it may still hold a password.
            return self.uri.rsplit_once('@').map_or_else(|| self.uri.clone(), |(_, place)| format!("…@{place}"));
        };
        let rest = rest.split('?').next().unwrap_or_default();
        // In Azure's locations an @ follows the container; elsewhere it ends user and password, whatever they contain.
        let is_container = ["abfs", "abfss", "wasb", "wasbs"].contains(&scheme);
        let rest = if is_container { rest } else { rest.rsplit_once('@').map_or(rest, |(_, place)| place) };
        let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
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
            places: vec![StoragePlace {
                location: "s3://cold/wh".into(),
                props: [("s3.secret-access-key".to_owned(), "hidden".to_owned())].into(),
            }],
        };
        let text = format!("{settings:?}");
        assert!(!text.contains("hidden"), "{text}");
        assert_eq!(settings.public_uri(), "postgresql://db:5432/cat");
        let public = |uri: &str| CatalogSettings { uri: uri.into(), ..settings.clone() }.public_uri();
        assert_eq!(public("postgresql://me:hid/den@db/cat"), "postgresql://db/cat");
        assert_eq!(public("postgresql:/me:hidden@db/cat"), "…@db/cat");
        assert_eq!(public("abfss://box@account.host/x"), "abfss://box@account.host/x");
    }
}
