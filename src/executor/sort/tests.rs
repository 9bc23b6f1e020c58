//! The sort against a naive one, with little memory and with much.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::model::{Arrangement, Curve, SortField};

type Row = (Option<i64>, Option<String>, i64);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("n", DataType::Int64, false),
    ]))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    let (a, b) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
    let n = batch.column(2).as_primitive::<Int64Type>();
    a.iter().zip(b).zip(n).map(|((a, b), n)| (a, b.map(str::to_owned), n.unwrap())).collect()
}

fn field(column: &str, descending: bool, nulls_first: bool) -> SortField {
    SortField { column: column.into(), transform: "identity".into(), descending, nulls_first }
}

fn sorted(arrangement: &Arrangement, batches: Vec<RecordBatch>, run_rows: usize) -> Vec<Row> {
    let keys = Arc::new(Keys::new(arrangement, Vec::new(), &schema(), &batches).unwrap());
    let spill = Spill::new(std::env::temp_dir(), Spill::LIMIT);
    let mut sorter = Sorter::new(schema(), keys, spill.clone(), 0);
    let (mut since, mut found) = (0, Vec::new());
    for batch in batches {
        since += batch.num_rows();
        sorter.push(batch).unwrap();
        if since >= run_rows {
            sorter.write_run().unwrap();
            since = 0;
        }
    }
    sorter
        .finish(Vec::new(), |batch| {
            found.extend(rows(&batch));
            Ok(())
        })
        .unwrap();
    assert_eq!(spill.used(), 0, "temporary space is given back");
    found
}

/// `a DESC NULLS LAST, b ASC NULLS FIRST`, and rows that are equal in the order in which they came.
fn naive(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|x, y| {
        let a = match (x.0, y.0) {
            (Some(x), Some(y)) => y.cmp(&x),
            (x, y) => x.is_none().cmp(&y.is_none()),
        };
        a.then_with(|| x.1.cmp(&y.1))
    });
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn should_sort_like_a_naive_sort_whether_it_spills_or_not(
        seed in any::<u64>(),
        count in 0usize..3000,
        run_rows in prop_oneof![Just(usize::MAX), 1usize..500],
        shape in 0..4,
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        let all: Vec<Row> = (0..count as i64).map(|n| {
            let some = random.random_bool(0.9);
            match shape {
                0 => {
                    let b = random.random_bool(0.9).then(|| "ab".repeat(random.random_range(0..6)));
                    (some.then(|| random.random_range(-20..20)), b, n)
                }
                // Far more alike than a head holds, and equal rows; sometimes up to where the shorter one ends.
                1 => {
                    let tail = ["", "\0", "a", "ab", "ab\0", "b and then some more of it"][random.random_range(0..6)];
                    (Some(1), Some("the same for a long while ".repeat(random.random_range(2..4)) + tail), n)
                }
                // All in one head or in none, and keys that are all equal.
                2 => (Some(random.random_range(0..1 << 40)), Some(String::new()), n),
                _ => (None, Some("one and the same".into()), n),
            }
        }).collect();
        let mut batches = Vec::new();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (some, left) = rest.split_at(random.random_range(1..=rest.len().min(200)));
            batches.push(batch(some));
            rest = left;
        }
        let arrangement = Arrangement::Sort { fields: vec![field("a", true, false), field("b", false, true)], order_id: None };
        prop_assert!(sorted(&arrangement, batches, run_rows) == naive(all));
    }
}

#[test]
fn should_merge_more_runs_than_fit_at_a_time() {
    let mut random = StdRng::seed_from_u64(7);
    // Many are equal: they stay in the order in which they came, however often they are merged.
    let all: Vec<Row> = (0..2000).map(|n| (Some(random.random_range(0..50)), None, n)).collect();
    let arrangement = Arrangement::Sort { fields: vec![field("a", true, false)], order_id: None };
    for run in [20, 7] {
        let batches: Vec<RecordBatch> = all.chunks(run).map(batch).collect();
        assert!(batches.len() > LEAST_MEMORY / (MERGED * CHUNK));
        assert!(sorted(&arrangement, batches, run) == naive(all.clone()));
    }
}

#[test]
fn should_hand_on_long_stretches_as_they_are() {
    // Each run holds a part of each of five values; where a value ends and the next run goes on with it, and where rows
    // of two runs take turns.
    let turns = |n: i64| if n % 40_000 < 5000 { n % 2 } else { n % 40_000 / 8000 + 2 };
    let all: Vec<Row> = (0..120_000).map(|n| (Some(turns(n)), None, n)).collect();
    let batches = all.chunks(4000).map(batch).collect();
    let arrangement = Arrangement::Sort { fields: vec![field("a", true, false)], order_id: None };
    assert!(sorted(&arrangement, batches, 40_000) == naive(all));
}

#[test]
fn should_keep_the_last_rows_in_memory() {
    let schema = schema();
    let fields = vec![field("a", true, false)];
    let keys = Arc::new(Keys::new(&Arrangement::Sort { fields, order_id: None }, Vec::new(), &schema, &[]).unwrap());
    let spill = Spill::new(std::env::temp_dir(), Spill::LIMIT);
    let mut sorter = Sorter::new(schema, keys, spill.clone(), 0);
    let all: Vec<Row> = (0..300).map(|n| (Some(n % 17), None, n)).collect();
    for (number, rows) in all.chunks(100).enumerate() {
        sorter.push(batch(rows)).unwrap();
        if number < 2 {
            sorter.write_run().unwrap();
        }
    }
    sorter.wait().unwrap();
    let (used, mut most, mut found) = (spill.used(), 0, Vec::new());
    sorter
        .finish(Vec::new(), |batch| {
            most = most.max(spill.used());
            found.extend(rows(&batch));
            Ok(())
        })
        .unwrap();
    assert!(found == naive(all));
    assert!(used > 0 && most <= used, "two runs were written and no third one: {used} {most}");
}

