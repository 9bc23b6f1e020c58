//! Where traces and metrics go, as OpenTelemetry's own environment variables say.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::error::{Error, Result};
use crate::telemetry::send::Sender;

/// How long one try may take when `OTEL_EXPORTER_OTLP_TIMEOUT` does not say.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a process that stays sends metrics when `OTEL_METRIC_EXPORT_INTERVAL` does not say.
const EVERY: Duration = Duration::from_secs(60);
/// The variables of both signals; each signal has its own with its name in it, which wins.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT_MS: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// One kind of measurements, and the variables that speak of it alone.
struct Signal {
    what: &'static str,
    path: &'static str,
    exporter: &'static str,
    endpoint: &'static str,
    headers: &'static str,
    timeout: &'static str,
    protocol: &'static str,
}

const TRACES: Signal = Signal {
    what: "traces",
    path: "v1/traces",
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
};
const METRICS: Signal = Signal {
    what: "metrics",
    path: "v1/metrics",
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
};

/// The addresses that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) traces: Option<Sender>,
    pub(super) metrics: Option<Sender>,
    every: Duration,
}

impl Destination {
    /// How often a process that stays sends its metrics.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Reads what the command line (`--otlp`, an address that `v1/traces` and `v1/metrics` are added to) and the
    /// environment say; the command line wins. `None` when nobody asked for OpenTelemetry.
    ///
    /// # Errors
    /// `InvalidInput` for what can't be an address, a header or a duration, and for a protocol that is not spoken. Values
    /// are not repeated: they may hold secrets.
    pub fn read(flag: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let variable = |name: &str| {
            let text = variable(name)?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        if variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let traces = sender(&TRACES, flag, &variable)?;
        let metrics = sender(&METRICS, flag, &variable)?;
        let every = millis("OTEL_METRIC_EXPORT_INTERVAL", &variable)?.unwrap_or(EVERY);
        Ok((traces.is_some() || metrics.is_some()).then_some(Self { traces, metrics, every }))
    }
}

fn sender(signal: &Signal, flag: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Sender>> {
    if flag.is_none() && variable(signal.exporter).is_some_and(|exporter| exporter != "otlp") {
        return Ok(None);
    }
    let (url, option) = match (flag, variable(signal.endpoint), variable(ENDPOINT)) {
        (Some(flag), ..) => (below(&address(flag, "--otlp")?, signal.path), "--otlp"),
        (None, Some(own), _) => (address(&own, signal.endpoint)?, signal.endpoint),
        (None, None, Some(both)) => (below(&address(&both, ENDPOINT)?, signal.path), ENDPOINT),
        (None, None, None) => return Ok(None),
    };
    let protocol = variable(signal.protocol).or_else(|| variable(PROTOCOL));
    if let Some(other) = protocol.filter(|protocol| flag.is_none() && protocol != "http/protobuf") {
        return Err(Error::invalid(format!("{PROTOCOL} asks for {other:?}, and icewright speaks http/protobuf"))
            .hint("set it to http/protobuf (port 4318, as a rule), or OTEL_SDK_DISABLED=true for this job"));
    }
    let timeout = match millis(signal.timeout, variable)? {
        Some(own) => own,
        None => millis(TIMEOUT_MS, variable)?.unwrap_or(TIMEOUT),
    };
    let mut headers = HeaderMap::new();
    for name in [HEADERS, signal.headers] {
        // What is said for one signal stands in place of what is said for both.
        for (name, value) in pairs(name, &variable(name).unwrap_or_default())? {
            headers.insert(name, value);
        }
    }
    Ok(Some(Sender { url, headers, timeout, what: signal.what, option }))
}

fn address(text: &str, option: &str) -> Result<Url> {
    Url::parse(text.trim())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
        .ok_or_else(|| Error::invalid(format!("{option} is no HTTP address")).hint("write http://collector:4318"))
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

fn millis(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Duration>> {
    let Some(text) = variable(name) else { return Ok(None) };
    let wrong = |_| Error::invalid(format!("{name} is no number of milliseconds")).hint("as in 10000");
    Ok(Some(Duration::from_millis(text.parse::<u64>().map_err(wrong)?.max(1))))
}

/// Headers as `name=value,name=value`; values are percent-encoded.
fn pairs(variable: &str, text: &str) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let wrong = || Error::invalid(format!("{variable} is no list of headers")).hint("write name=value,name=value");
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let value: Vec<u8> = percent_encoding::percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok((HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?, value))
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Destination>> {
        Destination::read(flag, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(flag: Option<&str>, variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let found = read(flag, variables).unwrap();
        let [traces, metrics] = found.map_or([None, None], |found| [found.traces, found.metrics]);
        [traces.map(|sender| sender.shown()), metrics.map(|sender| sender.shown())]
    }

    #[test]
    fn should_follow_the_variables_of_opentelemetry() {
        let both = |base: &str| [Some(format!("{base}/v1/traces")), Some(format!("{base}/v1/metrics"))];
        let base = (ENDPOINT, "http://collector:4318/");
        assert_eq!(shown(None, &[]), [None, None], "nobody asked");
        assert_eq!(shown(None, &[base]), both("http://collector:4318"));
        assert_eq!(shown(Some("https://u:p@x/otel"), &[base, (PROTOCOL, "grpc")]), both("https://x/otel"));
        assert_eq!(shown(None, &[base, ("OTEL_SDK_DISABLED", "True")]), [None, None]);
        assert_eq!(shown(None, &[base, (METRICS.exporter, "none")])[1], None);
        let own = [base, (TRACES.endpoint, "http://tempo:4318/otlp/v1/traces")];
        assert_eq!(shown(None, &own)[0].as_deref(), Some("http://tempo:4318/otlp/v1/traces"));
        assert_eq!(shown(None, &[(ENDPOINT, " ")]), [None, None], "empty counts as absent");
    }

    #[test]
    fn should_read_headers_and_times() {
        let variables = [
            (ENDPOINT, "http://c:4318"),
            (HEADERS, "api-key=one%20two, x=1"),
            (TRACES.headers, "x=2"),
            (TIMEOUT_MS, "500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
        ];
        let found = read(None, &variables).unwrap().unwrap();
        let (traces, metrics) = (found.traces.unwrap(), found.metrics.unwrap());
        // Sensitive values are not equal to plain ones, whatever they hold.
        let traced = |name: &str| traces.headers[name].as_bytes();
        assert_eq!((traced("api-key"), traced("x")), (&b"one two"[..], &b"2"[..]));
        assert_eq!(metrics.headers["x"], "1");
        assert_eq!((traces.timeout, found.every), (Duration::from_millis(500), Duration::from_secs(1)));
        assert!(!format!("{traces:?}").contains("one two"));
    }

    #[test]
    fn should_say_what_is_wrong_without_secrets() {
        let base = (ENDPOINT, "http://c:4318");
        for (flag, variables, says) in [
            (Some("collector:hidden"), vec![], "--otlp is no HTTP address"),
            (None, vec![(ENDPOINT, "hidden")], "OTEL_EXPORTER_OTLP_ENDPOINT is no HTTP address"),
            (None, vec![base, (HEADERS, "hidden")], "OTEL_EXPORTER_OTLP_HEADERS is no list of headers"),
            (None, vec![base, (HEADERS, "a=hid%0Aden")], "OTEL_EXPORTER_OTLP_HEADERS is no list of headers"),
            (None, vec![base, (TIMEOUT_MS, "10s")], "OTEL_EXPORTER_OTLP_TIMEOUT is no number"),
            (None, vec![base, (PROTOCOL, "grpc")], "asks for \"grpc\""),
        ] {
            let error = read(flag, &variables).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(error.kind() == crate::error::Kind::InvalidInput && text.contains(says), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
    }
}
