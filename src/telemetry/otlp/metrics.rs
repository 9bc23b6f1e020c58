//! The registry's metrics as OpenTelemetry's.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Otel, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use prost::Message;

use super::{Destination, NAME, PROTOBUF, resource};
use crate::error::Result;
use crate::telemetry::metrics::{Metric, MetricKind, Registry, Series};

/// Counters and histograms count from the start of the process.
const TEMPORALITY: i32 = AggregationTemporality::Cumulative as i32;

impl Destination {
    /// Sends all metrics; nothing when they were not asked for. Counting began at `started_ms`.
    ///
    /// # Errors
    /// `Unavailable` when they did not arrive, `InvalidInput` when they were refused. No run fails for that.
    pub async fn push(&self, registry: &Registry, started_ms: i64, now_ms: i64) -> Result<()> {
        let Some(sender) = &self.metrics else { return Ok(()) };
        let request = request(registry, Span { start: nanos(started_ms), now: nanos(now_ms) });
        sender.send(PROTOBUF, request.encode_to_vec()).await
    }
}

/// When counting began and ended, nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// Everything that the registry holds.
pub(super) fn request(registry: &Registry, span: Span) -> ExportMetricsServiceRequest {
    let mut metrics = Vec::new();
    registry.each(|metric, series| {
        let points = series.iter().filter(|(_, one)| !matches!(one, Series::Value(value) if value.is_nan()));
        metrics.push(Otel {
            name: metric.name.to_owned(),
            description: metric.help.to_owned(),
            unit: unit(metric.name).to_owned(),
            data: Some(data(metric, points, span)),
            ..Otel::default()
        });
    });
    let resource = ResourceAttributesWithSchema::from(&resource());
    let scope = InstrumentationScope {
        name: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: resource.attributes.0, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
            schema_url: resource.schema_url.unwrap_or_default(),
        }],
    }
}

fn data<'a>(
    metric: &'static Metric,
    points: impl Iterator<Item = (&'a Vec<String>, &'a Series)>,
    span: Span,
) -> metric::Data {
    let number = |(labels, series): (&Vec<String>, &Series)| NumberDataPoint {
        attributes: attributes(metric, labels),
        start_time_unix_nano: if metric.kind == MetricKind::Counter { span.start } else { 0 },
        time_unix_nano: span.now,
        value: match series {
            Series::Value(value) => Some(number_data_point::Value::AsDouble(*value)),
            Series::Histogram { .. } => None,
        },
        ..NumberDataPoint::default()
    };
    match metric.kind {
        MetricKind::Gauge => metric::Data::Gauge(Gauge { data_points: points.map(number).collect() }),
        MetricKind::Counter => metric::Data::Sum(Sum {
            data_points: points.map(number).collect(),
            aggregation_temporality: TEMPORALITY,
            is_monotonic: true,
        }),
        MetricKind::Histogram(edges) => metric::Data::Histogram(Histogram {
            data_points: points
                .filter_map(|(labels, series)| histogram(attributes(metric, labels), edges, series, span))
                .collect(),
            aggregation_temporality: TEMPORALITY,
        }),
    }
}

/// Prometheus counts what is below each edge, OpenTelemetry what is between two.
fn histogram(attributes: Vec<KeyValue>, edges: &[f64], series: &Series, span: Span) -> Option<HistogramDataPoint> {
    let Series::Histogram { below, sum, count } = series else { return None };
    let upper = below.iter().chain([count]);
    let lower = [0].iter().chain(below);
    Some(HistogramDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        count: *count,
        sum: Some(*sum),
        bucket_counts: upper.zip(lower).map(|(upper, lower)| upper.saturating_sub(*lower)).collect(),
        explicit_bounds: edges.to_vec(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(metric: &Metric, labels: &[String]) -> Vec<KeyValue> {
    let pair = |(name, value): (&&str, &String)| KeyValue {
        key: (*name).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.clone())) }),
        ..KeyValue::default()
    };
    metric.labels.iter().zip(labels).map(pair).collect()
}

/// The unit that a name says, as UCUM writes it.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        // Numbers of things have none.
        _ => "",
    }
}

fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}
