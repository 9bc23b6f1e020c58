//! What S3 can do and the common interface can't: say and set an object's storage class, and copy within the store.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::Signer;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::error::{Error, Kind, Result};

/// How often a request that failed on the way is sent again (all of them may be sent twice).
const TRIES: u32 = 4;
/// The first wait before that; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// A copy within the store of the largest single object takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);

/// Signed requests to one bucket.
#[derive(Debug)]
pub(super) struct Direct {
    client: Arc<AmazonS3>,
    region: String,
    http: reqwest::Client,
}

/// What a HEAD says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) class: String,
    pub(super) etag: Option<String>,
    pub(super) size: u64,
}

/// An object to copy from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) bucket: &'a str,
    pub(super) path: &'a Path,
    /// Nothing is copied when the object is no longer this one.
    pub(super) etag: Option<&'a str>,
}

impl Direct {
    pub(super) fn new(client: Arc<AmazonS3>, region: String) -> Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(PATIENCE)
            .build()
            .map_err(|e| Error::internal("an HTTP client can't be made").caused_by(e))?;
        Ok(Self { client, region, http })
    }

    /// Class, version and size of an object; `None` when there is none.
    pub(super) async fn head(&self, path: &Path, shown: &str) -> Result<Option<Head>> {
        let answer = self.send(Method::HEAD, path, &[], shown, "looking up").await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Some(Head {
            // The default class goes without saying.
            class: text("x-amz-storage-class").unwrap_or_else(|| "STANDARD".to_owned()),
            etag: text("etag"),
            size: text("content-length").and_then(|length| length.parse().ok()).unwrap_or(0),
        }))
    }

    /// Copies an object of at most 5 GiB within the store, which may be onto itself with another class.
    pub(super) async fn copy(&self, from: Source<'_>, to: &Path, class: Option<&str>, shown: &str) -> Result<()> {
        let source = format!("/{}/{}", from.bucket, encoded(from.path.as_ref()));
        let mut headers = vec![("x-amz-copy-source", source.as_str())];
        headers.extend(class.map(|class| ("x-amz-storage-class", class)));
        headers.extend(from.etag.map(|etag| ("x-amz-copy-source-if-match", etag)));
        let answer = self.send(Method::PUT, to, &headers, shown, "copying to").await?;
        // A copy that takes long is answered with 200 before it is done; a failure is told in the body.
        if answer.status == StatusCode::NOT_FOUND || answer.body.contains("<Error>") {
            return Err(refused(answer.status, &answer.body, shown, "copying to"));
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &Path,
        headers: &[(&str, &str)],
        shown: &str,
        doing: &str,
    ) -> Result<Answer> {
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            tried += 1;
            let again = tried < TRIES;
            match self.once(method.clone(), path, headers, shown).await {
                Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND => {
                    return Ok(answer);
                }
                Ok(answer) if !again || !passing(answer.status) => {
                    return Err(refused(answer.status, &answer.body, shown, doing));
                }
                Err(error) if !again || error.kind() != Kind::Unavailable => return Err(error),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    async fn once(&self, method: Method, path: &Path, headers: &[(&str, &str)], shown: &str) -> Result<Answer> {
        let failed = |e: object_store::Error| super::store_error("signing a request for", shown, e);
        // The client alone knows how its bucket is addressed: a signed address tells, without its signature.
        let mut url = self.client.signed_url(method.clone(), path, Duration::from_secs(60)).await.map_err(failed)?;
        url.set_query(None);
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        let bad = |what: &str| Error::internal(format!("{what} of a request for {shown} can't be written"));
        *request.uri_mut() = url.as_str().parse().map_err(|_| bad("the address"))?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("a header"))?;
            request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(|_| bad("a header"))?);
        }
        let credential = self.client.credentials().get_credential().await.map_err(failed)?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let (parts, _) = request.into_parts();
        let unavailable = |e: reqwest::Error| {
            Error::unavailable(format!("{shown}: storage did not answer"))
                .hint("storage did not answer as it should: run again later")
                .caused_by(e.without_url())
        };
        let sent = self.http.request(parts.method, url).headers(parts.headers).send().await.map_err(unavailable)?;
        let (status, headers) = (sent.status(), sent.headers().clone());
        Ok(Answer { status, headers, body: sent.text().await.map_err(unavailable)? })
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

fn passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn refused(status: StatusCode, body: &str, shown: &str, doing: &str) -> Error {
    let cut = |tag: &str| {
        let (_, rest) = body.split_once(&format!("<{tag}>"))?;
        rest.split_once('<').map(|(text, _)| text.to_owned())
    };
    let why = cut("Code").unwrap_or_else(|| status.to_string());
    let message = cut("Message").map(|text| format!(": {text}")).unwrap_or_default();
    let (kind, hint) = match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            (Kind::InvalidInput, "check the credentials and the rights on this location")
        }
        StatusCode::PRECONDITION_FAILED => (Kind::Conflict, "the file was replaced meanwhile: plan again"),
        StatusCode::BAD_REQUEST if why == "InvalidStorageClass" => {
            (Kind::InvalidInput, "the store does not have this storage class: change the tier")
        }
        _ => (Kind::Unavailable, "storage did not answer as it should: run again later"),
    };
    Error::new(kind, format!("{doing} {shown} failed: {why}{message}")).hint(hint)
}

/// A key as the header of a copy wants it.
fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_say_why_a_store_refused() {
        let body = "<?xml?><Error><Code>InvalidStorageClass</Code><Message>no such class</Message></Error>";
        let error = refused(StatusCode::BAD_REQUEST, body, "s3://b/k", "copying to");
        assert_eq!(error.kind(), Kind::InvalidInput);
        assert_eq!(error.to_string(), "copying to s3://b/k failed: InvalidStorageClass: no such class");
        assert_eq!(refused(StatusCode::PRECONDITION_FAILED, "", "x", "y").kind(), Kind::Conflict);
        assert_eq!(encoded("a b/ts_day=2024-01-01/é%2F"), "a%20b/ts_day%3D2024-01-01/%C3%A9%252F");
    }
}
