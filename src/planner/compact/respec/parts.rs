//! Files that share no new partition with others are apart from them: each such part is decided about by itself.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{Literal as Stored, PrimitiveLiteral};

use super::project::Span;
use crate::model::KeepSpec;

/// A file, and where its rows belong.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Its index in the state.
    pub(super) file: usize,
    /// By field of the new spec.
    pub(super) spans: Vec<Span>,
}

/// Divides files into parts without a new partition in common.
pub(super) fn apart(items: Vec<Item>, fields: usize) -> Vec<Vec<Item>> {
    // No files are no part, also where no field divides them.
    let mut parts = if items.is_empty() { Vec::new() } else { vec![items] };
    for field in 0..fields {
        parts = parts.into_iter().flat_map(|part| split(part, field)).collect();
    }
    parts
}

/// Numbers of a field, with null below all of them; `None` where it has others, or they are not known.
fn interval(span: &Span) -> Option<(i128, i128)> {
    const NULL: i128 = i64::MIN as i128 - 1;
    match span {
        Span::One(None) => Some((NULL, NULL)),
        Span::One(Some(value)) => number(value).map(|number| (number.into(), number.into())),
        Span::Range { low, high, nulls, .. } => Some((if *nulls { NULL } else { i128::from(*low) }, (*high).into())),
        Span::Few(_) | Span::Several | Span::Unknown => None,
    }
}

pub(super) fn number(value: &Stored) -> Option<i64> {
    match value {
        Stored::Primitive(PrimitiveLiteral::Int(number)) => Some(i64::from(*number)),
        Stored::Primitive(PrimitiveLiteral::Long(number)) => Some(*number),
        _ => None,
    }
}

/// Where one field alone keeps files apart.
fn split(items: Vec<Item>, field: usize) -> Vec<Vec<Item>> {
    if let Some(ends) = items.iter().map(|item| interval(&item.spans[field])).collect::<Option<Vec<_>>>() {
        let mut order: Vec<(Item, (i128, i128))> = items.into_iter().zip(ends).collect();
        order.sort_by_key(|(item, ends)| (*ends, item.file));
        let (mut parts, mut reach): (Vec<Vec<Item>>, i128) = (Vec::new(), i128::MIN);
        for (item, (low, high)) in order {
            match parts.last_mut() {
                Some(part) if low <= reach => part.push(item),
                _ => parts.push(vec![item]),
            }
            reach = reach.max(high);
        }
        return parts;
    }
    if !items.iter().all(|item| matches!(item.spans[field], Span::One(_))) {
        return vec![items];
    }
    let mut by_value: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for item in items {
        by_value.entry(format!("{:?}", item.spans[field])).or_default().push(item);
    }
    by_value.into_values().collect()
}

/// About how many partitions the rows of some files belong to. It is never fewer than any of them would belong to that is
/// made of several, so that what was kept together is not taken apart by the next run (I8). `known` says how many values a
/// field has in the table's partitions, 0 when none is there yet.
pub(super) fn partitions(items: &[Item], fields: usize, known: impl Fn(usize) -> u64) -> Result<u64, KeepSpec> {
    let mut all = 1u64;
    for field in 0..fields {
        let spans = || items.iter().map(|item| &item.spans[field]);
        let width = if spans().any(|span| *span == Span::Unknown) {
            return Err(KeepSpec::NoBounds);
        } else if spans().any(|span| *span == Span::Several) {
            match known(field) {
                0 => return Err(KeepSpec::NotTold),
                known => known,
            }
        } else if let Some(most) = spans().filter(|s| matches!(s, Span::Few(_))).map(Span::width).max() {
            most
        } else if let Some(ends) = spans().map(interval).collect::<Option<Vec<_>>>() {
            hull(spans(), &ends)
        } else {
            spans().map(|span| format!("{span:?}")).collect::<BTreeSet<_>>().len() as u64
        };
        all = all.saturating_mul(width.max(1));
    }
    Ok(all)
}

