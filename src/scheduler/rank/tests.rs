//! Rankings of small fleets.

use super::*;
use crate::model::{Candidates, Closeness, HOT, RunMemory};

fn table(name: &str, files: u64, bytes: u64) -> TableSummary {
    TableSummary {
        table: TableName::parse(name).unwrap(),
        closeness: Closeness::Manifests,
        files,
        small_files: files,
        bytes: [(HOT.to_owned(), bytes)].into(),
        rows: 1000,
        delete_files: 0,
        deletes: 0,
        candidates: Candidates { files, bytes, outputs: bytes.div_ceil(512 << 20) },
        snapshots: 5,
        oldest_snapshot_ms: Some(0),
        last_data_ms: Some(0),
        metadata_bytes: 1,
        metadata_versions: 1,
        manifests: 1,
        bytes_added: 0,
        bytes_rewritten: 0,
        history_ms: 0,
        memory: RunMemory::default(),
    }
}

const GB: u64 = 1 << 30;

fn names(ranking: &Ranking) -> Vec<String> {
    ranking.chosen().map(|choice| choice.table.table.clone()).collect()
}

fn verdict<'a>(ranking: &'a Ranking, name: &str) -> &'a Verdict {
    &ranking.choices.iter().find(|choice| choice.table.table == name).unwrap().verdict
}

#[test]
fn should_take_the_best_gain_per_cost_whatever_the_order() {
    let fleet = [
        table("db.big", 1000, 100 * GB),
        table("db.small", 900, GB),
        table("db.tidy", 0, 0),
        table("db.a", 50, GB),
        table("db.b", 50, GB),
    ];
    let rules = Rules::new("compact", vec![Operation::Compact]);
    let ranking = rank(&fleet, &rules, &Budget::default(), 0);
    assert_eq!(names(&ranking), ["small", "a", "b", "big"]);
    assert_eq!(verdict(&ranking, "tidy"), &Verdict::Skip(WhyNot::NothingToDo));
    let mut turned = fleet.to_vec();
    turned.reverse();
    assert_eq!(rank(&turned, &rules, &Budget::default(), 0), ranking);
}

#[test]
fn should_spend_no_more_than_the_budget_and_say_why_not() {
    let fleet: Vec<TableSummary> = (0..20).map(|n| table(&format!("db.t{n:02}"), 100 + n, 10 * GB)).collect();
    let mut fleet = fleet;
    fleet.push(table("db.huge", 10_000, 1000 * GB));
    let budget = Budget { bytes: Some(100 * GB), ..Budget::default() };
    let ranking = rank(&fleet, &Rules::new("compact", vec![Operation::Compact]), &budget, 0);
    // 20 GB each, read and written: one (in part) for having waited, four for their scores.
    assert_eq!(names(&ranking), ["huge", "t19", "t18", "t17", "t16"]);
    assert!(ranking.cost.bytes <= 100 * GB);
    assert_eq!(verdict(&ranking, "huge"), &Verdict::Run { place: 1, waited: true });
    assert_eq!(verdict(&ranking, "t01"), &Verdict::Skip(WhyNot::BudgetSpent { part: BudgetPart::Bytes }));
    // All of the huge one is beyond any night, a part of it as large as the share of those that wait is not.
    let huge = ranking.choices.iter().find(|choice| choice.table.table == "huge").unwrap();
    assert_eq!((huge.max_files, huge.cost.bytes), (Some(78), 16_750_372_454));
    let one = table("db.one", 1, 1000 * GB);
    let ranking =
        rank(&[TableSummary { snapshots: 30, ..one }], &Rules::new("maintain", Operation::ALL.to_vec()), &budget, 0);
    assert_eq!(verdict(&ranking, "one"), &Verdict::Skip(WhyNot::TooLarge { part: BudgetPart::Bytes }));
}

#[test]
fn should_look_where_the_gain_is_only_known_then() {
    for operation in [Operation::RemoveOrphans, Operation::Archive] {
        let rules = Rules { min_gain: 4, ..Rules::new(operation.name(), vec![operation]) };
        assert_eq!(names(&rank(&[table("db.t", 10, GB)], &rules, &Budget::default(), 0)), ["t"], "{operation}");
    }
}

#[test]
fn should_leave_out_paused_and_leased_tables_for_their_time() {
    let mut paused = table("db.p", 100, GB);
    paused.memory = RunMemory { last_run_ms: Some(0), failures: 4, ..RunMemory::default() };
    let mut leased = table("db.l", 100, GB);
    leased.memory = RunMemory { lease_owner: Some("w1".into()), lease_until_ms: Some(500), ..RunMemory::default() };
    let rules = Rules::new("compact", vec![Operation::Compact]);
    let ranking = rank(&[paused.clone(), leased.clone()], &rules, &Budget::default(), 1);
    assert_eq!(verdict(&ranking, "p"), &Verdict::Skip(WhyNot::Paused { failures: 4, until_ms: 7_200_000 }));
    assert_eq!(verdict(&ranking, "l"), &Verdict::Skip(WhyNot::Leased { owner: "w1".into(), until_ms: 500 }));
    let own = Rules { owner: Some("w1".to_owned()), ..rules.clone() };
    assert_eq!(names(&rank(&[leased.clone()], &own, &Budget::default(), 1)), ["l"]);
    assert_eq!(names(&rank(&[paused, leased], &rules, &Budget::default(), 7_200_000)), ["l", "p"]);
}

#[test]
fn should_count_what_each_operation_gains() {
    let mut t = table("db.t", 10, GB);
    (t.snapshots, t.manifests, t.delete_files, t.deletes) = (50, 250, 7, 100);
    let of = |operations: &[Operation], now| gain(&t, &Rules::new("maintain", operations.to_vec()), now);
    assert_eq!(of(&[Operation::Expire], 0).total(), 30);
    assert_eq!(of(&[Operation::Expire], 10 * 24 * 3_600_000).total(), 40, "old ones go down to retain-min");
    assert_eq!(of(&[Operation::RewriteManifests], 0).total(), 247);
    assert_eq!(of(&[Operation::Compact], 0), Gain { files: 8, deletes: 7, ..Gain::default() });
    assert_eq!(
        of(&Operation::ALL, 0).to_string(),
        "8 files, 7 delete files, 247 manifests, 30 snapshots, to be looked at"
    );
}
