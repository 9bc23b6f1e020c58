//! What a server says when it does not do what it was asked: errors in its words, without its secrets.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use url::Url;

use crate::error::{Error, Kind};

/// How much of a server's own words is repeated.
const LONGEST_MESSAGE: usize = 400;
/// The longest wait that a server may ask for between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A client error with the server's own words.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    shown: String,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, message, shown } = refusal;
        let (kind, hint) = match status {
            401 | 403 => (Kind::InvalidInput, "check the properties token or credential, and the rights behind them"),
            404 => (Kind::InvalidInput, "check the URI, the warehouse and the name"),
            405 | 406 | 501 => (Kind::Unsupported, "the catalog does not offer this"),
            419 => (Kind::InvalidInput, "the token has expired: get a new one, or give a credential"),
            429 => (Kind::Unavailable, "the catalog is busy: run again later"),
            _ => (Kind::InvalidInput, "the catalog did not accept the request; its message says why"),
        };
        Self::new(kind, format!("{shown} answered {status}: {message}")).hint(hint)
    }
}

impl Refusal {
    /// Reads the server's reason.
    pub(super) async fn read(response: Response, shown: &str) -> Self {
        let status = response.status().as_u16();
        Self { status, message: message(response).await, shown: shown.to_owned() }
    }
}

/// The error for a server that did not answer.
pub(super) fn no_answer(shown: &str, error: &reqwest::Error) -> Error {
    Error::unavailable(format!("{shown} does not answer: {}", why(error)))
        .hint("check the URI, and that the catalog is up; then run again")
}

/// The innermost cause; the outer ones repeat the address, which may hold secrets.
pub(super) fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut why = "the request failed".to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        why = inner.to_string();
        cause = inner.source();
    }
    why
}

/// How long the server asks to be left alone, as far as it is heeded.
pub(super) fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_WAIT)
}

/// The server's own words: Iceberg's error model, OAuth2's, or the beginning of whatever it said.
pub(super) async fn message(response: Response) -> String {
    let text = response.text().await.unwrap_or_default();
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    let found = parsed.as_ref().and_then(|body| {
        let error = body.get("error")?;
        let words = error.get("message").or_else(|| body.get("error_description")).unwrap_or(error);
        words.as_str()
    });
    let one_line = found.unwrap_or(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.is_empty() { "it gave no reason".to_owned() } else { one_line.chars().take(LONGEST_MESSAGE).collect() }
}

/// An address without user, password and query.
pub(super) fn shown(address: &str) -> String {
    Url::parse(address).map_or_else(
        |_| "the token server".to_owned(),
        |url| format!("{}{}", url.origin().ascii_serialization(), url.path()),
    )
}
