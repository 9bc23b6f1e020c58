//! What is sent, decoded again; what arrives at a collector is tested on the program as a whole.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value as Number};

use super::metrics::{Span, request};
use crate::telemetry::metrics::{Registry, names};

fn sent(registry: &Registry) -> Vec<Metric> {
    let request = request(registry, Span { start: 1, now: 2 });
    request.resource_metrics.into_iter().flat_map(|one| one.scope_metrics).flat_map(|one| one.metrics).collect()
}

#[test]
fn should_say_what_the_registry_says() {
    let registry = Registry::default();
    registry.set(&names::TABLE_BYTES, &["db.a", "hot"], 7.0);
    registry.set(&names::TABLE_DELETE_RATIO, &["db.a"], f64::NAN);
    registry.add(&names::RUN_BYTES_READ, &["compact"], 5.0);
    for seconds in [0.1, 0.2, 1e9] {
        registry.observe(&names::RUN_SECONDS_HISTOGRAM, &["compact"], seconds);
    }
    let metrics = sent(&registry);
    let one = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    let gauge = one(names::TABLE_BYTES.name);
    let Some(Data::Gauge(points)) = &gauge.data else { panic!("{gauge:?}") };
    let point = &points.data_points[0];
    let labels: Vec<(&str, String)> = point
        .attributes
        .iter()
        .map(|pair| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => (pair.key.as_str(), text.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(labels, [("table", "db.a".to_owned()), ("tier", "hot".to_owned())]);
    assert_eq!((point.value, point.time_unix_nano, gauge.unit.as_str()), (Some(Number::AsDouble(7.0)), 2, "By"));
    let Some(Data::Gauge(points)) = &one(names::TABLE_DELETE_RATIO.name).data else { panic!("no gauge") };
    assert_eq!(points.data_points.len(), 0, "no number, no point");
    let counter = one(names::RUN_BYTES_READ.name);
    let Some(Data::Sum(sum)) = &counter.data else { panic!("{counter:?}") };
    assert!(sum.is_monotonic && sum.data_points[0].start_time_unix_nano == 1);
    let histogram = one(names::RUN_SECONDS_HISTOGRAM.name);
    let Some(Data::Histogram(points)) = &histogram.data else { panic!("{histogram:?}") };
    let point = &points.data_points[0];
    assert_eq!(point.bucket_counts, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!((point.explicit_bounds.len(), point.count, point.sum), (10, 3, Some(0.1 + 0.2 + 1e9)));
    assert_eq!(histogram.unit, "s");
}

#[test]
fn should_say_who_speaks() {
    let resource = super::resource();
    let of = |key: &'static str| resource.get(&key.into()).map(|value| value.to_string());
    assert_eq!(of("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() && std::env::var_os("OTEL_RESOURCE_ATTRIBUTES").is_none() {
        assert_eq!(of("service.name").as_deref(), Some("icewright"));
    }
}
