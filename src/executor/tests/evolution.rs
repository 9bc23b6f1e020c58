//! Files of older schemas, and what rows inherit, on the way through a rewrite.

use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Date32Array, StringArray, StructArray, TimestampMillisecondArray};

use super::*;
use crate::model::{LAST_UPDATED, ROW_ID, with_row_lineage};

fn long(name: &str, id: i32, values: Vec<Option<i64>>) -> (Field, ArrayRef) {
    (with_id(Field::new(name, DataType::Int64, true), id), Arc::new(Int64Array::from(values)))
}

fn longs(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().iter().collect()
}

const BOTH: [Route; 2] = [Route::Merge, Route::Encode];

#[tokio::test]
async fn should_write_out_the_lineage_that_rows_inherit() {
    for route in BOTH {
        let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": false, "type": "long"}]));
        bench.table.schema = Arc::new(with_row_lineage(&bench.table.schema).unwrap());
        bench.write(vec![long("id", 1, (0..5).map(Some).collect())], plain());
        bench.write(
            vec![
                long("id", 1, (5..8).map(Some).collect()),
                long("_row_id", ROW_ID, vec![Some(3), None, Some(900)]),
                long("_last_updated_sequence_number", LAST_UPDATED, vec![Some(1), Some(2), None]),
            ],
            plain(),
        );
        // From before an upgrade: its rows get their ids from the new file.
        bench.write(vec![long("id", 1, vec![Some(8)])], plain());
        bench.inputs[0].first_row_id = Some(100);
        bench.inputs[0].sequence_number = 7;
        bench.inputs[1].first_row_id = Some(200);
        bench.inputs[1].sequence_number = 9;
        bench.inputs[2].sequence_number = 2;
        let done = bench.rewrite(route).await.unwrap();
        let batch = read(&done.outputs[0].path);
        assert_eq!(longs(&batch, "id"), (0..9).map(Some).collect::<Vec<_>>());
        let ids = [100, 101, 102, 103, 104, 3, 201, 900].map(Some);
        assert_eq!(longs(&batch, "_row_id"), ids.into_iter().chain([None]).collect::<Vec<_>>());
        assert_eq!(longs(&batch, "_last_updated_sequence_number"), [7, 7, 7, 7, 7, 1, 2, 9, 2].map(Some));
        assert!(done.outputs[0].columns.keys().all(|id| *id == 1), "metrics are those of the table's columns");
    }
}

#[tokio::test]
async fn should_keep_the_ids_of_the_rows_that_live_on() {
    let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": false, "type": "long"}]));
    bench.table.schema = Arc::new(with_row_lineage(&bench.table.schema).unwrap());
    let props = WriterProperties::builder().set_max_row_group_row_count(Some(3)).build();
    bench.write(vec![long("id", 1, (0..10).map(Some).collect())], props);
    bench.inputs[0].first_row_id = Some(50);
    // Positions 1 and 8, and the second row group as a whole.
    bench.vector(&[1, 3, 4, 5, 8], 0);
    let done = bench.rewrite(Route::Merge).await.unwrap();
    assert_eq!((done.rows_deleted, done.applied[0].used), (5, true));
    let batch = read(&done.outputs[0].path);
    assert_eq!(longs(&batch, "id"), [0, 2, 6, 7, 9].map(Some));
    assert_eq!(longs(&batch, "_row_id"), [50, 52, 56, 57, 59].map(Some));
}

#[tokio::test]
async fn should_fill_in_the_defaults_of_columns_that_files_are_older_than() {
    for route in BOTH {
        let mut bench = Bench::new(json!([
            {"id": 1, "name": "id", "required": false, "type": "long"},
            {"id": 2, "name": "kind", "required": true, "type": "string", "initial-default": "old"},
            {"id": 3, "name": "s", "required": false, "type": {"type": "struct", "fields": [
                {"id": 4, "name": "a", "required": false, "type": "long"},
                {"id": 5, "name": "b", "required": false, "type": "int", "initial-default": 42}]}}]));
        let inner = Arc::new(with_id(Field::new("a", DataType::Int64, true), 4));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(inner, values)]));
        let outer = with_id(Field::new("s", nested.data_type().clone(), true), 3);
        bench.write(vec![long("id", 1, vec![Some(1), Some(2)]), (outer, nested)], plain());
        let kind = with_id(Field::new("kind", DataType::Utf8, false), 2);
        bench.write(vec![long("id", 1, vec![Some(3)]), (kind, Arc::new(StringArray::from(vec!["new"])))], plain());
        let done = bench.rewrite(route).await.unwrap();
        let batch = read(&done.outputs[0].path);
        let kinds: Vec<_> = batch.column(1).as_string::<i32>().iter().flatten().collect();
        assert_eq!(kinds, ["old", "old", "new"]);
        let nested = batch.column(2).as_struct();
        assert_eq!(nested.column(1).as_primitive::<Int32Type>().value(0), 42);
        assert!(nested.is_null(2), "a struct without a default is null");
    }
}

