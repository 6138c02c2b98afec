//! What fits: admission of records, the reserve, and how room comes back. `docs/internals/space.md` argues why.

use super::shards::{data_name, index_name};
use super::{Store, Tx};
use crate::changes::{self, ShardNum};
use crate::data::{BLOCK, STORED_MIN};
use crate::error::{Result, VosError};
use crate::media::Media as _;
use crate::shard::Shard;
use crate::space::{self, Left, Load, Purpose};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of bounds that are admitted at most between two looks at the device: so much may others take from it unseen.
const CREDIT_MAX: u64 = 64 << 20;
/// Before a transaction begins, room is made where less than this is left for it.
const TIGHT: u64 = 1 << 20;
/// Where less than this share of all is left, or than so many bytes, values are written to the data file at once: a merge would find no
/// room that is not in pieces.
const DEFER_SHARE: u64 = 4;
const DEFER_ROOM_MAX: u64 = 256 << 20;
/// The log has at most this share of a device.
const LOG_SHARE: u64 = 8;

/// A relief is called again only when so many changes were made since the last: it looks at everything.
const RELIEF_CHANGES: u64 = 64;

/// Removes what nobody can see any more: the store does not know who reads when.
pub trait Relief: Send + Sync + std::fmt::Debug {
    /// Does it, as far as there is something. Called without the writer's lock.
    fn relieve(&self) -> Result<()>;
}

/// The relief, and when it was called.
#[derive(Debug, Default)]
pub(super) struct Relieving {
    by: Option<Arc<dyn Relief>>,
    /// How many changes had been made when it was called last; `None` before the first time, when what was deleted
    /// before the store was opened may still be there.
    changes: Option<u64>,
}

/// How the bytes of a store's device are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that the store may have, and those that it could get from a device without a cap.
    pub total: u64,
    /// Bytes that can be stored yet: neither used, nor promised to a merge, nor kept back.
    pub free: u64,
    /// Bytes of the store's files.
    pub used: u64,
    /// Bytes kept back so that deletes, merges and aggregation always work.
    pub reserved: u64,
    /// Bytes that the files may have to grow by to take what the memtables hold.
    pub promised: u64,
    /// Bytes of the log's files.
    pub log: u64,
    /// The shards, the system's own among them.
    pub shards: BTreeMap<ShardNum, ShardSpace>,
}

/// How the bytes of a shard's files are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardSpace {
    /// Bytes of the index's file.
    pub index: u64,
    /// Of these, bytes that the next merge may write.
    pub index_free: u64,
    /// Bytes of the data file.
    pub data: u64,
    /// Of these, bytes known to be free.
    pub data_free: u64,
}

impl Store {
    /// What is left with what all memtables need at most, and `more` beside; and what there is in all.
    fn left(&self, more: &[(ShardNum, Load)]) -> Result<(Left, u64)> {
        let available = self.capped.available()?;
        let total = available.saturating_add(self.capped.used()).min(self.capped.max());
        let more_of =
            |num| more.iter().find(|(of, _)| *of == num).map_or_else(Load::default, |(_, load)| *load);
        let shards = self.shards.read();
        let outlooks = shards.values().map(|shard| shard.outlook(more_of(shard.num)));
        Ok((Left::new(available, total, outlooks), total))
    }

    /// What is left; tunes log and staging by it.
    fn look(&self, more: &[(ShardNum, Load)]) -> Result<Left> {
        let (left, total) = self.left(more)?;
        let room = left.room(Purpose::Store);
        self.defers.store(room >= (total / DEFER_SHARE).min(DEFER_ROOM_MAX), Ordering::Relaxed);
        self.tight.store(room < TIGHT, Ordering::Relaxed);
        self.log.set_bytes_max((self.log.size() + room / LOG_SHARE).min(total / LOG_SHARE));
        Ok(left)
    }

    /// Bytes by which a data file may grow for what is staged.
    pub(super) fn staging_room(&self) -> Result<u64> {
        Ok(self.look(&[])?.room(Purpose::Store))
    }

    /// Bytes of a value that may wait for a merge before it goes to the data file.
    pub(super) fn defer_bytes_max(&self) -> usize {
        let max = self.options.defer_bytes_max;
        if self.defers.load(Ordering::Relaxed) { max } else { max.min(STORED_MIN - 1) }
    }

    /// Sets how many bytes the store may have; `None` for as many as its device has. `NoSpace` where it has more, or has promised more.
    pub fn set_bytes_max(&self, bytes: Option<u64>) -> Result<()> {
        let _merging = self.merging.lock();
        let needed = self.capped.used().saturating_add(self.left(&[])?.0.promised);
        if bytes.is_some_and(|bytes| bytes < needed) {
            return Err(VosError::NoSpace { why: format!("{needed} bytes are in use or promised") });
        }
        self.capped.set_max(bytes.unwrap_or(u64::MAX));
        self.writer.lock().credit = 0;
        self.look(&[]).map(drop)
    }

