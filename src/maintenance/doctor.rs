//! Checks of a table's surroundings: is its metadata readable, may its storage be read, written, listed and emptied, and
//! do the clocks agree.

use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;

use super::Maintenance;
use crate::error::{Error, Result};
use crate::lake::{LoadedTable, Store};
use crate::model::TableName;

/// A storage clock that is off by more than this makes ages of files unreliable.
const CLOCK_SKEW_MS: i64 = 60_000;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, but deserves a look.
    Warning,
    /// Will not work.
    Bad,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that passed.
    pub fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Good, found: found.into(), hint: None }
    }

    /// A check that deserves a look.
    pub fn warning(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Warning, found: found.into(), hint: None }
    }

    /// A check that failed.
    pub fn bad(what: impl Into<String>, error: &Error) -> Self {
        Self {
            what: what.into(),
            verdict: Verdict::Bad,
            found: error.to_string(),
            hint: error.hint_text().map(str::to_owned),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }
}

/// Checks one table's metadata and storage. The number is the exit code that the worst finding deserves.
pub async fn check_table(maintenance: &Maintenance, name: &TableName) -> (Vec<Check>, u8) {
    let loaded = match maintenance.catalog.load_table(name).await {
        Ok(loaded) => loaded,
        Err(error) => return (vec![Check::bad(format!("{name}: metadata"), &error)], error.kind().exit_code()),
    };
    let snapshots = loaded.metadata.snapshots().len();
    let mut checks = vec![Check::good(
        format!("{name}: metadata"),
        format!("format {}, {snapshots} snapshots, {}", loaded.metadata.format_version(), loaded.metadata.location()),
    )];
    let probe = format!(
        "{}/metadata/.icewright-doctor-{}",
        loaded.metadata.location().trim_end_matches('/'),
        maintenance.ambient.uuid()
    );
    let mut worst = 0;
    let mut note = |what: &str, result: Result<Check>| {
        checks.push(result.unwrap_or_else(|error| {
            worst = worst.max(error.kind().exit_code());
            Check::bad(format!("{name}: {what}"), &error)
        }));
    };
    note("storage read", read(&loaded).await.map(|found| Check::good(format!("{name}: storage read"), found)));
    let written = loaded.store.write(&probe, Bytes::from_static(b"icewright doctor\n")).await;
    let could_write = written.is_ok();
    note("storage write", written.map(|()| Check::good(format!("{name}: storage write"), "a probe file was written")));
    if could_write {
        note("clock", clock(maintenance, &loaded.store, &probe, name).await);
        note("storage list", list(&loaded.store, &probe, name).await);
        let deleted = loaded.store.delete(&probe).await;
        note(
            "storage delete",
            deleted.map(|()| Check::good(format!("{name}: storage delete"), "the probe was removed")),
        );
    }
    (checks, worst)
}

async fn read(loaded: &LoadedTable) -> Result<String> {
    let bytes = loaded.store.read(&loaded.metadata_location).await?;
    Ok(format!("{} bytes of metadata", bytes.len()))
}

async fn clock(maintenance: &Maintenance, store: &Store, probe: &str, name: &TableName) -> Result<Check> {
    let now = maintenance.ambient.now_ms();
    let what = format!("{name}: clock");
    let info =
        store.head(probe).await?.ok_or_else(|| Error::unavailable("a file that was just written is not there"))?;
    let skew = info.modified_ms - now;
    if skew.abs() > CLOCK_SKEW_MS {
        return Ok(Check::warning(what, format!("storage is {} s away from this machine", skew / 1000))
            .hint("set the clocks by NTP: ages of snapshots and files are compared with this machine's time"));
    }
    Ok(Check::good(what, format!("storage and machine agree within {} s", (skew.abs() + 999) / 1000)))
}

async fn list(store: &Store, probe: &str, name: &TableName) -> Result<Check> {
    let folder = probe.rsplit_once('/').map_or(probe, |(folder, _)| folder);
    let mut listing = store.list(folder)?;
    while let Some(item) = listing.next().await {
        if item?.location == probe {
            return Ok(Check::good(format!("{name}: storage list"), "the probe is listed"));
        }
    }
    Err(Error::unavailable("a file that was just written is not in the listing")
        .hint("orphan removal can't be trusted on a store that lists late"))
}
