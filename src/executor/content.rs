//! `--verify content`: an order-free hash of every column, of inputs and of what was really written.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tokio::runtime::Handle;
use twox_hash::XxHash64;

use super::columns::match_columns;
use super::deletes::Masks;
use super::opening::Opening;
use super::parquet::{Output, RowGroupInput, read_root};
use super::source::{self, Source};
use super::{Job, TableContext};
use crate::error::{Error, Result};
use crate::lake::parquet_schema::{WriteSchema, write_schema};

/// What a null hashes to.
const NULL: u64 = 0x9e37_79b9_7f4a_7c15;

/// Reads inputs and outputs and compares them column by column.
///
/// # Errors
/// `Internal` naming the column that differs: nothing may be committed then.
pub(super) fn compare(job: &Job, outputs: &[Output]) -> Result<()> {
    let written = outputs
        .iter()
        .map(|output| job.runtime.block_on(source::open(&job.store, &output.file.path, output.file.size)))
        .collect::<Result<Vec<_>>>()?;
    let inputs = Opening::begin(job.task.clone(), job.store.clone(), job.runtime.clone()).all()?;
    let (before, after) = (Side { files: &inputs, masks: &job.masks }, Side::whole(&written));
    match differing(&before, &after, &job.table, job.workers, &job.runtime)? {
        None => Ok(()),
        Some(column) => Err(Error::internal(format!(
            "verification of group {} failed: the content of column {column} would change",
            job.task.id
        ))
        .hint("nothing was committed for this group; please report this")),
    }
}

/// Files with their deleted rows.
struct Side<'a> {
    files: &'a [Source],
    masks: &'a Masks,
}

impl<'a> Side<'a> {
    /// Files in which every row lives.
    fn whole(files: &'a [Source]) -> Self {
        static NONE: Masks = Masks::none();
        Self { files, masks: &NONE }
    }
}

/// The first column found whose values are not the same on both sides.
fn differing(
    before: &Side<'_>,
    after: &Side<'_>,
    table: &TableContext,
    workers: usize,
    runtime: &Handle,
) -> Result<Option<String>> {
    let schema = write_schema(&table.schema)?;
    let columns = schema.arrow.fields().len();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        loop {
            let root = next.fetch_add(1, Ordering::Relaxed);
            if root >= columns {
                return;
            }
            let hash = |side: &Side<'_>| hash_column(side, table, &schema, root, runtime);
            let answer = match (hash(before), hash(after)) {
                (Ok(before), Ok(after)) if before == after => continue,
                (Ok(_), Ok(_)) => Ok(Some(schema.arrow.field(root).name().clone())),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
            next.store(columns, Ordering::Relaxed);
            found.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers.min(columns).max(1) {
            scope.spawn(work);
        }
        work();
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or(Ok(None))
}

#[cfg(test)]
pub(super) async fn differing_column(
    before: &[Source],
    after: &[Source],
    table: &TableContext,
) -> Result<Option<String>> {
    let (before, after, table) = (before.to_vec(), after.to_vec(), table.clone());
    let runtime = Handle::current();
    let work = move || differing(&Side::whole(&before), &Side::whole(&after), &table, 2, &runtime);
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("died").caused_by(e))?
}

/// The sum of the hashes of all values: the same for the same multiset of values, in whatever order and files.
fn hash_column(
    side: &Side<'_>,
    table: &TableContext,
    schema: &WriteSchema,
    root: usize,
    runtime: &Handle,
) -> Result<u64> {
    let field = schema.arrow.field(root);
    let mut sum = 0u64;
    for (number, source) in side.files.iter().enumerate() {
        let matched = match_columns(source, &schema.arrow, table)?;
        for index in 0..source.metadata.num_row_groups() {
            let chunks = runtime.block_on(source.row_group(index))?;
            let input = RowGroupInput { chunks, mask: side.masks.of(number)? };
            read_root(source, &matched, root, field, index, &input, &mut |values| {
                for hash in hashes(values)? {
                    sum = sum.wrapping_add(mix(hash));
                }
                Ok(())
            })?;
        }
    }
    Ok(sum)
}

/// Spreads a hash before it is summed, so that sums of related values do not cancel out.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    hash ^ (hash >> 27)
}

/// One hash a value; nested values hash their children.
fn hashes(values: &ArrayRef) -> Result<Vec<u64>> {
    let nulls = values.logical_nulls();
    let mut hashes = match values.data_type() {
        DataType::Struct(_) => {
            let mut all = vec![1u64; values.len()];
            for child in values.as_struct().columns() {
                for (hash, child) in all.iter_mut().zip(self::hashes(child)?) {
                    *hash = mix(hash.rotate_left(5) ^ child);
                }
            }
            all
        }
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            ranges(&self::hashes(list.values())?, list.value_offsets())
        }
        DataType::Map(_, _) => {
            let map = values.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            ranges(&self::hashes(&entries)?, map.value_offsets())
        }
        DataType::Utf8 => values.as_string::<i32>().iter().map(|v| bytes(v.unwrap_or_default().as_bytes())).collect(),
        DataType::Binary => values.as_binary::<i32>().iter().map(|v| bytes(v.unwrap_or_default())).collect(),
        DataType::FixedSizeBinary(_) => {
            values.as_fixed_size_binary().iter().map(|v| bytes(v.unwrap_or_default())).collect()
        }
        DataType::Boolean => values.as_boolean().iter().map(|v| bytes(&[u8::from(v == Some(true))])).collect(),
        kind => {
            let width = kind.primitive_width().ok_or_else(|| {
                Error::unsupported(format!("values of type {kind} can't be compared")).hint("use --verify stats")
            })?;
            let data = values.to_data();
            let buffer = data.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
            buffer.chunks_exact(width).skip(data.offset()).take(values.len()).map(bytes).collect()
        }
    };
    if let Some(nulls) = nulls {
        for (hash, valid) in hashes.iter_mut().zip(nulls.iter()) {
            if !valid {
                *hash = NULL;
            }
        }
    }
    Ok(hashes)
}

fn ranges(items: &[u64], offsets: &[i32]) -> Vec<u64> {
    offsets
        .windows(2)
        .map(|pair| {
            let (start, end) = (usize::try_from(pair[0]).unwrap_or(0), usize::try_from(pair[1]).unwrap_or(0));
            items[start..end].iter().fold(2, |hash: u64, item| mix(hash.rotate_left(7) ^ item))
        })
        .collect()
}

fn bytes(value: &[u8]) -> u64 {
    XxHash64::oneshot(0, value)
}
