//! The store against a list of everything that was ever done to it.
//!
//! The model evaluates visibility from its definition: a value counts at a version if it was written at or before it and
//! nothing that holds it was punched since, up to that version. Epochs arrive in any order, merges happen at any time,
//! the store is closed and opened again.

use crate::common::{Branches, IDENTITY, aggregate, create, fetch_single};
use daos_types::{Cond, Durability, Epoch, ObjectId, ObjectType, ShardIdx};
use daos_types::{Iod, IodValue, Punched};
use daos_types::{UnitOid, Version};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{
    ContNum, KV_AKEY, KeysOf, ListRange, ObjectRef, Pair, PairPage, ShardNum, Store, StoreOptions, Tx,
    VosError,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Key = Vec<u8>;

#[derive(Debug, Clone)]
enum Event {
    Write { object: usize, dkey: Key, akey: Key, value: Vec<u8> },
    PunchObject { object: usize },
    PunchDkey { object: usize, dkey: Key },
    PunchAkey { object: usize, dkey: Key, akey: Key },
}

#[derive(Debug, Default)]
struct Model {
    events: Vec<(Version, Event)>,
    branches: Branches,
}

impl Model {
    /// The newest punch at or before `at` of the object, of the dkey, of the akey.
    fn floor(&self, at: Version, object: usize, dkey: Option<&Key>, akey: Option<&Key>) -> Version {
        let hides = |event: &Event| match event {
            Event::Write { .. } => false,
            Event::PunchObject { object: o } => *o == object,
            Event::PunchDkey { object: o, dkey: d } => *o == object && Some(d) == dkey,
            Event::PunchAkey { object: o, dkey: d, akey: a } => {
                *o == object && Some(d) == dkey && Some(a) == akey
            }
        };
        let punches =
            self.events.iter().filter(|(version, event)| self.branches.sees(at, *version) && hides(event));
        punches.map(|(version, _)| *version).max().unwrap_or_default()
    }

    fn writes(&self, at: Version, object: usize) -> impl Iterator<Item = (Version, &Key, &Key, &Vec<u8>)> {
        self.events.iter().filter_map(move |(version, event)| match event {
            Event::Write { object: o, dkey, akey, value }
                if *o == object && self.branches.sees(at, *version) =>
            {
                Some((*version, dkey, akey, value))
            }
            _ => None,
        })
    }

    fn value(&self, at: Version, object: usize, dkey: &Key, akey: &Key) -> Option<Vec<u8>> {
        let floor = self.floor(at, object, Some(dkey), Some(akey));
        let mine =
            self.writes(at, object).filter(|(version, d, a, _)| *d == dkey && *a == akey && *version > floor);
        mine.max_by_key(|(version, ..)| *version).map(|(.., value)| value.clone())
    }

    fn akeys(&self, at: Version, object: usize, dkey: &Key) -> BTreeSet<Key> {
        let all: BTreeSet<Key> =
            self.writes(at, object).filter(|(_, d, ..)| *d == dkey).map(|(_, _, a, _)| a.clone()).collect();
        all.into_iter().filter(|akey| self.value(at, object, dkey, akey).is_some()).collect()
    }

    fn dkey_alive(&self, at: Version, object: usize, dkey: &Key) -> bool {
        let floor = self.floor(at, object, Some(dkey), None);
        self.writes(at, object).any(|(version, d, ..)| d == dkey && version > floor)
    }

    fn dkeys(&self, at: Version, object: usize) -> BTreeSet<Key> {
        let all: BTreeSet<Key> = self.writes(at, object).map(|(_, d, ..)| d.clone()).collect();
        all.into_iter().filter(|dkey| self.dkey_alive(at, object, dkey)).collect()
    }

    fn object_alive(&self, at: Version, object: usize) -> bool {
        let floor = self.floor(at, object, None, None);
        self.writes(at, object).any(|(version, ..)| version > floor)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Update {
        object: usize,
        dkey: Key,
        values: BTreeMap<Key, Vec<u8>>,
        cond: u64,
        late: Option<u64>,
    },
    Batch {
        pairs: Vec<(Key, Vec<u8>)>,
        late: Option<u64>,
    },
    Punch {
        object: usize,
        dkey: Option<Key>,
        akeys: Vec<Key>,
        must_exist: bool,
        late: Option<u64>,
    },
    Merge,
    Reopen,
    Snapshot,
    /// Forgets all snapshots but some, and removes what nobody can read then at the present, or at some time before.
    Aggregate {
        forget: usize,
        lag: u64,
    },
    /// Back to a snapshot; epochs before can be read no more, or can.
    Rollback {
        which: prop::sample::Index,
        is_last: bool,
    },
    Look {
        back: u64,
        page: usize,
        reverse: bool,
    },
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        6 => proptest::sample::select(vec![b"a".to_vec(), b"b".to_vec(), b"a\0".to_vec(), b"a\0b".to_vec(), b"ab".to_vec()]),
        1 => proptest::sample::select(vec![vec![b'x'; 300], [vec![b'x'; 300], vec![1]].concat(), vec![0; 150]]),
    ]
}

fn late() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 1 => (1u64..60).prop_map(Some)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (1000usize..6000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let akeys = || proptest::collection::btree_map(key(), value(), 1..3);
    let conds = vec![
        0,
        0,
        0,
        Cond::DKEY_INSERT.0,
        Cond::DKEY_UPDATE.0,
        Cond::AKEY_INSERT.0,
        Cond::AKEY_UPDATE.0,
        (Cond::DKEY_UPDATE | Cond::AKEY_INSERT).0,
    ];
    prop_oneof![
        8 => (0..3usize, key(), akeys(), proptest::sample::select(conds), late())
            .prop_map(|(object, dkey, values, cond, late)| Step::Update { object, dkey, values, cond, late }),
        4 => (0..3usize, proptest::option::weighted(0.8, key()), proptest::collection::btree_set(key(), 0..3),
              any::<bool>(), late())
            .prop_map(|(object, dkey, akeys, must_exist, late)| Step::Punch {
                object, dkey, akeys: akeys.into_iter().collect(), must_exist, late }),
        2 => (proptest::collection::vec((key(), value()), 1..6), late())
            .prop_map(|(pairs, late)| Step::Batch { pairs, late }),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
        2 => Just(Step::Snapshot),
        1 => (0..3usize, prop_oneof![Just(0), 1..40u64]).prop_map(|(forget, lag)| Step::Aggregate { forget, lag }),
        2 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, is_last)| Step::Rollback { which, is_last }),
        3 => (0u64..70, 1usize..4, any::<bool>()).prop_map(|(back, page, reverse)| Step::Look { back, page, reverse }),
    ]
}