#[test]
fn should_keep_every_row_on_a_curve_and_bring_neighbours_together() {
    let mut random = StdRng::seed_from_u64(11);
    let all: Vec<Row> = (0..4096)
        .map(|n| (Some(random.random_range(0..1000)), Some(format!("k{:03}", random.random_range(0..1000))), n))
        .collect();
    for curve in [Curve::ZOrder, Curve::Hilbert] {
        let arrangement = Arrangement::Curve { curve, columns: vec!["a".into(), "b".into()] };
        let found = sorted(&arrangement, all.chunks(100).map(batch).collect(), 1000);
        let ids = |rows: &[Row]| rows.iter().map(|row| row.2).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ids(&found), ids(&all));
        // A sixteenth of the rows spans about a quarter of each column, where a sort by one column leaves the other whole.
        let spans = found.chunks(256).map(|part| {
            let a: Vec<i64> = part.iter().filter_map(|row| row.0).collect();
            let b: Vec<i64> = part.iter().filter_map(|row| row.1.as_ref()?[1..].parse().ok()).collect();
            let span = |v: &[i64]| v.iter().max().unwrap() - v.iter().min().unwrap();
            span(&a).max(span(&b))
        });
        let average = spans.sum::<i64>() / 16;
        assert!(average < 450, "{curve:?}: {average}");
    }
}

#[test]
fn should_sort_by_transforms_and_nested_fields_and_say_what_is_missing() {
    let inner = Field::new("x", DataType::Float64, true);
    let nested = Schema::new(vec![
        Field::new("s", DataType::Struct(vec![inner.clone()].into()), true),
        Field::new("ts", DataType::Int64, true),
    ]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), Some(1.0), None]));
    let s = arrow_array::StructArray::new(vec![inner].into(), vec![floats], Some(vec![false, true, true].into()));
    let ts: ArrayRef = Arc::new(Int64Array::from(vec![17, 25, 31]));
    let batch = RecordBatch::try_new(Arc::new(nested.clone()), vec![Arc::new(s), ts]).unwrap();
    let by =
        |fields: Vec<SortField>| Keys::new(&Arrangement::Sort { fields, order_id: None }, Vec::new(), &nested, &[]);
    let keys = by(vec![field("s.x", false, false)]).unwrap().of(&batch).unwrap();
    assert!(keys.get(1) < keys.get(0), "a field of a null struct is null, and comes last");
    assert_eq!(keys.get(0), keys.get(2));
    let truncated = SortField { transform: "truncate[10]".into(), ..field("ts", false, false) };
    let keys = by(vec![truncated]).unwrap().of(&batch).unwrap();
    assert!(keys.get(0) < keys.get(1) && keys.get(1) < keys.get(2));
    assert!(by(vec![field("nope", false, false)]).unwrap_err().to_string().contains("no column \"nope\""));
    assert!(by(vec![SortField { transform: "magic".into(), ..field("ts", false, false) }]).is_err());
}

#[test]
fn should_have_floats_in_the_order_of_the_spec() {
    // -NaN < -Infinity < -value < -0 < 0 < value < Infinity < NaN, and nulls where they are wanted.
    let values = [
        Some(-f64::NAN),
        Some(f64::NEG_INFINITY),
        Some(-1.5),
        Some(-0.0),
        Some(0.0),
        Some(1.5),
        Some(f64::INFINITY),
        Some(f64::NAN),
    ];
    let schema = Schema::new(vec![Field::new("d", DataType::Float64, true)]);
    let floats: ArrayRef = Arc::new(values.into_iter().chain([None]).collect::<Float64Array>());
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![floats]).unwrap();
    for (descending, nulls_first) in [(false, true), (false, false), (true, true), (true, false)] {
        let order = Arrangement::Sort { fields: vec![field("d", descending, nulls_first)], order_id: None };
        let keys = Keys::new(&order, Vec::new(), &schema, &[]).unwrap().of(&batch).unwrap();
        let ascending =
            |(a, b): (usize, usize)| if descending { keys.get(a) > keys.get(b) } else { keys.get(a) < keys.get(b) };
        assert!((0..7).map(|n| (n, n + 1)).all(ascending), "{descending}");
        let outermost = (0..8).all(|n| if nulls_first { keys.get(8) < keys.get(n) } else { keys.get(8) > keys.get(n) });
        assert!(outermost, "{descending} {nulls_first}");
    }
}

#[test]
fn should_begin_runs_of_narrow_rows_before_their_keys_fill_the_memory() {
    let (spill, rows) = (Spill::new(std::env::temp_dir(), Spill::LIMIT), 1 << 20);
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let fields = vec![field("n", false, true)];
    let keys = Arc::new(Keys::new(&Arrangement::Sort { fields, order_id: None }, Vec::new(), &schema, &[]).unwrap());
    let mut sorter = Sorter::new(schema.clone(), keys, spill.clone(), 0);
    for part in 0..8 {
        let values: ArrayRef = Arc::new((0..rows / 8).map(|n| Some((n * 8 + part) ^ 0x5555)).collect::<Int64Array>());
        sorter.push(RecordBatch::try_new(schema.clone(), vec![values]).unwrap()).unwrap();
    }
    // 8 MiB of values, which a fifth of the memory would hold, are five times as much with keys and index.
    assert!(spill.used() > 0 || sorter.writing.is_some());
    let mut found = 0;
    sorter
        .finish(Vec::new(), |batch| {
            found += batch.num_rows();
            Ok(())
        })
        .unwrap();
    assert_eq!((found, spill.used()), (1 << 20, 0));
}
