//! icewright keeps Apache Iceberg tables fast and cheap.
pub mod error;
pub mod lake;
pub mod model;
pub mod telemetry;
