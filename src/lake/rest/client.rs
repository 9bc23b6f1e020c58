//! Requests: reads are retried, commits never are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{Refusal, no_answer, retry_after, shown, why};
use super::auth::Auth;
use super::wire;
use crate::error::{Error, Result};
use crate::lake::Ambient;
use crate::model::CatalogSettings;

/// Separates the levels of a namespace in a URL.
pub(super) const SEPARATOR: &str = "\u{1f}";
/// How often a read is tried.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(60);
/// What became of a request that changes something.
pub(super) enum Sent {
    /// Carried out.
    Answer(Value),
    /// Certainly not carried out.
    Refused(Refusal),
    /// Never reached the server.
    Unreached(Error),
    /// May have been carried out.
    Unknown { reason: String },
}

/// A read that failed.
pub(super) enum Failed {
    /// The server said no.
    Refused(Refusal),
    /// There was no answer, or none that could be understood.
    Error(Error),
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refusal) => refusal.into(),
            Failed::Error(error) => error,
        }
    }
}

impl Sent {
    /// The answer, where anything else is an error.
    pub(super) fn answer(self) -> Result<Value> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Refused(refusal) => Err(refusal.into()),
            Self::Unreached(error) => Err(error),
            Self::Unknown { reason } => Err(Error::unavailable(reason).hint("run again later")),
        }
    }
}

/// An HTTP client for one catalog.
pub(super) struct Client {
    http: reqwest::Client,
    /// Where the user said the catalog is.
    home: String,
    /// Where it says it is.
    base: String,
    prefix: String,
    shown: String,
    auth: Auth,
    headers: HeaderMap,
    ambient: Arc<Ambient>,
}

impl Client {
    pub(super) fn new(settings: &CatalogSettings, ambient: Arc<Ambient>) -> Result<Self> {
        let home = base(&settings.uri);
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(TIMEOUT)
            // A redirected POST would turn into a GET that looks like success, and secrets would follow it.
            .redirect(Policy::none())
            .user_agent(concat!("icewright/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = settings.props.get("ssl.cabundle") {
            for certificate in certificates(path)? {
                http = http.add_root_certificate(certificate);
            }
        }
        let http = http.build().map_err(|e| Error::internal("the HTTP client can't be made").caused_by(e))?;
        let auth = Auth::new(&settings.props, &home, ambient.clone())?;
        let headers = headers(&settings.props)?;
        let shown = settings.public_uri();
        Ok(Self { http, base: home.clone(), home, prefix: String::new(), shown, auth, headers, ambient })
    }

    /// Takes over what the server's own configuration changes: prefix, address, headers, authentication.
    pub(super) fn configure(&mut self, props: &BTreeMap<String, String>) -> Result<()> {
        let prefix = props.get("prefix").map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty());
        self.prefix = prefix.map_or_else(String::new, |prefix| format!("/{prefix}"));
        if let Some(uri) = props.get("uri") {
            self.base = base(uri);
        }
        self.headers = headers(props)?;
        let auth = Auth::new(props, &self.home, self.ambient.clone())?;
        if !auth.same(&self.auth) {
            self.auth = auth;
        }
        Ok(())
    }

