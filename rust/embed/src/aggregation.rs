//! Aggregation of a system's containers: at once when asked for, and in the background as fast as it finds anything.

use crate::epochs::OpenEpochs;
use crate::pool::Container;
use crate::route::told;
use crate::tables;
use daos_client::{ContainerObjects as _, Result};
use daos_engine::HybridClock;
use daos_types::{ContainerId, Epoch, PoolId};
use daos_vos::{Aggregation, ShardNum, Store, VosError};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Index entries looked at in one slice: a few milliseconds of work.
const SLICE: u64 = 4096;
/// The background looks at so many sixteenths of an entry for each that changes, at least and at most.
const RATE_MIN: u64 = 1;
const RATE_MAX: u64 = 32;
/// Entries it may owe a look at.
const DEBT_MAX: u64 = 4 << 20;
/// Bytes stored in data files, after which all is looked through at the earliest.
const SWEEP_BYTES_MIN: u64 = 128 << 20;
/// The same for each container's share of a shard: a pass over it takes a record.
const SWEEP_BYTES_EACH: u64 = 64 << 10;

/// Begins a pass over a container in a shard; `None` where it is not there. What open transactions read stays.
fn begin(
    store: &Store,
    clock: &HybridClock,
    epochs: &OpenEpochs,
    shard: ShardNum,
    pool: PoolId,
    cont: ContainerId,
) -> std::result::Result<Option<Aggregation>, VosError> {
    let mut tx = store.begin()?;
    let Some(num) = store.cont_num(shard, cont)?.1 else { return Ok(None) };
    // Under the writer's lock: no later change has an epoch up to this one, no later snapshot either.
    let oldest = epochs.oldest(Instant::now());
    let now = clock.next();
    let up_to = oldest.map_or(now, |oldest| Epoch(oldest.0 - 1));
    tx.note_epoch(up_to);
    let mut snapshots = Vec::new();
    for (name, _) in store.service_rows(&tables::snap_prefix(&pool.0, &cont.0))?.1 {
        let epoch = name.try_into().map_err(|_| VosError::Corrupt {
            why: "the name of a snapshot's row has no known form".to_owned(),
        })?;
        snapshots.push(Epoch(u64::from_be_bytes(epoch)));
    }
    let pass = tx.aggregate(shard, num, &snapshots, up_to)?;
    tx.commit()?;
    Ok(Some(pass))
}

impl Container {
    /// Removes all versions that neither a snapshot, nor an open transaction, nor a reader of the present can see; answers how
    /// many index entries went. Their space comes back when they have been merged.
    pub fn aggregate(&self) -> Result<u64> {
        let system = &self.pool.system;
        let _open = system.guard.enter()?;
        self.check_writable()?;
        self.row()?;
        let store = &system.guard.store;
        let mut removed = 0;
        for target in &self.pool.route.targets {
            let pass =
                begin(store, &system.clock, &system.guard.epochs, target.shard(), self.pool.uuid, self.uuid)
                    .map_err(told)?;
            let Some(mut pass) = pass else { continue };
            while store.aggregate_step(&mut pass, SLICE as usize).map_err(told)? {}
            removed += pass.removed();
        }
        Ok(removed)
    }
}

/// Removes everything that nobody can see any more, for who finds no room otherwise.
#[derive(Debug)]
pub(crate) struct Relief {
    store: Weak<Store>,
    clock: Arc<HybridClock>,
    epochs: Arc<OpenEpochs>,
}

impl Relief {
    pub(crate) fn new(store: &Arc<Store>, clock: Arc<HybridClock>, epochs: Arc<OpenEpochs>) -> Arc<Self> {
        Arc::new(Self { store: Arc::downgrade(store), clock, epochs })
    }
}

impl daos_vos::Relief for Relief {
    fn relieve(&self) -> std::result::Result<(), VosError> {
        let Some(store) = self.store.upgrade() else { return Ok(()) };
        while store.collect_step(SLICE as usize)? {}
        for (shard, pool, cont) in containers(&store)? {
            if let Some(mut pass) = begin(&store, &self.clock, &self.epochs, shard, pool, cont)? {
                while store.aggregate_step(&mut pass, SLICE as usize)? {}
            }
        }
        Ok(())
    }
}

/// All containers' shares of all shards.
fn containers(store: &Store) -> std::result::Result<Vec<(ShardNum, PoolId, ContainerId)>, VosError> {
    let mut all = Vec::new();
    for (shard, pool, _) in store.shard_list()? {
        for (cont, _) in store.service_rows(&tables::cont_prefix(&pool.0))?.1 {
            if let Ok(cont) = cont.try_into() {
                all.push((shard, pool, ContainerId(cont)));
            }
        }
    }
    Ok(all)
}

