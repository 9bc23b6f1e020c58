//! Manifests: layouts, and what holds for all of them.

use iceberg::spec::Datum;
use proptest::prelude::*;

use super::support::{Table, metadata};
use crate::error::Kind;
use crate::model::{FieldRange, KIB, ManifestInfo, ManifestPlan, ManifestPolicy, ManifestReason, TableState};
use crate::planner::manifests::plan;

/// An entry: its partition, and its bytes in a manifest.
type Entry = (Vec<Option<i64>>, u64);
/// A manifest as the fake committer has it.
type Entries = Vec<Entry>;

const HEADER: u64 = 100;

fn info(name: &str, entries: &[Entry]) -> ManifestInfo {
    let fields = entries.first().map_or(0, |entry| entry.0.len());
    let range = |field: usize| {
        let values = || entries.iter().filter_map(move |(partition, _)| partition[field]);
        FieldRange {
            nulls: entries.iter().any(|(partition, _)| partition[field].is_none()),
            nans: false,
            lower: values().min().map(Datum::long),
            upper: values().max().map(Datum::long),
        }
    };
    ManifestInfo {
        path: name.to_owned(),
        size: HEADER + entries.iter().map(|entry| entry.1).sum::<u64>(),
        deletes: name.starts_with('d'),
        live: entries.len() as u64,
        spec_id: 1,
        ranges: Some((0..fields).map(range).collect()),
    }
}

fn state(manifests: &[(String, Entries)]) -> TableState {
    let mut state = Table::new().state;
    state.manifests = manifests.iter().map(|(name, entries)| info(name, entries)).collect();
    state
}

/// What the committer makes of a plan: sorted entries, in manifests that end once they have reached the target.
fn execute(manifests: &[(String, Entries)], plan: &ManifestPlan) -> Vec<(String, Entries)> {
    let mut after = manifests.to_vec();
    for task in &plan.tasks {
        let (picked, kept): (Vec<_>, Vec<_>) = after.into_iter().partition(|(name, _)| task.manifests.contains(name));
        after = kept;
        let mut entries: Entries = picked.into_iter().flat_map(|(_, entries)| entries).collect();
        entries.sort();
        let kind = if task.deletes { 'd' } else { 'f' };
        let (mut open, mut size) = (Vec::new(), HEADER);
        for entry in entries {
            size += entry.1;
            open.push(entry);
            if size >= plan.policy.target_size_bytes {
                after.push((format!("{kind}-new{:04}", after.len()), std::mem::take(&mut open)));
                size = HEADER;
            }
        }
        if !open.is_empty() {
            after.push((format!("{kind}-new{:04}", after.len()), open));
        }
    }
    after
}

fn named(kind: char, manifests: Vec<Entries>) -> Vec<(String, Entries)> {
    let names = (0..).map(|n| format!("{kind}{n:04}"));
    names.zip(manifests).collect()
}

fn policy() -> ManifestPolicy {
    ManifestPolicy { target_size_bytes: 64 * KIB, min_gain: 5, rewrite_all: false }
}

fn reason(manifests: &[(String, Entries)], policy: &ManifestPolicy) -> (ManifestReason, usize) {
    let plan = plan(&state(manifests), policy, 0).unwrap();
    (plan.tasks[0].why.clone(), plan.tasks[0].manifests.len())
}

/// One partition, so many bytes.
fn one(day: i64, bytes: u64) -> Entry {
    (vec![Some(day)], bytes)
}

#[test]
fn should_merge_many_small_ones_and_leave_large_ones_alone() {
    let small: Vec<Entries> = (0..40).map(|day| vec![one(day, KIB)]).collect();
    assert_eq!(reason(&named('f', small.clone()), &policy()), (ManifestReason::TooMany { now: 40, then: 1 }, 40));
    let mut mixed = small;
    mixed.extend((0..3).map(|n| vec![one(100 + n, 70 * KIB)]));
    assert_eq!(reason(&named('f', mixed), &policy()), (ManifestReason::TooMany { now: 43, then: 4 }, 40));
}

#[test]
fn should_say_why_it_leaves_manifests_alone() {
    let large: Vec<Entries> = (0..30).map(|day| vec![one(day, 64 * KIB)]).collect();
    assert_eq!(reason(&named('f', large), &policy()), (ManifestReason::GoodAsTheyAre { now: 30 }, 0));
    let few: Vec<Entries> = (0..4).map(|day| vec![one(day, KIB)]).collect();
    let bytes = 4 * (KIB + HEADER);
    assert_eq!(reason(&named('f', few), &policy()), (ManifestReason::TooLittleGain { now: 4, then: 1, bytes }, 0));
    let empty = plan(&state(&[]), &policy(), 0).unwrap();
    assert!(empty.is_empty() && empty.tasks.is_empty());
}

