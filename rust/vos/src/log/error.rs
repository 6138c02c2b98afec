//! What the log answers instead of doing what it was asked.

use crate::media::MediaError;
use daos_types::{Der, Lsn};

/// Why the log could not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// What is there cannot be what was written. The log refuses to open and changes nothing.
    #[error("the log is corrupt: {0}")]
    Corrupt(String),
    /// The log is of a format this program does not know. It refuses to open and changes nothing.
    #[error("the log's format is unknown: {0}")]
    Format(String),
    /// There is no log here.
    #[error("there is no log: {0}")]
    Missing(String),
    /// There is a log here already.
    #[error("there is a log already")]
    Exists,
    /// The options contradict each other or the format.
    #[error("bad log options: {0}")]
    Options(&'static str),
    /// The queue is full or no segment is ready: call [`super::Log::relieve`], then submit again. Nothing was queued.
    #[error("the log needs relief before it takes more")]
    Busy,
    /// The record is longer than the log takes.
    #[error("a record of {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// Its length.
        len: u64,
        /// The bound.
        max: u64,
    },
    /// The device, or the log's own cap, is full. Nothing was acknowledged; recycling helps.
    #[error("no space for the log: {0}")]
    NoSpace(String),
    /// Writing or syncing the caller's group failed: the records may or may not be replayed.
    #[error("unknown whether the log holds the records: {0}")]
    Uncertain(String),
    /// An earlier write or sync failed: the log must be opened anew.
    #[error("the log stopped after an earlier failure: {0}")]
    Poisoned(String),
    /// The time to wait is over; the record may still become durable.
    #[error("timed out waiting for the log")]
    TimedOut,
    /// Nobody submitted this LSN, so that waiting for it would never end.
    #[error("LSN {0} was never submitted")]
    NotSubmitted(Lsn),
    /// A base must not cover a record before the log has it durably: the log would lose what the base has.
    #[error("LSN {0} is not durable in the log")]
    NotDurable(Lsn),
    /// The receiver of the replayed records refused one.
    #[error("replay of LSN {lsn} refused: {why}")]
    Replay {
        /// Which record.
        lsn: Lsn,
        /// What the receiver said.
        why: String,
    },
    /// The device failed, where nothing was promised yet.
    #[error(transparent)]
    Media(MediaError),
}

impl LogError {
    /// The number of the system's table.
    pub const fn der(&self) -> Der {
        match self {
            Self::Corrupt(_) => Der::Csum,
            Self::Format(_) => Der::DfIncompt,
            Self::Missing(_) => Der::Nonexist,
            Self::Exists => Der::Exist,
            Self::Options(_) | Self::NotSubmitted(_) | Self::NotDurable(_) => Der::Inval,
            Self::Busy => Der::Busy,
            Self::TooLarge { .. } => Der::Rec2big,
            Self::NoSpace(_) => Der::Nospace,
            Self::TimedOut => Der::Timedout,
            Self::Uncertain(_) | Self::Poisoned(_) | Self::Replay { .. } | Self::Media(_) => Der::Io,
        }
    }
}

impl From<MediaError> for LogError {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::NoSpace { .. } => Self::NoSpace(error.to_string()),
            other => Self::Media(other),
        }
    }
}

/// The result of every log call.
pub type Result<T> = std::result::Result<T, LogError>;
