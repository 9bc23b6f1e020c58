//! Against a server of a few lines that answers what it is told, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<String>>,
}

/// Serves the answers in order; status 0 closes the connection without one.
async fn serve(answers: Vec<(u16, Value)>) -> (String, Arc<Script>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answers = answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
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
            served.asked.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
            let next = served.answers.lock().unwrap().pop_front();
            let (status, body) = next.unwrap_or((404, "{}".to_owned()));
            if status > 0 {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
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

#[tokio::test]
async fn should_authenticate_follow_pages_and_use_the_prefix() {
    let (uri, script) = serve(vec![
        (200, json!({"access_token": "secret-token", "expires_in": 3600})),
        (200, json!({"overrides": {"prefix": "ws/one"}})),
        (200, json!({"namespaces": [["a"]], "next-page-token": "more"})),
        (200, json!({"namespaces": [["b"]]})),
        (200, json!({"namespaces": [["b", "c"]]})),
        (200, json!({"namespaces": []})),
        (200, json!({"namespaces": []})),
        (200, json!({"identifiers": [{"namespace": ["a"], "name": "t"}], "next-page-token": "p2"})),
        (200, json!({"identifiers": [{"namespace": ["a"], "name": "u"}]})),
        (200, json!({"identifiers": []})),
        (200, json!({"identifiers": [{"namespace": ["b", "c"], "name": "v"}]})),
    ])
    .await;
    let catalog = connect(&uri, &[("credential", "me:hidden"), ("header.X-Team", "lake")]).await.unwrap();
    let names: Vec<String> = catalog.list_tables().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a.t", "a.u", "b.c.v"]);
    let asked = script.asked.lock().unwrap().clone();
    assert!(asked[0].contains("client_secret=hidden") && asked[0].starts_with("POST /v1/oauth/tokens "));
    assert!(asked[1].starts_with("GET /v1/config?warehouse=wh "));
    assert!(
        asked[2].starts_with("GET /v1/ws/one/namespaces ") && asked[2].contains("authorization: Bearer secret-token")
    );
    assert!(asked[2].contains("x-team: lake"), "{}", asked[2]);
    assert!(asked[3].contains("pageToken=more"));
    assert!(asked.iter().any(|request| request.starts_with("GET /v1/ws/one/namespaces/b%1Fc/tables ")));
}

#[tokio::test]
async fn should_keep_the_document_and_say_what_a_commit_came_to() {
    let (uri, script) = serve(vec![
        (200, json!({})),
        (200, loaded()),
        (200, json!({"metadata-location": "s3://b/t/metadata/2.metadata.json", "metadata": table()})),
        (409, json!({"error": {"message": "branch main has changed", "type": "CommitFailedException", "code": 409}})),
        (500, json!({"error": {"message": "oh", "type": "x", "code": 500}})),
        (0, json!({})),
        (403, json!({"error": {"message": "no rights", "type": "x", "code": 403}})),
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
    assert!(matches!(catalog.commit(&base, &change).await.unwrap(), Swap::Unknown { .. }));
    assert!(matches!(catalog.commit(&base, &change).await.unwrap(), Swap::Unknown { .. }));
    let refused = catalog.commit(&base, &change).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidInput);
    assert!(!refused.to_string().contains("t0ken"));
    // A commit is sent once, whatever comes back.
    assert_eq!(script.asked.lock().unwrap().len(), 7);
}

#[tokio::test]
async fn should_tell_a_missing_table_from_a_missing_server() {
    let (uri, _) = serve(vec![
        (200, json!({})),
        (404, json!({"error": {"message": "Table does not exist: a.tt", "type": "x", "code": 404}})),
        (200, json!({"namespaces": [["a"]]})),
        (200, json!({"namespaces": []})),
        (200, json!({"identifiers": [{"namespace": ["a"], "name": "t"}]})),
    ])
    .await;
    let catalog = connect(&uri, &[]).await.unwrap();
    let missing = catalog.load_table(&TableName::parse("a.tt").unwrap()).await.unwrap_err();
    assert_eq!((missing.kind(), missing.hint_text()), (Kind::InvalidInput, Some("did you mean a.t?")));
    let nobody = connect("http://127.0.0.1:9", &[]).await.unwrap_err();
    assert_eq!(nobody.kind(), Kind::Unavailable);
    let (uri, _) = serve(vec![(401, json!({}))]).await;
    assert_eq!(connect(&uri, &[("token", "x")]).await.unwrap_err().kind(), Kind::InvalidInput);
}
