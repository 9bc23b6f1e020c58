//! Equality deletes on the way through a rewrite.

use arrow_array::builder::FixedSizeBinaryBuilder;

use super::*;
use crate::model::DeleteContent;

impl Bench {
    /// Writes an equality delete file and applies it to every input that is older.
    pub(super) fn equality(&mut self, ids: &[i32], columns: Vec<(Field, ArrayRef)>, sequence_number: i64) {
        let number = self.delete_file(columns, DeleteContent::Equality, sequence_number, ids);
        for input in self.inputs.iter_mut().filter(|input| input.sequence_number < sequence_number) {
            input.deletes.push(number);
        }
    }
}

pub(super) fn long(name: &str, id: i32, values: &[Option<i64>]) -> (Field, ArrayRef) {
    (with_id(Field::new(name, DataType::Int64, true), id), Arc::new(Int64Array::from(values.to_vec())))
}

fn int(name: &str, id: i32, values: &[Option<i32>]) -> (Field, ArrayRef) {
    (with_id(Field::new(name, DataType::Int32, true), id), Arc::new(Int32Array::from(values.to_vec())))
}

fn longs(outcome: &Outcome, column: &str) -> Vec<Option<i64>> {
    let values = outcome.outputs.iter().map(|file| read(&file.path));
    let column =
        |batch: RecordBatch| batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect();
    values.flat_map(|batch| -> Vec<Option<i64>> { column(batch) }).collect()
}

#[tokio::test]
async fn should_compare_in_the_newest_type_and_take_null_for_null() {
    // The column was an int when the first file and the first delete were written.
    let mut bench = Bench::new(json!([{"id": 1, "name": "n", "required": false, "type": "long"}]));
    bench.write(vec![int("old_name", 1, &[Some(1), None, Some(3), Some(5)])], plain());
    bench.write(vec![long("n", 1, &[Some(1), None, Some(4), Some(5)])], plain());
    bench.equality(&[1], vec![int("old_name", 1, &[Some(1), None])], 2);
    bench.equality(&[1], vec![long("n", 1, &[Some(4)])], 3);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    assert_eq!(longs(&done, "n"), [Some(3), Some(5), Some(5)]);
    assert_eq!((done.rows_deleted, done.applied.len()), (5, 2));
    assert!(done.applied.iter().all(|delete| delete.used && delete.others.is_none()));
}

#[tokio::test]
async fn should_delete_only_what_is_older() {
    let mut bench = Bench::new(json!([{"id": 1, "name": "n", "required": false, "type": "long"}]));
    for sequence in 1..=4 {
        bench.write(vec![long("n", 1, &[Some(7), Some(sequence)])], plain());
        bench.inputs.last_mut().unwrap().sequence_number = sequence;
    }
    bench.equality(&[1], vec![long("n", 1, &[Some(7)])], 3);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    assert_eq!(longs(&done, "n"), [Some(1), Some(2), Some(7), Some(3), Some(7), Some(4)]);
}

/// Rows of several partitions that move to another spec: a delete of one is none of the others' business, whatever its age.
#[tokio::test]
async fn should_apply_deletes_of_a_partition_to_its_own_files_alone() {
    let mut bench = Bench::new(json!([{"id": 1, "name": "n", "required": false, "type": "long"}]));
    for n in 0..6 {
        bench.write(vec![long("n", 1, &[Some(7), Some(8), Some(9), Some(n)])], plain());
        bench.inputs[n as usize].sequence_number = 1 + n;
    }
    let mut delete = |value: i64, sequence, of: &[usize]| {
        let columns = vec![long("n", 1, &[Some(value)])];
        let number = bench.delete_file(columns, DeleteContent::Equality, sequence, &[1]);
        of.iter().for_each(|input| bench.inputs[*input].deletes.push(number));
    };
    // Two partitions, of the even and the odd ones; the last delete is one of everything.
    delete(7, 9, &[0, 2, 4]);
    delete(8, 4, &[0, 2]);
    delete(8, 9, &[1, 3, 5]);
    delete(7, 3, &[1]);
    delete(9, 5, &[0, 1, 2, 3]);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    let found: Vec<i64> = longs(&done, "n").into_iter().flatten().collect();
    assert_eq!((found, done.applied.len()), (vec![0, 1, 2, 7, 3, 8, 9, 4, 7, 9, 5], 5));
}

