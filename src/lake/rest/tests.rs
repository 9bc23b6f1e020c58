//! Against a server of a few lines that answers what it is told, and keeps what it was asked.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::error::Kind;

struct Script {
    answers: Mutex<Vec<(&'static str, u16, Value)>>,
    asked: Mutex<Vec<String>>,
}

/// Serves each answer once, to the first request whose first line holds its text; status 0 closes the connection
/// without an answer.
async fn serve(answers: Vec<(&'static str, u16, Value)>) -> (String, Arc<Script>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(Script { answers: Mutex::new(answers), asked: Mutex::default() });
    let served = script.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let read = socket.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
                    .and_then(|length| length.parse::<usize>().ok())
                    .unwrap_or(0);
                if body.len() >= length || read == 0 {
                    break;
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let line = request.lines().next().unwrap_or_default().to_owned();
            served.asked.lock().unwrap().push(request);
            let next = {
                let mut answers = served.answers.lock().unwrap();
                answers.iter().position(|(on, ..)| line.contains(on)).map(|at| answers.remove(at))
            };
            let (_, status, body) = next.unwrap_or(("", 404, json!({"error": {"message": "not in the script"}})));
            let location = body["location"].as_str().map(|to| format!("location: {to}\r\n")).unwrap_or_default();
            let wait = body["retry-after"].as_str().map(|s| format!("retry-after: {s}\r\n")).unwrap_or_default();
            let body = body.to_string();
            if status > 0 {
                let head = format!(
                    "HTTP/1.1 {status} X\r\n{location}{wait}content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
            }
        }
    });
    (address, script)
}

fn settings(uri: &str, props: &[(&str, &str)]) -> CatalogSettings {
    CatalogSettings {
        name: "rest".into(),
        uri: uri.to_owned(),
        warehouse: Some("wh".into()),
        props: props.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        places: Vec::new(),
    }
}

async fn connect(uri: &str, props: &[(&str, &str)]) -> Result<RestCatalog> {
    RestCatalog::connect(&settings(uri, props), Arc::new(Ambient::manual(0, 1))).await
}

fn table() -> Value {
    json!({
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://b/t",
        "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 1, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "x", "required": true, "type": "long"}]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "odd-field": {"kept": true},
    })
}

fn loaded() -> Value {
    json!({"metadata-location": "s3://b/t/metadata/1.metadata.json", "metadata": table(),
        "config": {"s3.region": "here"}, "storage-credentials": [{"prefix": "s3://b", "config": {"s3.access-key-id": "k"}}]})
}

fn says(status: u16, message: &str) -> Value {
    json!({"error": {"message": message, "type": "SomeException", "code": status}})
}

#[tokio::test]
async fn should_authenticate_follow_pages_and_use_the_prefix() {
    let (uri, script) = serve(vec![
        ("/v1/oauth/tokens", 200, json!({"access_token": "secret-token", "expires_in": 3600})),
        ("/v1/config", 200, json!({"overrides": {"prefix": "ws/one"}, "defaults": null})),
        ("parent=a ", 200, json!({"namespaces": []})),
        ("parent=b ", 200, json!({"namespaces": [["b", "c"]]})),
        ("parent=b%1Fc ", 400, says(400, "one level is enough for everybody")),
        (
            "/namespaces/a/tables ",
            200,
            json!({"identifiers": [{"namespace": ["a"], "name": "t"}], "next-page-token": "p2"}),
        ),
        ("/namespaces/a/tables?pageToken=p2 ", 200, json!({"identifiers": [{"namespace": ["a"], "name": "u"}]})),
        ("/namespaces/b/tables ", 404, says(404, "just dropped")),
        ("/namespaces/b%1Fc/tables ", 200, json!({"identifiers": [{"namespace": ["b", "c"], "name": "v"}]})),
        ("/namespaces ", 200, json!({"namespaces": [["a"]], "next-page-token": "more"})),
        ("/namespaces?pageToken=more ", 200, json!({"namespaces": [["b"], ["a"]], "next-page-token": null})),
    ])
    .await;
    let catalog = connect(&uri, &[("credential", "me:hidden"), ("header.X-Team", "lake")]).await.unwrap();
    let names: Vec<String> = catalog.list_tables().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a.t", "a.u", "b.c.v"]);
    let asked = script.asked.lock().unwrap().clone();
    assert!(asked[0].contains("client_secret=hidden") && asked[0].starts_with("POST /v1/oauth/tokens "));
    assert!(asked[1].starts_with("GET /v1/config?warehouse=wh "));
    assert!(asked[2..].iter().all(|request| request.starts_with("GET /v1/ws/one/namespaces")));
    assert!(asked[2..].iter().all(|request| request.contains("authorization: Bearer secret-token")));
    assert!(asked.iter().skip(1).all(|request| request.contains("x-team: lake")), "{}", asked[1]);
    assert!(script.answers.lock().unwrap().is_empty(), "everything was asked once");
}

#[tokio::test]
async fn should_keep_the_document_and_say_what_a_commit_came_to() {
    let (uri, script) = serve(vec![
        ("/config", 200, json!({})),
        ("GET", 200, loaded()),
        ("POST", 200, json!({"metadata-location": "s3://b/t/metadata/2.metadata.json", "metadata": table()})),
        ("POST", 409, says(409, "branch main has changed")),
        ("POST", 500, says(500, "oh")),
        ("POST", 503, json!({})),
        ("POST", 302, json!({"location": "https://elsewhere/"})),
        ("POST", 0, json!({})),
        ("POST", 403, says(403, "no rights")),
    ])
    .await;
    let catalog = connect(&uri, &[("token", "t0ken")]).await.unwrap();
    let name = TableName::parse("a.t").unwrap();
    let base = catalog.load_table(&name).await.unwrap();
    assert_eq!(base.document["odd-field"]["kept"], json!(true));
    let change = TableChange { requirements: vec![], updates: vec![] };
    let swap = catalog.commit(&base, &change).await.unwrap();
    assert_eq!(swap, Swap::Committed { metadata_location: "s3://b/t/metadata/2.metadata.json".into() });
    assert_eq!(
        catalog.commit(&base, &change).await.unwrap(),
        Swap::Rejected { reason: "branch main has changed".into() }
    );
    for what in ["500", "503", "302", "lost reply"] {
        let swap = catalog.commit(&base, &change).await.unwrap();
        assert!(matches!(swap, Swap::Unknown { .. }), "{what}: {swap:?}");
    }
    let refused = catalog.commit(&base, &change).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidInput);
    let text = refused.to_string();
    assert!(text.starts_with("committing to table a.t: ") && text.ends_with("answered 403: no rights"), "{text}");
    assert!(!text.contains("t0ken"));
    // A commit is sent once, whatever comes back.
    assert_eq!(script.asked.lock().unwrap().len(), 9);
}

