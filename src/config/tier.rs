//! `[[tier]]`: a class of storage, as configuration files describe it.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use crate::model::{parse_age, parse_bytes};

/// What may be said of a tier.
pub(super) const KEYS: [&str; 14] = [
    "older-than",
    "location",
    "storage-class",
    "zstd-level",
    "encodings",
    "target-file-size",
    "recompress",
    "min-object-size",
    "price-gib-month",
    "price-1000-writes",
    "price-1000-reads",
    "price-gib-retrieved",
    "min-storage-days",
    "min-billed-size",
];
/// Ages that go without saying.
const AGES: [(&str, &str); 2] = [("warm", "90d"), ("cold", "365d")];
/// Properties of the store of a tier's location begin so; they are never printed.
const STORES: [&str; 5] = ["s3", "gcs", "adls", "client", "hdfs"];

/// A tier: its settings as texts by name, so that every layer that may change them is read by one piece of code.
#[derive(Clone, PartialEq, Eq)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: BTreeMap<String, String>,
    /// Properties of the store at its location, where they differ from the catalog's.
    pub(crate) props: BTreeMap<String, String>,
}

impl std::fmt::Debug for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Properties hold secrets: only their names are shown.
        f.debug_struct("Tier")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .field("props", &self.props.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Reads the sections of a file, hottest first.
pub(super) fn parse(sections: Vec<BTreeMap<String, Value>>) -> Result<Vec<Tier>, String> {
    let mut tiers: Vec<Tier> = Vec::new();
    for mut entries in sections {
        let name = match entries.remove("name") {
            Some(Value::String(name)) => name,
            _ => String::new(),
        };
        let mut tier = Tier { name: name.clone(), settings: BTreeMap::new(), props: BTreeMap::new() };
        for (key, value) in entries {
            read(&mut tier, &key, value).map_err(|e| format!("[[tier]] {name:?}: {e}"))?;
        }
        if !tier.props.is_empty() && !tier.settings.contains_key("location") {
            return Err(format!("[[tier]] {name:?} has properties of a store, but no location that they are for"));
        }
        if let (true, Some((_, age))) = (!tiers.is_empty(), AGES.iter().find(|(known, _)| *known == name)) {
            tier.settings.entry("older-than".to_owned()).or_insert_with(|| (*age).to_owned());
        }
        tiers.push(tier);
    }
    check(&tiers)?;
    Ok(tiers)
}

/// What a `[[table]]` changes of tiers.
pub(super) fn changes(
    sections: BTreeMap<String, BTreeMap<String, Value>>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, String> {
    let mut changed = BTreeMap::new();
    for (name, entries) in sections {
        let mut tier = Tier { name: name.clone(), settings: BTreeMap::new(), props: BTreeMap::new() };
        for (key, value) in entries {
            read(&mut tier, &key, value).map_err(|e| format!("tier.{name}: {e}"))?;
        }
        if !tier.props.is_empty() {
            return Err(format!("tier.{name}: properties of a store belong into a [[tier]], with its location"));
        }
        changed.insert(name, tier.settings);
    }
    Ok(changed)
}

fn read(tier: &mut Tier, key: &str, value: Value) -> Result<(), String> {
    let text = match value {
        // s3.endpoint may be written with or without quotes.
        Value::Table(inner) => {
            return inner.into_iter().try_for_each(|(name, value)| read(tier, &format!("{key}.{name}"), value));
        }
        Value::String(text) => text,
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
        // The value may be a secret: it is not repeated.
        Value::Datetime(_) | Value::Array(_) => return Err(format!("{key} is not a text: put it in quotes")),
    };
    if key.split_once('.').is_some_and(|(store, _)| STORES.contains(&store)) {
        tier.props.insert(key.to_owned(), text);
        return Ok(());
    }
    valid(key, &text)?;
    tier.settings.insert(key.to_owned(), text);
    Ok(())
}

/// Whether a setting can be understood, whoever makes it.
pub(super) fn valid(key: &str, text: &str) -> Result<(), String> {
    let number = || text.trim().parse::<f64>().is_ok_and(|price| price.is_finite() && price >= 0.0);
    let good = match key {
        "older-than" => parse_age(text).is_ok(),
        "location" | "storage-class" => !text.trim().is_empty(),
        "zstd-level" => match text.trim().parse::<i32>() {
            Ok(level) if !(1..=22).contains(&level) => {
                return Err(format!("zstd-level {level} is not between 1 and 22"));
            }
            level => level.is_ok(),
        },
        "encodings" => ["compatible", "modern"].contains(&text),
        "recompress" => ["auto", "always", "never"].contains(&text),
        "target-file-size" => parse_bytes(text).is_ok_and(|bytes| bytes > 0),
        "min-object-size" | "min-billed-size" => parse_bytes(text).is_ok(),
        "min-storage-days" => text.trim().parse::<u32>().is_ok(),
        "price-gib-month" | "price-1000-writes" | "price-1000-reads" | "price-gib-retrieved" => number(),
        _ => return Err(format!("there is no setting {key:?}; the settings are name, {}", KEYS.join(", "))),
    };
    if good { Ok(()) } else { Err(format!("{text:?} is no value for {key}")) }
}

fn check(tiers: &[Tier]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let mut younger = None;
    for (index, tier) in tiers.iter().enumerate() {
        let name = &tier.name;
        if name.is_empty() || name.contains('.') || !names.insert(name) {
            return Err(format!("[[tier]] {name:?}: every tier has a name of its own, without dots"));
        }
        let age = tier.settings.get("older-than").and_then(|text| parse_age(text).ok());
        match (index, age) {
            (0, Some(_)) => return Err(format!("the first tier, {name}, has no older-than: it takes what is new")),
            (1.., None) => return Err(format!("tier {name} lacks older-than")),
            (_, Some(age)) if younger.is_some_and(|younger| younger >= age) => {
                return Err(format!("tier {name} is not older than the one before it: tiers go from hot to cold"));
            }
            (_, age) => younger = age,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<Vec<Tier>, String> {
        #[derive(serde::Deserialize)]
        struct Document {
            tier: Vec<BTreeMap<String, Value>>,
        }
        parse(toml::from_str::<Document>(text).unwrap().tier)
    }

    #[test]
    fn should_read_settings_and_keep_a_stores_properties_apart() {
        let text = "[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"warm\"\n[[tier]]\nname = \"cold\"\nzstd-level = 9\n\
            location = \"s3://cold/wh\"\nprice-gib-month = 0.004\ns3.region = \"eu-west-1\"\n\
            \"s3.secret-access-key\" = \"hidden\"\n";
        let tiers = read_all(text).unwrap();
        assert_eq!(tiers[1].settings["older-than"], "90d");
        assert_eq!((tiers[2].settings["older-than"].as_str(), tiers[2].settings["zstd-level"].as_str()), ("365d", "9"));
        assert_eq!(tiers[2].props["s3.region"], "eu-west-1");
        assert!(!format!("{tiers:?}").contains("hidden"));
    }

    #[test]
    fn should_refuse_what_makes_no_sense() {
        for (text, says) in [
            ("zstd-level = 99", "between 1 and 22"),
            ("recompress = \"maybe\"", "\"maybe\" is no value for recompress"),
            ("price-gib-month = -1", "no value for price-gib-month"),
            ("colour = \"red\"", "no setting \"colour\""),
            ("older-than = \"soon\"", "no value for older-than"),
            ("\"s3.endpoint\" = \"http://x\"", "no location"),
            ("location = [\"hidden\"]", "location is not a text"),
        ] {
            let error =
                read_all(&format!("[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"cold\"\n{text}\n")).unwrap_err();
            assert!(error.contains(says) && !error.contains("hidden"), "{text}: {error}");
        }
    }
}
