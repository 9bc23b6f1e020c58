//! Rows in order: sorted in memory and by way of temporary files, deleted rows left out.

use ::parquet::file::metadata::KeyValue;

use super::*;
use crate::lake::read_footers;
use crate::model::{Arrangement, Curve, Footer, SortField};

fn by(column: &str, descending: bool) -> SortField {
    SortField { column: column.into(), transform: "identity".into(), descending, nulls_first: false }
}

/// Files whose rows are shuffled: `id` runs through all numbers once, `text` repeats, with nulls.
fn bench(files: usize, rows: usize, policy: CompactPolicy) -> Bench {
    let mut bench = Bench::new(json!([
        {"id": 1, "name": "id", "required": true, "type": "long"},
        {"id": 2, "name": "text", "required": false, "type": "string"},
        {"id": 3, "name": "d", "required": false, "type": "double"}]));
    let all = (files * rows) as i64;
    for file in 0..files {
        // Odd steps through a power of two meet every number once.
        let numbers: Vec<i64> = (0..rows).map(|row| ((file * rows + row) as i64 * 40_503) % all).collect();
        let ids: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
        let texts: ArrayRef = Arc::new(StringArray::from_iter(
            numbers.iter().map(|n| (n % 5 != 0).then(|| format!("text that repeats {:04}", n % 97))),
        ));
        let floats: ArrayRef = Arc::new(arrow_array::Float64Array::from_iter(
            numbers.iter().map(|n| (n % 11 != 0).then(|| if n % 13 == 0 { f64::NAN } else { *n as f64 / 7.0 })),
        ));
        let props = WriterProperties::builder().set_max_row_group_row_count(Some(rows / 2 + 1)).build();
        let fields =
            [("id", DataType::Int64, false, 1), ("text", DataType::Utf8, true, 2), ("d", DataType::Float64, true, 3)];
        let fields = fields.map(|(name, kind, nullable, id)| with_id(Field::new(name, kind, nullable), id));
        bench.write(fields.into_iter().zip([ids, texts, floats]).collect(), props);
    }
    bench.policy = CompactPolicy { verify: Verify::Content, ..policy };
    bench
}

fn policy(arrangement: Arrangement) -> CompactPolicy {
    CompactPolicy { arrangement, ..CompactPolicy::default() }
}

fn pairs(outcome: &Outcome) -> Vec<(Option<String>, i64)> {
    let of = |batch: RecordBatch| {
        let (ids, texts) =
            (batch.column(0).as_primitive::<Int64Type>().clone(), batch.column(1).as_string::<i32>().clone());
        texts.iter().zip(ids.values()).map(|(text, id)| (text.map(str::to_owned), *id)).collect::<Vec<_>>()
    };
    outcome.outputs.iter().flat_map(|file| of(read(&file.path))).collect()
}

#[tokio::test]
async fn should_sort_across_files_and_leave_out_deleted_rows() {
    let order = Arrangement::Sort { fields: vec![by("text", true), by("id", false)], order_id: Some(7) };
    // Small files, so that there are several outputs of several row groups.
    let small = CompactPolicy {
        target_file_size_bytes: 200_000,
        min_file_size_bytes: 150_000,
        max_file_size_bytes: 360_000,
        ..policy(order.clone())
    };
    let mut bench = bench(4, 16_384, small);
    let path = bench.inputs[1].path.clone();
    bench.positions(&(0..500).map(|n| (path.as_str(), n * 3)).collect::<Vec<_>>(), &[1]);
    let done = bench.rewrite(Route::Sort).await.unwrap();
    assert_eq!((done.rows_in, done.rows_out, done.rows_deleted), (65_536, 65_036, 500));
    assert!(done.outputs.len() > 2 && done.outputs.iter().all(|file| file.sort_order_id == Some(7)), "{done:?}");
    let found = pairs(&done);
    // Descending texts, nulls last; ascending numbers within one text.
    let key = |pair: &(Option<String>, i64)| (std::cmp::Reverse(pair.0.clone()), pair.1);
    assert!(found.is_sorted_by_key(key));
    let first = footer(&done.outputs[0]).await;
    assert!(first.num_row_groups() > 2);
    let files: Vec<(String, u64)> = done.outputs.iter().map(|file| (file.path.clone(), file.size)).collect();
    let footers = read_footers(&store(), &files, &bench.table.schema).await.unwrap();
    assert!(footers.values().all(|f: &Footer| f.arrangement == order.mark() && f.compatible && f.schema_is_current));
    assert_eq!(bench.left_behind(), done.outputs.len());
}

