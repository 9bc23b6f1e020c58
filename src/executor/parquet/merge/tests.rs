//! Random files through [`Merge`], read back by the `parquet` crate: every value, every page index, every statistic.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::fuzz::{self, Checked};
use super::*;

const KINDS: usize = 13;

/// One column of a kind: how often it is null, and how its values are spread, is up to chance.
fn column(rng: &mut StdRng, kind: usize, rows: usize) -> (Field, ArrayRef) {
    let nulls = [0.0, 0.0, 0.2, 1.0][rng.random_range(0..4)];
    let spread: i64 = [1, 5, 300, 1 << 40][rng.random_range(0..4)];
    let base: i64 = rng.random_range(-50..50);
    let sorted = rng.random_bool(0.3);
    let mut values: Vec<Option<i64>> =
        (0..rows).map(|_| (!rng.random_bool(nulls)).then(|| base + rng.random_range(0..spread))).collect();
    if sorted {
        values.sort_unstable();
    }
    let narrow = |v: i64| i32::try_from(v % (1 << 30)).unwrap();
    let array: ArrayRef = match kind {
        0 => Arc::new(values.iter().map(|v| v.map(narrow)).collect::<Int32Array>()),
        1 => Arc::new(values.iter().copied().collect::<Int64Array>()),
        2 => Arc::new(
            values
                .iter()
                .map(|v| v.map(|v| if v % 7 == 3 { f32::NAN } else { v as f32 / 3.0 }))
                .collect::<Float32Array>(),
        ),
        3 => Arc::new(
            values.iter().map(|v| v.map(|v| if v == 0 { -0.0 } else { v as f64 / 7.0 })).collect::<Float64Array>(),
        ),
        4 => Arc::new(values.iter().map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
        5 => Arc::new(values.iter().map(|v| v.map(|v| format!("é{v}"))).collect::<StringArray>()),
        6 => Arc::new(
            values
                .iter()
                .map(|v| v.map(|v| vec![255; usize::try_from(v.rem_euclid(90)).unwrap()]))
                .collect::<BinaryArray>(),
        ),
        7 => {
            let bytes = values.iter().map(|v| v.map(|v| v.to_be_bytes()[1..].to_vec()));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 7).unwrap())
        }
        8 | 9 => {
            let scale = if kind == 8 { 0 } else { 60 };
            let all = values.iter().map(|v| v.map(|v| i128::from(v % 9_000_000) << scale));
            let precision = if kind == 8 { 9 } else { 38 };
            Arc::new(all.collect::<Decimal128Array>().with_precision_and_scale(precision, 2).unwrap())
        }
        10 => {
            let mut list = ListBuilder::new(Int32Builder::new());
            for value in &values {
                if let Some(v) = value {
                    (0..v.rem_euclid(4)).for_each(|k| list.values().append_option((k != 2).then(|| narrow(v + k))));
                }
                list.append(value.is_some());
            }
            Arc::new(list.finish())
        }
        11 => {
            let inner: ArrayRef = Arc::new(values.iter().map(|v| v.map(|v| v.to_string())).collect::<StringArray>());
            let other: ArrayRef = Arc::new(values.iter().map(|v| v.filter(|v| v % 3 > 0)).collect::<Int64Array>());
            let fields = vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int64, true)];
            let valid = values.iter().map(|v| v.is_none_or(|v| v % 5 > 0)).collect::<Vec<bool>>();
            Arc::new(StructArray::new(fields.into(), vec![inner, other], Some(valid.into())))
        }
        _ => {
            let mut outer = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
            for value in &values {
                for k in 0..value.unwrap_or(0).rem_euclid(3) {
                    (0..k + 1)
                        .for_each(|n| outer.values().values().append_option((n > 0).then(|| format!("{n}{value:?}"))));
                    outer.values().append(k > 0);
                }
                outer.append(value.is_some());
            }
            Arc::new(outer.finish())
        }
    };
    // Every file has the same schema, so all columns may be null.
    (Field::new(format!("c{kind}"), array.data_type().clone(), true), array)
}

