//! A table from afar: its metadata and manifest list, and manifests only where the cheap figures leave it open whether
//! there is anything to gain. Memory is proportional to partitions, not to files.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt;
use iceberg::spec::{DataContentType, ManifestContentType, ManifestFile, Operation, Snapshot, Struct};

use super::LoadedTable;
use super::entries::read_live;
use super::manifests::read_manifest_list;
use crate::error::{Context, Result};
use crate::model::{Candidates, Closeness, CompactPolicy, HOT, RunMemory, TableSummary, tier_of};

/// Where a table remembers when its last run ended (milliseconds since 1970).
pub const LAST_RUN: &str = "icewright.run.last-ms";
/// Where it remembers when a run of one operation last ended: between these two, the operation's name.
const LAST_RUN_OF: (&str, &str) = ("icewright.run.", ".last-ms");
/// Where it remembers how often runs failed since the last one that did not.
pub const FAILURES: &str = "icewright.run.failures";
/// Who holds its lease.
pub const LEASE_OWNER: &str = "icewright.lease.owner";
/// Until when (milliseconds since 1970).
pub const LEASE_UNTIL: &str = "icewright.lease.until-ms";

/// Manifests of more bytes than this altogether are not read for a summary: such a table has candidates anyway.
const MOST_MANIFEST_BYTES: u64 = 32 << 20;

/// Manifests of one table that are read side by side; many tables are looked at at once.
const AT_ONCE: usize = 4;

/// Describes a table from afar.
///
/// # Errors
/// As reading manifests: `Corrupt`, `Unavailable`, `Unsupported` for encrypted ones.
pub async fn summarise(table: &LoadedTable, policy: &CompactPolicy) -> Result<TableSummary> {
    let metadata = &table.metadata;
    let mut summary = from_metadata(table, policy);
    let Some(snapshot) = metadata.current_snapshot() else { return Ok(summary) };
    let what = || format!("looking at table {}", table.name);
    let list = read_manifest_list(table, snapshot).await.while_doing(what)?;
    add_list(&mut summary, &list, policy);
    let bytes: u64 = list.iter().map(|manifest| u64::try_from(manifest.manifest_length).unwrap_or(0)).sum();
    let open = summary.candidates.gain() + 1 >= policy.min_input_files
        || !has_totals(snapshot)
        || policy.tiers.iter().any(|tier| tier.location.is_some());
    if open && bytes <= MOST_MANIFEST_BYTES {
        add_manifests(&mut summary, table, list, policy).await.while_doing(what)?;
    }
    Ok(summary)
}

/// What the metadata file alone says. Counts of the newest snapshot come from its own summary.
fn from_metadata(table: &LoadedTable, policy: &CompactPolicy) -> TableSummary {
    let metadata = &table.metadata;
    let current = metadata.current_snapshot();
    let total = |key: &str| current.and_then(|snapshot| number(snapshot, key)).unwrap_or(0);
    let (files, bytes) = (total("total-data-files"), total("total-files-size"));
    let times = || metadata.snapshots().map(|snapshot| snapshot.timestamp_ms());
    let (oldest, newest) = (times().min(), times().max());
    let last_data_ms = metadata.snapshots().filter(|s| adds_rows(s)).map(|s| s.timestamp_ms()).max();
    let added = |rewrites: bool| -> u64 {
        let of = |s: &&std::sync::Arc<Snapshot>| (s.summary().operation == Operation::Replace) == rewrites;
        metadata.snapshots().filter(of).filter_map(|snapshot| number(snapshot, "added-files-size")).sum()
    };
    TableSummary {
        table: table.name.clone(),
        closeness: Closeness::Metadata,
        files,
        small_files: 0,
        bytes: BTreeMap::from([(hottest(policy), bytes)]),
        rows: total("total-records"),
        delete_files: total("total-delete-files"),
        deletes: total("total-position-deletes") + total("total-equality-deletes"),
        candidates: Candidates::default(),
        snapshots: metadata.snapshots().len() as u64,
        oldest_snapshot_ms: oldest,
        // A history of rewrites alone says at least that nothing newer came.
        last_data_ms: last_data_ms.or(oldest),
        metadata_bytes: json_bytes(&table.document),
        metadata_versions: metadata.metadata_log().len() as u64,
        manifests: 0,
        bytes_added: added(false),
        bytes_rewritten: added(true),
        history_ms: match (oldest, newest) {
            (Some(oldest), Some(newest)) => newest.abs_diff(oldest),
            _ => 0,
        },
        memory: memory(metadata.properties()),
    }
}

