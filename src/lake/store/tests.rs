use super::*;

#[test]
fn should_take_all_ways_to_write_a_place_as_one() {
    let canonical = |text: &str| Location::parse(text).unwrap().canonical();
    assert_eq!(canonical("s3a://b/k/x"), canonical("s3://b/k/x"));
    assert_eq!(canonical("file:/a/b"), canonical("/a/b/"));
    assert_eq!(canonical("file:///a/b"), canonical("file://localhost/a/b"));
    assert_eq!(canonical("file:/a//b"), canonical("/a/b"));
    assert_eq!(canonical("wasbs://c@x.blob.core.windows.net/k"), canonical("abfss://c@x.dfs.core.windows.net/k"));
    assert_eq!(match_key("s3a://b//k/x").unwrap(), match_key("s3://b/k//x/").unwrap());
    assert_eq!(match_key("s3://b/k/../x").unwrap_err().kind(), Kind::Unsupported);
    assert!(Location::parse("hdfs://n/a").is_err());
    assert!(Location::parse("file://relative").is_err());
    assert!(Location::parse("s3:///key").is_err());
}

#[tokio::test]
async fn should_list_local_files_in_the_words_of_the_question() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let store = Store::new(Props::new());
    for (asked, name) in [(format!("file://{root}"), "a b%2F=é.txt"), (root.to_owned(), "plain")] {
        let location = format!("{asked}/{name}");
        assert!(store.write_if_absent(&location, Bytes::from_static(b"x")).await.unwrap());
        assert!(!store.write_if_absent(&location, Bytes::from_static(b"y")).await.unwrap());
        let listed: Vec<String> = store
            .list(&asked)
            .unwrap()
            .map(|item| item.unwrap().location)
            .filter(|l| futures::future::ready(l.ends_with(name)))
            .collect()
            .await;
        assert_eq!(listed, std::slice::from_ref(&location));
        assert_eq!(store.read(&listed[0]).await.unwrap(), "x");
        assert_eq!(store.local_path(&location).unwrap().metadata().unwrap().len(), 1);
        store.delete(&location).await.unwrap();
        assert_eq!(store.head(&location).await.unwrap(), None);
    }
    let missing = store.read(&format!("{root}/none")).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Corrupt);
}
