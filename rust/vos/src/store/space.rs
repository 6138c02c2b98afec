//! What fits: admission of records, the reserve, and how room comes back. `docs/internals/space.md` argues why.

use super::shards::{data_name, index_name};
use super::{Store, Tx};
use crate::changes::{self, ShardNum};
use crate::data::{BLOCK, STORED_MIN};
use crate::error::{Result, VosError};
use crate::media::Media as _;
use crate::shard::Shard;
use crate::space::{self, Left, Load, Outlook, Purpose, Quota};
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

/// How the bytes of one of the volumes are used that a store has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VolumeSpace {
    /// Bytes that the store may have there.
    pub total: u64,
    /// Bytes that can be stored there yet.
    pub free: u64,
    /// Bytes of files.
    pub used: u64,
    /// Bytes kept back so that deletes, merges and aggregation always work.
    pub reserved: u64,
    /// Bytes that files may have to grow by to take what the memtables hold.
    pub promised: u64,
    /// Whether the indexes are there.
    pub has_index: bool,
    /// Whether values of some shard are there, or will be.
    pub has_data: bool,
    /// Whether the log is there.
    pub has_log: bool,
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
    /// The volumes, of which all else is the sum: the directory, then the devices.
    pub volumes: Vec<VolumeSpace>,
}

/// What is left of a volume.
#[derive(Debug)]
struct Volume {
    left: Left,
    total: u64,
    has_index: bool,
    has_data: bool,
}

impl Volume {
    /// Whether shards have files there.
    fn is_used(&self) -> bool {
        self.has_index || self.has_data
    }
}

