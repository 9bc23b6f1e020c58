//! Pictures of histories and what stays of them; then what holds for every history and policy.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{due, plan};
use crate::error::Kind;
use crate::model::{ExpirePlan, ExpirePolicy, History, RefInfo, RefKind, SnapshotInfo, TableName};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = 1_000 * DAY;

fn snapshot(id: i64, parent: Option<i64>, age_ms: i64) -> SnapshotInfo {
    SnapshotInfo {
        id,
        parent,
        sequence_number: id,
        timestamp_ms: NOW - age_ms,
        schema_id: Some(0),
        has_statistics: false,
        has_partition_statistics: false,
    }
}

fn reference(name: &str, kind: RefKind, snapshot_id: i64) -> RefInfo {
    RefInfo {
        name: name.to_owned(),
        kind,
        snapshot_id,
        min_snapshots_to_keep: None,
        max_snapshot_age_ms: None,
        max_ref_age_ms: None,
    }
}

fn history(snapshots: Vec<SnapshotInfo>, mut refs: Vec<RefInfo>) -> History {
    refs.sort_by(|a, b| a.name.cmp(&b.name));
    let current = refs.iter().find(|r| r.name == History::MAIN).map(|main| main.snapshot_id);
    History {
        table: TableName::new(["db"], "t"),
        table_uuid: "u".into(),
        metadata_location: "m".into(),
        current,
        snapshots: snapshots.into_iter().map(|snapshot| (snapshot.id, snapshot)).collect(),
        refs,
        gc_enabled: true,
        metadata_versions: 0,
        previous_versions_max: None,
        specs: BTreeSet::from([0]),
        default_spec: 0,
        schemas: BTreeSet::from([0]),
        current_schema: 0,
        specs_in_use: BTreeMap::new(),
        schemas_in_use: BTreeMap::new(),
    }
}

/// Snapshots 1 to `count`, one every `step`, the newest `step` ago; `main` at the newest.
fn line(count: i64, step: i64) -> History {
    let snapshots = (1..=count).map(|id| snapshot(id, (id > 1).then_some(id - 1), (count + 1 - id) * step)).collect();
    history(snapshots, vec![reference("main", RefKind::Branch, count)])
}

fn policy(min: u64, max: u64) -> ExpirePolicy {
    ExpirePolicy { retain_min: min, retain_max: max, ..ExpirePolicy::default() }
}

/// One line a snapshot, oldest first.
fn picture(plan: &ExpirePlan) -> String {
    let gone = plan.expired.iter().map(|s| (s.timestamp_ms, s.id, '-', s.why.to_string()));
    let kept = plan.kept.iter().map(|s| (s.timestamp_ms, s.id, '+', s.why.to_string()));
    let mut all: Vec<_> = gone.chain(kept).collect();
    all.sort();
    let refs = plan.refs.iter().map(|r| format!("- ref {}\n", r.name));
    let lines = all.into_iter().map(|(at, id, sign, why)| format!("{sign} {id} {} h: {why}\n", (NOW - at) / HOUR));
    lines.chain(refs).collect()
}

fn kept(plan: &ExpirePlan) -> Vec<i64> {
    plan.kept.iter().map(|snapshot| snapshot.id).collect()
}

