//! The policy of orphan removal.

use std::collections::{BTreeMap, HashMap};

use super::{PolicyLayers, layered, number, truth, wrong};
use crate::config::Defaults;
use crate::error::{Error, Result};
use crate::model::{OrphanPolicy, closest, parse_age};

const KNOWN: [&str; 4] = ["older-than", "i-know", "quarantine", "max-per-second"];

/// Resolves and validates a table's policy. Its properties say nothing about orphans; `gc.enabled` is looked at later.
///
/// # Errors
/// `InvalidInput` for an unknown option, a value that can't be read, or an age below a day without `i-know`.
pub fn orphan_policy(layers: &PolicyLayers<'_>) -> Result<OrphanPolicy> {
    let options = layered(layers, of_section, |_: &HashMap<String, String>| BTreeMap::new())?;
    let mut policy = OrphanPolicy::default();
    for (key, given) in &options {
        given.in_context(set(&mut policy, key, &given.value))?;
    }
    policy.validate()?;
    Ok(policy)
}

fn of_section(section: &Defaults) -> BTreeMap<String, String> {
    let age = section.orphans_older_than.map(|age| format!("{}s", age.0.as_secs()));
    age.map(|age| ("older-than".to_owned(), age)).into_iter().collect()
}

fn set(policy: &mut OrphanPolicy, key: &str, value: &str) -> Result<()> {
    match key {
        "older-than" => policy.older_than_ms = u64::try_from(parse_age(value)?.as_millis()).unwrap_or(u64::MAX),
        "i-know" => policy.i_know = truth(key, value)?,
        "quarantine" if value.trim().is_empty() => return Err(wrong(key, value, "a location such as s3://trash/lake")),
        "quarantine" => policy.quarantine = Some(value.trim().trim_end_matches('/').to_owned()),
        "max-per-second" => policy.max_per_second = Some(number(key, value)?),
        other => {
            let hint = closest(other, KNOWN).map_or_else(
                || format!("the options are {}", KNOWN.join(", ")),
                |close| format!("did you mean {close}?"),
            );
            return Err(Error::invalid(format!("there is no option {other:?}")).hint(hint));
        }
    }
    Ok(())
}
