//! What can be wrong with a frame.

use daos_types::Der;

/// Bytes that are no frame, or one that its receiver must not take. Whichever it is, the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The other end does not speak this, or not this version of it.
    #[error("what came is no frame: {what}")]
    Foreign {
        /// How that shows.
        what: &'static str,
    },
    /// A field outside of what it may be, or a frame that may not be sent now.
    #[error("a wrong frame: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Bytes that are not those that were sent.
    #[error("the checksum of {of} is wrong")]
    Sum {
        /// Of what.
        of: &'static str,
    },
    /// More than a frame may have, or than the receiver takes.
    #[error("{what}: {len}, at most {max}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        len: u64,
        /// How much there may be.
        max: u64,
    },
    /// More than the peer may have under way.
    #[error("beyond the window: {what}")]
    Window {
        /// Of what.
        what: &'static str,
    },
}

impl FrameError {
    /// The code that the peer is told.
    pub fn der(&self) -> Der {
        match self {
            Self::Foreign { .. } | Self::Malformed { .. } => Der::Proto,
            Self::Sum { .. } => Der::Csum,
            Self::TooLarge { .. } => Der::Overflow,
            Self::Window { .. } => Der::Dos,
        }
    }

    /// Nothing is said to a peer that would not understand it.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign { .. })
    }
}
