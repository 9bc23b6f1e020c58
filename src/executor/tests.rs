//! Files in, files out: values, pages, statistics, bad input.

mod copied;
mod deletes;
mod equality;
mod evolution;
mod opened;
mod respec;
mod running;
mod shared;
mod sorted;

use std::path::Path;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use ::parquet::basic::{Compression, Encoding, PageType, Type as Physical};
use ::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use iceberg::spec::Schema;
use serde_json::{Value, json};

use super::*;
use crate::error::Kind;
use crate::lake::{Props, read_metadata};
use crate::model::{
    Codec, Estimate, InputFile, MIB, OutputSpec, PickReason, Respec, RouteReason, TaskDelete, TaskReason,
};
pub(super) use running::plain_task;

fn schema(fields: Value) -> SchemaRef {
    let schema: Schema = serde_json::from_value(json!({"type": "struct", "schema-id": 0, "fields": fields})).unwrap();
    Arc::new(schema)
}

fn with_id(field: Field, id: i32) -> Field {
    field.with_metadata([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())].into())
}

struct Bench {
    dir: tempfile::TempDir,
    table: TableContext,
    policy: CompactPolicy,
    inputs: Vec<InputFile>,
    deletes: Vec<TaskDelete>,
    memory: u64,
    spill: Spill,
    respec: Option<Respec>,
}

impl Bench {
    fn new(fields: Value) -> Self {
        let table = TableContext {
            specs: BTreeMap::new(),
            schema: schema(fields),
            older_schemas: Vec::new(),
            properties: HashMap::new(),
            table: TableName::new(["db"], "t"),
        };
        let policy = CompactPolicy { verify: Verify::Content, ..CompactPolicy::default() };
        Self {
            dir: tempfile::tempdir().unwrap(),
            table,
            policy,
            inputs: Vec::new(),
            deletes: Vec::new(),
            memory: 256 * MIB,
            spill: Spill::new(std::env::temp_dir(), Spill::LIMIT),
            respec: None,
        }
    }

    fn write(&mut self, columns: Vec<(Field, ArrayRef)>, props: WriterProperties) {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Arc::new(ArrowSchema::new(fields));
        let path = self.dir.path().join(format!("in-{:03}.parquet", self.inputs.len()));
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(props)).unwrap();
        let batch = RecordBatch::try_new(schema, arrays).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self.inputs.push(InputFile {
            path: path.display().to_string(),
            size: path.metadata().unwrap().len(),
            records: batch.num_rows() as u64,
            sequence_number: 1,
            first_row_id: None,
            deletes: Vec::new(),
            deleted: 0,
            picked: PickReason::TooSmall,
        });
    }

    fn out(&self) -> String {
        self.dir.path().join("out").display().to_string()
    }

    fn left_behind(&self) -> usize {
        std::fs::read_dir(self.out()).map_or(0, Iterator::count)
    }
}

fn store() -> Arc<Store> {
    Arc::new(Store::new(Props::new()))
}

async fn footer(file: &NewFile) -> ParquetMetaData {
    read_metadata(&store(), &file.path, file.size, PageIndexPolicy::Required).await.unwrap()
}

fn read(path: &str) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1 << 20).build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.unwrap()).collect();
    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn plain() -> WriterProperties {
    WriterProperties::builder().set_compression(Compression::SNAPPY).build()
}

