//! Requests as typed structs: what a client asks of one target, what it is answered, and the bytes of both,
//! `docs/formats/messages.md`. A file per request.

pub mod control;
mod decoder;
mod encoder;
mod error;
mod fetch;
pub mod limits;
mod list;
mod msgpack;
mod opcode;
mod pairs;
mod punch;
mod query;
pub mod served;
mod survey;
mod tx;
mod update;

pub use control::{CONTROL, Control, decode_control, encode_control};
pub use encoder::{Beside, Encoded};
pub use error::WireError;
pub use fetch::{Fetch, FetchReply, ReadFetch, ReadFetchReply};
pub use list::{List, ListedKeys, ListedPairs};
pub use opcode::Opcode;
pub use pairs::{GetValues, GotValues, PutPairs, ReadGetValues, ReadPutPairs, push_sum};
pub use punch::{Punch, ReadPunch};
pub use query::{Query, decode_found, encode_found};
pub use served::{PEER, SERVED, Served, ServedReply};
pub use survey::{Check, Checked, Count, Counted, Diff, Differences, ListedObjects, Objects, ReadObjects};
pub use tx::{TxChange, TxChanges, TxFirst};
pub use update::{ReadUpdate, Update};

use daos_types::{ContainerId, UnitOid};

/// The object shard that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardRef {
    /// Its container.
    pub cont: ContainerId,
    /// The object and which shard of it.
    pub oid: UnitOid,
}

/// The body of a request or reply that says nothing but its version: that an update was done.
pub fn encode_done() -> Encoded<'static> {
    Encoded { body: limits::BODY_VERSION.to_le_bytes().to_vec(), payloads: Vec::new() }
}

/// Checks that a body is that of [`encode_done`].
pub fn decode_done(body: &[u8], payloads: &[&[u8]]) -> Result<(), WireError> {
    decoder::Decoder::new(body, payloads)?.end()
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
