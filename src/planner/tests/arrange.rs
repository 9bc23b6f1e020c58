//! Files that are put in order: which, when, and that it ends (I8).

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::support::{Table, execute};
use crate::error::Kind;
use crate::model::{
    Arrangement, Codec, CompactPlan, CompactPolicy, Curve, FieldBounds, MIB, OverlapDepth, PickReason, Route,
    SortField, TableState,
};
use crate::planner::compact::{Clustering, plan};

fn field(column: &str, transform: &str) -> SortField {
    SortField { column: column.into(), transform: transform.into(), descending: false, nulls_first: true }
}

fn by(fields: Vec<SortField>) -> CompactPolicy {
    CompactPolicy { arrangement: Arrangement::Sort { fields, order_id: None }, ..CompactPolicy::default() }
}

fn by_ts() -> CompactPolicy {
    by(vec![field("ts", "identity"), field("n", "identity")])
}

fn span(state: &mut TableState, path: &str, low: i64, high: i64) {
    let bytes = |n: i64| Some(n.to_le_bytes().to_vec());
    let bounds = FieldBounds { lower: bytes(low), upper: bytes(high), nulls: Some(0), values: None };
    let file = state.files.iter_mut().find(|file| *file.path == *path).unwrap();
    file.bounds.insert(1, bounds);
}

impl Table {
    /// A file with values of `ts` in a range, in order or not.
    fn ranged(mut self, name: &str, size: u64, range: (i64, i64), mark: Option<&CompactPolicy>) -> Self {
        self = self.file(name, 2020, size, Codec::Zstd);
        span(&mut self.state, name, range.0, range.1);
        let mark = mark.and_then(|policy| policy.arrangement.mark());
        self.state.footers.get_mut(name).unwrap().arrangement = mark;
        self
    }
}

/// What is there afterwards: outputs of one task share its range without lying over one another.
fn sorted(state: &TableState, plan: &CompactPlan, policy: &CompactPolicy, snapshot: i64) -> TableState {
    let before: BTreeSet<&str> = state.files.iter().map(|file| &*file.path).collect();
    let (mut after, _) = execute(state, plan, 1.0);
    for task in plan.rewrites() {
        assert_eq!(task.route, Route::Sort);
        let inputs = || state.files.iter().filter(|file| task.inputs.iter().any(|input| *input.path == *file.path));
        let ends = |upper: bool| {
            inputs().filter_map(move |file| {
                let bounds = file.bounds.get(&1)?;
                let bytes = if upper { &bounds.upper } else { &bounds.lower };
                Some(i64::from_le_bytes(bytes.as_ref()?.as_slice().try_into().ok()?))
            })
        };
        let (low, high) = (ends(false).min(), ends(true).max());
        let prefix = format!("out-{}-{:05}-", task.partition, task.id);
        let made: Vec<String> = after
            .files
            .iter()
            .filter(|file| file.path.starts_with(&prefix) && !before.contains(&*file.path))
            .map(|file| file.path.to_string())
            .collect();
        for (n, path) in made.iter().enumerate() {
            let renamed = format!("s{snapshot}-{path}");
            let mut footer = after.footers.remove(path).unwrap();
            footer.arrangement = policy.arrangement.mark();
            after.footers.insert(renamed.clone(), footer);
            let file = after.files.iter_mut().find(|file| *file.path == **path).unwrap();
            (file.path, file.snapshot_id) = (renamed.as_str().into(), Some(snapshot));
            file.bounds.clear();
            if let (Some(low), Some(high)) = (low, high) {
                let at = |n: usize| low + (high - low) * n as i64 / made.len() as i64;
                span(&mut after, &renamed, at(n), at(n + 1));
            }
        }
    }
    after.files.sort_by(|a, b| a.path.cmp(&b.path));
    after
}

