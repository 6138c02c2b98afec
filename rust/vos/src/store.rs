//! The store of one device: a log and any number of pool shards.
//!
//! `begin` takes the writer's lock, operations write index changes into one record, `commit` hands the record to the
//! log and inserts it; nobody waits for the device under that lock. What a caller may answer is decided by the gate:
//! [`Store::wait`] for the log position it depends on.

use crate::base;
use crate::changes::{self, Changes, OneChange, ShardNum};
use crate::collect;
use crate::dtx::{DtxId, DtxRow, Status};
use crate::entry::{self, DtxNum};
use crate::error::{Result, VosError};
use crate::key::{self, ContNum, KeyBuf};
use crate::levels::Seen;
use crate::log::{Log, LogError, LogOptions, Merged};
use crate::media::Media;
use crate::memtable::MemWrite;
use crate::read::{ObjectRef, View};
use crate::shard::Shard;
use crate::tx::{Iod, ObjectNums, Part, Punch, Writing};
use daos_types::{Cond, ContainerId, Durability, Epoch, Lsn, PoolId, TargetIdx, Version};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The shard that holds the store's own rows and the services' tables; its pool is nil.
pub const SYSTEM_SHARD: ShardNum = ShardNum(0);
/// How far the durable epoch ceiling is kept ahead of the epochs in use: one second of hybrid clock.
const CEILING_AHEAD: u64 = 16_000_000_000;
/// In a shard: up to which number objects may be numbered.
pub(crate) const ROW_OBJECT_NUMS: &[u8] = b"object_nums";
/// In a shard: the number of the next container.
const ROW_CONT_NUMS: &[u8] = b"cont_nums";
/// In a shard, with a number: an undecided transaction.
const ROW_DTX: &[u8] = b"dtx/";
/// In the system shard: no epoch above it was ever used.
const ROW_CEILING: &[u8] = b"ceiling";
/// In the system shard: the number of the next shard.
const ROW_SHARD_NUMS: &[u8] = b"shard_nums";
/// In the system shard, with a number: a shard.
const ROW_SHARD: &[u8] = b"shard/";
/// In the system shard, with a name: a row of the services.
const ROW_SERVICE: &[u8] = b"service/";
/// In a shard, with a number: a container that was destroyed and is being taken apart.
const ROW_DOOMED: &[u8] = b"doomed/";

/// Records that no base covers: what an open has to replay.
const LOG_RECORDS_MAX: u64 = 512 << 10;

/// Changes between two looks at how full the log is.
const LOG_LOOK_EVERY: u64 = 64;

/// How urgently the log wants the memtables merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogLoad {
    Light,
    /// In the background.
    Heavy,
    /// Before the next change.
    Pressing,
}

/// What a store is given at open; nothing of it is stored.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of a shard's memtable that start a merge; twice as much is the most it takes.
    pub memtable_bytes_max: usize,
    /// Entries of a shard's memtable that start a merge.
    pub memtable_count_max: usize,
    /// Bytes of a shard's page cache.
    pub cache_bytes: usize,
    /// The log's bounds.
    pub log: LogOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            memtable_bytes_max: 64 << 20,
            memtable_count_max: 256 << 10,
            cache_bytes: 256 << 20,
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
    ceiling: Epoch,
    object_nums: BTreeMap<ShardNum, ObjectNums>,
}

/// A store.
#[derive(Debug)]
pub struct Store {
    media: Arc<dyn Media>,
    identity: [u8; 16],
    options: StoreOptions,
    log: Log,
    writer: Mutex<Writer>,
    shards: RwLock<BTreeMap<ShardNum, Arc<Shard>>>,
    /// Held by whoever merges.
    merging: Mutex<()>,
    /// Memtables or log are full: writers merge before they write.
    full: AtomicBool,
    stopped: Mutex<Option<String>>,
}

fn index_name(num: ShardNum) -> String {
    format!("shard-{:08x}.idx", num.0)
}

fn index_identity(store: [u8; 16], num: ShardNum) -> [u8; 16] {
    let mut identity = store;
    for (byte, part) in identity.iter_mut().rev().zip(num.0.to_le_bytes()) {
        *byte ^= part;
    }
    identity
}

fn numbered(prefix: &[u8], num: u32) -> Result<KeyBuf> {
    KeyBuf::meta(&[prefix, &num.to_be_bytes()[..]].concat())
}

