//! The health of a table, from its state and the plan that a compaction would follow.

use std::collections::BTreeMap;

use crate::model::{
    CompactPlan, CompactPolicy, DeleteContent, Due, Health, LeftAlone, PartitionHealth, PartitionId, SizeClass,
    TableState, human_bytes,
};

use super::compact::Clustering;
use super::deletes::Burdens;

/// How many partitions are named.
const WORST: usize = 10;

/// Describes a table. `plan` is what a compaction would do now, or why it would be refused; `others` says
/// whether the other operations are due.
pub fn health(
    state: &TableState,
    policy: &CompactPolicy,
    plan: Result<&CompactPlan, &str>,
    others: Vec<Due>,
    now_ms: i64,
) -> Health {
    let metadata = &state.metadata;
    let is_small = |size: u64| size < policy.min_file_size_bytes;
    let oldest = metadata.snapshots().map(|snapshot| snapshot.timestamp_ms()).min();
    let position = state.deletes.iter().filter(|delete| delete.content == DeleteContent::Position).count() as u64;
    let clustering = Clustering::of(state, &policy.arrangement);
    let left_alone = plan.map_or_else(|_| Vec::new(), left_alone);
    Health {
        format_version: metadata.format_version() as u8,
        location: metadata.location().to_owned(),
        snapshot_id: state.snapshot_id,
        snapshot_age_ms: metadata.current_snapshot().map(|snapshot| now_ms - snapshot.timestamp_ms()),
        files: state.files.len() as u64,
        small_files: state.files.iter().filter(|file| is_small(file.size)).count() as u64,
        rows: state.data_rows(),
        bytes: state.data_bytes(),
        sizes: SizeClass::sort(state.files.iter().map(|file| file.size)),
        partitions: partitions(state, policy).len() as u64,
        worst_partitions: worst(state, policy),
        overlap_depth: clustering.as_ref().map(Clustering::table).unwrap_or_default(),
        deepest_partitions: clustering.map(|clustering| clustering.deepest(WORST)).unwrap_or_default(),
        position_delete_files: position,
        equality_delete_files: state.deletes.len() as u64 - position,
        files_with_deletes: Burdens::find(state).files(),
        snapshots: metadata.snapshots().len() as u64,
        oldest_snapshot_age_ms: oldest.map(|oldest| now_ms - oldest),
        refs: refs(state),
        metadata_bytes: state.metadata_size,
        metadata_versions: metadata.metadata_log().len() as u64,
        manifests: state.manifests.len() as u64,
        manifest_bytes: state.manifests.iter().map(|manifest| manifest.size).sum(),
        due: due(plan, others),
        left_alone,
    }
}

fn partitions(state: &TableState, policy: &CompactPolicy) -> BTreeMap<PartitionId, PartitionHealth> {
    let mut partitions = BTreeMap::new();
    for file in &state.files {
        let entry = partitions.entry(file.partition).or_insert_with(|| PartitionHealth {
            partition: state.partition(file.partition).path.clone(),
            files: 0,
            small_files: 0,
            bytes: 0,
        });
        entry.files += 1;
        entry.small_files += u64::from(file.size < policy.min_file_size_bytes);
        entry.bytes += file.size;
    }
    partitions
}

fn worst(state: &TableState, policy: &CompactPolicy) -> Vec<PartitionHealth> {
    let mut all: Vec<PartitionHealth> =
        partitions(state, policy).into_values().filter(|partition| partition.small_files > 1).collect();
    all.sort_by(|a, b| b.small_files.cmp(&a.small_files).then_with(|| a.partition.cmp(&b.partition)));
    all.truncate(WORST);
    all
}

fn refs(state: &TableState) -> u64 {
    serde_json::to_value(state.metadata.as_ref())
        .ok()
        .and_then(|value| value.get("refs").and_then(|refs| refs.as_object().map(|refs| refs.len() as u64)))
        .unwrap_or(0)
}

fn left_alone(plan: &CompactPlan) -> Vec<LeftAlone> {
    let mut counted: Vec<LeftAlone> = Vec::new();
    for file in &plan.skipped {
        let same = |known: &&mut LeftAlone| std::mem::discriminant(&known.why) == std::mem::discriminant(&file.why);
        match counted.iter_mut().find(same) {
            Some(known) => known.files += 1,
            None => counted.push(LeftAlone { why: file.why.clone(), files: 1 }),
        }
    }
    counted.sort_by(|a, b| b.files.cmp(&a.files).then_with(|| a.why.to_string().cmp(&b.why.to_string())));
    counted
}

fn due(plan: Result<&CompactPlan, &str>, others: Vec<Due>) -> Vec<Due> {
    let entry = |operation: &str, due: bool, why: String| Due { operation: operation.to_owned(), due, why };
    let compact = match plan {
        Err(refused) => entry("compact", false, refused.to_owned()),
        Ok(plan) if plan.is_empty() => entry("compact", false, "no group of files is worth a rewrite".to_owned()),
        Ok(plan) => {
            let totals = &plan.totals;
            let words = format!(
                "{} groups: {} files, {} would become about {} files",
                plan.tasks.len(),
                totals.input_files,
                human_bytes(totals.input_bytes),
                totals.output_files
            );
            entry("compact", true, words)
        }
    };
    let unseen = "not looked at here: it takes a listing of all files; icewright remove-orphans shows them".to_owned();
    let orphans = entry("remove-orphans", false, unseen);
    std::iter::once(compact).chain(others).chain([orphans]).collect()
}
