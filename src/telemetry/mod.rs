//! Names of fields and metrics, tracing, and progress of long work.

mod progress;

pub use progress::{Progress, ProgressView};
