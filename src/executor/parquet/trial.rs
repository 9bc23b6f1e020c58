//! What would come out? A row group made of a few inputs, as a rewrite would make it, and thrown away.

use std::sync::Arc;

use super::crew::Crew;
use super::decode::RowGroupInput;
use super::pieces::{Batch, Piece};
use super::props;
use super::rewrite::{RowGroup, Work};
use super::roots::MadeLeaf;
use crate::error::Result;
use crate::executor::TableContext;
use crate::executor::source::Source;
use crate::lake::parquet_schema::write_schema;
use crate::model::CompactPolicy;

/// Threads that make its columns. Often one column takes as long as all others do.
const HANDS: usize = 2;

/// Makes one row group of the first row group of each source, and says how many bytes went in and how many came out.
///
/// # Errors
/// As a rewrite of these rows.
pub(crate) fn trial(
    sources: Vec<Source>,
    inputs: Vec<RowGroupInput>,
    table: &TableContext,
    policy: &CompactPolicy,
) -> Result<(u64, u64)> {
    let schema = write_schema(&table.schema)?;
    let properties = Arc::new(props::writer_properties(policy, &table.schema, &schema.parquet)?);
    let work = Work::new(table, policy, schema, properties)?;
    let (mut batch, mut opened) = (Batch::default(), Vec::with_capacity(sources.len()));
    for (number, source) in sources.into_iter().enumerate() {
        let Some(group) = source.metadata.row_groups().first() else { continue };
        let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
        let (rows, bytes) = (unsigned(group.num_rows()), unsigned(group.compressed_size()));
        batch.pieces.push(Piece { source: number, row_group: 0, offset: 0, rows, bytes });
        batch.rows += rows;
        batch.bytes += bytes;
        opened.push(work.open(source)?);
    }
    let read = batch.bytes;
    let columns = work.schema.arrow.fields().len();
    let group = Arc::new(RowGroup::new(batch, opened, inputs, columns));
    let crew = Crew::default();
    crew.submit(&group, work.heaviest_first(&group));
    crew.end();
    std::thread::scope(|scope| {
        (0..HANDS).for_each(|_| drop(scope.spawn(|| crew.work(&work))));
    });
    let made = crew.wait(&group)?;
    let written = made.iter().flat_map(|made| &made.leaves).map(MadeLeaf::bytes).sum();
    Ok((read, written))
}
