//! Changing a store: operations into one record, and the record into log and memtables.

use super::merge::{LOG_LOOK_BYTES, LOG_LOOK_EVERY, LogLoad};
use super::rows::{ROW_CEILING, ROW_OBJECT_NUMS, row_of};
use super::{SYSTEM_SHARD, Store, Writer};
use crate::changes::{self, Changes, OneChange, ShardNum};
use crate::dtx::DtxId;
use crate::entry::DtxNum;
use crate::error::{Result, VosError};
use crate::index;
use crate::key::KeyBuf;
use crate::levels::{Levels, Seen};
use crate::log::LogError;
use crate::memtable::MemWrite;
use crate::read::{ObjectRef, View};
use crate::shard::Shard;
use crate::space::Purpose;
use crate::stage::Staged;
use crate::tx::{ObjectNums, Part, Writing};
use daos_locks::MutexGuard;
use daos_types::{Cond, Epoch, Iod, Lsn, Pair, Punched, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How far the durable epoch ceiling is kept ahead of the epochs in use: one second of hybrid clock.
const CEILING_AHEAD: u64 = 16_000_000_000;

/// Objects that a transaction takes note of having changed; in one of more, each operation looks at all that was done.
const TOUCHED_MAX: usize = 16;

/// A transaction at work. Dropped without [`Tx::commit`] it never happened.
pub struct Tx<'s> {
    pub(super) store: &'s Store,
    pub(super) writer: MutexGuard<'s, Writer>,
    pub(super) parts: Vec<Part>,
    pub(super) dtx: Option<DtxId>,
    operations: u32,
    /// The objects that these were about, or the first of them.
    touched: Vec<(ShardNum, ObjectRef)>,
    is_newest: bool,
    /// Up to here the record's changes are visible to the next operation.
    overlaid: usize,
    seen: Seen,
    epoch_max: Epoch,
    pub(super) purpose: Purpose,
}

impl Store {
    /// Begins a transaction: its operations apply all or none when it commits. Other writers wait meanwhile.
    ///
    /// Where memtables are full it first merges them.
    pub fn begin(&self) -> Result<Tx<'_>> {
        while self.full.load(Ordering::Acquire) {
            match self.merge_step() {
                Ok(true) => {}
                // Whose shard failed is told when it is changed.
                Ok(false) | Err(VosError::Io { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        self.loosen()?;
        self.begin_now()
    }

    pub(super) fn begin_now(&self) -> Result<Tx<'_>> {
        self.check_running()?;
        let mut writer = self.writer.lock();
        writer.changes.clear();
        Ok(Tx {
            store: self,
            writer,
            parts: Vec::new(),
            dtx: None,
            operations: 0,
            touched: Vec::new(),
            is_newest: false,
            overlaid: 0,
            seen: Seen::default(),
            epoch_max: Epoch::ZERO,
            purpose: Purpose::default(),
        })
    }

    /// Inserts a record's changes: a reader of a shard sees all of them or none.
    fn insert(&self, record: &Changes, lsn: Lsn) -> Result<()> {
        let shards = self.shards.read();
        if let Some(num) = record.only_shard() {
            let Some(shard) = shards.get(&num) else { return Ok(()) };
            let levels = shard.levels();
            let mut mem = levels.active.write();
            let mut count = 0;
            for change in record.since(changes::HEAD_LEN) {
                let OneChange { key, value, .. } = change?;
                mem.insert(key, value, lsn);
                shard.note_change(key, value)?;
                count += 1;
            }
            drop(mem);
            self.changes_made.fetch_add(count, Ordering::Relaxed);
            self.look_at_load(shard, &levels, lsn);
            return Ok(());
        }
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
                shard.note_change(key, value)?;
                self.changes_made.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(held);
        for (_, shard, levels) in &levels {
            self.look_at_load(shard, levels, lsn);
        }
        Ok(())
    }

    /// Sets a full memtable aside; where one waits already and this is twice full, writers have to help.
    fn look_at_load(&self, shard: &Shard, levels: &Levels, lsn: Lsn) {
        let active = &levels.active;
        if active.is_due(&self.options) && !shard.freeze(lsn) && active.is_full(&self.options, 2) {
            self.full.store(true, Ordering::Release);
        }
    }
}

/// A record that is queued, and whose changes have not all arrived. Dropped so, by an error or a panic, it stops
/// the store: readers would miss what the log will bring back.
struct Queued<'s>(&'s Store);

impl Queued<'_> {
    fn applied(self) {
        std::mem::forget(self);
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.stop("a change was logged and not applied".to_owned());
    }
}

