use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::lake::Props;

const DAY: i64 = 24 * 3_600_000;

fn locations(location: &str, more: &[&str]) -> TableLocations {
    TableLocations::among(std::iter::once(location).chain(more.iter().copied())).unwrap()
}

fn compare_all(within: &TableLocations, listed: &[(&str, i64)], referred: &[(&str, bool)], buffer: usize) -> Found {
    let spill = Spill::new(std::env::temp_dir(), Spill::LIMIT).with_buffer(buffer);
    let (mut listing, mut references) = (Sorter::new(&spill), Sorter::new(&spill));
    for (key, age) in listed {
        listing.push(&crate::lake::match_key(key).unwrap(), 10, 100 * DAY - age).unwrap();
    }
    for (key, needed) in referred {
        references.push(&crate::lake::match_key(key).unwrap(), 0, i64::from(*needed)).unwrap();
    }
    let (store, fields) = (Store::new(Props::new()), []);
    let rules = Rules {
        within,
        store: &store,
        now_ms: 100 * DAY,
        older_than_ms: 3 * 24 * 3_600_000,
        partition_fields: &fields,
    };
    compare(&mut listing.finish().unwrap(), &mut references.finish().unwrap(), &rules, &spill).unwrap()
}

fn orphans(found: &mut Found) -> Vec<String> {
    found.orphans.iter().unwrap().map(|orphan| orphan.unwrap().key).collect()
}

#[test]
fn should_match_whatever_the_scheme_and_count_by_location() {
    let within = locations("s3a://lake/t", &["s3://cold/t"]);
    let mut found = compare_all(
        &within,
        &[
            ("s3://lake/t/data/a.parquet", 9 * DAY),
            ("s3://lake/t/data/b.parquet", 9 * DAY),
            ("s3://lake/t/data/young.parquet", DAY),
            ("s3://lake/t/_tmp/x.parquet", 9 * DAY),
            ("s3://lake/t/offsets/1", 9 * DAY),
            ("s3://lake/t/metadata/version-hint.text", 9 * DAY),
            ("s3n://cold/t/data/c.parquet", 9 * DAY),
            ("s3n://cold/t/data/d.parquet", 9 * DAY),
        ],
        &[("s3n://lake//t/data/a.parquet", true), ("s3a://cold/t/data/c.parquet", true), ("s3://x/t/z", false)],
        1,
    );
    assert_eq!(orphans(&mut found), ["s3://cold/t/data/d.parquet", "s3://lake/t/data/b.parquet"]);
    let count = |files| Count { files, bytes: 10 * files };
    assert_eq!((found.found, found.listed, found.referenced), (count(2), count(8), count(3)));
    assert_eq!(found.by_location["s3a://lake/t"], LocationCount { listed: count(6), orphans: count(1) });
    assert_eq!(found.by_location["s3://cold/t"], LocationCount { listed: count(2), orphans: count(1) });
    let left: Vec<_> = found.left_alone.iter().map(|(why, count)| (*why, count.files)).collect();
    assert_eq!(left, [(OrphanSkip::TooYoung, 1), (OrphanSkip::Hidden, 1), (OrphanSkip::Foreign, 1)]);
    assert_eq!((found.elsewhere, found.unlisted_total), (1, 0));
}

#[test]
fn should_miss_what_the_table_needs_and_nothing_else() {
    let within = locations("s3://lake/t", &[]);
    let found = compare_all(
        &within,
        &[("s3://lake/t/data/a.parquet", 0)],
        &[
            ("s3://lake/t/data/a.parquet", true),
            ("s3://lake/t/data/gone.parquet", true),
            ("s3://lake/t/metadata/old.metadata.json", false),
            ("s3://other/data/gone.parquet", true),
        ],
        1000,
    );
    assert_eq!((found.unlisted, found.elsewhere), (vec!["s3://lake/t/data/gone.parquet".to_owned()], 1));
}

/// The same bucket under two names, or a mount point: everything would look like an orphan.
#[test]
fn should_leave_files_alone_that_are_referred_to_under_another_place() {
    let within = locations("s3://alias/t", &[]);
    let mut found = compare_all(
        &within,
        &[("s3://alias/t/data/a.parquet", 9 * DAY), ("s3://alias/t/data/b.parquet", 9 * DAY)],
        &[("s3://real/t/data/a.parquet", true)],
        1,
    );
    assert_eq!(orphans(&mut found), ["s3://alias/t/data/b.parquet"]);
    assert_eq!(found.left_alone[&OrphanSkip::SameName].files, 1);
}

#[test]
fn should_remember_metadata_files_whatever_their_age() {
    let within = locations("s3://lake/t", &[]);
    let listed: Vec<(String, i64)> =
        (0..20).map(|n| (format!("s3://lake/t/inner/metadata/v{n}.metadata.json"), n * DAY)).collect();
    let listed: Vec<(&str, i64)> = listed.iter().map(|(key, age)| (key.as_str(), *age)).collect();
    let found = compare_all(&within, &listed, &[], 1000);
    let files = &found.metadata_files["s3://lake/t/inner/metadata"];
    assert!(files.len() <= METADATA_FILES && files.iter().any(|file| file.key.ends_with("/v0.metadata.json")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn should_find_what_a_set_would(
        listed in prop::collection::btree_map("[a-c]{1,4}", 0..8_i64, 0..60),
        referred in prop::collection::btree_set("[a-c]{1,4}", 0..60),
        buffer in 1..3000_usize,
    ) {
        let path = |name: &String| format!("s3://lake/t/data/{name}.parquet");
        let files: Vec<(String, i64)> = listed.iter().map(|(name, days)| (path(name), days * DAY)).collect();
        let files: Vec<(&str, i64)> = files.iter().map(|(key, age)| (key.as_str(), *age)).collect();
        let names: Vec<String> = referred.iter().map(path).collect();
        let references: Vec<(&str, bool)> = names.iter().map(|key| (key.as_str(), true)).collect();
        let mut found = compare_all(&locations("s3://lake/t", &[]), &files, &references, buffer);
        let expected: BTreeMap<&String, &i64> = listed.iter().filter(|(name, _)| !referred.contains(*name)).collect();
        let old: Vec<String> = expected.iter().filter(|(_, days)| ***days >= 3).map(|(name, _)| path(name)).collect();
        prop_assert_eq!(orphans(&mut found), old);
        let missing: BTreeSet<String> = referred.iter().filter(|name| !listed.contains_key(*name)).map(path).collect();
        prop_assert_eq!(found.unlisted.into_iter().collect::<BTreeSet<_>>(), missing);
    }
}
