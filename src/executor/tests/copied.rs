//! Row groups that are copied as they are.

use ::parquet::basic::ZstdLevel;
use ::parquet::file::properties::EnabledStatistics;

use super::*;

#[tokio::test]
async fn should_copy_chunks_byte_for_byte() {
    let mut bench = Bench::new(many_schema());
    bench.write(many(0, 500), plain());
    bench.write(many(500, 700), plain());
    // First into the codec, then copied: the second step may not touch a page.
    let encoded = bench.rewrite(Route::Encode).await.unwrap().outputs;
    bench.inputs = encoded
        .iter()
        .chain(&encoded)
        .map(|f| InputFile { path: f.path.clone(), size: f.size, records: f.records, ..bench.inputs[0].clone() })
        .collect();
    let outcome = bench.rewrite(Route::Copy).await.unwrap();
    assert_eq!((outcome.rows_out, outcome.outputs.len()), (2_400, 1));
    let (old, new) = (footer(&encoded[0]).await, footer(&outcome.outputs[0]).await);
    let (old_bytes, new_bytes) =
        (std::fs::read(&encoded[0].path).unwrap(), std::fs::read(&outcome.outputs[0].path).unwrap());
    assert_eq!(new.num_row_groups(), 2);
    for group in new.row_groups() {
        for (a, b) in old.row_group(0).columns().iter().zip(group.columns()) {
            let slice = |bytes: &[u8], range: (u64, u64)| {
                let start = usize::try_from(range.0).unwrap();
                bytes[start..start + usize::try_from(range.1).unwrap()].to_vec()
            };
            assert_eq!(slice(&old_bytes, a.byte_range()), slice(&new_bytes, b.byte_range()));
            assert_eq!(a.page_encoding_stats(), b.page_encoding_stats());
        }
    }
    // The page index speaks of the new places.
    let offsets = new.offset_index().unwrap();
    let first = new.row_group(1).column(0).data_page_offset();
    assert_eq!(offsets[1][0].page_locations[0].offset, first);
    let stats = &outcome.outputs[0].columns[&3];
    assert_eq!((stats.nans, stats.nulls), (None, Some(480)), "NaNs were not counted, so none are claimed");
}

#[tokio::test]
async fn should_copy_files_with_and_without_a_page_index() {
    for with_index in [[true, true], [true, false], [false, true], [false, false]] {
        let mut bench = Bench::new(json!([{"id": 1, "name": "id", "required": true, "type": "long"}]));
        for (first, with_index) in (0i64..).step_by(1_000).zip(with_index) {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 1_000));
            let statistics = if with_index { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_statistics_enabled(statistics)
                .set_offset_index_disabled(!with_index);
            bench.write(vec![(with_id(Field::new("id", DataType::Int64, false), 1), ids)], properties.build());
        }
        let outcome = bench.rewrite(Route::Copy).await.unwrap();
        let file = &outcome.outputs[0];
        let metadata = read_metadata(&store(), &file.path, file.size, PageIndexPolicy::Optional).await.unwrap();
        assert_eq!(metadata.offset_index().is_some(), with_index == [true, true], "{with_index:?}");
        let ids = read(&file.path).column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(ids, (0..2_000).collect::<Vec<i64>>());
        let created_by = metadata.file_metadata().created_by().unwrap();
        assert!(created_by.starts_with("icewright") && metadata.file_metadata().column_orders().is_some());
    }
}
