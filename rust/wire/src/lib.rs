//! Requests as typed structs: what a client asks of one target. A file per request; the byte encoding of each joins it
//! with the network.

mod fetch;
mod list;
mod punch;
mod query;
mod survey;
mod update;

pub use fetch::Fetch;
pub use list::{List, ListedKeys, ListedPairs};
pub use punch::Punch;
pub use query::Query;
pub use survey::{Check, Checked, Diff, Differences, ListedObjects, Objects};
pub use update::Update;

use daos_types::{ContainerId, UnitOid};

/// The object shard that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardRef {
    /// Its container.
    pub cont: ContainerId,
    /// The object and which shard of it.
    pub oid: UnitOid,
}