/// Objects 0 and 1 have akeys, object 2 is flat.
fn oid(object: usize) -> UnitOid {
    let kind = if object == 2 { ObjectType::KvHashed } else { ObjectType::MultiHashed };
    UnitOid { oid: ObjectId::generate(kind, 1, 1, 0, object as u64 + 1), shard: ShardIdx(0) }
}

struct World {
    media: Arc<dyn Media>,
    store: Option<Store>,
    shard: ShardNum,
    cont: ContNum,
    model: Model,
    clock: u64,
    used: BTreeSet<u64>,
    snapshots: BTreeSet<u64>,
    /// Before this only snapshots can be read.
    aggregated: u64,
}

fn options() -> StoreOptions {
    StoreOptions { memtable_count_max: 16, ..StoreOptions::default() }
}

impl World {
    fn new() -> Self {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::default());
        let (store, shard, cont) = create(Arc::clone(&media), options());
        Self {
            media,
            store: Some(store),
            shard,
            cont,
            model: Model::default(),
            clock: 100,
            used: BTreeSet::new(),
            snapshots: BTreeSet::new(),
            aggregated: 0,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn object(&self, object: usize) -> ObjectRef {
        ObjectRef { cont: self.cont, oid: oid(object) }
    }

    /// A new epoch, or an unused one in the past.
    fn version(&mut self, late: Option<u64>) -> Version {
        self.clock += 2;
        let epoch = self.clock - late.map_or(0, |late| late.min(self.clock - 1));
        let mut epoch = epoch.max(self.aggregated.max(self.model.branches.newest()) + 1);
        while !self.used.insert(epoch) {
            epoch += 1;
            self.clock = self.clock.max(epoch);
        }
        Version::new(Epoch(epoch), 1)
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Update { object, dkey, values, cond, late } => {
                self.update(*object, dkey, values, Cond(*cond), *late);
            }
            Step::Punch { object, dkey, akeys, must_exist, late } => {
                self.punch(*object, dkey.as_ref(), akeys, *must_exist, *late);
            }
            Step::Batch { pairs, late } => self.batch(pairs, *late),
            Step::Merge => {
                self.store().merge_all().unwrap();
            }
            Step::Reopen => {
                self.store = None;
                self.store = Some(Store::open(Arc::clone(&self.media), IDENTITY, options()).unwrap().0);
            }
            Step::Snapshot => {
                // Snapshots are of what was: nothing is written before them any more.
                self.clock += 2;
                self.snapshots.insert(self.clock);
            }
            Step::Aggregate { forget, lag } => self.aggregate(*forget, *lag),
            Step::Rollback { which, is_last } => self.roll_back(*which, *is_last),
            Step::Look { back, page, reverse } => {
                if let Some(at) = self.readable(*back) {
                    self.compare(at, *page, *reverse);
                }
            }
        }
        // Often enough a frozen memtable stays for a while, with newer and older changes above and below it.
        let wanted = self.store().merge_wanted() && self.clock.is_multiple_of(7);
        if wanted {
            self.store().merge_step().unwrap();
        }
    }

