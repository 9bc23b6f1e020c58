//! Where each file is, where it belongs, and why it stays where that differs.

use super::age::{TimeColumn, age_ms, days};
use crate::error::Result;
use crate::model::{
    ArchivePolicy, DataFile, FileFormat, PickReason, SkipReason, StayReason, Stays, TableState, TierPlace,
    UnsupportedDelete, same_class, tier_of, told_by_class,
};
use crate::planner::compact::eligible::unsupported_deletes;
use crate::planner::deletes::Burdens;
use crate::planner::filter::FilterOn;

/// How long data that was brought back stays, if the snapshot that says so is retained so long.
const BROUGHT_BACK_MS: i64 = 30 * 86_400_000;
/// The summary of a snapshot names the tier that data was brought to on request.
pub const BROUGHT_TO: &str = "icewright.archive.asked";

/// A file, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) tier: usize,
    /// Milliseconds since its newest possible row, where that is known.
    pub(super) age_ms: Option<i64>,
}

/// A file that goes to another tier.
#[derive(Debug, Clone)]
pub(super) struct Mover {
    /// Index into the state's files.
    pub(super) index: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) age_ms: i64,
    pub(super) picked: PickReason,
    /// It is in its tier's place and only lacks the class.
    pub(super) only_class: bool,
}

/// All files of a table by place.
#[derive(Debug)]
pub(super) struct Placement {
    /// In the order of the state's files.
    pub(super) placed: Vec<Placed>,
    pub(super) movers: Vec<Mover>,
    pub(super) stays: Vec<Stays>,
    /// The deletes that apply to each file. They are applied on the way, for they would not find it in its new place.
    pub(super) burdens: Burdens,
}

/// Looks at every file.
pub(super) fn place(
    state: &TableState,
    policy: &ArchivePolicy,
    column: Option<&TimeColumn>,
    now_ms: i64,
) -> Result<Placement> {
    let filter = policy.filter.as_ref().map(|filter| FilterOn::new(filter, &state.metadata)).transpose()?;
    let asked = policy.asked()?;
    let places = places(policy);
    let burdens = Burdens::find(state);
    let (mut placed, mut movers, mut stays) = (Vec::new(), Vec::new(), Vec::new());
    for (index, file) in state.files.iter().enumerate() {
        let class = state.classes.get(&*file.path).map(String::as_str);
        let from = tier_of(&places, &file.path, class);
        let age = column.and_then(|column| column.end(state, file)).map(|end| age_ms(end, now_ms));
        placed.push(Placed { tier: from, age_ms: age });
        let mut stay = |why| stays.push(Stays { path: file.path.to_string(), size: file.size, why });
        if filter.as_ref().is_some_and(|filter| !filter.may_match(state, file)) {
            stay(StayReason::FilteredOut);
            continue;
        }
        let (to, picked) = match (asked, age) {
            (Some(to), _) => (to, PickReason::Asked),
            (None, Some(age)) => (due(policy, age), PickReason::Ageing { days: days(age) }),
            (None, None) => {
                stay(StayReason::AgeUnknown);
                continue;
            }
        };
        let wrong_class = class.is_some_and(|class| {
            places[to].storage_class.is_some() && !same_class(places[to].storage_class.as_deref(), class)
        });
        if to == from && !wrong_class {
            continue;
        }
        if asked.is_none() && to < from {
            stay(StayReason::ColderThanNeeded);
        } else if asked.is_none() && brought_back(state, policy, file, from, now_ms) {
            stay(StayReason::BroughtBack);
        } else if file.encrypted {
            stay(StayReason::Encrypted);
        } else if to != from && class.is_none() && told_by_class(&[places[from].clone(), places[to].clone()]) {
            stay(StayReason::ClassUnknown { tier: places[to].name.clone() });
        } else {
            let burden = burdens.of(index);
            let delete_files = burden.deletes.len() as u64;
            // A change of class in place touches neither the file's bytes nor its name: deletes still find it.
            let in_place = to == from || told_by_class(&[places[from].clone(), places[to].clone()]);
            if delete_files > 0 && !in_place {
                if let Some(SkipReason::UnsupportedDeletes(delete)) = unsupported_deletes(state, burden) {
                    let UnsupportedDelete { delete_file, what } = *delete;
                    stay(StayReason::UnsupportedDeletes { delete_file, what });
                    continue;
                }
                if file.format != FileFormat::Parquet {
                    stay(StayReason::HasDeletes { delete_files });
                    continue;
                }
            }
            let only_class = in_place && (to == from || delete_files > 0);
            movers.push(Mover { index, from, to, age_ms: age.unwrap_or(0), picked, only_class });
        }
    }
    Ok(Placement { placed, movers, stays, burdens })
}

pub(super) fn places(policy: &ArchivePolicy) -> Vec<TierPlace> {
    policy.tiers.iter().map(crate::model::Tier::place).collect()
}

/// The coldest tier whose line an age has passed.
fn due(policy: &ArchivePolicy, age_ms: i64) -> usize {
    policy.tiers.iter().rposition(|tier| tier.older_than_ms.is_some_and(|line| age_ms >= line)).unwrap_or(0)
}

/// Whether the file was brought to its tier on request, not long ago.
fn brought_back(state: &TableState, policy: &ArchivePolicy, file: &DataFile, from: usize, now_ms: i64) -> bool {
    let snapshot = file.snapshot_id.and_then(|id| state.metadata.snapshot_by_id(id));
    snapshot.is_some_and(|snapshot| {
        let to = snapshot.summary().additional_properties.get(BROUGHT_TO);
        to == Some(&policy.tiers[from].name) && now_ms - snapshot.timestamp_ms() < BROUGHT_BACK_MS
    })
}

/// The files whose storage class planning has to know: those that only it can tell the tier of, and those of tiers that
/// have one.
pub(super) fn classes_wanted(state: &TableState, places: &[TierPlace]) -> Vec<String> {
    let wanted = |file: &&DataFile| {
        let first = tier_of(places, &file.path, None);
        let shared = places
            .iter()
            .enumerate()
            .any(|(index, place)| index != first && told_by_class(&[places[first].clone(), place.clone()]));
        shared || places[first].storage_class.is_some()
    };
    state.files.iter().filter(wanted).map(|file| file.path.to_string()).collect()
}
