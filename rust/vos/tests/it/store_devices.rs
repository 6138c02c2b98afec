//! A store whose files lie on several devices, and pools that have no more than they were given.

use crate::common::{CONTAINER, IDENTITY, fetch_single, routed, small, with_devices};
use daos_types::{
    Cond, Durability, Epoch, Iod, IodValue, ObjectId, ObjectType, PoolId, Punched, ShardIdx, TargetIdx,
    UnitOid, Version,
};
use daos_vos::log::LogOptions;
use daos_vos::media::{Media, MemoryMedia, Roles};
use daos_vos::{ContNum, KV_AKEY, ObjectRef, Quota, ShardNum, Staged, Store, StoreOptions, VosError};
use std::sync::Arc;

fn options() -> StoreOptions {
    let log = LogOptions { log_bytes_max: 4 << 20, ..small(64).log };
    StoreOptions { memtable_count_max: 1 << 20, log, ..small(64) }
}

struct World {
    store: Store,
    epoch: u64,
}

impl World {
    fn new(media: Arc<dyn Media>) -> Self {
        Self { store: Store::create(routed(media).unwrap(), IDENTITY, options()).unwrap(), epoch: 1_000 }
    }

    /// A pool's shard on a target, with a container.
    fn shard(&self, pool: u8, target: u32) -> (ShardNum, ContNum) {
        let shard = self.store.shard_create(PoolId([pool; 16]), TargetIdx(target)).unwrap();
        let mut tx = self.store.begin().unwrap();
        let cont = tx.cont_open(shard, CONTAINER).unwrap();
        self.store.wait(tx.commit().unwrap(), Durability::Synced).unwrap();
        (shard, cont)
    }

    fn put(&mut self, (shard, cont): (ShardNum, ContNum), key: u64, len: usize) -> Result<(), VosError> {
        self.epoch += 1;
        let value = value(key, len);
        let iods = [Iod::new(KV_AKEY, IodValue::Single(&value))];
        let version = Version::new(Epoch(self.epoch), 1);
        let lsn = self.store.with_room(|| {
            let staged = self.store.stage(shard, &iods)?;
            let mut tx = self.store.begin()?;
            let dkey = key.to_le_bytes();
            tx.update_staged(shard, of(cont), version, &dkey, &iods, Cond::NONE, staged.as_ref())?;
            let lsn = tx.commit()?;
            staged.into_iter().for_each(Staged::keep);
            Ok(lsn)
        })?;
        self.store.wait(lsn, Durability::Synced)
    }

    fn delete(&mut self, (shard, cont): (ShardNum, ContNum), key: u64) -> Result<(), VosError> {
        self.epoch += 1;
        let version = Version::new(Epoch(self.epoch), 1);
        self.store.with_room(|| {
            let mut tx = self.store.begin()?;
            tx.punch(shard, of(cont), version, Punched::Dkey(&key.to_le_bytes()), Cond::NONE)?;
            tx.commit().map(drop)
        })
    }

    fn aggregate(&mut self, (shard, cont): (ShardNum, ContNum)) {
        self.epoch += 1;
        let mut tx = self.store.begin().unwrap();
        let mut pass = tx.aggregate(shard, cont, &[], Epoch(self.epoch)).unwrap();
        tx.commit().unwrap();
        while self.store.aggregate_step(&mut pass, 512).unwrap() {}
    }