    fn update(
        &mut self,
        object: usize,
        dkey: &Key,
        values: &BTreeMap<Key, Vec<u8>>,
        cond: Cond,
        late: Option<u64>,
    ) {
        let version = self.version(late);
        let mut values = values.clone();
        if object == 2 {
            let value = values.into_values().next().unwrap();
            values = BTreeMap::from([(KV_AKEY.to_vec(), value)]);
        }
        let iods: Vec<Iod<'_>> =
            values.iter().map(|(akey, value)| Iod::new(akey, IodValue::Single(value))).collect();
        let alive = self.model.dkey_alive(version, object, dkey);
        let akeys = self.model.akeys(version, object, dkey);
        let any = values.keys().any(|akey| akeys.contains(akey));
        let all = values.keys().all(|akey| akeys.contains(akey));
        let exists = cond.has(Cond::DKEY_INSERT) && alive || cond.has(Cond::AKEY_INSERT) && any;
        let missing = cond.has(Cond::DKEY_UPDATE) && !alive || cond.has(Cond::AKEY_UPDATE) && !all;
        let mut tx = self.store().begin().unwrap();
        let result = tx.update(self.shard, self.object(object), version, dkey, &iods, cond);
        match result {
            Ok(()) => {
                assert!(!exists && !missing, "the condition {cond:?} should have failed");
                self.commit(tx);
                for (akey, value) in values {
                    self.model
                        .events
                        .push((version, Event::Write { object, dkey: dkey.clone(), akey, value }));
                }
            }
            Err(VosError::Exists { .. }) => assert!(exists, "nothing exists that must not"),
            Err(VosError::NotFound { .. }) => assert!(missing, "nothing is missing"),
            Err(other) => panic!("{other}"),
        }
    }

    /// A version that can still be read: so far back, or at the snapshot before.
    fn readable(&self, back: u64) -> Option<Version> {
        let epoch = self.clock.saturating_sub(back);
        let snapshot = || self.snapshots.range(..=epoch).next_back().copied();
        let epoch = if epoch >= self.aggregated { Some(epoch) } else { snapshot() };
        epoch.map(|epoch| Version::read_at(Epoch(epoch)))
    }

    fn roll_back(&mut self, which: prop::sample::Index, is_last: bool) {
        if self.snapshots.is_empty() {
            return;
        }
        let to = *which.get(&self.snapshots.iter().copied().collect::<Vec<_>>());
        self.clock += 2;
        let at = self.clock;
        if is_last {
            self.aggregated = at;
        }
        let store = self.store.as_ref().unwrap();
        let of = (self.shard, self.cont);
        self.model.branches.roll_back(store, of, (at, to), &self.snapshots, self.aggregated);
        let mut late = self.store().begin().unwrap();
        let version = Version::new(Epoch(at), 1);
        let punched = late.punch(self.shard, self.object(0), version, Punched::Object, Cond::NONE);
        assert!(matches!(punched, Err(VosError::Aggregated)), "a branch that was left must not grow");
        drop(late);
        self.compare(Version::read_at(Epoch::MAX), 2, false);
    }

