//! Rewriting manifests against a real SQLite catalog: what entries say is kept, and nothing is lost on the way.

use iceberg::spec::ManifestEntryRef;

use super::*;
use crate::error::Kind as ErrorKind;
use crate::model::{ManifestPlan, ManifestPolicy, ManifestReason, ManifestTask};

const MEMORY: u64 = 512 << 20;

/// A plan for every manifest of the table.
async fn plan_all(fixture: &Fixture, target_size_bytes: u64) -> ManifestPlan {
    let table = fixture.load().await;
    let list = manifests_of(&table).await;
    let task = |deletes: bool| {
        let content = if deletes { ManifestContentType::Deletes } else { ManifestContentType::Data };
        let picked: Vec<&iceberg::spec::ManifestFile> = list.iter().filter(|m| m.content == content).collect();
        ManifestTask {
            deletes,
            spec_id: 0,
            why: ManifestReason::RewriteAll,
            manifests: picked.iter().map(|m| m.manifest_path.clone()).collect(),
            before: picked.len() as u64,
            bytes: 0,
            after: 1,
        }
    };
    ManifestPlan {
        table: fixture.name.clone(),
        table_uuid: table.metadata.uuid().to_string(),
        snapshot_id: table.metadata.current_snapshot_id(),
        created_ms: 0,
        policy: ManifestPolicy { target_size_bytes, min_gain: 1, rewrite_all: true },
        tasks: [false, true].map(task).into_iter().filter(|task| task.before > 0).collect(),
    }
}

async fn manifests_of(table: &LoadedTable) -> Vec<iceberg::spec::ManifestFile> {
    read_manifest_list(table, table.metadata.current_snapshot().unwrap()).await.unwrap()
}

/// All live entries by path, as the `iceberg` crate reads them, as existing ones.
async fn entries(fixture: &Fixture) -> BTreeMap<String, String> {
    let table = fixture.load().await;
    let manifests = read_manifests(&table.store, &manifests_of(&table).await).await.unwrap();
    let live = manifests.iter().flat_map(|m| m.entries()).filter(|e| e.status != ManifestStatus::Deleted);
    let words = |e: &ManifestEntryRef| {
        let numbers = (e.snapshot_id(), e.sequence_number(), e.file_sequence_number);
        let data = e.data_file();
        let sorted =
            |counts: &std::collections::HashMap<i32, u64>| counts.clone().into_iter().collect::<BTreeMap<_, _>>();
        let bounds = [data.lower_bounds(), data.upper_bounds()]
            .map(|all| all.iter().map(|(id, datum)| (*id, format!("{datum:?}"))).collect::<BTreeMap<_, _>>());
        let counts = [data.column_sizes(), data.value_counts(), data.null_value_counts(), data.nan_value_counts()];
        let rest = (data.record_count(), data.file_size_in_bytes(), data.split_offsets(), data.sort_order_id());
        let deletes = (data.content_type(), data.equality_ids(), data.referenced_data_file());
        format!("{numbers:?} {:?} {bounds:?} {:?} {rest:?} {deletes:?}", data.partition(), counts.map(sorted))
    };
    let all: Vec<(String, String)> = live.map(|e| (e.file_path().to_owned(), words(e))).collect();
    let map: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(map.len(), all.len(), "a file is listed twice");
    map
}

