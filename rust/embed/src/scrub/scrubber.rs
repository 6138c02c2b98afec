//! The scrubber at work: passes over the pools that want it, a slice at a time.

use super::{Board, is_behind, row};
use crate::calls::Calls;
use crate::tables::{self, Row};
use daos_types::{ContainerId, PoolId, ScrubMode, ScrubSettings};
use daos_vos::index::PAGE_BYTES;
use daos_vos::{CheckBudget, SYSTEM_SHARD, Scrub, ScrubDamage, ShardNum, Store, VosError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What a slice reads: a few milliseconds of work.
const SLICE: CheckBudget<'static> =
    CheckBudget { entries: 1_024, bytes: 1 << 20, pages: 256, go_on: &|| true };
/// How long nothing must have changed for the system to be idle.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// How long it waits after a slice that could not be read at all.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The passes under way. All that the others see is on the board.
#[derive(Debug)]
pub(crate) struct Scrubber {
    store: Arc<Store>,
    calls: Arc<Calls>,
    board: Arc<Board>,
    passes: BTreeMap<PoolId, Pass>,
    /// Changes that were made when it last looked, and when they were fewer.
    changes: (u64, Instant),
    not_before: Instant,
}

#[derive(Debug)]
struct Pass {
    began: Instant,
    /// Bytes that are to be read, about.
    total: u64,
    read: u64,
    /// The first one is under way.
    shards: VecDeque<Scrub>,
}

impl Scrubber {
    pub(crate) fn new(store: Arc<Store>, calls: Arc<Calls>, board: Arc<Board>) -> Self {
        let now = Instant::now();
        let changes = (store.changes_made(), now);
        Self { store, calls, board, passes: BTreeMap::new(), changes, not_before: now }
    }

    /// A slice of each pool that is due; true where there may be more to do. A slice that is told not to go on is given up.
    pub(crate) fn step(&mut self, go_on: &dyn Fn() -> bool) -> bool {
        let now = Instant::now();
        let wanted = self.board.wanted(unix_s());
        self.passes.retain(|pool, _| wanted.iter().any(|(of, ..)| of == pool));
        if wanted.is_empty() || now < self.not_before {
            return false;
        }
        let is_idle = self.is_idle(now);
        let mut more = false;
        for (pool, settings, is_due) in wanted {
            match self.slice(pool, settings, is_due, is_idle, go_on) {
                Ok(ran) => more |= ran,
                // Whoever uses the store is told what is wrong with it.
                Err(_) => {
                    self.not_before = now + RETRY_AFTER;
                    return false;
                }
            }
        }
        more
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        let changes = self.store.changes_made();
        if changes != self.changes.0 || self.calls.is_busy() {
            self.changes = (changes, now);
        }
        now.duration_since(self.changes.1) >= IDLE_AFTER
    }

    fn slice(
        &mut self,
        pool: PoolId,
        settings: ScrubSettings,
        is_due: bool,
        is_idle: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, VosError> {
        if !self.passes.contains_key(&pool) {
            if !is_due {
                return Ok(false);
            }
            let pass = Pass::begin(&self.store, pool)?;
            self.passes.insert(pool, pass);
            self.board.begin(pool, unix_s());
        }
        let Some(pass) = self.passes.get_mut(&pool) else { return Ok(false) };
        let is_wanted = match settings.mode {
            ScrubMode::Off => false,
            ScrubMode::Lazy => is_idle,
            ScrubMode::Timed => is_behind(pass.read, pass.total, pass.began.elapsed(), settings.freq_s),
        };
        if !is_wanted {
            return Ok(false);
        }
        let Some(scrub) = pass.shards.front_mut() else { return self.end(pool) };
        let part = self.store.scrub_step(scrub, CheckBudget { go_on, ..SLICE })?;
        if part.done {
            pass.shards.pop_front();
        }
        let bytes = part.pages * PAGE_BYTES as u64 + part.bytes;
        pass.read += bytes;
        let told = part.damaged.iter().map(|damage| told(&self.store, pool, damage)).collect();
        self.board.add(pool, bytes, told);
        Ok(true)
    }

    /// A pass is complete: what it found is kept.
    fn end(&mut self, pool: PoolId) -> Result<bool, VosError> {
        self.passes.remove(&pool);
        let Some(findings) = self.board.end(pool, unix_s()) else { return Ok(false) };
        let mut tx = self.store.begin()?;
        // Under the writer's lock: a pool that is being destroyed has no row left behind it.
        if self.store.service_row(&tables::pool_name(&pool.0))?.1.is_some() {
            tx.set_service_row(&row::findings_name(pool), Some(&findings.encode()))?;
            tx.commit()?;
        }
        // With no time between passes, others come first.
        Ok(false)
    }
}

impl Pass {
    /// Over the system's own shard and those of the pool, but for containers that are not to be scrubbed.
    fn begin(store: &Store, pool: PoolId) -> Result<Self, VosError> {
        let mut conts = Vec::new();
        for (uuid, row) in store.service_rows(&tables::cont_prefix(&pool.0))?.1 {
            let is_wanted = Row::decode(&row).is_ok_and(|row| !row.scrub_disabled);
            if let (true, Ok(uuid)) = (is_wanted, uuid.try_into()) {
                conts.push(ContainerId(uuid));
            }
        }
        let of_pool = store.shard_list()?.into_iter().filter(|(_, of, _)| *of == pool);
        let shards: Vec<ShardNum> = of_pool.map(|(num, ..)| num).collect();
        let space = store.space()?;
        let used = |num: &ShardNum| {
            let space = space.shards.get(num).copied().unwrap_or_default();
            (space.index + space.data).saturating_sub(space.index_free + space.data_free)
        };
        let total = shards.iter().chain([&SYSTEM_SHARD]).map(used).sum();
        let mut passes = VecDeque::from([Scrub::new(SYSTEM_SHARD, Vec::new())]);
        passes.extend(shards.iter().map(|num| Scrub::new(*num, conts.clone())));
        Ok(Self { began: Instant::now(), total, read: 0, shards: passes })
    }
}

/// A damage, for people.
fn told(store: &Store, pool: PoolId, damage: &ScrubDamage) -> String {
    let ScrubDamage { cont, oid, what } = damage;
    let Some(cont) = cont else { return what.clone() };
    let row = store.service_row(&tables::cont_name(&pool.0, &cont.0)).ok().and_then(|(_, row)| row);
    let label = row.and_then(|row| Row::decode(&row).ok()).map(|row| row.label);
    // Labels of served containers are known to the service of their pool.
    let label = label.filter(|label| !label.is_empty()).unwrap_or_else(|| cont.to_string());
    match oid {
        Some(oid) => format!("container {label}, object {oid}: {what}"),
        None => format!("container {label}: {what}"),
    }
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
