//! Pushing metrics at the end of a run, for jobs that end before anybody could scrape them.

use std::time::Duration;

use crate::error::{Error, Result};

/// Where VictoriaMetrics takes Prometheus' text format.
const IMPORT_PATH: &str = "/api/v1/import/prometheus";
/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Waits before the second and the third try.
const WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// Where metrics go: VictoriaMetrics' import address, or a group of a Pushgateway.
#[derive(Clone, PartialEq, Eq)]
pub struct PushTarget {
    url: url::Url,
}

impl std::fmt::Debug for PushTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PushTarget({})", self.shown())
    }
}

impl PushTarget {
    /// Reads an address. One without a path is VictoriaMetrics': its import path is added. User and password in it are
    /// sent as basic authentication.
    ///
    /// # Errors
    /// `InvalidInput` for what is no HTTP address; the address is not repeated, it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid("--metrics-push is no HTTP address")
                .hint("write http://victoria-metrics:8428, or http://pushgateway:9091/metrics/job/icewright")
        };
        let mut url = url::Url::parse(text.trim()).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong());
        }
        if matches!(url.path(), "" | "/") {
            url.set_path(IMPORT_PATH);
        }
        Ok(Self { url })
    }

    /// The address without user, password and query.
    pub fn shown(&self) -> String {
        let port = self.url.port().map_or(String::new(), |port| format!(":{port}"));
        format!("{}://{}{port}{}", self.url.scheme(), self.url.host_str().unwrap_or_default(), self.url.path())
    }

    /// Sends an exposition. Tries three times.
    ///
    /// # Errors
    /// `Unavailable` when it did not arrive, `InvalidInput` when it was refused. No run fails for that.
    pub async fn push(&self, exposition: String) -> Result<()> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|e| Error::internal("the HTTP client can't be made").caused_by(e))?;
        let mut waits = WAITS.iter();
        loop {
            let error = match self.once(&client, &exposition).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match waits.next() {
                Some(wait) if error.is_retryable() => tokio::time::sleep(*wait).await,
                _ => return Err(error),
            }
        }
    }

    async fn once(&self, client: &reqwest::Client, exposition: &str) -> Result<()> {
        let answer = client
            .post(self.url.clone())
            .header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            .body(exposition.to_owned())
            .send()
            .await
            .map_err(|e| {
                Error::unavailable(format!("{} does not answer", self.shown()))
                    .hint("check the address and that it runs; metrics of this run are lost, its commits are not")
                    .caused_by(e.without_url())
            })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let message = format!("{} answered {status}", self.shown());
        let hint = "check the path, user and password of --metrics-push";
        Err(if status.is_server_error() { Error::unavailable(message) } else { Error::invalid(message) }.hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_know_where_victoria_metrics_listens_and_keep_secrets() {
        let shown = |text: &str| PushTarget::parse(text).unwrap().shown();
        assert_eq!(shown("http://vm:8428"), "http://vm:8428/api/v1/import/prometheus");
        let secret = PushTarget::parse("https://me:hidden@vm/api/v1/import/prometheus?key=hidden").unwrap();
        assert!(!format!("{secret:?} {}", secret.shown()).contains("hidden"));
        assert_eq!(shown("http://gw:9091/metrics/job/icewright"), "http://gw:9091/metrics/job/icewright");
        for bad in ["", "vm:8428", "ftp://vm", "http://"] {
            assert!(PushTarget::parse(bad).is_err(), "{bad}");
        }
    }
}
