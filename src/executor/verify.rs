//! Inputs against outputs, before anybody may commit (I3): rows, nulls and bounds of every column.

use std::collections::BTreeMap;

use super::Job;
use super::parquet::Output;
use super::stats::{Bound, Leaf, leaves};
use crate::error::{Error, Result};

/// Compares the footers of inputs and outputs.
///
/// # Errors
/// `Internal` naming the column and the figures when they differ: nothing may be committed then.
pub(super) fn stats(job: &Job, outputs: &[Output]) -> Result<()> {
    let rows_in: u64 = job.task.inputs.iter().map(|input| input.records).sum();
    let rows_out: u64 = outputs.iter().map(|output| output.file.records).sum();
    if rows_in != rows_out {
        return Err(differs(job, "the number of rows", rows_in, rows_out));
    }
    let mut before = Sums::default();
    for source in &job.sources {
        let rows = u64::try_from(source.metadata.file_metadata().num_rows()).unwrap_or(0);
        before.add(leaves(&source.metadata, &job.table.schema), rows);
    }
    let mut after = Sums::default();
    for output in outputs {
        after.add(leaves(&output.metadata, &job.table.schema), output.file.records);
    }
    for (id, out) in &after.columns {
        // A column that some input lacks (added later), or that an input has under a name only, is not comparable here.
        let Some(into) = before.columns.get(id).filter(|column| column.files == before.files) else { continue };
        let name = job.table.schema.name_by_field_id(*id).unwrap_or("?");
        if let (Some(nulls_in), Some(nulls_out)) = (into.nulls, out.nulls)
            && nulls_in != nulls_out
        {
            return Err(differs(job, &format!("the number of nulls in column {name}"), nulls_in, nulls_out));
        }
        if let (Some((low, high)), Some((l, h))) = (&into.bounds, &out.bounds)
            && into.exact
            && out.exact
            && !(low.same(l) && high.same(h))
        {
            return Err(differs(job, &format!("the bounds of column {name}"), (low, high), (l, h)));
        }
    }
    Ok(())
}

fn differs(job: &Job, what: &str, before: impl std::fmt::Debug, after: impl std::fmt::Debug) -> Error {
    Error::internal(format!(
        "verification of group {} failed: {what} was {before:?} and would be {after:?}",
        job.task.id
    ))
    .hint(
        "nothing was committed for this group; please report this with the table's schema and the writer of its files",
    )
}

#[derive(Default)]
struct Sums {
    files: u64,
    columns: BTreeMap<i32, Column>,
}

struct Column {
    files: u64,
    nulls: Option<u64>,
    bounds: Option<(Bound, Bound)>,
    exact: bool,
}

impl Sums {
    fn add(&mut self, file: BTreeMap<i32, (usize, Leaf)>, rows: u64) {
        if rows == 0 {
            return;
        }
        self.files += 1;
        for (id, (_, leaf)) in file {
            let all_null = leaf.nulls == Some(leaf.values);
            let column =
                self.columns.entry(id).or_insert(Column { files: 0, nulls: Some(0), bounds: None, exact: true });
            column.files += 1;
            column.nulls = column.nulls.zip(leaf.nulls).map(|(sum, nulls)| sum + nulls);
            column.exact &= leaf.exact && (leaf.bounds.is_some() || all_null);
            if let Some((low, high)) = leaf.bounds {
                column.bounds = Some(match column.bounds.take() {
                    None => (low, high),
                    Some((l, h)) => (l.least(low), h.greatest(high)),
                });
            }
        }
    }
}
