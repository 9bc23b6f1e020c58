//! Runs that are in order, merged into one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Puts items in the order of their keys, which come as runs that are in order each; `ends` says where the runs end. Equal
/// ones stay as they were.
///
/// A sort would do it too, but look at keys all over the memory: here those at hand are always the same few, and each item is
/// moved once or twice. Of a million files that is a second's difference, on a slow machine five.
pub(super) fn merge<T>(items: &mut [T], ends: &[usize], key: impl Fn(&T) -> &str) {
    let mut order: Vec<usize> = Vec::with_capacity(items.len());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let runs = starts.zip(ends).filter(|(start, end)| start < *end);
    let mut heads: BinaryHeap<_> = runs.map(|(start, end)| Reverse((key(&items[start]), start, *end))).collect();
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((_, at, end)) = *head;
        order.push(at);
        if at + 1 < end {
            *head = Reverse((key(&items[at + 1]), at + 1, end));
        } else {
            std::collections::binary_heap::PeekMut::pop(head);
        }
    }
    drop(heads);
    // What is to be at each place comes from where `order` says, one circle of places after the other.
    for first in 0..order.len() {
        let mut at = first;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == first {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn should_do_what_a_stable_sort_does(runs in prop::collection::vec(prop::collection::vec("[a-c]{0,2}", 0..20), 0..9)) {
            let (mut items, mut ends) = (Vec::new(), Vec::new());
            for mut run in runs {
                run.sort();
                for text in run {
                    items.push((text, items.len()));
                }
                ends.push(items.len());
            }
            let mut expected = items.clone();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            merge(&mut items, &ends, |item| item.0.as_str());
            prop_assert_eq!(items, expected);
        }
    }
}
