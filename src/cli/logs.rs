//! The log on stderr, and spans where they are asked for.

use std::io::IsTerminal;

use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::args::{Global, LogFormat};
use super::otlp::{Traces, destination};
use super::output;
use crate::error::Error;

/// The log of this process.
pub(super) struct Log {
    format: LogFormat,
    /// Whether the log shows errors.
    shows_errors: bool,
    traces: Option<Traces>,
}

/// Starts logging: quiet where a person looks at progress bars, informative elsewhere.
pub(super) fn start(global: &Global, runtime: Option<&Handle>) -> Log {
    let terminal = std::io::stderr().is_terminal();
    let default = if terminal && global.log_format == LogFormat::Text { "warn" } else { "info" };
    let asked = global.log.as_deref().unwrap_or(default);
    // A bare level speaks of this program; libraries are heard from `warn` on.
    let directives = match asked.parse::<tracing::Level>() {
        Ok(level) => format!("warn,icewright={level}"),
        Err(_) => asked.to_owned(),
    };
    let filter = EnvFilter::try_new(&directives).unwrap_or_else(|_| EnvFilter::new("warn,icewright=info"));
    let shows_errors = filter.max_level_hint().is_none_or(|level| level >= tracing::Level::ERROR);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = match global.log_format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.with_ansi(terminal).boxed(),
    };
    // A wrong address is said by the verb.
    let destination = destination(global).ok().flatten();
    let traces = destination.zip(runtime).and_then(|(destination, runtime)| Traces::start(&destination, runtime));
    let spans = traces.as_ref().map(Traces::layer);
    tracing_subscriber::registry().with(layer.with_filter(filter)).with(spans).init();
    Log { format: global.log_format, shows_errors, traces }
}

impl Log {
    /// Sends the last spans; says so when some did not arrive, and fails nothing.
    pub(super) fn end(&mut self) {
        if let Some(Err(error)) = self.traces.take().map(Traces::end) {
            output::not_sent("traces", &error);
        }
    }

    /// Says what ended the program. Where machines read the log, it is a line of the log like all others; it is
    /// said even when the log is off.
    pub(super) fn fatal(&self, error: &Error) {
        match self.format {
            LogFormat::Json if self.shows_errors => tracing::error!(hint = error.hint_text(), "{error}"),
            LogFormat::Json | LogFormat::Text => output::error(error),
        }
    }
}
