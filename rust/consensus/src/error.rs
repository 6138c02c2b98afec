//! Why a group could not do what it was asked.

use crate::ids::ReplicaId;
use daos_types::Der;
use daos_vos::VosError;

/// What went wrong with a group or its storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsensusError {
    /// What is stored is not what was written. A replica that may have forgotten a vote or an entry must not take part.
    #[error("the replica's storage is damaged: {0}; join the group anew under the next generation of its id")]
    Damaged(String),
    /// The stored form is of a version this program does not know.
    #[error("{0}")]
    Format(String),
    /// The group is here already.
    #[error("the group has a replica here already")]
    Exists,
    /// There is no such group here.
    #[error("the group has no replica here")]
    NotFound,
    /// The request contradicts itself, or a bound.
    #[error("{0}")]
    Invalid(String),
    /// Another replica leads, or none that is known. Nothing happened.
    #[error("this replica does not lead its group (term {term}); {}", leader.map_or_else(|| "no leader is known".to_owned(), |id| format!("{id} does")))]
    NotLeader {
        /// Who does, as far as is known.
        leader: Option<ReplicaId>,
        /// In which term.
        term: u64,
    },
    /// Too much waits already. Nothing happened.
    #[error("too much waits for the group's agreement; try again in a moment")]
    Busy,
    /// The leadership, or the time, was over before the outcome was known.
    #[error("the outcome is unknown: {0}")]
    Uncertain(String),
    /// The group was closed, or stopped after a failure.
    #[error("the replica stopped: {0}")]
    Stopped(String),
    /// It was closed by its user.
    #[error("the replica is closed")]
    Closed,
    /// A child process used what its parent opened.
    #[error("this replica belongs to process {0}; a forked child cannot use it")]
    Forked(u32),
    /// The store failed.
    #[error("{why}")]
    Store {
        /// Its number.
        der: Der,
        /// What it said.
        why: String,
    },
}

/// The result of what a group is asked.
pub type Result<T> = std::result::Result<T, ConsensusError>;

impl ConsensusError {
    /// The error's number.
    pub const fn der(&self) -> Der {
        match self {
            Self::Damaged(_) => Der::Csum,
            Self::Format(_) => Der::DfIncompt,
            Self::Exists => Der::Exist,
            Self::NotFound => Der::Nonexist,
            Self::Invalid(_) => Der::Inval,
            Self::NotLeader { .. } => Der::Notleader,
            Self::Busy => Der::Busy,
            Self::Uncertain(_) => Der::TxUncertain,
            Self::Stopped(_) => Der::Shutdown,
            Self::Closed | Self::Forked(_) => Der::NoHdl,
            Self::Store { der, .. } => *der,
        }
    }
}

impl From<VosError> for ConsensusError {
    fn from(error: VosError) -> Self {
        match error {
            VosError::Corrupt { why } => Self::Damaged(why),
            VosError::Format { why } => Self::Format(why),
            other => Self::Store { der: other.der(), why: other.to_string() },
        }
    }
}