/// The background's passes over all containers, one after the other.
#[derive(Debug)]
pub(crate) struct Aggregator {
    store: Arc<Store>,
    clock: Arc<HybridClock>,
    epochs: Arc<OpenEpochs>,
    queue: Vec<(ShardNum, PoolId, ContainerId)>,
    pass: Option<Aggregation>,
    /// Changes that were made when it last looked.
    changes: u64,
    /// Entries to look at.
    debt: u64,
    /// Sixteenths of an entry for each change.
    rate: u64,
    sweep: Sweep,
    /// What it removes is wanted back at once.
    reclaims: bool,
    /// Index entries that were removed since it began to look through everything.
    removed: u64,
    /// Bytes that were stored in data files when it last looked through everything, and how many more until it does so again.
    stored: u64,
    sweep_after: u64,
}

/// Whether it looks through everything, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    No,
    Wanted,
    Running,
}

impl Aggregator {
    pub(crate) fn new(store: Arc<Store>, clock: Arc<HybridClock>, epochs: Arc<OpenEpochs>) -> Self {
        Self {
            changes: store.changes_made(),
            stored: store.data_stored(),
            store,
            clock,
            epochs,
            queue: Vec::new(),
            pass: None,
            debt: 0,
            rate: RATE_MIN,
            sweep: Sweep::No,
            reclaims: false,
            removed: 0,
            sweep_after: SWEEP_BYTES_MIN,
        }
    }

    /// Has the next steps go through all containers, once.
    pub(crate) fn sweep(&mut self) {
        self.sweep = Sweep::Wanted;
    }

    /// The same, where so much was stored in data files that it may pay. Counting changes does not see what a few large ones leave behind.
    pub(crate) fn sweep_if_due(&mut self) {
        let stored = self.store.data_stored();
        // Less than before: shards are gone.
        self.stored = self.stored.min(stored);
        if self.sweep == Sweep::No && stored - self.stored >= self.sweep_after {
            self.sweep();
            self.reclaims = true;
        }
    }

    /// One slice, where enough has changed.
    pub(crate) fn step(&mut self) -> Step {
        let changes = self.store.changes_made();
        self.debt += changes.saturating_sub(self.changes) * self.rate / 16;
        self.debt = self.debt.min(DEBT_MAX);
        self.changes = changes;
        let sweeps = self.sweep != Sweep::No;
        if self.debt < SLICE && !sweeps {
            return Step::Done;
        }
        self.debt = self.debt.saturating_sub(SLICE);
        match self.slice() {
            Ok(removed) => self.rate = (removed * 16 * 4 / SLICE).clamp(RATE_MIN, RATE_MAX),
            // The next writer is told what is wrong with the store.
            Err(_) => {
                (self.pass, self.sweep, self.reclaims) = (None, Sweep::No, false);
                return Step::Done;
            }
        }
        match (sweeps, self.sweep) {
            (true, Sweep::No) if std::mem::take(&mut self.reclaims) && self.removed > 0 => Step::Swept,
            (_, Sweep::No) if self.debt < SLICE => Step::Done,
            _ => Step::More,
        }
    }

    fn slice(&mut self) -> std::result::Result<u64, VosError> {
        let Some(pass) = &mut self.pass else {
            if self.sweep == Sweep::Wanted || (self.queue.is_empty() && self.sweep == Sweep::No) {
                self.queue = containers(&self.store)?;
            }
            match self.sweep {
                Sweep::Wanted => self.begin_sweep(),
                Sweep::Running if self.queue.is_empty() => self.sweep = Sweep::No,
                Sweep::Running | Sweep::No => {}
            }
            if let Some((shard, pool, cont)) = self.queue.pop() {
                self.pass = begin(&self.store, &self.clock, &self.epochs, shard, pool, cont)?;
            }
            return Ok(self.rate * SLICE / 64);
        };
        let before = pass.removed();
        let more = self.store.aggregate_step(pass, SLICE as usize)?;
        let removed = pass.removed() - before;
        if !more {
            self.pass = None;
        }
        self.removed += removed;
        Ok(removed)
    }

    fn begin_sweep(&mut self) {
        let (data, index) = self.store.data_and_index();
        let each = self.queue.len() as u64 * SWEEP_BYTES_EACH;
        (self.sweep, self.removed) = (Sweep::Running, 0);
        self.stored = self.store.data_stored();
        // What is not visible is then about half of what is, at most; and no more is looked at than was written.
        self.sweep_after = SWEEP_BYTES_MIN.max(data / 2).max(index).max(each);
    }
}

/// What a step of the background brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is more to do.
    More,
    /// Nothing is due.
    Done,
    /// All was looked through, and there is something to be had by merges.
    Swept,
}
