//! The quick reader against the `iceberg` crate's own, on the same manifests.

use iceberg::spec::{
    DataFile, DataFileBuilder, Datum, ManifestWriterBuilder, NestedField, PartitionSpec, PrimitiveType as Kind, Schema,
    Transform,
};

use super::*;
use crate::lake::{Props, file_io};

fn schema() -> SchemaRef {
    let field = |id, name: &str, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    let money = Kind::Decimal { precision: 9, scale: 2 };
    let fields = vec![
        field(1, "ts", Kind::Timestamptz),
        field(2, "id", Kind::Long),
        field(3, "name", Kind::String),
        field(4, "flag", Kind::Boolean),
        field(5, "money", money),
        field(6, "day", Kind::Date),
    ];
    Arc::new(Schema::builder().with_fields(fields).build().unwrap())
}

fn file(n: i64, partition: Struct, spec_id: i32) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("s3://lake/data/{n}.parquet"))
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .partition_spec_id(spec_id)
        .record_count(100 + n.unsigned_abs())
        .file_size_in_bytes(1_000_000)
        .value_counts([(1, 100), (2, 99)].into())
        .null_value_counts([(2, 3)].into())
        .lower_bounds([(2, Datum::long(n)), (3, Datum::string("a"))].into())
        .upper_bounds([(2, Datum::long(n + 7)), (3, Datum::string("z"))].into())
        .sort_order_id(if n % 2 == 0 { 0 } else { 3 })
        .build()
        .unwrap()
}

async fn compare(folder: &std::path::Path, version: u8, spec: PartitionSpec, partitions: Vec<Struct>, quick: bool) {
    let store = Arc::new(Store::new(Props::new()));
    let path = format!("{}/{version}-{}.avro", folder.display(), spec.spec_id());
    let output = file_io(&store).new_output(&path).unwrap();
    let spec_id = spec.spec_id();
    let builder = ManifestWriterBuilder::new(output, Some(77), schema(), spec);
    let mut writer = if version == 1 { builder.build_v1() } else { builder.build_v2_data() };
    for (n, partition) in (0..).zip(partitions) {
        let file = file(n, partition, spec_id);
        match n % 3 {
            0 => writer.add_file(file, 5).unwrap(),
            1 => writer.add_existing_file(file, 66, 4, Some(4)).unwrap(),
            _ => writer.add_delete_file(file, 3, Some(3)).unwrap(),
        }
    }
    let mut manifest = writer.write_manifest_file().await.unwrap();
    manifest.sequence_number = if version == 1 { 0 } else { 9 };
    let bytes = store.read(&path).await.unwrap();
    for ids in [vec![], vec![2, 3, 4]] {
        let whole =
            from_manifest(&read_manifest(&store, &manifest).await.unwrap(), RowIds::of(&manifest), &ids).unwrap();
        let decoded = decode(&bytes, &manifest, &ids);
        assert_eq!(decoded.is_some(), quick, "{path}");
        let read = read_live(&store, &manifest, &ids).await.unwrap();
        assert!(!read.entries.is_empty());
        assert_eq!(read.entries, whole.entries, "{path}");
        assert_eq!(read.schema, whole.schema);
    }
    // Damage is named by the long way.
    store.delete(&path).await.unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 40]).unwrap();
    let error = read_live(&store, &manifest, &[]).await.unwrap_err();
    assert!(error.kind() == crate::error::Kind::Corrupt && error.to_string().contains(&path), "{error}");
}

#[tokio::test]
async fn should_read_what_the_long_way_reads() {
    let folder = tempfile::tempdir().unwrap();
    let spec = |id: i32, fields: &[(&str, Transform)]| {
        let builder = PartitionSpec::builder(schema()).with_spec_id(id);
        let add = |builder: iceberg::spec::PartitionSpecBuilder, (source, transform): &(&str, Transform)| {
            builder.add_partition_field(*source, format!("{source}_part"), *transform).unwrap()
        };
        fields.iter().fold(builder, add).build().unwrap()
    };
    for version in [1, 2] {
        compare(folder.path(), version, spec(0, &[]), vec![Struct::empty(); 5], true).await;
        let many = [
            ("ts", Transform::Year),
            ("name", Transform::Identity),
            ("flag", Transform::Identity),
            ("day", Transform::Identity),
        ];
        let values = |n: i32| {
            Struct::from_iter([
                Some(Literal::int(50 + n)),
                (n != 1).then(|| Literal::string(format!("é{n}"))),
                Some(Literal::bool(n % 2 == 0)),
                (n != 3).then(|| Literal::date(n)),
            ])
        };
        compare(folder.path(), version, spec(1, &many), (0..7).map(values).collect(), true).await;
        // Decimals are left to the long way.
        let money = vec![Struct::from_iter([Some(Literal::decimal(12345))]); 4];
        compare(folder.path(), version, spec(2, &[("money", Transform::Identity)]), money, false).await;
    }
}