    /// Puts until it is refused; how many went in.
    fn fill(&mut self, of: (ShardNum, ContNum), len: usize) -> u64 {
        let mut key = 0;
        loop {
            match self.put(of, key, len) {
                Ok(()) => key += 1,
                Err(VosError::NoSpace { .. }) => return key,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn check(&self, (shard, cont): (ShardNum, ContNum), key: u64, len: usize) {
        let view = self.store.view(shard).unwrap();
        let at = Version::read_at(Epoch::MAX);
        let dkey = key.to_le_bytes();
        let found = fetch_single(&view, of(cont), &dkey, KV_AKEY, at, Cond::NONE, <[u8]>::to_vec).1.unwrap();
        assert!(found == Some(value(key, len)), "key {key}");
    }
}

fn of(cont: ContNum) -> ObjectRef {
    let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvUint64, 1, 1, 0, 1), shard: ShardIdx(0) };
    ObjectRef { cont, oid }
}

fn value(key: u64, len: usize) -> Vec<u8> {
    key.to_le_bytes().into_iter().cycle().take(len).collect()
}

#[test]
fn each_target_has_its_device_for_data_and_fills_that_alone() {
    let media = with_devices(&[Roles::WAL.and(Roles::META), Roles::DATA, Roles::DATA]);
    let mut world = World::new(Arc::new(media.clone()));
    let [one, two, three] = [0, 1, 2].map(|target| world.shard(1, target));
    let used = |world: &World| -> Vec<u64> {
        world.store.space().unwrap().volumes.iter().map(|volume| volume.used).collect()
    };
    let before = used(&world);
    let fitted = world.fill(one, 100_000);
    assert!(fitted > 500, "{fitted}");
    let now = used(&world);
    assert!(now[0] == before[0] && now[3] == before[3] && now[2] > 60_000_000 * 9 / 10, "{before:?} {now:?}");
    // The third shares the device of the first.
    assert!(matches!(world.put(three, 0, 100_000), Err(VosError::NoSpace { .. })));
    world.put(three, 0, 100).unwrap();
    world.put(two, 0, 100_000).unwrap();
    world.store.close().unwrap();
    let (store, _) = Store::open(routed(Arc::new(media)).unwrap(), IDENTITY, options()).unwrap();
    world.store = store;
    world.check(one, fitted - 1, 100_000);
    world.check(two, 0, 100_000);
    world.check(three, 0, 100);
    // What is free at the end of a file is anybody's.
    for key in fitted - 10..fitted {
        world.delete(one, key).unwrap();
    }
    world.aggregate(one);
    world.put(three, 1, 100_000).unwrap();
    assert_eq!(world.store.space().unwrap().volumes.len(), 4);
}

#[test]
fn a_full_device_for_metadata_takes_deletes_and_comes_back() {
    let media = with_devices(&[Roles::META, Roles::WAL, Roles::DATA]);
    let mut world = World::new(Arc::new(media));
    let shard = world.shard(1, 0);
    let mut fitted = Vec::new();
    for round in 0..3 {
        let count = world.fill(shard, 2000);
        for key in [0, count / 2, count - 1] {
            world.check(shard, key, 2000);
        }
        for key in 0..count {
            if world.delete(shard, key).is_err() {
                world.aggregate(shard);
                world.delete(shard, key).unwrap();
            }
        }
        world.aggregate(shard);
        fitted.push(count);
        assert!(count > 5_000, "round {round}: {count}");
    }
    assert!(fitted[2] >= fitted[0] * 9 / 10, "{fitted:?}");
}

#[test]
fn a_pool_has_what_it_was_given_and_no_more_and_another_is_not_the_worse_for_it() {
    let mut world = World::new(Arc::new(MemoryMedia::new()));
    let [small, apart, free] = [1, 2, 3].map(|pool| world.shard(pool, 0));
    let store = &world.store;
    store.set_quota(small.0, Some(Quota { meta: 4 << 20, data: None })).unwrap();
    store.set_quota(apart.0, Some(Quota { meta: 2 << 20, data: Some(1 << 20) })).unwrap();
    assert_eq!(store.quota(free.0).unwrap(), None);
    let mut rounds = Vec::new();
    for _ in 0..3 {
        // Three quarters of four, where each takes 100,000 and a little.
        let fitted = world.fill(small, 100_000);
        rounds.push(fitted);
        let (_, left, _) = world.store.quota(small.0).unwrap().unwrap();
        assert!(left < 200_000, "{left}");
        assert!(matches!(world.put(small, 99, 10_000_000), Err(VosError::NoSpace { .. })));
        for key in 0..fitted {
            world.delete(small, key).unwrap();
        }
        world.aggregate(small);
    }
    assert!(rounds.iter().all(|fitted| (26..=31).contains(fitted)), "{rounds:?}");

    let large = world.fill(apart, 50_000);
    assert_eq!(large, (1 << 20) / 53_248);
    // What is small goes elsewhere.
    let tiny = world.fill(apart, 1000);
    assert!((500..1500).contains(&tiny), "{tiny}");
    assert_eq!(world.store.quota(apart.0).unwrap().unwrap().0.data, Some(1 << 20));
    world.put(free, 1, 30_000_000).unwrap();
    world.store.set_quota(apart.0, None).unwrap();
    world.put(apart, 1000, 3_000_000).unwrap();
}
