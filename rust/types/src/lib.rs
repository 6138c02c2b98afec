//! The words of the system: ids, epochs, extents, error codes, limits. Pure and `no_std`; imports nothing of ours.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod buffer;
pub mod checksum;
pub mod cond;
pub mod der;
pub mod difference;
pub mod durability;
pub mod epoch;
pub mod extent;
pub mod ids;
pub mod iod;
pub mod landing;
pub mod limits;
pub mod object_id;
pub mod origin;
pub mod packed;
pub mod pair;
pub mod part;
pub mod query;
pub mod scrub;
pub mod snapshot;
mod tally;
pub mod unit;

pub use buffer::Buffer;
pub use checksum::{ChecksumKind, Checksums, FetchedSums, IodSums, Sums, ValueSum};
pub use cond::Cond;
pub use der::Der;
pub use difference::{How, KeyDifference};
pub use durability::Durability;
pub use epoch::{Epoch, Hlc, Version};
pub use extent::Extent;
pub use ids::{ContainerId, Lsn, PoolId, Rank, ShardIdx, TargetIdx, UnitOid};
pub use iod::{ArrayFetch, FetchIod, FetchValue, Iod, IodValue, Punched, ValueSink};
pub use landing::{LANDING_MIN, Landing};
pub use object_id::{ObjectId, ObjectType};
pub use origin::{DONE_SLOTS, Origin};
pub use packed::Packed;
pub use pair::{KV_AKEY, Pair};
pub use part::Part;
pub use query::{AkeyQuery, KeyFound, KeyQuery};
pub use scrub::{ScrubChange, ScrubMode, ScrubSettings, ScrubStatus};
pub use snapshot::Snapshot;
pub use tally::Tally;
pub use unit::unit_of;
