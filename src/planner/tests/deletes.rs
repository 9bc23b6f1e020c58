//! Deletes: which files they make candidates, which delete files go, which stay.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::support::{Table, execute, flaws};
use crate::model::{Codec, CompactPolicy, DeleteContent, MIB};
use crate::planner::compact::plan;

fn default() -> CompactPolicy {
    CompactPolicy::default()
}

#[test]
fn should_apply_positions_on_the_way_and_drop_their_files() {
    let table = Table::new()
        .files("a", 6, 2020, 10 * MIB, Codec::Zstd)
        .files("b", 6, 2021, 10 * MIB, Codec::Zstd)
        .files("c", 6, 2022, 10 * MIB, Codec::Zstd)
        .delete(DeleteContent::Position, 2020, 5, None)
        .delete(DeleteContent::Equality, 2021, 5, None)
        .delete(DeleteContent::Position, 2022, 6, Some("c03"))
        .delete(DeleteContent::Position, 2022, 4, None);
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:6x10 MiB 2021:6x10 MiB 2022:6x10 MiB
    task 0 ts_year=2020: 6 small files | Merge: deleted rows are left out | 6 files, 60 MiB -> 1 x 60 MiB
    task 1 ts_year=2021: 6 small files | Copy: codec, schema and row groups fit | 6 files, 60 MiB -> 1 x 60 MiB
    task 2 ts_year=2022: 6 small files | Merge: deleted rows are left out | 6 files, 60 MiB -> 1 x 60 MiB
    delete0 (Position) goes: all 6 files that it applies to are rewritten
    delete1 (Equality) goes: no live data file can match it
    delete2 (Position) goes: all 1 files that it applies to are rewritten
    delete3 (Position) goes: no live data file can match it
    after: 2020:1x60 MiB 2021:1x60 MiB 2022:1x60 MiB
    180 MiB written
    ");
}

#[test]
fn should_rewrite_one_good_file_when_a_tenth_of_it_is_deleted() {
    // 400 MiB are 4,194,304 rows here.
    let table = Table::new()
        .files("a", 3, 2020, 400 * MIB, Codec::Zstd)
        .deletes(DeleteContent::Position, 2020, 6, Some("a00"), 419_431)
        .deletes(DeleteContent::Position, 2020, 6, Some("a01"), 419_430);
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:3x400 MiB
    task 0 ts_year=2020: a file with too many deletes | Merge: deleted rows are left out | 1 files, 400 MiB -> 1 x 360 MiB
    left a01: 1 delete files apply to it, but only 419430 rows are deleted
    left a02: good as it is
    delete0 (Position) goes: all 1 files that it applies to are rewritten
    delete1 (Position) stays: applies to 1 files that are not rewritten
    after: 2020:1x360 MiB 2020:2x400 MiB
    360 MiB written
    ");
}

#[test]
fn should_share_out_the_positions_of_a_partition_and_keep_their_file_while_it_is_needed() {
    // A tenth of a and b together: both are candidates; c is younger than the deletes of the partition.
    let mut table = Table::new()
        .files("a", 2, 2020, 400 * MIB, Codec::Zstd)
        .file("c", 2020, 400 * MIB, Codec::Zstd)
        .deletes(DeleteContent::Position, 2020, 6, None, 838_861);
    table.state.files[2].sequence_number = 7;
    table.state.files[2].file_sequence_number = 7;
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:3x400 MiB
    task 0 ts_year=2020: 2 files with too many deletes | Merge: deleted rows are left out | 2 files, 800 MiB -> 2 x 360 MiB
    left c: good as it is
    delete0 (Position) goes: all 2 files that it applies to are rewritten
    after: 2020:2x360 MiB 2020:1x400 MiB
    720 MiB written
    ");
    // Fewer deletes than that: nothing is due, and the file stays.
    table.state.deletes[0].records = 838_859;
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:3x400 MiB
    left a00 a01: 1 delete files apply to it, but only 419430 rows are deleted
    left c: good as it is
    delete0 (Position) stays: applies to 2 files that are not rewritten
    after: 2020:3x400 MiB
    0 B written
    ");
}