#[test]
fn should_keep_between_floor_and_ceiling_by_age() {
    insta::assert_snapshot!(picture(&plan(&line(8, 30 * HOUR), &policy(3, 6), NOW).unwrap()), @"
    - 1 240 h: more than 6 on main
    - 2 210 h: more than 6 on main
    - 3 180 h: too old
    - 4 150 h: too old
    + 5 120 h: not old enough
    + 6 90 h: among the newest 3 of main
    + 7 60 h: among the newest 3 of main
    + 8 30 h: head of branch main
    ");
}

#[test]
fn should_keep_what_is_young_whatever_the_ceiling_says() {
    insta::assert_snapshot!(picture(&plan(&line(5, HOUR * 2 / 3), &policy(1, 1), NOW).unwrap()), @"
    - 1 3 h: more than 1 on main
    - 2 2 h: more than 1 on main
    - 3 2 h: more than 1 on main
    + 4 1 h: younger than min-age
    + 5 0 h: head of branch main
    ");
}

#[test]
fn should_hold_what_tags_and_branches_hold() {
    let mut table = line(6, 10 * DAY);
    // A branch left main at 2; 7 and 8 are its own.
    table.snapshots.insert(7, snapshot(7, Some(2), 45 * DAY));
    table.snapshots.insert(8, snapshot(8, Some(7), 35 * DAY));
    let side = RefInfo { min_snapshots_to_keep: Some(3), ..reference("side", RefKind::Branch, 8) };
    let old = RefInfo { max_ref_age_ms: Some(20 * DAY as u64), ..reference("old", RefKind::Tag, 1) };
    table.refs.extend([side, old, reference("release", RefKind::Tag, 3)]);
    insta::assert_snapshot!(picture(&plan(&table, &policy(2, 4), NOW).unwrap()), @"
    - 1 1440 h: more than 4 on main
    + 2 1200 h: among the newest 3 of side
    + 7 1080 h: among the newest 3 of side
    + 3 960 h: tagged release
    + 8 840 h: head of branch side
    - 4 720 h: too old
    + 5 480 h: among the newest 2 of main
    + 6 240 h: head of branch main
    - ref old
    ");
}

#[test]
fn should_follow_a_branch_s_own_age_and_mains_own_minimum() {
    let mut table = line(6, 10 * DAY);
    table.refs[0].min_snapshots_to_keep = Some(5);
    assert_eq!(kept(&plan(&table, &policy(1, 2), NOW).unwrap()), [2, 3, 4, 5, 6]);
    table.refs[0].min_snapshots_to_keep = None;
    table.refs[0].max_snapshot_age_ms = Some(35 * DAY as u64);
    assert_eq!(kept(&plan(&table, &policy(1, 20), NOW).unwrap()), [4, 5, 6]);
    table.refs.push(RefInfo { max_snapshot_age_ms: Some(55 * DAY as u64), ..reference("side", RefKind::Branch, 4) });
    assert_eq!(kept(&plan(&table, &policy(1, 1), NOW).unwrap()), [2, 3, 4, 6]);
}

#[test]
fn should_judge_rolled_back_and_staged_snapshots_by_age_alone() {
    // main was rolled back from 3 to 1 and went on with 4; 5 was staged and never published.
    let snapshots = vec![
        snapshot(1, None, 30 * DAY),
        snapshot(2, Some(1), 20 * DAY),
        snapshot(3, Some(2), 4 * DAY),
        snapshot(4, Some(1), 3 * DAY),
        snapshot(5, Some(4), 9 * DAY),
    ];
    let table = history(snapshots, vec![reference("main", RefKind::Branch, 4)]);
    insta::assert_snapshot!(picture(&plan(&table, &policy(1, 1), NOW).unwrap()), @"
    - 1 720 h: more than 1 on main
    - 2 480 h: old, and on no branch or tag
    - 5 216 h: old, and on no branch or tag
    + 3 96 h: not old enough
    + 4 72 h: head of branch main
    ");
}

#[test]
fn should_expire_named_snapshots_alone_and_refuse_those_that_are_held() {
    let mut table = line(5, 10 * DAY);
    table.metadata_versions = 90;
    table.refs.push(RefInfo { max_ref_age_ms: Some(1), ..reference("v1", RefKind::Tag, 2) });
    let named = |ids: &[i64]| ExpirePolicy { snapshot_ids: ids.to_vec(), ..policy(10, 20) };
    let made = plan(&table, &named(&[4]), NOW).unwrap();
    assert_eq!((kept(&made), made.refs.len(), made.trim_log_to), (vec![1, 2, 3, 5], 0, None));
    for (id, words) in [(2, "tag v1"), (5, "branch main"), (9, "no snapshot 9")] {
        let refused = plan(&table, &named(&[id]), NOW).unwrap_err();
        assert!(refused.kind() == Kind::InvalidInput && refused.to_string().contains(words), "{refused}");
    }
    table.snapshots.insert(6, snapshot(6, Some(5), HOUR));
    assert!(plan(&table, &named(&[6]), NOW).unwrap_err().to_string().contains("min-age"));
}

#[test]
fn should_trim_the_log_and_clean_what_nothing_uses() {
    let mut table = line(3, DAY);
    table.metadata_versions = 21;
    table.specs = BTreeSet::from([0, 1, 2]);
    table.schemas = BTreeSet::from([0, 1, 2]);
    table.current_schema = 2;
    let cleaning = ExpirePolicy { clean_expired_metadata: true, ..policy(10, 20) };
    let unknown = plan(&table, &cleaning, NOW).unwrap();
    assert_eq!((unknown.specs, unknown.schemas), (vec![], vec![]), "both stay where nobody looked for them");
    table.specs_in_use = (1..=3).map(|id| (id, BTreeSet::from([1]))).collect();
    table.schemas_in_use = (1..=3).map(|id| (id, BTreeSet::from([1]))).collect();
    assert_eq!(
        plan(&table, &cleaning, NOW).unwrap().schemas,
        Vec::<i32>::new(),
        "deletes by a column that it alone has"
    );
    table.schemas_in_use = (1..=3).map(|id| (id, BTreeSet::new())).collect();
    let made = plan(&table, &cleaning, NOW).unwrap();
    assert_eq!((made.specs, made.schemas, made.trim_log_to), (vec![2], vec![1], Some(20)));
    table.metadata_versions = 20;
    assert!(plan(&table, &policy(10, 20), NOW).unwrap().is_empty());
    assert_eq!(due(&table, Ok(&policy(10, 20)), NOW).why, "3 snapshots, all to be kept");
}

#[test]
fn should_refuse_shared_files_and_contradictions() {
    let mut table = line(3, DAY);
    assert_eq!(plan(&table, &policy(5, 4), NOW).unwrap_err().kind(), Kind::InvalidInput);
    table.gc_enabled = false;
    assert_eq!(plan(&table, &policy(1, 1), NOW).unwrap_err().kind(), Kind::Unsupported);
    assert!(!due(&table, Ok(&policy(1, 1)), NOW).due);
}

/// Histories of every shape: forks, rolled back ends, parents that are gone, clocks that went backwards.
fn any_history() -> impl Strategy<Value = History> {
    let node = (0usize..4, 0i64..400, prop::option::weighted(0.1, Just(999)));
    let retention = (prop::option::of(1u64..9), prop::option::of(0u64..300), prop::option::weighted(0.3, 0u64..300));
    let refs = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), retention), 0..5);
    (prop::collection::vec(node, 1..40), refs).prop_map(|(nodes, refs)| {
        let mut snapshots = Vec::new();
        for (index, (back, age, foreign)) in nodes.iter().enumerate() {
            let parent = foreign.or_else(|| index.checked_sub(back + 1).map(|at| at as i64));
            // Mostly in order, with disorder of some days.
            let age = (nodes.len() - index) as i64 * 8 * HOUR + age * HOUR / 4;
            snapshots.push(snapshot(index as i64, parent, age));
        }
        let hours = |n: Option<u64>| n.map(|n| n * HOUR as u64);
        let made = refs.into_iter().enumerate().map(|(n, (at, tag, (min, age, ref_age)))| {
            let (name, kind) = match n {
                0 => ("main".to_owned(), RefKind::Branch),
                _ => (format!("r{n}"), if tag { RefKind::Tag } else { RefKind::Branch }),
            };
            let snapshot_id = at.index(snapshots.len()) as i64;
            let branch = kind == RefKind::Branch;
            RefInfo {
                min_snapshots_to_keep: min.filter(|_| branch),
                max_snapshot_age_ms: hours(age).filter(|_| branch),
                max_ref_age_ms: hours(ref_age),
                ..reference(&name, kind, snapshot_id)
            }
        });
        let made = made.collect();
        history(snapshots, made)
    })
}

fn any_policy() -> impl Strategy<Value = ExpirePolicy> {
    (1u64..12, 0u64..12, 0u64..300, 0u64..60, 1u64..4, prop::option::of(0u64..300)).prop_map(
        |(min, more, old, young, branch_min, max_ref_age)| ExpirePolicy {
            older_than_ms: old * HOUR as u64,
            min_age_ms: young * HOUR as u64,
            branch_min,
            max_ref_age_ms: max_ref_age.map(|hours| hours * HOUR as u64),
            ..policy(min, min + more)
        },
    )
}

/// The history once a plan was carried out.
fn after(history: &History, plan: &ExpirePlan) -> History {
    let mut after = history.clone();
    after.snapshots.retain(|id, _| !plan.expired.iter().any(|gone| gone.id == *id));
    after.refs.retain(|reference| !plan.refs.iter().any(|gone| gone.name == reference.name));
    after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn should_hold_for_every_history_and_policy(table in any_history(), policy in any_policy()) {
        let made = plan(&table, &policy, NOW).unwrap();
        let left = after(&table, &made);
        prop_assert_eq!(made.expired.len() + made.kept.len(), table.snapshots.len());
        prop_assert_eq!(kept(&made).len(), left.snapshots.len());
        // Order does not matter.
        let mut shuffled = table.clone();
        shuffled.refs.reverse();
        prop_assert_eq!(serde_json::to_string(&plan(&shuffled, &policy, NOW).unwrap()).unwrap(),
            serde_json::to_string(&made).unwrap());
        // No head and no tag goes, unless it is a branch or tag that expires; main never does.
        for reference in &left.refs {
            prop_assert!(left.snapshots.contains_key(&reference.snapshot_id), "{} lost its snapshot", reference.name);
        }
        prop_assert!(made.refs.iter().all(|gone| gone.name != "main"));
        // Nothing young goes.
        for gone in &made.expired {
            prop_assert!(NOW - gone.timestamp_ms >= policy.min_age_ms as i64);
        }
        if let Some(main) = table.refs.iter().find(|r| r.name == "main") {
            // The floor; and each branch's own.
            let chain = table.ancestors(main.snapshot_id);
            let floor = policy.retain_min.max(main.min_snapshots_to_keep.unwrap_or(0)) as usize;
            prop_assert!(chain.iter().take(floor).all(|s| left.snapshots.contains_key(&s.id)));
            // The ceiling: what is beyond it is young, or held by somebody else.
            let most = policy.retain_max.max(floor as u64) as usize;
            for snapshot in chain.iter().skip(most).filter(|s| left.snapshots.contains_key(&s.id)) {
                let held = left.refs.iter().any(|r| r.name != "main"
                    && (r.snapshot_id == snapshot.id
                        || r.kind == RefKind::Branch
                            && table.ancestors(r.snapshot_id).iter().any(|s| s.id == snapshot.id)));
                prop_assert!(held || NOW - snapshot.timestamp_ms < policy.min_age_ms as i64, "{} stays", snapshot.id);
            }
        }
        for branch in left.refs.iter().filter(|r| r.kind == RefKind::Branch) {
            let chain = table.ancestors(branch.snapshot_id);
            let own = branch.min_snapshots_to_keep.unwrap_or(1) as usize;
            prop_assert!(chain.iter().take(own).all(|s| left.snapshots.contains_key(&s.id)), "{}", branch.name);
        }
        // Planning on the result expires nothing more (I8).
        prop_assert!(plan(&left, &policy, NOW).unwrap().is_empty(), "{:?}", plan(&left, &policy, NOW).unwrap().expired);
    }
}