impl Tx<'_> {
    /// The highest log position that the operations' outcomes depend on, failed ones included.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Takes note of an epoch that is used beside those of the operations: no epoch after a restart is before it.
    pub fn note_epoch(&mut self, epoch: Epoch) {
        self.epoch_max = self.epoch_max.max(epoch);
    }

    /// The part of a shard; its index in `parts`.
    fn part(&mut self, num: ShardNum) -> Result<usize> {
        if let Some(at) = self.parts.iter().position(|part| part.shard.num == num) {
            return Ok(at);
        }
        let shard = self.store.shard(num)?;
        shard.check_writable()?;
        let nums = if let Some(nums) = self.writer.object_nums.get(&num) {
            *nums
        } else {
            let end = match self.store.row(num, &KeyBuf::meta(ROW_OBJECT_NUMS)?)?.1 {
                Some(bytes) => u64::from_le_bytes(row_of(&bytes, "object numbers")?),
                None => 0,
            };
            ObjectNums { next: end, end }
        };
        let mut part = Part::new(shard, nums);
        part.is_newest = self.is_newest;
        self.parts.push(part);
        Ok(self.parts.len() - 1)
    }

    /// Makes what was done so far visible to what comes next.
    fn overlay_done(&mut self) -> Result<()> {
        if self.operations > 0 {
            let done = self.writer.changes.since(self.overlaid);
            for part in &mut self.parts {
                part.overlay(done.clone())?;
            }
        }
        self.overlaid = self.writer.changes.mark();
        Ok(())
    }

    /// Says that its operations carry versions newer than all that is stored: they need not look for what is newer. To be called
    /// before the first.
    pub fn assume_newest(&mut self) {
        self.is_newest = true;
    }

    /// Whether a shard may hold anything newer than an epoch.
    pub fn may_be_newer(&mut self, shard: ShardNum, than: Epoch) -> Result<bool> {
        let at = self.part(shard)?;
        Ok(self.parts[at].may_be_newer(than))
    }

    /// A shard's state for reading, with what was done so far.
    pub fn view(&mut self, shard: ShardNum) -> Result<View> {
        let at = self.part(shard)?;
        self.overlay_done()?;
        Ok(self.parts[at].view())
    }

    /// Makes the outcome depend on what was read.
    pub fn depend_on(&mut self, seen: Seen) {
        self.seen.add(seen.0);
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
        if !self.parts[at].shard.takes(of.cont, version.epoch) {
            return Err(VosError::Aggregated);
        }
        let dtx = self.dtx.map_or(DtxNum::COMMITTED, |_| self.parts[at].shard.dtx.free_num());
        // What was done to other objects it does not look at.
        let is_first = self.touched.len() < TOUCHED_MAX && !self.touched.contains(&(num, of));
        if is_first {
            self.touched.push((num, of));
        }
        if !is_first || self.operations == 0 {
            self.overlay_done()?;
        }
        self.operations += 1;
        let mark = self.writer.changes.mark();
        let part = &mut self.parts[at];
        let nums = part.nums;
        let (seen, result) = part.run(of, version, dtx, &mut self.writer.changes, !is_first, operation);
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
        self.is_for(Purpose::Store);
        self.operate(shard, of, version, |writing| writing.update(dkey, iods, cond, None))
    }

    /// Puts values of several keys of a flat key-value object, at most 65535 less the version's minor, whose minors count up from that
    /// of the version: of a key that comes twice the later value stays. All or none.
    pub fn update_batch(
        &mut self,
        shard: ShardNum,
        of: ObjectRef,
        version: Version,
        pairs: &[Pair<'_>],
    ) -> Result<()> {
        self.is_for(Purpose::Store);
        self.operate(shard, of, version, |writing| writing.update_batch(pairs))
    }

    /// As [`Tx::update`], where what is large was staged by [`Store::stage`] for the same iods. The caller keeps `staged` unless this
    /// or the commit fails before anything was logged.
    #[allow(clippy::too_many_arguments)] // the words of an update
    pub fn update_staged(
        &mut self,
        shard: ShardNum,
        of: ObjectRef,
        version: Version,
        dkey: &[u8],
        iods: &[Iod<'_>],
        cond: Cond,
        staged: Option<&Staged>,
    ) -> Result<()> {
        self.is_for(Purpose::Store);
        self.operate(shard, of, version, |writing| writing.update(dkey, iods, cond, staged))
    }

    /// Hides an object, a dkey or akeys from a version on.
    pub fn punch(
        &mut self,
        shard: ShardNum,
        of: ObjectRef,
        version: Version,
        what: Punched<'_>,
        cond: Cond,
    ) -> Result<()> {
        self.is_for(Purpose::Delete);
        self.operate(shard, of, version, |writing| writing.punch(what, cond))
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

    /// Brings the ceiling back to what was used, so that the clock of the next opening does not run ahead.
    pub(super) fn lower_ceiling(mut self) -> Result<Lsn> {
        let used = self.writer.used;
        if used < self.writer.ceiling {
            self.put_row(SYSTEM_SHARD, &KeyBuf::meta(ROW_CEILING)?, &used.0.to_le_bytes());
            // Where this fails, the row is merely higher than it has to be.
            self.writer.ceiling = used;
        }
        self.finish(|_| ())
    }

    /// Queues the record. Readers do not need the writer's lock, so the log may be relieved under it.
    fn submit(&self) -> std::result::Result<Lsn, LogError> {
        let record = [self.writer.changes.as_slice()];
        match self.store.log.submit(&record) {
            Err(LogError::Busy) => {
                let relieved = self.store.log.relieve();
                if matches!(relieved, Err(LogError::NoSpace(_))) {
                    self.store.log_is_short.store(true, Ordering::Release);
                }
                relieved?;
                self.store.log.submit(&record)
            }
            other => other,
        }
    }

    /// As [`Tx::commit`], and calls `then` when the changes can be seen and no other writer has come.
    pub fn commit_then(self, then: impl FnOnce()) -> Result<Lsn> {
        self.finish(|_| then())
    }

    pub(super) fn finish(mut self, inserted: impl FnOnce(Lsn)) -> Result<Lsn> {
        if self.writer.changes.is_empty() {
            return Ok(self.seen.0);
        }
        if let Some(len) = self.writer.changes.too_long() {
            return Err(VosError::ValueTooLong { len, max: index::VALUE_LEN_MAX });
        }
        let ceiling = (self.epoch_max > self.writer.ceiling)
            .then(|| Epoch(self.epoch_max.0.saturating_add(CEILING_AHEAD)));
        if let Some(ceiling) = ceiling {
            self.put_row(SYSTEM_SHARD, &KeyBuf::meta(ROW_CEILING)?, &ceiling.0.to_le_bytes());
        }
        self.admit()?;
        let lsn = self.submit().map_err(|error| self.store.note(error.into()))?;
        let queued = Queued(self.store);
        if let Some(ceiling) = ceiling {
            self.writer.ceiling = ceiling;
        }
        self.writer.used = self.writer.used.max(self.epoch_max);
        for part in &self.parts {
            self.writer.object_nums.insert(part.shard.num, part.nums);
        }
        self.store.insert(&self.writer.changes, lsn)?;
        inserted(lsn);
        queued.applied();
        let large = self.writer.changes.as_slice().len() >= LOG_LOOK_BYTES;
        if (large || lsn.0.is_multiple_of(LOG_LOOK_EVERY)) && self.store.log_load() == LogLoad::Pressing {
            self.store.full.store(true, Ordering::Release);
        }
        Ok(lsn)
    }
}
