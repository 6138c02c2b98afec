//! The store of one device: a log and any number of pool shards.
//!
//! `begin` takes the writer's lock, operations write index changes into one record, `commit` hands the record to the
//! log and inserts it; nobody waits for the device under that lock. What a caller may answer is decided by the gate:
//! [`Store::wait`] for the log position it depends on.

mod aggregate;
mod decide;
mod merge;
mod open;
pub(crate) mod rollback;
mod rows;
mod shards;
mod space;
mod transaction;

pub use rows::Rows;

use crate::changes::{Changes, ShardNum};
use crate::data::DataFiles;
use crate::error::{Result, VosError};
use crate::index::CacheBudget;
use crate::log::{Log, LogOptions};
use crate::media::Media;
use crate::media::capped::Capped;
use crate::shard::Shard;
use crate::tx::ObjectNums;
use daos_locks::{Mutex, RwLock};
use daos_types::{Durability, Epoch, Lsn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use rows::ROW_OBJECT_NUMS;
pub use space::{Relief, ShardSpace, Space, VolumeSpace};
pub use transaction::Tx;

/// The shard that holds the store's own rows and the services' tables; its pool is nil.
pub const SYSTEM_SHARD: ShardNum = ShardNum(0);

/// What a store is given at open; nothing of it is stored.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of a shard's memtable that start a merge; twice as much is the most it takes.
    pub memtable_bytes_max: usize,
    /// Entries of a shard's memtable that start a merge.
    pub memtable_count_max: usize,
    /// Bytes of the page cache, which all shards share.
    pub cache_bytes: usize,
    /// Bytes of a value that travels in the log's record; a longer one goes to the data file first.
    pub defer_bytes_max: usize,
    /// The log's bounds.
    pub log: LogOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            memtable_bytes_max: 64 << 20,
            memtable_count_max: 256 << 10,
            cache_bytes: 256 << 20,
            defer_bytes_max: 64 << 10,
            log: LogOptions::default(),
        }
    }
}

/// What opening a store found.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// Records that were in the log and not yet in the bases.
    pub records_replayed: u64,
}

#[derive(Debug)]
struct Writer {
    changes: Changes,
    /// What the ceiling's row says: kept ahead of the epochs in use.
    ceiling: Epoch,
    /// The greatest epoch in use.
    used: Epoch,
    object_nums: BTreeMap<ShardNum, ObjectNums>,
    /// Bytes of bounds that are admitted without a look at the device.
    credit: u64,
}

/// A store.
#[derive(Debug)]
pub struct Store {
    media: Arc<dyn Media>,
    /// The same, by its account.
    capped: Arc<Capped>,
    /// On which of its volumes the indexes are, and the log.
    meta_volume: usize,
    wal_volume: usize,
    /// On which there are values, or will be.
    data_volumes: BTreeSet<usize>,
    /// Whether some shard has a quota.
    has_quotas: AtomicBool,
    /// Something was staged since credit was granted, of which that knows nothing.
    staged: AtomicBool,
    identity: [u8; 16],
    options: StoreOptions,
    cache: Arc<CacheBudget>,
    log: Log,
    writer: Mutex<Writer>,
    shards: RwLock<BTreeMap<ShardNum, Arc<Shard>>>,
    /// The shards' data files, as the log knows them.
    data_files: Arc<DataFiles>,
    /// Held by whoever merges.
    merging: Mutex<()>,
    /// Counts index changes since it was opened.
    changes_made: AtomicU64,
    /// Memtables or log are full: writers merge before they write.
    full: AtomicBool,
    /// Little room is left: a transaction that begins merges first, if that helps.
    tight: AtomicBool,
    /// There is room enough for values to wait in the log for a merge.
    defers: AtomicBool,
    /// The log could not take a record until it is recycled.
    log_is_short: AtomicBool,
    relief: Mutex<space::Relieving>,
    /// How often the relief was called.
    relief_calls: AtomicU64,
    /// Something was refused for want of room.
    was_refused: AtomicBool,
    /// Whether `stopped_why` says something.
    stopped: AtomicBool,
    stopped_why: Mutex<Option<String>>,
}
impl Store {
    /// The gate: returns when all up to this log position is as safe as asked. Whatever was read or changed at it may be
    /// told to others only then.
    pub fn wait(&self, position: Lsn, durability: Durability) -> Result<()> {
        /// A device that does not answer for so long is taken for gone; the outcome is unknown.
        const WAIT_MAX: Duration = Duration::from_secs(60);
        if position == Lsn::ZERO {
            return Ok(());
        }
        self.log.wait(position, durability, Some(WAIT_MAX)).map_err(|error| self.note(error.into()))
    }

    /// Whether all up to this log position survives a power cut already, so that nobody has to wait.
    pub fn is_durable(&self, position: Lsn) -> bool {
        position <= self.log.durable()
    }

    /// Makes everything written so far survive a power cut.
    pub fn sync(&self) -> Result<()> {
        self.wait(self.log.last(), Durability::Synced)
    }

    /// Syncs what was acknowledged with [`Durability::Interval`]; to be called at least each second.
    pub fn sync_due(&self) -> Result<()> {
        self.log.sync_due().map_err(|error| self.note(error.into()))
    }

    /// Bytes that a record of the log may have.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.options.log.record_bytes_max as usize
    }

    /// How many index changes were made since it was opened.
    pub fn changes_made(&self) -> u64 {
        self.changes_made.load(Ordering::Relaxed)
    }

    /// Bytes that were stored in data files since it was opened.
    pub fn data_stored(&self) -> u64 {
        self.shards.read().values().map(|shard| shard.data.stored_bytes()).sum()
    }

    /// Bytes of values in data files, and of the indexes.
    pub fn data_and_index(&self) -> (u64, u64) {
        let shards = self.shards.read();
        let sizes = shards.values().map(|shard| shard.sizes());
        sizes.fold((0, 0), |sum, (data, index)| (sum.0 + data, sum.1 + index))
    }

    fn check_running(&self) -> Result<()> {
        if !self.stopped.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(VosError::Stopped { why: self.stopped_why.lock().clone().unwrap_or_default() })
    }

    /// After an unknown outcome nothing more is answered.
    fn note(&self, error: VosError) -> VosError {
        if matches!(error, VosError::Uncertain { .. } | VosError::Stopped { .. }) {
            self.stop(error.to_string());
        }
        error
    }

    fn stop(&self, why: String) {
        self.stopped_why.lock().get_or_insert(why);
        self.stopped.store(true, Ordering::Release);
    }
}
