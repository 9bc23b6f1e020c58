//! A lease on a table: one scheduler at a time works on it, also across processes and machines.
//!
//! The lease is two table properties (`icewright.lease.owner`, `icewright.lease.until-ms`) that are set by the catalog's
//! own compare-and-swap, so it needs no further service. It expires by itself when its owner dies. It only saves double
//! work: two runs over one table at the same time are safe all the same, because every commit checks its inputs against
//! fresh metadata (I1). That is why clocks that differ by less than a lease are good enough, and why the small window that
//! a REST catalog leaves open (it can't compare properties) is closed by looking again rather than by a stronger promise.
//!
//! A run's end is remembered in the same commit that gives the lease back: a scheduler that starts anew finds there when
//! each operation last ran and how often runs failed.

use std::collections::HashMap;
use std::time::Duration;

use super::Maintenance;
use crate::committer::Committer;
use crate::error::{Context, Error, Result};
use crate::lake::Swap;
use crate::lake::summary::{FAILURES, LAST_RUN, LEASE_OWNER, LEASE_UNTIL, last_run_of, memory};
use crate::model::TableName;

/// How often a change of properties is tried against other writers.
const TRIES: u32 = 5;
/// How long it takes until a value that somebody else set at the same moment would show.
const SETTLE: Duration = Duration::from_millis(150);

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The table.
    pub table: TableName,
    /// Who holds it.
    pub owner: String,
    /// Until when, milliseconds since 1970.
    pub until_ms: i64,
}

/// What became of the wish for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Ours(Lease),
    /// Somebody else has it.
    Held {
        /// Who.
        owner: String,
        /// Until when, milliseconds since 1970.
        until_ms: i64,
    },
}

impl Maintenance {
    /// Takes the lease of a table, or says who has it.
    ///
    /// # Errors
    /// Whatever loading the table says; `Conflict` when writers are quicker each time; `Unavailable` when the catalog does
    /// not answer.
    #[tracing::instrument(target = "spans", name = "take-lease", skip_all, fields(table = %name))]
    pub async fn take_lease(&self, name: &TableName, owner: &str, span: Duration) -> Result<Taken> {
        let committer = Committer::new(self.catalog.clone(), self.ambient.clone());
        for attempt in 1..=TRIES {
            let base = self.catalog.load_table(name).await?;
            let now = self.ambient.now_ms();
            let known = memory(base.metadata.properties());
            if let (Some(other), Some(until_ms)) = (known.lease_owner, known.lease_until_ms)
                && other != owner
                && until_ms > now
            {
                return Ok(Taken::Held { owner: other, until_ms });
            }
            let until_ms = now.saturating_add(millis(span));
            let set = HashMap::from([
                (LEASE_OWNER.to_owned(), owner.to_owned()),
                (LEASE_UNTIL.to_owned(), until_ms.to_string()),
            ]);
            match committer.set_properties(&base, set, Vec::new()).await? {
                Swap::Rejected { reason } => {
                    tracing::debug!(table = %name, attempt, reason, "the lease has to be tried again");
                    self.pause(attempt).await;
                }
                Swap::Committed { .. } | Swap::Unknown { .. } => {
                    self.ambient.sleep(SETTLE).await;
                    let fresh = memory(self.catalog.load_table(name).await?.metadata.properties());
                    match (fresh.lease_owner, fresh.lease_until_ms) {
                        (Some(holder), Some(until_ms)) if holder == owner => {
                            return Ok(Taken::Ours(Lease { table: name.clone(), owner: holder, until_ms }));
                        }
                        (Some(other), Some(until_ms)) => return Ok(Taken::Held { owner: other, until_ms }),
                        // An unknown result that did not take effect.
                        _ => self.pause(attempt).await,
                    }
                }
            }
        }
        Err(Error::conflict(format!("the lease of {name} could not be taken: the table kept moving"))
            .hint("it is tried again at the next due time"))
    }

    /// Makes a lease last longer; `false` when somebody else has it by now.
    ///
    /// # Errors
    /// As [`Maintenance::take_lease`].
    pub async fn renew_lease(&self, lease: &Lease, span: Duration) -> Result<bool> {
        Ok(matches!(self.take_lease(&lease.table, &lease.owner, span).await?, Taken::Ours(_)))
    }

    /// Gives a lease back and remembers how the run ended.
    ///
    /// # Errors
    /// As [`Maintenance::take_lease`]. A lease that could not be given back expires by itself.
    #[tracing::instrument(target = "spans", name = "release-lease", skip_all, fields(table = %lease.table))]
    pub async fn release_lease(&self, lease: &Lease, operation: &str, succeeded: bool) -> Result<()> {
        let committer = Committer::new(self.catalog.clone(), self.ambient.clone());
        let name = &lease.table;
        for attempt in 1..=TRIES {
            let base =
                self.catalog.load_table(name).await.while_doing(|| format!("giving back the lease of {name}"))?;
            let known = memory(base.metadata.properties());
            let failures = if succeeded { 0 } else { known.failures.saturating_add(1) };
            let now = self.ambient.now_ms().to_string();
            let set = HashMap::from([
                (LAST_RUN.to_owned(), now.clone()),
                (last_run_of(operation), now),
                (FAILURES.to_owned(), failures.to_string()),
            ]);
            let ours = known.lease_owner.as_deref() == Some(lease.owner.as_str());
            let remove = if ours { vec![LEASE_OWNER.to_owned(), LEASE_UNTIL.to_owned()] } else { Vec::new() };
            match committer.set_properties(&base, set, remove).await? {
                Swap::Committed { .. } | Swap::Unknown { .. } => return Ok(()),
                Swap::Rejected { .. } => self.pause(attempt).await,
            }
        }
        Err(Error::conflict(format!("the lease of {name} could not be given back: the table kept moving"))
            .hint("it expires by itself"))
    }

    async fn pause(&self, attempt: u32) {
        self.ambient.sleep(self.ambient.jitter(Duration::from_millis(100) * attempt)).await;
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
