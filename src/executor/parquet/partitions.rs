//! The partitions that rows move to, in the order in which they are written.

use std::collections::HashMap;

use arrow_array::RecordBatch;

use crate::error::{Error, Result};
use crate::executor::Job;
use crate::executor::sort::{Column, Partitioning, columns};
use crate::lake::parquet_schema::WriteSchema;
use crate::lake::spec_path;
use crate::model::PartitionValues;

/// More partitions than this in one group are not what anybody wants: each gets a file.
const MOST: usize = 100_000;

/// Partitions of another spec than that of the inputs.
#[derive(Debug)]
pub(super) struct Partitions {
    spec: iceberg::spec::PartitionSpecRef,
    partitioning: Partitioning,
    /// Rows by partition: where files end depends on how many are to come.
    rows: HashMap<Box<[u8]>, u64>,
    /// The partition that is being written.
    at: Option<Box<[u8]>>,
}

/// Rows of a batch that are in one partition.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) from: usize,
    pub(super) count: usize,
    /// The partition, when these are its first rows.
    pub(super) entered: Option<Entered>,
}

/// A partition that begins.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) values: PartitionValues,
    pub(super) path: String,
    /// All rows that it will have.
    pub(super) rows: u64,
}

impl Partitions {
    /// Those of a job; `None` when its rows stay in their partition.
    ///
    /// # Errors
    /// `Unsupported` for a spec whose columns are gone.
    pub(super) fn of(job: &Job, schema: &WriteSchema) -> Result<Option<Self>> {
        if job.task.respec.is_none() {
            return Ok(None);
        }
        let Some(spec) = job.table.specs.get(&job.task.spec_id).cloned() else {
            return Err(Error::internal(format!("{} has no partition spec {}", job.table.table, job.task.spec_id)));
        };
        let partitioning = Partitioning::new(&spec, &job.table.schema, &schema.arrow)?;
        Ok(Some(Self { spec, partitioning, rows: HashMap::new(), at: None }))
    }

    /// The columns that rows are sorted by, so that those of a partition come together.
    pub(super) fn columns(&self, schema: &WriteSchema) -> Result<Vec<Column>> {
        Ok(columns(&self.spec, &schema.arrow)?.into_iter().flatten().collect())
    }

    /// Expects so many rows in the only partition that there is.
    pub(super) fn expect(&mut self, rows: u64) {
        self.rows.insert(Box::default(), rows);
    }

    /// Counts rows that are to come.
    pub(super) fn count(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(keys) = self.partitioning.keys(batch)? else {
            *self.rows.entry(Box::default()).or_default() += batch.num_rows() as u64;
            return Ok(());
        };
        let (mut from, rows) = (0, keys.num_rows());
        while from < rows {
            let key = keys.row(from);
            let to = (from + 1..rows).find(|row| keys.row(*row) != key).unwrap_or(rows);
            let count = (to - from) as u64;
            let known = self.rows.len();
            match self.rows.get_mut(key.data()) {
                Some(rows) => *rows += count,
                None if known == MOST => {
                    return Err(Error::unsupported(format!("rows belong to more than {MOST} partitions"))
                        .hint("each would get a tiny file: use a coarser partition spec"));
                }
                None => {
                    self.rows.insert(key.data().into(), count);
                }
            }
            from = to;
        }
        Ok(())
    }

    /// Runs of rows that are in one partition; the batches come in order.
    pub(super) fn runs(&mut self, batch: &RecordBatch) -> Result<Vec<Run>> {
        let Some(keys) = self.partitioning.keys(batch)? else {
            return Ok(vec![Run { from: 0, count: batch.num_rows(), entered: self.enter(&[], batch)? }]);
        };
        let (mut runs, mut from, rows) = (Vec::new(), 0, keys.num_rows());
        while from < rows {
            let key = keys.row(from);
            let to = (from + 1..rows).find(|row| keys.row(*row) != key).unwrap_or(rows);
            let entered = self.enter(key.data(), &batch.slice(from, 1))?;
            runs.push(Run { from, count: to - from, entered });
            from = to;
        }
        Ok(runs)
    }

    /// The partition of a key, if it is not at hand already.
    fn enter(&mut self, key: &[u8], row: &RecordBatch) -> Result<Option<Entered>> {
        if self.at.as_deref() == Some(key) {
            return Ok(None);
        }
        let values = self.partitioning.values(row)?;
        let kind = self.partitioning.kind();
        let path = spec_path(&self.spec, Some(kind), &values.to_struct(kind)?);
        self.at = Some(key.into());
        Ok(Some(Entered { values, path, rows: self.rows.get(key).copied().unwrap_or(0) }))
    }
}