    fn aggregate(&mut self, forget: usize, lag: u64) {
        while self.snapshots.len() > forget {
            self.snapshots.pop_first();
        }
        self.clock += 2;
        self.aggregated = self.aggregated.max(self.clock - lag);
        aggregate(self.store(), self.shard, self.cont, &self.snapshots, self.aggregated);
        for snapshot in &self.snapshots {
            self.compare(Version::read_at(Epoch(*snapshot)), 3, false);
        }
    }

    /// Values of several keys of the flat object: the same as one put after the other.
    fn batch(&mut self, pairs: &[(Key, Vec<u8>)], late: Option<u64>) {
        let version = self.version(late);
        let slices: Vec<Pair<'_>> = pairs.iter().map(|(key, value)| Pair::new(key, value)).collect();
        let mut tx = self.store().begin().unwrap();
        tx.update_batch(self.shard, self.object(2), version, &slices).unwrap();
        self.commit(tx);
        for (minor, (dkey, value)) in (version.minor..).zip(pairs) {
            let (dkey, akey, value) = (dkey.clone(), KV_AKEY.to_vec(), value.clone());
            let event = Event::Write { object: 2, dkey, akey, value };
            self.model.events.push((Version::new(version.epoch, minor), event));
        }
    }

    fn commit(&self, tx: Tx<'_>) {
        let position = tx.commit().unwrap();
        let durability = if position.0.is_multiple_of(3) { Durability::Synced } else { Durability::Buffered };
        self.store().wait(position, durability).unwrap();
    }

    fn punch(
        &mut self,
        object: usize,
        dkey: Option<&Key>,
        akeys: &[Key],
        must_exist: bool,
        late: Option<u64>,
    ) {
        let version = self.version(late);
        let flat = [KV_AKEY.to_vec()];
        let akeys = if object == 2 && !akeys.is_empty() { &flat[..] } else { akeys };
        let slices: Vec<&[u8]> = akeys.iter().map(Vec::as_slice).collect();
        let (what, missing) = match dkey {
            None => (Punched::Object, !self.model.object_alive(version, object)),
            Some(dkey) if akeys.is_empty() => {
                (Punched::Dkey(dkey), !self.model.dkey_alive(version, object, dkey))
            }
            Some(dkey) => {
                let there = self.model.akeys(version, object, dkey);
                (Punched::Akeys(dkey, &slices), akeys.iter().any(|akey| !there.contains(akey)))
            }
        };
        let cond = if must_exist { Cond::PUNCH } else { Cond::NONE };
        let mut tx = self.store().begin().unwrap();
        match tx.punch(self.shard, self.object(object), version, what, cond) {
            Ok(()) => {
                assert!(!(must_exist && missing), "punched what is not there");
                self.commit(tx);
            }
            Err(VosError::NotFound { .. }) => {
                assert!(must_exist && missing, "what is to be punched is there");
                return;
            }
            Err(other) => panic!("{other}"),
        }
        match dkey {
            None => self.model.events.push((version, Event::PunchObject { object })),
            // In a flat object the akey is the dkey.
            Some(dkey) if akeys.is_empty() || object == 2 => {
                self.model.events.push((version, Event::PunchDkey { object, dkey: dkey.clone() }));
            }
            Some(dkey) => {
                let alive = self.model.dkey_alive(version, object, dkey);
                for akey in akeys {
                    let (dkey, akey) = (dkey.clone(), akey.clone());
                    self.model.events.push((version, Event::PunchAkey { object, dkey, akey }));
                }
                if alive && self.model.akeys(version, object, dkey).is_empty() {
                    self.model.events.push((version, Event::PunchDkey { object, dkey: dkey.clone() }));
                }
            }
        }
    }

