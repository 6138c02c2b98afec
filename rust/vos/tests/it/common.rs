//! What the tests of the store share.

use daos_types::{ContainerId, Durability, PoolId, TargetIdx};
use daos_vos::log::LogOptions;
use daos_vos::media::Media;
use daos_vos::{ContNum, ShardNum, Store, StoreOptions};
use std::sync::Arc;

pub const IDENTITY: [u8; 16] = [7; 16];
pub const CONTAINER: ContainerId = ContainerId([2; 16]);

/// How many crash states to build; `DAOS_CRASH_STATES` sets another number.
pub fn crash_states(ordinary: usize) -> usize {
    std::env::var("DAOS_CRASH_STATES").ok().and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

/// A store small enough for many merges and recycled segments.
pub fn small(memtable_count_max: usize) -> StoreOptions {
    StoreOptions {
        memtable_bytes_max: 1 << 20,
        memtable_count_max,
        cache_bytes: 1 << 20,
        log: LogOptions {
            segment_bytes_min: 32 << 10,
            segment_bytes_max: 64 << 10,
            log_bytes_max: 256 << 10,
            record_bytes_max: 24 << 10,
            ..LogOptions::default()
        },
    }
}

/// A new store with one shard and one container, durable.
pub fn create(media: Arc<dyn Media>, options: StoreOptions) -> (Store, ShardNum, ContNum) {
    let store = Store::create(media, IDENTITY, options).unwrap();
    let shard = store.shard_create(PoolId([1; 16]), TargetIdx(0)).unwrap();
    let mut tx = store.begin().unwrap();
    let cont = tx.cont_open(shard, CONTAINER).unwrap();
    store.wait(tx.commit().unwrap(), Durability::Synced).unwrap();
    (store, shard, cont)
}
