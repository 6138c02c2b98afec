//! One pool's share of a store: its levels, the objects it knows, and the merge that empties its memtable.

use crate::base::Base;
use crate::changes::ShardNum;
use crate::check::IndexPage;
use crate::data::{self, DataFile};
use crate::dtx::DtxTable;
use crate::error::{Result, VosError};
use crate::hash::Seeded;
use crate::index::{Index as _, IndexPlace, IndexSlice, PAGE};
use crate::key::{self, ContNum};
use crate::levels::Levels;
use crate::merge_batch::MergeBatch;
use crate::node::ObjectState;
use crate::reclaim::{CensusWalk, Freed};
use crate::rollback::{Rollbacks, Stretch};
use crate::space::{self, Load, Outlook, Quota, Usage};
use crate::store::{StoreOptions, rollback};
use daos_locks::{Mutex, RwLock};
use daos_types::{Epoch, Lsn, UnitOid};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// Objects whose state is kept in memory; more, and the cache starts anew.
const OBJECTS_CACHED_MAX: usize = 64 << 10;

/// A pool shard.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) num: ShardNum,
    base: Base,
    pub(crate) data: Arc<DataFile>,
    /// Held by whoever finds out which blocks of the data file are free.
    pub(crate) census: Mutex<Option<CensusWalk>>,
    /// Blocks that no entry names any more, and which readers or a replay of the log may still meet.
    pub(crate) freed: Mutex<Vec<Freed>>,
    levels: RwLock<Arc<Levels>>,
    objects: RwLock<HashMap<(ContNum, UnitOid), Arc<ObjectState>, Seeded>>,
    /// Counts changes of object nodes, so that a reader does not cache what it read before one.
    objects_changed: AtomicU64,
    pub(crate) dtx: DtxTable,
    /// The last log position that the frozen memtable holds, while there is one.
    frozen_covers: Mutex<Option<Lsn>>,
    /// Levels that were replaced; readers may still hold them.
    replaced: Mutex<Vec<Weak<Levels>>>,
    /// Up to where containers were aggregated: nothing is written there any more.
    aggregated: RwLock<HashMap<ContNum, Epoch, Seeded>>,
    /// The greatest of these.
    aggregated_max: AtomicU64,
    /// Of containers that have any: a change is made under the hold of the memtable under which its row is inserted.
    rollbacks: RwLock<HashMap<ContNum, Arc<Rollbacks>, Seeded>>,
    /// When the newest of these was made; 0 as long as there are none.
    rolled_back_max: AtomicU64,
    /// What it may use.
    quota: RwLock<Option<Quota>>,
    /// Why it takes no more changes, if it does not.
    failed: OnceLock<String>,
}

impl Shard {
    /// A shard over its index, with an empty memtable.
    pub(crate) fn new(num: ShardNum, base: Base, data: Arc<DataFile>, base_epoch_max: u64) -> Self {
        let levels = Levels { active: Arc::default(), frozen: None, base: base.view(), base_epoch_max };
        Self {
            num,
            base,
            data,
            census: Mutex::new(None),
            freed: Mutex::default(),
            levels: RwLock::new(Arc::new(levels)),
            objects: RwLock::default(),
            objects_changed: AtomicU64::new(0),
            dtx: DtxTable::default(),
            frozen_covers: Mutex::new(None),
            replaced: Mutex::default(),
            aggregated: RwLock::default(),
            aggregated_max: AtomicU64::new(0),
            rollbacks: RwLock::default(),
            rolled_back_max: AtomicU64::new(0),
            quota: RwLock::new(None),
            failed: OnceLock::new(),
        }
    }

    /// The levels as they are now, and how often object nodes had changed before.
    pub(crate) fn look(&self) -> Look {
        let objects_changed = self.objects_changed.load(Ordering::Acquire);
        Look { levels: self.levels(), objects_changed }
    }

    /// The levels as they are now.
    pub(crate) fn levels(&self) -> Arc<Levels> {
        Arc::clone(&self.levels.read())
    }

    /// Reads a slice of the base from the device and checks it.
    pub(crate) fn check_index(&self, from: Option<&[u8]>, pages_max: u64) -> Result<IndexPage> {
        let no_place = || VosError::Invalid { why: "no place of an index's check".to_owned() };
        let place = from.map(|from| IndexPlace::decode(from).ok_or_else(no_place)).transpose()?;
        let IndexSlice { checked, damaged, next } = self.base.check_slice(place.as_ref(), pages_max);
        Ok(IndexPage {
            pages: checked.leaves + checked.inners + checked.run_pages,
            damaged: damaged.iter().map(ToString::to_string).collect(),
            next: next.map(|place| place.encode()),
        })
    }

    /// The log position up to which everything is in the base.
    pub(crate) fn covers(&self) -> Lsn {
        self.base.covers()
    }

