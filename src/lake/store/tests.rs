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

#[tokio::test]
async fn should_reach_places_with_their_own_properties() {
    let place = |location: &str, region: &str| crate::model::StoragePlace {
        location: location.into(),
        props: [("s3.region".to_owned(), region.to_owned())].into(),
    };
    let props: Props =
        [("s3.access-key-id", "k"), ("s3.secret-access-key", "s"), ("s3.endpoint", "http://127.0.0.1:9")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
    let places = [place("s3a://cold/wh/", "eu"), place("s3://cold/wh/deep", "us")];
    let store = Store::new(props).with_places(places).unwrap();
    let key = |location: &str| store.client_key(&Location::parse(location).unwrap());
    assert_eq!(key("s3://cold/wh/a"), key("s3n://cold/wh/b/c"));
    assert_ne!(key("s3://cold/wh/a"), key("s3://cold/wh/deep/a"), "the innermost place counts");
    assert_ne!(key("s3://cold/wh/a"), key("s3://cold/wh2/a"));
    assert_eq!(key("s3://cold/wh2/a"), key("s3://cold/else"));
    store.resolve("s3://cold/wh/a").unwrap();
    assert!(Store::new(Props::new()).with_places([place("nonsense", "x")]).is_err());
}

#[tokio::test]
async fn should_move_whole_files_and_notice_a_wrong_size() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("{}/{name}", dir.path().display());
    let local = Store::new(Props::new());
    // Wrapped, a store has no short cuts: the same bytes go through here.
    let streaming = Store::new(Props::new()).wrapped(|client| client);
    let bytes = Bytes::from(vec![7; 20 << 20]);
    local.write(&at("a"), bytes.clone()).await.unwrap();
    for (store, name) in [(&local, "deep/er/b"), (&streaming, "deep/er/c")] {
        let copied = store.transfer(&at("a"), &at(name), bytes.len() as u64, Some("GLACIER_IR")).await.unwrap();
        assert_eq!(copied, Copied::Streamed);
        assert_eq!(local.read(&at(name)).await.unwrap(), bytes);
        let wrong = store.transfer(&at("a"), &at("wrong"), 5, None).await.unwrap_err();
        assert_eq!(wrong.kind(), Kind::Corrupt);
    }
    assert!(local.transfer(&at("a"), &at("deep/er/b"), bytes.len() as u64, None).await.is_err(), "nothing is replaced");
    assert_eq!(local.class_of(&at("a")).await.unwrap(), None);
    assert_eq!(local.set_class(&at("a"), "GLACIER_IR").await.unwrap_err().kind(), Kind::Unsupported);
}