fn hull<'a>(spans: impl Iterator<Item = &'a Span> + Clone, ends: &[(i128, i128)]) -> u64 {
    let nulls = spans.clone().any(|span| matches!(span, Span::One(None) | Span::Range { nulls: true, .. }));
    let step = spans.clone().map(|span| if let Span::Range { step, .. } = span { *step } else { 1 }).max().unwrap_or(1);
    let lows = spans.filter_map(|span| match span {
        Span::Range { low, .. } => Some(i128::from(*low)),
        Span::One(Some(value)) => number(value).map(i128::from),
        _ => None,
    });
    let Some(low) = lows.min() else { return 1 };
    let high = ends.iter().map(|ends| ends.1).max().unwrap_or(low);
    u64::try_from((high - low) / i128::from(step.max(1)) + 1 + i128::from(nulls)).unwrap_or(u64::MAX)
}

/// What sorts spans by where they begin.
pub(super) fn lowest(span: &Span) -> (i64, String) {
    match span {
        Span::Range { low, .. } => (*low, String::new()),
        Span::One(Some(value)) => match number(value) {
            Some(number) => (number, String::new()),
            None => (0, format!("{value:?}")),
        },
        _ => (i64::MIN, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(file: usize, spans: Vec<Span>) -> Item {
        Item { file, spans }
    }

    fn range(low: i64, high: i64) -> Span {
        Span::Range { low, high, step: 1, nulls: false }
    }

    fn one(n: i32) -> Span {
        Span::One(Some(Stored::int(n)))
    }

    fn numbers(parts: Vec<Vec<Item>>) -> Vec<Vec<usize>> {
        parts.into_iter().map(|part| part.into_iter().map(|item| item.file).collect()).collect()
    }

    #[test]
    fn should_keep_what_shares_a_partition_together() {
        let days =
            vec![item(0, vec![range(1, 2)]), item(1, vec![one(5)]), item(2, vec![range(2, 3)]), item(3, vec![one(3)])];
        assert_eq!(numbers(apart(days, 1)), [vec![0, 2, 3], vec![1]]);
        let null = vec![item(0, vec![Span::One(None)]), item(1, vec![one(5)])];
        assert_eq!(numbers(apart(null, 1)).len(), 2);
        let nulls =
            vec![item(0, vec![Span::One(None)]), item(1, vec![Span::Range { low: 5, high: 6, step: 1, nulls: true }])];
        assert_eq!(numbers(apart(nulls, 1)).len(), 1);
        // One field keeps apart what the other does not.
        let text = |text: &str| Span::One(Some(Stored::string(text)));
        let both = vec![
            item(0, vec![Span::Few(4), text("eu")]),
            item(1, vec![one(2), text("us")]),
            item(2, vec![one(3), text("eu")]),
        ];
        assert_eq!(numbers(apart(both, 2)), [vec![0, 2], vec![1]]);
        let unknown = vec![item(0, vec![Span::Several]), item(1, vec![text("us")])];
        assert_eq!(numbers(apart(unknown, 1)).len(), 1);
    }

    #[test]
    fn should_count_partitions() {
        let count = |items: &[Item], known: u64| partitions(items, items[0].spans.len(), |_| known);
        assert_eq!(count(&[item(0, vec![range(1, 2)]), item(1, vec![one(5)])], 0), Ok(5));
        assert_eq!(count(&[item(0, vec![range(1, 2), Span::Few(16)])], 0), Ok(32));
        assert_eq!(count(&[item(0, vec![Span::One(None)]), item(1, vec![one(5)])], 0), Ok(2));
        assert_eq!(count(&[item(0, vec![Span::Several])], 0), Err(KeepSpec::NotTold));
        assert_eq!(count(&[item(0, vec![Span::Several])], 7), Ok(7));
        assert_eq!(count(&[item(0, vec![Span::Unknown, one(1)])], 7), Err(KeepSpec::NoBounds));
        let tens = Span::Range { low: -10, high: 20, step: 10, nulls: true };
        assert_eq!(count(&[item(0, vec![tens])], 0), Ok(5));
    }
}