    /// Everything that can be read at a version.
    fn compare(&self, at: Version, page: usize, reverse: bool) {
        for object in 0..3 {
            let view = self.store().view(self.shard).unwrap();
            let of = self.object(object);
            assert_eq!(
                view.exists(of, KeysOf::Object, at).1.unwrap(),
                self.model.object_alive(at, object),
                "object {object} at {at:?}"
            );
            let dkeys = self.model.dkeys(at, object);
            assert_eq!(
                self.list(of, KeysOf::Object, at, page, reverse),
                dkeys,
                "dkeys of {object} at {at:?}"
            );
            self.compare_pairs(at, object, page, reverse);
            let ever: BTreeSet<Key> = self
                .model
                .writes(Version::read_at(Epoch::MAX), object)
                .map(|(_, dkey, ..)| dkey.clone())
                .collect();
            for dkey in ever {
                assert_eq!(
                    view.exists(of, KeysOf::Dkey(&dkey), at).1.unwrap(),
                    dkeys.contains(&dkey),
                    "dkey {dkey:?} of {object} at {at:?}"
                );
                let akeys = self.model.akeys(at, object, &dkey);
                let listed = self.list(of, KeysOf::Dkey(&dkey), at, page, reverse);
                assert_eq!(listed, akeys, "akeys of {dkey:?} of {object} at {at:?}");
                for akey in
                    [b"a".to_vec(), b"a\0".to_vec(), b"ab".to_vec(), vec![b'x'; 300], KV_AKEY.to_vec()]
                {
                    if (object == 2) != (akey == KV_AKEY) {
                        continue;
                    }
                    let (_, value) = fetch_single(&view, of, &dkey, &akey, at, Cond::NONE, <[u8]>::to_vec);
                    assert_eq!(
                        value.unwrap(),
                        self.model.value(at, object, &dkey, &akey),
                        "value of {dkey:?} {akey:?} of {object} at {at:?}"
                    );
                    let (_, value) = fetch_single(&view, of, &dkey, &akey, at, Cond::DKEY_FETCH, |_| ());
                    assert_eq!(matches!(value, Err(VosError::NotFound { .. })), !dkeys.contains(&dkey));
                }
            }
        }
    }

    /// A listing with values of the flat object is the listing of its keys with what each holds; others have none.
    fn compare_pairs(&self, at: Version, object: usize, page: usize, reverse: bool) {
        let (of, view) = (self.object(object), self.store().view(self.shard).unwrap());
        let (mut keys, mut from) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let range =
                ListRange { from: from.as_deref(), count_max: page, bytes_max: 7_000, reverse, to: None };
            let listed = match view.list_pairs(of, at, range).1 {
                Err(VosError::Invalid { .. }) => break assert_ne!(object, 2),
                listed => listed.unwrap(),
            };
            // An object that was never written is not looked at.
            assert!(object == 2 || listed == PairPage::default());
            let bytes = listed.keys.bytes() + listed.values.bytes();
            assert!(listed.keys.len() <= page && (bytes <= 7_000 || listed.keys.len() == 1));
            assert_eq!(listed.keys.len(), listed.values.len());
            for (key, value) in listed.keys.iter().zip(listed.values.iter()) {
                let key = key.to_vec();
                assert_eq!(Some(value.to_vec()), self.model.value(at, object, &key, &KV_AKEY.to_vec()));
                keys.push(key);
            }
            from = listed.next;
            if from.is_none() {
                let expected = self.list(of, KeysOf::Object, at, 100, reverse);
                assert_eq!(keys.len(), expected.len(), "a key came twice, or not");
                assert!(object != 2 || keys.into_iter().collect::<BTreeSet<_>>() == expected);
                break;
            }
        }
    }

    fn list(
        &self,
        of: ObjectRef,
        what: KeysOf<'_>,
        at: Version,
        page: usize,
        reverse: bool,
    ) -> BTreeSet<Key> {
        let mut all = Vec::new();
        let mut from: Option<Vec<u8>> = None;
        loop {
            let view = self.store().view(self.shard).unwrap();
            let range =
                ListRange { from: from.as_deref(), count_max: page, bytes_max: 1 << 20, reverse, to: None };
            let listed = view.list(of, what, at, range).1.unwrap();
            assert!(listed.keys.len() <= page);
            all.extend(listed.keys);
            match listed.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        let short: Vec<&Key> = all.iter().filter(|key| key.len() < 100).collect();
        let ordered = if reverse {
            short.windows(2).all(|pair| pair[0] > pair[1])
        } else {
            short.windows(2).all(|pair| pair[0] < pair[1])
        };
        assert!(ordered, "out of order: {all:?}");
        let set: BTreeSet<Key> = all.iter().cloned().collect();
        assert_eq!(set.len(), all.len(), "a key came twice");
        set
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_list_of_what_was_done(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        for back in [0, 7, 23, 61] {
            let Some(at) = world.readable(back) else { continue };
            world.compare(at, 2, back % 2 == 1);
        }
    }
}