fn properties(rng: &mut StdRng, schema: &Schema) -> WriterProperties {
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(Default::default()),
        Compression::GZIP(Default::default()),
        Compression::LZ4_RAW,
        Compression::BROTLI(Default::default()),
    ];
    let second = rng.random_bool(0.5);
    let mut builder = WriterProperties::builder()
        .set_writer_version(if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 })
        .set_compression(codecs[rng.random_range(0..codecs.len())])
        .set_dictionary_enabled(rng.random_bool(0.6))
        .set_dictionary_page_size_limit([60, 1 << 20][rng.random_range(0..2)])
        .set_data_page_row_count_limit([3, 40, 10_000][rng.random_range(0..3)])
        .set_write_batch_size([1, 16, 1024][rng.random_range(0..3)])
        .set_max_row_group_row_count(Some([30, 1_000][rng.random_range(0..2)]))
        .set_statistics_enabled(if rng.random_bool(0.5) { EnabledStatistics::Page } else { EnabledStatistics::None });
    for field in schema.fields() {
        let encodings: &[Encoding] = match field.data_type() {
            DataType::Int32 | DataType::Int64 => &[Encoding::DELTA_BINARY_PACKED, Encoding::PLAIN],
            DataType::Float32 | DataType::Float64 => &[Encoding::BYTE_STREAM_SPLIT, Encoding::PLAIN],
            DataType::Utf8 | DataType::Binary => {
                &[Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY, Encoding::PLAIN]
            }
            _ => continue,
        };
        let path = ColumnPath::from(field.name().as_str());
        builder = builder.set_column_encoding(path, encodings[rng.random_range(0..encodings.len())]);
    }
    builder.build()
}

fn written(batch: &RecordBatch, props: WriterProperties) -> Bytes {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(props)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes.into()
}

fn footer(bytes: &Bytes) -> ParquetMetaData {
    let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.with_metadata_options(Some(options)).parse_and_finish(bytes).unwrap()
}

fn read(bytes: &Bytes, selection: Option<RowSelection>) -> RecordBatch {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let mut builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options).unwrap();
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Which rows of a row group are kept: all, or ranges by chance.
fn kept(rng: &mut StdRng, rows: usize, all: bool) -> Vec<(bool, u64)> {
    let (mut ranges, mut left, mut keep) = (Vec::new(), rows, all || rng.random_bool(0.5));
    let longest = if rng.random_bool(0.5) { 5 } else { rows };
    while left > 0 {
        let some = if all { left } else { rng.random_range(1..=left.min(longest)) };
        ranges.push((keep, some as u64));
        left -= some;
        keep = !keep;
    }
    ranges
}

