//! Files of older partition specs: what moves, together with what, what stays, and that it ends (I8).

use std::sync::Arc;

use iceberg::spec::TableMetadata;
use insta::assert_snapshot;
use proptest::prelude::*;

use super::support::{Table, between, execute, flaws};
use crate::error::Kind;
use crate::model::{Codec, CompactPolicy, DeleteContent, KeepSpec, MIB};
use crate::planner::compact::{bounds_wanted, plan};

impl Table {
    /// A file of the old, unpartitioned spec with rows of some years.
    fn old(mut self, name: &str, size: u64, years: (i32, i32)) -> Self {
        self = self.file(name, 0, size, Codec::Zstd);
        let file = self.state.files.iter_mut().find(|file| *file.path == *name).unwrap();
        between(file, years.0, years.1);
        self
    }

    fn olds(mut self, prefix: &str, count: u32, size: u64, years: (i32, i32)) -> Self {
        for n in 0..count {
            self = self.old(&format!("{prefix}{n:02}"), size, years);
        }
        self
    }

    /// The table is no longer partitioned: spec 0 is the current one.
    fn unpartitioned(mut self) -> Self {
        let builder = TableMetadata::clone(&self.state.metadata).into_builder(None);
        self.state.metadata = Arc::new(builder.set_default_partition_spec(0).unwrap().build().unwrap().metadata);
        self
    }
}

fn default() -> CompactPolicy {
    CompactPolicy::default()
}

