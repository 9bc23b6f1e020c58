//! Inputs against outputs, before anybody may commit (I3): rows, nulls and bounds of every column.

use std::collections::BTreeMap;

use iceberg::spec::Schema;

use super::Job;
use super::deletes::Mask;
use super::parquet::Output;
use super::source::Source;
use super::stats::{Bound, Leaf, leaves, leaves_of};
use crate::error::{Error, Result};
use crate::model::is_row_lineage;

/// What the row groups with living rows of inputs hold, added up input by input.
#[derive(Default)]
pub(crate) struct Before {
    inputs: usize,
    sums: Sums,
    /// Rows of those row groups that live, and that don't.
    living: u64,
    removed: u64,
    /// Their compressed bytes.
    bytes: u64,
}

impl Before {
    /// Adds an input.
    pub(super) fn add(&mut self, source: &Source, mask: &Mask, schema: &Schema) {
        let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
        self.inputs += 1;
        let (mut first, mut rows) = (0, 0);
        let mut read = vec![true; source.metadata.num_row_groups()];
        for (group, read) in source.metadata.row_groups().iter().zip(&mut read) {
            let all = unsigned(group.num_rows());
            let dead = mask.deleted(first, all);
            first += all;
            // A row group that is dead as a whole is never read.
            *read = dead < all;
            if *read {
                rows += all;
                self.removed += dead;
                self.living += all - dead;
                self.bytes += unsigned(group.compressed_size());
            }
        }
        self.sums.add(leaves_of(&source.metadata, schema, |group| read[group]), rows);
    }

    /// How many inputs were added.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The compressed bytes of those row groups.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Compares the footers of inputs and outputs.
///
/// # Errors
/// `Internal` naming the column and the figures when they differ: nothing may be committed then.
pub(super) fn stats(job: &Job, before: &Before, outputs: &[Output]) -> Result<()> {
    let Before { inputs, sums: before, living, removed, .. } = before;
    let (inputs, living, removed) = (*inputs, *living, *removed);
    // What was never opened would be missing on both sides.
    if inputs != job.task.inputs.len() {
        return Err(differs(job, "the number of files", job.task.inputs.len(), inputs));
    }
    let rows_out: u64 = outputs.iter().map(|output| output.file.records).sum();
    if living != rows_out {
        return Err(differs(job, "the number of living rows", living, rows_out));
    }
    let removed_nulls = removed_nulls(outputs);
    let mut after = Sums::default();
    for output in outputs {
        after.add(leaves(&output.metadata, &job.table.schema), output.file.records);
    }
    for (id, out) in after.columns.iter().filter(|(id, _)| !is_row_lineage(**id)) {
        // A column that some input lacks (added later), or that an input has under a name only, is not comparable here.
        let Some(into) = before.columns.get(id).filter(|column| column.files == before.files) else { continue };
        let name = job.table.schema.name_by_field_id(*id).unwrap_or("?");
        if let (Some(nulls_in), Some(nulls_out)) = (into.nulls, out.nulls) {
            // A deleted row of a nested column takes any number of nulls with it.
            let gone = if removed == 0 { Some(0) } else { removed_nulls.get(id).copied() };
            let kept = match gone {
                Some(gone) => nulls_in.checked_sub(gone) == Some(nulls_out),
                None => nulls_out <= nulls_in,
            };
            if !kept {
                let gone = gone.unwrap_or(0);
                let nulls_in = nulls_in.saturating_sub(gone);
                return Err(differs(job, &format!("the number of nulls in column {name}"), nulls_in, nulls_out));
            }
        }
        if let (Some((low, high)), Some((l, h))) = (&into.bounds, &out.bounds)
            && into.exact
            && out.exact
            && !(low.same(l) && high.same(h))
            // Deleted rows may have held the extremes: what is left lies between them.
            && !(removed > 0 && l.clone().least(low.clone()).same(low) && h.clone().greatest(high.clone()).same(high))
        {
            return Err(differs(job, &format!("the bounds of column {name}"), (low, high), (l, h)));
        }
    }
    Ok(())
}

/// Nulls that went with deleted rows, by field id, for columns where they could be counted: top-level ones without
/// children.
fn removed_nulls(outputs: &[Output]) -> BTreeMap<i32, u64> {
    let mut found = BTreeMap::new();
    for output in outputs {
        let descriptor = output.metadata.file_metadata().schema_descr();
        for (leaf, column) in descriptor.columns().iter().enumerate() {
            let flat = column.path().parts().len() == 1;
            let nulls = output.removed_nulls.get(&descriptor.get_column_root_idx(leaf));
            if let (true, Some(nulls)) = (flat, nulls) {
                *found.entry(column.self_type().get_basic_info().id()).or_default() += nulls;
            }
        }
    }
    found
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
