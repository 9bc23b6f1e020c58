//! Planning an archival: which files belong to another tier, how they get there, what that costs, and why the others stay.
//!
//! Where a file is follows from its location (and its class, where tiers share a place); where it belongs follows from the
//! age of its newest possible row. Nothing is kept on the side. Data only ever moves to colder tiers by itself, and a file
//! that is in its tier is never looked at again, which makes the result a fixed point (I8).

mod age;
mod cost;
mod place;
mod tasks;
mod uses;

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;

use crate::error::{Error, Result};
use crate::model::{ArchivePlan, ArchivePolicy, Base, Codec, FileFormat, Money, TableState, TierPlace};
use crate::planner::compact;
use age::TimeColumn;
pub use place::BROUGHT_TO;
use place::Placement;

/// Output bytes per input byte by codec, measured with each tier's own encoding: by the tier's index.
pub type TierRatios = BTreeMap<usize, BTreeMap<Codec, f64>>;

/// The fields whose bounds planning wants: the one that tells the age, and those of the filter.
///
/// # Errors
/// As [`plan`].
pub fn fields_wanted(metadata: &TableMetadata, policy: &ArchivePolicy) -> Result<Vec<i32>> {
    let mut fields = match &policy.filter {
        Some(filter) => crate::planner::filter_fields(filter, metadata)?,
        None => Vec::new(),
    };
    fields.extend(time_column(metadata, policy)?.map(|column| column.id));
    Ok(fields)
}

/// The files whose storage class planning wants to know, for tiers in these places.
pub fn classes_wanted(state: &TableState, places: &[TierPlace]) -> Vec<String> {
    if places.len() < 2 { Vec::new() } else { place::classes_wanted(state, places) }
}

/// The files whose footers planning wants to see, and the tier that each goes to.
///
/// # Errors
/// As [`plan`].
pub fn footers_wanted(state: &TableState, policy: &ArchivePolicy, now_ms: i64) -> Result<Vec<(String, usize)>> {
    let (placement, _) = placement(state, policy, now_ms)?;
    let movers = placement.movers.iter().filter(|mover| !mover.only_class);
    let wanted = movers.filter(|mover| state.files[mover.index].format == FileFormat::Parquet);
    Ok(wanted.map(|mover| (state.files[mover.index].path.to_string(), mover.to)).collect())
}

/// Plans the moves of a table. `now_ms` decides ages.
///
/// # Errors
/// `Unsupported` for tables that a rewrite would not keep whole, `InvalidInput` for a tier, a time column or a filter that
/// the table does not have.
pub fn plan(state: &TableState, policy: &ArchivePolicy, ratios: &TierRatios, now_ms: i64) -> Result<ArchivePlan> {
    let (Placement { placed, movers, mut stays, burdens }, column) = placement(state, policy, now_ms)?;
    let tasks = tasks::tasks(state, policy, ratios, (&movers, &burdens), &mut stays, now_ms);
    stays.sort_by(|a, b| a.path.cmp(&b.path));
    let before = uses::before(state, policy, &placed);
    let after = uses::after(policy, &before, state, &placed, &tasks);
    let mut money = Money::default();
    tasks.iter().for_each(|task| money.add(&task.money));
    Ok(ArchivePlan {
        table: state.name.clone(),
        table_uuid: state.metadata.uuid().to_string(),
        base: state.snapshot_id.map(|snapshot_id| Base {
            snapshot_id,
            sequence_number: state.sequence_number,
            schema_id: state.metadata.current_schema_id(),
            metadata_location: state.metadata_location.clone(),
        }),
        created_ms: now_ms,
        policy: policy.clone(),
        time_column: column.map(|column| column.name),
        tasks,
        stays,
        before,
        after,
        money,
    })
}

fn placement(state: &TableState, policy: &ArchivePolicy, now_ms: i64) -> Result<(Placement, Option<TimeColumn>)> {
    compact::refuse_unsupported(state)?;
    if policy.tiers.len() < 2 {
        return Err(Error::invalid("an archival needs at least two tiers").hint(
            "describe them in icewright.toml: [[tier]] name = \"hot\", [[tier]] name = \"cold\", location = \"s3://…\"",
        ));
    }
    let column = time_column(&state.metadata, policy)?;
    let placement = place::place(state, policy, column.as_ref(), now_ms)?;
    Ok((placement, column))
}

/// The column that tells ages. Who names a tier need not have one.
fn time_column(metadata: &TableMetadata, policy: &ArchivePolicy) -> Result<Option<TimeColumn>> {
    match TimeColumn::find(metadata, policy.time_column.as_deref()) {
        Err(_) if policy.to.is_some() && policy.time_column.is_none() => Ok(None),
        found => found,
    }
}