#[test]
fn should_count_delete_files_where_that_is_asked_for() {
    let policy = CompactPolicy { delete_file_threshold: 2, ..default() };
    let table = Table::new()
        .files("a", 2, 2020, 400 * MIB, Codec::Zstd)
        .delete(DeleteContent::Position, 2020, 6, Some("a00"))
        .delete(DeleteContent::Position, 2020, 7, Some("a00"))
        .delete(DeleteContent::Position, 2020, 7, Some("a01"));
    assert_snapshot!(table.picture(&policy), @r"
    before: 2020:2x400 MiB
    task 0 ts_year=2020: a file with too many deletes | Merge: deleted rows are left out | 1 files, 400 MiB -> 1 x 400 MiB
    left a01: 1 delete files apply to it, but only 1 rows are deleted
    delete0 (Position) goes: all 1 files that it applies to are rewritten
    delete1 (Position) goes: all 1 files that it applies to are rewritten
    delete2 (Position) stays: applies to 1 files that are not rewritten
    after: 2020:1x400 MiB 2020:1x400 MiB
    400 MiB written
    ");
}

#[test]
fn should_see_that_global_equality_deletes_reach_every_partition_of_every_spec() {
    // Spec 0 is unpartitioned and has no data file of its own: a rule by spec and partition would call delete0 dangling.
    let table = Table::new().files("a", 6, 2020, MIB, Codec::Zstd).delete(DeleteContent::Equality, 0, 6, None);
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:6x1 MiB
    task 0 ts_year=2020: 6 small files | Merge: deleted rows are left out | 6 files, 6 MiB -> 1 x 6 MiB
    delete0 (Equality) goes: all 6 files that it applies to are rewritten
    after: 2020:1x6 MiB
    6 MiB written
    ");
}

#[test]
fn should_not_come_back_for_positions_that_cannot_name_a_rewritten_file() {
    // The positions of the whole partition stay for the sake of "other", which is in another format.
    let mut table = Table::new()
        .files("a", 6, 2020, 10 * MIB, Codec::Zstd)
        .file("other", 2020, 400 * MIB, Codec::Zstd)
        .deletes(DeleteContent::Position, 2020, 9, None, 10_000_000);
    table.state.files[6].format = crate::model::FileFormat::Avro;
    let made = plan(&table.state, &default(), 0).unwrap();
    assert_eq!((made.tasks.len(), made.totals.retired_delete_files), (1, 0));
    let after = execute(&table.state, &made, 1.0).0;
    let again = plan(&after, &default(), 0).unwrap();
    assert!(again.is_empty(), "{again:#?}");
}

#[test]
fn should_leave_everything_where_it_is_when_dangling_deletes_may_not_go() {
    let policy = CompactPolicy { remove_dangling_deletes: false, ..default() };
    let table = Table::new().file("a", 2020, 400 * MIB, Codec::Zstd).delete(DeleteContent::Position, 2021, 6, None);
    assert!(plan(&table.state, &policy, 0).unwrap().is_empty());
    assert!(!plan(&table.state, &default(), 0).unwrap().is_empty());
}

/// A table of files f000, f001, …: MiB, year, sequence number of each.
fn of_files(files: &[(u64, i32, i64)]) -> Table {
    let mut table = Table::new();
    for (n, (mib, year, _)) in files.iter().enumerate() {
        table = table.file(&format!("f{n:03}"), *year, mib * MIB, Codec::Zstd);
    }
    for (file, (_, _, sequence)) in table.state.files.iter_mut().zip(files) {
        file.sequence_number = *sequence;
        file.file_sequence_number = *sequence;
    }
    table
}

/// Once the two older files are rewritten, the other four share the deletes of the whole table: two of them fit into one
/// file then, and what is left makes the last two candidates. All of it is one plan.
#[test]
fn should_see_in_one_plan_what_a_second_one_would_find() {
    let files = [(347, 2022, 2), (176, 2022, 2), (481, 2020, 2), (377, 2021, 1), (247, 2020, 1), (397, 2020, 2)];
    let global = |table: Table, sequence, records| table.deletes(DeleteContent::Equality, 0, sequence, None, records);
    let table = global(global(of_files(&files), 3, 993_814), 2, 348_068);
    let policy = CompactPolicy { delete_file_threshold: 2, ..default() };
    let made = plan(&table.state, &policy, 0).unwrap();
    let after = execute(&table.state, &made, 1.0).0;
    assert!(plan(&after, &policy, 0).unwrap().is_empty(), "{:#?}", made.tasks);
}

/// Deletes of every kind and age: (equality, year or 0 for the unpartitioned spec, sequence number, file, records).
fn deletes() -> impl Strategy<Value = Vec<(bool, i32, i64, Option<u32>, u64)>> {
    let year = prop_oneof![2020i32..2023, Just(0)];
    prop::collection::vec((any::<bool>(), year, 1i64..10, prop::option::of(0u32..20), 1u64..3_000_000), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn should_keep_every_delete_that_is_needed_and_come_to_rest(
        files in prop::collection::vec((1u64..600, 2020i32..2023, 1i64..10), 0..20),
        deletes in deletes(),
        threshold in 1u64..9,
    ) {
        let mut table = of_files(&files);
        for (equality, year, sequence, of, records) in deletes {
            let name = of.map(|n| format!("f{n:03}"));
            table = match equality {
                true => table.deletes(DeleteContent::Equality, year, sequence, None, records),
                false => table.deletes(DeleteContent::Position, year, sequence, name.as_deref(), records),
            };
        }
        table.state.deletes.sort_by(|a, b| a.path.cmp(&b.path));
        let policy = CompactPolicy { delete_file_threshold: threshold, ..CompactPolicy::default() };
        let made = plan(&table.state, &policy, 0).unwrap();
        prop_assert_eq!(flaws(&table.state, &policy, &made), Vec::<String>::new());
        let after = execute(&table.state, &made, 1.0).0;
        let again = plan(&after, &policy, 0).unwrap();
        prop_assert!(again.is_empty(), "{:#?}", again.tasks);
    }
}
