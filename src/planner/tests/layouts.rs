//! Pictures: files before, tasks with reasons, files after, bytes written.

use insta::assert_snapshot;

use super::support::{Table, metadata};
use crate::error::Kind;
use crate::model::{Codec, CompactPolicy, JobOrder, MIB};
use crate::planner::compact::plan;

fn default() -> CompactPolicy {
    CompactPolicy::default()
}

#[test]
fn should_merge_small_files_of_each_partition() {
    let table = Table::new().files("a", 8, 2020, 10 * MIB, Codec::Zstd).files("b", 6, 2021, 100 * MIB, Codec::Zstd);
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:8x10 MiB 2021:6x100 MiB
    task 0 ts_year=2020: 8 small files | Copy: codec, schema and row groups fit | 8 files, 80 MiB -> 1 x 80 MiB
    task 1 ts_year=2021: 6 small files | Copy: codec, schema and row groups fit | 6 files, 600 MiB -> 2 x 300 MiB
    after: 2020:1x80 MiB 2021:2x300 MiB
    680 MiB written
    ");
}

#[test]
fn should_count_on_the_measured_ratio() {
    let table = Table::new().files("a", 20, 2020, 60 * MIB, Codec::Snappy).ratio(Codec::Snappy, 0.5);
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:20x60 MiB
    task 0 ts_year=2020: 20 small files | Merge: inputs in snappy | 20 files, 1.2 GiB -> 2 x 300 MiB
    after: 2020:2x300 MiB
    600 MiB written
    ");
}

