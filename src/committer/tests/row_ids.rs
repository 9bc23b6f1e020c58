//! Row ids: given out once, kept by every file that stays (spec, "Row Lineage").

use super::*;

impl Fixture {
    /// The first row id of every live file, with its rows.
    pub(super) async fn row_ids(&self) -> BTreeMap<String, Option<(i64, u64)>> {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        state.files.into_iter().map(|f| (f.path.to_string(), f.first_row_id.map(|id| (id, f.records)))).collect()
    }
}

/// No id is given out twice, and none beyond what the table says.
fn assert_apart(ids: &BTreeMap<String, Option<(i64, u64)>>, next: u64) {
    let mut ranges: Vec<(i64, u64)> = ids.values().map(|range| range.expect("a file without row ids")).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].0.unsigned_abs() + pair[0].1 <= pair[1].0.unsigned_abs(), "{ranges:?}");
    }
    assert!(ranges.iter().all(|(first, rows)| first.unsigned_abs() + rows <= next), "{ranges:?} beyond {next}");
}

#[tokio::test]
async fn should_give_out_row_ids_once_and_keep_those_of_files_that_stay() {
    let fixture = Fixture::new(3, 3).await;
    let (before, parent) = (fixture.row_ids().await, fixture.load().await);
    assert_apart(&before, parent.metadata.next_row_id());
    assert_eq!(before.len(), 6);
    let done = fixture.replace(vec![], &[fixture.outcome(0, 0..3)]).await;
    assert_eq!(done.committed_tasks, [0]);
    let (after, table) = (fixture.row_ids().await, fixture.load().await);
    assert_apart(&after, table.metadata.next_row_id());
    for (path, ids) in &after {
        match before.get(path) {
            Some(kept) => assert_eq!(kept, ids, "{path}"),
            None => assert!(ids.is_some_and(|(id, _)| id.unsigned_abs() >= parent.metadata.next_row_id()), "{path}"),
        }
    }
    let snapshot = table.metadata.current_snapshot().unwrap();
    let (first, added) = snapshot.row_range().unwrap();
    assert_eq!((first, first + added), (parent.metadata.next_row_id(), table.metadata.next_row_id()));
}

#[tokio::test]
async fn should_begin_anew_when_a_commit_to_another_branch_gave_out_row_ids() {
    let fixture = Fixture::new(3, 1).await;
    let before = fixture.load().await;
    // What such a commit leaves: `main` is the same, the ids are not.
    let mut document = before.document.as_ref().clone();
    document["next-row-id"] = serde_json::json!(before.metadata.next_row_id() + 500);
    std::fs::write(&before.metadata_location, document.to_string()).unwrap();
    let done = fixture.replace(vec![], &[fixture.outcome(0, 0..3)]).await;
    assert_eq!(done.committed_tasks, [0]);
    let table = fixture.load().await;
    assert_apart(&fixture.row_ids().await, table.metadata.next_row_id());
    let (first, _) = table.metadata.current_snapshot().unwrap().row_range().unwrap();
    assert_eq!(first, before.metadata.next_row_id() + 500);
    // A snapshot that was made before it is not put on top.
    let stale = before.metadata.current_snapshot().unwrap().as_ref().clone();
    let stale = iceberg::TableUpdate::AddSnapshot { snapshot: stale };
    let change = TableChange { requirements: Vec::new(), updates: vec![stale] };
    let why = crate::lake::metadata::check(&table.metadata, &change).unwrap_err();
    assert!(why.contains("row ids"), "{why}");
}
