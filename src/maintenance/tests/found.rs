//! What random tables found: each case by itself, so that it stays found.

use iceberg::spec::FormatVersion;

use super::lake::{DAY, ID, Lake, NUM};
use super::model::{Short, Write};
use super::strategies::{How, Op, Sizes};

const ROW: Short = (1, 1, 2, 1, 3);

fn append(part: i64) -> Op {
    Op::Write(Write::Append { part, rows: vec![ROW, (5, 1, 2, 0, 2)] })
}

fn delete() -> Write {
    Write::Equality { part: Some(0), columns: vec![ID], keys: vec![ROW], rows: Vec::new() }
}

fn compact(output_spec_id: Option<i32>, between: Vec<Write>) -> Op {
    rewrite(How::BinPack, output_spec_id, between)
}

fn rewrite(how: How, output_spec_id: Option<i32>, between: Vec<Write>) -> Op {
    Op::Compact { how, min_input_files: 1, ratio: 0.1, rewrite_all: false, sizes: Sizes::One, output_spec_id, between }
}

async fn runs(version: FormatVersion, ops: &[Op]) {
    Lake::run(version, ops).await.unwrap();
}

#[tokio::test]
async fn should_promote_a_column_of_an_empty_table() {
    runs(FormatVersion::V2, &[Op::Write(Write::Evolve(0))]).await;
}

/// `num` was an int when the partition `num = 2` was written, and is a long where it is deleted from: one partition all the
/// same, in a plan, and when it is checked before a commit.
#[tokio::test]
async fn should_find_deletes_of_a_partition_whose_source_was_promoted() {
    let start = || vec![Op::Write(Write::Respec(3)), append(0), append(0), Op::Write(Write::Evolve(0))];
    let mut before = start();
    before.extend([Op::Write(delete()), compact(None, Vec::new())]);
    runs(FormatVersion::V2, &before).await;
    let mut between = start();
    let picks = Write::Positions { part: 0, picks: vec![0, 3], scoped: false };
    between.extend([compact(None, vec![picks]), compact(None, Vec::new())]);
    runs(FormatVersion::V2, &between).await;
    let mut moved = start();
    moved.extend([Op::Archive { cold: true, merge: false, between: vec![delete()] }, Op::Manifests]);
    runs(FormatVersion::V3, &moved).await;
}

/// Rows of two partitions move together; a delete is one of the first alone.
#[tokio::test]
async fn should_move_rows_of_several_partitions_with_deletes_of_one() {
    runs(FormatVersion::V2, &[append(0), append(1), Op::Write(delete()), compact(Some(0), Vec::new())]).await;
}

/// The bounds of a date stay dates when the column becomes a timestamp, also in manifests that are written later.
#[tokio::test]
async fn should_read_bounds_of_dates_that_are_timestamps_now() {
    let sort = rewrite(How::Sort, None, vec![]);
    let promote = Op::Write(Write::Evolve(7));
    let move_ = Op::Archive { cold: true, merge: false, between: vec![] };
    runs(FormatVersion::V3, &[append(0), sort, promote, move_, append(0), Op::Manifests, compact(None, vec![])]).await;
}

/// A file of positions names its data file by its bounds alone: it is in nobody else's way.
#[tokio::test]
async fn should_leave_alone_what_positions_of_another_file_are_not_for() {
    let upsert = Write::Equality { part: Some(1), columns: vec![DAY], keys: vec![(0, 0, 0, 0, 1)], rows: vec![ROW] };
    let pick = Write::Positions { part: 1, picks: vec![0], scoped: false };
    let deletes = rewrite(How::Deletes, None, vec![]);
    let one = Op::Write(Write::Append { part: 1, rows: vec![(0, 0, 0, 0, 0)] });
    let move_ = Op::Archive { cold: true, merge: false, between: vec![] };
    runs(FormatVersion::V2, &[one, Op::Write(upsert), Op::Write(pick), deletes, move_]).await;
}

/// Deletes by a column that is dropped since; then no snapshot has a schema with the column any more.
#[tokio::test]
async fn should_apply_deletes_by_a_column_that_no_snapshot_knows() {
    let keys = vec![(9, 0, 2, 0, 0)];
    let delete = Write::Equality { part: Some(0), columns: vec![NUM], keys, rows: Vec::new() };
    let drop = Op::Write(Write::Evolve(1));
    let ops = [append(0), Op::Write(delete), drop, append(1), Op::Expire, compact(None, vec![])];
    runs(FormatVersion::V2, &ops).await;
}