fn row_of<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| VosError::Corrupt { why: format!("the row of {what} has {} bytes", bytes.len()) })
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

impl Store {
    /// Makes an empty store on an empty device.
    pub fn create(media: Arc<dyn Media>, identity: [u8; 16], options: StoreOptions) -> Result<Self> {
        let name = index_name(SYSTEM_SHARD);
        let system_identity = index_identity(identity, SYSTEM_SHARD);
        let system = base::create(&media, &name, system_identity, options.cache_bytes, Lsn::ZERO)?;
        let log = Log::create(Arc::clone(&media), identity, &options.log)?;
        let system = Arc::new(Shard::new(SYSTEM_SHARD, system, 0));
        Ok(Self::assemble(media, identity, options, log, BTreeMap::from([(SYSTEM_SHARD, system)])))
    }

    fn assemble(
        media: Arc<dyn Media>,
        identity: [u8; 16],
        options: StoreOptions,
        log: Log,
        shards: BTreeMap<ShardNum, Arc<Shard>>,
    ) -> Self {
        Self {
            media,
            identity,
            options,
            log,
            writer: Mutex::new(Writer {
                changes: Changes::default(),
                ceiling: Epoch::ZERO,
                object_nums: BTreeMap::new(),
            }),
            shards: RwLock::new(shards),
            merging: Mutex::new(()),
            full: AtomicBool::new(false),
            stopped: Mutex::new(None),
        }
    }

    /// Opens a store: bases first, then the log's records that they do not cover.
    pub fn open(media: Arc<dyn Media>, identity: [u8; 16], options: StoreOptions) -> Result<(Self, Opened)> {
        let mut bases = BTreeMap::new();
        for name in media.list()? {
            let Some(num) = name.strip_prefix("shard-").and_then(|name| name.strip_suffix(".idx")) else {
                continue;
            };
            let Ok(num) = u32::from_str_radix(num, 16) else { continue };
            let num = ShardNum(num);
            bases.insert(num, base::open(&media, &name, index_identity(identity, num), options.cache_bytes)?);
        }
        let missing = || VosError::Corrupt { why: format!("{} is missing", index_name(SYSTEM_SHARD)) };
        let system_base = bases.remove(&SYSTEM_SHARD).ok_or_else(missing)?;
        // Until the ceiling is known, a base may hold any epoch.
        let mut shards =
            BTreeMap::from([(SYSTEM_SHARD, Arc::new(Shard::new(SYSTEM_SHARD, system_base, u64::MAX)))]);
        shards.extend(bases.into_iter().map(|(num, base)| (num, Arc::new(Shard::new(num, base, u64::MAX)))));
        let merged = Merged {
            by_all: shards.values().map(|shard| shard.covers()).min().unwrap_or_default(),
            by_any: shards.values().map(|shard| shard.covers()).max().unwrap_or_default(),
        };
        let mut opened = Opened::default();
        let mut replay = |lsn, record: &[u8]| {
            opened.records_replayed += 1;
            replay(&shards, lsn, record).map_err(|error| error.to_string())
        };
        let (log, _) = Log::open(Arc::clone(&media), identity, &options.log, merged, &mut replay)?;
        let store = Self::assemble(media, identity, options, log, shards);
        store.settle_after_open()?;
        Ok((store, opened))
    }

