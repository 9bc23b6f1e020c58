//! What would come out? A row group made of a few inputs, as a rewrite would make it, and thrown away.

use std::sync::Arc;

use super::decode::RowGroupInput;
use super::merge::Workspace;
use super::pieces::{Batch, Piece};
use super::rewrite::{RowGroup, Work};
use super::{props, roots};
use crate::error::{Context, Result};
use crate::executor::TableContext;
use crate::executor::source::Source;
use crate::executor::threads::guarded;
use crate::lake::parquet_schema::write_schema;
use crate::model::CompactPolicy;

/// Makes one row group of the first row group of each source, and says how many bytes went in and how many came out.
///
/// # Errors
/// As a rewrite of these rows.
pub(crate) fn trial(
    sources: &[Source],
    inputs: Vec<RowGroupInput>,
    table: &TableContext,
    policy: &CompactPolicy,
) -> Result<(u64, u64)> {
    let schema = write_schema(&table.schema)?;
    let properties = Arc::new(props::writer_properties(policy, &table.schema, &schema.parquet)?);
    let work = Work::new(sources, table, policy, schema, properties)?;
    let mut batch = Batch::default();
    for (number, source) in sources.iter().enumerate() {
        let Some(group) = source.metadata.row_groups().first() else { continue };
        let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
        let (rows, bytes) = (unsigned(group.num_rows()), unsigned(group.compressed_size()));
        batch.pieces.push(Piece { source: number, row_group: 0, offset: 0, rows, bytes });
        batch.rows += rows;
        batch.bytes += bytes;
    }
    let read = batch.bytes;
    let columns = work.schema.arrow.fields().len();
    let group = RowGroup::new(batch, inputs, columns);
    let mut space = Workspace::new(work.pool.clone());
    let mut written = 0;
    for root in 0..columns {
        let made = guarded(|| roots::make(&work, &group, root, &mut space))
            .while_doing(|| format!("trying column {}", work.schema.arrow.field(root).name()))?;
        written += made.leaves.iter().map(roots::MadeLeaf::bytes).sum::<u64>();
    }
    Ok((read, written))
}
