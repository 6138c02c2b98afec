//! The versioned object store of one device: a log, a memtable and a base index per pool shard, and above them the
//! key-array-value model with epochs.
//!
//! A deterministic library: bytes go through [`media`], epochs are given by the caller, there is no clock, no
//! socket and no thread in here. `docs/internals/store.md` tells how it works, `docs/formats/` what it stores.

mod base;
mod changes;
mod collect;
mod dtx;
mod entry;
mod error;
mod hash;
pub mod index;
mod key;
mod levels;
pub mod log;
pub mod media;
mod memtable;
mod node;
mod query;
mod read;
mod shard;
mod store;
mod tx;

pub use changes::ShardNum;
pub use dtx::{DtxId, Status as DtxStatus};
pub use entry::DtxNum;
pub use error::{Result, VosError};
pub use key::ContNum;
pub use levels::Seen;
pub use query::{KeyFound, KeyQuery};
pub use read::{KV_AKEY, KeysOf, ListRange, ObjectRef, Page, View};
pub use store::{Opened, Rows, SYSTEM_SHARD, Store, StoreOptions, Tx};
pub use tx::SINGLE_LEN_MAX;
