//! Making and opening a store: bases first, then what the log has beyond them.

use super::rows::{ROW_AGGREGATED, ROW_CEILING, ROW_DTX, row_of};
use super::shards::{data_name, index_identity, index_name, num_of};
use super::{Opened, SYSTEM_SHARD, Store, StoreOptions, Writer};
use crate::base;
use crate::changes::{self, Changes, OneChange, ShardNum};
use crate::data::{DataFile, DataFiles};
use crate::dtx::DtxRow;
use crate::entry::DtxNum;
use crate::error::{Result, VosError};
use crate::index::CacheBudget;
use crate::key::{ContNum, KeyBuf};
use crate::log::{Beside, Log, Merged, SUPER};
use crate::media::Media;
use crate::media::capped::Capped;
use crate::shard::Shard;
use daos_locks::{Mutex, RwLock};
use daos_types::{Epoch, Lsn};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The name of a data file that there is not yet.
const NEW_DATA: &str = "shard-ffffffff.dat";

impl Store {
    /// Makes an empty store on an empty device.
    pub fn create(media: Arc<dyn Media>, identity: [u8; 16], options: StoreOptions) -> Result<Self> {
        let capped = Arc::new(Capped::new(media)?);
        let media: Arc<dyn Media> = Arc::clone(&capped) as _;
        let name = index_name(SYSTEM_SHARD);
        let system_identity = index_identity(identity, SYSTEM_SHARD);
        let cache = CacheBudget::new(options.cache_bytes as u64);
        let system = base::create(&media, &name, system_identity, &cache, Lsn::ZERO)?;
        let log = Log::create(Arc::clone(&media), identity, &options.log)?;
        let data_files = Arc::new(DataFiles::default());
        let log = log.beside(Arc::clone(&data_files) as Arc<dyn Beside>);
        let data = Arc::new(DataFile::open(&media, data_name(SYSTEM_SHARD), system_identity)?);
        data_files.insert(SYSTEM_SHARD, Arc::clone(&data));
        let system = Arc::new(Shard::new(SYSTEM_SHARD, system, data, 0));
        let shards = BTreeMap::from([(SYSTEM_SHARD, system)]);
        Ok(Self::assemble(capped, identity, options, cache, log, shards, data_files))
    }

    fn assemble(
        capped: Arc<Capped>,
        identity: [u8; 16],
        options: StoreOptions,
        cache: Arc<CacheBudget>,
        log: Log,
        shards: BTreeMap<ShardNum, Arc<Shard>>,
        data_files: Arc<DataFiles>,
    ) -> Self {
        let volume_of = |name: &str| capped.volume_of(name, 0);
        let data_volumes =
            (0..capped.volumes() as u32).map(|target| capped.volume_of(NEW_DATA, target)).collect();
        let (meta_volume, wal_volume) = (volume_of(&index_name(SYSTEM_SHARD)), volume_of(SUPER));
        Self {
            media: Arc::clone(&capped) as _,
            meta_volume,
            wal_volume,
            data_volumes,
            has_quotas: AtomicBool::new(false),
            staged: AtomicBool::new(false),
            capped,
            identity,
            options,
            cache,
            log,
            writer: Mutex::new(Writer {
                changes: Changes::default(),
                ceiling: Epoch::ZERO,
                used: Epoch::ZERO,
                object_nums: BTreeMap::new(),
                credit: 0,
            }),
            shards: RwLock::new(shards),
            data_files,
            merging: Mutex::new(()),
            changes_made: AtomicU64::new(0),
            full: AtomicBool::new(false),
            tight: AtomicBool::new(false),
            defers: AtomicBool::new(true),
            log_is_short: AtomicBool::new(false),
            relief: Mutex::default(),
            relief_calls: AtomicU64::new(0),
            was_refused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            stopped_why: Mutex::new(None),
        }
    }

