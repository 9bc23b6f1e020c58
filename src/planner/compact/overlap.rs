//! How many files lie over one another: a reader that looks for one value of the leading column opens so many of them.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use iceberg::spec::PrimitiveType;

use super::arrange::Wish;
use crate::model::{DataFile, FieldBounds, TableState};
use crate::planner::filter::Literal;

/// Bounds of texts are cut off at this length, which makes neighbours look as if they overlapped.
const TRUNCATED: usize = 16;

/// The values of the leading column in a file, nulls left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) low: Literal,
    pub(super) high: Literal,
}

impl Span {
    /// Of a file, if its bounds are known.
    pub(super) fn of(file: &DataFile, leading: (i32, &PrimitiveType)) -> Option<Self> {
        Self::of_bounds(file.bounds.get(&leading.0)?, leading.1)
    }

    /// Of bounds, if both are known.
    pub(super) fn of_bounds(bounds: &FieldBounds, kind: &PrimitiveType) -> Option<Self> {
        let low = Literal::from_bytes(bounds.lower.as_ref()?, kind)?;
        let high = Literal::from_bytes(bounds.upper.as_ref()?, kind)?;
        // Not a number: such bounds say nothing.
        low.order(&high)?;
        Some(Self { low, high })
    }

    /// Whether it holds no range: one value, or texts that differ behind the part that bounds keep.
    pub(super) fn is_point(&self) -> bool {
        meets(&self.high, &self.low)
    }

    /// Whether both have values between the other's ends. Files that only share an end are neighbours in order.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        !meets(&self.high, &other.low) && !meets(&other.high, &self.low)
    }

    /// The least span that holds both.
    fn hull(&self, other: &Self) -> Self {
        let least =
            |a: &Literal, b: &Literal, want: Ordering| if b.order(a) == Some(want) { b.clone() } else { a.clone() };
        Self {
            low: least(&self.low, &other.low, Ordering::Less),
            high: least(&self.high, &other.high, Ordering::Greater),
        }
    }
}

/// Whether nothing from `low` on lies below `high`.
fn meets(high: &Literal, low: &Literal) -> bool {
    if high.order(low) != Some(Ordering::Greater) {
        return true;
    }
    match (high, low) {
        (Literal::Bytes(high), Literal::Bytes(low)) if high.len() == low.len() && high.len() >= TRUNCATED => {
            high[..high.len() - 1] == low[..low.len() - 1]
        }
        _ => false,
    }
}

/// The most of these files that lie over one another. Where the leading column does not tell, each run that made some of
/// them counts once: its own files are apart.
pub(super) fn depth(state: &TableState, wish: &Wish, files: &[usize]) -> usize {
    let Some(spans) = spans(state, wish, files) else { return runs(state, files) };
    let mut ends: Vec<(&Literal, bool)> = Vec::new();
    for span in spans.iter().filter(|span| !span.is_point()) {
        ends.push((&span.low, true));
        ends.push((&span.high, false));
    }
    // At one and the same value, spans end before others begin.
    ends.sort_by(|a, b| a.0.order(b.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1)));
    let (mut open, mut most) = (0usize, usize::from(!files.is_empty()));
    for (_, begins) in ends {
        if begins {
            open += 1;
            most = most.max(open);
        } else {
            open = open.saturating_sub(1);
        }
    }
    most
}

/// The depth of settled files and of one run more that is made of the picked ones. Where it is not known where those lie,
/// it will not be known of the run either, and then runs are counted.
pub(super) fn depth_with(state: &TableState, wish: &Wish, picked: &[usize], settled: &[usize]) -> usize {
    let known = spans(state, wish, picked).is_some();
    1 + if known { depth(state, wish, settled) } else { runs(state, settled) }
}

/// How many runs made these files.
fn runs(state: &TableState, files: &[usize]) -> usize {
    files.iter().map(|file| state.files[*file].snapshot_id).collect::<BTreeSet<_>>().len()
}

/// Spans of files; `None` unless all of them are known.
fn spans(state: &TableState, wish: &Wish, files: &[usize]) -> Option<Vec<Span>> {
    let leading = wish.leading()?;
    files.iter().map(|file| Span::of(&state.files[*file], leading)).collect()
}

/// Which of the settled files a rewrite of the picked ones has to take in, so that its outputs lie over none of them:
/// those within the span of all that is taken.
pub(super) fn within(state: &TableState, wish: &Wish, picked: &[usize], settled: &[usize]) -> Vec<usize> {
    let (Some(first), Some(others)) = (spans(state, wish, picked), spans(state, wish, settled)) else {
        return settled.to_vec();
    };
    let Some(mut hull) = first.into_iter().reduce(|a, b| a.hull(&b)) else { return Vec::new() };
    let mut taken = vec![false; settled.len()];
    loop {
        let before = hull.clone();
        for (span, taken) in others.iter().zip(&mut taken) {
            if !*taken && span.overlaps(&hull) {
                *taken = true;
                hull = hull.hull(span);
            }
        }
        if hull == before {
            break;
        }
    }
    settled.iter().zip(taken).filter_map(|(file, taken)| taken.then_some(*file)).collect()
}

/// Files that lie over more than one other: they make the depth what it is.
pub(super) fn crossing(state: &TableState, wish: &Wish, files: &[usize]) -> Vec<usize> {
    let Some(spans) = spans(state, wish, files) else { return files.to_vec() };
    let crosses = |span: &Span| spans.iter().filter(|other| span.overlaps(other)).count() > 2;
    files.iter().zip(&spans).filter_map(|(file, span)| crosses(span).then_some(*file)).collect()
}
