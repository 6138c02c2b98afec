//! When the relief is called, who tries again after it, and what becomes of its errors: the relief alone, with changes that find room
//! when the test says so.

use crate::common::{create, small};
use daos_types::{Cond, Durability, Epoch, Iod, IodValue, ObjectId, ObjectType, ShardIdx, UnitOid, Version};
use daos_vos::media::MemoryMedia;
use daos_vos::{ContNum, KV_AKEY, ObjectRef, Relief, ShardNum, Store, VosError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Changes after which a relief is worth another look, as `docs/internals/space.md` says.
const CHANGES: u64 = 64;

/// A relief that notes its calls.
#[derive(Debug, Default)]
struct Fake {
    calls: AtomicU64,
    /// How often changes were tried, and how often before it was called last.
    tries: AtomicU64,
    tries_before: AtomicU64,
    /// Whether it frees what lets changes through.
    frees: AtomicBool,
    freed: AtomicBool,
    fails: AtomicBool,
    /// It is not done before that is set.
    may_end: AtomicBool,
}

impl Relief for Fake {
    fn relieve(&self) -> Result<(), VosError> {
        self.calls.fetch_add(1, SeqCst);
        self.tries_before.store(self.tries.load(SeqCst), SeqCst);
        while !self.may_end.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.fails.load(SeqCst) {
            return Err(VosError::Stopped { why: "the relief".into() });
        }
        self.freed.store(self.frees.load(SeqCst), SeqCst);
        Ok(())
    }
}

struct World {
    store: Store,
    shard: ShardNum,
    cont: ContNum,
    relief: Arc<Fake>,
    epoch: AtomicU64,
}

fn refused() -> VosError {
    VosError::NoSpace { why: "the test says so".into() }
}

impl World {
    fn new(relief: Fake) -> Self {
        let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), small(64));
        let relief = Arc::new(relief);
        relief.may_end.store(true, SeqCst);
        store.set_relief(Arc::clone(&relief) as Arc<dyn Relief>);
        Self { store, shard, cont, relief, epoch: AtomicU64::new(1) }
    }

    /// Makes a change that finds room only behind a relief that frees.
    fn attempt(&self) -> Result<(), VosError> {
        self.store.with_room(|| {
            self.relief.tries.fetch_add(1, SeqCst);
            if self.relief.freed.load(SeqCst) { Ok(()) } else { Err(refused()) }
        })
    }

    /// Makes so many changes of the index, more or less one each.
    fn changes(&self, count: u64) {
        let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvUint64, 1, 1, 0, 1), shard: ShardIdx(0) };
        let of = ObjectRef { cont: self.cont, oid };
        let before = self.store.changes_made();
        while self.store.changes_made() < before + count {
            let epoch = Epoch(self.epoch.fetch_add(1, SeqCst));
            let iods = [Iod::new(KV_AKEY, IodValue::Single(b"x"))];
            let mut tx = self.store.begin().unwrap();
            tx.update_staged(
                self.shard,
                of,
                Version::new(epoch, 1),
                &1u64.to_le_bytes(),
                &iods,
                Cond::NONE,
                None,
            )
            .unwrap();
            self.store.wait(tx.commit().unwrap(), Durability::Buffered).unwrap();
        }
    }

    /// How often a change was tried behind the last call.
    fn tries_behind(&self) -> u64 {
        self.relief.tries.load(SeqCst) - self.relief.tries_before.load(SeqCst)
    }

    fn calls(&self) -> u64 {
        self.relief.calls.load(SeqCst)
    }
}

#[test]
fn the_first_refusal_calls_it_whatever_was_changed_since_the_store_was_opened() {
    let world = World::new(Fake { frees: true.into(), ..Fake::default() });
    world.attempt().unwrap();
    assert_eq!(world.calls(), 1);
    assert_eq!(world.tries_behind(), 1);
    assert!(world.store.take_refused());
    assert!(!world.store.take_refused());
}

#[test]
fn it_is_not_called_again_before_enough_has_changed() {
    let world = World::new(Fake::default());
    for _ in 0..3 {
        let error = world.attempt().unwrap_err();
        assert!(matches!(error, VosError::NoSpace { .. }), "{error:?}");
        assert_eq!(world.calls(), 1);
        // The background hears of every refusal.
        assert!(world.store.take_refused());
    }
    // A put of one key changes several rows at first, then one or two: fewer than it takes.
    world.changes(CHANGES / 2);
    world.attempt().unwrap_err();
    assert_eq!(world.calls(), 1);
    world.changes(CHANGES);
    world.relief.frees.store(true, SeqCst);
    world.attempt().unwrap();
    assert_eq!(world.calls(), 2);
}

#[test]
fn what_is_no_want_of_room_is_none_of_its_business() {
    let world = World::new(Fake { frees: true.into(), ..Fake::default() });
    world.store.with_room(|| Ok(())).unwrap();
    let error =
        world.store.with_room(|| Err::<(), _>(VosError::Stopped { why: "other".into() })).unwrap_err();
    assert!(matches!(error, VosError::Stopped { .. }), "{error:?}");
    assert_eq!(world.calls(), 0);
    assert!(!world.store.take_refused());
}

#[test]
fn its_own_error_is_told_and_it_may_be_tried_later() {
    let world = World::new(Fake { fails: true.into(), ..Fake::default() });
    let error = world.attempt().unwrap_err();
    assert!(matches!(&error, VosError::Stopped { why } if why == "the relief"), "{error:?}");
    // Not tried again behind what failed, and not at once.
    assert_eq!(world.tries_behind(), 0);
    assert!(matches!(world.attempt(), Err(VosError::NoSpace { .. })));
    world.relief.fails.store(false, SeqCst);
    world.relief.frees.store(true, SeqCst);
    world.changes(CHANGES);
    world.attempt().unwrap();
}

#[test]
fn without_one_a_refusal_is_told() {
    let (store, ..) = create(Arc::new(MemoryMedia::new()), small(64));
    assert!(matches!(store.with_room(|| Err::<(), _>(refused())), Err(VosError::NoSpace { .. })));
    assert!(store.take_refused());
}

/// Both are refused, one of them frees room for both.
#[test]
fn what_it_frees_is_for_all_who_were_refused() {
    let world = World::new(Fake { frees: true.into(), ..Fake::default() });
    world.relief.may_end.store(false, SeqCst);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| world.attempt())).collect();
        // All of them have been refused before anything is freed.
        while world.relief.tries.load(SeqCst) < 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        world.relief.may_end.store(true, SeqCst);
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
    assert_eq!(world.calls(), 1);
}