    /// Reads the rows that say how things stood, and removes indexes of shards that were never finished.
    fn settle_after_open(&self) -> Result<()> {
        let ceiling = match self.row(SYSTEM_SHARD, &KeyBuf::meta(ROW_CEILING)?)?.1 {
            Some(bytes) => Epoch(u64::from_le_bytes(row_of(&bytes, "the epoch ceiling")?)),
            None => Epoch::ZERO,
        };
        self.writer.lock().ceiling = ceiling;
        let known: Vec<ShardNum> = self.shard_list()?.into_iter().map(|(num, ..)| num).collect();
        let unknown: Vec<ShardNum> = self
            .shards
            .read()
            .keys()
            .copied()
            .filter(|num| *num != SYSTEM_SHARD && !known.contains(num))
            .collect();
        for num in unknown {
            self.shards.write().remove(&num);
            self.media.remove(&index_name(num))?;
        }
        for num in known {
            if !self.shards.read().contains_key(&num) {
                return Err(VosError::Corrupt { why: format!("{} is missing", index_name(num)) });
            }
        }
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        for shard in shards {
            shard.set_base_epoch_max(ceiling.0);
            for (name, row) in self.rows(shard.num, ROW_DTX)? {
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

    // Shards ---------------------------------------------------------------------------------------------------

    /// All pool shards: number, pool, target.
    pub fn shard_list(&self) -> Result<Vec<(ShardNum, PoolId, TargetIdx)>> {
        let rows = self.rows(SYSTEM_SHARD, ROW_SHARD)?;
        rows.into_iter()
            .map(|(name, row)| {
                let row: [u8; 20] = row_of(&row, "a shard")?;
                let (pool, target) = row.split_at(16);
                Ok((
                    ShardNum(u32::from_be_bytes(row_of(&name, "a shard")?)),
                    PoolId(row_of(pool, "a shard")?),
                    TargetIdx(u32::from_le_bytes(row_of(target, "a shard")?)),
                ))
            })
            .collect()
    }

    /// Makes an empty shard; durable at return.
    pub fn shard_create(&self, pool: PoolId, target: TargetIdx) -> Result<ShardNum> {
        let next = KeyBuf::meta(ROW_SHARD_NUMS)?;
        // Numbers are not used twice, not even after a failure: the number is taken before the file is made.
        let mut tx = self.begin()?;
        let num = match tx.row(SYSTEM_SHARD, &next)? {
            Some(bytes) => u32::from_le_bytes(row_of(&bytes, "the next shard")?),
            None => 1,
        };
        tx.put_row(SYSTEM_SHARD, &next, &(num + 1).to_le_bytes());
        self.wait(tx.commit()?, Durability::Synced)?;
        let num = ShardNum(num);
        // Nothing that is in the log so far concerns the new index.
        let covers = self.log.durable();
        let identity = index_identity(self.identity, num);
        let base = base::create(&self.media, &index_name(num), identity, self.options.cache_bytes, covers)?;
        let mut tx = self.begin()?;
        let shard = Arc::new(Shard::new(num, base, 0));
        self.shards.write().insert(num, shard);
        let row = [&pool.0[..], &target.0.to_le_bytes()[..]].concat();
        tx.put_row(SYSTEM_SHARD, &numbered(ROW_SHARD, num.0)?, &row);
        self.wait(tx.commit()?, Durability::Synced)?;
        Ok(num)
    }

    /// Removes a shard with all that is in it; durable at return. Views of it go on as they are.
    pub fn shard_destroy(&self, num: ShardNum) -> Result<()> {
        if num == SYSTEM_SHARD {
            return Err(VosError::Invalid { why: "the system shard stays".to_owned() });
        }
        let mut tx = self.begin()?;
        let row = numbered(ROW_SHARD, num.0)?;
        if tx.row(SYSTEM_SHARD, &row)?.is_none() {
            return Err(VosError::NotFound { what: "shard" });
        }
        tx.remove_row(SYSTEM_SHARD, &row);
        self.wait(tx.commit()?, Durability::Synced)?;
        let _merging = self.merging.lock();
        self.shards.write().remove(&num);
        self.media.remove(&index_name(num))?;
        self.media.sync_names()?;
        Ok(())
    }

    pub(crate) fn shard(&self, num: ShardNum) -> Result<Arc<Shard>> {
        self.shards.read().get(&num).cloned().ok_or(VosError::NotFound { what: "shard" })
    }

    /// A shard's state for reading.
    pub fn view(&self, num: ShardNum) -> Result<View> {
        self.check_running()?;
        let shard = self.shard(num)?;
        Ok(View { look: shard.look(), shard })
    }

    // Rows -----------------------------------------------------------------------------------------------------

    fn row(&self, num: ShardNum, key: &KeyBuf) -> Result<(Seen, Option<Vec<u8>>)> {
        let shard = self.shard(num)?;
        shard.levels().read(None, |merge| {
            let row = merge.get(key.as_slice(), <[u8]>::to_vec)?;
            Ok((merge.seen(), row))
        })
    }

    /// The rows whose names begin with `prefix`: the rest of the name, and the row.
    fn rows(&self, num: ShardNum, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let key = KeyBuf::meta(prefix)?;
        let prefix = key.as_slice();
        let shard = self.shard(num)?;
        shard.levels().read(None, |merge| {
            let mut rows = Vec::new();
            let mut on = merge.seek(prefix)?;
            while on && merge.key().starts_with(prefix) {
                rows.push((merge.key()[prefix.len()..].to_vec(), merge.value().to_vec()));
                on = merge.step()?;
            }
            Ok(rows)
        })
    }

    /// A row of the services' tables.
    pub fn service_row(&self, name: &[u8]) -> Result<(Seen, Option<Vec<u8>>)> {
        self.check_running()?;
        self.row(SYSTEM_SHARD, &KeyBuf::meta(&[ROW_SERVICE, name].concat())?)
    }

    /// The services' rows whose names begin with `prefix`: the rest of the name, and the row.
    pub fn service_rows(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.check_running()?;
        self.rows(SYSTEM_SHARD, &[ROW_SERVICE, prefix].concat())
    }

    /// The number of a container in a shard; `None` where it has none.
    pub fn cont_num(&self, num: ShardNum, cont: ContainerId) -> Result<Option<ContNum>> {
        let row = self.row(num, &KeyBuf::container(&cont.0))?.1;
        row.map(|bytes| Ok(ContNum(u32::from_le_bytes(row_of(&bytes, "a container")?)))).transpose()
    }

    // Changes --------------------------------------------------------------------------------------------------

    /// Begins a transaction: its operations apply all or none when it commits. Other writers wait meanwhile.
    ///
    /// Where memtables are full it first merges them.
    pub fn begin(&self) -> Result<Tx<'_>> {
        while self.full.load(Ordering::Acquire) || self.log_is_full() {
            if !self.merge_step()? {
                break;
            }
        }
        self.begin_now()
    }

    fn begin_now(&self) -> Result<Tx<'_>> {
        self.check_running()?;
        let mut writer = self.writer.lock();
        writer.changes.clear();
        Ok(Tx {
            store: self,
            writer,
            parts: Vec::new(),
            dtx: None,
            operations: 0,
            overlaid: 0,
            seen: Seen::default(),
            epoch_max: Epoch::ZERO,
        })
    }

    /// Begins this store's part of a transaction that is decided elsewhere: it ends with [`Tx::prepare`].
    pub fn begin_dtx(&self, id: DtxId) -> Result<Tx<'_>> {
        Ok(Tx { dtx: Some(id), ..self.begin()? })
    }