#[tokio::test]
async fn should_keep_everything_that_entries_say() {
    for version in [1, 2, 3] {
        let fixture = Fixture::new(version, 30).await;
        // Entries of deleted files, and existing ones, are in the manifests too.
        let _ = fixture.replace(vec![], &[fixture.outcome(0, 0..3)]).await;
        let (before, ids) = (entries(&fixture).await, fixture.row_ids().await);
        let parent = fixture.load().await;
        let plan = plan_all(&fixture, 8 << 20).await;
        let done = fixture.committer(vec![]).rewrite_manifests(&plan, MEMORY).await.unwrap();
        assert!(matches!(done.result, CommitResult::Committed { .. }), "{done:?}");
        assert_eq!((done.after, done.groups, done.attempts), (1, 1, 1));
        assert_eq!(entries(&fixture).await, before);
        assert_eq!(fixture.row_ids().await, ids);
        let table = fixture.load().await;
        let snapshot = table.metadata.current_snapshot().unwrap();
        assert_eq!(snapshot.summary().operation, Operation::Replace);
        let summary = &snapshot.summary().additional_properties;
        let old = &parent.metadata.current_snapshot().unwrap().summary().additional_properties;
        for key in ["total-data-files", "total-records", "total-files-size"] {
            assert_eq!(summary.get(key), old.get(key), "{key}");
        }
        let (count, replaced) = (before.len().to_string(), plan.tasks[0].manifests.len().to_string());
        for (key, value) in [
            ("manifests-created", "1"),
            ("manifests-kept", "0"),
            ("manifests-replaced", &replaced),
            ("entries-processed", &count),
        ] {
            assert_eq!(summary.get(key).map(String::as_str), Some(value), "{key} in {summary:?}");
        }
        let list = manifests_of(&table).await;
        assert_eq!(list[0].existing_files_count, Some(28));
        assert_eq!((list[0].added_files_count, list[0].deleted_files_count), (Some(0), Some(0)));
        assert_eq!(list[0].added_snapshot_id, snapshot.snapshot_id());
        if version > 1 {
            let least = fixture.live().await.iter().map(|file| file.2).min().unwrap();
            assert_eq!((list[0].sequence_number, list[0].min_sequence_number), (snapshot.sequence_number(), least));
        }
        let manifest = &read_manifests(&table.store, &list).await.unwrap()[0];
        assert!(manifest.entries().iter().all(|e| e.status == ManifestStatus::Existing));
        let paths: Vec<&str> = manifest.entries().iter().map(|e| e.file_path()).collect();
        assert!(paths.is_sorted(), "{paths:?}");
    }
}

#[tokio::test]
async fn should_rewrite_manifests_of_deletes_and_keep_what_is_not_in_the_plan() {
    let fixture = Fixture::new(2, 3).await;
    let of = Some(fixture.files[1].path.clone());
    for (content, of) in [
        (DataContentType::PositionDeletes, of),
        (DataContentType::EqualityDeletes, None),
        (DataContentType::PositionDeletes, None),
    ] {
        add_delete(&fixture.catalog, &fixture.ambient, &fixture.name, content, of).await;
    }
    let before = entries(&fixture).await;
    let mut plan = plan_all(&fixture, 8 << 20).await;
    plan.tasks.remove(0);
    let done = fixture.committer(vec![]).rewrite_manifests(&plan, MEMORY).await.unwrap();
    assert_eq!((done.before, done.after), (6, 4), "{done:?}");
    assert_eq!(entries(&fixture).await, before);
    let list = manifests_of(&fixture.load().await).await;
    let deletes: Vec<_> = list.iter().filter(|m| m.content == ManifestContentType::Deletes).collect();
    assert_eq!((deletes.len(), deletes[0].existing_files_count), (1, Some(3)));
}

#[tokio::test]
async fn should_cut_at_the_target_and_need_no_more_memory_than_it_is_given() {
    let fixture = Fixture::new(2, 120).await;
    let before = entries(&fixture).await;
    let plan = plan_all(&fixture, 2500).await;
    // An eighth is for entries: a few dozen of them, so that every window is a pass of its own.
    let done = fixture.committer(vec![]).rewrite_manifests(&plan, 64 << 10).await.unwrap();
    assert!(done.after > 3 && done.after < 60, "{done:?}");
    assert_eq!(entries(&fixture).await, before);
    let list = manifests_of(&fixture.load().await).await;
    let sizes: Vec<i64> = list.iter().map(|m| m.manifest_length).collect();
    assert!(sizes[..sizes.len() - 1].iter().all(|size| (2500..6000).contains(size)), "{sizes:?}");
    let files: u32 = list.iter().filter_map(|m| m.existing_files_count).sum();
    assert_eq!(files, 120);
}