#[test]
fn should_leave_no_tail_where_peers_do() {
    // 700 MiB: two files of 350, not 512 and 188.
    assert_snapshot!(Table::new().files("a", 7, 2020, 100 * MIB, Codec::Zstd).picture(&default()), @r"
    before: 2020:7x100 MiB
    task 0 ts_year=2020: 7 small files | Copy: codec, schema and row groups fit | 7 files, 700 MiB -> 2 x 350 MiB
    after: 2020:2x350 MiB
    700 MiB written
    ");
}

#[test]
fn should_leave_few_files_with_little_content_alone() {
    assert_snapshot!(Table::new().files("a", 4, 2020, 20 * MIB, Codec::Zstd).picture(&default()), @r"
    before: 2020:4x20 MiB
    left a00..a03 (4): 4 candidates, fewer than 5
    after: 2020:4x20 MiB
    0 B written
    ");
}

#[test]
fn should_merge_few_files_with_enough_content() {
    assert_snapshot!(Table::new().files("a", 3, 2020, 200 * MIB, Codec::Zstd).picture(&default()), @r"
    before: 2020:3x200 MiB
    task 0 ts_year=2020: enough for a full file (600 MiB) | Copy: codec, schema and row groups fit | 3 files, 600 MiB -> 2 x 300 MiB
    after: 2020:2x300 MiB
    600 MiB written
    ");
}

#[test]
fn should_leave_files_in_the_band_alone() {
    // All below 75 % of the target, but every one inside of the band: merging would only move the cuts.
    assert_snapshot!(Table::new().files("a", 8, 2020, 300 * MIB, Codec::Zstd).picture(&default()), @r"
    before: 2020:8x300 MiB
    left a00..a07 (8): would not become fewer files
    after: 2020:8x300 MiB
    0 B written
    ");
}

#[test]
fn should_cut_a_file_that_is_too_large() {
    assert_snapshot!(Table::new().file("huge", 2020, 2000 * MIB, Codec::Zstd).picture(&default()), @r"
    before: 2020:1x2 GiB
    task 0 ts_year=2020: a file too large | Copy: codec, schema and row groups fit | 1 files, 2 GiB -> 4 x 500 MiB
    after: 2020:4x500 MiB
    2 GiB written
    ");
}

#[test]
fn should_bring_good_files_into_the_codec_when_there_is_enough_of_them() {
    let table = Table::new().files("a", 2, 2020, 450 * MIB, Codec::Snappy).file("b", 2021, 450 * MIB, Codec::Snappy);
    assert_snapshot!(table.ratio(Codec::Snappy, 0.6).picture(&default()), @r"
    before: 2020:2x450 MiB 2021:1x450 MiB
    task 0 ts_year=2020: another codec | Merge: inputs in snappy | 2 files, 900 MiB -> 2 x 270 MiB
    left b: the only candidate in its partition
    after: 2020:2x270 MiB 2021:1x450 MiB
    540 MiB written
    ");
}

#[test]
fn should_spend_a_limit_on_what_was_asked_for_first() {
    let table = Table::new().files("a", 6, 2020, 10 * MIB, Codec::Zstd).files("b", 6, 2021, 30 * MIB, Codec::Zstd);
    let policy = CompactPolicy { max_files_to_rewrite: Some(8), rewrite_job_order: JobOrder::BytesDesc, ..default() };
    assert_snapshot!(table.picture(&policy), @r"
    before: 2020:6x10 MiB 2021:6x30 MiB
    task 0 ts_year=2021: 6 small files | Copy: codec, schema and row groups fit | 6 files, 180 MiB -> 1 x 180 MiB
    left a00..a05 (6): beyond max-files-to-rewrite
    after: 2020:6x10 MiB 2021:1x180 MiB
    180 MiB written
    ");
}

#[test]
fn should_select_by_filter() {
    let filter = crate::model::Filter::Compare {
        column: "ts".into(),
        compare: crate::model::Compare::GtEq,
        value: crate::model::Value::Text("2021-06-01".into()),
    };
    let table = Table::new().files("a", 6, 2020, MIB, Codec::Zstd).files("b", 6, 2021, MIB, Codec::Zstd);
    assert_snapshot!(table.picture(&CompactPolicy { filter: Some(filter), ..default() }), @r"
    before: 2020:6x1 MiB 2021:6x1 MiB
    task 0 ts_year=2021: 6 small files | Merge: row groups of 1 MiB are too small | 6 files, 6 MiB -> 1 x 6 MiB
    left a00..a05 (6): ruled out by --where
    after: 2020:6x1 MiB 2021:1x6 MiB
    6 MiB written
    ");
}

#[test]
fn should_split_groups_that_are_too_large_for_one_task() {
    let policy = CompactPolicy { max_file_group_size_bytes: 1024 * MIB, ..default() };
    assert_snapshot!(Table::new().files("a", 30, 2020, 100 * MIB, Codec::Zstd).picture(&policy), @r"
    before: 2020:30x100 MiB
    task 0 ts_year=2020: 10 small files | Copy: codec, schema and row groups fit | 10 files, 1000 MiB -> 2 x 500 MiB
    task 1 ts_year=2020: 10 small files | Copy: codec, schema and row groups fit | 10 files, 1000 MiB -> 2 x 500 MiB
    task 2 ts_year=2020: 10 small files | Copy: codec, schema and row groups fit | 10 files, 1000 MiB -> 2 x 500 MiB
    after: 2020:6x500 MiB
    2.9 GiB written
    ");
}

#[test]
fn should_encode_where_a_copy_would_not_do() {
    let mut small = Table::new().files("a", 6, 2020, 30 * MIB, Codec::Zstd);
    for footer in small.state.footers.values_mut() {
        let group = footer.row_groups[0];
        footer.row_groups = vec![crate::model::RowGroup { compressed: group.compressed / 30, ..group }; 30];
    }
    assert_snapshot!(small.picture(&default()), @r"
    before: 2020:6x30 MiB
    task 0 ts_year=2020: 6 small files | Merge: row groups of 1 MiB are too small | 6 files, 180 MiB -> 1 x 180 MiB
    after: 2020:1x180 MiB
    180 MiB written
    ");
    let mut odd = Table::new().files("a", 6, 2020, 30 * MIB, Codec::Zstd);
    odd.state.footers.get_mut("a03").unwrap().compatible = false;
    assert_snapshot!(odd.picture(&default()), @r"
    before: 2020:6x30 MiB
    task 0 ts_year=2020: 6 small files | Merge: encodings outside the profile | 6 files, 180 MiB -> 1 x 180 MiB
    after: 2020:1x180 MiB
    180 MiB written
    ");
    let mut older = Table::new().files("a", 6, 2020, 30 * MIB, Codec::Zstd);
    older.state.footers.get_mut("a03").unwrap().schema_is_current = false;
    assert_snapshot!(older.picture(&default()), @r"
    before: 2020:6x30 MiB
    task 0 ts_year=2020: 6 small files | Merge: inputs not in the current schema | 6 files, 180 MiB -> 1 x 180 MiB
    after: 2020:1x180 MiB
    180 MiB written
    ");
}

#[test]
fn should_rewrite_all_when_asked() {
    let table = Table::new().file("a", 2020, 400 * MIB, Codec::Zstd);
    assert_snapshot!(table.picture(&CompactPolicy { rewrite_all: true, ..default() }), @r"
    before: 2020:1x400 MiB
    task 0 ts_year=2020: rewrite-all | Copy: codec, schema and row groups fit | 1 files, 400 MiB -> 1 x 400 MiB
    after: 2020:1x400 MiB
    400 MiB written
    ");
}

#[test]
fn should_refuse_what_would_not_be_kept_whole() {
    let table = Table::with(metadata(2, &[("encryption.key-id", "k")])).files("a", 6, 2020, MIB, Codec::Zstd);
    assert_eq!(plan(&table.state, &default(), 0).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn should_write_row_ids_out_instead_of_copying() {
    let table = Table::with(metadata(3, &[])).files("a", 6, 2020, 64 * MIB, Codec::Zstd);
    assert_snapshot!(table.picture(&default()), @r"
    before: 2020:6x64 MiB
    task 0 ts_year=2020: 6 small files | Merge: row ids are written out | 6 files, 384 MiB -> 1 x 384 MiB
    after: 2020:1x384 MiB
    384 MiB written
    ");
}

#[test]
fn should_leave_other_formats_and_encrypted_files_alone() {
    let mut table = Table::new().files("a", 6, 2020, MIB, Codec::Zstd).files("b", 6, 2021, MIB, Codec::Zstd);
    for file in &mut table.state.files[..2] {
        file.format = crate::model::FileFormat::Orc;
    }
    table.state.files[2].encrypted = true;
    let plan = plan(&table.state, &default(), 0).unwrap();
    let why = |n: usize| plan.skipped.iter().find(|s| *s.path == *format!("a{n:02}")).map(|s| s.why.to_string());
    assert_eq!(why(0).as_deref(), Some("not a Parquet file"));
    assert_eq!(why(2).as_deref(), Some("encrypted"));
    assert_eq!((plan.tasks.len(), plan.totals.input_files), (1, 6), "the others of the table go on");
}