/// Columns of most kinds, `n` rows from `first`.
fn many(first: i64, n: usize) -> Vec<(Field, ArrayRef)> {
    let at = |i: usize| first + i64::try_from(i).unwrap();
    let odd = |i: usize| i.is_multiple_of(3);
    let mut list = ListBuilder::new(Int32Builder::new());
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for i in 0..n {
        for k in 0..i % 4 {
            list.values().append_option((k != 2).then_some(1));
            map.keys().append_value(format!("k{k}"));
            map.values().append_value(7);
        }
        list.append(!odd(i));
        map.append(true).unwrap();
    }
    let (list, map) = (list.finish(), map.finish());
    let inner: ArrayRef = Arc::new(StringArray::from_iter((0..n).map(|i| odd(i).then_some("x"))));
    let fields = vec![Arc::new(with_id(Field::new("a", DataType::Utf8, true), 14))];
    let nested = StructArray::new(fields.clone().into(), vec![inner], None);
    let bytes = (0..n).map(|i| Some([u8::try_from(i % 200).unwrap(); 16]));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16).unwrap();
    let money =
        Decimal128Array::from_iter_values((0..n).map(|i| i128::from(at(i)) - 50)).with_precision_and_scale(9, 2);
    let wide =
        Decimal128Array::from_iter_values((0..n).map(|i| -(i128::from(at(i)) << 70))).with_precision_and_scale(38, 4);
    let when = TimestampMicrosecondArray::from_iter_values((0..n).map(|i| at(i) * 1_000_003)).with_timezone("UTC");
    let list_type = DataType::List(Arc::new(with_id(Field::new("item", DataType::Int32, true), 11)));
    let list = arrow_cast::cast(&list, &list_type).unwrap();
    let columns: Vec<(i32, &str, bool, ArrayRef)> = vec![
        (1, "id", false, Arc::new(Int64Array::from_iter_values((0..n).map(at)))),
        (2, "flag", true, Arc::new(BooleanArray::from_iter((0..n).map(|i| (!odd(i)).then_some(i % 2 == 0))))),
        (
            3,
            "d",
            true,
            Arc::new(Float64Array::from_iter((0..n).map(|i| match i % 5 {
                0 => Some(f64::NAN),
                1 => Some(-0.0),
                2 => None,
                _ => Some(at(i) as f64),
            }))),
        ),
        (
            4,
            "text",
            true,
            Arc::new(StringArray::from_iter((0..n).map(|i| (!odd(i)).then(|| format!("{}-{i}", "é".repeat(30)))))),
        ),
        (5, "blob", true, Arc::new(BinaryArray::from_iter((0..n).map(|i| (!odd(i)).then(|| vec![255u8; i % 20]))))),
        (6, "uid", true, Arc::new(fixed)),
        (7, "money", true, Arc::new(money.unwrap())),
        (8, "wide", true, Arc::new(wide.unwrap())),
        (9, "at", true, Arc::new(when)),
        (10, "list", true, list),
        (13, "nested", true, Arc::new(nested)),
    ];
    let _ = map;
    columns
        .into_iter()
        .map(|(id, name, nullable, array)| (with_id(Field::new(name, array.data_type().clone(), nullable), id), array))
        .collect()
}

fn many_schema() -> Value {
    let field = |id: i32, name: &str, required: bool, kind: Value| json!({"id": id, "name": name, "required": required, "type": kind});
    json!([
        field(1, "id", true, json!("long")),
        field(2, "flag", false, json!("boolean")),
        field(3, "d", false, json!("double")),
        field(4, "text", false, json!("string")),
        field(5, "blob", false, json!("binary")),
        field(6, "uid", false, json!("uuid")),
        field(7, "money", false, json!("decimal(9, 2)")),
        field(8, "wide", false, json!("decimal(38, 4)")),
        field(9, "at", false, json!("timestamptz")),
        field(
            10,
            "list",
            false,
            json!({"type": "list", "element-id": 11, "element": "int", "element-required": false})
        ),
        field(13, "nested", false, json!({"type": "struct", "fields": [field(14, "a", false, json!("string"))]})),
    ])
}

#[tokio::test]
async fn should_keep_every_value_whoever_wrote_it() {
    for route in [Route::Encode, Route::Merge] {
        keeps_every_value(route).await;
    }
}

async fn keeps_every_value(route: Route) {
    let writers = [
        WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).set_compression(Compression::SNAPPY),
        WriterProperties::builder().set_dictionary_enabled(false).set_compression(Compression::UNCOMPRESSED),
        WriterProperties::builder()
            .set_compression(Compression::GZIP(Default::default()))
            .set_data_page_row_count_limit(7),
        WriterProperties::builder().set_compression(Compression::LZ4_RAW).set_max_row_group_row_count(Some(33)),
        WriterProperties::builder().set_compression(Compression::BROTLI(Default::default())),
    ];
    let mut bench = Bench::new(many_schema());
    let mut first = 0;
    for props in writers {
        bench.write(many(first, 100), props.build());
        first += 100;
    }
    bench.write(many(first, 0), plain());
    let outcome = bench.rewrite(route).await.unwrap();
    assert_eq!((outcome.rows_in, outcome.rows_out, outcome.outputs.len()), (500, 500, 1));
    let out = read(&outcome.outputs[0].path);
    let whole: Vec<RecordBatch> = bench.inputs.iter().filter(|i| i.records > 0).map(|i| read(&i.path)).collect();
    for (index, field) in out.schema().fields().iter().enumerate() {
        let parts: Vec<ArrayRef> =
            whole.iter().map(|batch| arrow_cast::cast(batch.column(index), field.data_type()).unwrap()).collect();
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let expected = arrow_select::concat::concat(&parts).unwrap();
        // Arrays compare by their bytes: a NaN is equal to itself, and the zeros differ.
        assert!(*out.column(index) == expected, "column {} changed", field.name());
    }
}

#[tokio::test]
async fn should_write_what_every_reader_has() {
    for route in [Route::Encode, Route::Merge] {
        writes_what_every_reader_has(route).await;
    }
}