    /// Makes a prepared transaction count. Answers the log position of the decision; `NotFound` where no shard knows
    /// the transaction: it was decided, and forgotten, before, or never prepared.
    pub fn dtx_commit(&self, id: DtxId) -> Result<Lsn> {
        self.decide(id, Status::Committed)
    }

    /// Takes a prepared transaction back.
    pub fn dtx_abort(&self, id: DtxId) -> Result<Lsn> {
        self.decide(id, Status::Aborted)
    }

    /// The transactions of a shard that wait for their decision.
    pub fn dtx_prepared(&self, num: ShardNum) -> Result<Vec<DtxId>> {
        Ok(self.shard(num)?.dtx.prepared())
    }

    fn decide(&self, id: DtxId, status: Status) -> Result<Lsn> {
        let mut tx = self.begin()?;
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        let mut decided = Vec::new();
        for shard in shards {
            let Some((num, mut row)) = shard.dtx.find(&id) else { continue };
            if row.status == status {
                continue;
            }
            if row.status != Status::Prepared {
                return Err(VosError::Invalid {
                    why: "the transaction was decided the other way".to_owned(),
                });
            }
            row.status = status;
            let key = numbered(ROW_DTX, num.0)?;
            tx.writer.changes.put(shard.num, key.as_slice(), |out| row.encode(out));
            for key in &row.keys {
                // What a merge took away still carries the number; the rest is rewritten when it is merged.
                if shard.active_has(key) {
                    continue;
                }
                let value = shard.levels().read(None, |merge| merge.get(key, <[u8]>::to_vec))?;
                let Some(value) = value else { continue };
                if status == Status::Aborted {
                    tx.writer.changes.remove(shard.num, key);
                } else {
                    let mut committed = Vec::new();
                    entry::as_committed(&value, &mut committed);
                    tx.writer.changes.put(shard.num, key, |out| out.extend_from_slice(&committed));
                }
            }
            decided.push((shard, num, row));
        }
        if decided.is_empty() {
            return Err(VosError::NotFound { what: "transaction" });
        }
        tx.finish(|lsn| {
            for (shard, num, row) in decided {
                shard.dtx.set(num, row, lsn);
            }
        })
    }

