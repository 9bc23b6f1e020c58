//! One error type for the whole crate, sorted by what the caller must do next.
//!
//! The kind is chosen where the error is born, never guessed later from its text. The message says what was being done
//! to which table and file and why it failed; the hint says what to do about it. Secrets never enter a message.

use std::fmt;

/// What the caller must do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A bug or something unforeseen: report it. Exit code 1.
    Internal,
    /// The request or the configuration is wrong: correct it. Exit code 2.
    InvalidInput,
    /// Not supported, or refused by a safety check; nothing was changed. Exit code 3.
    Unsupported,
    /// The table kept moving: run again later, nothing is lost. Exit code 4.
    Conflict,
    /// Storage or catalog did not answer, or the result of a commit is unknown: retry. Exit code 5.
    Unavailable,
    /// A budget ran out (memory, disk, time): raise it or do less. Exit code 6.
    Exhausted,
    /// What was read is damaged: repair the table before anything else touches it. Exit code 7.
    Corrupt,
}

impl Kind {
    /// The process exit code for this kind (see the command-line contract in the README).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::InvalidInput => 2,
            Self::Unsupported => 3,
            Self::Conflict => 4,
            Self::Unavailable => 5,
            Self::Exhausted => 6,
            Self::Corrupt => 7,
        }
    }
}

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error for people: a kind, a sentence, and usually a hint.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    context: Vec<String>,
    source: Option<Source>,
}

impl Error {
    /// Makes an error of `kind`; the message is lowercase and has no full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, context: Vec::new(), source: None }))
    }

    /// A bug or something unforeseen.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A wrong request or configuration.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidInput, message)
    }

    /// An unsupported feature or a failed safety check.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// A table that kept moving.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// A catalog or store that did not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// A budget that ran out.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(Kind::Exhausted, message)
    }

    /// Damaged input.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what was being done when this happened, outermost last (`"reading manifest s3://…"`).
    #[must_use]
    pub fn while_doing(mut self, what: impl Into<String>) -> Self {
        self.0.context.push(what.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller must do.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What to do next, if there is something to say.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, Kind::Conflict | Kind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in self.0.context.iter().rev() {
            write!(f, "{what}: ")?;
        }
        f.write_str(&self.0.message)?;
        let mut cause = self.0.source.as_deref().map(|s| s as &dyn std::error::Error);
        let mut said = self.0.message.clone();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries repeat their cause in their own text: say each thing once.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

/// Adds "while doing" context to a result on its way up.
pub trait Context<T> {
    /// Adds what was being done, lazily.
    ///
    /// # Errors
    /// The same error, with context.
    fn while_doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn while_doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Self {
        self.map_err(|error| error.while_doing(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_say_each_cause_once_and_the_context_first() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::unavailable("reading failed").caused_by(io).while_doing("loading table db.t");
        assert_eq!(error.to_string(), "loading table db.t: reading failed: disk on fire");
        assert_eq!(error.kind().exit_code(), 5);
        assert!(error.is_retryable());
    }
}