fn add_list(summary: &mut TableSummary, list: &[ManifestFile], policy: &CompactPolicy) {
    summary.closeness = Closeness::ManifestList;
    summary.manifests = list.len() as u64;
    summary.metadata_bytes += list.iter().map(|m| u64::try_from(m.manifest_length).unwrap_or(0)).sum::<u64>();
    let live = |content: ManifestContentType| -> u64 {
        let of = list.iter().filter(|manifest| manifest.content == content);
        of.map(|m| u64::from(m.added_files_count.unwrap_or(0)) + u64::from(m.existing_files_count.unwrap_or(0))).sum()
    };
    summary.files = summary.files.max(live(ManifestContentType::Data));
    summary.delete_files = summary.delete_files.max(live(ManifestContentType::Deletes));
    // Files that are large enough hold so many bytes that there can't be many of them: all others may be candidates.
    let (files, bytes) = (summary.files, summary.total_bytes());
    summary.small_files = if files == 0 || bytes / files >= policy.max_file_size_bytes { 0 } else { files };
    summary.candidates =
        Candidates { files, bytes, outputs: bytes.div_ceil(policy.target_file_size_bytes.max(1)).min(files) };
}

/// Exact figures: what every live file is, by partition.
async fn add_manifests(
    summary: &mut TableSummary,
    table: &LoadedTable,
    list: Vec<ManifestFile>,
    policy: &CompactPolicy,
) -> Result<()> {
    let mut groups: HashMap<(i32, Struct), (u64, u64)> = HashMap::new();
    let mut bytes: BTreeMap<String, u64> = BTreeMap::from([(hottest(policy), 0)]);
    let (mut files, mut small, mut rows, mut delete_files, mut deletes) = (0, 0, 0, 0, 0);
    let mut reading = futures::stream::iter(list)
        .map(|manifest| async move { read_live(&table.store, &manifest, &[]).await.map(|live| (manifest, live)) })
        .buffer_unordered(AT_ONCE);
    while let Some(read) = reading.next().await {
        let (manifest, live) = read?;
        for file in live.entries {
            if file.content != DataContentType::Data {
                delete_files += 1;
                deletes += file.records;
                continue;
            }
            let (size, tier) = (file.size, tier_of(&policy.tiers, &file.path, None));
            files += 1;
            rows += file.records;
            let name = policy.tiers.get(tier).map_or_else(|| HOT.to_owned(), |place| place.name.clone());
            *bytes.entry(name).or_insert(0) += size;
            if size < policy.min_file_size_bytes {
                small += 1;
                // Colder tiers are never compacted.
                if tier == 0 {
                    let group = groups.entry((manifest.partition_spec_id, file.partition)).or_default();
                    *group = (group.0 + 1, group.1 + size);
                }
            }
        }
    }
    let mut candidates = Candidates::default();
    for (count, size) in groups.into_values() {
        let outputs = size.div_ceil(policy.target_file_size_bytes.max(1)).max(1);
        let enough = count >= policy.min_input_files || size >= policy.target_file_size_bytes;
        if enough && count > outputs {
            candidates.files += count;
            candidates.bytes += size;
            candidates.outputs += outputs;
        }
    }
    summary.closeness = Closeness::Manifests;
    (summary.files, summary.small_files, summary.rows, summary.bytes) = (files, small, rows, bytes);
    (summary.delete_files, summary.deletes, summary.candidates) = (delete_files, deletes, candidates);
    Ok(())
}

fn hottest(policy: &CompactPolicy) -> String {
    policy.tiers.first().map_or_else(|| HOT.to_owned(), |tier| tier.name.clone())
}

fn number(snapshot: &Snapshot, key: &str) -> Option<u64> {
    snapshot.summary().additional_properties.get(key)?.parse().ok()
}

fn has_totals(snapshot: &Snapshot) -> bool {
    number(snapshot, "total-data-files").is_some() && number(snapshot, "total-files-size").is_some()
}

/// Whether a snapshot brought data: rewrites and pure removals did not.
fn adds_rows(snapshot: &Snapshot) -> bool {
    match snapshot.summary().operation {
        Operation::Append => true,
        Operation::Overwrite => number(snapshot, "added-records") != Some(0),
        Operation::Replace | Operation::Delete => false,
    }
}

/// What earlier maintenance left in a table's properties. What can't be read counts as absent.
pub fn memory(properties: &HashMap<String, String>) -> RunMemory {
    let number = |key: &str| properties.get(key).and_then(|text| text.parse::<i64>().ok());
    RunMemory {
        last_run_ms: number(LAST_RUN),
        last_runs: properties.keys().filter_map(|key| Some((operation_of(key)?.to_owned(), number(key)?))).collect(),
        failures: number(FAILURES).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        lease_owner: properties.get(LEASE_OWNER).filter(|owner| !owner.is_empty()).cloned(),
        lease_until_ms: number(LEASE_UNTIL),
    }
}

/// The property that remembers when a run of an operation last ended.
pub fn last_run_of(operation: &str) -> String {
    format!("{}{operation}{}", LAST_RUN_OF.0, LAST_RUN_OF.1)
}

fn operation_of(key: &str) -> Option<&str> {
    key.strip_prefix(LAST_RUN_OF.0)?.strip_suffix(LAST_RUN_OF.1).filter(|name| !name.is_empty())
}

/// Bytes of a document as compact JSON, about what its file has, without writing it anywhere.
fn json_bytes(document: &serde_json::Value) -> u64 {
    struct Counter(u64);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    let counted = serde_json::to_writer(&mut counter, document);
    counted.map_or(0, |()| counter.0)
}
