//! Delete files that go, that stay, and that come and go in between.

use super::*;
use crate::model::AppliedDelete;

impl Fixture {
    async fn add(&self, content: DataContentType, of: Option<usize>) -> DeleteKey {
        let before = self.deletes().await;
        let of = of.map(|file| self.files[file].path.clone());
        add_delete(&self.catalog, &self.ambient, &self.name, content, of).await;
        let after = self.deletes().await;
        after.into_iter().find(|key| !before.contains(key)).unwrap()
    }

    async fn deletes(&self) -> Vec<DeleteKey> {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        state.deletes.iter().map(|delete| delete.key()).collect()
    }

    /// Plans are made from here on.
    async fn rebase(&mut self) {
        let table = self.load().await;
        let snapshot = table.metadata.current_snapshot().unwrap();
        self.base = Base {
            snapshot_id: snapshot.snapshot_id(),
            sequence_number: snapshot.sequence_number(),
            ..self.base.clone()
        };
    }

    /// An outcome that has applied deletes.
    fn applied(
        &self,
        task: u32,
        inputs: std::ops::Range<usize>,
        applied: &[(&DeleteKey, Option<Vec<String>>)],
    ) -> Outcome {
        let mut outcome = self.outcome(task, inputs);
        outcome.rows_deleted = 2;
        outcome.rows_out -= 2;
        outcome.outputs[0].records -= 2;
        outcome.applied = applied
            .iter()
            .map(|(key, others)| AppliedDelete {
                key: (*key).clone(),
                used: true,
                others: others.clone(),
                stays: false,
            })
            .collect();
        outcome
    }

    async fn retire(&self, script: Vec<Fault>, outcomes: &[Outcome], wanted: &[DeleteKey]) -> Replaced {
        let committer = self.committer(script);
        committer.replace_and_retire(&self.name, &self.base, outcomes, Some(wanted), &BTreeMap::new()).await.unwrap()
    }
}

const POSITION: DataContentType = DataContentType::PositionDeletes;
const EQUALITY: DataContentType = DataContentType::EqualityDeletes;

#[tokio::test]
async fn should_remove_a_delete_file_in_the_commit_that_ends_its_use() {
    let mut fixture = Fixture::new(2, 1).await;
    let partition = fixture.add(POSITION, None).await;
    let named = fixture.add(POSITION, Some(1)).await;
    let equality = fixture.add(EQUALITY, None).await;
    fixture.rebase().await;
    // Half of the files: what names one of them alone goes, what reaches the others stays.
    let all: Vec<_> = [&partition, &named, &equality].map(|key| (key, None)).into();
    let done = fixture.retire(vec![], &[fixture.applied(0, 0..3, &all)], &[]).await;
    assert_eq!((done.committed_tasks, &done.retired), (vec![0], &vec![named.clone()]));
    assert_eq!(fixture.deletes().await.len(), 2);
    // The other half, by the same plan: nothing is left that they could match, for outputs carry the base's number.
    let rest = [(&partition, None), (&equality, None)];
    let done = fixture.retire(vec![], &[fixture.applied(1, 3..6, &rest)], &[]).await;
    assert_eq!((done.committed_tasks, done.retired.len()), (vec![1], 2));
    assert_eq!(fixture.deletes().await, []);
    let table = fixture.load().await;
    let summary = &table.metadata.current_snapshot().unwrap().summary().additional_properties;
    let figure = |key: &str| summary.get(key).map(String::as_str);
    assert_eq!(figure("removed-equality-delete-files"), Some("1"), "{summary:?}");
    assert_eq!(figure("removed-delete-files"), Some("2"), "{summary:?}");
}

#[tokio::test]
async fn should_keep_positions_of_the_base_itself_until_somebody_has_read_them() {
    // The output carries the number of the commit that added the positions: by the spec's rule they reach it.
    let mut fixture = Fixture::new(2, 1).await;
    let partition = fixture.add(POSITION, None).await;
    fixture.rebase().await;
    let done = fixture.retire(vec![], &[fixture.applied(0, 0..3, &[(&partition, None)])], &[]).await;
    assert_eq!((done.committed_tasks, done.retired), (vec![0], vec![]));
    let done = fixture.retire(vec![], &[fixture.applied(1, 3..6, &[(&partition, None)])], &[]).await;
    assert_eq!(done.retired, [], "the first output is still there");
    assert_eq!(fixture.deletes().await, [partition]);
}

#[tokio::test]
async fn should_believe_the_names_in_a_delete_file_that_was_read() {
    for (other, goes) in [(None, true), (Some(5), false)] {
        let mut fixture = Fixture::new(2, 1).await;
        let partition = fixture.add(POSITION, None).await;
        fixture.rebase().await;
        let others = other.map(|file: usize| fixture.files[file].path.to_string()).into_iter();
        let others = others.chain(["s3://gone/long/ago.parquet".to_owned()]).collect();
        let done = fixture.retire(vec![], &[fixture.applied(0, 0..3, &[(&partition, Some(others))])], &[]).await;
        assert_eq!(done.retired.len(), usize::from(goes), "{done:?}");
        assert_eq!(fixture.deletes().await.is_empty(), goes);
    }
}

