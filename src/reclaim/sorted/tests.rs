use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn spill(buffer: usize) -> Spill {
    Spill { buffer, ..Spill::new(std::env::temp_dir(), Spill::LIMIT) }
}

fn collect(sorted: &mut Sorted) -> Vec<(String, u64, i64)> {
    sorted.iter().unwrap().map(|entry| entry.map(|e| (e.key, e.size, e.modified_ms)).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However small the buffer, and however often a key comes: the order of a set, the newest of each key, twice alike.
    #[test]
    fn should_sort_as_a_map_would(
        entries in prop::collection::vec(("[ab/é]{0,12}", 0..3_u64, -5..5_i64), 0..300),
        buffer in 1..4000_usize,
    ) {
        let mut sorter = Sorter::new(&spill(buffer));
        let mut expected: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for (key, size, modified) in &entries {
            sorter.push(key, *size, *modified).unwrap();
            let known = expected.entry(key.as_bytes().to_vec()).or_insert(*modified);
            *known = (*known).max(*modified);
        }
        let mut sorted = sorter.finish().unwrap();
        let first = collect(&mut sorted);
        let seen: Vec<(Vec<u8>, i64)> = first.iter().map(|(key, _, at)| (key.clone().into_bytes(), *at)).collect();
        prop_assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(first, collect(&mut sorted));
    }
}

#[test]
fn should_merge_levels_of_runs() {
    // One entry a run: 600 runs make three levels.
    let mut sorter = Sorter::new(&spill(1));
    for n in 0..600_u64 {
        sorter.push(&format!("s3://lake/t/{:03}", n * 7 % 600), n, 1).unwrap();
    }
    assert!(sorter.levels.len() >= 3 && sorter.levels.iter().all(|level| level.len() < FAN_IN));
    let keys: Vec<String> = collect(&mut sorter.finish().unwrap()).into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys, (0..600).map(|n| format!("s3://lake/t/{n:03}")).collect::<Vec<_>>());
}

#[test]
fn should_stop_at_the_limit_and_give_space_back() {
    let spill = Spill { buffer: 100, ..Spill::new(std::env::temp_dir(), 3 << 20) };
    let sort = |count: u64| -> Result<()> {
        let mut sorter = Sorter::new(&spill);
        (0..count).try_for_each(|n| sorter.push(&format!("a path of some length, with number {n}"), n, 0))?;
        sorter.finish().map(|_| ())
    };
    let error = sort(20).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Exhausted, "{error}");
    assert!(error.hint_text().unwrap().contains("--spill-limit"));
    assert_eq!(spill.used.load(Ordering::Relaxed), 0);
    sort(3).unwrap();
}

#[test]
fn should_say_that_a_folder_cannot_be_written_to() {
    let spill = Spill { buffer: 1, ..Spill::new("/nonexistent/folder".into(), Spill::LIMIT) };
    let mut sorter = Sorter::new(&spill);
    sorter.push("a", 0, 0).unwrap();
    let error = sorter.push("b", 0, 0).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    // What fits the buffer needs no folder.
    let mut small = Sorter::new(&Spill::new("/nonexistent/folder".into(), Spill::LIMIT));
    small.push("a", 1, 2).unwrap();
    assert_eq!(collect(&mut small.finish().unwrap()), [("a".to_owned(), 1, 2)]);
}
