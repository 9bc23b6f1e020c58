use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::lake::{Ambient, Props, TableLocations};

fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read_to_string(&path).unwrap());
        }
    }
    found
}

struct Lake {
    dir: tempfile::TempDir,
    store: Store,
    within: TableLocations,
    ambient: Ambient,
    prefix: String,
    files: Vec<Entry>,
}

async fn lake() -> Lake {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (store, within) =
        (Store::new(Props::new()), TableLocations::among([at("t").as_str(), at("cold/t").as_str()]).unwrap());
    let mut files = Vec::new();
    for name in ["t/data/y=1/a.parquet", "t/data/b.parquet", "cold/t/c d.parquet"] {
        store.write(&at(name), name.as_bytes().to_vec().into()).await.unwrap();
        files.push(Entry { key: match_key(&at(name)).unwrap(), size: name.len() as u64, modified_ms: 5 });
    }
    let prefix = format!("file://{}", at("trash"));
    Lake { store, within, ambient: Ambient::manual(0, 1), prefix, files, dir }
}

impl Lake {
    async fn take(&self, files: Vec<Entry>) -> Removal {
        let remover =
            Remover { store: &self.store, within: &self.within, ambient: &self.ambient, max_per_second: None };
        let mut quarantine = Quarantine::new(&self.prefix, &TableName::parse("db.t").unwrap(), "1");
        quarantine.take(files, &remover).await.unwrap()
    }

    fn of_table(&self) -> BTreeMap<String, String> {
        tree(self.dir.path()).into_iter().filter(|(path, _)| !path.contains("/trash/")).collect()
    }
}

#[tokio::test]
async fn should_move_files_away_and_bring_all_of_them_back() {
    let lake = lake().await;
    let before = tree(lake.dir.path());
    let outside = Entry { key: "file:///elsewhere/x.parquet".into(), size: 1, modified_ms: 0 };
    let removal = lake.take(lake.files.iter().cloned().chain([outside]).collect()).await;
    assert_eq!((removal.files(), removal.outside, removal.failed), (3, 1, 0));
    assert!(lake.of_table().is_empty());
    assert!(tree(lake.dir.path()).keys().any(|path| path.ends_with("/db.t-1/1/data/y=1/a.parquet")));

    let dry = restore(&lake.store, &lake.prefix, true).await.unwrap();
    assert_eq!((dry.restored.files, dry.manifests), (3, 1));
    assert!(lake.of_table().is_empty());
    assert_eq!(restore(&lake.store, &lake.prefix, false).await.unwrap(), dry);
    assert_eq!(tree(lake.dir.path()), before);
    assert_eq!(restore(&lake.store, &lake.prefix, false).await.unwrap_err().kind(), crate::error::Kind::InvalidInput);
}

#[tokio::test]
async fn should_never_replace_a_file_and_not_mind_half_done_work() {
    let lake = lake().await;
    lake.take(lake.files.clone()).await;
    // One place was taken meanwhile; one copy is lost; one was brought back by a run that was killed right after.
    lake.store.write(&lake.files[0].key, "taken by another".into()).await.unwrap();
    let copies: Vec<String> = tree(lake.dir.path()).into_keys().filter(|path| path.contains("/trash/")).collect();
    let lost = copies.iter().find(|path| path.ends_with("b.parquet")).unwrap();
    std::fs::remove_file(lost).unwrap();
    let copied = copies.iter().find(|path| path.ends_with("c d.parquet")).unwrap();
    lake.store.copy(copied, &lake.files[2].key, lake.files[2].size).await.unwrap();
    let restored = restore(&lake.store, &lake.prefix, false).await.unwrap();
    assert_eq!((restored.restored.files, restored.in_place.files, restored.gone, restored.failed), (0, 2, 1, 0));
    let now = lake.of_table();
    assert!(now.values().any(|text| text == "taken by another") && now.len() == 2, "{now:?}");
}

#[tokio::test]
async fn should_refuse_a_manifest_that_was_tampered_with() {
    let lake = lake().await;
    lake.take(lake.files.clone()).await;
    let manifest = tree(lake.dir.path()).into_keys().find(|path| path.ends_with(".jsonl")).unwrap();
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("/trash/", "/other/")).unwrap();
    assert_eq!(restore(&lake.store, &lake.prefix, false).await.unwrap_err().kind(), crate::error::Kind::Corrupt);
    assert!(lake.of_table().is_empty());
}
