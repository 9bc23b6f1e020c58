//! Bad input of every kind: a clear error with the exit code of the contract, and the table as it was.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Lake, files, has_python, icewright, same_rows};

fn error_of(lake: &Lake, args: &[&str], code: i32) -> String {
    let mut all = args.to_vec();
    all.push("--json");
    let report = lake.run(&all).exits(code).report();
    let error = &report["error"];
    assert!(error["hint"].is_string(), "{error}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn should_say_what_is_wrong_with_a_request() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--appends", "5"]);
    let before = lake.rows(&[]);
    let unknown = lake.run(&["compact", "--table", "db.tt", "--json"]).exits(2).report();
    assert_eq!(unknown["error"]["hint"], "did you mean db.t?");
    lake.run(&["compact", "--table", "nope.*"]).exits(2);
    lake.run(&["compact"]).exits(2);
    let contradiction = error_of(&lake, &["compact", "--table", "db.t", "--min-file-size-bytes", "1GiB"], 2);
    assert!(contradiction.contains("min-file-size-bytes"), "{contradiction}");
    let column = error_of(&lake, &["compact", "--table", "db.t", "--where", "nope = 1"], 2);
    assert!(column.contains("nope"), "{column}");
    lake.run(&["compact", "--table", "db.t", "--option", "output-spec-id=7"]).exits(2);
    icewright(&["inspect", "--all", "--catalog", "sqlite:///nonexistent/catalog.db"]).exits(2);
    icewright(&["inspect", "--all", "--catalog", "http://127.0.0.1:9"]).exits(5);
    icewright(&["inspect", "--all", "--catalog", "postgresql://me:hidden@127.0.0.1:9/x"]).exits(5);
    icewright(&["inspect", "--all", "--catalog", "nowhere"]).exits(2);
    icewright(&["inspect", "--all"]).exits(2);
    icewright(&["frobnicate"]).exits(2);
    assert_eq!(lake.rows(&[]), before);
}

/// Format version 3 has types that are not written here: the column is named where files or manifests would be; old snapshots
/// and orphans go all the same, and the schema stays as it is (I12).
#[test]
fn should_name_a_column_of_a_type_that_is_not_supported() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--kind", "plain", "--appends", "6"]);
    let metadata = lake.metadata_file();
    for kind in ["variant", "geometry(srid:4326)", "geography"] {
        let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&metadata).unwrap()).unwrap();
        document["format-version"] = 3.into();
        document["next-row-id"] = 0.into();
        let schema = document["schemas"].as_array_mut().unwrap().last_mut().unwrap();
        let strange = serde_json::json!({"id": 999, "name": "strange", "required": false, "type": kind});
        schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "strange");
        schema["fields"].as_array_mut().unwrap().push(strange);
        std::fs::write(&metadata, document.to_string()).unwrap();
        let before = files(&lake.path("warehouse"), "");
        for verb in ["compact", "rewrite-manifests"] {
            let message = error_of(&lake, &[verb, "--table", "db.t"], 3);
            assert!(message.contains("column strange") && message.contains(kind), "{verb}: {message}");
        }
        lake.run(&["inspect", "--table", "db.t"]).exits(3);
        assert_eq!(files(&lake.path("warehouse"), ""), before);
        let orphans = lake.run(&["remove-orphans", "--table", "db.t", "--delete", "--json"]).exits(0).report();
        assert_eq!(orphans["status"], "nothing-to-do", "{orphans}");
    }
    let tight = ["--retain-min", "1", "--retain-max", "1", "--older-than", "0s", "--min-age", "0s", "--json"];
    let report = lake.run(&[&["expire", "--table", "db.t"], &tight[..]].concat()).exits(0).report();
    assert_eq!((&report["status"], &report["snapshots_after"]), (&"committed".into(), &1.into()), "{report}");
    assert!(report["files_removed"].as_u64() > Some(0), "{report}");
    let newest = files(&lake.path("warehouse"), ".metadata.json").pop().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    let fields = document["schemas"][0]["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["type"] == "geography"), "{fields:?}");
}

