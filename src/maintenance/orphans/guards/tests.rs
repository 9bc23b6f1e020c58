use super::*;
use crate::error::Kind;
use crate::model::Count;

#[test]
fn should_refuse_a_clock_that_is_far_off() {
    for near in [0, 599_999, -599_999] {
        assert!(check_skew(near).is_ok());
    }
    for far in [600_001, -600_001, i64::from(i32::MAX)] {
        assert_eq!(check_skew(far).unwrap_err().kind(), Kind::Unsupported);
    }
}

#[test]
fn should_refuse_when_one_location_is_nothing_but_orphans() {
    let count = |files| Count { files, bytes: files };
    let found = |inner: u64| Found {
        found: count(inner),
        listed: count(1_000_000),
        by_location: BTreeMap::from([
            ("s3://lake/t".to_owned(), LocationCount { listed: count(999_000), orphans: count(0) }),
            ("s3://cold/t".to_owned(), LocationCount { listed: count(1000), orphans: count(inner) }),
        ]),
        ..Found::default()
    };
    let table = TableName::parse("db.t").unwrap();
    let policy = OrphanPolicy::default();
    assert!(refuse_suspicious(&table, &found(900), &policy).is_ok());
    let refused = refuse_suspicious(&table, &found(901), &policy).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(refused.to_string().contains("s3://cold/t"), "{refused}");
    assert!(refuse_suspicious(&table, &found(1000), &OrphanPolicy { i_know: true, ..policy }).is_ok());
}

#[test]
fn should_refuse_a_neighbour_that_cannot_be_loaded() {
    let around = [Neighbour { name: TableName::parse("db.broken").unwrap(), locations: Err("no metadata".into()) }];
    let (table, mine) = (TableName::parse("db.t").unwrap(), TableLocations::among(["s3://lake/t"]).unwrap());
    let refused = refuse_neighbours(&table, &mine, &around, false).unwrap_err();
    assert!(refused.to_string().contains("db.broken"), "{refused}");
    assert!(refuse_neighbours(&table, &mine, &around, true).is_ok());
}
