//! Rows that move to partitions of another spec: each to its own, none lost, whatever the transform.

use std::collections::BTreeMap;

use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Date32Array, Float64Array};
use iceberg::spec::{Literal, PartitionSpec, PrimitiveLiteral, Struct, StructType};

use super::*;
use crate::model::{Arrangement, Curve, SortField};

const DAY: i64 = 86_400_000_000;

/// Four files of shuffled rows, with nulls and times before 1970.
fn bench(fields: Value) -> (Bench, StructType) {
    let mut bench = Bench::new(json!([
        {"id": 1, "name": "ts", "required": false, "type": "timestamptz"},
        {"id": 2, "name": "text", "required": false, "type": "string"},
        {"id": 3, "name": "id", "required": true, "type": "long"},
        {"id": 4, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 5, "name": "day", "required": false, "type": "date"}]}},
        {"id": 6, "name": "d", "required": false, "type": "double"}]));
    for file in 0..4i64 {
        let ids: Vec<i64> = (0..2000).map(|row| (file * 2000 + row) * 7919 % 8000).collect();
        let times = ids.iter().map(|id| (id % 50 != 0).then(|| (id % 9 - 4) * DAY - id / 9 % 3 * 500_000));
        let texts = ids.iter().map(|id| (id % 11 != 0).then(|| format!("text{}", id % 5)));
        let days: ArrayRef =
            Arc::new(ids.iter().map(|id| (id % 13 != 0).then_some((id % 4) as i32)).collect::<Date32Array>());
        let inner = with_id(Field::new("day", DataType::Date32, true), 5);
        let outer = StructArray::from(vec![(Arc::new(inner.clone()), days)]);
        let floats = ids.iter().map(|id| Some(if id % 2 == 0 { f64::NAN } else { 0.5 }));
        let zone = DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into()));
        bench.write(
            vec![
                (
                    with_id(Field::new("ts", zone, true), 1),
                    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
                ),
                (with_id(Field::new("text", DataType::Utf8, true), 2), Arc::new(texts.collect::<StringArray>())),
                (with_id(Field::new("id", DataType::Int64, false), 3), Arc::new(Int64Array::from(ids.clone()))),
                (with_id(Field::new("s", DataType::Struct(vec![inner].into()), true), 4), Arc::new(outer)),
                (with_id(Field::new("d", DataType::Float64, true), 6), Arc::new(floats.collect::<Float64Array>())),
            ],
            WriterProperties::builder().set_max_row_group_row_count(Some(700)).build(),
        );
    }
    let spec: PartitionSpec = serde_json::from_value(json!({"spec-id": 0, "fields": fields})).unwrap();
    let kind = spec.partition_type(&bench.table.schema).unwrap();
    bench.table.specs.insert(0, Arc::new(spec));
    bench.respec = Some(Respec { from: vec![1], partitions: 9 });
    (bench, kind)
}

fn field(source: i32, transform: &str) -> Value {
    json!({"source-id": source, "field-id": 1000 + source, "name": format!("f{source}"), "transform": transform})
}

/// Rows by partition, as they were written.
fn found(done: &Outcome, kind: &StructType) -> BTreeMap<String, Vec<(Struct, RecordBatch)>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for file in &done.outputs {
        let values = file.partition.as_ref().unwrap().to_struct(kind).unwrap();
        let folder = std::path::Path::new(&file.path).parent().unwrap().display().to_string();
        let folder = folder.rsplit_once("/out").unwrap().1.trim_start_matches('/').to_owned();
        found.entry(folder).or_default().push((values, read(&file.path)));
    }
    found
}