    /// Drops the rows of transactions that no entry names any more.
    fn forget_settled(&self, shard: &Shard) -> Result<()> {
        let settled = shard.dtx.settled(shard.covers());
        if settled.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin_now()?;
        for num in &settled {
            tx.remove_row(shard.num, &numbered(ROW_DTX, num.0)?);
        }
        tx.finish(|_| settled.iter().for_each(|num| shard.dtx.forget(*num)))?;
        Ok(())
    }

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

    /// Makes everything written so far survive a power cut.
    pub fn sync(&self) -> Result<()> {
        self.wait(self.log.last(), Durability::Synced)
    }

    /// Syncs what was acknowledged with [`Durability::Interval`]; to be called at least each second.
    pub fn sync_due(&self) -> Result<()> {
        self.log.sync_due().map_err(|error| self.note(error.into()))
    }

    fn check_running(&self) -> Result<()> {
        match &*self.stopped.lock() {
            None => Ok(()),
            Some(why) => Err(VosError::Stopped { why: why.clone() }),
        }
    }

    /// After an unknown outcome nothing more is answered.
    fn note(&self, error: VosError) -> VosError {
        if matches!(error, VosError::Uncertain { .. } | VosError::Stopped { .. }) {
            self.stopped.lock().get_or_insert_with(|| error.to_string());
        }
        error
    }

    // Merging --------------------------------------------------------------------------------------------------

    /// What is left of the log is kept for those who have begun.
    fn log_is_full(&self) -> bool {
        let pressure = self.log.pressure();
        pressure.bytes > pressure.bytes_max / 4 * 3
    }

    fn log_load(&self) -> LogLoad {
        let pressure = self.log.pressure();
        let covered = self.shards.read().values().map(|shard| shard.covers()).min().unwrap_or_default();
        let records = self.log.last().0.saturating_sub(covered.0);
        if self.log_is_full() || records > LOG_RECORDS_MAX {
            LogLoad::Pressing
        } else if pressure.bytes > pressure.bytes_max / 2 || records > LOG_RECORDS_MAX / 4 * 3 {
            LogLoad::Heavy
        } else {
            LogLoad::Light
        }
    }

    /// Whether [`Store::merge_step`] would find work.
    pub fn merge_wanted(&self) -> bool {
        let full = |shard: &Arc<Shard>| {
            let (bytes, count) = shard.active_load();
            shard.is_frozen()
                || bytes >= self.options.memtable_bytes_max
                || count >= self.options.memtable_count_max
        };
        self.log_load() != LogLoad::Light || self.shards.read().values().any(full)
    }

    /// Background work: readies log segments, brings one full memtable into its base, recycles the log. True where there
    /// may be more to do.
    pub fn merge_step(&self) -> Result<bool> {
        let _merging = self.merging.lock();
        let result = self.merge_one();
        result.map_err(|error| self.note(error))
    }

    fn merge_one(&self) -> Result<bool> {
        self.log.prepare()?;
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        let pressed = self.log_load() != LogLoad::Light;
        let mut chosen = shards.iter().find(|shard| shard.is_frozen()).cloned();
        if chosen.is_none() {
            let writer = self.writer.lock();
            let last = self.log.last();
            chosen = shards
                .iter()
                .filter(|shard| {
                    let (bytes, count) = shard.active_load();
                    bytes >= self.options.memtable_bytes_max
                        || count >= self.options.memtable_count_max
                        || (pressed && shard.log_needed_after() < last)
                })
                .find(|shard| shard.freeze(last))
                .cloned();
            drop(writer);
        }
        let Some(shard) = chosen else {
            self.full.store(false, Ordering::Release);
            return Ok(false);
        };
        self.merge_frozen(&shard)?;
        self.forget_settled(&shard)?;
        self.full.store(false, Ordering::Release);
        self.recycle(&shards)?;
        Ok(self.merge_wanted())
    }

    /// Lets the log go that no index needs, not even the state it would fall back to.
    fn recycle(&self, shards: &[Arc<Shard>]) -> Result<()> {
        let needed_after = shards.iter().map(|shard| shard.log_needed_after()).min().unwrap_or_default();
        Ok(self.log.recycle(needed_after)?)
    }

