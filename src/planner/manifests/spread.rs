//! How far the partitions of a group are spread over its manifests.
//!
//! The list gives each manifest a range per partition field: a box. A partition is a point, and a scan of it opens the
//! manifests whose box holds the point. Manifests of one partition only ("pure") are not counted: whatever the layout,
//! a partition with that many files has them.

use std::cmp::Ordering;

use iceberg::spec::Datum;

use crate::model::{FieldRange, ManifestInfo};

/// Depths are measured at no more points than this; beyond it at every n-th.
const POINTS: usize = 4096;
/// How much work the search for the deepest point may be. Sorted groups are far below; when it runs out, the answer is
/// unknown.
const SEARCH: usize = 20_000_000;

/// A box: per field the ranks of its least and greatest value.
type Ranks = Vec<(u32, u32)>;

/// The boxes of a group.
pub(super) struct Spread {
    /// By manifest; `None` where the list does not tell.
    boxes: Vec<Option<Ranks>>,
    fields: u64,
}

impl Spread {
    pub(super) fn of(manifests: &[&ManifestInfo]) -> Self {
        let fields = manifests.iter().filter_map(|manifest| manifest.ranges.as_ref()).map(Vec::len).max().unwrap_or(0);
        let mut boxes: Vec<Option<Ranks>> = manifests
            .iter()
            .map(|manifest| manifest.ranges.as_ref().filter(|r| r.len() == fields).map(|_| Vec::with_capacity(fields)))
            .collect();
        for field in 0..fields {
            let ranges: Vec<Option<&FieldRange>> = manifests
                .iter()
                .map(|manifest| manifest.ranges.as_ref().and_then(|ranges| ranges.get(field)))
                .collect();
            let mut values: Vec<&Datum> =
                ranges.iter().flatten().flat_map(|range| [&range.lower, &range.upper]).flatten().collect();
            values.sort_by(|a, b| order(a, b));
            values.dedup_by(|a, b| order(a, b).is_eq());
            for (ranks, range) in boxes.iter_mut().zip(ranges) {
                if let (Some(ranks), Some(range)) = (ranks, range) {
                    ranks.push(span(range, &values));
                }
            }
        }
        Self { boxes, fields: fields as u64 }
    }

    /// The most manifests with several partitions that a point can lie in once the group is sorted: for each field one
    /// that ends at its value and one that begins there.
    pub(super) fn sorted_depth(&self) -> u64 {
        self.fields * 2
    }

    /// Whether a manifest holds several partitions.
    pub(super) fn is_mixed(&self, index: usize) -> bool {
        self.boxes[index].as_ref().is_none_or(|ranks| ranks.iter().any(|(low, high)| low != high))
    }

    /// In how many mixed manifests a partition lies, on average over their first corners, in hundredths.
    pub(super) fn mean_depth_hundredths(&self) -> Option<u64> {
        let mixed = self.mixed(|_| true);
        let points: Vec<&&Ranks> = mixed.iter().step_by(mixed.len().div_ceil(POINTS).max(1)).collect();
        let holds = |ranks: &Ranks, point: &Ranks| {
            ranks.iter().zip(point).all(|((low, high), (at, _))| (low..=high).contains(&at))
        };
        let sum: usize = points.iter().map(|point| mixed.iter().filter(|ranks| holds(ranks, point)).count()).sum();
        (sum as u64 * 100).checked_div(points.len() as u64)
    }

    /// The most mixed manifests, among those that are counted, that any partition can lie in; `None` when that would take
    /// too long to find out.
    pub(super) fn greatest_depth(&self, counted: &[bool]) -> Option<u64> {
        let mixed = self.mixed(|index| counted[index]);
        let mut work = SEARCH;
        deepest(&mixed, 0, &mut work).map(|depth| depth as u64)
    }

    fn mixed(&self, counted: impl Fn(usize) -> bool) -> Vec<&Ranks> {
        let all = self.boxes.iter().enumerate().filter(|(index, _)| counted(*index) && self.is_mixed(*index));
        all.filter_map(|(_, ranks)| ranks.as_ref()).collect()
    }
}

/// The deepest point of boxes, field by field: it always lies at the lower edge of one of them.
fn deepest(boxes: &[&Ranks], field: usize, work: &mut usize) -> Option<usize> {
    if boxes.len() < 2 || boxes[0].len() == field {
        return Some(boxes.len());
    }
    let mut edges: Vec<u32> = boxes.iter().map(|ranks| ranks[field].0).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut most = 0;
    for edge in edges {
        *work = work.checked_sub(boxes.len())?;
        let here: Vec<&Ranks> =
            boxes.iter().copied().filter(|ranks| (ranks[field].0..=ranks[field].1).contains(&edge)).collect();
        if here.len() > most {
            most = most.max(deepest(&here, field + 1, work)?);
        }
    }
    Some(most)
}

/// Nulls come first and what is not a number comes last, as the committer sorts them.
fn span(range: &FieldRange, values: &[&Datum]) -> (u32, u32) {
    let rank = |value: &Datum| {
        let at = values.partition_point(|known| order(known, value).is_lt());
        u32::try_from(at).unwrap_or(u32::MAX - 2) + 1
    };
    let nan = u32::try_from(values.len()).unwrap_or(u32::MAX - 1) + 1;
    let low = match (&range.lower, range.nulls) {
        (_, true) => 0,
        (Some(value), false) => rank(value),
        (None, false) => nan,
    };
    let high = match (&range.upper, range.nans) {
        (_, true) => nan,
        (Some(value), false) => rank(value),
        (None, false) => 0,
    };
    (low, high.max(low))
}

/// Values of one field; those that can't be compared count as equal.
fn order(a: &Datum, b: &Datum) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}
