//! A device that fills up: what is refused is refused before it is acknowledged, deletes always work, and what they free can be
//! written again, round after round.

use crate::common::{CONTAINER, IDENTITY, fetch_single, small};
use daos_types::{
    Cond, Durability, Epoch, Iod, IodValue, ObjectId, ObjectType, PoolId, Punched, ShardIdx, TargetIdx,
    UnitOid, Version,
};
use daos_vos::log::LogOptions;
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{ContNum, KV_AKEY, ObjectRef, ShardNum, Staged, Store, StoreOptions, VosError};
use std::collections::BTreeMap;
use std::sync::Arc;

const CAP: u64 = 8 << 20;

fn options() -> StoreOptions {
    let log = LogOptions { log_bytes_max: 1 << 20, ..small(64).log };
    StoreOptions { memtable_count_max: 1 << 20, log, ..small(64) }
}

struct World {
    media: Arc<dyn Media>,
    store: Store,
    shard: ShardNum,
    cont: ContNum,
    epoch: u64,
    /// What was acknowledged: lengths by key.
    model: BTreeMap<u64, usize>,
}

impl World {
    fn new() -> Self {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let store = Store::create(Arc::clone(&media), IDENTITY, options()).unwrap();
        store.set_bytes_max(Some(CAP)).unwrap();
        let shard = store.shard_create(PoolId([1; 16]), TargetIdx(0)).unwrap();
        let mut tx = store.begin().unwrap();
        let cont = tx.cont_open(shard, CONTAINER).unwrap();
        store.wait(tx.commit().unwrap(), Durability::Synced).unwrap();
        Self { media, store, shard, cont, epoch: 1_000, model: BTreeMap::new() }
    }

    fn reopen(&mut self) {
        let store = Store::open(Arc::clone(&self.media), IDENTITY, options()).unwrap().0;
        store.set_bytes_max(Some(CAP)).unwrap();
        self.store = store;
    }

    fn of(&self) -> ObjectRef {
        let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvUint64, 1, 1, 0, 1), shard: ShardIdx(0) };
        ObjectRef { cont: self.cont, oid }
    }

    fn put(&mut self, key: u64, len: usize) -> Result<(), VosError> {
        self.epoch += 1;
        let value = value(key, len);
        let iods = [Iod::new(KV_AKEY, IodValue::Single(&value))];
        let version = Version::new(Epoch(self.epoch), 1);
        let lsn = self.store.with_room(|| {
            let staged = self.store.stage(self.shard, &iods)?;
            let mut tx = self.store.begin()?;
            tx.update_staged(
                self.shard,
                self.of(),
                version,
                &key.to_le_bytes(),
                &iods,
                Cond::NONE,
                staged.as_ref(),
            )?;
            let lsn = tx.commit()?;
            staged.into_iter().for_each(Staged::keep);
            Ok(lsn)
        })?;
        self.store.wait(lsn, Durability::Buffered)?;
        self.model.insert(key, len);
        Ok(())
    }

    fn delete(&mut self, key: u64) -> Result<(), VosError> {
        self.epoch += 1;
        let version = Version::new(Epoch(self.epoch), 1);
        let dkey = key.to_le_bytes();
        let lsn = self.store.with_room(|| {
            let mut tx = self.store.begin()?;
            tx.punch(self.shard, self.of(), version, Punched::Dkey(&dkey), Cond::NONE)?;
            tx.commit()
        })?;
        self.store.wait(lsn, Durability::Buffered)?;
        self.model.remove(&key);
        Ok(())
    }

    /// Deletes all; each takes some room, which aggregating gives back.
    fn empty(&mut self) {
        let keys: Vec<u64> = self.model.keys().copied().collect();
        for key in keys {
            if let Err(error) = self.delete(key) {
                assert!(matches!(error, VosError::NoSpace { .. }), "{error:?}");
                self.aggregate().unwrap();
                self.delete(key).unwrap();
            }
        }
        self.aggregate().unwrap();
    }

    fn aggregate(&mut self) -> Result<(), VosError> {
        self.epoch += 1;
        let mut tx = self.store.begin()?;
        let mut pass = tx.aggregate(self.shard, self.cont, &[], Epoch(self.epoch))?;
        tx.commit()?;
        while self.store.aggregate_step(&mut pass, 512)? {}
        Ok(())
    }

    /// Puts until it is full; answers the bytes that fitted.
    fn fill(&mut self, len: impl Fn(u64) -> usize) -> usize {
        let mut key = 0;
        let mut bytes = 0;
        loop {
            match self.put(key, len(key)) {
                Ok(()) => bytes += len(key),
                Err(error) => {
                    assert!(matches!(error, VosError::NoSpace { .. }), "{error:?}");
                    return bytes;
                }
            }
            key += 1;
        }
    }

    fn check(&self) {
        let view = self.store.view(self.shard).unwrap();
        let end = self.model.keys().next_back().map_or(0, |last| last + 10);
        for key in 0..end {
            let at = Version::read_at(Epoch::MAX);
            let dkey = key.to_le_bytes();
            let found =
                fetch_single(&view, self.of(), &dkey, KV_AKEY, at, Cond::NONE, <[u8]>::to_vec).1.unwrap();
            assert_eq!(found, self.model.get(&key).map(|len| value(key, *len)), "key {key}");
        }
        let used: u64 = self
            .media
            .list()
            .unwrap()
            .iter()
            .map(|name| self.media.open(name).unwrap().size().unwrap())
            .sum();
        assert!(used <= CAP, "{used} bytes of {CAP}");
        let space = self.store.space().unwrap();
        assert_eq!((space.used, space.total), (used, CAP));
        let parts: u64 = space.shards.values().map(|shard| shard.index + shard.data).sum();
        assert!(parts + space.log <= used && used <= parts + space.log + (128 << 10), "{space:?}");
    }
}

fn value(key: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (key as usize + at) as u8).collect()
}

/// Short values, some for the data file later, some at once.
fn mixed(key: u64) -> usize {
    [100, 900, 2_000, 4_500, 9_000, 20_000][key as usize % 6]
}

#[test]
fn it_fills_up_empties_and_fills_again_without_a_leak() {
    for (what, len, least) in [
        ("short", &(|_| 200_usize) as &dyn Fn(u64) -> usize, CAP as usize / 20),
        ("mixed", &mixed, CAP as usize / 4),
        ("blocks", &|_| 4_096, CAP as usize / 3),
    ] {
        let mut world = World::new();
        let mut first = 0;
        for round in 0..20 {
            let bytes = world.fill(len);
            assert!(bytes >= least, "{what}: {bytes} bytes fitted in round {round}");
            if round == 0 {
                first = bytes;
            }
            assert!(bytes >= first / 20 * 19, "{what}: {first} bytes fitted first, {bytes} in round {round}");
            world.check();
            if round % 7 == 3 {
                world.reopen();
                world.check();
            }
            world.empty();
            world.check();
        }
    }
}
