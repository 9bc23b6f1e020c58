//! Deletion vectors as another writer makes them, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use iceberg::puffin::{Blob, CompressionCodec, DELETION_VECTOR_V1, PuffinWriter};
use iceberg::spec::{
    DataContentType, DataFileFormat, FormatVersion, ManifestContentType, ManifestEntryRef, ManifestFile,
    ManifestStatus, ManifestWriterBuilder,
};
use roaring::RoaringTreemap;

use super::home::Home;
use super::lake::{Commit, Lake};
use super::reader::positions;
use crate::lake::manifests::read_manifest;
use crate::lake::{LoadedTable, file_io};

impl Lake {
    /// Adds deletes of these rows of one partition (of the second spec, if it is a number) to the commit, as the table's format version has them; `of` names the
    /// data file when they are all of one.
    pub(super) async fn delete_rows(
        &mut self,
        commit: &mut Commit,
        home: impl Into<Home>,
        rows: &[(String, i64)],
        of: Option<String>,
    ) {
        let home = home.into();
        if self.version < FormatVersion::V3 {
            self.positions(commit, &home, rows, of);
        } else {
            let rows: Vec<_> = rows.iter().map(|(file, position)| (home.clone(), file.clone(), *position)).collect();
            self.vectors(commit, &rows).await;
        }
    }

    /// Adds deletion vectors to the commit, all in one file, whatever the partitions. A vector takes over what other
    /// positions say of its file.
    pub(super) async fn vectors(&mut self, commit: &mut Commit, rows: &[(Home, String, i64)]) {
        let table = self.load().await;
        let mut known = positions(&table).await;
        let mut by_file: BTreeMap<&str, (&Home, BTreeSet<i64>)> = BTreeMap::new();
        for (home, file, position) in rows {
            by_file.entry(file).or_insert_with(|| (home, BTreeSet::new())).1.insert(*position);
        }
        let path = self.path("vectors.puffin");
        let output = file_io(&table.store).new_output(&path).unwrap();
        let mut writer = PuffinWriter::new(&output, Default::default(), false).await.unwrap();
        let (mut offset, mut made) = (4, Vec::new());
        for (file, (home, mut deleted)) in by_file {
            let (before, vector) = known.remove(file).unwrap_or_default();
            deleted.extend(before);
            commit.replaced.extend(vector);
            let data = blob(&deleted);
            let length = i64::try_from(data.len()).unwrap();
            made.push((file, home, offset, length, deleted.len()));
            offset += length;
            let blob = Blob::builder()
                .r#type(DELETION_VECTOR_V1.to_owned())
                .fields(vec![2_147_483_645])
                .snapshot_id(-1)
                .sequence_number(-1)
                .data(data)
                .properties([("referenced-data-file".to_owned(), file.to_owned())].into())
                .build();
            writer.add(blob, CompressionCodec::None).await.unwrap();
        }
        writer.close().await.unwrap();
        for (file, home, offset, length, rows) in made {
            commit.add(DataContentType::PositionDeletes, path.clone(), rows, home, |entry| {
                entry
                    .file_format(DataFileFormat::Puffin)
                    .referenced_data_file(Some(file.to_owned()))
                    .content_offset(Some(offset))
                    .content_size_in_bytes(Some(length));
            });
        }
    }

    /// Manifests from which these deletion vectors are gone.
    pub(super) async fn without(
        &self,
        table: &LoadedTable,
        snapshot: i64,
        list: Vec<ManifestFile>,
        gone: &HashSet<(String, i64)>,
    ) -> Vec<ManifestFile> {
        let mut left = Vec::new();
        for (number, file) in list.into_iter().enumerate() {
            let goes = |entry: &ManifestEntryRef| {
                let data = entry.data_file();
                data.content_offset().is_some_and(|offset| gone.contains(&(data.file_path().to_owned(), offset)))
            };
            let manifest = read_manifest(&table.store, &file).await.unwrap();
            if file.content == ManifestContentType::Data || !manifest.entries().iter().any(goes) {
                left.push(file);
                continue;
            }
            let path = format!("{}/metadata/{snapshot}-without-{number}.avro", table.metadata.location());
            let spec = table.metadata.partition_spec_by_id(file.partition_spec_id).unwrap().as_ref().clone();
            let output = file_io(&table.store).new_output(path).unwrap();
            let schema = table.metadata.current_schema().clone();
            let mut writer = self.writer(ManifestWriterBuilder::new(output, Some(snapshot), schema, spec), true);
            for entry in manifest.entries().iter().filter(|entry| entry.status != ManifestStatus::Deleted) {
                let (data, sequence) = (entry.data_file().clone(), entry.sequence_number().unwrap());
                if goes(entry) {
                    writer.add_delete_file(data, sequence, entry.file_sequence_number).unwrap();
                } else {
                    let by = entry.snapshot_id().unwrap();
                    writer.add_existing_file(data, by, sequence, entry.file_sequence_number).unwrap();
                }
            }
            left.push(writer.write_manifest_file().await.unwrap());
        }
        left
    }
}

fn blob(positions: &BTreeSet<i64>) -> Vec<u8> {
    let positions: RoaringTreemap = positions.iter().map(|position| u64::try_from(*position).unwrap()).collect();
    let mut body = vec![0xd1, 0xd3, 0x39, 0x64];
    positions.serialize_into(&mut body).unwrap();
    let checksum = crc32fast::hash(&body);
    [u32::try_from(body.len()).unwrap().to_be_bytes().to_vec(), body, checksum.to_be_bytes().to_vec()].concat()
}