async fn writes_what_every_reader_has(route: Route) {
    let mut bench = Bench::new(many_schema());
    bench.write(many(0, 3_000), WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_2_0).build());
    let outcome = bench.rewrite(route).await.unwrap();
    let metadata = footer(&outcome.outputs[0]).await;
    assert_eq!(metadata.num_row_groups(), 1);
    for column in metadata.row_group(0).columns() {
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", column.column_path());
        for page in column.page_encoding_stats().unwrap() {
            let allowed: &[Encoding] = match (page.page_type, column.column_type()) {
                (PageType::DICTIONARY_PAGE, _) | (PageType::DATA_PAGE, Physical::BOOLEAN) => &[Encoding::PLAIN],
                (PageType::DATA_PAGE, _) => &[Encoding::PLAIN, Encoding::RLE_DICTIONARY],
                (other, _) => panic!("a page of type {other:?} in {}", column.column_path()),
            };
            assert!(allowed.contains(&page.encoding), "{:?} in {}", page.encoding, column.column_path());
        }
    }
    let descriptor = metadata.file_metadata().schema_descr();
    let ids: Vec<i32> = descriptor.columns().iter().map(|c| c.self_type().get_basic_info().id()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14]);
    assert_eq!(descriptor.column(6).physical_type(), Physical::INT32, "decimal(9, 2) by the spec");
    assert!(metadata.column_index().is_some() && metadata.offset_index().is_some(), "a page index is written");
    let out = &outcome.outputs[0];
    let files = [(out.path.clone(), out.size)];
    let footers = crate::lake::read_footers(&store(), &files, &bench.table.schema).await.unwrap();
    let footer = footers.into_values().next().unwrap();
    assert!(footer.compatible && footer.schema_is_current && footer.is_all(Codec::Zstd), "{footer:?}");
}

#[tokio::test]
async fn should_record_statistics_as_the_spec_wants_them() {
    for route in [Route::Encode, Route::Merge] {
        records_statistics(route).await;
    }
}

async fn records_statistics(route: Route) {
    let mut bench = Bench::new(many_schema());
    bench.write(many(0, 100), plain());
    bench.write(many(100, 50), plain());
    let outcome = bench.rewrite(route).await.unwrap();
    let stats = |id: i32| outcome.outputs[0].columns[&id].clone();
    assert_eq!(stats(1).lower, Some(0i64.to_le_bytes().to_vec()));
    assert_eq!(stats(1).upper, Some(149i64.to_le_bytes().to_vec()));
    assert_eq!((stats(1).values, stats(1).nulls, stats(1).nans), (Some(150), Some(0), None));
    assert_eq!((stats(3).nans, stats(3).nulls), (Some(30), Some(30)));
    assert_eq!(stats(3).upper, Some(149f64.to_le_bytes().to_vec()), "NaN is no bound");
    assert_eq!(String::from_utf8(stats(4).lower.unwrap()).unwrap(), "é".repeat(16));
    assert_eq!(String::from_utf8(stats(4).upper.unwrap()).unwrap(), "é".repeat(15) + "ê");
    assert_eq!(stats(5).upper, None, "sixteen bytes of 255 can't be raised");
    assert_eq!(stats(7).lower, Some(vec![0xce]), "-50 in one byte");
    assert_eq!(stats(11).lower, None, "no bounds inside of lists");
    assert!(stats(11).values.is_some() && stats(11).size.is_some());
    assert_eq!(outcome.outputs[0].split_offsets, [4]);
}

#[tokio::test]
async fn should_follow_an_evolved_schema_by_field_id() {
    let mut bench = Bench::new(json!([
        {"id": 2, "name": "renamed", "required": false, "type": "long"},
        {"id": 5, "name": "added", "required": false, "type": "string"},
        {"id": 3, "name": "s", "required": false, "type": {"type": "struct", "fields": [
            {"id": 6, "name": "new", "required": false, "type": "int"},
            {"id": 4, "name": "x", "required": false, "type": "double"}]}},
    ]));
    let x: ArrayRef = Arc::new(arrow_array::Float32Array::from(vec![Some(1.5), None]));
    let inner = vec![Arc::new(with_id(Field::new("x", DataType::Float32, true), 4))];
    let nested = StructArray::new(inner.into(), vec![x], None);
    bench.write(
        vec![
            (with_id(Field::new("dropped", DataType::Int32, true), 1), Arc::new(Int32Array::from(vec![9, 9]))),
            (
                with_id(Field::new("old_name", DataType::Int32, true), 2),
                Arc::new(Int32Array::from(vec![Some(-7), None])),
            ),
            (with_id(Field::new("s", nested.data_type().clone(), true), 3), Arc::new(nested)),
        ],
        plain(),
    );
    let outcome = bench.rewrite(Route::Merge).await.unwrap();
    let out = read(&outcome.outputs[0].path);
    assert_eq!(out.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["renamed", "added", "s"]);
    assert_eq!(out.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(-7), None]);
    assert_eq!(out.column(1).null_count(), 2);
    let s = out.column(2).as_struct();
    assert_eq!(
        (s.column(0).null_count(), s.column(1).as_primitive::<arrow_array::types::Float64Type>().value(0)),
        (2, 1.5)
    );
}

