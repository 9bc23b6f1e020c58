//! The policy of an archival: tiers as `[[tier]]` describes them, changed by table properties and `[[table]]`.

use std::collections::BTreeMap;

use super::{PolicyLayers, compact_policy, most_specific};
use crate::config::tier::valid;
use crate::error::{Error, Result};
use crate::model::{
    ArchivePolicy, CompactPolicy, EncodingProfile, Prices, Recompress, Tier, TierPlace, class_is_offline, class_prices,
    parse_age, parse_bytes,
};

/// Table properties about tiers: `icewright.tier.NAME.SETTING`, `icewright.tier.time-column`, `icewright.tier.enabled`.
const PROPERTIES: &str = "icewright.tier.";

/// What a command asks of an archival, beside the tiers themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveRequest {
    /// Everything that the filter selects goes to this tier.
    pub to: Option<String>,
    /// Whether tiers may be used whose objects can't be read without a restore.
    pub allow_offline: bool,
    /// Whether moves are made that cost more than they save.
    pub ignore_cost: bool,
    /// The column that tells the age of rows.
    pub time_column: Option<String>,
}

/// A tier's settings, and who made each.
struct Named {
    name: String,
    settings: BTreeMap<String, String>,
}

/// Resolves and validates where a table's data belongs.
///
/// # Errors
/// `InvalidInput` when no tiers are described, or a setting can't be understood; `Unsupported` for a storage class that
/// makes objects unreadable, unless that is allowed.
pub fn archive_policy(layers: &PolicyLayers<'_>, request: &ArchiveRequest) -> Result<ArchivePolicy> {
    let base = compact_policy(layers)?;
    let mut tiers = named_tiers(layers)?;
    if tiers.is_empty() {
        return Err(Error::invalid("no storage tiers are described").hint(
            "write into icewright.toml: [[tier]] name = \"hot\", then [[tier]] name = \"cold\", older-than = \"365d\", \
             location = \"s3://cold/warehouse\", storage-class = \"GLACIER_IR\"",
        ));
    }
    if !is_enabled(layers)? {
        tiers.truncate(1);
    }
    // Classes and prices of some tiers give those without their meaning: the store's default class.
    let priced = tiers.iter().any(|tier| {
        tier.settings.contains_key("storage-class") || tier.settings.keys().any(|key| key.starts_with("price-"))
    });
    let tiers = tiers.into_iter().map(|named| tier(named, &base, priced)).collect::<Result<Vec<_>>>()?;
    for tier in tiers.iter().filter(|_| !request.allow_offline) {
        let (class, place) = (tier.storage_class.as_deref().unwrap_or_default(), tier.location.as_deref());
        if class_is_offline(class, place.unwrap_or_default()) {
            return Err(Error::unsupported(format!(
                "tier {} has storage class {class}, whose objects can't be read without a restore",
                tier.name
            ))
            .hint("every scan that touches them would fail: take GLACIER_IR, or say --allow-offline"));
        }
    }
    let section = most_specific(&layers.settings.tables, layers.table)?;
    let of_section = section.and_then(|section| section.policy.time_column.clone());
    let of_table = || layers.properties.get(&format!("{PROPERTIES}time-column")).cloned();
    let policy = ArchivePolicy {
        tiers,
        time_column: request.time_column.clone().or(of_section).or_else(of_table),
        to: request.to.clone(),
        filter: layers.filter.clone(),
        allow_offline: request.allow_offline,
        ignore_cost: request.ignore_cost,
        job_order: base.rewrite_job_order,
        max_concurrent: base.max_concurrent_file_group_rewrites,
        partial_progress: base.partial_progress,
    };
    policy.asked()?;
    if policy.to.is_some() && policy.filter.is_none() {
        return Err(Error::invalid("a tier was named, but not what goes there")
            .hint("say which rows: --to hot --where \"ts >= '2021-01-01' AND ts < '2022-01-01'\""));
    }
    Ok(policy)
}

/// Where a table's files may be, hottest first; empty without tiers.
///
/// # Errors
/// As [`archive_policy`].
pub fn tier_places(layers: &PolicyLayers<'_>) -> Result<Vec<TierPlace>> {
    let place = |named: Named| TierPlace {
        location: named.settings.get("location").cloned(),
        storage_class: named.settings.get("storage-class").cloned(),
        name: named.name,
    };
    // A table whose data does not move any more may still have files in colder tiers.
    Ok(named_tiers(layers)?.into_iter().map(place).collect())
}

fn is_enabled(layers: &PolicyLayers<'_>) -> Result<bool> {
    let section = most_specific(&layers.settings.tables, layers.table)?;
    if let Some(said) = section.and_then(|section| section.policy.archive) {
        return Ok(said);
    }
    let key = format!("{PROPERTIES}enabled");
    layers.properties.get(&key).map_or(Ok(true), |text| super::truth(&key, text))
}

