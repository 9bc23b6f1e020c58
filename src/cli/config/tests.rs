use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn settings(text: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("icewright.toml");
    std::fs::write(&path, text).unwrap();
    Settings::load(Some(&path), &Environment::default()).unwrap()
}

/// The template with every key and section in force.
fn uncommented() -> String {
    let is_key = |line: &str| line.starts_with('#') && !line.starts_with("# ");
    let lines = TEMPLATE.lines().map(|line| if is_key(line) { &line[1..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn should_write_a_template_that_can_be_read_as_it_is_and_in_full() {
    assert!(settings(TEMPLATE).schedules.is_empty());
    let full = settings(&uncommented());
    assert_eq!((full.tiers.len(), full.schedules.len()), (3, 1));
    // What the template says to be the default is the default.
    let defaults = crate::config::Serve { identity: full.serve.identity.clone(), ..crate::config::Serve::default() };
    assert_eq!(full.serve, defaults);
    assert_eq!(resolve(&full).unwrap()[0].label, "nightly");
}

/// The keys that the parser names when it meets one that it does not know.
fn known_keys(section: &str) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("icewright.toml");
    std::fs::write(&path, format!("{section}\nzzz = 1\n")).unwrap();
    let error = Settings::load(Some(&path), &Environment::default()).unwrap_err().to_string();
    let list = error.split("expected one of ").nth(1).unwrap_or_else(|| panic!("{error}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn should_have_a_schema_that_knows_what_the_parser_knows() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let keys = |pointer: &str| -> BTreeSet<String> {
        let properties = schema.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("{pointer}"));
        properties.keys().cloned().collect()
    };
    assert_eq!(keys("/$defs/schedule/properties"), known_keys("[[schedule]]"));
    assert_eq!(keys("/$defs/serve/properties"), known_keys("[serve]"));
    let mut table = known_keys("[[table]]");
    assert_eq!(keys("/$defs/table/properties"), table);
    for only_there in ["match", "archive", "time-column", "tier"] {
        assert!(table.remove(only_there), "{only_there}");
    }
    assert_eq!(keys("/$defs/defaults/properties"), table);
    assert_eq!(keys("/$defs/budget/properties"), known_keys("[[schedule]]\nrun = \"compact\"\n[schedule.budget]"));
    assert_eq!(keys("/properties"), known_keys(""));
}

#[test]
fn should_have_every_key_of_the_schema_in_the_template() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for section in ["schedule", "serve", "defaults", "budget"] {
        let keys = schema.pointer(&format!("/$defs/{section}/properties")).and_then(Value::as_object).unwrap();
        for key in keys.keys() {
            assert!(TEMPLATE.contains(&format!("{key} = ")), "{section}: {key} is not in the template");
        }
    }
}