#[tokio::test]
async fn should_find_renamed_reordered_and_promoted_columns_and_drop_the_others() {
    for route in BOTH {
        let mut bench = Bench::new(json!([
            {"id": 3, "name": "day", "required": false, "type": "timestamp"},
            {"id": 1, "name": "renamed", "required": false, "type": "long"},
            {"id": 9, "name": "dropped", "required": false, "type": "string"}]));
        let int = with_id(Field::new("old", DataType::Int32, true), 1);
        let text = with_id(Field::new("dropped", DataType::Utf8, true), 2);
        let day = with_id(Field::new("day", DataType::Date32, true), 3);
        bench.write(
            vec![
                (int, Arc::new(arrow_array::Int32Array::from(vec![7, 8]))),
                (text, Arc::new(StringArray::from(vec!["x", "y"]))),
                (day, Arc::new(Date32Array::from(vec![Some(1), None]))),
            ],
            plain(),
        );
        let done = bench.rewrite(route).await.unwrap();
        let batch = read(&done.outputs[0].path);
        assert_eq!(longs(&batch, "renamed"), [7, 8].map(Some));
        let days = batch.column_by_name("day").unwrap().as_primitive::<TimestampMicrosecondType>();
        assert_eq!((days.value(0), days.null_count()), (86_400_000_000, 1));
        let again = batch.column_by_name("dropped").unwrap();
        assert_eq!(again.null_count(), 2, "a column of a dropped one's name is another one");
    }
}

#[tokio::test]
async fn should_follow_the_mapping_of_names_into_nested_fields() {
    for route in BOTH {
        // `a` became `b`, and there is a new `a`.
        let mut bench =
            Bench::new(json!([{"id": 1, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 3, "name": "a", "required": false, "type": "long"},
            {"id": 2, "name": "b", "required": false, "type": "long"}]}}]));
        let mapping = json!([{"field-id": 1, "names": ["s"], "fields": [{"field-id": 2, "names": ["a"]},
            {"field-id": 3, "names": ["a2"]}]}]);
        bench.table.properties.insert("schema.name-mapping.default".into(), mapping.to_string());
        let field = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
        let column = |n: i64| Arc::new(Int64Array::from(vec![n])) as ArrayRef;
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(field("a"), column(1)), (field("b"), column(2))]));
        bench.write(vec![(Field::new("s", nested.data_type().clone(), true), nested)], plain());
        let done = bench.rewrite(route).await.unwrap();
        let batch = read(&done.outputs[0].path);
        let nested = batch.column(0).as_struct();
        assert_eq!(nested.column(0).null_count(), 1, "nothing is called a2");
        assert_eq!(nested.column(1).as_primitive::<Int64Type>().value(0), 1);
    }
}