    fn merge_frozen(&self, shard: &Shard) -> Result<()> {
        let Some(needs) = shard.merge_needs() else { return Ok(()) };
        // The base must never be ahead of what the log is sure to keep.
        self.wait(needs, Durability::Synced)?;
        shard.merge()
    }

    /// Brings everything into the bases: what a clean close does, so that the next open has nothing to replay.
    pub fn merge_all(&self) -> Result<()> {
        let _merging = self.merging.lock();
        let run = || -> Result<()> {
            let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
            for shard in &shards {
                self.merge_frozen(shard)?;
                let writer = self.writer.lock();
                let frozen = shard.freeze(self.log.last());
                drop(writer);
                if frozen {
                    self.merge_frozen(shard)?;
                }
            }
            self.recycle(&shards)
        };
        run().map_err(|error| self.note(error))
    }

    /// Background work: removes up to `budget` index entries of destroyed containers. True where there is more to do.
    pub fn collect_step(&self, budget: usize) -> Result<bool> {
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        for shard in shards {
            let Some((name, _)) = self.rows(shard.num, ROW_DOOMED)?.into_iter().next() else { continue };
            let cont = ContNum(u32::from_be_bytes(row_of(&name, "a destroyed container")?));
            let mut tx = self.begin()?;
            let mut keys = shard.levels().read(None, |merge| collect::doomed(merge, cont, budget))?;
            if keys.is_empty() {
                keys.push(numbered(ROW_DOOMED, cont.0)?.as_slice().to_vec());
            }
            for key in &keys {
                tx.writer.changes.remove(shard.num, key);
            }
            tx.finish(|_| ())?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Brings everything into the bases and notes in the log that it is at rest. The store can still be used afterwards;
    /// dropping it without this loses nothing that was acknowledged.
    pub fn close(&self) -> Result<()> {
        self.merge_all()?;
        self.log.close().map_err(|error| self.note(error.into()))
    }

    /// Bytes and entries of all memtables.
    pub fn memtable_load(&self) -> (usize, usize) {
        let shards = self.shards.read();
        shards
            .values()
            .map(|shard| shard.active_load())
            .fold((0, 0), |sum, load| (sum.0 + load.0, sum.1 + load.1))
    }
}

/// A transaction at work. Dropped without [`Tx::commit`] it never happened.
pub struct Tx<'s> {
    store: &'s Store,
    writer: MutexGuard<'s, Writer>,
    parts: Vec<Part>,
    dtx: Option<DtxId>,
    operations: u32,
    /// Up to here the record's changes are visible to the next operation.
    overlaid: usize,
    seen: Seen,
    epoch_max: Epoch,
}

impl Tx<'_> {
    /// The highest log position that the operations' outcomes depend on, failed ones included.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// The part of a shard; its index in `parts`.
    fn part(&mut self, num: ShardNum) -> Result<usize> {
        if let Some(at) = self.parts.iter().position(|part| part.shard.num == num) {
            return Ok(at);
        }
        let shard = self.store.shard(num)?;
        let nums = if let Some(nums) = self.writer.object_nums.get(&num) {
            *nums
        } else {
            let end = match self.store.row(num, &KeyBuf::meta(ROW_OBJECT_NUMS)?)?.1 {
                Some(bytes) => u64::from_le_bytes(row_of(&bytes, "object numbers")?),
                None => 0,
            };
            ObjectNums { next: end, end }
        };
        self.parts.push(Part::new(shard, nums));
        Ok(self.parts.len() - 1)
    }

