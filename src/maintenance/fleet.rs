//! Looking at many tables cheaply, side by side, without letting one of them hide the others.

use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::task::JoinSet;

use super::{Maintenance, PolicyFor};
use crate::error::{Error, Result};
use crate::lake::LoadedTable;
use crate::lake::summary::summarise;
use crate::model::{TableName, TableSummary};

/// Tables that are looked at side by side: as many requests go to the catalog at once, no more.
const AT_ONCE: usize = 16;
/// How often a table is tried when catalog or store do not answer.
const TRIES: u32 = 4;
/// The first wait between two tries; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// A fleet as it was found.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Tables, by name.
    pub tables: Vec<TableSummary>,
    /// Tables that could not be read, by name, and why.
    pub unreadable: Vec<(TableName, Error)>,
    /// How long looking took, in seconds.
    pub seconds: f64,
}

impl Maintenance {
    /// Looks at tables from afar: metadata, manifest lists, and manifests where they matter.
    #[tracing::instrument(target = "spans", name = "inspect", skip_all, fields(tables = names.len()))]
    pub async fn inspect_fleet(&self, names: Vec<TableName>, policy_for: &PolicyFor<'_>) -> Fleet {
        let start = Instant::now();
        let mut fleet = Fleet::default();
        let mut looking = futures::stream::iter(names)
            .map(|name| async move {
                let found = self.look_patiently(&name, policy_for).await;
                (name, found)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, found)) = looking.next().await {
            match found {
                Ok(summary) => fleet.tables.push(summary),
                Err(error) => fleet.unreadable.push((name, error)),
            }
        }
        drop(looking);
        fleet.tables.sort_by(|a, b| a.table.cmp(&b.table));
        fleet.unreadable.sort_by(|a, b| a.0.cmp(&b.0));
        fleet.seconds = start.elapsed().as_secs_f64();
        // A scheduler looks again and again: what it decides from a look is news, the look is not.
        tracing::debug!(
            tables = fleet.tables.len(),
            unreadable = fleet.unreadable.len(),
            seconds = fleet.seconds,
            "looked at the fleet"
        );
        fleet
    }

    /// Looks at one table; catalogs that throttle or hiccup are asked again, each time later.
    async fn look_patiently(&self, name: &TableName, policy_for: &PolicyFor<'_>) -> Result<TableSummary> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match self.look(name, policy_for).await {
                Err(error) if error.is_retryable() => {
                    tracing::debug!(table = %name, %error, "looking again");
                    tokio::time::sleep(self.ambient.jitter(wait)).await;
                    wait *= 2;
                }
                done => return done,
            }
        }
        self.look(name, policy_for).await
    }

    async fn look(&self, name: &TableName, policy_for: &PolicyFor<'_>) -> Result<TableSummary> {
        let (this, table) = (self.clone(), name.clone());
        let loaded = on_any_core(async move { this.load_to_look(&table).await }).await?;
        let policy = policy_for(name, loaded.metadata.properties())?;
        on_any_core(async move { summarise(&loaded, &policy).await }).await
    }

    /// Loads a table to look at it or to plan: from the replica where there is one that has it.
    pub(super) async fn load_to_look(&self, name: &TableName) -> Result<LoadedTable> {
        if let Some(replica) = self.catalog.replica() {
            match replica.load_table(name).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) => {
                    tracing::debug!(table = %name, %error, "the replica does not have it, asking the primary")
                }
            }
        }
        self.catalog.load_table(name).await
    }
}

/// Runs on whatever thread of the runtime is free, until nobody waits for it any more. Most of a look is parsing metadata:
/// thousands of tables need every core.
async fn on_any_core<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let mut running = JoinSet::new();
    running.spawn(work);
    match running.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(Error::internal("looking at a table came to a sudden end").caused_by(error)),
        None => Err(Error::internal("looking at a table never began")),
    }
}
