//! What makes orphan removal refuse: each guard is a function of its own.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use serde_json::Value;

use super::LocationsFor;
use crate::error::{Error, Result};
use crate::lake::{Ambient, Catalog, LoadedTable, Location, Store, TableLocations, metadata};
use crate::model::{LocationCount, OrphanPolicy, TableName};
use crate::reclaim::orphans::{Found, MOST_UNLISTED};
use crate::reclaim::sorted::Entry;

/// Tables loaded side by side.
const TABLES_AT_ONCE: usize = 8;
/// Files looked up side by side.
pub(super) const LOOKUPS_AT_ONCE: usize = 32;
/// A store's clock further away than this makes ages of files unreliable (milliseconds).
const CLOCK_SKEW_MS: i64 = 10 * 60_000;

/// Another table of the catalog and where its files are, or why that can't be told.
#[derive(Debug)]
pub struct Neighbour {
    name: TableName,
    locations: std::result::Result<TableLocations, String>,
}

/// The locations of all tables of a catalog.
pub(super) async fn neighbours(catalog: &dyn Catalog, locations_for: &LocationsFor<'_>) -> Result<Vec<Neighbour>> {
    let names = catalog.list_tables().await?;
    let look = |name: TableName| async move {
        let loaded = catalog.load_table(&name).await;
        let locations =
            loaded.and_then(|table| TableLocations::of(&table.metadata, &locations_for(&name, &table.metadata)?));
        Neighbour { name, locations: locations.map_err(|error| error.to_string()) }
    };
    Ok(stream::iter(names).map(look).buffered(TABLES_AT_ONCE).collect().await)
}

/// Refuses a table that shares a location with another one, or lies inside or around it: the files of one would be
/// orphans of the other.
pub(super) fn refuse_neighbours(
    table: &TableName,
    mine: &TableLocations,
    neighbours: &[Neighbour],
    i_know: bool,
) -> Result<()> {
    for Neighbour { name, locations } in neighbours.iter().filter(|neighbour| neighbour.name != *table) {
        match locations {
            Ok(theirs) => {
                if let Some((here, there)) = mine.overlap(theirs) {
                    return Err(Error::unsupported(format!(
                        "{here} of table {table} and {there} of table {name} are the same place or one inside the other"
                    ))
                    .hint(
                        "files of one table would look like orphans of the other: give each table a place of its own",
                    ));
                }
            }
            Err(why) if i_know => {
                tracing::warn!(table = %name, why, "a table that can't be loaded is taken not to share a location");
            }
            Err(why) => {
                return Err(Error::unsupported(format!(
                    "whether table {name} shares a location with {table} can't be told: {why}"
                ))
                .hint("repair or drop that table, or add --i-know when it has no file in this table's folders"));
            }
        }
    }
    Ok(())
}

/// Refuses places that metadata names outside of the catalog's warehouse: whoever may set a table's properties could have
/// any folder cleaned. A warehouse that is a name, not a location (REST), says nothing.
pub(super) fn refuse_outside(table: &LoadedTable, warehouse: Option<&str>, i_know: bool) -> Result<()> {
    let Some(Ok(warehouse)) = warehouse.map(Location::parse) else { return Ok(()) };
    let root = format!("{}/", warehouse.canonical().trim_end_matches('/'));
    let places = TableLocations::of(&table.metadata, &[])?;
    match places.both().find(|(canonical, _)| !canonical.starts_with(&root)) {
        Some((_, place)) if i_know => {
            tracing::warn!(table = %table.name, place, "a place outside of the warehouse is taken to be the table's");
            Ok(())
        }
        Some((_, place)) => Err(Error::unsupported(format!(
            "table {} says that its files are in {place}, outside of the catalog's warehouse",
            table.name
        ))
        .hint(
            "add --i-know when that place is the table's alone: every old file there that it does not refer to goes",
        )),
        None => Ok(()),
    }
}

/// Refuses a quarantine inside a table: what is moved there would be found again, or belong to another table.
pub(super) fn refuse_quarantine_inside(
    policy: &OrphanPolicy,
    mine: &TableLocations,
    neighbours: &[Neighbour],
) -> Result<()> {
    let Some(prefix) = &policy.quarantine else { return Ok(()) };
    let place = TableLocations::among([prefix.as_str()])?;
    let theirs = neighbours.iter().filter_map(|neighbour| neighbour.locations.as_ref().ok());
    match std::iter::once(mine).chain(theirs).find_map(|table| table.overlap(&place)) {
        Some((location, _)) => {
            Err(Error::invalid(format!("the quarantine {prefix} lies inside or around {location}, a table's location"))
                .hint("name a place where no table is"))
        }
        None => Ok(()),
    }
}

/// Refuses a table whose owner says that its files are not its alone (`gc.enabled`, as Iceberg has it).
pub(super) fn refuse_disabled(table: &LoadedTable) -> Result<()> {
    match table.metadata.properties().get("gc.enabled") {
        Some(text) if text.eq_ignore_ascii_case("false") => {
            Err(Error::unsupported(format!("table {} has gc.enabled = false", table.name))
                .hint("its files may belong to other tables too; the property says that none may be removed"))
        }
        _ => Ok(()),
    }
}

