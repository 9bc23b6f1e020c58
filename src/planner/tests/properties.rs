//! One suite for every policy: what holds for all tables.

use proptest::prelude::*;

use super::support::{Table, execute, flaws};
use crate::model::{Codec, CompactPolicy, JobOrder, MIB, Plan, SavedPlan, Task};
use crate::planner::compact::{footers_wanted, plan};
use crate::planner::{seal, verify_seal};

/// Sizes around every threshold of a target of 512 MiB.
fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 1u64..20,
        2 => 20u64..250,
        2 => 250u64..520,
        1 => 520u64..930,
        1 => 930u64..3000,
    ]
    .prop_map(|mib| mib * MIB)
}

fn table() -> impl Strategy<Value = Table> {
    let file = (size(), 2020i32..2023, any::<bool>());
    (prop::collection::vec(file, 0..40), 0.4f64..1.1).prop_map(|(files, ratio)| {
        let mut table = Table::new().ratio(Codec::Snappy, ratio);
        for (n, (size, year, snappy)) in files.into_iter().enumerate() {
            table = table.file(&format!("f{n:03}"), year, size, if snappy { Codec::Snappy } else { Codec::Zstd });
        }
        table
    })
}

fn policy() -> impl Strategy<Value = CompactPolicy> {
    (1u64..8, prop::option::of(8u64..30), prop_oneof![Just(2048u64), Just(100 * 1024)], 0usize..5).prop_map(
        |(min_input_files, max_files_to_rewrite, group, order)| CompactPolicy {
            min_input_files,
            max_files_to_rewrite,
            max_file_group_size_bytes: group * MIB,
            rewrite_job_order: [
                JobOrder::None,
                JobOrder::BytesAsc,
                JobOrder::BytesDesc,
                JobOrder::FilesAsc,
                JobOrder::FilesDesc,
            ][order],
            ..CompactPolicy::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn should_hold_for_every_table_and_policy(table in table(), policy in policy()) {
        let made = plan(&table.state, &policy, 7).unwrap();
        prop_assert_eq!(flaws(&table.state, &policy, &made), Vec::<String>::new());
        // The same input gives the same plan, byte for byte, in whatever order it arrives (I11).
        let mut shuffled = table.state.clone();
        shuffled.deletes.reverse();
        let again = plan(&shuffled, &policy, 7).unwrap();
        prop_assert_eq!(serde_json::to_string(&made).unwrap(), serde_json::to_string(&again).unwrap());
    }

    #[test]
    fn should_reach_a_fixed_point_at_once(table in table(), policy in policy(), error in 0.6f64..1.4) {
        // Without a limit on files, one run is all there is to do (I8), whatever the estimate got wrong.
        let policy = CompactPolicy { max_files_to_rewrite: None, ..policy };
        let made = plan(&table.state, &policy, 0).unwrap();
        let (after, _) = execute(&table.state, &made, error);
        let again = plan(&after, &policy, 0).unwrap();
        prop_assert!(again.is_empty(), "{:#?}", again.tasks);
        let wanted = footers_wanted(&after, &policy).unwrap();
        prop_assert!(wanted.len() <= after.files.len());
    }

    #[test]
    fn should_come_to_rest_under_a_limit(table in table(), policy in policy()) {
        let mut state = table.state;
        for round in 0.. {
            let made = plan(&state, &policy, 0).unwrap();
            if made.is_empty() {
                break;
            }
            prop_assert!(round < 40, "still at work after {round} rounds");
            state = execute(&state, &made, 1.0).0;
        }
    }
}

#[test]
fn should_notice_a_bad_plan() {
    let table = Table::new().files("a", 9, 2020, 60 * MIB, Codec::Zstd);
    let policy = CompactPolicy::default();
    let good = plan(&table.state, &policy, 0).unwrap();
    assert!(flaws(&table.state, &policy, &good).is_empty());
    let mut twice = good.clone();
    twice.tasks.extend(twice.tasks.clone());
    assert!(!flaws(&table.state, &policy, &twice).is_empty());
    let mut lost = good.clone();
    lost.tasks.clear();
    assert!(!flaws(&table.state, &policy, &lost).is_empty());
    let mut large = good;
    let Task::Rewrite(task) = &mut large.tasks[0];
    task.output.files = 9;
    assert!(!flaws(&table.state, &policy, &large).is_empty());
}

#[test]
fn should_refuse_a_plan_that_was_touched() {
    let table = Table::new().files("a", 9, 2020, 60 * MIB, Codec::Zstd);
    let made = Plan::Compact(plan(&table.state, &CompactPolicy::default(), 0).unwrap());
    let saved = seal(made.clone()).unwrap();
    let read: SavedPlan = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
    assert_eq!(read, saved);
    assert_eq!(verify_seal(&read).unwrap(), &made);
    assert!(verify_seal(&SavedPlan { checksum: String::new(), ..saved.clone() }).is_err(), "never sealed");
    assert!(verify_seal(&SavedPlan { version: 99, ..saved.clone() }).is_err(), "another version");
    let mut touched = saved;
    let Plan::Compact(compact) = &mut touched.plan else { panic!("{touched:?}") };
    let Task::Rewrite(task) = &mut compact.tasks[0];
    task.inputs.pop();
    assert!(verify_seal(&touched).is_err());
}

/// Not a timed assertion: prints how long 100,000 files take (`cargo test --release -- --nocapture plan_a_hundred`).
#[test]
fn should_plan_a_hundred_thousand_files() {
    let mut table = Table::new();
    let one = Table::new().file("f", 2021, 3 * MIB, Codec::Zstd).state;
    table.state.files = (0..100_000)
        .map(|n| crate::model::DataFile { path: format!("f{n:06}").into(), ..one.files[0].clone() })
        .collect();
    let start = std::time::Instant::now();
    let made = plan(&table.state, &CompactPolicy::default(), 0).unwrap();
    eprintln!("100,000 files planned in {:?}", start.elapsed());
    assert_eq!((made.tasks.len(), made.totals.output_files), (3, 588));
}
