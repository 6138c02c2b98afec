//! Transactions that are decided later, across merges and openings at any moment.

use crate::common::{IDENTITY, create, fetch_single};
use daos_types::{Cond, Durability, Epoch, ObjectId, ObjectType, ShardIdx};
use daos_types::{Iod, IodValue, Punched};
use daos_types::{UnitOid, Version};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{ContNum, DtxId, KV_AKEY, ObjectRef, ShardNum, Store, StoreOptions, VosError};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const KEYS: u8 = 8;

#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    Prepare(Vec<u8>),
    /// Decides one of the prepared ones.
    Decide(usize, bool),
    /// So often: forgetting a transaction takes several.
    Merge(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..KEYS).prop_map(Step::Write),
        3 => proptest::collection::btree_set(0..KEYS, 1..4).prop_map(|keys| Step::Prepare(keys.into_iter().collect())),
        3 => (any::<proptest::sample::Index>(), any::<bool>()).prop_map(|(at, commit)| Step::Decide(at.index(8), commit)),
        2 => (1..4_u8).prop_map(Step::Merge),
        1 => Just(Step::Reopen),
    ]
}

type Content = BTreeMap<u8, u64>;

struct World {
    media: Arc<dyn Media>,
    store: Option<Store>,
    shard: ShardNum,
    cont: ContNum,
    epoch: u64,
    content: Content,
    /// What each undecided transaction writes: a key's new value, or its removal.
    prepared: Vec<(DtxId, BTreeMap<u8, Option<u64>>)>,
}

impl World {
    fn new() -> Self {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let (store, shard, cont) = create(Arc::clone(&media), StoreOptions::default());
        let mut world = Self {
            media,
            store: Some(store),
            shard,
            cont,
            epoch: 100,
            content: Content::new(),
            prepared: Vec::new(),
        };
        // The object exists before any transaction is undecided: else every writer would have to wait for its maker.
        world.run(&Step::Write(0));
        world
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn of(&self) -> ObjectRef {
        let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1), shard: ShardIdx(0) };
        ObjectRef { cont: self.cont, oid }
    }

    fn is_held(&self, key: u8) -> bool {
        self.prepared.iter().any(|(_, keys)| keys.contains_key(&key))
    }

    fn run(&mut self, step: &Step) {
        self.epoch += 1;
        let epoch = self.epoch;
        match step {
            Step::Write(key) if !self.is_held(*key) => {
                let mut tx = self.store().begin().unwrap();
                let value = epoch.to_le_bytes();
                let iods = [Iod::new(KV_AKEY, IodValue::Single(&value))];
                tx.update(self.shard, self.of(), Version::new(Epoch(epoch), 1), &[*key], &iods, Cond::NONE)
                    .unwrap();
                self.store().wait(tx.commit().unwrap(), Durability::Synced).unwrap();
                self.content.insert(*key, epoch);
            }
            Step::Prepare(keys) if !keys.iter().any(|key| self.is_held(*key)) => self.prepare(keys),
            Step::Decide(at, commit) if !self.prepared.is_empty() => {
                let (id, keys) = self.prepared.remove(at % self.prepared.len());
                let decided = if *commit { self.store().dtx_commit(id) } else { self.store().dtx_abort(id) };
                decided.unwrap();
                if *commit {
                    for (key, value) in keys {
                        match value {
                            Some(value) => self.content.insert(key, value),
                            None => self.content.remove(&key),
                        };
                    }
                }
                // Deciding the same way again changes nothing; the other way is refused.
                let again = if *commit { self.store().dtx_abort(id) } else { self.store().dtx_commit(id) };
                assert!(matches!(again, Err(VosError::Invalid { .. } | VosError::NotFound { .. })));
            }
            Step::Merge(times) => (0..*times).for_each(|_| self.store().merge_all().unwrap()),
            Step::Reopen => {
                self.store().sync().unwrap();
                self.store = None;
                let (store, _) =
                    Store::open(Arc::clone(&self.media), IDENTITY, StoreOptions::default()).unwrap();
                self.store = Some(store);
            }
            _ => {}
        }
        self.check();
    }

    fn prepare(&mut self, keys: &[u8]) {
        let id = DtxId { uuid: [7; 16], hlc: self.epoch };
        let mut tx = self.store().begin_dtx(id).unwrap();
        let mut written = BTreeMap::new();
        for (minor, key) in keys.iter().enumerate() {
            let version = Version::new(Epoch(self.epoch), minor as u16 + 1);
            if key % 3 == 0 {
                tx.punch(self.shard, self.of(), version, Punched::Dkey(&[*key]), Cond::NONE).unwrap();
                written.insert(*key, None);
            } else {
                let value = self.epoch.to_le_bytes();
                let iods = [Iod::new(KV_AKEY, IodValue::Single(&value))];
                tx.update(self.shard, self.of(), version, &[*key], &iods, Cond::NONE).unwrap();
                written.insert(*key, Some(self.epoch));
            }
        }
        self.store().wait(tx.prepare().unwrap(), Durability::Synced).unwrap();
        self.prepared.push((id, written));
    }

    fn check(&self) {
        let view = self.store().view(self.shard).unwrap();
        for key in 0..KEYS {
            let at = Version::read_at(Epoch::MAX);
            let (_, found) = fetch_single(&view, self.of(), &[key], KV_AKEY, at, Cond::NONE, |value| {
                u64::from_le_bytes(value.try_into().unwrap())
            });
            if self.is_held(key) {
                assert!(
                    matches!(found, Err(VosError::InProgress)),
                    "key {key}: {found:?} although undecided"
                );
            } else {
                assert_eq!(found.unwrap(), self.content.get(&key).copied(), "key {key}");
            }
            // What was there before an undecided transaction can be read as of then.
            if let Some((id, _)) = self.prepared.iter().find(|(_, keys)| keys.contains_key(&key)) {
                let before = Version::read_at(Epoch(id.hlc - 1));
                let (_, found) =
                    fetch_single(&view, self.of(), &[key], KV_AKEY, before, Cond::NONE, |value| {
                        u64::from_le_bytes(value.try_into().unwrap())
                    });
                assert_eq!(found.unwrap(), self.content.get(&key).copied(), "key {key} before");
            }
        }
        let mut prepared = self.store().dtx_prepared(self.shard).unwrap();
        let mut expected: Vec<DtxId> = self.prepared.iter().map(|(id, _)| *id).collect();
        prepared.sort_unstable();
        expected.sort_unstable();
        assert_eq!(prepared, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_counts_when_it_is_committed_and_never_when_it_is_not(steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        // In the end everything is decided, and nothing names a transaction any more.
        while !world.prepared.is_empty() {
            world.run(&Step::Decide(0, world.prepared.len().is_multiple_of(2)));
        }
        world.run(&Step::Merge(3));
        world.run(&Step::Reopen);
    }
}

#[test]
fn a_commit_needs_a_prepared_transaction_and_a_prepared_one_a_commit() {
    let world = World::new();
    let id = DtxId { uuid: [1; 16], hlc: 1 };
    assert!(matches!(world.store().dtx_commit(id), Err(VosError::NotFound { .. })));
    assert!(matches!(world.store().begin_dtx(id).unwrap().commit(), Err(VosError::Invalid { .. })));
    assert!(matches!(world.store().begin().unwrap().prepare(), Err(VosError::Invalid { .. })));
}