#[tokio::test]
async fn should_remove_dangling_deletes_without_any_group() {
    let mut fixture = Fixture::new(2, 1).await;
    let named = fixture.add(POSITION, Some(0)).await;
    let equality = fixture.add(EQUALITY, None).await;
    fixture.rebase().await;
    let both = [named.clone(), equality.clone()];
    let nothing = fixture.retire(vec![], &[], &both).await;
    assert_eq!((nothing.result, nothing.retired), (CommitResult::NothingLeft, vec![]), "both are in use");
    // Somebody else removes the file.
    let done = fixture.replace(vec![], &[fixture.applied(0, 0..1, &[(&named, None), (&equality, None)])]).await;
    assert_eq!(done.committed_tasks, [0], "{done:?}");
    assert_eq!(done.retired, [], "nothing goes unless it is asked for");
    fixture.rebase().await;
    let done = fixture.retire(vec![], &[], &both).await;
    assert!(matches!(done.result, CommitResult::Committed { .. }), "{done:?}");
    assert_eq!(done.retired, [named]);
    assert_eq!(fixture.live().await.len(), 6);
}

#[tokio::test]
async fn should_keep_a_delete_file_that_a_late_file_needs() {
    // While our commit is on its way, a rewrite that began before the delete lands: the delete still applies to its file.
    let mut fixture = Fixture::new(2, 1).await;
    let old = fixture.base.clone();
    let equality = fixture.add(EQUALITY, None).await;
    fixture.rebase().await;
    let late = fixture.outcome(9, 5..6);
    let lands = fixture.meanwhile(move |committer, name| {
        let (late, old) = (late.clone(), old.clone());
        async move {
            let done = committer.replace(&name, &old, &[late], &BTreeMap::new()).await.unwrap();
            assert_eq!(done.committed_tasks, [9], "{done:?}");
        }
    });
    let done = fixture
        .retire(vec![lands], &[fixture.applied(0, 0..5, &[(&equality, None)])], std::slice::from_ref(&equality))
        .await;
    assert_eq!((done.committed_tasks, done.attempts), (vec![0], 2));
    assert_eq!(done.retired, []);
    assert_eq!(fixture.deletes().await, [equality]);
}

#[tokio::test]
async fn should_drop_a_group_when_what_it_applied_is_gone() {
    // The table was rolled back to before the delete: the rows live again, and must not be lost.
    let mut fixture = Fixture::new(2, 1).await;
    let before = fixture.base.snapshot_id;
    let named = fixture.add(POSITION, Some(1)).await;
    fixture.rebase().await;
    let outcomes = [fixture.applied(0, 0..3, &[(&named, None)]), fixture.outcome(1, 3..6)];
    let table = fixture.load().await;
    let change = TableChange {
        requirements: vec![],
        updates: vec![TableUpdate::SetSnapshotRef {
            ref_name: "main".into(),
            reference: SnapshotReference::new(before, SnapshotRetention::branch(None, None, None)),
        }],
    };
    assert!(matches!(fixture.catalog.commit(&table, &change).await.unwrap(), Swap::Committed { .. }));
    let done = fixture.retire(vec![], &outcomes, &[]).await;
    assert_eq!(done.committed_tasks, [1]);
    assert!(matches!(&done.dropped[..], [Dropped { task: 0, reason: DropReason::DeletesGone { .. } }]), "{done:?}");
}

#[tokio::test]
async fn should_drop_only_the_group_that_newer_positions_hit() {
    let mut fixture = Fixture::new(2, 1).await;
    let first = fixture.add(POSITION, Some(1)).await;
    fixture.rebase().await;
    let (catalog, ambient, name) = (fixture.catalog.clone(), fixture.ambient.clone(), fixture.name.clone());
    let of = fixture.files[4].path.clone();
    let second = Fault::Meanwhile(Box::new(move || {
        let (catalog, ambient, name, of) = (catalog.clone(), ambient.clone(), name.clone(), of.clone());
        Box::pin(async move { add_delete(&catalog, &ambient, &name, POSITION, Some(of)).await })
    }));
    let outcomes = [fixture.applied(0, 0..3, &[(&first, None)]), fixture.outcome(1, 3..6)];
    let done = fixture.retire(vec![second], &outcomes, &[]).await;
    assert_eq!((done.committed_tasks, done.retired), (vec![0], vec![first]));
    assert!(matches!(&done.dropped[..], [Dropped { task: 1, reason: DropReason::NewDeletes { .. } }]));
    assert_eq!(fixture.deletes().await.len(), 1, "the newer delete is kept for its file");
}
