//! What a caller is told.

use crate::frame::{FrameError, Refusal};
use crate::tls::Fault;
use daos_types::Der;
use std::io;

/// Whether what was asked happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did not, and will not.
    Nothing,
    /// The server began it and says what became of it.
    Told,
    /// Nobody knows: it was sent, and no answer came. It may still happen, as long as its time runs.
    Uncertain,
}

/// A call that brought no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NetError {
    /// What happened.
    pub der: Der,
    /// What failed, on what.
    pub message: String,
    /// What the caller can do about it; may be empty.
    pub hint: String,
    /// Whether what was asked happened.
    pub outcome: Outcome,
    /// Milliseconds after which it makes sense to try again; 0 where there is nothing to wait for.
    pub retry_ms: u32,
    /// Bytes that the reply would have had, where it was too long; else 0.
    pub room: u64,
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, NetError>;

impl NetError {
    /// A failure before anything was sent.
    pub fn before(der: Der, message: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), String::new());
        Self { der, message, hint, outcome: Outcome::Nothing, retry_ms: 0, room: 0 }
    }

    /// The same with an advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The same, of what was sent already.
    #[must_use]
    pub fn after_sending(self) -> Self {
        Self { outcome: Outcome::Uncertain, ..self }
    }

    /// Nobody knows whether it happened.
    pub fn is_uncertain(&self) -> bool {
        self.outcome == Outcome::Uncertain
    }

    /// What a server said about a request.
    pub(crate) fn told(refusal: Refusal) -> Self {
        let Refusal { nothing_happened, der, retry_ms, room, message, hint } = refusal;
        let outcome = if nothing_happened { Outcome::Nothing } else { Outcome::Told };
        Self { der, message, hint, outcome, retry_ms, room }
    }

    /// A connection that broke for a reason that the system tells.
    pub(crate) fn broken(doing: &str, error: &io::Error) -> Self {
        if let Some(told) = Fault::told(error) {
            return told;
        }
        let der = match error.kind() {
            io::ErrorKind::TimedOut => Der::Timedout,
            _ => Der::Unreach,
        };
        Self::before(der, format!("{doing}: {error}"))
    }
}

impl From<FrameError> for NetError {
    fn from(error: FrameError) -> Self {
        let told = Self::before(error.der(), error.to_string());
        if error.is_foreign() {
            return told
                .hint("check address and port: something else may listen there, or another version of daos");
        }
        told
    }
}