#[tokio::test]
async fn should_keep_what_others_add_and_use_its_manifests_again() {
    let fixture = Fixture::new(2, 10).await;
    let plan = plan_all(&fixture, 8 << 20).await;
    let append = || {
        fixture.meanwhile(|committer, name| async move {
            let _ = committer.append(&name, &[appended("new")]).await.unwrap();
        })
    };
    let done = fixture.committer(vec![append()]).rewrite_manifests(&plan, MEMORY).await.unwrap();
    assert_eq!((done.attempts, done.before, done.after), (2, 11, 2), "{done:?}");
    assert_eq!(entries(&fixture).await.len(), 11);
    let uses = fixture.metadata_files();
    let manifests = uses.iter().filter(|name| name.contains("-m0.avro"));
    assert_eq!(manifests.count(), 12, "10 of the fixture, one appended, one of the rewrite");
}

#[tokio::test]
async fn should_build_anew_when_a_manifest_is_gone() {
    let fixture = Fixture::new(2, 10).await;
    let plan = plan_all(&fixture, 8 << 20).await;
    let (other, base) = (fixture.outcome(7, 0..2), fixture.base.clone());
    let replaced = fixture.meanwhile(move |committer, name| {
        let (other, base) = (other.clone(), base.clone());
        async move {
            let _ = committer.replace(&name, &base, &[other], &BTreeMap::new()).await.unwrap();
        }
    });
    let done = fixture.committer(vec![replaced]).rewrite_manifests(&plan, MEMORY).await.unwrap();
    assert!(matches!(done.result, CommitResult::Committed { .. }), "{done:?}");
    let live = fixture.live().await;
    assert_eq!(live.len(), 9, "two became one");
    assert_eq!(live.iter().map(|f| f.1).sum::<u64>(), 100, "{live:?}");
    assert!(live.iter().any(|f| f.0.contains("out-7")), "what the other wrote is there");
    // Applied again, nothing of the plan is there any more.
    let again = fixture.committer(vec![]).rewrite_manifests(&plan, MEMORY).await.unwrap();
    assert_eq!(again.result, CommitResult::NothingLeft);
}

#[tokio::test]
async fn should_find_out_how_a_lost_rewrite_ended_and_clean_up_after_a_rejected_one() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let fixture = Fixture::new(2, 10).await;
        let plan = plan_all(&fixture, 8 << 20).await;
        let snapshots = fixture.load().await.metadata.snapshots().len();
        let done = fixture.committer(vec![fault]).rewrite_manifests(&plan, MEMORY).await.unwrap();
        assert!(matches!(done.result, CommitResult::Committed { .. }), "{done:?}");
        assert_eq!(fixture.load().await.metadata.snapshots().len(), snapshots + 1, "committed once");
        assert_eq!(entries(&fixture).await.len(), 10);
    }
    let fixture = Fixture::new(2, 10).await;
    let before = fixture.metadata_files();
    let plan = plan_all(&fixture, 8 << 20).await;
    let script = (0..9).map(|_| Fault::Reject).collect();
    let done = fixture.committer(script).rewrite_manifests(&plan, MEMORY).await.unwrap();
    assert!(matches!(done.result, CommitResult::Rejected { .. }), "{done:?}");
    assert_eq!(fixture.metadata_files(), before, "nothing is left behind");
    assert_eq!(entries(&fixture).await.len(), 10);
}

#[tokio::test]
async fn should_refuse_damaged_manifests_and_another_table() {
    let fixture = Fixture::new(2, 10).await;
    let plan = plan_all(&fixture, 8 << 20).await;
    let other = ManifestPlan { table_uuid: "x".into(), ..plan.clone() };
    let refused = fixture.committer(vec![]).rewrite_manifests(&other, MEMORY).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let victim = plan.tasks[0].manifests[3].trim_start_matches("file://").to_owned();
    let whole = std::fs::read(&victim).unwrap();
    let files = fixture.metadata_files();
    for cut in [10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&victim, &whole[..cut]).unwrap();
        let refused = fixture.committer(vec![]).rewrite_manifests(&plan, MEMORY).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        assert_eq!(fixture.metadata_files(), files);
    }
    std::fs::write(&victim, &whole).unwrap();
    assert_eq!(entries(&fixture).await.len(), 10);
}
