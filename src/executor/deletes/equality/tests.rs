//! Keys and rows against a model, wherever the keys are.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use proptest::prelude::*;

use super::*;
use crate::lake::Spill;

fn keys(values: &[Option<i64>], texts: bool) -> Keys {
    let array: ArrayRef = if texts {
        // Of very different lengths.
        let text = |n: &i64| format!("{n}{}", "x".repeat(usize::try_from(n % 7).unwrap() * 40));
        Arc::new(StringArray::from_iter(values.iter().map(|value| value.as_ref().map(text))))
    } else {
        Arc::new(Int64Array::from(values.to_vec()))
    };
    Keys::of(&[array]).unwrap()
}

type Batches = Vec<(Vec<Option<i64>>, i64)>;

fn batches() -> impl Strategy<Value = Batches> {
    prop::collection::vec((prop::collection::vec(prop::option::of(0i64..400), 0..300), 0i64..9), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The same answers whether everything is in memory, some is, or nothing.
    #[test]
    fn should_find_the_same_rows_wherever_the_keys_are(
        deletes in batches(),
        rows in batches(),
        texts in any::<bool>(),
        memory in prop_oneof![Just(64u64 << 20), Just(20_000), Just(1_000)],
    ) {
        let mut newest: HashMap<Option<i64>, i64> = HashMap::new();
        let layout = Layout { head: 1, width: (!texts).then_some(8) };
        let room = Room::new(2000, layout, memory);
        let (mut bytes, mut blocks) = (vec![0; room.chunks], vec![Block::default(); room.blocks]);
        let spill = Spill::new(std::env::temp_dir(), 16 << 20);
        let disk = SpillBlocks::new(spill.clone());
        let mut parts = Partitions::new(&room, layout, &mut bytes, &mut blocks, disk).unwrap();
        for (values, sequence) in &deletes {
            // The list of sequence numbers is 0, 1, 2, …
            parts.insert(&keys(values, texts), u32::try_from(*sequence).unwrap()).unwrap();
            for value in values {
                let known = newest.entry(*value).or_insert(*sequence);
                *known = *sequence.max(known);
            }
        }
        let mut slots = vec![0; parts.settle(room.slots).unwrap()];
        let parts = parts.built(&mut slots, 2).unwrap();
        let newer = |input: u32| u32::try_from(rows[input as usize].1 + 1).unwrap();
        let (found, mut expected) = (Mutex::new(BTreeSet::new()), BTreeSet::new());
        let mut space = Space::default();
        for (input, (values, sequence)) in (0u32..).zip(&rows) {
            let mut hits = Vec::new();
            let probe = Probe { input, first: 7, newer: newer(input) };
            parts.probe(&keys(values, texts), probe, &mut space, &mut hits).unwrap();
            prop_assert!(hits.is_sorted());
            found.lock().unwrap().extend(hits.into_iter().map(|position| (input, position)));
            for (position, value) in (7u32..).zip(values) {
                if newest.get(value).is_some_and(|delete| delete > sequence) {
                    expected.insert((input, position));
                }
            }
        }
        let hit = |hits: &[(u32, u32)]| { found.lock().unwrap().extend(hits.iter().copied()); Ok(()) };
        parts.finish(2, &newer, &hit).unwrap();
        prop_assert_eq!(found.into_inner().unwrap(), expected);
        prop_assert_eq!(spill.used(), 0);
    }
}
