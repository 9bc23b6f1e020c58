//! OpenTelemetry: what a collector receives of a run, and that a run does not need one.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;

use crate::support::icewright;

/// The first line of a request, and its body.
type Request = (String, Vec<u8>);

/// A collector that keeps what it is sent.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<Request>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let request = receive(socket.unwrap());
                kept.lock().unwrap().push(request);
            }
        });
        Self { url, received }
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let received = self.received.lock().unwrap();
        received.iter().filter(|(line, _)| line.contains(path)).map(|(_, body)| body.clone()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.bodies("POST /v1/traces ").into_iter();
        let mut spans = Vec::new();
        for request in requests.map(|body| ExportTraceServiceRequest::decode(&body[..]).unwrap()) {
            for resource in request.resource_spans {
                assert_eq!(text(&resource.resource.unwrap().attributes, "service.name"), "icewright");
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }

    fn metrics(&self) -> HashMap<String, Metric> {
        let last = self.bodies("POST /v1/metrics ").pop().unwrap();
        let request = ExportMetricsServiceRequest::decode(&last[..]).unwrap();
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).map(|metric| (metric.name.clone(), metric)).collect()
    }
}

/// Takes one request.
fn receive(mut socket: TcpStream) -> Request {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 65536]);
    loop {
        let n = socket.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..n]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if n == 0 || bytes.len() >= end + 4 + length {
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
            let line = String::from_utf8_lossy(&bytes[..end]).lines().next().unwrap().to_owned();
            return (line, bytes[end + 4..].to_vec());
        }
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()?.value);
    match found {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?} in {attributes:?}"),
    }
}

fn lake() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake").display().to_string();
    icewright(&["fixture", "--dir", &lake, "--files", "12", "--rows", "50", "--years", "2024-2025"]).exits(0);
    (dir, format!("sqlite://{lake}/catalog.db"))
}

/// Names of spans from the root down to this one.
fn path(spans: &[Span], span: &Span) -> Vec<String> {
    let parent = spans.iter().find(|other| other.span_id == span.parent_span_id);
    let mut above = parent.map_or_else(Vec::new, |parent| path(spans, parent));
    above.push(span.name.clone());
    above
}

#[test]
fn should_send_traces_and_metrics_of_a_run() {
    let (_dir, catalog) = lake();
    let collector = Collector::start();
    icewright(&["compact", "--all", "--catalog", &catalog, "--otlp", &collector.url]).exits(0);
    let spans = collector.spans();
    let mut paths: Vec<String> = spans.iter().map(|span| path(&spans, span).join(" > ")).collect();
    paths.sort();
    let run = "icewright compact";
    let expected = [
        run.to_owned(),
        format!("{run} > compact"),
        format!("{run} > compact > commit"),
        format!("{run} > compact > group"),
        format!("{run} > compact > group"),
        format!("{run} > compact > plan"),
        format!("{run} > inspect"),
    ];
    assert_eq!(paths, expected);
    let root = spans.iter().find(|span| span.name == run).unwrap();
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id), "one run is one trace");
    assert!(root.parent_span_id.is_empty() && root.end_time_unix_nano > root.start_time_unix_nano);
    let compact = spans.iter().find(|span| span.name == "compact").unwrap();
    assert_eq!(text(&compact.attributes, "table"), "db.t");
    assert_ne!(compact.status.as_ref().unwrap().code(), StatusCode::Error);
    assert!(root.events.iter().any(|event| event.name == "compaction ended"), "the log's events: {:?}", root.events);

    let metrics = collector.metrics();
    let Some(Data::Sum(runs)) = &metrics["icewright_runs_total"].data else { panic!("{metrics:?}") };
    let point = &runs.data_points[0];
    assert_eq!(text(&point.attributes, "operation") + &text(&point.attributes, "status"), "compactcommitted");
    let Some(Data::Histogram(seconds)) = &metrics["icewright_run_duration_seconds"].data else { panic!("{metrics:?}") };
    assert_eq!(seconds.data_points[0].count, 1);
    assert!(metrics.contains_key("icewright_table_files"), "the tables are looked at: {metrics:?}");
}

#[test]
fn should_mark_what_failed() {
    let (_dir, catalog) = lake();
    let collector = Collector::start();
    icewright(&["expire", "--table", "db.gone", "--catalog", &catalog, "--otlp", &collector.url]).exits(2);
    let spans = collector.spans();
    let expire = spans.iter().find(|span| span.name == "expire").unwrap();
    assert_eq!(expire.status.as_ref().unwrap().code(), StatusCode::Error, "{spans:?}");
    assert_eq!(expire.events.len(), 1, "{expire:?}");
}

#[test]
fn should_send_what_a_scheduler_does() {
    let (dir, catalog) = lake();
    let config = dir.path().join("icewright.toml").display().to_string();
    std::fs::write(&config, "[[schedule]]\nname = \"nightly\"\nrun = \"compact\"\ncron = \"0 3 * * *\"\n").unwrap();
    let collector = Collector::start();
    // A day passes in a second.
    let serve = ["serve", "--config", &config, "--catalog", &catalog, "--listen", "127.0.0.1:0", "--speed", "86400"];
    icewright(&[&serve[..], &["--for", "2d", "--otlp", &collector.url]].concat()).exits(0);
    let spans = collector.spans();
    let paths: Vec<String> = spans.iter().map(|span| path(&spans, span).join(" > ")).collect();
    for expected in ["schedule > table > take-lease", "schedule > table > maintain > compact > commit"] {
        assert!(paths.iter().any(|path| path == expected), "{expected}: {paths:?}");
    }
    let Some(Data::Gauge(tables)) = &collector.metrics()["icewright_tables"].data else { panic!("{paths:?}") };
    assert_eq!(tables.data_points.len(), 1);
}

#[test]
fn should_succeed_and_say_so_when_no_collector_answers() {
    let (_dir, catalog) = lake();
    let run = ["compact", "--all", "--catalog", &catalog, "--json", "--otlp", "http://me:hidden@127.0.0.1:9"];
    let ran = icewright(&run).exits(0);
    assert_eq!(ran.report()["status"], "committed");
    for what in ["traces were not sent: http://127.0.0.1:9/v1/traces", "metrics were not sent: http://127.0.0.1:9/v1/"]
    {
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("hidden"), "{}", ran.stderr);
    icewright(&["compact", "--all", "--catalog", &catalog, "--otlp", "collector"]).exits(2);
}