/// Merges all row groups of some files into one; gives the file and the rows that it should have.
fn merged(rng: &mut StdRng, files: &[Bytes], rules: &Rules, all: bool) -> (Bytes, RecordBatch) {
    let footers: Vec<ParquetMetaData> = files.iter().map(footer).collect();
    let descriptor = footers[0].file_metadata().schema_descr_ptr();
    let mut ranges = Vec::new();
    for footer in &footers {
        ranges.push(
            footer
                .row_groups()
                .iter()
                .map(|g| kept(rng, usize::try_from(g.num_rows()).unwrap(), all))
                .collect::<Vec<_>>(),
        );
    }
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut out, descriptor.root_schema_ptr(), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut space = Workspace::new(Arc::default());
    let (bits, cut) = (!all && rng.random_bool(0.5), rng.random_range(0..20));
    for leaf in 0..descriptor.num_columns() {
        let mut merge = Merge::new(&mut space, descriptor.column(leaf), *rules, Choice::default()).unwrap();
        for ((bytes, footer), ranges) in files.iter().zip(&footers).zip(&ranges) {
            for (row_group, ranges) in footer.row_groups().iter().zip(ranges) {
                let (start, length) = row_group.column(leaf).byte_range();
                let (start, length) = (usize::try_from(start).unwrap(), usize::try_from(length).unwrap());
                let chunk = &bytes[start..start + length];
                // Whether as ranges or as bits, the same rows come.
                let each = |(keep, rows): &(bool, u64)| vec![*keep; usize::try_from(*rows).unwrap()];
                let living: BooleanBuffer = ranges.iter().flat_map(each).collect();
                let cut = living.set_slices().next().map_or(0, |(first, _)| first).min(cut);
                let rows = living.slice(cut, living.len() - cut);
                let wanted = if bits {
                    Wanted::Living { all: living.len(), offset: cut, rows: &rows }
                } else {
                    Wanted::Ranges(ranges)
                };
                merge.add(&mut space, row_group.column(leaf), chunk, wanted).unwrap();
            }
        }
        let (merged, _) = merge.finish(&mut space).unwrap();
        group.append_column(&merged.bytes, merged.close).unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let parts: Vec<RecordBatch> = files
        .iter()
        .zip(&ranges)
        .map(|(bytes, ranges)| {
            let mask = ranges.iter().flatten().flat_map(|(keep, rows)| vec![*keep; usize::try_from(*rows).unwrap()]);
            filter_record_batch(&read(bytes, None), &mask.collect::<Vec<bool>>().into()).unwrap()
        })
        .collect();
    (out.into(), concat_batches(&parts[0].schema(), &parts).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn should_keep_every_value_of_random_files(seed in any::<u64>(), all in any::<bool>(), modern in any::<bool>()) {
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut kinds: std::collections::BTreeSet<usize> = [rng.random_range(0..KINDS)].into();
        kinds.extend((0..KINDS).filter(|_| rng.random_bool(0.4)));
        let files: Vec<Bytes> = (0..rng.random_range(1..4))
            .map(|_| {
                let rows = rng.random_range(1..300);
                let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = kinds.iter().map(|kind| column(rng, *kind, rows)).unzip();
                let schema = Arc::new(Schema::new(fields));
                let props = properties(rng, &schema);
                written(&RecordBatch::try_new(schema, arrays).unwrap(), props)
            })
            .collect();
        let rules = Rules {
            level: [1, 3, 9][rng.random_range(0..3)],
            modern,
            no_dictionary: rng.random_bool(0.2),
            page_bytes: [200, 1 << 20][rng.random_range(0..2)],
            page_rows: [7, 100, 65_536][rng.random_range(0..3)],
            dictionary_bytes: [100, 1 << 20][rng.random_range(0..2)],
        };
        let (out, expected) = merged(rng, &files, &rules, all);
        if expected.num_rows() == 0 {
            return Ok(());
        }
        let found = read(&out, None);
        for (index, field) in expected.schema().fields().iter().enumerate() {
            // Arrays compare by their bytes: a NaN is equal to itself, and the zeros differ.
            prop_assert!(found.column(index).as_ref() == expected.column(index).as_ref(), "{field}");
        }
        // Through the page index: some rows alone.
        let from = rng.random_range(0..expected.num_rows());
        let some = rng.random_range(1..=expected.num_rows() - from);
        let selectors = vec![RowSelector::skip(from), RowSelector::select(some)];
        prop_assert_eq!(read(&out, Some(selectors.into())), expected.slice(from, some));
        check_statistics(&out, &expected, &rules);
    }
}

/// The footer and the page index, against what the `parquet` crate says of the same rows.
fn check_statistics(out: &Bytes, expected: &RecordBatch, rules: &Rules) {
    let props = WriterProperties::builder().set_statistics_truncate_length(None).build();
    let (ours, theirs) = (footer(out), footer(&written(expected, props)));
    let pages = ours.offset_index().unwrap()[0].iter().zip(ours.row_group(0).columns());
    let indexes = ours.column_index().unwrap()[0].iter();
    for (((offsets, chunk), index), other) in pages.zip(indexes).zip(theirs.row_group(0).columns()) {
        let (a, b) = (chunk.statistics().unwrap(), other.statistics().unwrap());
        assert_eq!(a.null_count_opt(), b.null_count_opt(), "{}", chunk.column_path());
        assert_eq!(a.min_bytes_opt(), b.min_bytes_opt(), "{}", chunk.column_path());
        assert_eq!(a.max_bytes_opt(), b.max_bytes_opt(), "{}", chunk.column_path());
        assert_eq!(chunk.num_values(), other.num_values());
        let stats = chunk.page_encoding_stats().unwrap();
        let data: i32 =
            stats.iter().filter(|s| s.page_type == parquet::basic::PageType::DATA_PAGE).map(|s| s.count).sum();
        assert_eq!(usize::try_from(data).unwrap(), offsets.page_locations().len());
        let last = offsets.page_locations().last().unwrap();
        let end = u64::try_from(last.offset).unwrap() + u64::try_from(last.compressed_page_size).unwrap();
        assert_eq!(end, chunk.byte_range().0 + chunk.byte_range().1);
        let nulls: Option<i64> = index.null_counts().map(|counts| counts.iter().sum());
        if let Some(nulls) = nulls {
            assert_eq!(u64::try_from(nulls).ok(), a.null_count_opt());
        }
        if !rules.modern {
            let allowed = |e| matches!(e, Encoding::PLAIN | Encoding::RLE_DICTIONARY);
            assert!(stats.iter().all(|page| allowed(page.encoding)), "{stats:?}");
        }
        for pair in offsets.page_locations().windows(2) {
            let rows = usize::try_from(pair[1].first_row_index - pair[0].first_row_index).unwrap();
            assert!(rows <= rules.page_rows.max(1), "a page of {rows} rows");
        }
    }
}

/// What the fuzzer found, once each.
#[test]
fn should_refuse_what_was_found() {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/cases");
    let mut count = 0;
    for case in std::fs::read_dir(cases).unwrap() {
        let path = case.unwrap().path();
        assert_eq!(fuzz::check(&std::fs::read(&path).unwrap()), Checked::Refused, "{}", path.display());
        count += 1;
    }
    assert!(count > 0);
}

/// Damage must end in an error, or in the values that another reader finds as well; never in a panic. With
/// `ICEWRIGHT_FUZZ_SEEDS` the sound chunks go to that folder, for the fuzzer to begin with.
#[test]
fn should_survive_damage() {
    let seeds = std::env::var_os("ICEWRIGHT_FUZZ_SEEDS").map(std::path::PathBuf::from);
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..400u64 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (field, array) = column(rng, usize::try_from(seed).unwrap() % KINDS, 200);
        let schema = Arc::new(Schema::new(vec![field]));
        let props = properties(rng, &schema);
        let sound = written(&RecordBatch::try_new(schema, vec![array]).unwrap(), props);
        let footer = footer(&sound);
        for (leaf, chunk) in footer.row_group(0).columns().iter().enumerate() {
            let (start, length) = chunk.byte_range();
            let start = usize::try_from(start).unwrap();
            let rows = u32::try_from(footer.row_group(0).num_rows()).unwrap();
            let bytes = &sound[start..start + usize::try_from(length).unwrap()];
            let mut input = fuzz::input(chunk, rng.random_range(0..8), rows, bytes);
            assert_eq!(fuzz::check(&input), Checked::Same, "seed {seed}, leaf {leaf}");
            if let Some(folder) = &seeds {
                std::fs::write(folder.join(format!("{seed}-{leaf}")), &input).unwrap();
            }
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(4..input.len());
                match rng.random_range(0..4) {
                    0 => input[at] = rng.random(),
                    1 => input[at] ^= 1 << rng.random_range(0..8),
                    2 => input.truncate(at.max(17)),
                    _ => input.insert(at.max(16), rng.random()),
                }
            }
            *counts.entry(format!("{:?}", fuzz::check(&input))).or_insert(0u32) += 1;
        }
    }
    assert!(counts["Refused"] > 150 && counts["Same"] > 20, "{counts:?}");
}

