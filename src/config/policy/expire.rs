//! The policy of an expiry: our own options, and what Iceberg's table properties say.

use std::collections::{BTreeMap, HashMap};

use super::archive::tier_places;
use super::{Given, PolicyLayers, age, layered, number, truth, wrong};
use crate::error::{Error, Result};
use crate::model::{ExpirePolicy, closest};

/// All options that are known.
const KNOWN: [&str; 10] = [
    "retain-min",
    "retain-max",
    "older-than",
    "min-age",
    "branch-min",
    "max-ref-age",
    "snapshot-id",
    "clean-expired-metadata",
    "previous-versions-max",
    "max-per-second",
];
/// Older metadata files: a table property outside of this range is taken to its nearer end.
const FEWEST_VERSIONS: u64 = 10;
const MOST_VERSIONS: u64 = 20;

/// Resolves and validates a table's policy.
///
/// A floor that is said more specifically than the ceiling (by the table, say, where the ceiling is built in) lifts it. A
/// ceiling below the floor in any other way is a contradiction: a floor is never lowered silently.
///
/// # Errors
/// `InvalidInput` for an unknown option, a value that can't be read, or options that contradict each other.
pub fn expire_policy(layers: &PolicyLayers<'_>) -> Result<ExpirePolicy> {
    let options = layered(layers, |section| section.expire_options(), from_properties)?;
    let mut policy = ExpirePolicy::default();
    for (key, given) in &options {
        given.in_context(set(&mut policy, key, &given.value))?;
    }
    let rank = |key: &str| options.get(key).map_or(0, |given: &Given| given.rank);
    if rank("retain-min") > rank("retain-max") {
        policy.retain_max = policy.retain_max.max(policy.retain_min);
    }
    policy.tiers = tier_places(layers)?;
    policy.validate()?;
    Ok(policy)
}

fn set(policy: &mut ExpirePolicy, key: &str, value: &str) -> Result<()> {
    match key {
        "retain-min" => policy.retain_min = number(key, value)?,
        "retain-max" => policy.retain_max = number(key, value)?,
        "older-than" => policy.older_than_ms = age(key, value)?,
        "min-age" => policy.min_age_ms = age(key, value)?,
        "branch-min" => policy.branch_min = number(key, value)?,
        "max-ref-age" => policy.max_ref_age_ms = Some(age(key, value)?),
        "snapshot-id" => policy.snapshot_ids = ids(key, value)?,
        "clean-expired-metadata" => policy.clean_expired_metadata = truth(key, value)?,
        "max-per-second" => policy.max_per_second = Some(number(key, value)?),
        "previous-versions-max" => policy.previous_versions_max = number(key, value)?,
        _ => {
            let hint = closest(key, KNOWN).map_or_else(
                || format!("the options are {}", KNOWN.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            return Err(Error::invalid(format!("there is no option {key:?}")).hint(hint));
        }
    }
    Ok(())
}

fn ids(key: &str, value: &str) -> Result<Vec<i64>> {
    let id = |text: &str| text.trim().parse().map_err(|_| wrong(key, text, "the id of a snapshot, a whole number"));
    let mut ids: Vec<i64> = value.split(',').map(id).collect::<Result<_>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// `history.expire.*` says how much the owner wants to keep, of `main` and of every other branch.
fn from_properties(properties: &HashMap<String, String>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut take = |property: &str, option: &str, ending: &str| {
        if let Some(value) = properties.get(property) {
            options.insert(option.to_owned(), format!("{}{ending}", value.trim()));
        }
    };
    take("history.expire.max-snapshot-age-ms", "older-than", "ms");
    take("history.expire.max-ref-age-ms", "max-ref-age", "ms");
    take("history.expire.min-snapshots-to-keep", "retain-min", "");
    take("history.expire.min-snapshots-to-keep", "branch-min", "");
    // Engines ignore a value here that is no number; then so do we.
    let versions =
        properties.get("write.metadata.previous-versions-max").and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(versions) = versions {
        let kept = versions.clamp(FEWEST_VERSIONS, MOST_VERSIONS);
        options.insert("previous-versions-max".to_owned(), kept.to_string());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, file};
    use crate::model::TableName;

    const DAY: u64 = 86_400_000;

    fn resolve(toml: &str, properties: &[(&str, &str)], options: &[(&str, &str)]) -> Result<ExpirePolicy> {
        let settings: Settings = file::parse(toml, std::path::Path::new("icewright.toml"))?;
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let (properties, options) = (own(properties).into_iter().collect(), own(options).into_iter().collect());
        let table = TableName::parse("market.prices")?;
        expire_policy(&PolicyLayers {
            options: &options,
            filter: None,
            settings: &settings,
            table: &table,
            properties: &properties,
        })
    }

    #[test]
    fn should_follow_the_order_of_precedence() {
        let toml =
            "[defaults]\nretain-max = 15\nexpire-older-than = \"3d\"\n[[table]]\nmatch = \"market.*\"\nretain-max = 12";
        let age = [("history.expire.max-snapshot-age-ms", "86400000")];
        let kept = |policy: ExpirePolicy| (policy.retain_min, policy.retain_max, policy.older_than_ms);
        assert_eq!(kept(resolve("", &[], &[]).unwrap()), (10, 20, 5 * DAY));
        assert_eq!(kept(resolve(toml, &[], &[]).unwrap()), (10, 12, 3 * DAY));
        assert_eq!(kept(resolve(toml, &age, &[("retain-max", "11")]).unwrap()), (10, 11, DAY));
    }

    #[test]
    fn should_let_a_more_specific_floor_lift_the_ceiling_but_never_the_other_way_round() {
        let many = [("history.expire.min-snapshots-to-keep", "50")];
        let policy = resolve("[defaults]\nretain-max = 15", &many, &[]).unwrap();
        assert_eq!((policy.retain_min, policy.retain_max, policy.branch_min), (50, 50, 50));
        for (toml, properties, options) in [
            ("", &[][..], &[("retain-max", "5")][..]),
            ("", &[], &[("retain-max", "5"), ("retain-min", "6")]),
            ("[[table]]\nmatch = \"*\"\nretain-max = 15", &many, &[]),
        ] {
            let error = resolve(toml, properties, options).unwrap_err();
            assert!(error.to_string().contains("is above retain-max"), "{error}");
        }
    }

    #[test]
    fn should_keep_metadata_versions_within_their_range_unless_told() {
        let versions = |value: &str| {
            resolve("", &[("write.metadata.previous-versions-max", value)], &[]).unwrap().previous_versions_max
        };
        assert_eq!(["5", "15", "100", "many"].map(versions), [10, 15, 20, 20]);
        assert_eq!(resolve("", &[], &[("previous-versions-max", "3")]).unwrap().previous_versions_max, 3);
    }

    #[test]
    fn should_say_what_can_t_be_read_and_where_it_comes_from() {
        let property = resolve("", &[("history.expire.max-snapshot-age-ms", "5d")], &[]).unwrap_err().to_string();
        assert!(property.contains("the table's own properties") && property.contains("older-than"), "{property}");
        for bad in [
            ("older-than", "5"),
            ("snapshot-id", "x"),
            ("retain-min", "0"),
            ("retain-mim", "1"),
            ("max-per-second", "0"),
        ] {
            assert!(resolve("", &[], &[bad]).is_err(), "{bad:?}");
        }
        assert_eq!(resolve("", &[], &[("snapshot-id", "7,3,7")]).unwrap().snapshot_ids, [3, 7]);
    }
}
