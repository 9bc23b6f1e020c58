//! The only file that prints. stdout carries data, stderr talk.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Error, Result};

/// Prints a line of data. A closed pipe (`| head`) is not an error.
pub(super) fn data(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
}

/// Prints one JSON document.
pub(super) fn json<T: Serialize>(document: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|e| Error::internal("writing the JSON document failed").caused_by(e))?;
    data(&text);
    Ok(())
}

/// Says something to the person at the terminal.
pub(super) fn talk(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{}", text.trim_end_matches('\n'));
}

/// Says that measurements did not arrive, which fails nothing.
pub(super) fn not_sent(what: &str, error: &Error) {
    talk(&format!("warning: {what} were not sent: {error}"));
    if let Some(hint) = error.hint_text() {
        talk(&format!("   hint: {hint}"));
    }
}

/// Says what went wrong, and what to do next.
pub(super) fn error(error: &Error) {
    talk(&format!("error: {error}"));
    if let Some(hint) = error.hint_text() {
        talk(&format!(" hint: {hint}"));
    }
}
