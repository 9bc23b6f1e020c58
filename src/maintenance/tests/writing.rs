//! Files as writers of data and of deletes make them.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::home::Home;
use super::lake::{Commit, Lake, Row, document};
use super::values::column;
use crate::lake::parquet_schema::write_schema;

impl Lake {
    pub(super) fn path(&mut self, name: &str) -> String {
        self.written += 1;
        let folder = self.dir.path().join("db/t/data");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{:05}-{name}", self.written)).display().to_string()
    }

    /// Writes rows with these columns of the current schema.
    fn parquet(&self, path: &str, ids: &[i32], rows: &[Row]) {
        let fields: Vec<_> = self.fields.iter().filter(|(id, ..)| ids.contains(id)).copied().collect();
        let schema: Schema = serde_json::from_value(document(0, &fields, false)).unwrap();
        let schema = write_schema(&schema).unwrap().arrow;
        let columns = schema.fields().iter().zip(&fields);
        let columns = columns.map(|(field, (id, ..))| column(field.data_type(), rows.iter().map(|row| row.get(id))));
        let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
        // Several row groups, so that positions cross their edges.
        let props = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
        let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), schema, Some(props)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// Adds rows of one partition to the commit; the model learns of them when it is made.
    pub(super) fn append(&mut self, commit: &mut Commit, home: impl Into<Home>, rows: &[Row]) {
        let path = self.path("data.parquet");
        let ids: Vec<i32> = self.fields.iter().map(|(id, ..)| *id).collect();
        self.parquet(&path, &ids, rows);
        commit.add(DataContentType::Data, path, rows.len(), &home.into(), |_| {});
    }

    /// Adds an equality delete of one partition, or of the whole table, to the commit.
    pub(super) fn equality(&mut self, commit: &mut Commit, home: impl Into<Home>, ids: &[i32], keys: &[Row]) {
        let path = self.path("equality.parquet");
        self.parquet(&path, ids, keys);
        let ids = ids.to_vec();
        commit.add(DataContentType::EqualityDeletes, path, keys.len(), &home.into(), |file| {
            file.equality_ids(Some(ids));
        });
    }

    /// Adds position deletes of one partition to the commit, as a file; `of` names the data file when they are all of one.
    pub(super) fn positions(&mut self, commit: &mut Commit, home: &Home, rows: &[(String, i64)], of: Option<String>) {
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
        commit.add(DataContentType::PositionDeletes, path, rows.len(), home, |file| {
            file.referenced_data_file(of);
        });
    }
}

impl Commit {
    pub(super) fn add(
        &mut self,
        content: DataContentType,
        path: String,
        rows: usize,
        home: &Home,
        more: impl FnOnce(&mut DataFileBuilder),
    ) {
        let mut file = DataFileBuilder::default();
        file.content(content)
            .file_format(DataFileFormat::Parquet)
            .record_count(rows as u64)
            .partition(home.partition(self.wide));
        file.file_size_in_bytes(std::fs::metadata(&path).unwrap().len()).file_path(path);
        more(&mut file);
        self.files.push((file.build().unwrap(), home.spec));
    }
}
