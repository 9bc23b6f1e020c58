//! A table written as merge-on-read writers write, and a model of what it holds.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, ManifestListWriter, ManifestWriter, ManifestWriterBuilder, Operation,
    Snapshot, SnapshotReference, SnapshotRetention, Summary, TableMetadata,
};
use iceberg::{TableRequirement, TableUpdate};
use serde_json::json;

use super::home::specs;
use super::reader::{Value, read};
use crate::executor::ExecutorSettings;
use crate::lake::manifests::read_manifest_list;
use crate::lake::{Ambient, Catalog, LoadedTable, Swap, TableChange, connect_or_create, file_io};
use crate::maintenance::Maintenance;
use crate::model::{CatalogSettings, MIB, TableName};

/// Field ids of the test table.
pub(super) const ID: i32 = 1;
pub(super) const PART: i32 = 2;
pub(super) const TEXT: i32 = 3;
pub(super) const NUM: i32 = 4;
pub(super) const EXTRA: i32 = 5;
pub(super) const RATIO: i32 = 6;
pub(super) const PRICE: i32 = 7;
pub(super) const RAW: i32 = 8;
pub(super) const DAY: i32 = 9;
pub(super) const FLAG: i32 = 10;
/// One of the same name as a dropped one.
pub(super) const RAW_AGAIN: i32 = 11;
/// What `EXTRA` is in rows from before it was added to a table of version 3.
pub(super) const EXTRA_DEFAULT: i64 = 2;

/// A row: values by field id.
pub(super) type Row = BTreeMap<i32, Value>;

/// A table and its model.
pub(super) struct Lake {
    pub(super) maintenance: Maintenance,
    pub(super) name: TableName,
    /// The columns of the current schema: id, name, type.
    pub(super) fields: Vec<(i32, &'static str, &'static str)>,
    /// The rows that live, with all values that they ever had.
    pub(super) model: Vec<Row>,
    /// The format version.
    pub(super) version: FormatVersion,
    /// The current partition spec.
    pub(super) spec: i32,
    /// Whether `EXTRA` has a default.
    pub(super) has_default: bool,
    pub(super) dir: tempfile::TempDir,
    pub(super) written: u32,
}

/// Files of one commit.
#[derive(Default)]
pub(super) struct Commit {
    pub(super) files: Vec<(DataFile, i32)>,
    /// Whether `num`, which partitions may be made of, is a long by now.
    pub(super) wide: bool,
    /// Deletion vectors that go: file and offset.
    pub(super) replaced: HashSet<(String, i64)>,
}

impl Lake {
    pub(super) async fn new() -> Self {
        Self::of_version(FormatVersion::V2).await
    }