/// Numbers, dates and times get the bytes of their new types in their pages: dictionaries stay, and nothing is decoded.
#[tokio::test]
async fn should_make_promoted_numbers_wider_in_their_pages() {
    let now = [
        ("long", "i"),
        ("double", "f"),
        ("decimal(12, 2)", "a"),
        ("decimal(20, 2)", "b"),
        ("decimal(38, 2)", "c"),
        ("timestamp", "d"),
        ("timestamp_ns", "e"),
        ("timestamptz", "m"),
    ];
    let fields: Vec<Value> = (1..)
        .zip(now)
        .map(|(id, (kind, name))| json!({"id": id, "name": name, "required": false, "type": kind}))
        .collect();
    let mut contents = Vec::new();
    for route in BOTH {
        let mut bench = Bench::new(Value::from(fields.clone()));
        for (first, dictionary) in [(0i32, true), (5_000, false)] {
            let numbers: Vec<Option<i32>> = (0..2_000)
                .map(|n| (n % 7 != 0).then(|| (first + n % 300 - 100) * if n % 2 == 0 { -1 } else { 1 }))
                .collect();
            let decimals = |digits: u8| -> ArrayRef {
                let values: Decimal128Array = numbers.iter().map(|n| n.map(i128::from)).collect();
                Arc::new(values.with_precision_and_scale(digits, 2).unwrap())
            };
            let floats = |n: &Option<i32>| n.map(|n| if n == 3 { f32::NAN } else { n as f32 / 3.0 });
            let millis = |n: &Option<i32>| n.map(|n| 1_700_000_000_000 + i64::from(n));
            let columns: [(&str, ArrayRef); 8] = [
                ("i", Arc::new(Int32Array::from(numbers.clone()))),
                ("f", Arc::new(arrow_array::Float32Array::from_iter(numbers.iter().map(floats)))),
                ("a", decimals(9)),
                ("b", decimals(if dictionary { 9 } else { 18 })),
                ("c", decimals(20)),
                ("d", Arc::new(Date32Array::from(numbers.clone()))),
                ("e", Arc::new(Date32Array::from(numbers.clone()))),
                ("m", Arc::new(TimestampMillisecondArray::from_iter(numbers.iter().map(millis)).with_timezone("UTC"))),
            ];
            let props = WriterProperties::builder().set_dictionary_enabled(dictionary);
            let columns = (1..)
                .zip(columns)
                .map(|(id, (name, values))| (with_id(Field::new(name, values.data_type().clone(), true), id), values));
            bench.write(columns.collect(), props.build());
        }
        let path = bench.inputs[0].path.clone();
        bench.positions(&(0..50).map(|n| (path.as_str(), n * 3)).collect::<Vec<_>>(), &[0]);
        let done = bench.rewrite(route).await.unwrap();
        assert_eq!(
            (done.rows_out, done.chunks.encoded.chunks),
            (3_950, if route == Route::Merge { 0 } else { 8 }),
            "{done:?}"
        );
        let columns = &done.outputs[0].columns;
        contents.push((read(&done.outputs[0].path), (1..9).map(|id| columns[&id].clone()).collect::<Vec<_>>()));
    }
    let [(moved, stats), (encoded, wanted)] = &contents[..] else { panic!("two ways") };
    assert_eq!(format!("{:?}", moved.columns()), format!("{:?}", encoded.columns()), "NaN is not equal to itself");
    for (stats, wanted) in stats.iter().zip(wanted) {
        assert_eq!(
            (stats.nulls, stats.nans, &stats.lower, &stats.upper),
            (wanted.nulls, wanted.nans, &wanted.lower, &wanted.upper)
        );
    }
}

/// Some engines write every column as optional; and a column may become optional after files were written.
#[tokio::test]
async fn should_move_pages_of_columns_that_only_file_or_table_has_as_required() {
    let mut contents = Vec::new();
    for route in BOTH {
        let mut bench = Bench::new(json!([
            {"id": 1, "name": "id", "required": true, "type": "long"},
            {"id": 2, "name": "name", "required": false, "type": "string"},
            {"id": 3, "name": "n", "required": false, "type": "long"}]));
        for (first, dictionary) in [(0i64, true), (1_000, false)] {
            let names: StringArray = (first..first + 500).map(|n| Some(format!("name {}", n % 30))).collect();
            let numbers = arrow_array::Int32Array::from_iter_values(0..500);
            let columns: Vec<(Field, ArrayRef)> = vec![
                (
                    with_id(Field::new("id", DataType::Int64, dictionary), 1),
                    Arc::new(Int64Array::from_iter_values(first..first + 500)),
                ),
                (with_id(Field::new("name", DataType::Utf8, !dictionary), 2), Arc::new(names)),
                (with_id(Field::new("n", DataType::Int32, false), 3), Arc::new(numbers)),
            ];
            bench.write(columns, WriterProperties::builder().set_dictionary_enabled(dictionary).build());
        }
        let path = bench.inputs[0].path.clone();
        bench.positions(&(0..50).map(|n| (path.as_str(), n * 3)).collect::<Vec<_>>(), &[0]);
        let done = bench.rewrite(route).await.unwrap();
        assert_eq!(
            (done.rows_out, done.chunks.encoded.chunks),
            (950, if route == Route::Merge { 0 } else { 3 }),
            "{done:?}"
        );
        let columns = &done.outputs[0].columns;
        contents.push((read(&done.outputs[0].path), (1..4).map(|id| columns[&id].clone()).collect::<Vec<_>>()));
    }
    assert_eq!(contents[0].0.columns(), contents[1].0.columns());
    for (stats, wanted) in contents[0].1.iter().zip(&contents[1].1) {
        assert_eq!((stats.nulls, &stats.lower, &stats.upper), (wanted.nulls, &wanted.lower, &wanted.upper));
    }
}

#[tokio::test]
async fn should_refuse_nulls_where_the_table_has_none() {
    for route in BOTH {
        let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": true, "type": "long"}]));
        bench.write(vec![long("id", 1, vec![Some(1), None, Some(3)])], plain());
        bench.write(vec![long("id", 1, vec![Some(4)])], plain());
        let error = bench.rewrite(route).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Corrupt, "{error}");
    }
}
