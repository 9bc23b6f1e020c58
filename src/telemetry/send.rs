//! Sending what was measured to where it is kept. No run fails because it does not arrive.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use crate::error::{Error, Result};

/// Waits before the second and the third try.
const WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// An HTTP address that takes one kind of measurements. User and password in it are sent as basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) url: Url,
    /// What goes with every request; may hold secrets.
    pub(super) headers: HeaderMap,
    /// How long one try may take.
    pub(super) timeout: Duration,
    /// What is sent, for messages: "metrics".
    pub(super) what: &'static str,
    /// Where the address was given, for messages: "--metrics-push".
    pub(super) option: &'static str,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sender({})", self.shown())
    }
}

impl Sender {
    /// The address without user, password and query.
    pub(super) fn shown(&self) -> String {
        let port = self.url.port().map_or(String::new(), |port| format!(":{port}"));
        format!("{}://{}{port}{}", self.url.scheme(), self.url.host_str().unwrap_or_default(), self.url.path())
    }

    /// Sends a body. Tries three times.
    ///
    /// # Errors
    /// `Unavailable` when it did not arrive, `InvalidInput` when it was refused.
    pub(super) async fn send(&self, content_type: &'static str, body: Vec<u8>) -> Result<()> {
        let client = reqwest::Client::builder()
            .timeout(self.timeout)
            .build()
            .map_err(|e| Error::internal("the HTTP client can't be made").caused_by(e))?;
        let body = bytes::Bytes::from(body);
        let mut waits = WAITS.iter();
        loop {
            let error = match self.once(&client, content_type, body.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) if error.is_retryable() => tokio::time::sleep(*wait).await,
                _ => return Err(error),
            }
        }
    }

    async fn once(&self, client: &reqwest::Client, content_type: &'static str, body: bytes::Bytes) -> Result<()> {
        let answer = client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .body(body)
            .send()
            .await
            .map_err(|e| {
                let hint = format!(
                    "check the address and that it runs; {} of this run are lost, its commits are not",
                    self.what
                );
                Error::unavailable(format!("{} does not answer", self.shown())).hint(hint).caused_by(e.without_url())
            })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let message = format!("{} answered {status}", self.shown());
        let busy = status.is_server_error() || status.as_u16() == 429;
        let error = if busy { Error::unavailable(message) } else { Error::invalid(message) };
        Err(error.hint(format!("check the path, user and password of {}", self.option)))
    }
}
