//! Plans what expires: snapshots, branches and tags, metadata versions, and specs and schemas that nothing uses.
//!
//! Of `main`, at least `retain-min` snapshots are kept and at most `retain-max`; between the two, age decides. Nothing
//! younger than `min-age` goes. A tag holds its snapshot. Every other branch holds its newest snapshots by its own
//! `min-snapshots-to-keep` and `max-snapshot-age-ms`, and where it has none, by the table's; these may be snapshots that
//! `main` alone would not keep. `main`'s own settings count too: its minimum can raise `retain-min` (and the ceiling with
//! it), never lower it. What no branch or tag has in its history (rolled back, staged) stays until it is old.
//!
//! What a branch keeps has no gaps: with clocks that went backwards, a snapshot may be older than its parent, and is kept
//! with it. So planning on the result expires nothing more.

mod keep;
mod leftovers;

use crate::error::{Error, Result};
use crate::model::{Due, ExpirePlan, ExpirePolicy, ExpiredRef, ExpiredSnapshot, History, KeptSnapshot, Operation};
use keep::{Verdict, verdicts};

/// Decides what expires now.
///
/// # Errors
/// `InvalidInput` for options that contradict each other, and for a named snapshot that is not there, is too young, or
/// is where a branch or tag points; `Unsupported` for a table whose files may be shared (`gc.enabled`).
pub fn plan(history: &History, policy: &ExpirePolicy, now_ms: i64) -> Result<ExpirePlan> {
    policy.validate()?;
    if !history.gc_enabled {
        return Err(Error::unsupported(format!("the table property gc.enabled of {} is false", history.table))
            .hint("its files may be shared with other tables; nothing expires until the property is removed"));
    }
    let named = !policy.snapshot_ids.is_empty();
    // Named snapshots go alone: nothing that was not asked for.
    let refs = if named { Vec::new() } else { old_refs(history, policy, now_ms) };
    let verdicts = verdicts(history, policy, &refs, now_ms)?;
    let mut order: Vec<_> = history.snapshots.values().collect();
    order.sort_by_key(|snapshot| (snapshot.timestamp_ms, snapshot.id));
    let (mut expired, mut kept) = (Vec::new(), Vec::new());
    for snapshot in order {
        let (id, timestamp_ms) = (snapshot.id, snapshot.timestamp_ms);
        match verdicts.get(&id).cloned() {
            Some(Verdict::Expire(why)) => expired.push(ExpiredSnapshot { id, timestamp_ms, why }),
            Some(Verdict::Keep(why)) => kept.push(KeptSnapshot { id, timestamp_ms, why }),
            None => return Err(Error::internal(format!("snapshot {id} of {} was not judged", history.table))),
        }
    }
    let (specs, schemas) =
        if policy.clean_expired_metadata { leftovers::unused(history, &kept) } else { Default::default() };
    let mut plan = ExpirePlan {
        table: history.table.clone(),
        table_uuid: history.table_uuid.clone(),
        metadata_location: history.metadata_location.clone(),
        created_ms: now_ms,
        policy: policy.clone(),
        expired,
        kept,
        refs,
        specs,
        schemas,
        metadata_versions: history.metadata_versions,
        trim_log_to: None,
        frees: None,
    };
    if !named {
        plan.trim_log_to = trim_log_to(history, policy, !plan.is_empty());
    }
    Ok(plan)
}

/// Whether the log of older metadata files is too long, or would be: a commit adds one to it.
fn trim_log_to(history: &History, policy: &ExpirePolicy, commits: bool) -> Option<u64> {
    let most = policy.previous_versions_max;
    let grows = commits && history.previous_versions_max.is_none_or(|limit| limit > most);
    (history.metadata_versions + u64::from(grows) > most).then_some(most)
}

/// Whether an expiry is due, and why.
pub fn due(history: &History, policy: std::result::Result<&ExpirePolicy, String>, now_ms: i64) -> Due {
    let planned = policy.and_then(|policy| plan(history, policy, now_ms).map_err(|error| error.to_string()));
    let (due, why) = match planned {
        Err(refused) => (false, refused),
        Ok(plan) => (!plan.is_empty(), words(&plan)),
    };
    Due { operation: Operation::Expire.name().to_owned(), due, why }
}

fn words(plan: &ExpirePlan) -> String {
    let mut words = Vec::new();
    if !plan.expired.is_empty() {
        let all = plan.expired.len() + plan.kept.len();
        words.push(format!("{} of {all} snapshots", plan.expired.len()));
    }
    if !plan.refs.is_empty() {
        words.push(format!("{} old branches and tags", plan.refs.len()));
    }
    if let Some(keep) = plan.trim_log_to {
        words.push(format!("{} older metadata files, more than {keep}", plan.metadata_versions));
    }
    if !plan.specs.is_empty() || !plan.schemas.is_empty() {
        words.push(format!("{} specs and {} schemas without use", plan.specs.len(), plan.schemas.len()));
    }
    if words.is_empty() { format!("{} snapshots, all to be kept", plan.kept.len()) } else { words.join("; ") }
}

/// Branches and tags beyond their age. `main` never is.
fn old_refs(history: &History, policy: &ExpirePolicy, now_ms: i64) -> Vec<ExpiredRef> {
    let mut old = Vec::new();
    for reference in history.refs.iter().filter(|reference| reference.name != History::MAIN) {
        let Some(max_age_ms) = reference.max_ref_age_ms.or(policy.max_ref_age_ms) else { continue };
        let Some(snapshot) = history.snapshots.get(&reference.snapshot_id) else { continue };
        if age_ms(now_ms, snapshot.timestamp_ms) > max_age_ms {
            old.push(ExpiredRef { name: reference.name.clone(), max_age_ms });
        }
    }
    old.sort_by(|a, b| a.name.cmp(&b.name));
    old
}

/// How old something is; what seems to come from the future is new.
fn age_ms(now_ms: i64, timestamp_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(timestamp_ms)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
