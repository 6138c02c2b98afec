//! What can be wrong with a message.

use daos_types::Der;

/// A message that is not encoded, or does not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The body is of a version that this release does not know.
    #[error("a message of version {version}; this release knows {known}")]
    Version {
        /// Its version.
        version: u16,
        /// The only one that is known.
        known: u16,
    },
    /// The bytes are not those of such a message.
    #[error("byte {at} of the message: {what}")]
    Malformed {
        /// Where in the body.
        at: usize,
        /// What stands there, and what is allowed.
        what: &'static str,
    },
    /// The payloads beside the body are not those that it names.
    #[error("payload {nth} of the message has {len} bytes, the body names {named}")]
    Payload {
        /// Which, from 0.
        nth: usize,
        /// Its bytes; 0 where there is none.
        len: usize,
        /// The bytes that the body names; 0 where it names none.
        named: usize,
    },
    /// A control message that is none.
    #[error("a control message: {why}")]
    Control {
        /// What is wrong with it.
        why: String,
    },
    /// More than a message can hold.
    #[error("{what}: {len}, at most {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
}

impl WireError {
    /// The code that a peer or caller is told.
    pub fn der(&self) -> Der {
        match self {
            Self::Version { .. } | Self::Malformed { .. } | Self::Payload { .. } | Self::Control { .. } => {
                Der::Proto
            }
            Self::TooLong { what: KEY, .. } => Der::Key2big,
            Self::TooLong { .. } => Der::Overflow,
        }
    }
}

/// What is said of a key that is too long: it has a code of its own.
pub(crate) const KEY: &str = "bytes of a key";