/// The configuration's tiers, the table's properties over them, its section over those; coldest last.
fn named_tiers(layers: &PolicyLayers<'_>) -> Result<Vec<Named>> {
    let mut tiers: Vec<Named> = layers
        .settings
        .tiers
        .iter()
        .map(|tier| Named { name: tier.name.clone(), settings: tier.settings.clone() })
        .collect();
    let mut set = |name: &str, key: &str, value: &str| match tiers.iter_mut().find(|tier| tier.name == name) {
        Some(tier) => drop(tier.settings.insert(key.to_owned(), value.to_owned())),
        None => tiers.push(Named { name: name.to_owned(), settings: [(key.to_owned(), value.to_owned())].into() }),
    };
    let mut properties: Vec<_> = layers.properties.iter().collect();
    properties.sort();
    for (property, value) in properties {
        let Some((name, key)) = property.strip_prefix(PROPERTIES).and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        valid(key, value).map_err(|e| Error::invalid(format!("table property {property}: {e}")))?;
        set(name, key, value);
    }
    if let Some(section) = most_specific(&layers.settings.tables, layers.table)? {
        for (name, settings) in &section.policy.tiers {
            settings.iter().for_each(|(key, value)| set(name, key, value));
        }
    }
    let line = |tier: &Named| tier.settings.get("older-than").and_then(|text| parse_age(text).ok());
    tiers.sort_by_key(line);
    let wrong = tiers.iter().enumerate().skip(1).find(|(index, tier)| line(&tiers[index - 1]) >= line(tier));
    if let Some((_, tier)) = wrong {
        return Err(Error::invalid(format!("tier {} of {} is not older than another one", tier.name, layers.table))
            .hint("exactly one tier, the hottest, has no older-than; the others differ in it"));
    }
    if tiers.first().is_some_and(|first| line(first).is_some()) {
        return Err(Error::invalid(format!("every tier of {} has an older-than", layers.table))
            .hint("the hottest tier takes what is new: describe it without one"));
    }
    Ok(tiers)
}

fn tier(named: Named, base: &CompactPolicy, priced: bool) -> Result<Tier> {
    let Named { name, settings } = named;
    let text = |key: &str| settings.get(key).map(String::as_str);
    let bytes = |key: &str| text(key).map(parse_bytes).transpose();
    let number = |key: &str| text(key).and_then(|text| text.trim().parse::<f64>().ok());
    let mut policy = CompactPolicy { filter: None, tiers: Vec::new(), rewrite_all: false, ..base.clone() };
    if let Some(level) = text("zstd-level").and_then(|text| text.trim().parse().ok()) {
        policy.zstd_level = level;
    }
    match text("encodings") {
        Some("modern") => policy.encodings = EncodingProfile::Modern,
        Some(_) => policy.encodings = EncodingProfile::Compatible,
        None => {}
    }
    if let Some(target) = bytes("target-file-size")? {
        policy.target_file_size_bytes = target;
        policy.min_file_size_bytes = target / 4 * 3;
        policy.max_file_size_bytes = target.saturating_mul(9) / 5;
        policy.max_file_group_size_bytes = policy.max_file_group_size_bytes.max(target);
    }
    policy.validate()?;
    let of_class = class_prices(text("storage-class").unwrap_or("STANDARD")).filter(|_| priced);
    let given = settings.keys().any(|key| key.starts_with("price-"));
    let prices = of_class.or_else(|| class_prices("STANDARD").filter(|_| given)).map(|known| Prices {
        gib_month: number("price-gib-month").unwrap_or(known.gib_month),
        writes_1000: number("price-1000-writes").unwrap_or(known.writes_1000),
        reads_1000: number("price-1000-reads").unwrap_or(known.reads_1000),
        gib_retrieved: number("price-gib-retrieved").unwrap_or(known.gib_retrieved),
        min_days: text("min-storage-days").and_then(|text| text.trim().parse().ok()).unwrap_or(known.min_days),
        ..known
    });
    let billed = bytes("min-billed-size")?;
    let prices = prices.map(|known| Prices { min_billed_bytes: billed.unwrap_or(known.min_billed_bytes), ..known });
    let older_than = text("older-than").map(parse_age).transpose()?;
    Ok(Tier {
        older_than_ms: older_than.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        location: text("location").map(str::to_owned),
        storage_class: text("storage-class").map(str::to_owned),
        policy,
        recompress: match text("recompress") {
            Some("always") => Recompress::Always,
            Some("never") => Recompress::Never,
            _ => Recompress::Auto,
        },
        min_object_bytes: bytes("min-object-size")?.unwrap_or(prices.map_or(0, |prices| prices.min_billed_bytes)),
        prices,
        name,
    })
}

#[cfg(test)]
mod tests;
