//! One top-level column of one output row group: moved as pages if all its inputs allow it, decoded and encoded if not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use arrow_array::ArrayRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::Type as Physical;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use super::decode::{count_nans, read_piece};
use super::merge::{self, Choice, Merge, Merged, Stop, Wanted, Workspace};
use super::output::write_error;
use super::rewrite::{Opened, RowGroup, Work, lock};
use crate::error::{Context, Error, Result};
use crate::executor::columns::id;
use crate::executor::source::{Source, chunk_range};
use crate::executor::threads::guarded;
use crate::lake::damaged;
use crate::lake::parquet_schema::{evolved_leaf, is_decimal, same_leaf};
use crate::model::is_row_lineage;

/// A finished top-level column.
pub(super) struct Made {
    pub(super) leaves: Vec<MadeLeaf>,
    /// NaNs by leaf column.
    pub(super) nans: Vec<(usize, u64)>,
    /// Nulls that went with deleted rows.
    pub(super) removed_nulls: u64,
    /// Why it was encoded although pages are moved where they can be.
    pub(super) why: Option<Reason>,
}

/// Why a column is encoded.
pub(super) type Reason = Cow<'static, str>;

/// A finished leaf column.
pub(super) enum MadeLeaf {
    Encoded(Box<ArrowColumnChunk>),
    Moved(Box<Merged>),
    /// Made of the numbers of values.
    Numbered(Box<Merged>),
}

impl MadeLeaf {
    /// Compressed bytes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Encoded(chunk) => chunk.close().bytes_written,
            Self::Moved(merged) | Self::Numbered(merged) => merged.close.bytes_written,
        }
    }
}

/// Makes one top-level column of a row group.
pub(super) fn make(work: &Work<'_>, group: &RowGroup, root: usize, space: &mut Workspace) -> Result<Made> {
    if work.move_pages {
        match moved(work, group, root, space)? {
            Ok(made) => return Ok(made),
            Err(reason) => {
                work.encodes(root, &reason);
                return Ok(Made { why: Some(reason), ..encoded(work, group, root)? });
            }
        }
    }
    encoded(work, group, root)
}

/// Moves pages; the inner error says why they can't be moved.
fn moved(
    work: &Work<'_>,
    group: &RowGroup,
    root: usize,
    space: &mut Workspace,
) -> Result<std::result::Result<Made, Reason>> {
    let columns = match inputs_of(work, group, root) {
        Ok(columns) => columns,
        Err(reason) => return Ok(Err(reason.into())),
    };
    let mut made = Made { leaves: Vec::new(), nans: Vec::new(), removed_nulls: 0, why: None };
    for (place, leaf) in work.leaves(root).enumerate() {
        match moved_leaf(work, group, leaf, place, &columns, space)? {
            Ok((merged, choice)) => {
                *lock(&work.choices[leaf]) = choice;
                made.nans.push((leaf, merged.nans));
                made.removed_nulls += merged.removed_nulls;
                made.leaves.push(MadeLeaf::Moved(Box::new(merged)));
            }
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(made))
}

/// The leaves of a root in the file of every piece, if all are just what the table wants.
fn inputs_of(work: &Work<'_>, group: &RowGroup, root: usize) -> std::result::Result<Vec<Range<usize>>, &'static str> {
    let wanted = work.leaves(root);
    let mut found = Vec::with_capacity(group.batch.pieces.len());
    for (piece, Opened { source, matched }, _) in group.pieces() {
        let Some(column) = matched.roots[root] else {
            return Err("some files are older than the column");
        };
        let descriptor = source.metadata.file_metadata().schema_descr();
        let mut leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == column);
        let first = leaves.next().unwrap_or(0);
        let have = first..first + 1 + leaves.count();
        if have.len() != wanted.len() {
            return Err("it has other fields in some files");
        }
        for (file, table) in have.clone().zip(wanted.clone()) {
            let (file, table) = (descriptor.column(file), work.schema.parquet.column(table));
            let same = same_leaf(&file, &table) && merge::is_same(&file, &table);
            if !(same || evolved_leaf(&file, &table) && merge::can_change(&file, &table)) {
                return Err(difference(&file, &table));
            }
        }
        if matched.by_name() && have.len() > 1 {
            return Err("nested fields without ids are told by a mapping of names");
        }
        let chunks = &source.metadata.row_group(piece.row_group).columns()[have.clone()];
        let whole = |chunk: &ColumnChunkMetaData| chunk.statistics().and_then(|s| s.null_count_opt()) == Some(0);
        if id(work.schema.arrow.field(root)).is_some_and(is_row_lineage) && !chunks.iter().all(whole) {
            return Err("what rows inherit from their file is written out");
        }
        if !chunks.iter().all(|chunk| merge::is_known(chunk.compression())) {
            return Err("its codec is none whose pages are moved");
        }
        found.push(have);
    }
    Ok(found)
}

/// What is different about a leaf of a file, in words.
fn difference(file: &ColumnDescriptor, table: &ColumnDescriptor) -> &'static str {
    use Physical::{BYTE_ARRAY, DOUBLE, FIXED_LEN_BYTE_ARRAY, FLOAT, INT32, INT64, INT96};
    let decimal = is_decimal(table);
    match (file.physical_type(), table.physical_type()) {
        (FIXED_LEN_BYTE_ARRAY | BYTE_ARRAY, INT32 | INT64) if decimal => {
            "decimals as bytes, as older writers have them"
        }
        (INT32 | INT64 | FIXED_LEN_BYTE_ARRAY, INT64 | FIXED_LEN_BYTE_ARRAY) if decimal => {
            "decimals of fewer digits in some files: its type was promoted"
        }
        (INT32, INT64) | (FLOAT, DOUBLE) => "its type was promoted since some files were written",
        (INT96, INT64) => "timestamps as INT96, as older writers have them",
        (file, table) if file != table => "it is of another physical type in some files",
        _ if (file.max_def_level(), file.max_rep_level()) != (table.max_def_level(), table.max_rep_level()) => {
            "some files have it as required where the table does not, or the other way round"
        }
        _ => "it is of another type in some files",
    }
}