    pub(super) async fn of_version(version: FormatVersion) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = CatalogSettings::in_folder("test", dir.path());
        let ambient = Arc::new(Ambient::manual(1_700_000_000_000, 5));
        let catalog = connect_or_create(&settings, ambient.clone()).await.unwrap();
        let name = TableName::new(["db"], "t");
        let fields = vec![
            (ID, "id", "long"),
            (PART, "part", "int"),
            (TEXT, "text", "string"),
            (NUM, "num", "int"),
            (RATIO, "ratio", "float"),
            (PRICE, "price", "decimal(9,2)"),
            (RAW, "raw", "binary"),
            (DAY, "day", "date"),
            (FLAG, "flag", "boolean"),
        ];
        let metadata: TableMetadata = serde_json::from_value(json!({
            "format-version": version as u8, "next-row-id": 0, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": dir.path().join("db/t").display().to_string(), "last-sequence-number": 0,
            "last-updated-ms": 1_700_000_000_000i64, "last-column-id": 11, "current-schema-id": 0,
            "schemas": [document(0, &fields, false)], "default-spec-id": 1, "last-partition-id": 1002,
            "partition-specs": specs(),
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
            "properties": {"commit.retry.min-wait-ms": "1", "commit.retry.max-wait-ms": "2"},
        }))
        .unwrap();
        catalog.create_table(&name, metadata).await.unwrap();
        let resources = ExecutorSettings::new(256 * MIB, 2);
        let maintenance = Maintenance { catalog, ambient, resources, progress: Arc::default() };
        Self { maintenance, name, fields, model: Vec::new(), version, spec: 1, has_default: false, dir, written: 0 }
    }

    fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.maintenance.catalog
    }

    /// A folder beside the table.
    pub(super) fn folder(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The catalog's database.
    pub(super) fn database(&self) -> String {
        format!("sqlite://{}/catalog.db", self.dir.path().display())
    }

    pub(super) async fn load(&self) -> LoadedTable {
        self.catalog().load_table(&self.name).await.unwrap()
    }

    /// The rows that a reader finds, as far as the current schema shows them, in order.
    pub(super) async fn rows(&self) -> Vec<Row> {
        let rows = read(&self.load().await).await.into_iter().map(|found| found.row);
        self.shown(rows)
    }

    /// The rows that it should find.
    pub(super) fn expected(&self) -> Vec<Row> {
        self.shown(self.model.iter().cloned())
    }

    fn shown(&self, rows: impl Iterator<Item = Row>) -> Vec<Row> {
        let value = |row: &Row, id: i32| row.get(&id).cloned().unwrap_or(Value::Null);
        let mut rows: Vec<Row> =
            rows.map(|row| self.fields.iter().map(|(id, ..)| (*id, value(&row, *id))).collect()).collect();
        rows.sort();
        rows
    }

    /// Changes the current schema.
    pub(super) async fn evolve(&mut self, change: impl FnOnce(&mut Vec<(i32, &'static str, &'static str)>)) {
        change(&mut self.fields);
        let table = self.load().await;
        let id = table.metadata.schemas_iter().map(|schema| schema.schema_id()).max().unwrap_or(0) + 1;
        let fields = document(id, &self.fields, self.has_default);
        self.edit(|metadata| {
            metadata["schemas"].as_array_mut().unwrap().push(fields);
            metadata["current-schema-id"] = json!(id);
        })
        .await;
    }

    /// Catalogs make no such change for us: another engine's is written into the document itself.
    pub(super) async fn edit(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let path = self.load().await.metadata_location.trim_start_matches("file://").to_owned();
        let mut metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut metadata);
        std::fs::write(&path, metadata.to_string()).unwrap();
    }

    /// Makes the table one of format version 3.
    pub(super) async fn upgrade(&mut self) {
        self.version = FormatVersion::V3;
        self.edit(|metadata| {
            metadata["format-version"] = json!(3);
            metadata["next-row-id"] = json!(0);
        })
        .await;
    }

    /// Moves the table back to an older snapshot.
    pub(super) async fn roll_back(&self, snapshot: i64) {
        let reference = SnapshotReference::new(snapshot, SnapshotRetention::branch(None, None, None));
        let set = TableUpdate::SetSnapshotRef { ref_name: "main".into(), reference };
        self.swap(&self.load().await, vec![set]).await;
    }

    pub(super) async fn swap(&self, table: &LoadedTable, updates: Vec<TableUpdate>) {
        let requirements = vec![TableRequirement::UuidMatch { uuid: table.metadata.uuid() }];
        let swapped = self.catalog().commit(table, &TableChange { requirements, updates }).await.unwrap();
        assert!(matches!(swapped, Swap::Committed { .. }), "{swapped:?}");
    }

    /// A writer of manifests of the table's version.
    pub(super) fn writer(&self, builder: ManifestWriterBuilder, deletes: bool) -> ManifestWriter {
        match (self.version, deletes) {
            (FormatVersion::V3, true) => builder.build_v3_deletes(),
            (FormatVersion::V3, false) => builder.build_v3_data(),
            (_, true) => builder.build_v2_deletes(),
            (_, false) => builder.build_v2_data(),
        }
    }

    /// Commits the files in one snapshot.
    pub(super) async fn commit(&self, commit: Commit) {
        let table = self.load().await;
        let (id, io) = (self.maintenance.ambient.snapshot_id(), file_io(&table.store));
        let folder = format!("{}/metadata", table.metadata.location());
        let mut by_kind: BTreeMap<(bool, i32), Vec<DataFile>> = BTreeMap::new();
        for (file, spec) in commit.files {
            by_kind.entry((file.content_type() != DataContentType::Data, spec)).or_default().push(file);
        }
        let mut manifests = Vec::new();
        for ((deletes, spec), files) in by_kind {
            let output = io.new_output(format!("{folder}/{id}-{deletes}-{spec}.avro")).unwrap();
            let schema = table.metadata.current_schema().clone();
            let spec = table.metadata.partition_spec_by_id(spec).unwrap().as_ref().clone();
            let builder = ManifestWriterBuilder::new(output, Some(id), schema, spec);
            let mut writer = self.writer(builder, deletes);
            for file in files {
                writer.add_file(file, -1).unwrap();
            }
            manifests.push(writer.write_manifest_file().await.unwrap());
        }
        let parent = table.metadata.current_snapshot();
        if let Some(parent) = parent {
            let before = read_manifest_list(&table, parent).await.unwrap();
            manifests.extend(self.without(&table, id, before, &commit.replaced).await);
        }
        let parent = parent.map(|snapshot| snapshot.snapshot_id());
        let (path, sequence) = (format!("{folder}/snap-{id}.avro"), table.metadata.last_sequence_number() + 1);
        let output = io.new_output(&path).unwrap().writer().await.unwrap();
        let (v3, first_row) = (self.version == FormatVersion::V3, table.metadata.next_row_id());
        let mut list = match v3 {
            true => ManifestListWriter::v3(output, id, parent, sequence, Some(first_row)),
            false => ManifestListWriter::v2(output, id, parent, sequence),
        };
        list.add_manifests(manifests.into_iter()).unwrap();
        let next_row = list.next_row_id();
        list.close().await.unwrap();
        let snapshot = Snapshot::builder()
            .with_snapshot_id(id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(sequence)
            .with_timestamp_ms(table.metadata.last_updated_ms() + 1)
            .with_manifest_list(path)
            .with_summary(Summary { operation: Operation::Overwrite, additional_properties: Default::default() })
            .with_schema_id(table.metadata.current_schema_id());
        let snapshot = match next_row.filter(|_| v3) {
            Some(next) => snapshot.with_row_range(first_row, next - first_row).build(),
            None => snapshot.build(),
        };
        let reference = SnapshotReference::new(id, SnapshotRetention::branch(None, None, None));
        let set = TableUpdate::SetSnapshotRef { ref_name: "main".into(), reference };
        self.swap(&table, vec![TableUpdate::AddSnapshot { snapshot }, set]).await;
    }
}

/// A schema.
pub(super) fn document(id: i32, fields: &[(i32, &str, &str)], has_default: bool) -> serde_json::Value {
    let field = |(id, name, kind): &(i32, &str, &str)| {
        let mut field = json!({"id": id, "name": name, "required": false, "type": kind});
        if *id == EXTRA && has_default {
            field["initial-default"] = json!(EXTRA_DEFAULT);
            field["write-default"] = json!(EXTRA_DEFAULT);
        }
        field
    };
    json!({"type": "struct", "schema-id": id, "fields": fields.iter().map(field).collect::<Vec<_>>()})
}
