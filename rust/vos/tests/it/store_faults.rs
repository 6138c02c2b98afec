//! A device that fails or fills up at any of its calls: what was acknowledged stays, what was refused never happened,
//! what is unknown is there whole or not at all, and a full device serves again when there is room.

use crate::common::{IDENTITY, create, fetch_single, small};
use daos_types::{Cond, Durability, Epoch, ObjectId, ObjectType, ShardIdx};
use daos_types::{Iod, IodValue};
use daos_types::{UnitOid, Version};
use daos_vos::media::faulty::{Call, Fault, Faulty};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{ContNum, KV_AKEY, ObjectRef, ShardNum, Staged, Store, VosError};
use std::collections::BTreeMap;
use std::sync::Arc;

const CHANGES: u64 = 60;

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Acknowledged,
    Refused,
    Unknown,
}

struct World {
    inner: Arc<dyn Media>,
    faulty: Arc<Faulty>,
    store: Store,
    shard: ShardNum,
    cont: ContNum,
    ends: BTreeMap<u64, End>,
}

impl World {
    fn new() -> Self {
        let inner: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let faulty = Arc::new(Faulty::new(Arc::clone(&inner)));
        let (store, shard, cont) = create(faulty.clone(), small(16));
        Self { inner, faulty, store, shard, cont, ends: BTreeMap::new() }
    }

    fn of(&self) -> ObjectRef {
        let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvUint64, 1, 1, 0, 1), shard: ShardIdx(0) };
        ObjectRef { cont: self.cont, oid }
    }

    /// Two keys in one transaction, so that a half of it would show.
    fn change(&self, number: u64) -> Result<(), (End, VosError)> {
        let refused = |error| (End::Refused, error);
        let mut value = number.to_le_bytes().to_vec();
        // Some stay in the index, some go to the data file when they are merged, some before.
        let len = if number.is_multiple_of(7) {
            5_000
        } else if number.is_multiple_of(5) {
            9_000
        } else {
            100
        };
        value.resize(len, 1);
        let iods = [Iod::new(KV_AKEY, IodValue::Single(&value))];
        let stage = || self.store.stage(self.shard, &iods).map_err(refused);
        let staged = [stage()?, stage()?];
        let mut tx = self.store.begin().map_err(refused)?;
        for (minor, staged) in [1, 2].into_iter().zip(&staged) {
            let key = (2 * number + u64::from(minor)).to_le_bytes();
            let version = Version::new(Epoch(1_000 + number), minor);
            tx.update_staged(self.shard, self.of(), version, &key, &iods, Cond::NONE, staged.as_ref())
                .map_err(refused)?;
        }
        let position = tx.commit().map_err(refused)?;
        staged.into_iter().flatten().for_each(Staged::keep);
        let durability = if number.is_multiple_of(3) { Durability::Buffered } else { Durability::Synced };
        self.store.wait(position, durability).map_err(|error| (End::Unknown, error))
    }

    fn run(&mut self, numbers: std::ops::Range<u64>) -> Vec<VosError> {
        let mut errors = Vec::new();
        for number in numbers {
            let end = match self.change(number) {
                Ok(()) => End::Acknowledged,
                Err((end, error)) => {
                    errors.push(error);
                    end
                }
            };
            self.ends.insert(number, end);
            if self.store.merge_wanted()
                && let Err(error) = self.store.merge_step()
            {
                errors.push(error);
            }
        }
        errors
    }

    fn holds(&self, store: &Store, number: u64) -> [bool; 2] {
        let view = store.view(self.shard).unwrap();
        [1, 2].map(|minor: u64| {
            let key = (2 * number + minor).to_le_bytes();
            let at = Version::read_at(Epoch::MAX);
            let found = fetch_single(&view, self.of(), &key, KV_AKEY, at, Cond::NONE, |value| {
                assert_eq!(value[..8], number.to_le_bytes());
            });
            found.1.unwrap().is_some()
        })
    }

    /// What the ends promise, of a store that was opened again after the process died.
    fn check(&self, what: &str) {
        let (store, _) = Store::open(Arc::clone(&self.inner), IDENTITY, small(16))
            .unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
        for (number, end) in &self.ends {
            let held = self.holds(&store, *number);
            assert_eq!(held[0], held[1], "{what}: change {number} is half there");
            match end {
                End::Acknowledged => assert!(held[0], "{what}: acknowledged change {number} is lost"),
                End::Refused => assert!(!held[0], "{what}: refused change {number} is there"),
                End::Unknown => {}
            }
        }
    }
}

/// How many calls of each kind the workload makes.
fn calls(call: Call) -> u64 {
    let mut world = World::new();
    world.faulty.set(&[]);
    let errors = world.run(0..CHANGES);
    assert!(errors.is_empty(), "{errors:?}");
    world.check("without a fault");
    world.faulty.count(call)
}

#[test]
fn an_error_of_the_device_at_any_call_loses_nothing_and_is_told() {
    let mut told = 0;
    for call in [Call::Write, Call::Sync, Call::Size, Call::SyncNames, Call::Name] {
        let count = calls(call);
        for nth in 0..count {
            for always in [false, true] {
                let mut world = World::new();
                world.faulty.set(&[Fault::Fail { call, nth, always }]);
                let errors = world.run(0..CHANGES);
                told += errors.len();
                let what = format!("EIO at {call:?} {nth} of {count}, always {always}");
                if matches!(call, Call::Write | Call::Sync) {
                    assert!(!errors.is_empty(), "{what}: nobody was told");
                }
                // After an unknown outcome nothing more is acknowledged.
                let unknown =
                    world.ends.iter().find(|(_, end)| **end == End::Unknown).map(|(number, _)| *number);
                let later =
                    world.ends.iter().filter(|(number, _)| unknown.is_some_and(|unknown| **number > unknown));
                assert!(
                    later.clone().all(|(_, end)| *end != End::Acknowledged),
                    "{what}: served on after {unknown:?}"
                );
                world.faulty.set(&[]);
                world.check(&what);
            }
        }
    }
    assert!(told > 100);
}

#[test]
fn a_full_device_refuses_cleanly_and_serves_again_when_there_is_room() {
    let mut refused = 0;
    for call in [Call::Write, Call::Size] {
        let count = calls(call);
        for nth in 0..count {
            let mut world = World::new();
            world.faulty.set(&[Fault::Full { call, nth, always: call == Call::Size }]);
            let errors = world.run(0..CHANGES);
            let what = format!("full at {call:?} {nth} of {count}");
            refused += errors.iter().filter(|error| matches!(error, VosError::NoSpace { .. })).count();
            world.faulty.set(&[]);
            let stopped = errors.iter().any(|error| {
                matches!(error, VosError::Uncertain { .. } | VosError::Stopped { .. } | VosError::Io { .. })
            });
            // Room was promised for the log's groups and the index's superblock before: a device that breaks such a
            // promise stops the store; where it only refuses to grow, the store goes on.
            assert!(!stopped || call == Call::Write, "{what}: {errors:?}");
            if !stopped {
                let errors = world.run(CHANGES..CHANGES + 40);
                assert!(errors.is_empty(), "{what}: {errors:?} although there is room again");
            }
            world.check(&what);
        }
    }
    assert!(refused > 20, "only {refused} refusals");
}