#[tokio::test]
async fn should_cut_outputs_inside_of_the_band() {
    let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": true, "type": "long"}]));
    let random = |seed: u64| {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Int64Array::from_iter_values((0..40_000).map(move |_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 1) as i64
        }))
    };
    for seed in 1..=8 {
        bench.write(vec![(with_id(Field::new("id", DataType::Int64, false), 1), Arc::new(random(seed)))], plain());
    }
    bench.policy = CompactPolicy { target_file_size_bytes: MIB, row_group_rows: 10_000, ..bench.policy };
    let outcome = bench.rewrite(Route::Encode).await.unwrap();
    let sizes: Vec<u64> = outcome.outputs.iter().map(|f| f.size).collect();
    assert!(sizes.len() >= 3 && sizes.iter().all(|size| (MIB / 2..=MIB + MIB / 20).contains(size)), "{sizes:?}");
    for file in &outcome.outputs {
        assert!(footer(file).await.row_groups().iter().all(|group| group.num_rows() <= 10_000));
    }
}

#[tokio::test]
async fn should_fail_on_damage_and_leave_nothing() {
    for (harm, route) in (0..4).flat_map(|harm| [(harm, Route::Encode), (harm, Route::Merge)]) {
        let mut bench = Bench::new(many_schema());
        bench.write(many(0, 2_000), plain());
        bench.write(many(2_000, 2_000), plain());
        let path = Path::new(&bench.inputs[1].path).to_owned();
        let mut bytes = std::fs::read(&path).unwrap();
        match harm {
            0 => bytes[50..4_000].iter_mut().for_each(|b| *b = b.wrapping_add(91)),
            1 => bytes.truncate(bytes.len() / 2),
            2 => bench.inputs[1].records += 1,
            _ => {
                let end = bytes.len();
                bytes[end - 40..end - 8].iter_mut().for_each(|b| *b ^= 0x77);
            }
        }
        std::fs::write(&path, bytes).unwrap();
        let error = bench.rewrite(route).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{harm}: {error}");
        assert!(error.to_string().contains("in-001.parquet") && error.hint_text().is_some(), "{harm}: {error}");
        assert_eq!(bench.left_behind(), 0, "{harm}");
    }
}

#[tokio::test]
async fn should_name_columns_by_the_tables_mapping_when_files_have_no_ids() {
    let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": true, "type": "long"}]));
    let column = || (Field::new("legacy", DataType::Int64, false), Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef);
    bench.write(vec![column()], plain());
    assert_eq!(bench.rewrite(Route::Encode).await.unwrap_err().kind(), Kind::Unsupported);
    let mapping = r#"[{"field-id": 1, "names": ["id", "legacy"]}]"#;
    bench.table.properties.insert("schema.name-mapping.default".into(), mapping.into());
    let outcome = bench.rewrite(Route::Encode).await.unwrap();
    assert_eq!(read(&outcome.outputs[0].path).column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
}

#[tokio::test]
async fn should_say_when_the_budget_is_too_small() {
    let mut bench = Bench::new(many_schema());
    bench.write(many(0, 10), plain());
    bench.memory = 100 * MIB;
    assert_eq!(bench.rewrite(Route::Encode).await.unwrap_err().kind(), Kind::Exhausted);
}

#[tokio::test]
async fn should_notice_a_value_that_changed() {
    let mut bench = Bench::new(many_schema());
    bench.write(many(0, 50), plain());
    let good = bench.rewrite(Route::Encode).await.unwrap();
    // The same file with one value changed passes every check but that of content.
    let mut columns = many(0, 50);
    let text = columns[3].1.as_string::<i32>();
    columns[3].1 = Arc::new(StringArray::from_iter(
        text.iter()
            .enumerate()
            .map(|(i, v)| if i == 20 { v.map(|v| v.replace('2', "3")) } else { v.map(str::to_owned) }),
    ));
    bench.write(columns, plain());
    let source = |input: &InputFile| {
        let (path, size) = (input.path.clone(), input.size);
        async move { source::open(&store(), &path, size).await.unwrap() }
    };
    let before = [source(&bench.inputs[0]).await];
    let changed = [source(&bench.inputs[1]).await];
    let found = content::differing_column(&before, &changed, &bench.table).await.unwrap();
    assert_eq!(found, Some("text".to_owned()));
    let output =
        InputFile { path: good.outputs[0].path.clone(), size: good.outputs[0].size, ..bench.inputs[0].clone() };
    let rewritten = [source(&output).await];
    assert_eq!(content::differing_column(&before, &rewritten, &bench.table).await.unwrap(), None);
}