    /// The log must keep what is behind this: the base's fall-back state lacks it.
    pub(crate) fn log_needed_after(&self) -> Lsn {
        self.base.log_needed_after()
    }

    /// Tells which epochs the base may hold, once that is known.
    pub(crate) fn set_base_epoch_max(&self, epoch_max: u64) {
        let mut levels = self.levels.write();
        let next = Levels { base_epoch_max: epoch_max, ..Levels::clone(&levels) };
        self.replace(&mut levels, next);
    }

    /// The state of an object node, from memory or by `load`, which reads the levels of `look`; `None` where there is
    /// no such object.
    pub(crate) fn object(
        &self,
        of: (ContNum, UnitOid),
        look: u64,
        load: impl FnOnce() -> Result<Option<ObjectState>>,
    ) -> Result<Option<Arc<ObjectState>>> {
        if let Some(state) = self.objects.read().get(&of) {
            return Ok(Some(Arc::clone(state)));
        }
        let Some(state) = load()?.map(Arc::new) else { return Ok(None) };
        let mut objects = self.objects.write();
        // What was read before the last change of an object node may be outdated: good for this reader, not for all.
        if self.objects_changed.load(Ordering::Acquire) == look {
            if objects.len() >= OBJECTS_CACHED_MAX {
                objects.clear();
            }
            objects.insert(of, Arc::clone(&state));
        }
        Ok(Some(state))
    }

    /// Brings what is remembered of a container or of an object's node up to a change. After the insertion, under the same hold.
    pub(crate) fn note_change(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if let Some(of) = key::parse_object(key) {
            let mut objects = self.objects.write();
            self.objects_changed.fetch_add(1, Ordering::Release);
            objects.remove(&of);
        } else if let Some(cont) = rollback::container_of(key) {
            self.set_rollbacks(cont, value.map(rollback::decode).transpose()?);
        }
        Ok(())
    }

    /// Bytes and entries of the active memtable.
    pub(crate) fn active_load(&self) -> (usize, usize) {
        let levels = self.levels.read();
        (levels.active.bytes(), levels.active.count())
    }

    /// Whether the active memtable is to be merged.
    pub(crate) fn is_due(&self, options: &StoreOptions) -> bool {
        self.levels.read().active.is_due(options)
    }

    /// What merges find of what its memtables hold and `more`.
    pub(crate) fn outlook(&self, more: Load) -> Outlook {
        let levels = self.levels();
        let frozen = levels.frozen.as_ref().map(|frozen| frozen.load()).unwrap_or_default();
        let active = levels.active.load().and(more);
        space::outlook(&[frozen, active], self.base.outline(), self.data.tail_blocks())
    }