#[tokio::test]
async fn should_compare_columns_that_are_gone_or_were_not_there_yet() {
    // Column 2 was dropped; column 3 came after the first file.
    let mut bench = Bench::new(json!([
        {"id": 1, "name": "n", "required": false, "type": "long"},
        {"id": 3, "name": "late", "required": false, "type": "long"}]));
    bench.table.older_schemas = vec![schema(json!([
        {"id": 1, "name": "n", "required": false, "type": "long"},
        {"id": 2, "name": "gone", "required": false, "type": "long"}]))];
    bench.write(vec![long("n", 1, &[Some(1), Some(2), Some(3)]), long("gone", 2, &[Some(8), Some(9), None])], plain());
    bench.write(vec![long("n", 1, &[Some(4), Some(5)]), long("late", 3, &[Some(6), None])], plain());
    bench.equality(&[2], vec![long("gone", 2, &[Some(9)])], 2);
    bench.equality(&[3, 1], vec![long("n", 1, &[Some(3), Some(4)]), long("late", 3, &[None, None])], 2);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    // 3 has no "late", which is null; 4 has one; of the file without "gone" nothing is 9.
    assert_eq!(longs(&done, "n"), [Some(1), Some(4), Some(5)]);
    bench.equality(&[77], vec![long("x", 77, &[None])], 2);
    let error = bench.rewrite(Route::Encode).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
}

#[tokio::test]
async fn should_look_into_structs() {
    let mut bench = Bench::new(json!([
        {"id": 1, "name": "n", "required": false, "type": "long"},
        {"id": 2, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 3, "name": "a", "required": false, "type": "long"},
            {"id": 4, "name": "b", "required": false, "type": "long"}]}}]));
    let column = |parents: Vec<bool>, a: &[Option<i64>]| {
        let (field, a) = long("a", 3, a);
        let (other, b) = long("b", 4, &vec![Some(1); a.len()]);
        let array = StructArray::new(vec![field, other].into(), vec![a, b], Some(parents.into()));
        (with_id(Field::new("s", array.data_type().clone(), true), 2), Arc::new(array) as ArrayRef)
    };
    let numbers = long("n", 1, &[Some(1), Some(2), Some(3), Some(4)]);
    bench.write(vec![numbers, column(vec![true, true, false, true], &[Some(1), None, Some(2), Some(2)])], plain());
    // "a" is null where it says so, and where its parent is null.
    bench.equality(&[3], vec![column(vec![true, false], &[Some(2), Some(9)])], 2);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    assert_eq!(longs(&done, "n"), [Some(1)]);
}

/// Keys of 40 bytes.
fn wide(numbers: impl Iterator<Item = u64>) -> (Field, ArrayRef) {
    let mut values = FixedSizeBinaryBuilder::new(40);
    for number in numbers {
        let mut value = [7; 40];
        value[..8].copy_from_slice(&number.to_be_bytes());
        values.append_value(value).unwrap();
    }
    let array: ArrayRef = Arc::new(values.finish());
    (with_id(Field::new("w", array.data_type().clone(), true), 1), array)
}

#[tokio::test]
async fn should_stay_within_little_memory_and_find_the_same() {
    // A million and a half of such keys take 70 MB in a table: with 144 MiB of budget in all, most of them go to disk.
    let mut bench = Bench::new(json!([{"id": 1, "name": "w", "required": false, "type": "fixed[40]"}]));
    bench.write(vec![wide((0..100_000).map(|n| n * 17))], plain());
    bench.equality(&[1], vec![wide((0..1_500_000).map(|n| n * 3))], 2);
    bench.policy.verify = Verify::Stats;
    bench.memory = 144 * MIB;
    bench.spill = Spill::new(std::env::temp_dir(), MIB);
    let error = bench.rewrite(Route::Encode).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted, "{error}");
    assert!(error.hint_text().unwrap().contains("--spill-limit"), "{error}");
    assert_eq!((bench.spill.used(), bench.left_behind()), (0, 0));
    bench.spill = Spill::new(std::env::temp_dir(), Spill::LIMIT);
    let done = bench.rewrite(Route::Encode).await.unwrap();
    let living = (0..100_000u64).map(|n| n * 17).filter(|n| n % 3 != 0 || *n >= 4_500_000);
    let (_, expected) = wide(living);
    let found: Vec<ArrayRef> = done.outputs.iter().map(|file| read(&file.path).column(0).clone()).collect();
    assert_eq!((found.len(), &found[0]), (1, &expected));
    assert_eq!(done.rows_deleted, 100_000 - expected.len() as u64);
}
