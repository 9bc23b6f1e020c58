//! The protocol against a real SQLite catalog, with scripted faults between committer and catalog.

mod deletes;
mod manifests;
mod respec;
mod row_ids;

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use futures::future::BoxFuture;
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, ManifestContentType, ManifestListWriter, ManifestStatus,
    ManifestWriterBuilder, Snapshot, SnapshotReference, SnapshotRetention, Summary,
};
use iceberg::{TableRequirement, TableUpdate};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::fixture::{Kind, TableSpec, make};
use crate::lake::intercepted::{Intercepted, Meddler};
use crate::lake::manifests::read_manifests;
use crate::lake::{LoadOptions, Swap, TableChange, connect_or_create, file_io, load_state};
use crate::model::{CatalogSettings, DataFile, Route};

type Meanwhile = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What happens to a commit on its way.
enum Fault {
    /// The catalog says no.
    Reject,
    /// It takes effect, and the answer is lost.
    LoseAnswer,
    /// It is lost on the way there.
    LoseRequest,
    /// Somebody else commits first.
    Meanwhile(Meanwhile),
}

struct Faulty(Mutex<VecDeque<Fault>>);

impl Faulty {
    fn before(inner: &Arc<dyn Catalog>, script: impl Into<VecDeque<Fault>>) -> Intercepted<Self> {
        Intercepted(inner.clone(), Self(Mutex::new(script.into())))
    }
}

#[async_trait]
impl Meddler for Faulty {
    async fn commit(&self, catalog: &dyn Catalog, base: &LoadedTable, change: &TableChange) -> Result<Swap> {
        let fault = self.0.lock().unwrap().pop_front();
        let unknown = Ok(Swap::Unknown { reason: "scripted".into() });
        match fault {
            Some(Fault::Reject) => return Ok(Swap::Rejected { reason: "scripted".into() }),
            Some(Fault::LoseRequest) => return unknown,
            Some(Fault::LoseAnswer) => {
                let _ = catalog.commit(base, change).await?;
                return unknown;
            }
            Some(Fault::Meanwhile(act)) => act().await,
            None => {}
        }
        catalog.commit(base, change).await
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    catalog: Arc<dyn Catalog>,
    ambient: Arc<Ambient>,
    name: TableName,
    files: Vec<DataFile>,
    base: Base,
}

impl Fixture {
    async fn new(version: u8, commits: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = CatalogSettings::in_folder("test", dir.path());
        let ambient = Arc::new(Ambient::manual(1_700_000_000_000, 5));
        let catalog = connect_or_create(&settings, ambient.clone()).await.unwrap();
        let name = TableName::new(["db"], "t");
        let properties = [("commit.retry.min-wait-ms", "1"), ("commit.retry.max-wait-ms", "2")];
        let spec = TableSpec {
            files: 6.max(commits),
            rows: 10,
            commits,
            format_version: version,
            properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..TableSpec::new(name.clone(), Kind::Events)
        };
        make(&catalog, &ambient, &spec, &Arc::default()).await.unwrap();
        let mut fixture = Self { dir, catalog, ambient, name, files: Vec::new(), base: no_base() };
        let table = fixture.load().await;
        let state = load_state(&table, &LoadOptions::default()).await.unwrap();
        fixture.base = Base {
            snapshot_id: state.snapshot_id.unwrap(),
            sequence_number: state.sequence_number,
            schema_id: 0,
            metadata_location: table.metadata_location.clone(),
        };
        fixture.files = state.files;
        fixture
    }

    async fn load(&self) -> LoadedTable {
        self.catalog.load_table(&self.name).await.unwrap()
    }

    /// Live files: path, rows, data sequence number.
    async fn live(&self) -> Vec<(String, u64, i64)> {
        let state = load_state(&self.load().await, &LoadOptions::default()).await.unwrap();
        state.files.into_iter().map(|f| (f.path.to_string(), f.records, f.sequence_number)).collect()
    }

