//! Why a request was not done, or why a peer leaves.

use super::{FrameError, fields::Fields};
use crate::limits::{HINT_LEN_MAX, MESSAGE_LEN_MAX};
use daos_types::Der;

/// The body of errors and goodbyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked was not begun.
    pub nothing_happened: bool,
    /// What happened.
    pub der: Der,
    /// Milliseconds after which it makes sense to try again; 0 where there is nothing to wait for.
    pub retry_ms: u32,
    /// Bytes that the reply would have had, where it was too long; else 0.
    pub room: u64,
    /// What failed, on what.
    pub message: String,
    /// What the caller can do about it; may be empty.
    pub hint: String,
}

const NOTHING_HAPPENED: u16 = 1;

/// As much of a text as fits, cut between characters.
fn cut(text: &str, len_max: usize) -> &str {
    let end = (0..=text.len().min(len_max)).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

impl Refusal {
    /// A failure of what was begun.
    pub fn new(der: Der, message: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), String::new());
        Self { nothing_happened: false, der, retry_ms: 0, room: 0, message, hint }
    }

    /// A refusal of what was not begun.
    pub fn before(der: Der, message: impl Into<String>) -> Self {
        Self { nothing_happened: true, ..Self::new(der, message) }
    }

    /// The same with an advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Its bytes. Message and hint are cut to what they may have.
    pub fn encode(&self) -> Vec<u8> {
        let (message, hint) = (cut(&self.message, MESSAGE_LEN_MAX), cut(&self.hint, HINT_LEN_MAX));
        let flags = if self.nothing_happened { NOTHING_HAPPENED } else { 0 };
        let mut to = 1_u16.to_le_bytes().to_vec();
        to.extend_from_slice(&flags.to_le_bytes());
        for number in [self.der.number(), self.retry_ms, message.len() as u32, hint.len() as u32, 0] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&self.room.to_le_bytes());
        to.extend_from_slice(message.as_bytes());
        to.extend_from_slice(hint.as_bytes());
        to
    }

    /// The refusal of its bytes. A code that is not in the table is `Unknown`: a newer peer may have more.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut from = Fields(bytes);
        from.version()?;
        let flags = from.u16()?;
        if flags & !NOTHING_HAPPENED != 0 {
            return Err(FrameError::Malformed { what: "an error with unknown flags" });
        }
        let (der, retry_ms) = (Der::from_number(from.u32()?), from.u32()?);
        let (message_len, hint_len) = (from.u32()? as usize, from.u32()? as usize);
        from.zeros::<4>()?;
        let room = from.u64()?;
        let message = from.text(message_len, MESSAGE_LEN_MAX)?.to_owned();
        let hint = from.text(hint_len, HINT_LEN_MAX)?.to_owned();
        from.end()?;
        Ok(Self { nothing_happened: flags != 0, der, retry_ms, room, message, hint })
    }
}
