use std::collections::HashMap;

use super::*;
use crate::error::Kind;
use crate::model::{MIB, TableName};

fn environment(folder: &Path, variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Environment { variables, folder: folder.to_owned() }
}

const FILE: &str = r#"
[catalog.lake]
uri = "sqlite:///var/lake/catalog.db"
warehouse = "s3://lake/warehouse"
"s3.endpoint" = "http://127.0.0.1:9000"

[defaults]
target-file-size = "256MiB"
zstd-level = 5
retain-max = 20

[[tier]]
name = "hot"
[[tier]]
name = "cold"
older-than = "365d"

[[table]]
match = "market.*"
zstd-level = 9

[[schedule]]
run = "compact"
cron = "0 3 * * 0"
tables = ["*"]
budget = { time = "4h" }
"#;

#[test]
fn should_layer_options_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("icewright.toml"), FILE).unwrap();
    let settings = Settings::load(None, &environment(dir.path(), &[])).unwrap();
    let table = TableName::parse("market.trades").unwrap();
    let properties: HashMap<String, String> = [
        ("write.target-file-size-bytes".to_owned(), (128 * MIB).to_string()),
        ("write.parquet.compression-level".to_owned(), "7".to_owned()),
    ]
    .into();
    let policy = |table: &TableName, properties: &HashMap<String, String>, options: &[(&str, &str)]| {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        compact_policy(&PolicyLayers { options: &options, filter: None, settings: &settings, table, properties })
    };
    let other = TableName::parse("db.t").unwrap();
    assert_eq!(policy(&other, &HashMap::new(), &[]).unwrap().target_file_size_bytes, 256 * MIB);
    assert_eq!(policy(&other, &HashMap::new(), &[]).unwrap().zstd_level, 5);
    let by_property = policy(&other, &properties, &[]).unwrap();
    assert_eq!((by_property.target_file_size_bytes, by_property.min_file_size_bytes), (128 * MIB, 96 * MIB));
    assert_eq!(by_property.zstd_level, 7);
    assert_eq!(policy(&table, &properties, &[]).unwrap().zstd_level, 9);
    assert_eq!(policy(&table, &properties, &[("zstd-level", "1")]).unwrap().zstd_level, 1);
    let wrong = |options: &[(&str, &str)]| policy(&table, &properties, options).unwrap_err();
    assert!(wrong(&[("min-file-size-bytes", "1GiB")]).to_string().contains("not below"));
    assert_eq!(wrong(&[("min-input-file", "3")]).hint_text(), Some("did you mean min-input-files?"));
    assert_eq!(wrong(&[("output-spec-id", "3")]).kind(), Kind::Unsupported);
    assert!(policy(&table, &properties, &[("use-starting-sequence-number", "true")]).is_ok());
}

#[test]
fn should_find_the_catalog() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("icewright.toml"), FILE).unwrap();
    std::fs::write(
        dir.path().join(".pyiceberg.yaml"),
        "catalog:\n  mine:\n    type: sql\n    uri: sqlite:///sub/cat.db\n    s3.endpoint: http://x\n",
    )
    .unwrap();
    let variables = [
        ("PYICEBERG_CATALOG__MINE__S3__ACCESS_KEY_ID", "key"),
        ("PYICEBERG_CATALOG__PG__URI", "postgresql+psycopg2://u:p@h/db"),
    ];
    let settings = Settings::load(None, &environment(dir.path(), &variables)).unwrap();
    let choose = |selector: Option<&str>| catalog(&settings, &CatalogChoice { selector, ..CatalogChoice::default() });
    let lake = choose(Some("lake")).unwrap();
    assert_eq!(
        (lake.uri.as_str(), lake.props["s3.endpoint"].as_str()),
        ("sqlite:///var/lake/catalog.db", "http://127.0.0.1:9000")
    );
    let mine = choose(Some("mine")).unwrap();
    assert_eq!(mine.uri, format!("sqlite://{}/sub/cat.db", dir.path().display()));
    assert_eq!(mine.props["s3.access-key-id"], "key");
    assert_eq!(choose(Some("pg")).unwrap().uri, "postgresql://u:p@h/db");
    assert_eq!(choose(Some("sqlite:///x.db")).unwrap().name, "");
    assert!(choose(None).unwrap_err().hint_text().unwrap().contains("lake, mine, pg"));
    assert!(choose(Some("other")).is_err());
    assert!(catalog(&Settings::default(), &CatalogChoice::default()).is_err());
}

#[test]
fn should_name_the_line_of_a_mistake() {
    let wrong = |text: &str| file::parse(text, Path::new("icewright.toml")).unwrap_err().to_string();
    assert!(wrong("[defaults]\nzstd-levle = 3\n").contains("line 2"));
    assert!(wrong("[defaults]\ntarget-file-size = \"big\"\n").contains("big"));
    assert!(wrong("[[tier]]\nname = \"hot\"\nolder-than = \"3d\"\n").contains("no age"));
}
