use std::sync::Arc;

use arrow_array::{BooleanArray, Int64Array, StringArray, TimestampMillisecondArray};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::error::Kind;
use crate::lake::Props;

async fn listed(file: &Path) -> Result<Vec<(String, u64, i64)>> {
    let files = read(&Store::new(Props::new()), &file.display().to_string(), &std::env::temp_dir()).await?;
    files.map_ok(|info| (info.location, info.size, info.modified_ms)).try_collect().await
}

fn gzip(path: &Path, text: &str) {
    let mut encoder = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

fn expected() -> Vec<(String, u64, i64)> {
    vec![
        ("s3://lake/db/t/y=1/a b.parquet".to_owned(), 12, 1_700_000_000_000),
        ("s3://lake/db/t/c.parquet".to_owned(), 7, 1_700_000_000_123),
    ]
}

const VERSIONED: &str = "\
\"lake\",\"db/t/y%3D1/a+b.parquet\",\"v1\",\"true\",\"false\",\"12\",\"2023-11-14T22:13:20.000Z\"\n\
\"lake\",\"db/t/old.parquet\",\"v0\",\"false\",\"false\",\"9\",\"2023-11-14T22:13:20.000Z\"\n\
\"lake\",\"db/t/gone.parquet\",\"v2\",\"true\",\"true\",\"\",\"2023-11-14T22:13:20.000Z\"\n\
\"lake\",\"db/t/\",\"v2\",\"true\",\"false\",\"0\",\"2023-11-14T22:13:20.000Z\"\n\
\"lake\",\"db/t/c.parquet\",\"v1\",\"true\",\"false\",\"7\",\"2023-11-14T22:13:20.123Z\"\n";

#[tokio::test]
async fn should_read_an_inventory_by_its_manifest_wherever_it_was_downloaded_to() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, data) in [("a/lake/daily/2024", "a/lake/daily/data"), ("b", "b")] {
        let (folder, data) = (dir.path().join(folder), dir.path().join(data));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        gzip(&data.join("1.csv.gz"), VERSIONED);
        let manifest = serde_json::json!({
            "sourceBucket": "lake", "destinationBucket": "arn:aws:s3:::inventory", "version": "2016-11-30",
            "creationTimestamp": "1700000000000", "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate",
            "files": [{"key": "lake/daily/data/1.csv.gz", "size": 1, "MD5checksum": "x"}],
        });
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        assert_eq!(listed(&folder.join("manifest.json")).await.unwrap(), expected());
    }
    assert_eq!(place("s3a://inv/p/manifest.json", "arn:aws:s3:::inv", "p/data/1.csv"), "s3a://inv/p/data/1.csv");
}

#[tokio::test]
async fn should_read_single_files() {
    let dir = tempfile::tempdir().unwrap();
    let plain =
        "lake,db/t/y%3D1/a+b.parquet,12,2023-11-14T22:13:20.000Z\nlake,db/t/c.parquet,7,2023-11-14T22:13:20.123Z\n";
    let file = dir.path().join("x.csv");
    std::fs::write(&file, plain).unwrap();
    assert_eq!(listed(&file).await.unwrap(), expected());
    let header = "key,bucket,lastmodifieddate,size,etag\ndb/t/y%3D1/a+b.parquet,lake,2023-11-14T22:13:20Z,12,x\n";
    std::fs::write(&file, header).unwrap();
    assert_eq!(listed(&file).await.unwrap(), expected()[..1]);

    let file = dir.path().join("x.parquet");
    let batch = arrow_array::RecordBatch::try_from_iter([
        ("bucket", Arc::new(StringArray::from(vec!["lake"; 3])) as arrow_array::ArrayRef),
        ("key", Arc::new(StringArray::from(vec!["db/t/y=1/a b.parquet", "db/t/old", "db/t/c.parquet"]))),
        ("is_latest", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("size", Arc::new(Int64Array::from(vec![12, 1, 7]))),
        ("etag", Arc::new(StringArray::from(vec!["x"; 3]))),
        (
            "last_modified_date",
            Arc::new(TimestampMillisecondArray::from(vec![1_700_000_000_000, 0, 1_700_000_000_123])),
        ),
    ])
    .unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_eq!(listed(&file).await.unwrap(), expected());
}

#[tokio::test]
async fn should_say_what_is_wrong_with_a_listing() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = async |name: &str, text: &str, words: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let error = listed(&file).await.unwrap_err();
        assert!(error.kind() == Kind::InvalidInput && error.to_string().contains(words), "{error}");
    };
    wrong("a.txt", "", "is no listing").await;
    wrong("a.json", "{}", "not the manifest").await;
    wrong("a.csv", "lake,a,b,c\n", "no number").await;
    wrong("a.csv", "lake,a,1,yesterday\n", "no time").await;
    wrong("a.csv", "Bucket,LastModifiedDate\n", "no column Key").await;
    wrong("a.parquet", "PAR1", "no Parquet").await;
    assert!(listed(Path::new("/nonexistent/x.csv")).await.is_err());
}