#[test]
fn should_move_small_files_to_where_their_rows_belong_with_what_is_there() {
    // Those of 2021 go with the small file that is there; the good one stays.
    let table = Table::new()
        .olds("old", 6, 50 * MIB, (2021, 2021))
        .file("small", 2021, 30 * MIB, Codec::Zstd)
        .file("good", 2021, 450 * MIB, Codec::Zstd)
        .file("other", 2022, 30 * MIB, Codec::Zstd);
    assert_snapshot!(table.picture(&default()), @r"
    before: :6x50 MiB 2021:1x30 MiB 2021:1x450 MiB 2022:1x30 MiB
    task 0 ts_year=2021: 6 files of an older spec belong to a partition | Sort: rows go to their partitions | 7 files, 330 MiB -> 1 x 330 MiB
    left good: good as it is
    left other: the only candidate in its partition
    after: 2021:1x330 MiB 2021:1x450 MiB 2022:1x30 MiB
    330 MiB written
    ");
    // Rows of several years are told apart.
    assert_snapshot!(Table::new().olds("old", 6, 200 * MIB, (2020, 2022)).picture(&default()), @r"
    before: :6x200 MiB
    task 0 ts_year=*: 6 files of an older spec belong to about 3 partitions | Sort: rows go to their partitions | 6 files, 1.2 GiB -> 3 x 400 MiB
    after: 2020:1x400 MiB 2021:1x400 MiB 2022:1x400 MiB
    1.2 GiB written
    ");
}

#[test]
fn should_merge_in_the_old_spec_where_tiny_files_would_come_out() {
    assert_snapshot!(Table::new().olds("old", 8, 10 * MIB, (2020, 2028)).picture(&default()), @r"
    before: :8x10 MiB
    task 0 : 8 small files (stays: about 9 partitions would get 8.9 MiB each) | Copy: codec, schema and row groups fit | 8 files, 80 MiB -> 1 x 80 MiB
    after: :1x80 MiB
    80 MiB written
    ");
    // One file a year would be tiny, though every file is of one year alone.
    let table = (0..8).fold(Table::new(), |t, n| t.old(&format!("old{n}"), MIB, (2020 + n, 2020 + n)));
    assert_snapshot!(table.picture(&default()), @r"
    before: :8x1 MiB
    task 0 : 8 small files (stays: its partition would get 1 MiB) | Merge: row groups of 1 MiB are too small | 8 files, 8 MiB -> 1 x 8 MiB
    after: :1x8 MiB
    8 MiB written
    ");
}

#[test]
fn should_leave_alone_what_it_can_not_tell_about_until_it_is_asked() {
    let table = Table::new().files("old", 6, 0, 10 * MIB, Codec::Zstd).olds("good", 2, 450 * MIB, (2021, 2021));
    assert_snapshot!(table.picture(&default()), @r"
    before: :6x10 MiB :2x450 MiB
    left good00 good01: good as it is, in the older partition spec 0
    left old00..old05 (6): stays in the older partition spec 0: no bounds tell their partitions (--output-spec-id moves them)
    after: :6x10 MiB :2x450 MiB
    0 B written
    ");
    assert_snapshot!(table.picture(&CompactPolicy { output_spec_id: Some(1), ..default() }), @r"
    before: :6x10 MiB :2x450 MiB
    task 0 ts_year=*: 8 files of an older spec | Sort: rows go to their partitions | 8 files, 960 MiB -> 2 x 480 MiB
    after: 2020:1x60 MiB 2021:2x450 MiB
    960 MiB written
    ");
}

#[test]
fn should_move_files_to_an_older_spec_when_that_is_asked_for() {
    let table = Table::new().files("a", 3, 2020, 100 * MIB, Codec::Zstd).files("b", 3, 2021, 100 * MIB, Codec::Zstd);
    let to = |spec| plan(&table.state, &CompactPolicy { output_spec_id: Some(spec), ..default() }, 0);
    let made = to(0).unwrap();
    let task = made.rewrites().next().unwrap();
    assert_eq!((task.inputs.len(), task.spec_id, task.respec.as_ref().unwrap().partitions), (6, 0, 1));
    assert_eq!(task.output.directory, "s3://b/db/t/data");
    let error = to(7).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidInput);
    assert!(error.hint_text().unwrap().contains("[0, 1]"));
    assert_eq!(bounds_wanted(&default(), &table.state.metadata).unwrap(), [1]);
}

#[test]
fn should_leave_partitions_alone_that_nothing_is_wrong_with_when_a_table_is_no_longer_partitioned() {
    let good = Table::new().file("a", 2020, 450 * MIB, Codec::Zstd).file("b", 2021, 450 * MIB, Codec::Zstd);
    assert!(plan(&good.unpartitioned().state, &default(), 0).unwrap().is_empty());
    let small = Table::new().files("a", 6, 2020, 100 * MIB, Codec::Zstd).file("b", 2021, 450 * MIB, Codec::Zstd);
    let made = plan(&small.unpartitioned().state, &default(), 0).unwrap();
    assert_eq!((made.totals.input_files, made.rewrites().next().unwrap().spec_id), (6, 0));
}

#[test]
fn should_apply_the_deletes_of_the_old_spec() {
    let table = Table::new()
        .olds("old", 5, 60 * MIB, (2021, 2021))
        .deletes(DeleteContent::Equality, 2021, 9, None, 10)
        .deletes(DeleteContent::Position, 0, 9, Some("old03"), 200_000);
    let made = plan(&table.state, &default(), 0).unwrap();
    assert_eq!(flaws(&table.state, &default(), &made), Vec::<String>::new());
    let task = made.rewrites().next().unwrap();
    // Those of the new spec's partition were never for files of the old one.
    let with: Vec<&str> =
        task.inputs.iter().filter(|input| !input.deletes.is_empty()).map(|input| input.path.as_str()).collect();
    assert_eq!(with, ["old03"]);
    assert!(made.deletes.iter().all(|delete| delete.fate.goes()), "{:?}", made.deletes);
}

/// 400,000 files of an older spec.
fn many(years: impl Fn(i32) -> (i32, i32)) -> Table {
    let mut table = Table::new();
    for year in 1970..3970 {
        let one = Table::new().old("f", 50 * MIB, years(year)).state.files.remove(0);
        let name = |n: u32| format!("{year}-{n:03}");
        table.state.files.extend((0..200).map(|n| crate::model::DataFile { path: name(n).into(), ..one.clone() }));
    }
    table
}

/// apache/iceberg 15465, 16514, 12651: groups of old files that are cut at random give each of 2,000 partitions 200 files of
/// 50 MB. Not a timed assertion: prints how long it takes (`cargo test --lib -- --nocapture repack_many`).
#[test]
fn should_repack_many_partitions_into_full_files() {
    let table = many(|year| (year, year));
    let start = std::time::Instant::now();
    let made = plan(&table.state, &default(), 0).unwrap();
    eprintln!("400,000 files of 2,000 partitions planned in {:?}", start.elapsed());
    assert_eq!((made.tasks.len(), made.totals.input_files, made.totals.output_files), (2000, 400_000, 40_000));
    assert!(made.rewrites().all(|task| task.respec.is_some() && task.output.cut_bytes == 500 * MIB));
}

/// The same where each file has rows of all partitions: no cut into groups of 100 GiB would give anything but a tiny file for
/// each, so files are merged where they are. Where a group is large enough for its partitions, they move.
#[test]
fn should_not_scatter_the_files_of_a_group_over_too_many_partitions() {
    let table = |partitions: i32| {
        let mut table = Table::new();
        let one = Table::new().old("f", 500 * MIB, (1970, 1969 + partitions)).state.files.remove(0);
        let name = |n: u32| format!("f-{n:05}");
        table.state.files.extend((0..8000).map(|n| crate::model::DataFile { path: name(n).into(), ..one.clone() }));
        // Small ones beside them: something is to be done.
        table.olds("small", 40, 50 * MIB, (1970, 1969 + partitions))
    };
    let to_spec = |spec| CompactPolicy { output_spec_id: spec, rewrite_all: true, ..default() };
    let made = plan(&table(2000).state, &to_spec(None), 0).unwrap();
    let kept = KeepSpec::Scattered { partitions: 2000, each: 100 * 1024 * MIB / 2000 };
    assert!(made.rewrites().all(|task| task.keeps_spec.as_ref() == Some(&kept) && task.respec.is_none()));
    let made = plan(&table(1000).state, &to_spec(None), 0).unwrap();
    assert_eq!(made.totals.input_files, 8040);
    assert!(made.rewrites().all(|task| task.respec.as_ref().is_some_and(|respec| respec.partitions == 1000)));
}

fn any_table() -> impl Strategy<Value = Table> {
    let size = prop_oneof![4 => 1u64..20, 2 => 20u64..300, 1 => 300u64..600, 1 => 900u64..2000];
    let file = (size, 0u8..4, 2020i32..2025, 0i32..4, any::<bool>());
    (prop::collection::vec(file, 0..40), 0u8..4).prop_map(|(files, turned)| {
        let mut table = Table::new();
        for (n, (size, kind, year, more, snappy)) in files.into_iter().enumerate() {
            let (name, size) = (format!("f{n:03}"), size * MIB);
            table = match kind {
                0 => table.file(&name, year, size, if snappy { Codec::Snappy } else { Codec::Zstd }),
                1 if snappy => table.file(&name, 0, size, Codec::Zstd),
                1 | 2 => table.old(&name, size, (year, year + more)),
                _ => table.old(&name, size, (year, year)),
            };
        }
        if turned == 0 { table.unpartitioned() } else { table }
    })
}

fn any_policy() -> impl Strategy<Value = CompactPolicy> {
    (1u64..8, prop::option::weighted(0.3, Just(1)), any::<bool>()).prop_map(
        |(min_input_files, output_spec_id, small)| {
            let target = if small { 64 * MIB } else { 512 * MIB };
            CompactPolicy {
                min_input_files,
                output_spec_id,
                target_file_size_bytes: target,
                min_file_size_bytes: target / 4 * 3,
                max_file_size_bytes: target / 5 * 9,
                ..default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn should_move_once(table in any_table(), policy in any_policy(), error in 0.7f64..1.0) {
        let first = plan(&table.state, &policy, 0).unwrap();
        prop_assert_eq!(flaws(&table.state, &policy, &first), Vec::<String>::new());
        let (after, _) = execute(&table.state, &first, error);
        prop_assert_eq!(after.data_rows(), table.state.data_rows());
        let second = plan(&after, &policy, 0).unwrap();
        prop_assert!(second.is_empty(), "{:#?}\nthen\n{:#?}", first.tasks, second.tasks);
    }
}
