//! Rows of several batches become one: stretches of neighbours in one go, single ones one by one.

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_data::transform::MutableArrayData;
use arrow_select::interleave::interleave_record_batch;

use crate::error::{Error, Result};

/// Rows of a batch that stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The batch that they are in.
    pub(super) batch: usize,
    pub(super) from: usize,
    pub(super) count: usize,
}

/// Stretches of so many rows on average are copied as such. Shorter ones cost more to begin than to look up row by row.
const LONG: usize = 8;

/// Puts stretches together, in order.
pub(super) fn gather(batches: &[RecordBatch], stretches: &[Stretch]) -> Result<RecordBatch> {
    let failed = |e| Error::internal("sorted rows can't be put together").caused_by(e);
    if let [one] = stretches {
        return Ok(batches[one.batch].slice(one.from, one.count));
    }
    let rows: usize = stretches.iter().map(|stretch| stretch.count).sum();
    if rows < stretches.len() * LONG {
        let single = |stretch: &Stretch| {
            let batch = stretch.batch;
            (stretch.from..stretch.from + stretch.count).map(move |row| (batch, row))
        };
        let rows: Vec<(usize, usize)> = stretches.iter().flat_map(single).collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        return interleave_record_batch(&batches, &rows).map_err(failed);
    }
    let Some(first) = batches.first() else { return Err(Error::internal("rows of no batch")) };
    // Few of many batches, where many runs are merged.
    let (mut used, mut places) = (Vec::new(), vec![usize::MAX; batches.len()]);
    for stretch in stretches {
        if places[stretch.batch] == usize::MAX {
            places[stretch.batch] = used.len();
            used.push(&batches[stretch.batch]);
        }
    }
    let columns: Vec<ArrayRef> = (0..first.num_columns())
        .map(|column| {
            let parts: Vec<_> = used.iter().map(|batch| batch.column(column).to_data()).collect();
            let mut made = MutableArrayData::new(parts.iter().collect(), false, rows);
            for stretch in stretches {
                made.extend(places[stretch.batch], stretch.from, stretch.from + stretch.count);
            }
            make_array(made.freeze())
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(first.schema(), columns, &options).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};
    use arrow_select::concat::concat_batches;

    use super::*;

    #[test]
    fn should_put_short_and_long_stretches_together() {
        let schema =
            Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("s", DataType::Utf8, true)]));
        let batch = |from: i64| {
            let values = (from..from + 100).map(|n| (n % 7 != 0).then_some(n));
            let texts: StringArray = (from..from + 100).map(|n| (n % 5 != 0).then(|| format!("text {n}"))).collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(values.collect::<Int64Array>()), Arc::new(texts)];
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        };
        let batches = [batch(0), batch(1000), batch(2000)];
        for longest in [1, 3, 9, 60] {
            let stretches: Vec<Stretch> = (0..30)
                .map(|n| Stretch {
                    batch: n * 2 % 3,
                    from: n,
                    count: if n % 4 == 0 { longest } else { longest / 2 + 1 },
                })
                .collect();
            for some in [&stretches[..1], &stretches] {
                let slices: Vec<RecordBatch> =
                    some.iter().map(|one| batches[one.batch].slice(one.from, one.count)).collect();
                assert_eq!(gather(&batches, some).unwrap(), concat_batches(&schema, &slices).unwrap());
            }
        }
    }
}
