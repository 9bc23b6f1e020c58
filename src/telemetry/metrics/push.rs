//! Pushing metrics at the end of a run, for jobs that end before anybody could scrape them.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::error::{Error, Result};
use crate::telemetry::send::Sender;

/// Where VictoriaMetrics takes Prometheus' text format.
const IMPORT_PATH: &str = "/api/v1/import/prometheus";
/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where metrics go: VictoriaMetrics' import address, or a group of a Pushgateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushTarget(Sender);

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
        let (headers, what) = (HeaderMap::new(), "metrics");
        Ok(Self(Sender { url, headers, timeout: TIMEOUT, what, option: "--metrics-push" }))
    }

    /// The address without user, password and query.
    pub fn shown(&self) -> String {
        self.0.shown()
    }

    /// Sends an exposition. Tries three times.
    ///
    /// # Errors
    /// `Unavailable` when it did not arrive, `InvalidInput` when it was refused. No run fails for that.
    pub async fn push(&self, exposition: String) -> Result<()> {
        self.0.send("text/plain; version=0.0.4; charset=utf-8", exposition.into_bytes()).await
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
