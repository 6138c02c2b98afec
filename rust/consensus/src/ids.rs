//! Names of groups and replicas, and who belongs to a group.

use daos_types::Rank;
use std::collections::BTreeSet;
use std::fmt;

/// A group: a replicated service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GroupId(pub [u8; 16]);

/// A replica of a group: a rank, and how often that rank has begun anew. A rank that lost its storage comes back under the next
/// generation, so that nobody takes its empty memory for what the old replica promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId {
    /// From 1.
    pub generation: u32,
    /// Where it runs.
    pub rank: Rank,
}

impl ReplicaId {
    /// `None` for generation 0, which no replica has.
    pub const fn new(rank: Rank, generation: u32) -> Option<Self> {
        if generation == 0 { None } else { Some(Self { generation, rank }) }
    }

    /// As one number, never 0.
    pub(crate) const fn number(self) -> u64 {
        (self.generation as u64) << 32 | self.rank.0 as u64
    }

    pub(crate) const fn from_number(number: u64) -> Option<Self> {
        Self::new(Rank(number as u32), (number >> 32) as u32)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} (generation {})", self.rank.0, self.generation)
    }
}

/// Who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Who votes.
    pub voters: BTreeSet<ReplicaId>,
    /// Who is on its way in: gets everything, does not vote, and becomes a voter once it has caught up.
    pub learners: BTreeSet<ReplicaId>,
}

impl Members {
    /// A new group of voters.
    pub fn of(voters: impl IntoIterator<Item = ReplicaId>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<ReplicaId> {
        self.voters.iter().chain(&self.learners).copied().collect()
    }
}

/// A change of who belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// A new replica, as a learner; the leader makes it a voter once it has caught up.
    Add(ReplicaId),
    /// A learner has caught up. The leader's own.
    Promote(ReplicaId),
    /// A replica belongs no more. It is not told.
    Remove(ReplicaId),
}
