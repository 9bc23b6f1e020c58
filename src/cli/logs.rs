//! The log on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::args::{Global, LogFormat};
use super::output;
use crate::error::Error;

/// Starts logging: quiet where a person looks at progress bars, informative elsewhere.
pub(super) fn start(global: &Global) {
    let terminal = std::io::stderr().is_terminal();
    let default = if terminal && global.log_format == LogFormat::Text { "warn" } else { "info" };
    let asked = global.log.as_deref().unwrap_or(default);
    // A bare level speaks of this program; libraries are heard from `warn` on.
    let directives = match asked.parse::<tracing::Level>() {
        Ok(level) => format!("warn,icewright={level}"),
        Err(_) => asked.to_owned(),
    };
    let filter = EnvFilter::try_new(&directives).unwrap_or_else(|_| EnvFilter::new("warn,icewright=info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match global.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(terminal).init(),
    }
}

/// Says what ended the program. Where machines read the log, it is a line of the log like all others; it is
/// said even when the log is off.
pub(super) fn fatal(format: LogFormat, error: &Error) {
    match format {
        LogFormat::Json if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!(hint = error.hint_text(), "{error}")
        }
        LogFormat::Json | LogFormat::Text => output::error(error),
    }
}