/// Bytes by which files may grow for something, wherever they are.
fn room_of(volumes: &[Volume], purpose: Purpose) -> u64 {
    volumes
        .iter()
        .filter(|volume| volume.is_used())
        .map(|volume| volume.left.room(purpose))
        .min()
        .unwrap_or(0)
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

/// Refuses what a shard's quota has no room for.
pub(super) fn check_quota(shard: &Shard, more: Load, purpose: Purpose) -> Result<()> {
    let Some(quota) = shard.quota() else { return Ok(()) };
    let usage = shard.usage(more);
    if quota.left(usage, purpose).is_some() {
        return Ok(());
    }
    let (index, data) = (usage.index + usage.index_more, usage.data + usage.data_more);
    Err(VosError::NoSpace {
        why: match quota.data {
            Some(max) => format!(
                "the pool has {} bytes of metadata and {max} of data on this target, and would need {index} and {data}",
                quota.meta
            ),
            None => {
                format!("the pool has {} bytes on this target, and would need {}", quota.meta, index + data)
            }
        },
    })
}

impl Store {
    /// What is left of each volume with what all memtables need at most, and `more` beside.
    fn left(&self, more: &[(ShardNum, Load)]) -> Result<Vec<Volume>> {
        let more_of =
            |num| more.iter().find(|(of, _)| *of == num).map_or_else(Load::default, |(_, load)| *load);
        let shards = self.shards.read();
        let outlook = |shard: &Arc<Shard>| (shard.data.volume(), shard.outlook(more_of(shard.num)));
        let outlooks: Vec<(usize, Outlook)> = shards.values().map(outlook).collect();
        let volume = |number: usize| {
            let available = self.capped.available_in(number)?;
            let total = available.saturating_add(self.capped.used_in(number)).min(self.capped.max_in(number));
            let has_index = number == self.meta_volume;
            let granule = self.capped.granule_in(number);
            let here = outlooks.iter().map(|(data, outlook)| outlook.on(has_index, *data == number, granule));
            // What was stored before a device was added stays where it is.
            let has_data =
                self.data_volumes.contains(&number) || outlooks.iter().any(|(data, _)| *data == number);
            Ok(Volume { left: Left::new(available, total, has_index, here), total, has_index, has_data })
        };
        (0..self.capped.volumes()).map(volume).collect()
    }

    /// What is left; tunes log and staging by it.
    fn look(&self, more: &[(ShardNum, Load)]) -> Result<Vec<Volume>> {
        let volumes = self.left(more)?;
        let is_ample = |volume: &Volume| {
            volume.left.room(Purpose::Store) >= (volume.total / DEFER_SHARE).min(DEFER_ROOM_MAX)
        };
        let defers = volumes.iter().filter(|volume| volume.has_data).all(is_ample);
        self.defers.store(defers, Ordering::Relaxed);
        self.tight.store(room_of(&volumes, Purpose::Store) < TIGHT, Ordering::Relaxed);
        if let Some(volume) = volumes.get(self.wal_volume) {
            self.log.set_bytes_max(if volume.is_used() {
                (self.log.size() + volume.left.room(Purpose::Store) / LOG_SHARE).min(volume.total / LOG_SHARE)
            } else {
                volume.total - volume.total / LOG_SHARE
            });
        }
        Ok(volumes)
    }

    /// Bytes by which a shard's data file may grow for what is staged.
    pub(super) fn staging_room(&self, shard: &Shard) -> Result<u64> {
        let volumes = self.look(&[])?;
        Ok(volumes.get(shard.data.volume()).map_or(0, |volume| volume.left.room(Purpose::Store)))
    }

    /// Bytes of bounds that no quota forbids.
    fn quota_room(&self) -> u64 {
        if !self.has_quotas.load(Ordering::Relaxed) {
            return u64::MAX;
        }
        let shards = self.shards.read();
        let of = |shard: &Arc<Shard>| {
            let left = shard.quota()?.left(shard.usage(Load::default()), Purpose::Store);
            Some(left.map_or(0, |(index, data)| index.min(data)))
        };
        shards.values().filter_map(of).min().unwrap_or(u64::MAX)
    }

    /// Sets what a shard may use; `None` for all there is. What it has already stays.
    pub fn set_quota(&self, num: ShardNum, quota: Option<Quota>) -> Result<()> {
        self.shard(num)?.set_quota(quota);
        if quota.is_some() {
            self.has_quotas.store(true, Ordering::Relaxed);
        }
        self.writer.lock().credit = 0;
        Ok(())
    }

    /// What a shard may use, and what is left of it for what stores: of index and data.
    pub fn quota(&self, num: ShardNum) -> Result<Option<(Quota, u64, u64)>> {
        let shard = self.shard(num)?;
        let Some(quota) = shard.quota() else { return Ok(None) };
        let (index, data) = quota.left(shard.usage(Load::default()), Purpose::Store).unwrap_or((0, 0));
        Ok(Some((quota, index, data)))
    }

    /// Bytes of a value that may wait for a merge before it goes to the data file.
    pub(super) fn defer_bytes_max(&self) -> usize {
        let max = self.options.defer_bytes_max;
        if self.defers.load(Ordering::Relaxed) { max } else { max.min(STORED_MIN - 1) }
    }

    /// Sets how many bytes the store may have; `None` for as many as its device has. `NoSpace` where it has more, or has promised more.
    pub fn set_bytes_max(&self, bytes: Option<u64>) -> Result<()> {
        let _merging = self.merging.lock();
        let promised = self.left(&[])?.first().map_or(0, |volume| volume.left.promised);
        let needed = self.capped.used_in(0).saturating_add(promised);
        if bytes.is_some_and(|bytes| bytes < needed) {
            return Err(VosError::NoSpace { why: format!("{needed} bytes are in use or promised") });
        }
        self.capped.set_max(bytes.unwrap_or(u64::MAX));
        self.writer.lock().credit = 0;
        self.look(&[]).map(drop)
    }

    /// How its bytes are used. Costs no walk and waits for nobody who writes.
    pub fn space(&self) -> Result<Space> {
        let volumes = self.left(&[])?;
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
        let spaces: BTreeMap<ShardNum, ShardSpace> =
            shards.values().map(|shard| (shard.num, of(shard))).collect();
        let volume = |(number, volume): (usize, &Volume)| {
            let Volume { left, total, has_index, has_data } = volume;
            let here = shards.values().filter(|shard| shard.data.volume() == number);
            let inside: u64 =
                here.filter_map(|shard| spaces.get(&shard.num)).map(|space| space.data_free).sum();
            VolumeSpace {
                total: *total,
                free: left.room(Purpose::Store).saturating_add(inside).min(*total),
                used: self.capped.used_in(number),
                reserved: left.reserve.min(left.available.saturating_add(left.surplus)),
                promised: left.promised,
                has_index: *has_index,
                has_data: *has_data,
                has_log: number == self.wal_volume,
            }
        };
        let volumes: Vec<VolumeSpace> = volumes.iter().enumerate().map(volume).collect();
        let in_use = volumes.iter().filter(|volume| volume.has_index || volume.has_data || volume.has_log);
        let sum = |of: fn(&VolumeSpace) -> u64| in_use.clone().map(of).fold(0, u64::saturating_add);
        let mut space = Space {
            total: sum(|volume| volume.total),
            free: sum(|volume| if volume.has_index || volume.has_data { volume.free } else { 0 }),
            used: sum(|volume| volume.used),
            reserved: sum(|volume| volume.reserved),
            promised: sum(|volume| volume.promised),
            log: self.log.size(),
            shards: spaces,
            volumes: Vec::new(),
        };
        space.volumes = volumes;
        Ok(space)
    }

    /// What merges could give back at most.
    fn gain(&self) -> u64 {
        let shards = self.shards.read();
        let freed = |shard: &Arc<Shard>| if shard.has_old_readers() { 0 } else { shard.freed_bytes() };
        let of = |shard: &Arc<Shard>| shard.outlook(Load::default()).pending + freed(shard);
        shards.values().map(of).sum()
    }

    /// Merges until what was removed can be used again.
    pub fn reclaim(&self) -> Result<()> {
        (0..MERGES).try_for_each(|_| self.merge_all())
    }

    /// Merges where that can give room back, so that what was refused may be tried again. False where there is nothing to be had:
    /// only deleting, and aggregating what was deleted, helps then.
    pub fn make_room(&self) -> Result<bool> {
        self.check_running()?;
        let log_is_short = self.log_is_short.swap(false, Ordering::AcqRel);
        if self.gain() == 0 && !log_is_short {
            return Ok(false);
        }
        match self.reclaim() {
            Ok(()) => {}
            // Less than was promised is there: somebody else took it.
            Err(VosError::NoSpace { .. }) => return Ok(false),
            Err(error) => return Err(error),
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
        if self.store.staged.swap(false, Ordering::AcqRel) {
            writer.credit = 0;
        }
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
        if self.store.has_quotas.load(Ordering::Relaxed) {
            for (num, load) in &loads {
                check_quota(&*self.store.shard(*num)?, *load, self.purpose)?;
            }
        }
        let volumes = self.store.look(&loads)?;
        // Both what this record takes and what others take meanwhile.
        let room = room_of(&volumes, Purpose::Store).min(self.store.quota_room());
        writer.credit = (room / 2).min(CREDIT_MAX);
        let mut used = volumes.iter().filter(|volume| volume.is_used());
        let Some(short) = used.find(|volume| !volume.left.suffices(self.purpose)) else { return Ok(()) };
        let Left { available, promised, reserve, .. } = short.left;
        Err(VosError::NoSpace {
            why: format!("merges would need {promised} bytes of {available}; {reserve} are kept for deletes"),
        })
    }
}
