//! The policy of a compaction, by the names of Iceberg's `rewrite_data_files`.

use std::collections::{BTreeMap, HashMap};

use super::archive::tier_places;
use super::arrange::arrangement;
use super::{PolicyLayers, layered, number, size, truth, wrong};
use crate::error::{Error, Result};
use crate::model::{CompactPolicy, EncodingProfile, JobOrder, Verify, closest, parse_bytes};

/// All options that are known. Those in the second half are Iceberg's, and have one value here for now.
const KNOWN: [&str; 22] = [
    "target-file-size-bytes",
    "min-file-size-bytes",
    "max-file-size-bytes",
    "min-input-files",
    "delete-file-threshold",
    "delete-ratio-threshold",
    "remove-dangling-deletes",
    "max-file-group-size-bytes",
    "max-files-to-rewrite",
    "rewrite-all",
    "rewrite-job-order",
    "max-concurrent-file-group-rewrites",
    "partial-progress.enabled",
    "partial-progress.max-commits",
    "partial-progress.min-interval-ms",
    "zstd-level",
    "encodings",
    "verify",
    "strategy",
    "sort-order",
    "columns",
    "output-spec-id",
];
const FIXED: [(&str, &str, &str); 1] =
    [("use-starting-sequence-number", "true", "new files always carry the starting sequence number")];

/// Resolves and validates a table's policy.
///
/// # Errors
/// `InvalidInput` for an unknown option, a value that can't be read, or options that contradict each other;
/// `Unsupported` for one of Iceberg's options that is not supported yet.
pub fn compact_policy(layers: &PolicyLayers<'_>) -> Result<CompactPolicy> {
    let options = layered(layers, |section| section.options(), from_properties)?;
    let mut policy = CompactPolicy { filter: layers.filter.clone(), ..CompactPolicy::default() };
    if let Some(bytes) = layers.properties.get("write.parquet.row-group-size-bytes").and_then(|t| parse_bytes(t).ok()) {
        policy.row_group_bytes = bytes.max(1);
    }
    if let Some(bytes) = layers.properties.get("write.delete.target-file-size-bytes").and_then(|t| parse_bytes(t).ok())
    {
        policy.target_delete_file_size_bytes = bytes.max(1);
    }
    // The others follow the target, unless they are given.
    if let Some(given) = options.get("target-file-size-bytes") {
        let target = given.in_context(size("target-file-size-bytes", &given.value))?;
        policy.target_file_size_bytes = target;
        policy.min_file_size_bytes = target / 4 * 3;
        policy.max_file_size_bytes = target.saturating_mul(9) / 5;
    }
    for (key, given) in &options {
        given.in_context(set(&mut policy, key, &given.value))?;
    }
    policy.arrangement = arrangement(&options)?;
    policy.tiers = tier_places(layers)?;
    policy.validate()?;
    Ok(policy)
}

fn set(policy: &mut CompactPolicy, key: &str, value: &str) -> Result<()> {
    match key {
        "target-file-size-bytes" | "strategy" | "sort-order" | "columns" => {}
        "min-file-size-bytes" => policy.min_file_size_bytes = size(key, value)?,
        "max-file-size-bytes" => policy.max_file_size_bytes = size(key, value)?,
        "min-input-files" => policy.min_input_files = number(key, value)?,
        "delete-file-threshold" => policy.delete_file_threshold = number(key, value)?,
        "delete-ratio-threshold" => {
            policy.delete_ratio_threshold = value.parse().map_err(|_| wrong(key, value, "a share such as 0.1"))?;
        }
        "remove-dangling-deletes" => policy.remove_dangling_deletes = truth(key, value)?,
        "max-file-group-size-bytes" => policy.max_file_group_size_bytes = size(key, value)?,
        "max-files-to-rewrite" => policy.max_files_to_rewrite = Some(number(key, value)?),
        "output-spec-id" => {
            policy.output_spec_id = Some(value.parse().map_err(|_| wrong(key, value, "the id of a partition spec"))?);
        }
        "rewrite-all" => policy.rewrite_all = truth(key, value)?,
        "rewrite-job-order" => {
            policy.rewrite_job_order = match value {
                "none" => JobOrder::None,
                "bytes-asc" => JobOrder::BytesAsc,
                "bytes-desc" => JobOrder::BytesDesc,
                "files-asc" => JobOrder::FilesAsc,
                "files-desc" => JobOrder::FilesDesc,
                _ => return Err(wrong(key, value, "none, bytes-asc, bytes-desc, files-asc or files-desc")),
            };
        }
        "max-concurrent-file-group-rewrites" => policy.max_concurrent_file_group_rewrites = number(key, value)?,
        "partial-progress.enabled" => policy.partial_progress.enabled = truth(key, value)?,
        "partial-progress.max-commits" => policy.partial_progress.max_commits = number(key, value)?,
        "partial-progress.min-interval-ms" => policy.partial_progress.min_interval_ms = number(key, value)?,
        "zstd-level" => {
            policy.zstd_level = value.parse().map_err(|_| wrong(key, value, "a number from 1 to 22"))?;
        }
        "encodings" => match value {
            "compatible" => policy.encodings = EncodingProfile::Compatible,
            "modern" => policy.encodings = EncodingProfile::Modern,
            _ => return Err(wrong(key, value, "compatible or modern")),
        },
        "verify" => {
            policy.verify = match value {
                "stats" => Verify::Stats,
                "content" => Verify::Content,
                _ => return Err(wrong(key, value, "stats or content")),
            };
        }
        other => return unknown(other, value),
    }
    Ok(())
}

fn unknown(key: &str, value: &str) -> Result<()> {
    if let Some((_, only, why)) = FIXED.iter().find(|(name, ..)| *name == key) {
        return if value == *only {
            Ok(())
        } else {
            Err(Error::unsupported(format!("option {key}={value} is not supported")).hint((*why).to_owned()))
        };
    }
    let all = KNOWN.iter().copied().chain(FIXED.iter().map(|(name, ..)| *name));
    let hint = closest(key, all)
        .map_or_else(|| format!("the options are {}", KNOWN.join(", ")), |close| format!("did you mean {close}?"));
    Err(Error::invalid(format!("there is no option {key:?}")).hint(hint))
}

fn from_properties(properties: &HashMap<String, String>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    if let Some(size) = properties.get("write.target-file-size-bytes") {
        options.insert("target-file-size-bytes".to_owned(), size.clone());
    }
    let zstd = properties.get("write.parquet.compression-codec").is_none_or(|codec| codec.eq_ignore_ascii_case("zstd"));
    if let (true, Some(level)) = (zstd, properties.get("write.parquet.compression-level")) {
        options.insert("zstd-level".to_owned(), level.clone());
    }
    options
}
