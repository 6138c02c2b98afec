//! Why the store could not do what it was asked.

use crate::index::IndexError;
use crate::log::LogError;
use crate::media::MediaError;
use daos_types::Der;

/// An answer of the store that is not a result. Unless it says otherwise, nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VosError {
    /// A dkey or akey does not have the shape its object's type asks for.
    #[error("{why}")]
    KeyShape {
        /// What is wrong and what is allowed.
        why: String,
    },
    /// A dkey or akey is too long.
    #[error("the key has {len} bytes; at most {max} are allowed")]
    KeyTooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A value is too long for one record.
    #[error("the value has {len} bytes; at most {max} are allowed")]
    ValueTooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A transaction is more than can be kept, or more than one record of the log can hold.
    #[error("the transaction is too long: at most {max} {what} are allowed")]
    TransactionTooLong {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        max: usize,
    },
    /// What a transaction read has changed since.
    #[error("what the transaction read has been changed by another meanwhile")]
    Conflict,
    /// The request contradicts itself or the object's type.
    #[error("{why}")]
    Invalid {
        /// What is wrong and what is allowed.
        why: String,
    },
    /// An akey holds the other kind of value.
    #[error("the akey holds {holds}")]
    OtherKind {
        /// What it holds.
        holds: &'static str,
    },
    /// A conditional operation found what must not be there.
    #[error("{what} exists")]
    Exists {
        /// The level: object, dkey, akey, container.
        what: &'static str,
    },
    /// A conditional operation, or a look-up that must succeed, found nothing.
    #[error("{what} does not exist")]
    NotFound {
        /// The level: object, dkey, akey, container.
        what: &'static str,
    },
    /// Another change carries the same version of the same key.
    #[error("another change of this key carries the same epoch")]
    SameVersion,
    /// The change came too late: versions of its epoch were aggregated already.
    #[error("the container was aggregated beyond this epoch")]
    Aggregated,
    /// An undecided transaction stands in the way.
    #[error("a transaction that is not decided yet wrote this")]
    InProgress,
    /// The device is full. Deleting still works.
    #[error("no space left on the device: {why}")]
    NoSpace {
        /// What could not grow.
        why: String,
    },
    /// What was read is not what was written.
    #[error("corrupt data: {why}")]
    Corrupt {
        /// Where and what.
        why: String,
    },
    /// Data does not have the checksum that came with it.
    #[error("checksum mismatch: {what}")]
    Checksum {
        /// Of what.
        what: String,
    },
    /// The files are of a format this program does not know.
    #[error("{why}")]
    Format {
        /// Found and supported.
        why: String,
    },
    /// The change may or may not survive: the device failed while it was made durable.
    #[error("the outcome is unknown: {why}")]
    Uncertain {
        /// What failed.
        why: String,
    },
    /// An earlier failure stopped the store; it must be opened anew.
    #[error("the store stopped after an earlier failure: {why}")]
    Stopped {
        /// The failure.
        why: String,
    },
    /// The device, or something on the way to it, did not answer in time.
    #[error("timed out: {why}")]
    TimedOut {
        /// What was waited for.
        why: String,
    },
    /// Any other failure of the device.
    #[error("{why}")]
    Io {
        /// What the operating system said.
        why: String,
    },
}

/// The result of every call of the store.
pub type Result<T> = std::result::Result<T, VosError>;

impl VosError {
    /// Of a commit: nothing was logged, so that nothing names what was staged for it.
    pub const fn says_nothing_was_logged(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::ValueTooLong { .. })
    }

    /// The error's number.
    pub const fn der(&self) -> Der {
        match self {
            Self::KeyShape { .. } | Self::Invalid { .. } => Der::Inval,
            Self::KeyTooLong { .. } => Der::Key2big,
            Self::ValueTooLong { .. } => Der::Rec2big,
            Self::OtherKind { .. } => Der::NoPerm,
            Self::Exists { .. } => Der::Exist,
            Self::NotFound { .. } => Der::Nonexist,
            Self::TransactionTooLong { .. } => Der::Overflow,
            Self::SameVersion | Self::Conflict | Self::Aggregated => Der::TxRestart,
            Self::InProgress => Der::Inprogress,
            Self::NoSpace { .. } => Der::Nospace,
            Self::Corrupt { .. } | Self::Checksum { .. } => Der::Csum,
            Self::Format { .. } => Der::DfIncompt,
            Self::Uncertain { .. } => Der::TxUncertain,
            Self::Stopped { .. } => Der::Shutdown,
            Self::TimedOut { .. } => Der::Timedout,
            Self::Io { .. } => Der::Io,
        }
    }
}

impl From<IndexError> for VosError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Corrupt { .. } => Self::Corrupt { why: error.to_string() },
            IndexError::Format { .. } => Self::Format { why: error.to_string() },
            IndexError::Poisoned(why) => Self::Stopped { why },
            IndexError::Media(error) => error.into(),
            IndexError::Batch(why) => Self::Invalid { why },
        }
    }
}

impl From<MediaError> for VosError {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::NoSpace { name } => Self::NoSpace { why: name },
            MediaError::Short { .. } | MediaError::Corrupt { .. } => Self::Corrupt { why: error.to_string() },
            other => Self::Io { why: other.to_string() },
        }
    }
}

impl From<LogError> for VosError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Corrupt(why) => Self::Corrupt { why },
            LogError::Missing(_) => Self::Corrupt { why: error.to_string() },
            LogError::Format(why) => Self::Format { why },
            LogError::Options(_) | LogError::Exists | LogError::NotSubmitted(_) => {
                Self::Invalid { why: error.to_string() }
            }
            LogError::TooLarge { len, max } => Self::ValueTooLong { len: len as usize, max: max as usize },
            LogError::Busy | LogError::NoSpace(_) => Self::NoSpace { why: error.to_string() },
            LogError::Uncertain(why) => Self::Uncertain { why },
            LogError::Poisoned(why) => Self::Stopped { why },
            // Waiting ended, the write did not: it may still come true.
            LogError::TimedOut => Self::Uncertain { why: error.to_string() },
            LogError::Media(error) => error.into(),
            other => Self::Corrupt { why: other.to_string() },
        }
    }
}
