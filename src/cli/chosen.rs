//! The plans of the tables that a ranking chose, to be saved, read, and applied one after another.

use std::collections::HashMap;

use super::args::{OrphanOptions, RewriteOptions, StepOptions, from_environment};
use super::maintain::run_over;
use super::output;
use super::session::Session;
use crate::error::Result;
use crate::maintenance::maintain::MaintainRun;
use crate::model::{Operation, Plan, SavedPlan, TableName};
use crate::planner;
use crate::scheduler::{Choice, Ranking};

/// What came of planning for them.
#[derive(Debug, Default)]
pub(super) struct ChosenPlans {
    /// Plans in the order in which they are to be applied.
    pub(super) plans: Vec<SavedPlan>,
    /// Tables that have one.
    pub(super) tables: usize,
    /// Tables whose manifests or tiers are left to a plan that is made after their compaction.
    pub(super) put_off: usize,
    /// The exit code of the worst failure.
    pub(super) worst: u8,
}

/// Plans the operations for every table that would run, best first; one that can't be planned does not hide the others.
///
/// All plans are made on the tables as they are now. Expiry and orphans may be applied after a compaction; rewrites of
/// manifests and moves to other tiers may not, because a compaction replaces what they start from.
pub(super) async fn plans_of(session: &Session, ranking: &Ranking, operations: &[Operation]) -> Result<ChosenPlans> {
    let (rewrite, steps, orphans) = (RewriteOptions::default(), StepOptions::default(), from_environment());
    let orphans: OrphanOptions = orphans;
    let run = run_over(session, &rewrite, &steps, &orphans, true)?;
    let mut chosen = ChosenPlans::default();
    for choice in ranking.chosen() {
        let before = chosen.plans.len();
        let (mut compacted, mut put_off) = (false, false);
        for operation in Operation::ALL.into_iter().filter(|operation| operations.contains(operation)) {
            if compacted && starts_from_files(operation) {
                put_off |= operation == Operation::Archive || choice.gain.manifests > 0;
                continue;
            }
            match plan(session, &run, choice, operation).await {
                Ok(plan) if plan.is_empty() => {}
                Ok(plan) => {
                    compacted |= operation == Operation::Compact;
                    chosen.plans.push(planner::seal(plan)?);
                }
                Err(error) => {
                    chosen.worst = chosen.worst.max(error.kind().exit_code());
                    output::error(&error.while_doing(format!("planning {operation} of {}", choice.table)));
                }
            }
        }
        chosen.tables += usize::from(chosen.plans.len() > before);
        chosen.put_off += usize::from(put_off);
    }
    Ok(chosen)
}

/// Whether a plan of this operation is stale once a compaction was committed.
fn starts_from_files(operation: Operation) -> bool {
    match operation {
        Operation::RewriteManifests | Operation::Archive => true,
        Operation::Compact | Operation::Expire | Operation::RemoveOrphans => false,
    }
}

async fn plan(session: &Session, run: &MaintainRun<'_>, choice: &Choice, operation: Operation) -> Result<Plan> {
    let (maintenance, name) = (&session.maintenance, &choice.table);
    Ok(match operation {
        Operation::Compact => {
            let policy_for = |table: &TableName, properties: &HashMap<String, String>| {
                Ok((run.compact)(table, properties)?.with_at_most(choice.max_files))
            };
            Plan::Compact(maintenance.plan_compaction(name, &policy_for).await?.plan)
        }
        Operation::RewriteManifests => {
            Plan::RewriteManifests(maintenance.plan_manifests(name, &*run.manifests).await?.plan)
        }
        Operation::Expire => Plan::Expire(maintenance.plan_expiry(name, &*run.expire, true).await?.plan),
        Operation::RemoveOrphans => Plan::RemoveOrphans(maintenance.plan_orphans(name, &run.orphans).await?),
        Operation::Archive => Plan::Archive(maintenance.plan_archive(name, &*run.archive).await?.plan),
    })
}
