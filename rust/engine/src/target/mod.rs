//! A target: one pool's shard of a store, and the requests it answers.
//!
//! Every method answers with the log position that its reply depends on; whoever sends the reply waits for that with
//! [`Target::gate`] first, also where the reply is an error.

pub mod once;
mod ops;
mod transaction;

pub use transaction::Draft;

use crate::clock::HybridClock;
use daos_locks::RwLock;
use daos_types::{Cond, ContainerId, Durability, Epoch, Origin, Version};
use daos_vos::{ContNum, ObjectRef, Seen, ShardNum, Store, View, VosError};
use daos_wire::ShardRef;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a request came to, and the log position that the reply depends on.
pub type Outcome<T> = (Seen, Result<T, VosError>);

/// One target of one pool.
#[derive(Debug)]
pub struct Target {
    store: Arc<Store>,
    shard: ShardNum,
    clock: Arc<HybridClock>,
    conts: RwLock<BTreeMap<ContainerId, ContNum>>,
    /// Counts destroyed containers, so that nobody remembers one that he looked up before.
    conts_destroyed: AtomicU64,
}

impl Target {
    /// A target over its shard.
    pub fn new(store: Arc<Store>, shard: ShardNum, clock: Arc<HybridClock>) -> Self {
        Self { store, shard, clock, conts: RwLock::default(), conts_destroyed: AtomicU64::new(0) }
    }

    /// The shard it stands on.
    pub fn shard(&self) -> ShardNum {
        self.shard
    }

    /// The reply gate: returns when what a reply depends on is as safe as was asked.
    pub fn gate(&self, seen: Seen, durability: Durability) -> Result<(), VosError> {
        self.store.wait(seen.0, durability)
    }

    /// Forgets a container that was destroyed. To be called under the writer's lock, when the change can be seen.
    pub fn forget_container(&self, cont: ContainerId) {
        let mut conts = self.conts.write();
        self.conts_destroyed.fetch_add(1, Ordering::Release);
        conts.remove(&cont);
    }

    /// The number of a container. What changes it asks under the writer's lock: then the container stays while it works.
    fn container(&self, id: ContainerId, seen: &mut Seen) -> Result<ContNum, VosError> {
        let known = self.conts.read().get(&id).copied();
        if let Some(cont) = known {
            return Ok(cont);
        }
        let destroyed = self.conts_destroyed.load(Ordering::Acquire);
        let (read, cont) = self.store.cont_num(self.shard, id)?;
        *seen = seen.and(read);
        let cont = cont.ok_or(VosError::NotFound { what: "container" })?;
        let mut conts = self.conts.write();
        if self.conts_destroyed.load(Ordering::Acquire) == destroyed {
            conts.insert(id, cont);
        }
        Ok(cont)
    }

    /// The object of a request.
    fn object(&self, of: ShardRef, seen: &mut Seen) -> Result<ObjectRef, VosError> {
        Ok(ObjectRef { cont: self.container(of.cont, seen)?, oid: of.oid })
    }

    /// Begins a read: the object, and the shard as it is now.
    fn look<T>(&self, of: ShardRef, read: impl FnOnce(View, ObjectRef) -> Outcome<T>) -> Outcome<T> {
        let mut seen = Seen::default();
        let begun = self.object(of, &mut seen).and_then(|of| Ok((self.store.view(self.shard)?, of)));
        match begun {
            Err(error) => (seen, Err(error)),
            Ok((view, of)) => {
                let (more, result) = read(view, of);
                (seen.and(more), result)
            }
        }
    }

    /// The version of a change made now. Called with the writer's lock held, so that epochs follow the log.
    fn now(&self) -> Version {
        Version::new(self.clock.next(), 1)
    }
}

/// What became of a change of a session, for good: where it has not happened, it never will. Durable with the position answered.
pub fn settle(store: &Store, clock: &HybridClock, origin: Origin) -> Outcome<bool> {
    let mut seen = Seen::default();
    let result = store.with_room(|| once::settle(store, origin, clock.next(), &mut seen));
    (seen, result)
}

/// The version of a read as of an epoch.
fn read_at(epoch: Epoch) -> Version {
    Version::read_at(epoch)
}

/// Flags that an operation knows; others are refused rather than ignored.
fn check_cond(cond: Cond, known: Cond) -> Result<(), VosError> {
    if cond.0 & !known.0 == 0 {
        return Ok(());
    }
    Err(VosError::Invalid {
        why: format!("conditions {:#x} mean nothing here; allowed are {:#x}", cond.0, known.0),
    })
}
