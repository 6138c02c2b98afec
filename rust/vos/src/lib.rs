//! The versioned object store of one device: a log, a memtable and a base index per pool shard, and above them the
//! key-array-value model with epochs.
//!
//! A deterministic library: bytes go through [`media`], epochs are given by the caller, there is no clock, no
//! socket and no thread in here. `docs/internals/store.md` tells how it works, `docs/formats/` what it stores.

mod aggregate;
mod array;
mod base;
mod batch;
mod changes;
mod check;
mod checksum;
mod collect;
mod data;
mod draft;
mod dtx;
mod entry;
mod error;
mod fetch;
#[cfg(test)]
mod fuzz;
mod hash;
pub mod index;
mod key;
mod levels;
pub mod log;
pub mod media;
mod memtable;
mod merge_batch;
mod node;
mod pairs;
mod query;
mod read;
mod reclaim;
mod rollback;
mod scrub;
mod shard;
mod space;
mod stage;
mod store;
mod survey;
mod tally;
mod trace;
mod tx;

pub use aggregate::Aggregation;
pub use changes::ShardNum;
pub use check::{CheckBudget, CheckPage, IndexPage};
pub use checksum::verify_update;
pub use daos_types::{KV_AKEY, Pair};
pub use data::{Landed, VALUE_LEN_MAX};
pub use draft::Draft;
pub use dtx::{DtxId, Status as DtxStatus};
pub use entry::DtxNum;
pub use error::{Result, VosError};
pub use key::ContNum;
pub use levels::Seen;
pub use pairs::PairPage;
pub use read::{KeysOf, ListRange, ObjectRef, Page, View};
pub use scrub::{Scrub, ScrubDamage, ScrubPart};
pub use space::Quota;
pub use stage::Staged;
pub use store::{
    Opened, Relief, Rows, SYSTEM_SHARD, ShardSpace, Space, Store, StoreOptions, Tx, VolumeSpace,
};
pub use survey::{DiffPage, ObjectPage};
pub use tally::TallyPage;
pub use trace::Trace;
