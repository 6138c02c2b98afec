//! What a caller is told.

use daos_types::Der;
use std::borrow::Cow;

/// A failure, as the SDK passes it on: a number, a line for people, what to do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What happened.
    pub der: Der,
    /// What failed, on what.
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<Cow<'static, str>>,
    /// The process that holds what was asked for.
    pub holder_pid: Option<u32>,
    /// A child process used what its parent opened.
    pub forked: bool,
    /// It is known that nothing was changed, and nobody answered: the same may be asked again.
    pub nothing_happened: bool,
}

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure with its number.
    pub fn new(der: Der, message: impl Into<String>) -> Self {
        Self {
            der,
            message: message.into(),
            hint: None,
            holder_pid: None,
            forked: false,
            nothing_happened: false,
        }
    }

    /// The same with an advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