    /// The outcome of rewriting some of the files into one.
    fn outcome(&self, task: u32, inputs: std::ops::Range<usize>) -> Outcome {
        let inputs = &self.files[inputs];
        let records = inputs.iter().map(|f| f.records).sum();
        let file = NewFile {
            partition: None,
            path: format!("{}/db/t/data/out-{task}.parquet", self.dir.path().display()),
            size: 123,
            records,
            columns: Default::default(),
            split_offsets: vec![4],
            sort_order_id: None,
            vector: None,
        };
        Outcome {
            from_specs: Vec::new(),
            task,
            spec_id: 0,
            inputs: inputs.iter().map(|f| f.path.to_string()).collect(),
            outputs: vec![file],
            route: Route::Encode,
            rows_in: records,
            rows_out: records,
            rows_deleted: 0,
            applied: Vec::new(),
            without_ids: false,
            chunks: Default::default(),
            bytes_read: 1,
            bytes_written: 1,
            seconds: 0.0,
        }
    }

    fn committer(&self, script: Vec<Fault>) -> Committer {
        let faulty = Faulty::before(&self.catalog, script);
        Committer::new(Arc::new(faulty), self.ambient.clone())
    }

    async fn replace(&self, script: Vec<Fault>, outcomes: &[Outcome]) -> Replaced {
        self.committer(script).replace(&self.name, &self.base, outcomes, &BTreeMap::new()).await.unwrap()
    }

