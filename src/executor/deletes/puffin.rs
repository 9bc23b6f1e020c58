//! Puffin files: blobs one after the other, and a footer that says where each is (Puffin spec).
//!
//! The `iceberg` crate's writer keeps a whole file in memory and does not say where its blobs are, which manifests have to.

use std::io::{self, Write};

use serde::Serialize;

use crate::model::NewVector;

/// What a file, its footer and its end begin with.
const MAGIC: [u8; 4] = *b"PFA1";
/// The reserved field id of `_pos`, which deletion vectors are about (spec, "Reserved Field IDs").
const POSITION: i32 = 2_147_483_645;

/// A file being written.
pub(super) struct Puffin<W> {
    out: W,
    position: u64,
    blobs: Vec<Entry>,
}

#[derive(Serialize)]
struct Footer {
    blobs: Vec<Entry>,
    properties: Created,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Created {
    created_by: &'static str,
}

/// What the footer says of a deletion vector. It is not compressed, so no codec is named.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    r#type: &'static str,
    fields: [i32; 1],
    snapshot_id: i64,
    sequence_number: i64,
    offset: u64,
    length: u64,
    properties: About,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct About {
    referenced_data_file: String,
    cardinality: String,
}

impl<W: Write> Puffin<W> {
    /// Begins a file.
    pub(super) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        Ok(Self { out, position: MAGIC.len() as u64, blobs: Vec::new() })
    }

    /// Adds the deletion vector of a data file.
    pub(super) fn add(&mut self, data_file: &str, blob: &[u8], cardinality: u64) -> io::Result<NewVector> {
        self.out.write_all(blob)?;
        let (offset, length) = (self.position, blob.len() as u64);
        self.position += length;
        self.blobs.push(Entry {
            r#type: "deletion-vector-v1",
            fields: [POSITION],
            // A vector is inherited by many snapshots: the spec wants -1.
            snapshot_id: -1,
            sequence_number: -1,
            offset,
            length,
            properties: About { referenced_data_file: data_file.to_owned(), cardinality: cardinality.to_string() },
        });
        Ok(NewVector { data_file: data_file.to_owned(), offset, length })
    }

    /// Bytes of vectors so far.
    pub(super) fn bytes(&self) -> u64 {
        self.position
    }

    /// Writes the footer.
    pub(super) fn end(mut self) -> io::Result<W> {
        let created_by = concat!("icewright ", env!("CARGO_PKG_VERSION"));
        let footer = serde_json::to_vec(&Footer { blobs: self.blobs, properties: Created { created_by } })?;
        let length = u32::try_from(footer.len()).map_err(|_| io::Error::other("the footer is too long"))?;
        self.out.write_all(&MAGIC)?;
        self.out.write_all(&footer)?;
        self.out.write_all(&length.to_le_bytes())?;
        // No flag: the footer is not compressed.
        self.out.write_all(&[0; 4])?;
        self.out.write_all(&MAGIC)?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use iceberg::io::FileIO;
    use iceberg::puffin::{DELETION_VECTOR_V1, PuffinReader};

    use super::*;

    #[tokio::test]
    async fn should_write_what_the_iceberg_crate_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.puffin").display().to_string();
        let mut puffin = Puffin::begin(Vec::new()).unwrap();
        let made = [("a.parquet", &b"first"[..], 7), ("b \"quoted\".parquet", &b"the second"[..], u64::MAX)]
            .map(|(file, blob, rows)| (puffin.add(file, blob, rows).unwrap(), blob, rows));
        std::fs::write(&path, puffin.end().unwrap()).unwrap();
        let reader = PuffinReader::new(FileIO::new_with_fs().new_input(&path).unwrap());
        let found = reader.file_metadata().await.unwrap().clone();
        assert!(found.properties()["created-by"].starts_with("icewright "));
        assert_eq!(found.blobs().len(), 2);
        for (blob, (vector, bytes, rows)) in found.blobs().iter().zip(made) {
            assert_eq!((blob.blob_type(), blob.fields()), (DELETION_VECTOR_V1, &[POSITION][..]));
            assert_eq!((blob.snapshot_id(), blob.sequence_number()), (-1, -1));
            assert_eq!((blob.offset(), blob.length()), (vector.offset, vector.length));
            assert_eq!(blob.properties()["referenced-data-file"], vector.data_file);
            assert_eq!(blob.properties()["cardinality"], rows.to_string());
            assert_eq!(reader.blob(blob).await.unwrap().data(), bytes);
        }
    }
}
