//! Background work: memtables into bases, the log let go, destroyed containers taken apart.

use super::rows::{ROW_DOOMED, numbered, row_of};
use super::{Store, Tx};
use crate::changes::ShardNum;
use crate::collect;
use crate::error::{Result, VosError};
use crate::key::ContNum;
use crate::log::{LogError, Pressure};
use crate::shard::Shard;
use daos_types::{Durability, Lsn};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Records that no base covers: what an open has to replay.
const LOG_RECORDS_MAX: u64 = 512 << 10;

/// Changes between two looks at how full the log is.
pub(super) const LOG_LOOK_EVERY: u64 = 64;

/// A record of so many bytes is worth a look by itself.
pub(super) const LOG_LOOK_BYTES: usize = 64 << 10;

/// How urgently the log wants the memtables merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLoad {
    Light,
    /// In the background.
    Heavy,
    /// Before the next change.
    Pressing,
}

fn is_full(pressure: &Pressure) -> bool {
    pressure.bytes > pressure.bytes_max / 4 * 3
}

impl Store {
    /// What is left of the log is kept for those who have begun.
    pub(super) fn log_is_full(&self) -> bool {
        is_full(&self.log.pressure())
    }

    pub(super) fn log_load(&self) -> LogLoad {
        let pressure = self.log.pressure();
        let covered = self.shards.read().values().map(|shard| shard.covers()).min().unwrap_or_default();
        let records = self.log.last().0.saturating_sub(covered.0);
        if is_full(&pressure) || records > LOG_RECORDS_MAX {
            LogLoad::Pressing
        } else if pressure.bytes > pressure.bytes_max / 2 || records > LOG_RECORDS_MAX / 4 * 3 {
            LogLoad::Heavy
        } else {
            LogLoad::Light
        }
    }

    /// Whether [`Store::merge_step`] would find work.
    pub fn merge_wanted(&self) -> bool {
        let wanted = |shard: &Arc<Shard>| shard.is_frozen() || shard.is_due(&self.options);
        self.log_load() != LogLoad::Light || self.shards.read().values().any(wanted)
    }

    /// Background work: readies log segments, brings one full memtable into its base, recycles the log. True where there
    /// may be more to do.
    pub fn merge_step(&self) -> Result<bool> {
        let _merging = self.merging.lock();
        let result = self.merge_one();
        result.map_err(|error| self.note(error))
    }

    fn merge_one(&self) -> Result<bool> {
        match self.log.prepare() {
            // A merge gives room back in the log that there is.
            Err(LogError::NoSpace(_)) => {}
            prepared => drop(prepared?),
        }
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        let pressed = self.log_load() != LogLoad::Light;
        let usable = |shard: &&Arc<Shard>| shard.check_writable().is_ok();
        let mut chosen = shards.iter().filter(usable).find(|shard| shard.is_frozen()).cloned();
        if chosen.is_none() {
            let writer = self.writer.lock();
            let last = self.log.last();
            chosen = shards
                .iter()
                .filter(usable)
                .filter(|shard| shard.is_due(&self.options) || (pressed && shard.log_needed_after() < last))
                .find(|shard| shard.freeze(last))
                .cloned();
            drop(writer);
        }
        let Some(shard) = chosen else {
            self.full.store(false, Ordering::Release);
            return Ok(false);
        };
        self.merge_frozen(&shard)?;
        self.recycle()?;
        // Writers go on once what is left of the log suffices.
        self.full.store(self.log_is_full(), Ordering::Release);
        Ok(self.merge_wanted())
    }

    /// Lets the log go that no index needs, not even the state it would fall back to.
    fn recycle(&self) -> Result<()> {
        Ok(self.log.recycle(self.log_needed_after())?)
    }

    fn merge_frozen(&self, shard: &Shard) -> Result<()> {
        let Some(needs) = shard.merge_needs() else { return Ok(()) };
        // The base must never be ahead of what the log is sure to keep.
        self.wait(needs, Durability::Synced)?;
        if let Err(error) = shard.merge() {
            // A full device may have room later; anything else ends the changes of this shard, not those of others.
            if matches!(error, VosError::NoSpace { .. }) {
                return Err(error);
            }
            shard.fail(&error);
            return Err(VosError::Io { why: error.to_string() });
        }
        self.forget_settled(shard)?;
        shard.reuse_freed()
    }

    /// Background work: finds out which blocks of the data files are free, before somebody has to wait for it. True where there
    /// is more to do.
    pub fn census_step(&self) -> Result<bool> {
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        for shard in shards.iter().filter(|shard| shard.data.is_there() && shard.check_writable().is_ok()) {
            if shard.census_step()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Background work: makes data files longer where that makes durable changes faster.
    pub fn lengthen(&self) -> Result<()> {
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        let lengthened = shards.iter().try_for_each(|shard| shard.data.lengthen().map(drop));
        lengthened.map_err(|error| self.note(error))
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
            self.recycle()
        };
        run().map_err(|error| self.note(error))
    }

    /// Background work: removes up to `budget` index entries of destroyed containers. True where there is more to do.
    pub fn collect_step(&self, budget: usize) -> Result<bool> {
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        for shard in shards {
            let Some((name, _)) = self.rows(shard.num, ROW_DOOMED)?.1.into_iter().next() else { continue };
            let cont = ContNum(u32::from_be_bytes(row_of(&name, "a destroyed container")?));
            let mut keys = shard.levels().read(None, |merge| collect::doomed(merge, cont, budget))?;
            if keys.is_empty() {
                keys.push(numbered(ROW_DOOMED, cont.0)?.as_slice().to_vec());
            }
            // Nobody writes to a destroyed container any more: what was found is still there.
            self.remove_all(shard.num, &keys, budget)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Brings everything into the bases and notes in the log that it is at rest. The store can still be used afterwards;
    /// dropping it without this loses nothing that was acknowledged.
    pub fn close(&self) -> Result<()> {
        match self.begin().and_then(Tx::lower_ceiling) {
            // It takes room that may not be there, and can be done without.
            Ok(_) | Err(VosError::NoSpace { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.merge_all() {
            // The log has it all.
            Err(VosError::NoSpace { .. }) => {
                return self.log.close().map_err(|error| self.note(error.into()));
            }
            merged => merged?,
        }
        let log_waits = self.log.is_large();
        for shard in self.shards.read().values().filter(|shard| shard.check_writable().is_ok()) {
            match shard.rest(log_waits) {
                // It keeps what it has.
                Ok(()) | Err(VosError::NoSpace { .. }) => {}
                Err(error) => {
                    shard.fail(&error);
                    return Err(self.note(error));
                }
            }
        }
        if log_waits {
            match self.log.shrink(self.log_needed_after()) {
                // It takes room that may not be there; then less is given back.
                Ok(()) | Err(LogError::NoSpace(_)) => {}
                Err(error) => return Err(self.note(error.into())),
            }
        }
        self.log.close().map_err(|error| self.note(error.into()))
    }

    /// All indexes can do without the records up to here, in either of their states.
    fn log_needed_after(&self) -> Lsn {
        self.shards.read().values().map(|shard| shard.log_needed_after()).min().unwrap_or_default()
    }

    /// Bytes of a shard's data file up to its last used block, and how many of them are known to be free.
    pub fn data_usage(&self, num: ShardNum) -> Result<(u64, u64)> {
        Ok(self.shard(num)?.data.usage())
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