#[test]
fn should_sort_what_is_not_in_order_and_leave_the_rest() {
    let policy = by_ts();
    let table = (0..6).fold(Table::new(), |t, n| t.ranged(&format!("a{n}"), 200 * MIB, (0, 1000), None));
    assert_snapshot!(table.picture(&policy), @r"
    before: 2020:6x200 MiB
    task 0 ts_year=2020: 6 files not in order | Sort: ts ASC NULLS FIRST, n ASC NULLS FIRST | 6 files, 1.2 GiB -> 3 x 400 MiB
    after: 2020:3x400 MiB
    1.2 GiB written
    ");
    // One large file in order, and a few rows that are not: not worth it yet.
    let table = Table::new()
        .ranged("big0", 400 * MIB, (0, 500), Some(&policy))
        .ranged("big1", 400 * MIB, (500, 1000), Some(&policy))
        .ranged("new", MIB, (0, 1000), None);
    assert_snapshot!(table.picture(&policy), @r"
    before: 2020:1x1 MiB 2020:2x400 MiB
    left big0 big1: good as it is
    left new: not in order, but only 1 files with 1 MiB are
    after: 2020:1x1 MiB 2020:2x400 MiB
    0 B written
    ");
    // Many small ones: sorted by themselves, the large ones stay.
    let table = (0..5).fold(table, |t, n| t.ranged(&format!("new{n}"), MIB, (0, 1000), None));
    assert_snapshot!(table.picture(&policy), @r"
    before: 2020:6x1 MiB 2020:2x400 MiB
    task 0 ts_year=2020: 6 files not in order | Sort: ts ASC NULLS FIRST, n ASC NULLS FIRST | 6 files, 6 MiB -> 1 x 6 MiB
    left big0 big1: good as it is
    after: 2020:1x6 MiB 2020:2x400 MiB
    6 MiB written
    ");
}

/// By itself the unsorted file is too little; what the others become could make it too much.
#[test]
fn should_take_what_is_not_in_order_along_when_others_are_written_anew() {
    let policy = by_ts();
    let sorted =
        (0..6).fold(Table::new(), |t, n| t.ranged(&format!("s{n}"), 60 * MIB, (n * 10, n * 10 + 9), Some(&policy)));
    let table = sorted.ranged("new", MIB, (0, 1000), None);
    assert_snapshot!(table.picture(&policy), @r"
    before: 2020:1x1 MiB 2020:6x60 MiB
    task 0 ts_year=2020: 1 files not in order | Sort: ts ASC NULLS FIRST, n ASC NULLS FIRST | 7 files, 361 MiB -> 1 x 361 MiB
    after: 2020:1x361 MiB
    361 MiB written
    ");
}

#[test]
fn should_merge_files_that_lie_over_one_another_too_often() {
    let policy = by_ts();
    let runs = |n: usize| {
        let table = (0..n).fold(Table::new(), |t, n| t.ranged(&format!("r{n}"), 400 * MIB, (0, 1000), Some(&policy)));
        table.ranged("apart", 400 * MIB, (1000, 2000), Some(&policy))
    };
    assert!(plan(&runs(4).state, &policy, 0).unwrap().is_empty());
    let five = plan(&runs(5).state, &policy, 0).unwrap();
    let task = five.rewrites().next().unwrap();
    assert!(task.inputs.iter().all(|input| input.picked == PickReason::Overlaps));
    assert_eq!((task.inputs.len(), five.skipped.len()), (5, 1), "what lies apart stays");
}

/// Nothing would be known of where the new run lies, and the next plan would take all runs for lying over one another.
#[test]
fn should_take_all_runs_in_when_it_is_not_known_where_the_new_one_lies() {
    let policy = by_ts();
    let mut table =
        (0..8).fold(Table::new(), |t, n| t.ranged(&format!("r{n}"), 400 * MIB, (n * 10, n * 10 + 10), Some(&policy)));
    for (file, run) in table.state.files.iter_mut().zip(1..) {
        file.snapshot_id = Some(run);
    }
    let mut table = table.ranged("new", 768 * MIB, (0, 80), None);
    let inputs =
        |table: &Table| plan(&table.state, &policy, 0).unwrap().rewrites().next().map(|task| task.inputs.len());
    assert_eq!(inputs(&table), Some(1), "a second run over the others is not too many");
    table.state.files.iter_mut().find(|file| *file.path == *"new").unwrap().bounds.clear();
    assert_eq!(inputs(&table), Some(9));
}

#[test]
fn should_not_look_for_order_where_none_is_wanted() {
    let mut table = Table::new().files("good", 8, 2020, 400 * MIB, Codec::Zstd);
    for (file, run) in table.state.files.iter_mut().zip(1..) {
        file.snapshot_id = Some(run);
    }
    assert!(plan(&table.state, &CompactPolicy::default(), 0).unwrap().is_empty());
}

#[test]
fn should_say_what_can_not_be_sorted_by() {
    let state = Table::new().file("a", 2020, MIB, Codec::Zstd).state;
    let error = |policy: CompactPolicy| {
        let error = plan(&state, &policy, 0).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidInput);
        assert!(error.hint_text().is_some());
        error.to_string()
    };
    assert!(error(by(vec![])).contains("no sort order"));
    assert!(error(by(vec![field("nope", "identity")])).contains("nope"));
    assert!(error(by(vec![field("region", "day")])).contains("day can't be computed"));
    let curve = Arrangement::Curve { curve: Curve::ZOrder, columns: vec!["ts".into(), "nope".into()] };
    assert!(error(CompactPolicy { arrangement: curve, ..CompactPolicy::default() }).contains("nope"));
}

fn any_policy() -> impl Strategy<Value = CompactPolicy> {
    prop_oneof![
        Just(by_ts()),
        Just(by(vec![field("ts", "day")])),
        Just(CompactPolicy {
            arrangement: Arrangement::Curve { curve: Curve::Hilbert, columns: vec!["ts".into(), "n".into()] },
            ..CompactPolicy::default()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn should_come_to_an_end_whatever_is_there(
        policy in any_policy(),
        rounds in prop::collection::vec(
            prop::collection::vec((1u64..900, 0i64..1000, 0i64..400, any::<bool>(), any::<bool>()), 0..9), 1..6),
    ) {
        let mut table = Table::new();
        let mut snapshot = 100;
        for (round, files) in rounds.into_iter().enumerate() {
            for (n, (size, low, length, marked, known)) in files.into_iter().enumerate() {
                let name = format!("f{round}-{n}");
                table = table.ranged(&name, size * MIB, (low, low + length), marked.then_some(&policy));
                let file = table.state.files.iter_mut().find(|file| *file.path == *name).unwrap();
                file.snapshot_id = Some(snapshot);
                if !known && n % 3 == 0 {
                    file.bounds.clear();
                }
                snapshot += 1;
            }
            let first = plan(&table.state, &policy, 0).unwrap();
            let rows = table.state.data_rows();
            let after = sorted(&table.state, &first, &policy, snapshot);
            snapshot += 1;
            prop_assert_eq!(after.data_rows(), rows);
            let second = plan(&after, &policy, 0).unwrap();
            prop_assert!(second.is_empty(), "{:?}\nthen\n{:?}", first.tasks, second.tasks);
            table = Table { state: after };
        }
    }
}

/// What `inspect` shows: by the table's own order, by what is asked for, and by the partitions where it is worst.
#[test]
fn should_tell_how_deep_files_lie_over_one_another() {
    let spans = [("a", (0, 10)), ("b", (2, 8)), ("c", (9, 20)), ("d", (20, 30))];
    let mut table = spans.into_iter().fold(Table::new(), |t, (name, range)| t.ranged(name, MIB, range, None));
    table = table.file("e", 2021, MIB, Codec::Zstd).file("f", 2021, MIB, Codec::Zstd).file("g", 2021, MIB, Codec::Zstd);
    span(&mut table.state, "e", 0, 9);
    span(&mut table.state, "f", 0, 9);
    let of = |arrangement: &Arrangement| Clustering::of(&table.state, arrangement).unwrap();
    let by_ts = of(&by_ts().arrangement);
    let depth =
        |files, unknown_files, average, max| OverlapDepth { column: "ts".into(), files, unknown_files, average, max };
    // 2, 2, 2 and 1 in one partition, 2 and 2 in the other.
    assert_eq!(by_ts.table(), [depth(6, 1, 11.0 / 6.0, 2)]);
    let worst = |most| -> Vec<(String, OverlapDepth)> {
        by_ts.deepest(most).into_iter().map(|p| (p.partition, p.depth)).collect()
    };
    assert_eq!(worst(1), [("ts_year=2021".to_owned(), depth(2, 1, 2.0, 2))]);
    assert_eq!(worst(9)[1..], [("ts_year=2020".to_owned(), depth(4, 0, 1.75, 2))]);
    assert!(Clustering::of(&table.state, &Arrangement::BinPack).is_none(), "the table has no order");
    assert!(Clustering::of(&table.state, &by(vec![field("n", "bucket[4]")]).arrangement).is_none());
    let curve = Arrangement::Curve { curve: Curve::ZOrder, columns: vec!["n".into(), "ts".into()] };
    let columns: Vec<(String, u64)> = of(&curve).table().into_iter().map(|d| (d.column, d.files)).collect();
    assert_eq!(columns, [("n".to_owned(), 0), ("ts".to_owned(), 6)]);
}
