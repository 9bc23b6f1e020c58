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
    assert_eq!(wrong(&[("output-spec-id", "newest")]).kind(), Kind::InvalidInput);
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
    for (text, says) in [
        ("[defaults]\nzstd-levle = 3\n", "line 2: unknown field `zstd-levle`"),
        ("\n[[table]]\nmatch = \"a\"\nretain-mx = 3\n", "line 4: unknown field `retain-mx`"),
        ("[defaults]\ntarget-file-size = \"big\"\n", "line 2: \"big\" is not a size"),
        ("[defaults]\nexpire-older-than = \"5 days\"\n", "line 2: \"5 days\" is not a time span"),
        ("[defaults]\nencodings = \"newest\"\n", "line 2: unknown variant `newest`"),
        ("[default]\n", "line 1: unknown field `default`"),
        ("[catalog.x]\n\"s3.secret-access-key\" = hidden\n", "line 2: "),
    ] {
        let error = wrong(text);
        assert!(error.contains(says) && !error.contains("hidden"), "{text}: {error}");
    }
}

fn wrong(text: &str) -> String {
    file::parse(text, Path::new("icewright.toml")).unwrap_err().to_string()
}

#[test]
fn should_refuse_what_contradicts_itself() {
    for (text, says) in [
        ("[defaults]\nmatch = \"a\"", "[[table]]"),
        ("[defaults]\nretain-min = 5\nretain-max = 4", "retain-min (5) is above"),
        ("[defaults]\nzstd-level = 23", "between 1 and 22"),
        ("[[table]]\nzstd-level = 2", "no match"),
        ("[[table]]\nmatch = \"[a\"", "is no pattern"),
        ("[[table]]\nmatch = \"a\"\nmin-input-files = 0", "[[table]] \"a\""),
        ("[[tier]]\nname = \"hot\"\nolder-than = \"3d\"", "the first tier, hot"),
        ("[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"hot\"\nolder-than = \"3d\"", "name of its own"),
        ("[[tier]]\nname = \"hot\"\n[[tier]]\nname = \"far\"", "far lacks older-than"),
        (
            "[[tier]]\nname = \"a\"\n[[tier]]\nname = \"b\"\nolder-than = \"9d\"\n[[tier]]\nname = \"c\"\nolder-than = \"1w\"",
            "tier c is not older",
        ),
        ("[[schedule]]\nrun = \"compactify\"\ncron = \"0 3 * * 0\"", "compactify"),
        ("[[schedule]]\nrun = \"compact\"\ncron = \"0 3 * *\"", "has 4 fields"),
        ("[[schedule]]\nrun = \"compact\"\ncron = \"0 3 * * 0\"\ntables = []", "tables is empty"),
        ("[[schedule]]\nrun = \"compact\"\ncron = \"0 3 * * 0\"\nbudget = { time = \"4h\", money = 3 }", "money"),
        ("[catalog.x]\nuri = \"\"", "uri is empty"),
        ("[catalog.x]\ntoken = [\"hidden\"]", "[catalog.x] token is not a text"),
    ] {
        let error = wrong(text);
        assert!(error.contains(says) && !error.contains("hidden"), "{text}: {error}");
    }
}

#[test]
fn should_read_the_example_of_the_contract_as_typed_settings() {
    let settings = file::parse(FILE, Path::new("icewright.toml")).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    assert_eq!(settings.tiers[1].settings["older-than"], "365d");
    assert_eq!(settings.defaults.target_file_size, Some(Size(256 * MIB)));
    assert_eq!(settings.schedules[0].budget.time, Some(Age(day / 6)));
    assert_eq!(settings.tables[0].pattern, "market.*");
}

#[test]
fn should_let_the_most_specific_section_win_and_refuse_a_tie() {
    let text = "[[table]]\nmatch = \"*\"\nzstd-level = 1\n[[table]]\nmatch = \"db.*\"\nzstd-level = 2\n\
                [[table]]\nmatch = \"db.t\"\nzstd-level = 3\n[[table]]\nmatch = \"x.*\"\n[[table]]\nmatch = \"*.x\"\n";
    let settings = file::parse(text, Path::new("icewright.toml")).unwrap();
    let (options, properties) = (BTreeMap::new(), HashMap::new());
    let level = |name: &str| {
        let table = &TableName::parse(name).unwrap();
        let layers =
            PolicyLayers { options: &options, filter: None, settings: &settings, table, properties: &properties };
        compact_policy(&layers).map(|policy| policy.zstd_level)
    };
    assert_eq!((level("a.b").unwrap(), level("db.u").unwrap(), level("db.t").unwrap()), (1, 2, 3));
    assert!(level("x.x").unwrap_err().to_string().contains("equally well"));
}

#[test]
fn should_say_where_a_wrong_value_comes_from() {
    let properties: HashMap<String, String> =
        [("write.target-file-size-bytes".to_owned(), "half a gig".to_owned())].into();
    let table = &TableName::parse("db.t").unwrap();
    let settings = &Settings::default();
    let policy = |options: &[(&str, &str)]| {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let layers = PolicyLayers { options: &options, filter: None, settings, table, properties: &properties };
        compact_policy(&layers)
    };
    assert!(policy(&[]).unwrap_err().to_string().starts_with("following the table's own properties: \"half a gig\""));
    // The command line wins over it, so that the table can be compacted all the same.
    let options = [("target-file-size-bytes", "1GiB"), ("delete-file-threshold", "2147483647")];
    assert_eq!(policy(&options).unwrap().max_file_size_bytes, 1024 * MIB * 9 / 5);
    let unknown = policy(&[("target-file-size-bytes", "1GiB"), ("colour", "red")]).unwrap_err();
    assert!(unknown.hint_text().unwrap().starts_with("the options are target-file-size-bytes, "));
}

#[test]
fn should_read_what_pyiceberg_reads() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(
        home.join(".pyiceberg.yaml"),
        "catalog:\n  Aws:\n    type: glue\n    warehouse: s3://wh\n  rest:\n    URI: https://c/x\n    ssl:\n      cabundle: /ca.pem\n",
    )
    .unwrap();
    // The home folder comes before the current one.
    std::fs::write(dir.path().join(".pyiceberg.yaml"), "catalog:\n  other:\n    uri: x\n").unwrap();
    let variables = [
        ("HOME", home.to_str().unwrap()),
        ("PYICEBERG_CATALOG__MY_LAKE__URI", "sqlite:////abs/x.db"),
        ("pyiceberg_catalog__my_lake__py_io_impl", "x"),
        ("PYICEBERG_CATALOG__DEFAULT__S3__ACCESS_KEY_ID", "key"),
    ];
    let settings = Settings::load(None, &environment(dir.path(), &variables)).unwrap();
    let names: Vec<&str> = settings.catalogs.keys().map(String::as_str).collect();
    assert_eq!(names, ["aws", "default", "my-lake", "rest"]);
    let choose = |selector| catalog(&settings, &CatalogChoice { selector: Some(selector), ..CatalogChoice::default() });
    assert_eq!(choose("aws").unwrap().uri, "glue:");
    assert_eq!(choose("my-lake").unwrap().uri, "sqlite:///abs/x.db");
    assert_eq!(choose("my-lake").unwrap().props["py-io-impl"], "x");
    assert_eq!(choose("rest").unwrap().props["ssl.cabundle"], "/ca.pem");
    assert_eq!(choose("my-lke").unwrap_err().hint_text(), Some("did you mean my-lake?"));
    assert!(choose("default").unwrap_err().to_string().contains("has no uri"));
}