    fn metadata_files(&self) -> HashSet<String> {
        std::fs::read_dir(self.dir.path().join("db/t/metadata"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// A commit of somebody else, to run while ours is on its way.
    fn meanwhile<F>(&self, act: impl Fn(Committer, TableName) -> F + Send + Sync + 'static) -> Fault
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (committer, name) = (Committer::new(self.catalog.clone(), self.ambient.clone()), self.name.clone());
        Fault::Meanwhile(Box::new(move || Box::pin(act(committer.clone(), name.clone()))))
    }
}

fn no_base() -> Base {
    Base { snapshot_id: 0, sequence_number: 0, schema_id: 0, metadata_location: String::new() }
}

fn appended(path: &str) -> AppendFile {
    let file = NewFile {
        partition: None,
        path: path.to_owned(),
        size: 10,
        records: 5,
        columns: Default::default(),
        split_offsets: Vec::new(),
        sort_order_id: None,
        vector: None,
    };
    AppendFile { file, spec_id: 0, partition: Struct::empty() }
}

/// Commits a delete file, as a merge-on-read writer would.
async fn add_delete(
    catalog: &Arc<dyn Catalog>,
    ambient: &Ambient,
    name: &TableName,
    content: DataContentType,
    of: Option<Arc<str>>,
) {
    add_delete_in(catalog, ambient, name, content, of, (0, Struct::empty())).await;
}

/// The same in a partition of a spec.
async fn add_delete_in(
    catalog: &Arc<dyn Catalog>,
    ambient: &Ambient,
    name: &TableName,
    content: DataContentType,
    of: Option<Arc<str>>,
    (spec_id, partition): (i32, Struct),
) {
    let table = catalog.load_table(name).await.unwrap();
    let parent = table.metadata.current_snapshot().unwrap();
    let (id, io) = (ambient.snapshot_id(), file_io(&table.store));
    let folder = format!("{}/metadata", table.metadata.location());
    let mut delete = DataFileBuilder::default();
    delete.content(content).file_path(format!("{folder}/delete-{id}.parquet")).file_format(DataFileFormat::Parquet);
    delete
        .record_count(1)
        .file_size_in_bytes(1)
        .partition(partition)
        .referenced_data_file(of.map(|path| path.to_string()));
    delete.partition_spec_id(spec_id);
    if content == DataContentType::EqualityDeletes {
        delete.equality_ids(Some(vec![1]));
    }
    let output = io.new_output(format!("{folder}/d-{id}.avro")).unwrap();
    let spec = table.metadata.partition_spec_by_id(spec_id).unwrap().as_ref().clone();
    let schema = table.metadata.current_schema().clone();
    let mut writer = ManifestWriterBuilder::new(output, Some(id), schema, spec).build_v2_deletes();
    writer.add_file(delete.build().unwrap(), -1).unwrap();
    let manifest = writer.write_manifest_file().await.unwrap();
    let (path, sequence) = (format!("{folder}/snap-{id}.avro"), table.metadata.last_sequence_number() + 1);
    let output = io.new_output(&path).unwrap().writer().await.unwrap();
    let mut list = ManifestListWriter::v2(output, id, Some(parent.snapshot_id()), sequence);
    let others = read_manifest_list(&table, parent).await.unwrap();
    list.add_manifests(std::iter::once(manifest).chain(others)).unwrap();
    list.close().await.unwrap();
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(Some(parent.snapshot_id()))
        .with_sequence_number(sequence)
        .with_timestamp_ms(table.metadata.last_updated_ms() + 1)
        .with_manifest_list(path)
        .with_summary(Summary { operation: Operation::Delete, additional_properties: Default::default() })
        .with_schema_id(0)
        .build();
    let reference = SnapshotReference::new(id, SnapshotRetention::branch(None, None, None));
    let change = TableChange {
        requirements: vec![TableRequirement::UuidMatch { uuid: table.metadata.uuid() }],
        updates: vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef { ref_name: "main".into(), reference },
        ],
    };
    assert!(matches!(catalog.commit(&table, &change).await.unwrap(), Swap::Committed { .. }));
}

#[tokio::test]
async fn should_replace_inputs_and_keep_everything_else() {
    for version in [1, 2] {
        let fixture = Fixture::new(version, 3).await;
        let before = fixture.live().await;
        let done = fixture.replace(vec![], &[fixture.outcome(0, 0..3), fixture.outcome(1, 3..5)]).await;
        assert!(matches!(done.result, CommitResult::Committed { .. }), "{done:?}");
        assert_eq!((done.committed_tasks, done.dropped, done.attempts), (vec![0, 1], vec![], 1));
        let after = fixture.live().await;
        let kept: Vec<_> = after.iter().filter(|f| !f.0.contains("out-")).collect();
        assert_eq!(kept, [&before[5]], "the file that was not touched keeps its sequence number");
        for new in after.iter().filter(|f| f.0.contains("out-")) {
            assert_eq!(new.2, fixture.base.sequence_number, "new files carry the base's sequence number");
        }
        let table = fixture.load().await;
        let snapshot = table.metadata.current_snapshot().unwrap();
        assert_eq!(snapshot.summary().operation, Operation::Replace);
        let summary = &snapshot.summary().additional_properties;
        for (key, value) in [
            ("added-data-files", "2"),
            ("deleted-data-files", "5"),
            ("added-records", "50"),
            ("deleted-records", "50"),
            ("total-data-files", "3"),
            ("total-records", "60"),
        ] {
            assert_eq!(summary.get(key).map(String::as_str), Some(value), "{key} in {summary:?}");
        }
        let list = read_manifest_list(&table, snapshot).await.unwrap();
        let manifests = read_manifests(&table.store, &list).await.unwrap();
        let count = |status| manifests.iter().flat_map(|m| m.entries()).filter(|e| e.status == status).count();
        assert_eq!((count(ManifestStatus::Added), count(ManifestStatus::Deleted)), (2, 5));
        // What was deleted once is not carried on by the next commit.
        let add = fixture.committer(vec![]).append(&fixture.name, &[appended("x")]).await.unwrap();
        assert!(matches!(add, CommitResult::Committed { .. }));
        assert_eq!(fixture.live().await.len(), 4);
    }
}

#[tokio::test]
async fn should_merge_the_manifests_that_it_touches() {
    let fixture = Fixture::new(2, 60).await;
    let all = fixture.outcome(0, 0..60);
    let _ = fixture.replace(vec![], &[all]).await;
    let table = fixture.load().await;
    let list = read_manifest_list(&table, table.metadata.current_snapshot().unwrap()).await.unwrap();
    assert_eq!(list.len(), 2, "60 manifests became one of added and one of deleted entries");
    assert!(list.iter().all(|m| m.content == ManifestContentType::Data));
}

#[tokio::test]
async fn should_come_after_a_concurrent_append_without_redoing_data() {
    let fixture = Fixture::new(2, 1).await;
    let append = fixture.meanwhile(|committer, name| async move {
        let _ = committer.append(&name, &[appended("new")]).await.unwrap();
    });
    let done = fixture.replace(vec![append], &[fixture.outcome(0, 0..6)]).await;
    assert_eq!((done.committed_tasks, done.attempts), (vec![0], 2));
    let paths: Vec<String> = fixture.live().await.into_iter().map(|f| f.0).collect();
    assert!(paths.len() == 2 && paths.contains(&"new".to_owned()), "{paths:?}");
}

#[tokio::test]
async fn should_drop_a_group_whose_input_is_gone_and_commit_the_others() {
    let fixture = Fixture::new(2, 1).await;
    let (other, base) = (fixture.outcome(7, 0..2), fixture.base.clone());
    let replaced = fixture.meanwhile(move |committer, name| {
        let (other, base) = (other.clone(), base.clone());
        async move {
            let _ = committer.replace(&name, &base, &[other], &BTreeMap::new()).await.unwrap();
        }
    });
    let done = fixture.replace(vec![replaced], &[fixture.outcome(0, 0..3), fixture.outcome(1, 3..6)]).await;
    assert_eq!(done.committed_tasks, [1]);
    assert!(matches!(&done.dropped[..], [Dropped { task: 0, reason: DropReason::InputGone { .. } }]), "{done:?}");
    let rows: u64 = fixture.live().await.iter().map(|f| f.1).sum();
    assert_eq!(rows, 60);
    let gone = fixture.replace(vec![], &[fixture.outcome(0, 0..3)]).await;
    assert_eq!(gone.result, CommitResult::NothingLeft);
}

#[tokio::test]
async fn should_never_lose_a_delete_that_came_in_between() {
    // A position delete in the partition, one for a named file, and an equality delete (I4).
    for (content, named, dropped) in [
        (DataContentType::PositionDeletes, false, vec![0, 1]),
        (DataContentType::PositionDeletes, true, vec![0]),
        (DataContentType::EqualityDeletes, false, vec![]),
    ] {
        let fixture = Fixture::new(2, 1).await;
        let (catalog, ambient, name) = (fixture.catalog.clone(), fixture.ambient.clone(), fixture.name.clone());
        let of = named.then(|| fixture.files[1].path.clone());
        let delete = Fault::Meanwhile(Box::new(move || {
            let (catalog, ambient, name, of) = (catalog.clone(), ambient.clone(), name.clone(), of.clone());
            Box::pin(async move { add_delete(&catalog, &ambient, &name, content, of).await })
        }));
        let done = fixture.replace(vec![delete], &[fixture.outcome(0, 0..3), fixture.outcome(1, 3..6)]).await;
        let tasks: Vec<u32> = done.dropped.iter().map(|d| d.task).collect();
        assert_eq!(tasks, dropped, "{content:?}");
        assert!(done.dropped.iter().all(|d| matches!(d.reason, DropReason::NewDeletes { .. })));
        let table = fixture.load().await;
        let state = load_state(&table, &LoadOptions::default()).await.unwrap();
        let delete = state.deletes[0].sequence_number;
        for file in state.files.iter().filter(|f| f.path.contains("out-")) {
            let equality = content == DataContentType::EqualityDeletes;
            assert!(!equality || file.sequence_number < delete, "the delete applies to the new file");
        }
    }
}

#[tokio::test]
async fn should_find_out_how_a_lost_commit_ended() {
    for fault in [Fault::LoseAnswer, Fault::LoseRequest] {
        let fixture = Fixture::new(2, 1).await;
        let snapshots = fixture.load().await.metadata.snapshots().len();
        let done = fixture.replace(vec![fault], &[fixture.outcome(0, 0..6)]).await;
        assert!(matches!(done.result, CommitResult::Committed { .. }), "{done:?}");
        assert_eq!(fixture.load().await.metadata.snapshots().len(), snapshots + 1, "committed once");
        assert_eq!(fixture.live().await.len(), 1);
    }
    // Lost on the way, and another writer was first: it can never land any more.
    let fixture = Fixture::new(2, 1).await;
    let append = fixture.meanwhile(|committer, name| async move {
        let _ = committer.append(&name, &[appended("new")]).await.unwrap();
    });
    let Fault::Meanwhile(act) = append else { unreachable!() };
    let lost = Faulty::before(&fixture.catalog, [Fault::LoseRequest]);
    let committer = Committer::new(Arc::new(lost), fixture.ambient.clone());
    let outcomes = [fixture.outcome(0, 0..6)];
    let none = BTreeMap::new();
    let (done, ()) = tokio::join!(committer.replace(&fixture.name, &fixture.base, &outcomes, &none), async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        act().await;
    });
    assert!(matches!(done.unwrap().result, CommitResult::Committed { .. }), "tried again on fresh metadata");
    assert_eq!(fixture.live().await.len(), 2);
}

#[tokio::test]
async fn should_clean_up_after_being_rejected_for_good() {
    let fixture = Fixture::new(2, 1).await;
    let before = fixture.metadata_files();
    let script = (0..9).map(|_| Fault::Reject).collect();
    let done = fixture.replace(script, &[fixture.outcome(0, 0..6)]).await;
    assert!(matches!(done.result, CommitResult::Rejected { .. }));
    assert_eq!((done.attempts, done.committed_tasks), (5, vec![]));
    assert_eq!(fixture.metadata_files(), before, "nothing is left behind");
    assert_eq!(fixture.live().await.len(), 6);
}

#[tokio::test]
async fn should_refuse_to_change_the_number_of_rows() {
    let fixture = Fixture::new(2, 1).await;
    let mut wrong = fixture.outcome(0, 0..6);
    wrong.outputs[0].records -= 1;
    let before = fixture.metadata_files();
    let refused = fixture.committer(vec![]).replace(&fixture.name, &fixture.base, &[wrong], &BTreeMap::new()).await;
    assert_eq!(refused.unwrap_err().kind(), crate::error::Kind::Internal);
    assert_eq!(fixture.metadata_files(), before);
}

#[tokio::test]
async fn should_keep_every_row_under_random_faults() {
    let seeds = std::env::var("ICEWRIGHT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40u64);
    for seed in 0..seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let fixture = Fixture::new(2, 2).await;
        let script: Vec<Fault> = (0..random.random_range(0..5))
            .map(|n| match random.random_range(0..4) {
                0 => Fault::Reject,
                1 => Fault::LoseAnswer,
                2 => Fault::LoseRequest,
                _ => fixture.meanwhile(move |committer, name| async move {
                    let _ = committer.append(&name, &[appended(&format!("new-{n}"))]).await.unwrap();
                }),
            })
            .collect();
        let appends = script.iter().filter(|fault| matches!(fault, Fault::Meanwhile(_))).count();
        let done = fixture.replace(script, &[fixture.outcome(0, 0..3), fixture.outcome(1, 3..6)]).await;
        let live = fixture.live().await;
        let rows: u64 = live.iter().map(|f| f.1).sum();
        let new = live.iter().filter(|f| f.0.starts_with("new-")).count();
        assert_eq!(rows, 60 + 5 * new as u64, "seed {seed}: {done:?}");
        assert!(new <= appends);
        let unique: HashSet<&String> = live.iter().map(|f| &f.0).collect();
        assert_eq!(unique.len(), live.len(), "seed {seed}: a file is listed twice");
        let replaced = live.iter().filter(|f| f.0.contains("out-")).count();
        let committed = matches!(done.result, CommitResult::Committed { .. });
        assert_eq!(replaced, if committed { 2 } else { 0 }, "seed {seed}: {done:?}");
    }
}
