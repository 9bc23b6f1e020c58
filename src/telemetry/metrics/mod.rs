//! Metrics: names, current values, and Prometheus' text format. Recording never fails a run.

pub mod names;
mod push;
mod record;
mod registry;

pub use names::{Metric, MetricKind};
pub use push::PushTarget;
pub use record::{FleetLimits, OTHER_TABLES, has_own_series, record_end, record_fleet, record_process, record_run};
pub use registry::Registry;
#[cfg(feature = "otlp")]
pub(in crate::telemetry) use registry::Series;
