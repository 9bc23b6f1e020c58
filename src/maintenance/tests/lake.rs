//! A table written as merge-on-read writers write, and a model of what it holds.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, Literal, ManifestListWriter,
    ManifestWriter, ManifestWriterBuilder, Operation, Schema, Snapshot, SnapshotReference, SnapshotRetention, Struct,
    Summary, TableMetadata,
};
use iceberg::{TableRequirement, TableUpdate};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::reader::{Value, read};
use crate::executor::ExecutorSettings;
use crate::lake::manifests::read_manifest_list;
use crate::lake::parquet_schema::write_schema;
use crate::lake::{Ambient, Catalog, LoadedTable, Swap, TableChange, connect_or_create, file_io};
use crate::maintenance::Maintenance;
use crate::model::{CatalogSettings, MIB, TableName};

/// Field ids of the test table.
pub(super) const ID: i32 = 1;
pub(super) const PART: i32 = 2;
pub(super) const TEXT: i32 = 3;
pub(super) const NUM: i32 = 4;
pub(super) const EXTRA: i32 = 5;

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
    dir: tempfile::TempDir,
    written: u32,
}

/// Files of one commit.
#[derive(Default)]
pub(super) struct Commit {
    files: Vec<(DataFile, i32)>,
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
        let fields = vec![(ID, "id", "long"), (PART, "part", "int"), (TEXT, "text", "string"), (NUM, "num", "int")];
        let metadata: TableMetadata = serde_json::from_value(json!({
            "format-version": version as u8, "next-row-id": 0, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": dir.path().join("db/t").display().to_string(), "last-sequence-number": 0,
            "last-updated-ms": 1_700_000_000_000i64, "last-column-id": 5, "current-schema-id": 0,
            "schemas": [document(0, &fields)], "default-spec-id": 1, "last-partition-id": 1000,
            "partition-specs": [{"spec-id": 0, "fields": []},
                {"spec-id": 1, "fields": [{"source-id": PART, "field-id": 1000, "name": "part", "transform": "identity"}]}],
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}],
            "properties": {"commit.retry.min-wait-ms": "1", "commit.retry.max-wait-ms": "2"},
        }))
        .unwrap();
        catalog.create_table(&name, metadata).await.unwrap();
        let resources = ExecutorSettings::new(256 * MIB, 2);
        let maintenance = Maintenance { catalog, ambient, resources, progress: Arc::default() };
        Self { maintenance, name, fields, model: Vec::new(), version, dir, written: 0 }
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
        let fields = document(id, &self.fields);
        self.edit(|metadata| {
            metadata["schemas"].as_array_mut().unwrap().push(fields);
            metadata["current-schema-id"] = json!(id);
        })
        .await;
    }

    /// Catalogs make no such change for us: another engine's is written into the document itself.
    async fn edit(&self, change: impl FnOnce(&mut serde_json::Value)) {
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

    async fn swap(&self, table: &LoadedTable, updates: Vec<TableUpdate>) {
        let requirements = vec![TableRequirement::UuidMatch { uuid: table.metadata.uuid() }];
        let swapped = self.catalog().commit(table, &TableChange { requirements, updates }).await.unwrap();
        assert!(matches!(swapped, Swap::Committed { .. }), "{swapped:?}");
    }

    pub(super) fn path(&mut self, name: &str) -> String {
        self.written += 1;
        let folder = self.dir.path().join("db/t/data");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{:05}-{name}", self.written)).display().to_string()
    }

    /// Writes rows with these columns of the current schema.
    fn parquet(&self, path: &str, ids: &[i32], rows: &[Row]) {
        let fields: Vec<_> = self.fields.iter().filter(|(id, ..)| ids.contains(id)).copied().collect();
        let schema: Schema = serde_json::from_value(document(0, &fields)).unwrap();
        let schema = write_schema(&schema).unwrap().arrow;
        let columns = schema.fields().iter().zip(&fields).map(|(field, (id, ..))| -> ArrayRef {
            let ints = || rows.iter().map(|row| row.get(id).and_then(Value::int));
            match field.data_type() {
                DataType::Int32 => {
                    Arc::new(Int32Array::from_iter(ints().map(|v| v.map(|v| i32::try_from(v).unwrap()))))
                }
                DataType::Int64 => Arc::new(Int64Array::from_iter(ints())),
                _ => Arc::new(StringArray::from_iter(rows.iter().map(|row| row.get(id).and_then(Value::text)))),
            }
        });
        let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
        // Several row groups, so that positions cross their edges.
        let props = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), schema, Some(props)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// Adds rows of one partition to the commit; the model learns of them when it is made.
    pub(super) fn append(&mut self, commit: &mut Commit, part: i64, rows: &[Row]) {
        let path = self.path("data.parquet");
        let ids: Vec<i32> = self.fields.iter().map(|(id, ..)| *id).collect();
        self.parquet(&path, &ids, rows);
        commit.add(DataContentType::Data, path, rows.len(), Some(part), |_| {});
    }

    /// Adds an equality delete of one partition, or of the whole table, to the commit.
    pub(super) fn equality(&mut self, commit: &mut Commit, part: Option<i64>, ids: &[i32], keys: &[Row]) {
        let path = self.path("equality.parquet");
        self.parquet(&path, ids, keys);
        let ids = ids.to_vec();
        commit.add(DataContentType::EqualityDeletes, path, keys.len(), part, |file| {
            file.equality_ids(Some(ids));
        });
    }

    /// Adds position deletes of one partition to the commit, as a file; `of` names the data file when they are all of one.
    pub(super) fn positions(&mut self, commit: &mut Commit, part: i64, rows: &[(String, i64)], of: Option<String>) {
        let path = self.path("positions.parquet");
        let schema = json!({"type": "struct", "schema-id": 0, "fields": [
            {"id": 2_147_483_546, "name": "file_path", "required": true, "type": "string"},
            {"id": 2_147_483_545, "name": "pos", "required": true, "type": "long"}]});
        let schema: Schema = serde_json::from_value(schema).unwrap();
        let schema = write_schema(&schema).unwrap().arrow;
        let mut rows = rows.to_vec();
        rows.sort();
        let paths: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0)));
        let positions: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        let batch = RecordBatch::try_new(schema.clone(), vec![paths, positions]).unwrap();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        commit.add(DataContentType::PositionDeletes, path, rows.len(), Some(part), |file| {
            file.referenced_data_file(of);
        });
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

impl Commit {
    pub(super) fn add(
        &mut self,
        content: DataContentType,
        path: String,
        rows: usize,
        part: Option<i64>,
        more: impl FnOnce(&mut DataFileBuilder),
    ) {
        let mut file = DataFileBuilder::default();
        let literal = |part: i64| Some(Literal::int(i32::try_from(part).unwrap()));
        let partition = part.map_or_else(Struct::empty, |part| Struct::from_iter([literal(part)]));
        file.content(content).file_format(DataFileFormat::Parquet).record_count(rows as u64).partition(partition);
        file.file_size_in_bytes(std::fs::metadata(&path).unwrap().len()).file_path(path);
        more(&mut file);
        self.files.push((file.build().unwrap(), i32::from(part.is_some())));
    }
}

fn document(id: i32, fields: &[(i32, &str, &str)]) -> serde_json::Value {
    let fields: Vec<_> = fields
        .iter()
        .map(|(id, name, kind)| json!({"id": id, "name": name, "required": false, "type": kind}))
        .collect();
    json!({"type": "struct", "schema-id": id, "fields": fields})
}