fn moved_leaf(
    work: &Work<'_>,
    group: &RowGroup,
    leaf: usize,
    place: usize,
    columns: &[Range<usize>],
    space: &mut Workspace,
) -> Result<std::result::Result<(Merged, Choice), Reason>> {
    let choice = *lock(&work.choices[leaf]);
    let column = work.schema.parquet.column(leaf);
    let flat = column.max_rep_level() == 0;
    let stopped = |stop: Stop, source: Option<&Source>| match stop {
        Stop::Unfit(why) => Ok(Err(why)),
        Stop::Damaged(what) => Err(bad_pages(&column.path().string(), source, &what)),
    };
    let mut merge = match Merge::new(space, column.clone(), work.rules[leaf], choice) {
        Ok(merge) => merge,
        Err(stop) => return stopped(stop, None),
    };
    let mut buffer = std::mem::take(&mut space.input);
    for ((piece, Opened { source, .. }, input), leaves) in group.pieces().zip(columns) {
        let row_group = source.metadata.row_group(piece.row_group);
        let metadata = row_group.column(leaves.start + place);
        let rows = u64::try_from(row_group.num_rows()).unwrap_or(0);
        if flat && metadata.num_values() != row_group.num_rows() {
            return stopped(Stop::Damaged("its values are not as many as its rows".into()), Some(source));
        }
        let Some(range) = chunk_range(metadata) else {
            return stopped(Stop::Damaged("it lies nowhere in its file".into()), Some(source));
        };
        let bytes = input.chunks.read(range, &mut buffer).map_err(|e| damaged(&source.path, e))?;
        let after = rows.saturating_sub(piece.offset).saturating_sub(piece.rows);
        let ranges = [(false, piece.offset), (true, piece.rows), (false, after)];
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let living = input.mask.living(source.first_row(piece.row_group) + piece.offset, number(piece.rows));
        let wanted = match &living {
            None => Wanted::Ranges(&ranges),
            Some(living) => Wanted::Living { all: number(rows), offset: number(piece.offset), rows: living.values() },
        };
        if let Err(stop) = merge.add(space, metadata, bytes, wanted) {
            return stopped(stop, Some(source));
        }
    }
    space.input = buffer;
    if merge.rows() as u64 != group.batch.rows {
        return stopped(Stop::Damaged("its rows are not as many as its row group's".into()), None);
    }
    match merge.finish(space) {
        Ok(done) => Ok(Ok(done)),
        Err(stop) => stopped(stop, None),
    }
}

fn bad_pages(column: &str, source: Option<&Source>, what: &str) -> Error {
    let file = source.map_or("an input", |source| source.path.as_str());
    Error::corrupt(format!("column {column} of {file} is damaged: {what}"))
        .hint("restore the file, or roll the table back to a snapshot without it; nothing was changed")
}

/// Decodes and encodes.
fn encoded(work: &Work<'_>, group: &RowGroup, root: usize) -> Result<Made> {
    let field = &work.schema.arrow.fields()[root];
    let first_leaf = work.leaves(root).start;
    let mut writers: Vec<ArrowColumnWriter> = group.writers(work, root)?;
    let (mut nans, mut removed_nulls) = (HashMap::new(), 0);
    let failed = |e| write_error(work.directory, e);
    for (piece, Opened { source, matched }, input) in group.pieces() {
        let mut write = |values: &ArrayRef| {
            count_nans(values, first_leaf, &mut nans);
            let leaves = compute_leaves(field, values).map_err(failed)?;
            for (writer, leaf) in writers.iter_mut().zip(leaves) {
                writer.write(&leaf).map_err(failed)?;
            }
            Ok(())
        };
        removed_nulls += guarded(|| read_piece(source, matched, root, field, *piece, input, &mut write))
            .while_doing(|| format!("reading column {} of {}", field.name(), source.path))?;
    }
    let leaves = writers
        .into_iter()
        .map(|writer| writer.close().map(|chunk| MadeLeaf::Encoded(Box::new(chunk))).map_err(failed))
        .collect::<Result<Vec<_>>>()?;
    Ok(Made { leaves, nans: nans.into_iter().collect(), removed_nulls, why: None })
}