#[tokio::test]
async fn should_say_that_nothing_was_committed_when_nothing_was_sent() {
    let (uri, _) = serve(vec![("/config", 200, json!({})), ("GET", 200, loaded())]).await;
    let catalog = connect(&uri, &[]).await.unwrap();
    let base = catalog.load_table(&TableName::parse("a.t").unwrap()).await.unwrap();
    let mut gone = catalog;
    gone.client.configure(&Props::from([("uri".to_owned(), "http://127.0.0.1:9".to_owned())])).unwrap();
    let error = gone.commit(&base, &TableChange { requirements: vec![], updates: vec![] }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn should_lend_credentials_to_one_table_only() {
    let (uri, _) = serve(vec![
        ("/config", 200, json!({})),
        ("/tables/t ", 200, loaded()),
        ("/tables/t ", 200, loaded()),
        (
            "/tables/plain ",
            200,
            json!({"metadata-location": "s3://b/u/1.metadata.json", "metadata": table(), "config": null}),
        ),
    ])
    .await;
    let catalog = connect(&uri, &[]).await.unwrap();
    let load = async |name: &str| catalog.load_table(&TableName::parse(name).unwrap()).await.unwrap().store;
    let (first, second, plain) = (load("a.t").await, load("a.t").await, load("a.plain").await);
    assert!(Arc::ptr_eq(&first, &second), "the same loan opens no new clients");
    assert!(Arc::ptr_eq(&plain, &catalog.store) && !Arc::ptr_eq(&first, &plain));
}

#[tokio::test]
async fn should_renew_a_token_that_the_server_no_longer_takes() {
    let (uri, script) = serve(vec![
        ("/config", 401, says(401, "expired")),
        ("/v1/auth", 200, json!({"access_token": "fresh"})),
        ("/config", 200, json!({})),
        ("/namespaces ", 503, json!({})),
        ("/namespaces ", 200, json!({"namespaces": []})),
    ])
    .await;
    let props = [("token", "stale"), ("credential", "me:hidden"), ("oauth2-server-uri", "v1/auth"), ("audience", "x")];
    let catalog = connect(&uri, &props).await.unwrap();
    assert_eq!(catalog.list_tables().await.unwrap(), []);
    let asked = script.asked.lock().unwrap().clone();
    assert!(
        asked[0].contains("Bearer stale") && asked[2].contains("Bearer fresh") && asked[4].contains("Bearer fresh")
    );
    assert!(asked[1].contains("audience=x"));
    assert_eq!(asked.len(), 5, "a read is tried again");
}

#[tokio::test]
async fn should_follow_the_address_that_the_catalog_names() {
    let (there, script) = serve(vec![("/v1/p/namespaces ", 200, json!({"namespaces": []}))]).await;
    let (uri, _) =
        serve(vec![("/config", 200, json!({"overrides": {"uri": format!("{there}/v1/"), "prefix": "p"}}))]).await;
    let catalog = connect(&uri, &[("token", "t")]).await.unwrap();
    assert_eq!(catalog.list_tables().await.unwrap(), []);
    assert_eq!(script.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn should_name_the_cause_and_no_secret() {
    let (uri, _) = serve(vec![
        ("/config", 200, json!({})),
        ("/tables/tt ", 404, says(404, "Table does not exist: a.tt")),
        ("/namespaces/a/tables ", 200, json!({"identifiers": [{"namespace": ["a"], "name": "t"}]})),
    ])
    .await;
    let catalog = connect(&uri, &[]).await.unwrap();
    let missing = catalog.load_table(&TableName::parse("a.tt").unwrap()).await.unwrap_err();
    assert_eq!((missing.kind(), missing.hint_text()), (Kind::InvalidInput, Some("did you mean a.t?")));
    for (answer, props, kind, says) in [
        ((401, json!({})), ("token", "hidden"), Kind::InvalidInput, "answered 401"),
        ((200, json!([1])), ("token", "hidden"), Kind::InvalidInput, "does not answer as a REST catalog"),
        (
            (308, json!({"location": "https://u:hidden@real.host/cat?hidden"})),
            ("scope", "x"),
            Kind::InvalidInput,
            "redirects to https://real.host/cat",
        ),
        ((200, json!({})), ("header.X", "hid\nden"), Kind::InvalidInput, "header.X is no valid"),
        ((200, json!({})), ("token", "hidden\n"), Kind::InvalidInput, "no request can be made"),
        ((200, json!({})), ("rest.sigv4-enabled", "true"), Kind::Unsupported, "SigV4"),
        ((200, json!({})), ("rest.auth.type", "google"), Kind::Unsupported, "google"),
        (
            (400, json!({"error": "invalid_client", "error_description": "who?"})),
            ("credential", "me:hidden"),
            Kind::InvalidInput,
            "answered 400: who?",
        ),
        ((200, json!({})), ("ssl.cabundle", "/no/such.pem"), Kind::InvalidInput, "/no/such.pem"),
    ] {
        let (uri, _) = serve(vec![("", answer.0, answer.1)]).await;
        let error = connect(&uri, &[props]).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(says) && !text.contains("hidden"), "{text}");
    }
    let nobody = connect("http://127.0.0.1:9", &[]).await.unwrap_err();
    assert_eq!(nobody.kind(), Kind::Unavailable);
}

#[tokio::test]
async fn should_wait_as_long_as_a_busy_catalog_asks_and_give_up_in_the_end() {
    let busy = |status: u16| ("/tables/t ", status, json!({"retry-after": "1", "error": {"message": "slow down"}}));
    let (uri, script) =
        serve(vec![("/config", 200, json!({})), busy(429), busy(503), ("/tables/t ", 200, loaded())]).await;
    let catalog = connect(&uri, &[]).await.unwrap();
    let start = std::time::Instant::now();
    let name = TableName::parse("a.t").unwrap();
    catalog.load_table(&name).await.unwrap();
    assert!(start.elapsed() >= std::time::Duration::from_secs(2), "a second each time: {:?}", start.elapsed());
    assert_eq!(script.asked.lock().unwrap().len(), 4, "no more requests than needed");
    let always = (0..9).map(|_| ("/tables/t ", 429, says(429, "slow down")));
    script.answers.lock().unwrap().extend(always);
    let error = catalog.load_table(&name).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("slow down"), "{error}");
    assert!(script.answers.lock().unwrap().len() >= 5, "it is asked four times, not for ever");
}