    /// Bytes of used blocks of its data file, and of needed pages of its index.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        (self.data.used_bytes(), self.base.outline().live_pages * PAGE as u64)
    }

    /// What it uses, and what merges of what its memtables hold and `more` will add.
    pub(crate) fn usage(&self, more: Load) -> Usage {
        let outlook = self.outlook(more);
        let (data, index) = self.sizes();
        Usage { index, data, index_more: outlook.index_more, data_more: outlook.data_more }
    }

    /// What it may use.
    pub(crate) fn quota(&self) -> Option<Quota> {
        *self.quota.read()
    }

    /// Sets what it may use.
    pub(crate) fn set_quota(&self, quota: Option<Quota>) {
        *self.quota.write() = quota;
    }

    /// Bytes of the index's file that the next merge may write.
    pub(crate) fn index_free_bytes(&self) -> u64 {
        self.base.outline().usable_pages * PAGE as u64
    }

    /// A memtable waits to be merged.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_covers.lock().is_some()
    }

    /// Sets the active memtable aside for a merge and begins a new one. `covers` is the last log position that may
    /// be in it. The caller holds the writer's lock. False where there is nothing to set aside, or one waits already.
    pub(crate) fn freeze(&self, covers: Lsn) -> bool {
        let mut frozen_covers = self.frozen_covers.lock();
        let mut levels = self.levels.write();
        if frozen_covers.is_some() || (levels.active.count() == 0 && covers <= self.base.log_needed_after()) {
            return false;
        }
        let mut next = Levels::clone(&levels);
        next.frozen = Some(std::mem::take(&mut next.active));
        self.replace(&mut levels, next);
        *frozen_covers = Some(covers);
        true
    }

    /// The position that the log must have made durable before [`Shard::merge`] may run.
    pub(crate) fn merge_needs(&self) -> Option<Lsn> {
        *self.frozen_covers.lock()
    }

    /// A key as the log's latest records left it, where it has not been set aside for a merge.
    pub(crate) fn active_has(&self, key: &[u8]) -> bool {
        self.levels().active.read().get(key).is_some()
    }

    /// Puts other levels in place, and remembers the former ones as long as a reader holds them.
    fn replace(&self, levels: &mut Arc<Levels>, next: Levels) {
        let former = std::mem::replace(levels, Arc::new(next));
        let mut replaced = self.replaced.lock();
        replaced.retain(|levels| levels.strong_count() > 0);
        replaced.push(Arc::downgrade(&former));
    }

    /// Whether a reader still holds levels that were replaced: what they hold may name transactions long decided.
    pub(crate) fn has_old_readers(&self) -> bool {
        self.replaced.lock().iter().any(|levels| levels.strong_count() > 0)
    }

    /// Takes no more changes from now on: its base does not either. Reading goes on, and so do other shards.
    pub(crate) fn fail(&self, error: &VosError) {
        self.failed.get_or_init(|| error.to_string());
    }

    /// From now on nothing is written to a container at or before an epoch.
    pub(crate) fn set_aggregated(&self, cont: ContNum, up_to: Epoch) {
        self.aggregated.write().insert(cont, up_to);
        self.aggregated_max.fetch_max(up_to.0, Ordering::AcqRel);
    }

    /// Whether a container may have a change at this epoch.
    pub(crate) fn takes(&self, cont: ContNum, epoch: Epoch) -> bool {
        let aggregated = epoch.0 <= self.aggregated_max.load(Ordering::Acquire)
            && self.aggregated.read().get(&cont).is_some_and(|up_to| epoch <= *up_to);
        let rolled_back = self.rolled_back_after(Epoch(epoch.0.saturating_sub(1)))
            && self.rollbacks.read().get(&cont).is_some_and(|rollbacks| epoch <= rollbacks.newest());
        !aggregated && !rolled_back
    }

    /// The rollbacks of a container.
    pub(crate) fn rollbacks(&self, cont: ContNum) -> Arc<Rollbacks> {
        self.rollbacks.read().get(&cont).cloned().unwrap_or_default()
    }

    /// Takes note of what a container's row of rollbacks says, or that it is gone.
    pub(crate) fn set_rollbacks(&self, cont: ContNum, rollbacks: Option<Rollbacks>) {
        let mut all = self.rollbacks.write();
        match rollbacks {
            Some(rollbacks) => {
                self.rolled_back_max.fetch_max(rollbacks.newest().0, Ordering::AcqRel);
                all.insert(cont, Arc::new(rollbacks));
            }
            None => drop(all.remove(&cont)),
        }
    }

    /// What a reader of a container passes over. To be asked while the memtables are held.
    #[inline]
    pub(crate) fn hidden(&self, cont: ContNum, reader: Epoch) -> Vec<Stretch> {
        if self.rolled_back_max.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        self.rollbacks.read().get(&cont).map_or_else(Vec::new, |rollbacks| rollbacks.hidden(reader))
    }

    /// Whether any container may have been rolled back after an epoch.
    pub(crate) fn rolled_back_after(&self, epoch: Epoch) -> bool {
        self.rolled_back_max.load(Ordering::Acquire) > epoch.0
    }

    /// Why it takes no more changes.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(VosError::Io { why: format!("this shard takes no more changes: {why}") }),
        }
    }

    /// Has its files give back what only the next merge would need, and lets go of the log.
    pub(crate) fn rest(&self, log_waits: bool) -> Result<()> {
        self.base.rest(log_waits || self.freed_bytes() >= data::REST_MIN)?;
        self.reuse_freed()?;
        self.data.rest()
    }

    /// Brings the frozen memtable into the base. Without the writer's lock; one caller at a time.
    pub(crate) fn merge(&self) -> Result<()> {
        let Some(covers) = self.merge_needs() else { return Ok(()) };
        let levels = self.levels();
        let Some(frozen) = &levels.frozen else { return Ok(()) };
        let read = frozen.read();
        let mut batch = MergeBatch::new(self, &read, frozen.count())?;
        if let Err(error) = self.base.apply(&mut batch, covers) {
            // Whether the batch counts is not known unless there was no room for it.
            let error = VosError::from(error);
            if matches!(error, VosError::NoSpace { .. }) {
                batch.give_back();
            }
            return Err(error);
        }
        let freed = batch.freed();
        drop(read);
        let mut now = self.levels.write();
        let next = Levels {
            active: Arc::clone(&now.active),
            frozen: None,
            base: self.base.view(),
            base_epoch_max: now.base_epoch_max.max(frozen.epoch_max()),
        };
        self.replace(&mut now, next);
        drop(now);
        let freed = freed.into_iter().chain(frozen.dropped());
        self.freed.lock().extend(freed.map(|run| Freed { run, covers }));
        *self.frozen_covers.lock() = None;
        Ok(())
    }
}

/// A shard's levels, and how often object nodes had changed when they were taken.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) levels: Arc<Levels>,
    pub(crate) objects_changed: u64,
}
