//! Requests: reads are retried, commits never are.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::auth::Auth;
use super::{no_answer, refused, wire};
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
    Refused { status: u16, message: String },
    /// Never reached the server.
    Unreached(Error),
    /// May have been carried out.
    Unknown { reason: String },
}

impl Sent {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Answer(_) => Error::internal("an answer is no error"),
            Self::Refused { status, message } => refused(status, message, "the catalog"),
            Self::Unreached(error) => error,
            Self::Unknown { reason } => {
                Error::unavailable(format!("the catalog did not answer: {reason}")).hint("run again later")
            }
        }
    }
}

/// An HTTP client for one catalog.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    prefix: String,
    shown: String,
    auth: Auth,
    headers: Vec<(String, String)>,
    ambient: Arc<Ambient>,
}

impl Client {
    pub(super) fn new(settings: &CatalogSettings, ambient: Arc<Ambient>) -> Result<Self> {
        let base = settings.uri.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(TIMEOUT)
            .user_agent(concat!("icewright/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::internal("the HTTP client can't be made").caused_by(e))?;
        let headers = settings
            .props
            .iter()
            .filter_map(|(key, value)| key.strip_prefix("header.").map(|name| (name.to_owned(), value.clone())))
            .collect();
        let auth = Auth::new(&settings.props, &base, ambient.clone());
        Ok(Self { http, base, prefix: String::new(), shown: settings.public_uri(), auth, headers, ambient })
    }

    pub(super) fn set_prefix(&mut self, prefix: Option<&str>) {
        self.prefix = prefix.map_or_else(String::new, |prefix| format!("/{}", prefix.trim_matches('/')));
    }

    /// Reads, with retries.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T> {
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.send(Method::GET, path, query, None).await {
                Ok(response) => {
                    let status = response.status();
                    if status.is_success() {
                        let answer = response.json().await.map_err(|e| {
                            Error::invalid(format!("{} does not answer as a REST catalog does", self.shown))
                                .hint("check the URI: it is the part before /v1")
                                .caused_by(e.without_url())
                        })?;
                        return wire::parse(answer, &self.shown);
                    }
                    let code = status.as_u16();
                    let message = message(response).await;
                    if matches!(code, 401 | 419) && tries == 1 && self.auth.renew().await {
                        continue;
                    }
                    if !status.is_server_error() && code != 429 {
                        return Err(refused(code, message, &self.shown));
                    }
                    Error::unavailable(format!("{} answered {code}: {message}", self.shown)).hint("run again later")
                }
                Err(error) => error,
            };
            if tries >= TRIES || !error.is_retryable() {
                return Err(error);
            }
            tokio::time::sleep(self.ambient.jitter(wait)).await;
            wait *= 2;
        }
    }

    /// Sends a change, once.
    pub(super) async fn post(&self, path: &[&str], body: &Value) -> Sent {
        for renewed in [false, true] {
            let response = match self.try_send(Method::POST, path, &[], Some(body)).await {
                Ok(response) => response,
                Err(Failure::Before(error)) => return Sent::Unreached(error),
                Err(Failure::Http(error)) if error.is_connect() => {
                    return Sent::Unreached(no_answer(&self.shown, &error));
                }
                Err(Failure::Http(error)) => return Sent::Unknown { reason: error.without_url().to_string() },
            };
            let status = response.status();
            let code = status.as_u16();
            if status.is_success() {
                // The change is made, even if what follows the status can't be read.
                return Sent::Answer(response.json().await.unwrap_or(Value::Null));
            }
            if matches!(code, 401 | 419) && !renewed && self.auth.renew().await {
                continue;
            }
            let message = message(response).await;
            return if status.is_server_error() {
                Sent::Unknown { reason: format!("the catalog answered {code}: {message}") }
            } else {
                Sent::Refused { status: code, message }
            };
        }
        Sent::Refused { status: 401, message: "the token was not accepted".to_owned() }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Response> {
        match self.try_send(method, path, query, body).await {
            Ok(response) => Ok(response),
            Err(Failure::Before(error)) => Err(error),
            Err(Failure::Http(error)) => Err(no_answer(&self.shown, &error)),
        }
    }

    async fn try_send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> std::result::Result<Response, Failure> {
        let token = self.auth.token(&self.http, &self.shown).await.map_err(Failure::Before)?;
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
        let mut request = self
            .http
            .request(method, address)
            .header("accept", "application/json")
            .header("x-iceberg-access-delegation", "vended-credentials");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(Failure::Http)
    }
}

enum Failure {
    Before(Error),
    Http(reqwest::Error),
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

/// The status of a refusal, for those who treat some of them specially.
pub(super) fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once(" answered ")?;
    rest.get(..3)?.parse().ok()
}

/// The server's own words.
async fn message(response: Response) -> String {
    let text = response.text().await.unwrap_or_default();
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    let found = parsed.and_then(|body| Some(body.get("error")?.get("message")?.as_str()?.to_owned()));
    found.unwrap_or_else(|| text.chars().take(200).collect())
}
