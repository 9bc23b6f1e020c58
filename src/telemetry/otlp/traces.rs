//! Spans on their way to a collector.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::{Destination, NAME, PROTOBUF, resource};
use crate::error::{Error, Result};
use crate::telemetry::SPANS;
use crate::telemetry::send::Sender;

/// How long the end of a process may wait for its last spans.
const LAST: Duration = Duration::from_secs(40);

/// The way of spans out of this process: collected, and sent in batches by a thread of their own.
pub struct Traces {
    provider: SdkTracerProvider,
    state: Arc<State>,
}

/// What the sending thread tells.
#[derive(Debug, Default)]
struct State {
    /// The first batch that did not arrive, and why.
    lost: Mutex<Option<Error>>,
    /// The last try failed: this is said once, not with every batch.
    failing: AtomicBool,
    /// The process ends: who ended it says what was lost.
    ending: AtomicBool,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traces({:?})", self.state)
    }
}

impl Traces {
    /// Starts to collect spans; `None` when traces were not asked for. Requests run on the given runtime.
    pub fn start(destination: &Destination, runtime: &Handle) -> Option<Self> {
        let state = Arc::new(State::default());
        let sender = destination.traces.clone()?;
        let (runtime, resource) = (runtime.clone(), resource());
        let exporter = Exporter { sender, runtime, resource: resource.clone(), state: state.clone() };
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        Some(Self { provider, state })
    }

    /// What turns spans, and what the log says within them, into those of OpenTelemetry.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let wanted =
            Targets::new().with_target(SPANS, LevelFilter::INFO).with_target(env!("CARGO_PKG_NAME"), LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_filter(wanted)
    }

    /// Sends what is left and waits for it. Blocks: not for the runtime's own threads.
    ///
    /// # Errors
    /// Why the first batch that did not arrive was lost. No run fails for that.
    pub fn end(self) -> Result<()> {
        self.state.ending.store(true, Ordering::Relaxed);
        let ended = self.provider.shutdown_with_timeout(LAST);
        if let Some(error) = self.state.lost.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        ended.map_err(|e| Error::unavailable("the last spans were not sent in time").caused_by(e))
    }
}

/// Sends batches of spans.
#[derive(Debug)]
struct Exporter {
    sender: Sender,
    /// The thread that collects has no runtime of its own.
    runtime: Handle,
    resource: Resource,
    state: Arc<State>,
}

impl Exporter {
    fn told(&self, sent: Result<()>) -> OTelSdkResult {
        let was_failing = self.state.failing.swap(sent.is_err(), Ordering::Relaxed);
        let Err(error) = sent else { return Ok(()) };
        if !was_failing && !self.state.ending.load(Ordering::Relaxed) {
            tracing::warn!(%error, hint = error.hint_text(), "traces are not sent");
        }
        let failure = OTelSdkError::InternalFailure(error.to_string());
        self.state.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        Err(failure)
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource = ResourceAttributesWithSchema::from(&self.resource);
        let request = ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(batch, &resource) };
        let (sender, body) = (self.sender.clone(), request.encode_to_vec());
        let sent = self.runtime.spawn(async move { sender.send(PROTOBUF, body).await }).await;
        self.told(sent.unwrap_or_else(|e| Err(Error::internal("sending traces came to a sudden end").caused_by(e))))
    }
}
