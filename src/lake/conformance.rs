//! What every catalog must do, as a check that runs against a live one. For implementers of [`Catalog`], and for tests.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{FormatVersion, NestedField, PrimitiveType, Schema, TableMetadata, TableMetadataBuilder, Type};
use iceberg::{TableCreation, TableRequirement, TableUpdate};

use super::{Catalog, LoadedTable, Swap, TableChange};
use crate::error::{Error, Kind, Result};
use crate::model::TableName;

/// How many commits race for one base.
const RACERS: usize = 8;

/// Creates table `name` and tries everything that the committer relies on.
///
/// # Errors
/// `Internal` naming the promise that was broken; whatever else the catalog says.
pub async fn check(catalog: &Arc<dyn Catalog>, name: &TableName) -> Result<()> {
    let missing = catalog.load_table(name).await.err().map(|error| error.kind());
    promise(missing == Some(Kind::InvalidInput), "a missing table is wrong input")?;
    let made = catalog.create_table(name, metadata(catalog.as_ref(), name)?).await?;
    let again = catalog.create_table(name, metadata(catalog.as_ref(), name)?).await;
    promise(again.is_err_and(|error| error.kind() == Kind::InvalidInput), "a table is made once")?;
    promise(catalog.list_tables().await?.contains(name), "a table is listed")?;
    let loaded = catalog.load_table(name).await?;
    promise(loaded.metadata.uuid() == made.metadata.uuid(), "a table is loaded as it was made")?;
    promise(loaded.store.head(&loaded.metadata_location).await?.is_some(), "its metadata file is in the store")?;

    let done = catalog.commit(&loaded, &set(&loaded, "one", "1")).await?;
    promise(matches!(done, Swap::Committed { .. }), "a commit on the newest metadata is accepted")?;
    let fresh = catalog.load_table(name).await?;
    promise(property(&fresh, "one") == Some("1"), "a commit is seen at once")?;
    promise(fresh.metadata_location != loaded.metadata_location, "a commit makes a new metadata file")?;
    promise(fresh.metadata.metadata_log().len() > loaded.metadata.metadata_log().len(), "the old file is in the log")?;

    let wrong = TableChange {
        requirements: vec![TableRequirement::RefSnapshotIdMatch { r#ref: "main".into(), snapshot_id: Some(42) }],
        updates: set(&fresh, "never", "1").updates,
    };
    let refused = catalog.commit(&fresh, &wrong).await?;
    promise(matches!(refused, Swap::Rejected { .. }), "a requirement that does not hold is a rejection")?;

    race(catalog, &fresh).await?;
    let last = catalog.load_table(name).await?;
    promise(property(&last, "never").is_none(), "a rejected commit leaves no trace")?;
    promise(property(&last, "one") == Some("1"), "commits do not undo one another")
}

/// Commits that all demand the same state: at most one may have it.
async fn race(catalog: &Arc<dyn Catalog>, base: &LoadedTable) -> Result<()> {
    let racers = (0..RACERS).map(|racer| {
        let (catalog, base) = (catalog.clone(), base.clone());
        async move { catalog.commit(&base, &set(&base, "winner", &racer.to_string())).await }
    });
    let results = futures::future::join_all(racers).await.into_iter().collect::<Result<Vec<_>>>()?;
    let won = results.iter().filter(|result| matches!(result, Swap::Committed { .. })).count();
    let unknown = results.iter().filter(|result| matches!(result, Swap::Unknown { .. })).count();
    let fresh = catalog.load_table(&base.name).await?;
    promise(won + unknown > 0, "a race has a winner")?;
    // A REST catalog may rebase property changes on one another; catalogs with a pointer may not.
    let versions = fresh.metadata.metadata_log().len() - base.metadata.metadata_log().len();
    promise(versions >= won && versions <= won + unknown, "every accepted commit, and no other, made a version")
}

fn promise(kept: bool, what: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(Error::internal(format!("the catalog breaks a promise: {what}"))) }
}

fn property<'a>(table: &'a LoadedTable, key: &str) -> Option<&'a str> {
    table.metadata.properties().get(key).map(String::as_str)
}

fn set(table: &LoadedTable, key: &str, value: &str) -> TableChange {
    TableChange {
        requirements: vec![TableRequirement::UuidMatch { uuid: table.metadata.uuid() }],
        updates: vec![TableUpdate::SetProperties { updates: HashMap::from([(key.to_owned(), value.to_owned())]) }],
    }
}

fn metadata(catalog: &dyn Catalog, name: &TableName) -> Result<TableMetadata> {
    let broken = |e: iceberg::Error| Error::internal("the check's table can't be made").caused_by(e);
    let id = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields(vec![id.into()]).build().map_err(broken)?;
    let creation = TableCreation::builder()
        .name(name.table.clone())
        .location(catalog.default_location(name)?)
        .schema(schema)
        .format_version(FormatVersion::V2)
        .build();
    let builder = TableMetadataBuilder::from_table_creation(creation).map_err(broken)?;
    Ok(builder.build().map_err(broken)?.metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::{Ambient, connect_or_create};
    use crate::model::CatalogSettings;

    #[tokio::test]
    async fn should_hold_for_sqlite_and_filesystem_tables() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        for uri in [format!("sqlite://{root}/catalog.db"), format!("file://{root}")] {
            let settings = CatalogSettings {
                name: "c".into(),
                uri: uri.clone(),
                warehouse: Some(format!("{root}/{}", uri.len())),
                props: Default::default(),
                places: Vec::new(),
            };
            let catalog = connect_or_create(&settings, Arc::new(Ambient::system())).await.unwrap();
            check(&catalog, &TableName::new(["a", "b"], "t")).await.unwrap_or_else(|e| panic!("{uri}: {e}"));
        }
    }
}