    /// Reads, with retries.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> std::result::Result<T, Failed> {
        let mut wait = FIRST_WAIT;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut asked = Duration::ZERO;
            let error = match self.send(Method::GET, path, query, None).await {
                Ok(response) => {
                    let status = response.status();
                    if status.is_success() {
                        return self.read(response).await.map_err(Failed::Error);
                    }
                    if status.is_redirection() {
                        return Err(Failed::Error(self.redirected(&response)));
                    }
                    let code = status.as_u16();
                    if matches!(code, 401 | 419) && !renewed && self.auth.renew().await {
                        renewed = true;
                        continue;
                    }
                    asked = retry_after(&response);
                    let refusal = Refusal::read(response, &self.shown).await;
                    if !(status.is_server_error() && code != 501 || code == 429) {
                        return Err(Failed::Refused(refusal));
                    }
                    Error::unavailable(format!("{} answered {code}: {}", self.shown, refusal.message))
                        .hint("run again later")
                }
                Err(Failure::Before(error)) => error,
                Err(Failure::Http(error)) => no_answer(&self.shown, &error),
            };
            if tries >= TRIES || !error.is_retryable() {
                return Err(Failed::Error(error));
            }
            tokio::time::sleep(self.ambient.jitter(wait).max(asked)).await;
            wait *= 2;
        }
    }

    /// Sends a change, once.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Sent {
        let mut renewed = false;
        loop {
            let response = match self.send(Method::POST, path, &[], Some(body)).await {
                Ok(response) => response,
                Err(Failure::Before(error)) => return Sent::Unreached(error),
                Err(Failure::Http(error)) if error.is_connect() => {
                    return Sent::Unreached(no_answer(&self.shown, &error));
                }
                Err(Failure::Http(error)) => {
                    return Sent::Unknown { reason: format!("the reply of {} was lost: {}", self.shown, why(&error)) };
                }
            };
            let status = response.status();
            let code = status.as_u16();
            if status.is_success() {
                // The change is made, even if what follows the status can't be read.
                return Sent::Answer(response.json().await.unwrap_or(Value::Null));
            }
            if matches!(code, 401 | 419) && !renewed && self.auth.renew().await {
                renewed = true;
                continue;
            }
            // 408 and redirects come from what stands in between as a rule, and say nothing about the catalog.
            let certain = status.is_client_error() && code != 408;
            let refusal = Refusal::read(response, &self.shown).await;
            return if certain {
                Sent::Refused(refusal)
            } else {
                Sent::Unknown { reason: format!("{} answered {code}: {}", self.shown, refusal.message) }
            };
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> std::result::Result<Response, Failure> {
        let token = self.auth.token(&self.http).await.map_err(Failure::Before)?;
        let mut address = match path {
            ["config"] => format!("{}/v1/config", self.base),
            _ => format!("{}/v1{}", self.base, self.prefix),
        };
        for part in path.iter().filter(|part| **part != "config") {
            address.push('/');
            address.push_str(&escape(part));
        }
        if !query.is_empty() {
            let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
            address = format!("{address}?{pairs}");
        }
        let mut request = self.http.request(method, address).headers(self.headers.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        // What can't even be written down as a request was never sent.
        let request = request.build().map_err(|e| {
            Failure::Before(
                Error::invalid(format!("no request can be made for {}: {}", self.shown, why(&e)))
                    .hint("check the catalog's URI, its token and its header properties"),
            )
        })?;
        self.http.execute(request).await.map_err(Failure::Http)
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let answer = response.json().await.map_err(|e| {
            if !e.is_decode() || e.is_timeout() {
                return no_answer(&self.shown, &e);
            }
            Error::invalid(format!("{} does not answer as a REST catalog does", self.shown))
                .hint("check the URI: it is the part before /v1")
                .caused_by(e.without_url())
        })?;
        wire::parse(answer, &self.shown)
    }

    fn redirected(&self, response: &Response) -> Error {
        let to = response.headers().get("location").and_then(|value| value.to_str().ok()).map(shown);
        let to = to.map_or_else(|| "elsewhere".to_owned(), |to| format!("to {to}"));
        Error::invalid(format!("{} redirects {to}", self.shown))
            .hint("redirects are not followed with credentials: give the final address as the catalog's URI")
    }
}

enum Failure {
    Before(Error),
    Http(reqwest::Error),
}

/// The address without what every path starts with anyway.
fn base(uri: &str) -> String {
    uri.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches('/').to_owned()
}

/// What goes with every request: `header.*` properties over our own.
fn headers(props: &BTreeMap<String, String>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert("x-iceberg-access-delegation", HeaderValue::from_static("vended-credentials"));
    for (key, value) in props {
        let Some(name) = key.strip_prefix("header.") else { continue };
        // The value may be a secret: it is not repeated.
        let wrong = || Error::invalid(format!("the property {key} is no valid HTTP header"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Certificates of authorities beyond the public ones (`ssl.cabundle`, PEM).
fn certificates(path: &str) -> Result<Vec<Certificate>> {
    let wrong = || Error::invalid(format!("ssl.cabundle: {path} can't be read as PEM certificates"));
    let pem = std::fs::read(path).map_err(|e| wrong().caused_by(e))?;
    Certificate::from_pem_bundle(&pem).map_err(|e| wrong().caused_by(e))
}

/// A namespace in a URL.
pub(super) fn namespace(levels: &[String]) -> String {
    levels.join(SEPARATOR)
}

/// Percent-encodes a part of a path.
fn escape(part: &str) -> String {
    part.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
