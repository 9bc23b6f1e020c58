//! Names of fields and metrics, tracing, and progress of long work.

pub mod metrics;
pub mod process;
mod progress;

pub use progress::{Progress, ProgressView};
