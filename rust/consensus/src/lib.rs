//! Agreement: groups of replicas that apply the same commands in the same order. `docs/internals/consensus.md`.
//!
//! [`Group`] decides, without a clock, a socket or a file: events and the time go in, effects come out.

mod bytes;
mod entry;
mod error;
mod group;
mod ids;
pub mod limits;
mod memlog;
mod message;
mod record;
mod vault;

pub use entry::{Entry, EntryKind, Snapshot};
pub use error::{ConsensusError, Result};
pub use group::{Answer, Effects, Event, Group, Hard, Output, Role, Saved, Seed, Token, Write};
pub use ids::{Change, GroupId, Members, ReplicaId};
pub use message::Message;
pub use vault::Vault;

#[cfg(test)]
mod fuzz;