#[test]
fn should_name_the_damaged_file_and_change_nothing() {
    if !has_python() {
        return;
    }
    let damaged = |what: &str, harm: &dyn Fn(&Lake) -> std::path::PathBuf| {
        let lake = Lake::sqlite();
        lake.make(&["--kind", "plain", "--appends", "6"]);
        let metadata = lake.metadata_file();
        let file = harm(&lake);
        let before = files(&lake.path("warehouse"), "");
        let message = error_of(&lake, &["compact", "--table", "db.t"], 7);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(message.contains(&name) && message.contains("db.t"), "{what}: {message}");
        assert_eq!(files(&lake.path("warehouse"), ""), before, "{what}: something was left behind");
        assert_eq!(files(&lake.path("warehouse"), ".metadata.json").iter().filter(|f| **f == metadata).count(), 1);
    };
    let data = |lake: &Lake| files(&lake.path("warehouse"), ".parquet")[2].clone();
    damaged("a truncated data file", &|lake| {
        let path = data(lake);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        path
    });
    damaged("a missing data file", &|lake| {
        let path = data(lake);
        std::fs::remove_file(&path).unwrap();
        path
    });
    damaged("flipped bytes in a data page", &|lake| {
        let path = data(lake);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30..600].iter_mut().for_each(|b| *b ^= 0x5a);
        std::fs::write(&path, bytes).unwrap();
        path
    });
    let manifest = |lake: &Lake| {
        let all = files(&lake.path("warehouse"), ".avro");
        all.into_iter().find(|p| !p.file_name().unwrap().to_string_lossy().starts_with("snap-")).unwrap()
    };
    damaged("a missing manifest", &|lake| {
        let path = manifest(lake);
        std::fs::remove_file(&path).unwrap();
        path
    });
    damaged("a truncated manifest", &|lake| {
        let path = manifest(lake);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..100]).unwrap();
        path
    });
}

#[test]
fn should_refuse_damaged_and_foreign_metadata() {
    if !has_python() {
        return;
    }
    for (text, code) in
        [("{\"format-version\": 2", 7), ("{\"hello\": 1}", 7), ("{\"format-version\": 9}", 3), ("\u{0}", 7)]
    {
        let lake = Lake::sqlite();
        lake.make(&["--appends", "1"]);
        let metadata = lake.metadata_file();
        std::fs::write(&metadata, text).unwrap();
        let message = error_of(&lake, &["compact", "--table", "db.t"], code);
        assert!(message.contains("db.t") && message.contains(".metadata.json"), "{message}");
    }
}

#[test]
fn should_survive_a_read_only_folder_and_a_full_disk() {
    if !has_python() {
        return;
    }
    let lake = Lake::sqlite();
    lake.make(&["--kind", "plain", "--appends", "6"]);
    let before = lake.rows(&[]);
    let root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    let folder = lake.path("warehouse/db/t/data");
    if root {
        // Permissions do not bind root: a small disk of its own stands for both.
        if full_disk(&lake, &folder) {
            same_rows(&before, &lake.rows(&[]));
        }
        return;
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    let message = error_of(&lake, &["compact", "--table", "db.t"], 2);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(message.contains("writing"), "{message}");
    same_rows(&before, &lake.rows(&[]));
}

/// Sends outputs to a disk of a few kilobytes; `false` where none can be mounted.
fn full_disk(lake: &Lake, _: &Path) -> bool {
    let disk = lake.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("\n*** SKIPPED: no small disk can be mounted here ***\n");
        return false;
    }
    lake.script("set_property.py", &[&format!("write.data.path=file://{}", disk.display())]);
    let message = error_of(lake, &["compact", "--table", "db.t"], 6);
    let left = files(&disk, ".parquet");
    let read_only = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk).status().unwrap();
    let refused = read_only.success().then(|| error_of(lake, &["compact", "--table", "db.t"], 2));
    let _ = Command::new("umount").arg(&disk).status();
    assert!(message.contains("writing") && message.contains("db.t"), "{message}");
    assert!(left.is_empty(), "an output was left behind: {left:?}");
    assert!(refused.is_none_or(|message| message.contains("writing")));
    true
}
