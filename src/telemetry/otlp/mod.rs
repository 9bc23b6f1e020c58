//! OpenTelemetry: traces and metrics over OTLP (HTTP, protobuf).
//!
//! Traces are the spans of [`SPANS`](super::SPANS): a run, each operation on a table, and within it planning, groups of files,
//! commits and removal; what the log says meanwhile are their events. Metrics are those of the
//! [registry](super::metrics::Registry), by the same names as Prometheus sees them.

mod destination;
mod metrics;
#[cfg(test)]
mod tests;
mod traces;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;

pub use destination::Destination;
pub use traces::Traces;

/// The type of what is sent.
const PROTOBUF: &str = "application/x-protobuf";
/// What names this program, for both signals.
const NAME: &str = "icewright";

/// Who says all this: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, over name and version of this program.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = Resource::builder().build().get(&Key::new("service.name"));
    let is_named = named.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = if is_named { Resource::builder() } else { Resource::builder().with_service_name(NAME) };
    builder.with_attribute(version).build()
}