fn int(literal: Option<&Literal>) -> Option<i32> {
    match literal {
        Some(Literal::Primitive(PrimitiveLiteral::Int(value))) => Some(*value),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn should_put_every_row_into_its_partition() {
    let (mut bench, kind) = bench(json!([field(1, "day"), field(2, "void"), field(3, "bucket[3]")]));
    let path = bench.inputs[0].path.clone();
    bench.positions(&(0..100).map(|n| (path.as_str(), n)).collect::<Vec<_>>(), &[0]);
    let done = bench.rewrite(Route::Sort).await.unwrap();
    assert_eq!((done.rows_in, done.rows_out, done.rows_deleted, &done.from_specs), (8000, 7900, 100, &vec![1]));
    let found = found(&done, &kind);
    let mut rows = 0;
    for (folder, files) in &found {
        assert_eq!(files.len(), 1, "{folder}");
        let (values, batch) = &files[0];
        let day = int(values.iter().next().unwrap());
        for time in batch.column(0).as_primitive::<TimestampMicrosecondType>() {
            assert_eq!(time.map(|time| time.div_euclid(DAY) as i32), day, "{folder}");
        }
        assert_eq!(int(values.iter().nth(1).unwrap()), None);
        assert!((0..3).contains(&int(values.iter().nth(2).unwrap()).unwrap()));
        rows += batch.num_rows();
    }
    // Ten days (those before 1970 begin half a second earlier), and null, by three buckets.
    assert_eq!((rows, found.len()), (7900, 33), "{:?}", found.keys());
    assert!(found.contains_key("f1=1969-12-28/f2=null/f3=0"), "{:?}", found.keys());
}

#[tokio::test]
async fn should_sort_within_partitions_and_cut_large_ones() {
    let (mut bench, kind) = bench(json!([field(5, "identity"), field(2, "truncate[4]")]));
    let by_id = SortField { column: "id".into(), transform: "identity".into(), descending: true, nulls_first: false };
    bench.policy.arrangement = Arrangement::Sort { fields: vec![by_id], order_id: Some(3) };
    bench.policy.target_file_size_bytes = 6000;
    bench.policy.min_file_size_bytes = 4000;
    bench.policy.max_file_size_bytes = 9000;
    let done = bench.rewrite(Route::Sort).await.unwrap();
    assert!(done.outputs.iter().all(|file| file.sort_order_id == Some(3)));
    let found = found(&done, &kind);
    assert_eq!(found.len(), 10, "{:?}", found.keys());
    for (folder, files) in &found {
        let day = int(files[0].0.iter().next().unwrap());
        let ids: Vec<i64> =
            files.iter().flat_map(|f| f.1.column(2).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert!(ids.is_sorted_by(|a, b| a > b), "{folder}");
        let days = files
            .iter()
            .flat_map(|f| f.1.column(3).as_struct().column(0).as_primitive::<Date32Type>().iter().collect::<Vec<_>>());
        assert!(days.into_iter().all(|found| found == day), "{folder}");
    }
    assert!(done.outputs.len() > found.len(), "large partitions are cut");
    // Along a curve as well.
    std::fs::remove_dir_all(bench.out()).unwrap();
    bench.policy.arrangement = Arrangement::Curve { curve: Curve::Hilbert, columns: vec!["id".into(), "ts".into()] };
    let again = bench.rewrite(Route::Sort).await.unwrap();
    assert_eq!((again.rows_out, again.outputs[0].sort_order_id), (8000, None));
    assert_eq!(super::respec::found(&again, &kind).len(), 10);
    // And rows that have no order of their own.
    std::fs::remove_dir_all(bench.out()).unwrap();
    bench.policy.arrangement = Arrangement::BinPack;
    let moved = bench.rewrite(Route::Sort).await.unwrap();
    assert!(moved.outputs.len() > super::respec::found(&moved, &kind).len(), "large partitions are cut");
}

#[tokio::test]
async fn should_know_one_partition_and_partitions_of_odd_values() {
    // Unpartitioned: all rows come together, as they are.
    let (unpartitioned, kind) = bench(json!([]));
    let done = unpartitioned.rewrite(Route::Sort).await.unwrap();
    let all = found(&done, &kind);
    assert_eq!((done.rows_out, all.len(), all[""][0].0.clone()), (8000, 1, Struct::empty()));
    let (floats, kind) = bench(json!([field(6, "identity")]));
    let done = floats.rewrite(Route::Sort).await.unwrap();
    assert_eq!(found(&done, &kind).into_values().map(|files| files[0].1.num_rows()).collect::<Vec<_>>(), [4000, 4000]);
    let (mut gone, _) = bench(json!([]));
    let spec = json!({"spec-id": 0, "fields": [field(99, "identity")]});
    gone.table.specs.insert(0, Arc::new(serde_json::from_value(spec).unwrap()));
    let error = gone.rewrite(Route::Sort).await.unwrap_err();
    assert_eq!((error.kind(), gone.left_behind()), (Kind::Unsupported, 0));
}
