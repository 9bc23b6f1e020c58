//! What a filter rules out, and what it may not.

use super::support::Table;
use crate::error::Kind;
use crate::model::{Codec, Compare, FieldBounds, Filter, MIB, TableState, Value};
use crate::planner::filter::FilterOn;
use crate::planner::filter_fields;

fn compare(column: &str, compare: Compare, value: Value) -> Filter {
    Filter::Compare { column: column.into(), compare, value }
}

fn number(text: &str) -> Value {
    Value::Number(text.into())
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// One file of 2021 with `n` between 10 and 20 (of 5 values, so many nulls), and `region` unknown.
fn state(nulls: Option<u64>) -> TableState {
    let mut state = Table::new().file("f", 2021, MIB, Codec::Zstd).state;
    let long = |n: i64| Some(n.to_le_bytes().to_vec());
    let bounds = FieldBounds { lower: long(10), upper: long(20), nulls, values: Some(5) };
    state.files[0].bounds.insert(3, bounds);
    state
}

fn may(filter: &Filter, nulls: Option<u64>) -> bool {
    let state = state(nulls);
    FilterOn::new(filter, &state.metadata).unwrap().may_match(&state, &state.files[0])
}

#[test]
fn should_rule_out_by_bounds_in_both_directions() {
    use Compare::*;
    for (how, value, both, negated) in [
        (Eq, "9", false, true),
        (Eq, "10", true, true),
        (NotEq, "9", true, false),
        (Lt, "10", false, true),
        (Lt, "11", true, true),
        (LtEq, "10", true, true),
        (Gt, "20", false, true),
        (GtEq, "20", true, true),
        (GtEq, "10", true, false),
        (Lt, "21", true, false),
    ] {
        let filter = compare("n", how, number(value));
        assert_eq!(may(&filter, Some(0)), both, "{how:?} {value}");
        assert_eq!(may(&not(filter), Some(0)), negated, "NOT {how:?} {value}");
    }
}

#[test]
fn should_treat_null_as_neither_true_nor_false() {
    let null = Filter::IsNull { column: "n".into() };
    assert!(!may(&null, Some(0)) && may(&not(null.clone()), Some(0)));
    assert!(may(&null, Some(2)) && may(&not(null.clone()), Some(2)));
    assert!(may(&null, Some(5)) && !may(&not(null.clone()), Some(5)), "nothing but nulls");
    assert!(may(&null, None) && may(&not(null), None), "not recorded");
    let any = compare("n", Compare::GtEq, number("0"));
    assert!(!may(&any, Some(5)) && !may(&not(any), Some(5)), "no comparison holds for nulls, nor its opposite");
}

#[test]
fn should_use_partitions_and_leave_the_unknown_in() {
    let ts = |how, text: &str| compare("ts", how, Value::Text(text.into()));
    assert!(may(&ts(Compare::GtEq, "2021-12-31"), None));
    assert!(!may(&ts(Compare::GtEq, "2022-01-01"), None));
    assert!(!may(&ts(Compare::Lt, "2021-01-01"), None));
    assert!(!may(&not(ts(Compare::GtEq, "2021-01-01")), None));
    let region = compare("region", Compare::Eq, Value::Text("eu".into()));
    assert!(may(&region, None) && may(&not(region.clone()), None));
    let both = Filter::And(Box::new(region.clone()), Box::new(compare("n", Compare::Gt, number("30"))));
    assert!(!may(&both, None) && may(&not(both), None));
    let either = Filter::In { column: "n".into(), values: vec![number("3"), number("15")] };
    assert!(may(&either, None));
}

#[test]
fn should_say_what_is_wrong_with_a_filter() {
    let state = state(None);
    let wrong = |filter: Filter| FilterOn::new(&filter, &state.metadata).unwrap_err();
    assert!(wrong(compare("nope", Compare::Eq, number("1"))).hint_text().unwrap().contains("region"));
    assert_eq!(wrong(compare("ts", Compare::Eq, Value::Text("soon".into()))).kind(), Kind::InvalidInput);
    assert_eq!(filter_fields(&compare("N", Compare::Eq, number("1")), &state.metadata).unwrap(), [3]);
}
