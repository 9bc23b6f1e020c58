//! The policy of rewriting manifests.

use std::collections::{BTreeMap, HashMap};

use super::{PolicyLayers, layered, number, size, truth};
use crate::config::Defaults;
use crate::error::{Error, Result};
use crate::model::{ManifestPolicy, closest};

/// Iceberg's own property, and the name of the option.
const TARGET: &str = "commit.manifest.target-size-bytes";
const KNOWN: [&str; 3] = [TARGET, "min-gain", "rewrite-all"];

/// Resolves and validates a table's policy.
///
/// # Errors
/// `InvalidInput` for an unknown option, or a value that can't be read.
pub fn manifest_policy(layers: &PolicyLayers<'_>) -> Result<ManifestPolicy> {
    let mut policy = ManifestPolicy::default();
    for (key, given) in layered(layers, of_section, of_properties)? {
        given.in_context(set(&mut policy, &key, &given.value))?;
    }
    policy.validate()?;
    Ok(policy)
}

fn set(policy: &mut ManifestPolicy, key: &str, value: &str) -> Result<()> {
    match key {
        TARGET => policy.target_size_bytes = size(key, value)?,
        "min-gain" => policy.min_gain = number(key, value)?,
        "rewrite-all" => policy.rewrite_all = truth(key, value)?,
        _ => {
            let hint = closest(key, KNOWN);
            let hint =
                hint.map_or_else(|| format!("the options are {}", KNOWN.join(", ")), |c| format!("did you mean {c}?"));
            return Err(Error::invalid(format!("there is no option {key:?}")).hint(hint));
        }
    }
    Ok(())
}

fn of_section(section: &Defaults) -> BTreeMap<String, String> {
    let all = [
        (TARGET, section.manifest_target_size.map(|size| size.0.to_string())),
        ("min-gain", section.manifest_min_gain.map(|gain| gain.to_string())),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn of_properties(properties: &HashMap<String, String>) -> BTreeMap<String, String> {
    properties.get(TARGET).map(|size| (TARGET.to_owned(), size.clone())).into_iter().collect()
}