#[test]
fn should_sort_manifests_that_hold_a_bit_of_every_partition() {
    let scattered: Vec<Entries> = (0..8).map(|_| (0..64).map(|day| one(day, KIB)).collect()).collect();
    let manifests = named('f', scattered);
    let (why, picked) = reason(&manifests, &policy());
    assert_eq!((why, picked), (ManifestReason::Scattered { depth_hundredths: 800 }, 8));
    let made = plan(&state(&manifests), &policy(), 0).unwrap();
    let after = execute(&manifests, &made);
    assert_eq!(reason(&after, &policy()).1, 0);
    // One large partition has many manifests, and nothing would change that.
    let pure: Vec<Entries> = (0..8).map(|_| vec![one(7, 64 * KIB)]).collect();
    assert_eq!(reason(&named('f', pure), &policy()).1, 0);
    let unpartitioned: Vec<Entries> = (0..8).map(|_| vec![(Vec::new(), 64 * KIB)]).collect();
    assert_eq!(reason(&named('f', unpartitioned), &policy()).1, 0);
}

#[test]
fn should_keep_kinds_and_specs_apart() {
    let mut manifests = named('f', (0..6).map(|day| vec![one(day, KIB)]).collect());
    manifests.extend(named('d', (0..7).map(|day| vec![one(day, KIB)]).collect()));
    let mut state = state(&manifests);
    for manifest in state.manifests.iter_mut().take(3) {
        manifest.spec_id = 0;
    }
    let made = plan(&state, &policy(), 0).unwrap();
    let tasks: Vec<_> = made.tasks.iter().map(|t| (t.deletes, t.spec_id, t.before, t.manifests.len())).collect();
    assert_eq!(tasks, [(false, 0, 3, 0), (false, 1, 3, 0), (true, 1, 7, 7)]);
    assert_eq!(made.counts(), (13, 7));
}

#[test]
fn should_rewrite_all_when_asked_and_refuse_what_it_can_not_keep() {
    let manifests = named('f', vec![vec![one(1, 64 * KIB)]]);
    let all = ManifestPolicy { rewrite_all: true, ..policy() };
    assert_eq!(reason(&manifests, &all), (ManifestReason::RewriteAll, 1));
    let encrypted = Table::with(metadata(2, &[("encryption.key-id", "k")])).state;
    assert_eq!(plan(&encrypted, &policy(), 0).unwrap_err().kind(), Kind::Unsupported);
    let never = ManifestPolicy { min_gain: 0, ..policy() };
    assert_eq!(plan(&state(&manifests), &never, 0).unwrap_err().kind(), Kind::InvalidInput);
}

fn manifests() -> impl Strategy<Value = Vec<(String, Entries)>> {
    let value = |most: i64| prop_oneof![1 => Just(None), 9 => (0..most).prop_map(Some)];
    (0usize..3, 1i64..30).prop_flat_map(move |(fields, most)| {
        let entry = (prop::collection::vec(value(most), fields), prop_oneof![4 => 50u64..2000, 1 => 2000u64..90_000]);
        let manifest = prop::collection::vec(entry, 1..40);
        (prop::collection::vec(manifest.clone(), 0..40), prop::collection::vec(manifest, 0..10)).prop_map(
            |(data, deletes)| {
                let mut all = named('f', data);
                all.extend(named('d', deletes));
                all
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn should_reach_a_fixed_point_at_once(
        manifests in manifests(), target in 2 * KIB..200 * KIB, min_gain in 1u64..8, rewrite_all in any::<bool>(),
    ) {
        let normal = ManifestPolicy { target_size_bytes: target, min_gain, rewrite_all: false };
        let first = ManifestPolicy { rewrite_all, ..normal.clone() };
        let made = plan(&state(&manifests), &first, 0).unwrap();
        let after = execute(&manifests, &made);
        let again = plan(&state(&after), &normal, 0).unwrap();
        prop_assert!(again.is_empty(), "{:#?}\n{:#?}", made.tasks, again.tasks);
        // No entry is lost or doubled, and nothing is in two tasks.
        let mut entries: [Entries; 2] = [&manifests, &after].map(|all| {
            all.iter().flat_map(|(_, entries)| entries.clone()).collect()
        });
        entries.iter_mut().for_each(|entries| entries.sort());
        prop_assert_eq!(&entries[0], &entries[1]);
    }

    #[test]
    fn should_only_plan_what_gains_and_the_same_in_any_order(manifests in manifests(), min_gain in 1u64..8) {
        let policy = ManifestPolicy { target_size_bytes: 64 * KIB, min_gain, rewrite_all: false };
        let made = plan(&state(&manifests), &policy, 0).unwrap();
        for task in made.tasks.iter().filter(|task| !task.manifests.is_empty()) {
            prop_assert!(task.why.pays());
            if let ManifestReason::TooMany { now, then } = task.why {
                prop_assert!(now - then >= min_gain);
            }
        }
        prop_assert!(made.tasks.iter().all(|task| task.why.pays() != task.manifests.is_empty()));
        let mut turned = state(&manifests);
        turned.manifests.reverse();
        prop_assert_eq!(&made, &plan(&turned, &policy, 0).unwrap());
    }
}
