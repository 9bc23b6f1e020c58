//! From layers of options to one validated policy.

use std::collections::{BTreeMap, HashMap};

use globset::Glob;

use super::{Settings, TableSection};
use crate::error::{Context, Error, Result};
use crate::model::{CompactPolicy, EncodingProfile, Filter, JobOrder, TableName, Verify, closest, parse_bytes};

/// Everything that may say something about a table's policy.
#[derive(Debug)]
pub struct PolicyLayers<'a> {
    /// Command line and environment, by Iceberg's names.
    pub options: &'a BTreeMap<String, String>,
    /// `--where`.
    pub filter: Option<Filter>,
    /// Configuration files.
    pub settings: &'a Settings,
    /// The table.
    pub table: &'a TableName,
    /// Its properties.
    pub properties: &'a HashMap<String, String>,
}

/// All options that are known. Those in the second half are Iceberg's, and have one value here for now.
const KNOWN: [&str; 15] = [
    "target-file-size-bytes",
    "min-file-size-bytes",
    "max-file-size-bytes",
    "min-input-files",
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
];
const FIXED: [(&str, &str, &str); 4] = [
    ("use-starting-sequence-number", "true", "new files always carry the starting sequence number"),
    ("remove-dangling-deletes", "false", "delete files are not touched yet"),
    ("delete-file-threshold", "2147483647", "files with deletes are left alone for now"),
    ("strategy", "binpack", "sorting is not supported yet"),
];

/// Resolves and validates a table's policy.
///
/// # Errors
/// `InvalidInput` for an unknown option, a value that can't be read, or options that contradict each other;
/// `Unsupported` for one of Iceberg's options that is not supported yet.
pub fn compact_policy(layers: &PolicyLayers<'_>) -> Result<CompactPolicy> {
    let section = most_specific(&layers.settings.tables, layers.table)?;
    let mut options: BTreeMap<String, Given> = BTreeMap::new();
    let mut lay = |layer: BTreeMap<String, String>, from: &str| {
        options.extend(layer.into_iter().map(|(key, value)| (key, Given { value, from: from.to_owned() })));
    };
    lay(layers.settings.defaults.options(), "[defaults] in the configuration");
    lay(from_properties(layers.properties), "the table's own write properties");
    if let Some(section) = section {
        lay(section.policy.options(), &format!("[[table]] {:?} in the configuration", section.pattern));
    }
    lay(layers.options.clone(), "");
    let mut policy = CompactPolicy { filter: layers.filter.clone(), ..CompactPolicy::default() };
    if let Some(bytes) = layers.properties.get("write.parquet.row-group-size-bytes").and_then(|t| parse_bytes(t).ok()) {
        policy.row_group_bytes = bytes.max(1);
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
    policy.validate()?;
    Ok(policy)
}

/// A value, and where it comes from; empty for the command line and the environment.
struct Given {
    value: String,
    from: String,
}

impl Given {
    fn in_context<T>(&self, result: Result<T>) -> Result<T> {
        if self.from.is_empty() { result } else { result.while_doing(|| format!("following {}", self.from)) }
    }
}

fn set(policy: &mut CompactPolicy, key: &str, value: &str) -> Result<()> {
    match key {
        "target-file-size-bytes" => {}
        "min-file-size-bytes" => policy.min_file_size_bytes = size(key, value)?,
        "max-file-size-bytes" => policy.max_file_size_bytes = size(key, value)?,
        "min-input-files" => policy.min_input_files = number(key, value)?,
        "max-file-group-size-bytes" => policy.max_file_group_size_bytes = size(key, value)?,
        "max-files-to-rewrite" => policy.max_files_to_rewrite = Some(number(key, value)?),
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
            "modern" => {
                return Err(Error::unsupported("encodings = modern is not supported yet")
                    .hint("compatible is what every reader has"));
            }
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
    if ["delete-ratio-threshold", "output-spec-id"].contains(&key) {
        return Err(Error::unsupported(format!("option {key} is not supported yet"))
            .hint("files with deletes and files of older partition specs are left alone for now"));
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

/// The matching section that says most about the name: the one with the most characters that are no wildcard.
fn most_specific<'a>(sections: &'a [TableSection], table: &TableName) -> Result<Option<&'a TableSection>> {
    let name = table.to_string();
    let mut best: Option<(usize, &TableSection)> = None;
    for section in sections {
        let glob = Glob::new(&section.pattern)
            .map_err(|e| Error::invalid(format!("{:?} is no table pattern", section.pattern)).caused_by(e))?;
        if !glob.compile_matcher().is_match(&name) {
            continue;
        }
        let weight = section.pattern.chars().filter(|c| !"*?[]{}".contains(*c)).count();
        match best {
            Some((known, other)) if known == weight => {
                return Err(Error::invalid(format!(
                    "[[table]] {:?} and {:?} match {name} equally well",
                    other.pattern, section.pattern
                ))
                .hint("make one of the patterns more specific"));
            }
            Some((known, _)) if known > weight => {}
            _ => best = Some((weight, section)),
        }
    }
    Ok(best.map(|(_, section)| section))
}

fn wrong(key: &str, value: &str, want: &str) -> Error {
    Error::invalid(format!("{value:?} is no value for {key}")).hint(format!("{key} is {want}"))
}

fn size(key: &str, value: &str) -> Result<u64> {
    parse_bytes(value).map_err(|_| wrong(key, value, "a size such as 512MiB, or a number of bytes"))
}

fn number(key: &str, value: &str) -> Result<u64> {
    value.trim().parse().map_err(|_| wrong(key, value, "a whole number"))
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(key, value, "true or false")),
    }
}