/// Refuses when files that the table needs are neither listed nor there: what is listed is not what the table is.
///
/// A file that was committed after the listing began (or since an inventory was made) is no reason: it is there.
pub(super) async fn refuse_missing(table: &LoadedTable, found: &Found) -> Result<()> {
    let first = found.unlisted.first().map_or("", String::as_str);
    if found.unlisted_total > MOST_UNLISTED as u64 {
        return Err(Error::unsupported(format!(
            "{} files that table {} needs are not in the listing, such as {first}",
            found.unlisted_total, table.name
        ))
        .hint("the listing is too old, or one of another place"));
    }
    let store = &table.store;
    let mut looking = stream::iter(&found.unlisted)
        .map(|path| async move { store.head(path).await.map(|info| (path, info.is_some())) })
        .buffered(LOOKUPS_AT_ONCE);
    while let Some(looked) = looking.next().await {
        let (path, is_there) = looked?;
        if !is_there {
            return Err(Error::unsupported(format!("table {} needs {path}, which is not there", table.name)).hint(
                "files are missing or are under another name than the table's: nothing is removed before that is cleared",
            ));
        }
    }
    Ok(())
}

/// Refuses when nearly everything looks like an orphan, in all or in one of the locations.
pub(super) fn refuse_suspicious(table: &TableName, found: &Found, policy: &OrphanPolicy) -> Result<()> {
    if policy.i_know {
        return Ok(());
    }
    let all = LocationCount { listed: found.listed, orphans: found.found };
    let everywhere = std::iter::once(("all locations", &all));
    for (location, count) in everywhere.chain(found.by_location.iter().map(|(path, count)| (path.as_str(), count))) {
        if count.is_suspicious() {
            return Err(Error::unsupported(format!(
                "{} of the {} files in {location} of table {table} look like orphans",
                count.orphans.files, count.listed.files
            ))
            .hint(
                "that is more than a mistake of writers leaves: look at the plan; --i-know removes them all the same",
            ));
        }
    }
    Ok(())
}

/// Refuses when metadata of another table lies in this one's locations: a table of another catalog, or one that was
/// dropped and whose files were kept.
pub(super) async fn refuse_strangers(
    table: &LoadedTable,
    found: &BTreeMap<String, Vec<Entry>>,
    i_know: bool,
) -> Result<()> {
    if i_know {
        return Ok(());
    }
    for file in found.values().flatten() {
        let Ok(bytes) = table.store.read(&file.key).await else { continue };
        let uuid = metadata::parse(&file.key, &bytes)
            .ok()
            .and_then(|(document, _)| document.get("table-uuid").and_then(Value::as_str).map(str::to_owned));
        if uuid.is_some_and(|uuid| !uuid.eq_ignore_ascii_case(&table.metadata.uuid().to_string())) {
            return Err(Error::unsupported(format!(
                "{} is metadata of another table in a location of {}",
                file.key, table.name
            ))
            .hint("that table's files would be removed: --i-know does that where the other table is gone"));
        }
    }
    Ok(())
}

/// Refuses when the store's clock and this machine's differ much: ages of files would be wrong. Writes a probe for it. A
/// clock that was set by hand tells the time of a story; whoever set it dates the files too.
pub(super) async fn refuse_skewed(table: &LoadedTable, ambient: &Ambient) -> Result<()> {
    if ambient.is_manual() {
        return Ok(());
    }
    let probe = format!("{}/.icewright-clock-{}", metadata::folder(&table.metadata), ambient.uuid());
    table.store.write(&probe, bytes::Bytes::from_static(b"icewright\n")).await?;
    let now = ambient.now_ms();
    let looked = table.store.head(&probe).await;
    if let Err(error) = table.store.delete(&probe).await {
        tracing::warn!(file = probe, %error, "the file that the store's clock was read from could not be removed");
    }
    let Some(written) = looked? else {
        return Err(Error::unavailable(format!("{probe} was just written and is not there")).hint("run again later"));
    };
    check_skew(written.modified_ms - now)
}

fn check_skew(skew_ms: i64) -> Result<()> {
    if skew_ms.abs() > CLOCK_SKEW_MS {
        return Err(Error::unsupported(format!(
            "the store's clock is {} minutes away from this machine's",
            skew_ms / 60_000
        ))
        .hint("set the clocks by NTP: the age of a file is all that tells an orphan from a write that is under way"));
    }
    Ok(())
}

/// Those of some files that are still as they were found. One that was written anew since is no longer that orphan.
pub(super) async fn unchanged(store: &Store, files: Vec<Entry>) -> Result<Vec<Entry>> {
    let looked: Vec<Result<Option<Entry>>> = stream::iter(files)
        .map(|file| async move {
            let info = store.head(&file.key).await?;
            // Inventories round times to seconds.
            let same = |now: i64| now / 1000 == file.modified_ms / 1000;
            Ok(info.is_some_and(|info| info.size == file.size && same(info.modified_ms)).then_some(file))
        })
        .buffered(LOOKUPS_AT_ONCE)
        .collect()
        .await;
    looked.into_iter().filter_map(Result::transpose).collect()
}

#[cfg(test)]
mod tests;