    /// Opens a store: bases first, then the log's records that they do not cover.
    pub fn open(media: Arc<dyn Media>, identity: [u8; 16], options: StoreOptions) -> Result<(Self, Opened)> {
        let capped = Arc::new(Capped::new(media)?);
        let media: Arc<dyn Media> = Arc::clone(&capped) as _;
        let names = media.list()?;
        let data_files = Arc::new(DataFiles::default());
        let cache = CacheBudget::new(options.cache_bytes as u64);
        let mut shards = BTreeMap::new();
        for num in names.iter().filter_map(|name| num_of(name, ".idx")) {
            let identity = index_identity(identity, num);
            let base = base::open(&media, &index_name(num), identity, &cache)?;
            let data = Arc::new(DataFile::open(&media, data_name(num), identity)?);
            data_files.insert(num, Arc::clone(&data));
            // Until the ceiling is known, a base may hold any epoch.
            shards.insert(num, Arc::new(Shard::new(num, base, data, u64::MAX)));
        }
        if !shards.contains_key(&SYSTEM_SHARD) {
            return Err(VosError::Corrupt { why: format!("{} is missing", index_name(SYSTEM_SHARD)) });
        }
        for num in names.iter().filter_map(|name| num_of(name, ".dat")) {
            if !shards.contains_key(&num) {
                media.remove(&data_name(num))?;
            }
        }
        let merged = Merged {
            by_all: shards.values().map(|shard| shard.covers()).min().unwrap_or_default(),
            by_any: shards.values().map(|shard| shard.covers()).max().unwrap_or_default(),
        };
        let mut opened = Opened::default();
        let mut replay = |lsn, record: &[u8]| {
            opened.records_replayed += 1;
            replay(&shards, lsn, record).map_err(|error| error.to_string())
        };
        let beside = Some(Arc::clone(&data_files) as Arc<dyn Beside>);
        let (log, _) =
            Log::open_beside(Arc::clone(&media), identity, &options.log, merged, beside, &mut replay)?;
        // What is free of the data files is found out by a census.
        for shard in shards.values() {
            shard.levels().active.forget_dropped();
        }
        let store = Self::assemble(capped, identity, options, cache, log, shards, data_files);
        store.full.store(store.log_is_full(), Ordering::Release);
        store.settle_after_open()?;
        Ok((store, opened))
    }

    /// Reads the rows that say how things stood, and removes indexes of shards that were never finished.
    fn settle_after_open(&self) -> Result<()> {
        let ceiling = match self.row(SYSTEM_SHARD, &KeyBuf::meta(ROW_CEILING)?)?.1 {
            Some(bytes) => Epoch(u64::from_le_bytes(row_of(&bytes, "the epoch ceiling")?)),
            None => Epoch::ZERO,
        };
        {
            let mut writer = self.writer.lock();
            // Which of the epochs below it were used is not known.
            (writer.ceiling, writer.used) = (ceiling, ceiling);
        }
        let mut known: Vec<ShardNum> = Vec::new();
        for (num, _, target) in self.shard_list()? {
            if let Some(shard) = self.shards.read().get(&num) {
                shard.data.set_target(target);
            }
            known.push(num);
        }
        let unknown: Vec<ShardNum> = self
            .shards
            .read()
            .keys()
            .copied()
            .filter(|num| *num != SYSTEM_SHARD && !known.contains(num))
            .collect();
        for num in unknown {
            self.remove_index(num)?;
        }
        for num in known {
            if !self.shards.read().contains_key(&num) {
                return Err(VosError::Corrupt { why: format!("{} is missing", index_name(num)) });
            }
        }
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        for shard in shards {
            shard.set_base_epoch_max(ceiling.0);
            for (name, row) in self.rows(shard.num, ROW_AGGREGATED)?.1 {
                let cont = ContNum(u32::from_be_bytes(row_of(&name, "an aggregation")?));
                shard.set_aggregated(cont, Epoch(u64::from_le_bytes(row_of(&row, "an aggregation")?)));
            }
            self.load_rollbacks(shard.num)?;
            for (name, row) in self.rows(shard.num, ROW_DTX)?.1 {
                let num = DtxNum(u32::from_be_bytes(row_of(&name, "a transaction")?));
                shard.dtx.set(num, DtxRow::decode(&row)?, self.log.last());
            }
        }
        Ok(())
    }

    /// No epoch above it was ever used; a clock must go on from here.
    pub fn epoch_ceiling(&self) -> Epoch {
        self.writer.lock().ceiling
    }
}

/// Puts one record of the log back into the memtables of the shards that lack it.
fn replay(shards: &BTreeMap<ShardNum, Arc<Shard>>, lsn: Lsn, record: &[u8]) -> Result<()> {
    for change in changes::decode(record)? {
        let OneChange { shard: num, key, value } = change?;
        // A shard that has no index any more was destroyed later.
        if let Some(shard) = shards.get(&num).filter(|shard| shard.covers() < lsn) {
            shard.levels().active.write().insert(key, value, lsn);
        }
    }
    Ok(())
}