    /// How its bytes are used. Costs no walk and waits for nobody who writes.
    pub fn space(&self) -> Result<Space> {
        let (left, total) = self.left(&[])?;
        let shards = self.shards.read();
        let of = |shard: &Arc<Shard>| {
            let (index, data) = (index_name(shard.num), data_name(shard.num));
            let (_, inside) = shard.data.usage();
            ShardSpace {
                index: self.capped.used_by(|name| *name == index),
                index_free: shard.index_free_bytes(),
                data: self.capped.used_by(|name| *name == data),
                data_free: inside + shard.data.tail_blocks() * BLOCK,
            }
        };
        let shards: BTreeMap<ShardNum, ShardSpace> =
            shards.values().map(|shard| (shard.num, of(shard))).collect();
        let inside: u64 = shards.values().map(|shard| shard.data_free).sum();
        Ok(Space {
            total,
            free: left.room(Purpose::Store).saturating_add(inside).min(total),
            used: self.capped.used(),
            reserved: left.reserve.min(left.available.saturating_add(left.surplus)),
            promised: left.promised,
            log: self.log.size(),
            shards,
        })
    }

    /// What merges could give back at most.
    fn gain(&self) -> u64 {
        let shards = self.shards.read();
        let freed = |shard: &Arc<Shard>| if shard.has_old_readers() { 0 } else { shard.freed_bytes() };
        let of = |shard: &Arc<Shard>| shard.outlook(Load::default()).pending + freed(shard);
        shards.values().map(of).sum()
    }

    /// Merges where that can give room back, so that what was refused may be tried again. False where there is nothing to be had:
    /// only deleting, and aggregating what was deleted, helps then.
    pub fn make_room(&self) -> Result<bool> {
        self.check_running()?;
        let log_is_short = self.log_is_short.swap(false, Ordering::AcqRel);
        if self.gain() == 0 && !log_is_short {
            return Ok(false);
        }
        for _ in 0..MERGES {
            match self.merge_all() {
                Ok(()) => {}
                // Less than was promised is there: somebody else took it.
                Err(VosError::NoSpace { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        for shard in self.shards.read().values().filter(|shard| shard.check_writable().is_ok()) {
            shard.data.cut(0)?;
        }
        self.writer.lock().credit = 0;
        self.look(&[])?;
        Ok(true)
    }

    /// Runs a change, and once more where it found no room and merges could make some.
    pub(super) fn with_merges<T>(&self, mut change: impl FnMut() -> Result<T>) -> Result<T> {
        match change() {
            Err(error @ VosError::NoSpace { .. }) => {
                if self.make_room()? {
                    change()
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    /// Runs a change, and again where it found no room and some could be made, by merges or by the relief.
    pub fn with_room<T>(&self, mut change: impl FnMut() -> Result<T>) -> Result<T> {
        let calls = self.relief_calls.load(Ordering::Acquire);
        let refused = match self.with_merges(&mut change) {
            Err(error @ VosError::NoSpace { .. }) => error,
            other => return other,
        };
        self.was_refused.store(true, Ordering::Release);
        let mut relief = self.relief.lock();
        let Relieving { by: Some(by), changes } = &mut *relief else { return Err(refused) };
        // Another thread may have called it since this change was tried: what it freed is for all.
        if self.relief_calls.load(Ordering::Acquire) == calls {
            if changes.is_some_and(|changes| self.changes_made() < changes + RELIEF_CHANGES) {
                return Err(refused);
            }
            let relieved = by.relieve();
            *changes = Some(self.changes_made());
            self.relief_calls.fetch_add(1, Ordering::AcqRel);
            relieved?;
        }
        drop(relief);
        self.with_merges(change)
    }

    /// Names who removes what nobody can see any more, where a change finds no room otherwise.
    pub fn set_relief(&self, by: Arc<dyn Relief>) {
        self.relief.lock().by = Some(by);
    }

    /// Before a transaction begins: makes room where little is left.
    pub(super) fn loosen(&self) -> Result<()> {
        if self.tight.load(Ordering::Relaxed) && self.gain() >= TIGHT {
            self.make_room()?;
        }
        Ok(())
    }

    /// Whether something was refused for want of room since this was asked last: deletes are worth aggregating now.
    pub fn take_refused(&self) -> bool {
        self.was_refused.swap(false, Ordering::AcqRel)
    }
}

/// Merges after which all that the first of them freed can be used: the state before it is gone, too.
const MERGES: usize = 2;

impl Tx<'_> {
    /// Notes what it is for: the least important of its operations counts.
    pub(super) fn is_for(&mut self, purpose: Purpose) {
        self.purpose = self.purpose.max(purpose);
    }

    /// Refuses the record where its merge might find no room.
    pub(super) fn admit(&mut self) -> Result<()> {
        let writer = &mut *self.writer;
        let bound = space::bound(writer.changes.count(), writer.changes.as_slice().len() as u64);
        if bound <= writer.credit {
            writer.credit -= bound;
            return Ok(());
        }
        let mut loads: Vec<(ShardNum, Load)> = Vec::new();
        for change in writer.changes.since(changes::HEAD_LEN) {
            let change = change?;
            let load = Load::of(change.key, change.value);
            match loads.iter_mut().find(|(num, _)| *num == change.shard) {
                Some((_, sum)) => *sum = sum.and(load),
                None => loads.push((change.shard, load)),
            }
        }
        let left = self.store.look(&loads)?;
        // Both what this record takes and what others take meanwhile.
        writer.credit = (left.room(Purpose::Store) / 2).min(CREDIT_MAX);
        if left.suffices(self.purpose) {
            return Ok(());
        }
        let Left { available, promised, reserve, .. } = left;
        Err(VosError::NoSpace {
            why: format!("merges would need {promised} bytes of {available}; {reserve} are kept for deletes"),
        })
    }
}
