//! Agreement: groups of replicas that apply the same commands in the same order. `docs/internals/consensus.md`.
//!
//! [`Group`] decides, without a clock, a socket or a file: events and the time go in, effects come out. [`Vault`] stores what a
//! replica must not forget. [`Node`] carries it all out in a thread of its own; [`NetPeers`] and [`Receiver`] join nodes by a network.

mod bytes;
mod entry;
mod error;
mod group;
mod ids;
pub mod limits;
mod memlog;
mod message;
mod network;
mod node;
mod rdb;
mod record;
mod vault;

pub use entry::{Entry, EntryKind, Snapshot};
pub use error::{ConsensusError, Result};
pub use group::{Answer, Effects, Event, Group, Hard, Output, Role, Saved, Seed, Token, Write};
pub use ids::{Change, GroupId, Members, ReplicaId};
pub use message::Message;
pub use network::{Mailboxes, NetPeers, OPCODE, Receiver};
pub use node::{Mailbox, Node, Peers, Replica, Status, Told};
pub use rdb::{Listen, Place, Rdb, replica_id};
pub use vault::Vault;

#[cfg(test)]
mod fuzz;
