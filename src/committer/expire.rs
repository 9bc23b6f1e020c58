//! Commits an expiry: one change of metadata, no snapshot.
//!
//! The change demands that every branch and tag is where the plan saw it; the catalog's own swap does the rest. When its
//! reply is lost, fresh metadata tells (I5): what should be gone is gone, or the table has moved on and the caller plans
//! anew, or nothing has happened and *the same* change is sent again, which is harmless twice. What REST catalogs can't be
//! asked for is that no *new* tag or branch was made meanwhile: they drop one that points at an expired snapshot.

use std::collections::HashSet;

use iceberg::{TableRequirement, TableUpdate};

use super::Committer;
use super::swap::{FIRST_WAIT, ROUNDS};
use crate::error::Result;
use crate::lake::{LoadedTable, Swap, TableChange, history};
use crate::model::{ExpirePlan, History};

/// The property that limits the log of older metadata files.
const PREVIOUS_VERSIONS_MAX: &str = "write.metadata.previous-versions-max";

/// How an expiry ended.
#[derive(Debug)]
pub enum Expired {
    /// Durable: this is the table without what expired.
    Committed(Box<LoadedTable>),
    /// Definitely not committed, or overtaken: the caller plans anew.
    Rejected {
        /// What the catalog said.
        reason: String,
    },
    /// It may or may not take effect: nothing may be deleted.
    Unknown {
        /// What happened.
        reason: String,
    },
}

impl Committer {
    /// Lets go what a plan names. The plan was made from `table`, or was checked against it.
    ///
    /// # Errors
    /// Only when nothing was committed and nothing can be; conflicts and lost replies are results.
    pub async fn expire(&self, table: &LoadedTable, plan: &ExpirePlan) -> Result<Expired> {
        let change = change(table, &history(table)?, plan);
        let mut swap = self.catalog.commit(table, &change).await?;
        let mut wait = FIRST_WAIT;
        for round in 1..=ROUNDS {
            let reason = match swap {
                Swap::Rejected { reason } => return Ok(Expired::Rejected { reason }),
                Swap::Committed { .. } => "the catalog accepted the commit, but the table does not show it".to_owned(),
                Swap::Unknown { ref reason } => {
                    tracing::warn!(table = %table.name, round, reason, "whether the commit took effect is unknown, looking");
                    tokio::time::sleep(self.ambient.jitter(wait)).await;
                    reason.clone()
                }
            };
            match self.catalog.load_table(&table.name).await {
                Ok(fresh) if is_done(&fresh, plan)? => return Ok(Expired::Committed(Box::new(fresh))),
                Ok(fresh) if matches!(swap, Swap::Unknown { .. }) => {
                    if fresh.metadata_location != table.metadata_location {
                        let reason = format!("{reason}; another commit was first");
                        return Ok(Expired::Rejected { reason });
                    }
                    swap = match self.catalog.commit(table, &change).await {
                        // Our own first try may have been first: the next round looks.
                        Ok(Swap::Rejected { reason }) => Swap::Unknown { reason },
                        Ok(other) => other,
                        Err(error) => Swap::Unknown { reason: error.to_string() },
                    };
                }
                Ok(_) => tokio::time::sleep(self.ambient.jitter(wait)).await,
                Err(error) if matches!(swap, Swap::Unknown { .. }) => {
                    swap = Swap::Unknown { reason: error.to_string() }
                }
                Err(_) => tokio::time::sleep(self.ambient.jitter(wait)).await,
            }
            wait *= 2;
        }
        Ok(Expired::Unknown {
            reason: match swap {
                Swap::Unknown { reason } | Swap::Rejected { reason } => reason,
                Swap::Committed { .. } => "the table did not show it".to_owned(),
            },
        })
    }
}

/// Whether everything that should go is gone.
fn is_done(fresh: &LoadedTable, plan: &ExpirePlan) -> Result<bool> {
    let now = history(fresh)?;
    let refs: HashSet<&str> = now.refs.iter().map(|reference| reference.name.as_str()).collect();
    Ok(plan.expired.iter().all(|gone| !now.snapshots.contains_key(&gone.id))
        && plan.refs.iter().all(|gone| !refs.contains(gone.name.as_str()))
        && plan.specs.iter().all(|gone| !now.specs.contains(gone))
        && plan.schemas.iter().all(|gone| !now.schemas.contains(gone))
        && plan.trim_log_to.is_none_or(|keep| now.previous_versions_max == Some(keep)))
}

fn change(table: &LoadedTable, seen: &History, plan: &ExpirePlan) -> TableChange {
    let metadata = &table.metadata;
    let mut requirements = vec![TableRequirement::UuidMatch { uuid: metadata.uuid() }];
    // The typed form of version 1 metadata has no tags and no other branches: it can't be checked for them.
    let checked = seen.refs.iter().filter(|reference| metadata.snapshot_for_ref(&reference.name).is_some());
    requirements.extend(checked.map(|reference| TableRequirement::RefSnapshotIdMatch {
        r#ref: reference.name.clone(),
        snapshot_id: Some(reference.snapshot_id),
    }));
    if !plan.specs.is_empty() {
        requirements
            .push(TableRequirement::DefaultSpecIdMatch { default_spec_id: metadata.default_partition_spec_id() });
    }
    if !plan.schemas.is_empty() {
        requirements.push(TableRequirement::CurrentSchemaIdMatch { current_schema_id: metadata.current_schema_id() });
    }
    let mut updates: Vec<TableUpdate> =
        plan.refs.iter().map(|gone| TableUpdate::RemoveSnapshotRef { ref_name: gone.name.clone() }).collect();
    if !plan.expired.is_empty() {
        updates.push(TableUpdate::RemoveSnapshots { snapshot_ids: plan.expired.iter().map(|gone| gone.id).collect() });
    }
    // Most catalogs let statistics go with their snapshots; saying so does no harm.
    for snapshot in plan.expired.iter().filter_map(|gone| seen.snapshots.get(&gone.id)) {
        if snapshot.has_statistics {
            updates.push(TableUpdate::RemoveStatistics { snapshot_id: snapshot.id });
        }
        if snapshot.has_partition_statistics {
            updates.push(TableUpdate::RemovePartitionStatistics { snapshot_id: snapshot.id });
        }
    }
    if !plan.specs.is_empty() {
        updates.push(TableUpdate::RemovePartitionSpecs { spec_ids: plan.specs.clone() });
    }
    if !plan.schemas.is_empty() {
        updates.push(TableUpdate::RemoveSchemas { schema_ids: plan.schemas.clone() });
    }
    if let Some(keep) = plan.trim_log_to {
        let updates_to = [(PREVIOUS_VERSIONS_MAX.to_owned(), keep.to_string())].into();
        updates.push(TableUpdate::SetProperties { updates: updates_to });
    }
    TableChange { requirements, updates }
}
