//! What a table has in each tier, before and after.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::age::days;
use super::cost::monthly;
use super::place::Placed;
use crate::model::{ArchivePolicy, ArchiveTask, Move, TableState, TierUse};

/// What is in each tier now.
pub(super) fn before(state: &TableState, policy: &ArchivePolicy, placed: &[Placed]) -> Vec<TierUse> {
    let here = state
        .files
        .iter()
        .zip(placed)
        .map(|(file, placed)| (placed.tier, file.partition.0, file.size, 1, placed.age_ms));
    sums(policy, here)
}

/// What will be in each tier when all tasks are done.
pub(super) fn after(
    policy: &ArchivePolicy,
    before: &[TierUse],
    state: &TableState,
    placed: &[Placed],
    tasks: &[ArchiveTask],
) -> Vec<TierUse> {
    if tasks.is_empty() {
        return before.to_vec();
    }
    let index: HashMap<&str, usize> = state.files.iter().enumerate().map(|(n, file)| (&*file.path, n)).collect();
    let mut gone = BTreeSet::new();
    let mut come = Vec::new();
    for task in tasks {
        let reclassed = match &task.task {
            Move::Reclass(task) => Some(task.path.as_str()),
            Move::Rewrite(_) | Move::Transfer(_) => None,
        };
        let paths = task.inputs().iter().map(|input| input.path.as_str()).chain(reclassed);
        let files: Vec<usize> = paths.filter_map(|path| index.get(path).copied()).collect();
        let age = files.iter().filter_map(|file| placed[*file].age_ms).min();
        if let Some(first) = files.first() {
            come.push((task.to, state.files[*first].partition.0, task.output_bytes, task.output_files, age));
        }
        gone.extend(files);
    }
    let stay = state.files.iter().zip(placed).enumerate().filter(|(index, _)| !gone.contains(index));
    let stay = stay.map(|(_, (file, placed))| (placed.tier, file.partition.0, file.size, 1, placed.age_ms));
    sums(policy, stay.chain(come))
}

/// Sums over (tier, partition, bytes, files, age).
fn sums(policy: &ArchivePolicy, parts: impl Iterator<Item = (usize, u32, u64, u64, Option<i64>)>) -> Vec<TierUse> {
    let mut partitions: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    let named = |tier: &crate::model::Tier| TierUse {
        tier: tier.name.clone(),
        monthly: tier.prices.map(|_| 0.0),
        ..TierUse::default()
    };
    let mut uses: Vec<TierUse> = policy.tiers.iter().map(named).collect();
    for (tier, partition, bytes, files, age) in parts {
        partitions.entry(tier).or_default().insert(partition);
        let used = &mut uses[tier];
        used.files += files;
        used.bytes += bytes;
        if let Some(prices) = &policy.tiers[tier].prices {
            used.monthly = Some(used.monthly.unwrap_or(0.0) + monthly(prices, files, bytes));
        }
        if let Some(age) = age.map(days) {
            used.newest_days = Some(used.newest_days.map_or(age, |known| known.min(age)));
            used.oldest_days = Some(used.oldest_days.map_or(age, |known| known.max(age)));
        }
    }
    for (tier, used) in uses.iter_mut().enumerate() {
        used.partitions = partitions.get(&tier).map_or(0, |all| all.len() as u64);
    }
    uses
}
