//! End to end: the binary on real lakes, catalogs and stores, read back by other engines.
//!
//! `tests/run` installs what these tests need. A test that lacks it says so loudly, and fails in CI.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests say what went wrong by failing")]

mod adopted;
mod archive;
mod archive_s3;
mod bad_input;
mod catalogs;
mod cli;
mod crash;
mod deletes;
mod deploy;
mod expire;
mod foreign;
mod maintain;
mod manifests;
mod metrics;
mod orphans;
#[cfg(feature = "otlp")]
mod otlp;
mod plans;
mod replica;
mod report;
mod respec;
mod safety;
mod serve;
mod sort;
mod spark;
mod spark_evolved;
mod spark_vectors;
mod support;
mod writers;
