use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::config::file;
use crate::error::Kind;
use crate::model::{MIB, TableName, class_prices};

const TIERS: &str = r#"
[[tier]]
name = "hot"
[[tier]]
name = "warm"
location = "s3://warm/wh"
storage-class = "STANDARD_IA"
price-gib-month = 0.02
[[tier]]
name = "cold"
location = "s3://cold/wh"
storage-class = "GLACIER_IR"
zstd-level = 9
encodings = "modern"
target-file-size = "256MiB"
[[table]]
match = "db.kept"
archive = false
[[table]]
match = "db.other"
time-column = "made"
tier.cold.older-than = "730d"
"#;

fn policy(text: &str, table: &str, properties: &[(&str, &str)], request: &ArchiveRequest) -> Result<ArchivePolicy> {
    let settings = file::parse(text, Path::new("icewright.toml")).unwrap();
    let (options, table) = (BTreeMap::new(), &TableName::parse(table).unwrap());
    let properties: HashMap<String, String> =
        properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let layers = PolicyLayers { options: &options, filter: None, settings: &settings, table, properties: &properties };
    archive_policy(&layers, request)
}

fn days(policy: &ArchivePolicy) -> Vec<Option<i64>> {
    policy.tiers.iter().map(|tier| tier.older_than_ms.map(|ms| ms / 86_400_000)).collect()
}

#[test]
fn should_layer_tiers_as_promised() {
    let none = ArchiveRequest::default();
    let plain = policy(TIERS, "db.t", &[], &none).unwrap();
    assert_eq!(days(&plain), [None, Some(90), Some(365)]);
    let cold = &plain.tiers[2];
    assert_eq!((cold.policy.zstd_level, cold.policy.encodings), (9, EncodingProfile::Modern));
    assert_eq!((cold.policy.target_file_size_bytes, cold.policy.min_file_size_bytes), (256 * MIB, 192 * MIB));
    assert_eq!(plain.tiers[0].policy.target_file_size_bytes, 512 * MIB);
    assert_eq!(plain.tiers[0].prices, class_prices("STANDARD"), "beside tiers with classes, none means the default");
    assert_eq!(plain.tiers[1].prices.map(|prices| (prices.gib_month, prices.min_days)), Some((0.02, 30)));
    assert_eq!(cold.min_object_bytes, 128 * 1024);

    let property = [("icewright.tier.cold.older-than", "500d"), ("icewright.tier.time-column", "at")];
    let of_table = policy(TIERS, "db.t", &property, &none).unwrap();
    assert_eq!((days(&of_table), of_table.time_column.as_deref()), (vec![None, Some(90), Some(500)], Some("at")));
    // The table's section is said over its properties, the command line over both.
    let of_section = policy(TIERS, "db.other", &property, &none).unwrap();
    assert_eq!((days(&of_section)[2], of_section.time_column.as_deref()), (Some(730), Some("made")));
    let asked = ArchiveRequest { time_column: Some("ts".into()), ..none.clone() };
    assert_eq!(policy(TIERS, "db.other", &property, &asked).unwrap().time_column.as_deref(), Some("ts"));
    // A tier of one table alone, and tables that do not take part.
    let deep = [("icewright.tier.deep.older-than", "1000d"), ("icewright.tier.deep.location", "s3://deep/wh")];
    assert_eq!(days(&policy(TIERS, "db.t", &deep, &none).unwrap()).last(), Some(&Some(1000)));
    assert_eq!(policy(TIERS, "db.kept", &[], &none).unwrap().tiers.len(), 1);
    assert_eq!(policy(TIERS, "db.t", &[("icewright.tier.enabled", "false")], &none).unwrap().tiers.len(), 1);
}

#[test]
fn should_refuse_what_can_not_be_meant() {
    let none = ArchiveRequest::default();
    let message = |text: &str, properties: &[(&str, &str)], request: &ArchiveRequest| {
        policy(text, "db.t", properties, request).unwrap_err().to_string()
    };
    assert!(message("", &[], &none).contains("no storage tiers"));
    assert!(message(TIERS, &[("icewright.tier.cold.zstd-level", "99")], &none).contains("zstd-level 99"));
    assert!(message(TIERS, &[("icewright.tier.cold.older-than", "90d")], &none).contains("not older than another"));
    assert!(message(TIERS, &[("icewright.tier.hot.older-than", "1d")], &none).contains("every tier"));
    let to = |tier: &str| ArchiveRequest { to: Some(tier.to_owned()), ..none.clone() };
    assert!(message(TIERS, &[], &to("tepid")).contains("no tier \"tepid\""));
    assert!(message(TIERS, &[], &to("hot")).contains("not what goes there"));
    let offline = TIERS.replace("GLACIER_IR", "DEEP_ARCHIVE");
    assert_eq!(policy(&offline, "db.t", &[], &none).unwrap_err().kind(), Kind::Unsupported);
    policy(&offline, "db.t", &[], &ArchiveRequest { allow_offline: true, ..none }).unwrap();
}

#[test]
fn should_tell_compaction_where_tiers_are_also_where_nothing_moves() {
    let settings = file::parse(TIERS, Path::new("icewright.toml")).unwrap();
    let (options, properties) = (BTreeMap::new(), HashMap::new());
    let table = &TableName::parse("db.kept").unwrap();
    let layers = PolicyLayers { options: &options, filter: None, settings: &settings, table, properties: &properties };
    let places = compact_policy(&layers).unwrap().tiers;
    assert_eq!(places.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(), ["hot", "warm", "cold"]);
    assert_eq!(places[2].table_location("s3://lake/wh/db/kept", 2).as_deref(), Some("s3://cold/wh/db/kept"));
}