/// The pages that come out of given pages.
#[test]
fn should_lay_pages_out_as_wanted() {
    let rules = Rules { page_rows: 1_000, dictionary_bytes: 4_000, ..Rules::USUAL };
    let layout = |rules: &Rules, columns: &[Vec<i64>], dictionary: bool| {
        let props = || {
            WriterProperties::builder()
                .set_dictionary_enabled(dictionary)
                .set_data_page_row_count_limit(100)
                .set_write_batch_size(50)
                .build()
        };
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let files: Vec<Bytes> = columns
            .iter()
            .map(|values| {
                let array: ArrayRef = Arc::new(Int64Array::from(values.clone()));
                written(&RecordBatch::try_new(schema.clone(), vec![array]).unwrap(), props())
            })
            .collect();
        let (out, _) = merged(&mut StdRng::seed_from_u64(0), &files, rules, true);
        let footer = footer(&out);
        let chunk = footer.row_group(0).column(0);
        let encodings: Vec<String> = chunk
            .page_encoding_stats()
            .unwrap()
            .iter()
            .map(|s| format!("{} {:?} {}", s.count, s.page_type, s.encoding))
            .collect();
        let rows: Vec<i64> =
            footer.offset_index().unwrap()[0][0].page_locations().iter().map(|l| l.first_row_index).collect();
        format!("{} from {rows:?}", encodings.join(", "))
    };
    let few = |n: i64| (0..n).map(|i| i % 7).collect::<Vec<_>>();
    let unique = |n: i64| (0..n).map(|i| i * 1_000_003).collect::<Vec<_>>();
    insta::assert_snapshot!(
        [
            ("few values, two files", layout(&rules, &[few(1_500), few(700)], true)),
            ("few values without dictionaries", layout(&rules, &[few(1_500), few(700)], false)),
            ("unique values", layout(&rules, &[unique(1_500)], true)),
            ("few values, then unique ones", layout(&rules, &[few(1_500), unique(600)], true)),
            ("unique values, modern", layout(&Rules { modern: true, ..rules }, &[unique(1_500)], true)),
        ]
        .map(|(what, layout)| format!("{what}: {layout}"))
        .join("\n"),
        @r"
    few values, two files: 1 DICTIONARY_PAGE PLAIN, 3 DATA_PAGE RLE_DICTIONARY from [0, 1000, 2000]
    few values without dictionaries: 1 DICTIONARY_PAGE PLAIN, 3 DATA_PAGE RLE_DICTIONARY from [0, 1000, 2000]
    unique values: 2 DATA_PAGE PLAIN from [0, 1000]
    few values, then unique ones: 1 DICTIONARY_PAGE PLAIN, 1 DATA_PAGE PLAIN, 2 DATA_PAGE RLE_DICTIONARY from [0, 1000, 1500]
    unique values, modern: 2 DATA_PAGE DELTA_BINARY_PACKED from [0, 1000]
    "
    );
}