#[tokio::test]
async fn should_bring_neighbours_together_on_a_curve() {
    let curve = Arrangement::Curve { curve: Curve::Hilbert, columns: vec!["id".into(), "text".into()] };
    let bench = bench(2, 16_384, policy(curve.clone()));
    let done = bench.rewrite(Route::Sort).await.unwrap();
    assert_eq!((done.rows_out, done.outputs[0].sort_order_id), (32_768, None), "a curve is no sort order");
    let found = pairs(&done);
    // A sixteenth of the rows spans a part of the numbers, though the first column does not decide alone.
    let span = |part: &[(Option<String>, i64)]| {
        let (low, high) = (part.iter().map(|p| p.1).min().unwrap(), part.iter().map(|p| p.1).max().unwrap());
        high - low
    };
    let spans: i64 = found.chunks(2048).map(span).sum::<i64>() / 16;
    assert!((2048..24_000).contains(&spans), "{spans}");
}

#[tokio::test]
async fn should_say_what_a_sort_needs_and_leave_nothing_behind() {
    let order = |column: &str| policy(Arrangement::Sort { fields: vec![by(column, false)], order_id: None });
    let mut small = bench(1, 1024, order("id"));
    small.memory = 100 * MIB;
    let error = small.rewrite(Route::Sort).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted);
    assert!(error.hint_text().unwrap().contains("--memory"));
    let missing = bench(1, 1024, order("nope"));
    let error = missing.rewrite(Route::Sort).await.unwrap_err();
    assert_eq!((error.kind(), missing.left_behind()), (Kind::InvalidInput, 0));
}

/// Texts from dictionaries stay numbers all the way: what comes out has dictionaries, and short pages, in every row group.
#[tokio::test]
async fn should_write_the_dictionaries_that_texts_came_with() {
    let by_text = Arrangement::Sort { fields: vec![by("text", false), by("id", false)], order_id: None };
    for (arrangement, nulls_last) in
        [(by_text, true), (Arrangement::Sort { fields: vec![by("d", true)], order_id: None }, false)]
    {
        let mut bench = bench(3, 30_000, policy(arrangement));
        // One file more, without nulls and with values that the others lack.
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(90_000..91_000));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..1_000).map(|n| format!("another text {}", n % 3))));
        let floats: ArrayRef = Arc::new(Float64Array::from_iter_values((0..1_000).map(f64::from)));
        let fields =
            [("id", DataType::Int64, false, 1), ("text", DataType::Utf8, true, 2), ("d", DataType::Float64, true, 3)];
        let fields = fields.map(|(name, kind, nullable, id)| with_id(Field::new(name, kind, nullable), id));
        bench.write(fields.into_iter().zip([ids, texts, floats]).collect(), plain());
        let done = bench.rewrite(Route::Sort).await.unwrap();
        assert_eq!((done.rows_out, done.outputs.len()), (91_000, 1));
        let found = pairs(&done);
        if nulls_last {
            assert!(found.is_sorted_by_key(|(text, id)| (text.is_none(), text.clone(), *id)));
        }
        let metadata = footer(&done.outputs[0]).await;
        let offsets = metadata.offset_index().unwrap();
        for (group, offsets) in metadata.row_groups().iter().zip(offsets) {
            let (text, pages) = (group.column(1), &offsets[1].page_locations);
            let stats = text.page_encoding_stats().unwrap();
            assert!(
                stats
                    .iter()
                    .all(|page| page.encoding != Encoding::PLAIN || page.page_type == PageType::DICTIONARY_PAGE)
            );
            assert!(pages.windows(2).all(|two| two[1].first_row_index - two[0].first_row_index <= 20_000));
        }
        assert_eq!((done.chunks.encoded.chunks, done.chunks.merged.chunks), (3 * metadata.num_row_groups() as u64, 0));
        let kept = done.chunks.encoded_because.iter().filter(|because| because.reason.ends_with("(dictionaries kept)"));
        assert_eq!(kept.map(|because| because.column.as_deref()).collect::<Vec<_>>(), [Some("text")]);
        let stats = &done.outputs[0].columns[&2];
        assert_eq!(stats.nulls, Some(18_000));
        assert_eq!(stats.lower.as_deref(), Some(&b"another text 0"[..]));
    }
}