    /// Runs one operation; where it fails, it alone has not happened.
    fn operate(
        &mut self,
        num: ShardNum,
        of: ObjectRef,
        version: Version,
        operation: impl FnOnce(&mut Writing<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let at = self.part(num)?;
        let dtx = self.dtx.map_or(DtxNum::COMMITTED, |_| self.parts[at].shard.dtx.free_num());
        if self.operations > 0 {
            let done = self.writer.changes.since(self.overlaid);
            for part in &mut self.parts {
                part.overlay(done.clone())?;
            }
        }
        self.operations += 1;
        let mark = self.writer.changes.mark();
        self.overlaid = mark;
        let part = &mut self.parts[at];
        let nums = part.nums;
        let (seen, result) = part.run(of, version, dtx, &mut self.writer.changes, operation);
        self.seen.add(seen.0);
        if result.is_err() {
            self.parts[at].nums = nums;
            self.writer.changes.truncate(mark);
        } else {
            self.epoch_max = self.epoch_max.max(version.epoch);
        }
        result
    }

    /// Puts new values under akeys of one dkey.
    pub fn update(
        &mut self,
        shard: ShardNum,
        of: ObjectRef,
        version: Version,
        dkey: &[u8],
        iods: &[Iod<'_>],
        cond: Cond,
    ) -> Result<()> {
        self.operate(shard, of, version, |writing| writing.update(dkey, iods, cond))
    }

    /// Hides an object, a dkey or akeys from a version on.
    pub fn punch(
        &mut self,
        shard: ShardNum,
        of: ObjectRef,
        version: Version,
        what: Punch<'_>,
        cond: Cond,
    ) -> Result<()> {
        self.operate(shard, of, version, |writing| writing.punch(what, cond))
    }

    /// A container's number in a shard, given to it now if it has none.
    pub fn cont_open(&mut self, num: ShardNum, cont: ContainerId) -> Result<ContNum> {
        let key = KeyBuf::container(&cont.0);
        if let Some(bytes) = self.row(num, &key)? {
            return Ok(ContNum(u32::from_le_bytes(row_of(&bytes, "a container")?)));
        }
        let next = KeyBuf::meta(ROW_CONT_NUMS)?;
        let given = match self.row(num, &next)? {
            Some(bytes) => u32::from_le_bytes(row_of(&bytes, "the next container")?),
            None => 1,
        };
        self.put_row(num, &next, &(given + 1).to_le_bytes());
        self.put_row(num, &key, &given.to_le_bytes());
        Ok(ContNum(given))
    }

    /// Takes a container out of a shard; what it held is removed in the background by [`Store::collect_step`].
    pub fn cont_destroy(&mut self, num: ShardNum, cont: ContainerId) -> Result<()> {
        let key = KeyBuf::container(&cont.0);
        let Some(row) = self.row(num, &key)? else { return Ok(()) };
        let given = u32::from_le_bytes(row_of(&row, "a container")?);
        self.remove_row(num, &key);
        self.put_row(num, &numbered(ROW_DOOMED, given)?, &[]);
        Ok(())
    }

    /// Writes a row of the services' tables, or removes it.
    pub fn set_service_row(&mut self, name: &[u8], row: Option<&[u8]>) -> Result<()> {
        let key = KeyBuf::meta(&[ROW_SERVICE, name].concat())?;
        match row {
            Some(row) => self.put_row(SYSTEM_SHARD, &key, row),
            None => self.remove_row(SYSTEM_SHARD, &key),
        }
        Ok(())
    }

    /// A row as this transaction sees it.
    fn row(&self, num: ShardNum, key: &KeyBuf) -> Result<Option<Vec<u8>>> {
        let mut own = None;
        for change in self.writer.changes.since(changes::HEAD_LEN) {
            let change = change?;
            if change.shard == num && change.key == key.as_slice() {
                own = Some(change.value.map(<[u8]>::to_vec));
            }
        }
        match own {
            Some(row) => Ok(row),
            None => Ok(self.store.row(num, key)?.1),
        }
    }

    fn put_row(&mut self, num: ShardNum, key: &KeyBuf, row: &[u8]) {
        self.writer.changes.put(num, key.as_slice(), |out| out.extend_from_slice(row));
    }

    fn remove_row(&mut self, num: ShardNum, key: &KeyBuf) {
        self.writer.changes.remove(num, key.as_slice());
    }

    /// Logs and applies everything. Answers the log position that a reply has to wait for; nothing is durable yet.
    ///
    /// An error means that nothing happened, except [`VosError::Uncertain`].
    pub fn commit(self) -> Result<Lsn> {
        if self.dtx.is_some() {
            return Err(VosError::Invalid {
                why: "a transaction that is decided elsewhere is prepared".to_owned(),
            });
        }
        self.finish(|_| ())
    }

    /// Logs everything as the part of a transaction that is decided later: until then readers who would depend on it are
    /// told so.
    pub fn prepare(mut self) -> Result<Lsn> {
        let Some(id) = self.dtx else {
            return Err(VosError::Invalid {
                why: "not begun as a transaction that is decided elsewhere".to_owned(),
            });
        };
        let shards: Vec<Arc<Shard>> = self.parts.iter().map(|part| Arc::clone(&part.shard)).collect();
        let mut rows = Vec::new();
        for shard in shards {
            let num = shard.dtx.free_num();
            let mut keys = Vec::new();
            for change in self.writer.changes.since(changes::HEAD_LEN) {
                let change = change?;
                if change.shard == shard.num && key::is_version(change.key) {
                    keys.push(Box::from(change.key));
                }
            }
            let row = DtxRow { id, status: Status::Prepared, keys };
            let key = numbered(ROW_DTX, num.0)?;
            self.writer.changes.put(shard.num, key.as_slice(), |out| row.encode(out));
            rows.push((shard, num, row));
        }
        // Before its entries can be seen, their number must mean something.
        for (shard, num, row) in &rows {
            shard.dtx.set(*num, row.clone(), Lsn::ZERO);
        }
        let prepared = self.finish(|_| ());
        if prepared.is_err() {
            for (shard, num, _) in &rows {
                shard.dtx.forget(*num);
            }
        }
        prepared
    }

    /// Queues the record. Readers do not need the writer's lock, so the log may be relieved under it.
    fn submit(&self) -> std::result::Result<Lsn, LogError> {
        let record = [self.writer.changes.as_slice()];
        match self.store.log.submit(&record) {
            Err(LogError::Busy) => {
                self.store.log.relieve()?;
                self.store.log.submit(&record)
            }
            other => other,
        }
    }

    fn finish(mut self, inserted: impl FnOnce(Lsn)) -> Result<Lsn> {
        if self.writer.changes.is_empty() {
            return Ok(self.seen.0);
        }
        let ceiling = (self.epoch_max > self.writer.ceiling)
            .then(|| Epoch(self.epoch_max.0.saturating_add(CEILING_AHEAD)));
        if let Some(ceiling) = ceiling {
            self.put_row(SYSTEM_SHARD, &KeyBuf::meta(ROW_CEILING)?, &ceiling.0.to_le_bytes());
        }
        let lsn = self.submit().map_err(|error| self.store.note(error.into()))?;
        if let Some(ceiling) = ceiling {
            self.writer.ceiling = ceiling;
        }
        for part in &self.parts {
            self.writer.object_nums.insert(part.shard.num, part.nums);
        }
        self.store.insert(&self.writer.changes, lsn)?;
        inserted(lsn);
        if lsn.0.is_multiple_of(LOG_LOOK_EVERY) && self.store.log_load() == LogLoad::Pressing {
            self.store.full.store(true, Ordering::Release);
        }
        Ok(lsn)
    }
}

impl Store {
    /// Inserts a record's changes: a reader of a shard sees all of them or none.
    fn insert(&self, record: &Changes, lsn: Lsn) -> Result<()> {
        let shards = self.shards.read();
        let mut nums: Vec<ShardNum> = Vec::new();
        for change in record.since(changes::HEAD_LEN) {
            let num = change?.shard;
            if !nums.contains(&num) {
                nums.push(num);
            }
        }
        // All are held before the first insertion, in one order, so that no reader sees half a transaction.
        nums.sort_unstable();
        let levels: Vec<(ShardNum, &Arc<Shard>, _)> = nums
            .iter()
            .filter_map(|num| shards.get(num).map(|shard| (*num, shard, shard.levels())))
            .collect();
        let mut held: Vec<(ShardNum, &Arc<Shard>, MemWrite<'_>)> =
            levels.iter().map(|(num, shard, levels)| (*num, *shard, levels.active.write())).collect();
        for change in record.since(changes::HEAD_LEN) {
            let OneChange { shard: num, key, value } = change?;
            if let Some((_, shard, mem)) = held.iter_mut().find(|(held, ..)| *held == num) {
                mem.insert(key, value, lsn);
                shard.forget_object(key);
            }
        }
        drop(held);
        for (_, shard, _) in &levels {
            let (bytes, count) = shard.active_load();
            if (bytes >= self.options.memtable_bytes_max || count >= self.options.memtable_count_max)
                && (!shard.freeze(lsn))
                && (bytes >= 2 * self.options.memtable_bytes_max
                    || count >= 2 * self.options.memtable_count_max)
            {
                self.full.store(true, Ordering::Release);
            }
        }
        Ok(())
    }
}
