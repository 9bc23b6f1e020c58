//! Metrics of a scheduler on their way to an OpenTelemetry collector.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::otlp::Destination;
use crate::lake::Ambient;
use crate::telemetry::metrics::{Registry, record_process};

/// Sends metrics every so often until the scheduler has stopped, and once more then. What does not arrive is said when
/// that begins, not each time.
pub(super) async fn export(
    destination: Destination,
    registry: Arc<Registry>,
    ambient: Arc<Ambient>,
    mut closed: watch::Receiver<bool>,
) {
    let started_ms = ambient.now_ms();
    let (mut failing, mut last) = (false, false);
    while !last {
        last = tokio::select! {
            () = tokio::time::sleep(destination.every()) => false,
            _ = closed.wait_for(|closed| *closed) => true,
        };
        record_process(&registry, started_ms);
        let sent = destination.push(&registry, started_ms, ambient.now_ms()).await;
        let was_failing = std::mem::replace(&mut failing, sent.is_err());
        match sent {
            Ok(()) if was_failing => tracing::info!("metrics are sent again"),
            Err(error) if !was_failing => tracing::warn!(%error, hint = error.hint_text(), "metrics are not sent"),
            Ok(()) | Err(_) => {}
        }
    }
}