/// A large file that is in order already is merged as it is: sorting it would need room that is not there.
#[tokio::test]
async fn should_merge_what_is_in_order_and_sort_the_rest() {
    let order = Arrangement::Sort { fields: vec![by("text", true), by("id", false)], order_id: None };
    let more = bench(1, 2_000, CompactPolicy::default());
    let mut bench = bench(1, 400_000, policy(order));
    bench.policy.verify = Verify::Stats;
    let first = bench.rewrite(Route::Sort).await.unwrap().outputs;
    assert_eq!(first.len(), 1);
    bench.inputs[0] = InputFile { path: first[0].path.clone(), size: first[0].size, ..bench.inputs[0].clone() };
    // Ids come from a seed.
    let again = async |bench: &Bench, seed: u64| {
        bench.executor(seed).rewrite(&bench.task(Route::Sort), &bench.table, &bench.policy).await
    };
    bench.inputs.push(more.inputs[0].clone());
    // A temporary file of one byte.
    (bench.memory, bench.spill) = (152 * MIB, Spill::new(bench.dir.path().to_owned(), 1));
    let done = again(&bench, 11).await.unwrap();
    assert_eq!(done.rows_out, 402_000);
    let key = |pair: &(Option<String>, i64)| (std::cmp::Reverse(pair.0.clone()), pair.1);
    assert!(pairs(&done).is_sorted_by_key(key));
    // Out of order by another measure, it has to be sorted, and can't be.
    let by_d = Arrangement::Sort { fields: vec![by("d", false)], order_id: None };
    let by_text = std::mem::replace(&mut bench.policy.arrangement, by_d);
    assert_eq!(again(&bench, 12).await.unwrap_err().kind(), Kind::Exhausted);
    // Rows that are deleted in it do not come back.
    (bench.policy.arrangement, bench.spill) = (by_text, Spill::new(std::env::temp_dir(), Spill::LIMIT));
    let path = first[0].path.clone();
    bench.positions(&(0..700).map(|n| (path.as_str(), n * 500)).collect::<Vec<_>>(), &[0]);
    let done = again(&bench, 13).await.unwrap();
    assert_eq!((done.rows_out, done.rows_deleted), (401_300, 700));
    assert!(pairs(&done).is_sorted_by_key(key));
}

#[tokio::test]
async fn should_not_believe_a_file_that_is_not_in_the_order_that_it_claims() {
    let order = Arrangement::Sort { fields: vec![by("id", false)], order_id: None };
    let mut bench = bench(2, 4_096, policy(order.clone()));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..30_000).map(|n| n % 20_000)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..30_000).map(|n| format!("text {}", n % 3))));
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values((0..30_000).map(f64::from)));
    let claim = KeyValue::new(Footer::ARRANGEMENT.to_owned(), order.mark());
    let props = WriterProperties::builder().set_key_value_metadata(Some(vec![claim])).build();
    let fields =
        [("id", DataType::Int64, false, 1), ("text", DataType::Utf8, true, 2), ("d", DataType::Float64, true, 3)];
    let fields = fields.map(|(name, kind, nullable, id)| with_id(Field::new(name, kind, nullable), id));
    bench.write(fields.into_iter().zip([ids, texts, floats]).collect(), props);
    // Small outputs: some are complete when the lie is found.
    bench.policy.target_file_size_bytes = 100_000;
    (bench.policy.min_file_size_bytes, bench.policy.max_file_size_bytes) = (75_000, 180_000);
    let done = bench.rewrite(Route::Sort).await.unwrap();
    assert_eq!(done.rows_out, 38_192);
    assert!(pairs(&done).is_sorted_by_key(|(_, id)| *id));
    assert_eq!(bench.left_behind(), done.outputs.len());
}
