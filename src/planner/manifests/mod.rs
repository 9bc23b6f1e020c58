//! Which manifests are rewritten, decided from the manifest list alone: no manifest is read for it.
//!
//! Manifests of one kind (data or deletes) and one partition spec form a group. Two things make a rewrite pay:
//! - *Scattered*: a scan of one partition opens many manifests, because each of them holds a bit of every partition. Then
//!   the group is sorted by partition, except manifests that are large and hold one partition only.
//! - *Too many*: merging the small ones (below three quarters of the target) saves the opening of at least `min_gain`.
//!   Large ones stay as they are, unless the merged ones would make the group scattered.
//!
//! After a run, planning again gives nothing (I8): every new manifest but the last of its task has at least the target's
//! size, and sorted manifests overlap one another no more than sorting makes
//! unavoidable (`Spread::sorted_depth`).

mod spread;

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::model::{
    Due, ManifestInfo, ManifestPlan, ManifestPolicy, ManifestReason, ManifestTask, Operation, TableState,
};
use spread::Spread;

/// Plans a rewrite of a table's manifests.
///
/// # Errors
/// `Unsupported` for tables whose manifests can't be rewritten without loss (encryption);
/// `InvalidInput` for a policy that contradicts itself.
pub fn plan(state: &TableState, policy: &ManifestPolicy, now_ms: i64) -> Result<ManifestPlan> {
    policy.validate()?;
    refuse_unsupported(state)?;
    let mut groups: BTreeMap<(bool, i32), Vec<&ManifestInfo>> = BTreeMap::new();
    for manifest in &state.manifests {
        groups.entry((manifest.deletes, manifest.spec_id)).or_default().push(manifest);
    }
    let tasks = groups.into_iter().map(|((deletes, spec_id), mut manifests)| {
        manifests.sort_by(|a, b| a.path.cmp(&b.path));
        let choice = choose(&manifests, policy);
        let bytes = manifests.iter().map(|manifest| manifest.size).sum();
        let now = manifests.len() as u64;
        let picked: Vec<String> = choice.picked.iter().map(|manifest| manifest.path.clone()).collect();
        let after = now - picked.len() as u64 + choice.then;
        ManifestTask { deletes, spec_id, why: choice.why, manifests: picked, before: now, bytes, after }
    });
    Ok(ManifestPlan {
        table: state.name.clone(),
        table_uuid: state.metadata.uuid().to_string(),
        snapshot_id: state.snapshot_id,
        created_ms: now_ms,
        policy: policy.clone(),
        tasks: tasks.collect(),
    })
}

/// Whether a rewrite is due, and why.
pub fn due(state: &TableState, policy: std::result::Result<&ManifestPolicy, String>, now_ms: i64) -> Due {
    let planned = policy.and_then(|policy| plan(state, policy, now_ms).map_err(|error| error.to_string()));
    let (due, why) = match planned {
        Err(refused) => (false, refused),
        Ok(plan) => (!plan.is_empty(), words(&plan)),
    };
    Due { operation: Operation::RewriteManifests.name().to_owned(), due, why }
}

fn words(plan: &ManifestPlan) -> String {
    let told = plan.tasks.iter().filter(|task| plan.is_empty() || !task.manifests.is_empty());
    let words: Vec<String> = told
        .map(|task| if task.deletes { format!("of delete files: {}", task.why) } else { task.why.to_string() })
        .collect();
    if words.is_empty() { "no manifests".to_owned() } else { words.join("; ") }
}

struct Choice<'a> {
    why: ManifestReason,
    picked: Vec<&'a ManifestInfo>,
    /// About how many come of those that are picked.
    then: u64,
}

fn choose<'a>(manifests: &[&'a ManifestInfo], policy: &ManifestPolicy) -> Choice<'a> {
    let target = policy.target_size_bytes;
    let now = manifests.len() as u64;
    let merged = |picked: &[&ManifestInfo]| {
        let live = picked.iter().filter(|manifest| manifest.live > 0);
        live.map(|manifest| manifest.size).sum::<u64>().div_ceil(target)
    };
    if policy.rewrite_all {
        let picked = manifests.to_vec();
        return Choice { why: ManifestReason::RewriteAll, then: merged(&picked), picked };
    }
    let is_small = |manifest: &ManifestInfo| manifest.size < target / 4 * 3 || manifest.live == 0;
    let spread = Spread::of(manifests);
    let all_but_pure = || -> Vec<&'a ManifestInfo> {
        let mixed = manifests.iter().enumerate().filter(|(n, manifest)| is_small(manifest) || spread.is_mixed(*n));
        mixed.map(|(_, manifest)| *manifest).collect()
    };
    let most = (spread.sorted_depth() + policy.min_gain) * 100;
    if let Some(depth_hundredths) = spread.mean_depth_hundredths().filter(|depth| *depth >= most) {
        let picked = all_but_pure();
        return Choice { why: ManifestReason::Scattered { depth_hundredths }, then: merged(&picked), picked };
    }
    let small: Vec<&ManifestInfo> = manifests.iter().copied().filter(|manifest| is_small(manifest)).collect();
    let then = merged(&small);
    let gain = (small.len() as u64).saturating_sub(then);
    let why = ManifestReason::TooMany { now, then: now - gain };
    if gain >= policy.min_gain {
        // Merged manifests lie over the large ones: would that be a reason to sort everything at once?
        let large: Vec<bool> = manifests.iter().map(|manifest| !is_small(manifest)).collect();
        let stays_sorted =
            spread.greatest_depth(&large).is_some_and(|depth| (depth + spread.sorted_depth()) * 100 < most);
        let picked = if stays_sorted { small } else { all_but_pure() };
        let then = merged(&picked);
        return Choice { why, then, picked };
    }
    let why = if gain == 0 {
        ManifestReason::GoodAsTheyAre { now }
    } else {
        let bytes = manifests.iter().map(|manifest| manifest.size).sum();
        ManifestReason::TooLittleGain { now, then: now - gain, bytes }
    };
    Choice { why, picked: Vec::new(), then: 0 }
}

/// Refuses whole tables whose manifests can't be rewritten without loss (I10).
fn refuse_unsupported(state: &TableState) -> Result<()> {
    let encrypted = state.metadata.properties().contains_key("encryption.key-id")
        || state.metadata.encryption_keys_iter().next().is_some();
    if encrypted {
        return Err(Error::unsupported(format!("table {} is encrypted", state.name))
            .hint("encrypted tables are not supported: nothing was changed"));
    }
    Ok(())
}
