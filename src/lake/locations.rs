//! The places that belong to a table: the only ones that are listed, and the only ones where anything is ever removed.

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;

use super::Location;
use crate::error::{Error, Result};

/// Properties that say where a table's files go, beside its own location.
const ELSEWHERE: [&str; 4] =
    ["write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"];

/// A table's locations: its own, those that its properties name, and those of its storage tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLocations {
    /// Canonical with a final slash → as written without one. None lies below another.
    roots: BTreeMap<String, String>,
}

impl TableLocations {
    /// The locations of a table; `more` are those that configuration adds, such as tiers.
    ///
    /// # Errors
    /// `Unsupported` when one is a whole bucket or file system: everything in there would seem to be the table's.
    pub fn of(metadata: &TableMetadata, more: &[String]) -> Result<Self> {
        let properties = ELSEWHERE.iter().filter_map(|key| metadata.properties().get(*key).map(String::as_str));
        Self::among(std::iter::once(metadata.location()).chain(properties).chain(more.iter().map(String::as_str)))
    }

    /// These locations.
    ///
    /// # Errors
    /// As [`TableLocations::of`].
    pub fn among<'a>(all: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for written in all {
            let location = Location::parse(written)?;
            // An empty name between two slashes is a folder of its own in an object store, and our client can't say it.
            let doubled = location.path.contains("//") || location.path.starts_with('/');
            if location.path.is_empty() || location.has_dots() || doubled {
                return Err(Error::unsupported(format!("{written} is no location of one table alone")).hint(
                    "nothing is removed where a table's folder is a whole bucket, or is written with dots or double slashes",
                ));
            }
            found.insert(format!("{}/", location.canonical()), written.trim_end_matches('/').to_owned());
        }
        let mut roots: BTreeMap<String, String> = BTreeMap::new();
        // In order, an outer location comes right before those inside it.
        for (canonical, written) in found {
            if roots.last_key_value().is_none_or(|(outer, _)| !canonical.starts_with(outer.as_str())) {
                roots.insert(canonical, written);
            }
        }
        Ok(Self { roots })
    }

    /// Whether a file lies below one of them, however its location is written.
    pub fn contains(&self, location: &str) -> bool {
        let Ok(parsed) = Location::parse(location) else { return false };
        !parsed.has_dots() && self.root_of(&parsed.canonical()).is_some()
    }

    /// The locations in canonical form with a final slash, each with how the table writes it.
    pub fn both(&self) -> impl Iterator<Item = (&str, &str)> {
        self.roots.iter().map(|(canonical, written)| (canonical.as_str(), written.as_str()))
    }

    /// Which of them (canonical, with a final slash) a file lies below, by its canonical location.
    pub fn root_of(&self, canonical: &str) -> Option<&str> {
        self.canonical().find(|root| canonical.len() > root.len() && canonical.starts_with(root))
    }

    /// A location that this table shares with another one, or that lies inside one of the other's, or around it.
    pub fn overlap<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a str)> {
        self.roots.iter().find_map(|(mine, written)| {
            let hit = other.roots.iter().find(|(theirs, _)| mine.starts_with(*theirs) || theirs.starts_with(mine))?;
            Some((written.as_str(), hit.1.as_str()))
        })
    }

    /// The locations as the table writes them, without those that lie inside another.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.roots.values().map(String::as_str)
    }

    /// The locations in canonical form with a final slash, for comparing tables with one another.
    pub fn canonical(&self) -> impl Iterator<Item = &str> {
        self.roots.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(location: &str, properties: &serde_json::Value) -> TableMetadata {
        serde_json::from_value(json!({
            "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": location,
            "last-sequence-number": 0, "last-updated-ms": 100, "last-column-id": 1, "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": []}], "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}], "properties": properties,
        }))
        .unwrap()
    }

    #[test]
    fn should_know_its_own_places_and_no_others() {
        let table = metadata(
            "s3a://lake/db/t/",
            &json!({"write.data.path": "s3://fast/t", "write.metadata.path": "s3://lake/db/t/meta"}),
        );
        let places = TableLocations::of(&table, &["s3://cold/db/t".to_owned()]).unwrap();
        assert_eq!(places.written().collect::<Vec<_>>(), ["s3://cold/db/t", "s3://fast/t", "s3a://lake/db/t"]);
        for inside in ["s3://lake/db/t/data/x.parquet", "s3n://fast/t/x", "s3://cold/db/t/a/b"] {
            assert!(places.contains(inside), "{inside}");
        }
        for outside in ["s3://lake/db/t", "s3://lake/db/t2/x", "s3://lake/db/t/../u/x", "s3://other/db/t/x", "nonsense"]
        {
            assert!(!places.contains(outside), "{outside}");
        }
    }

    #[test]
    fn should_refuse_a_table_that_would_own_everything() {
        for whole in ["s3://lake", "/", "file:///", "/lake/../t", "s3://lake//t", "s3://lake/a//t"] {
            assert!(TableLocations::of(&metadata(whole, &json!({})), &[]).is_err(), "{whole}");
        }
    }
    #[test]
    fn should_see_tables_that_share_or_nest() {
        let of = |location: &str, properties: &serde_json::Value| {
            TableLocations::of(&metadata(location, properties), &[]).unwrap()
        };
        let table = of("s3://lake/db/t", &json!({"write.data.path": "s3://fast/t"}));
        for other in ["s3a://lake/db/t", "s3://lake/db", "s3n://lake/db/t/inner", "s3://fast/t/x"] {
            assert!(table.overlap(&of(other, &json!({}))).is_some(), "{other}");
            assert!(of(other, &json!({})).overlap(&table).is_some(), "{other}");
        }
        for other in ["s3://lake/db/t2", "s3://lake/db2", "/lake/db/t", "s3://cold/db/t"] {
            assert_eq!(table.overlap(&of(other, &json!({}))), None, "{other}");
        }
    }
}