/// A row group cut into small ones must not give its whole dictionary to each of them.
#[test]
fn should_take_over_only_what_occurs_in_the_rows_that_come() {
    let rules = Rules::USUAL;
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..8_000).map(|i| i % 2_000)));
    let file = written(&RecordBatch::try_new(schema, vec![numbers]).unwrap(), WriterProperties::default());
    let footer = footer(&file);
    let chunk = footer.row_group(0).column(0);
    let bytes = file.slice(usize::try_from(chunk.byte_range().0).unwrap()..);
    let size = |rows: &[(bool, u64)]| {
        let column = footer.file_metadata().schema_descr().column(0);
        let mut space = Workspace::new(Arc::default());
        let mut merge = Merge::new(&mut space, column, rules, Choice::default()).unwrap();
        merge.add(&mut space, chunk, &bytes, Wanted::Ranges(rows)).unwrap();
        let (merged, choice) = merge.finish(&mut space).unwrap();
        assert!(!choice.unique);
        merged.close.metadata.uncompressed_size()
    };
    assert!(size(&[(true, 8_000)]) > 2_000 * 8);
    let part = size(&[(false, 3_000), (true, 100), (false, 4_900)]);
    assert!((100 * 8..100 * 8 + 400).contains(&part), "{part} bytes for 100 values");
}
