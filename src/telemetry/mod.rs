//! Names of fields and metrics, tracing, and progress of long work.

pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod process;
mod progress;
mod send;

pub use progress::{Progress, ProgressView};

/// The target of spans: units of work as OpenTelemetry sees them. The log is about events, and leaves them out.
pub const SPANS: &str = "spans";
