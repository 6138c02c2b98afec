//! Arrays against a list of every write, hole and punch: epochs in any order, extents of all sizes, merges and openings between.

use crate::common::{Branches, IDENTITY, aggregate, create};
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, Durability, Epoch, Extent, FetchIod, FetchValue, Iod, IodValue, KeyQuery,
    ObjectId, ObjectType, Punched, ShardIdx, UnitOid, Version,
};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{ContNum, KeysOf, ListRange, ObjectRef, ShardNum, Store, StoreOptions, VosError};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The akeys and the size of their records: small ones, some that fill blocks, some that are stored one by one.
const AKEYS: [(&[u8], u64); 3] = [(b"bytes", 1), (b"records", 3_000), (b"large", 70_000)];
/// Where chunks of these meet.
const CHUNKS: [u64; 3] = [1 << 20, 256, 8];
const DKEYS: [&[u8]; 2] = [b"x", b"y"];
/// What a buffer holds before it is read into.
const UNREAD: u8 = 0xEE;

#[derive(Debug, Clone)]
enum What {
    Write(Vec<Extent>),
    Holes(Vec<Extent>),
    PunchAkey,
    PunchDkey,
    PunchObject,
}

#[derive(Debug, Clone)]
enum Step {
    Change {
        dkey: usize,
        akey: usize,
        what: What,
        late: Option<u64>,
    },
    /// Writes the same extents again and again.
    Again {
        dkey: usize,
        akey: usize,
        recxs: Vec<Extent>,
        times: usize,
    },
    Merge,
    Reopen,
    Snapshot,
    /// Forgets all snapshots but some, and removes what nobody can read then at the present, or at some time before.
    Aggregate {
        forget: usize,
        lag: u64,
    },
    /// Back to a snapshot.
    Rollback {
        which: prop::sample::Index,
    },
    Read {
        dkey: usize,
        akey: usize,
        recxs: Vec<Extent>,
        back: u64,
    },
}

fn recxs(akey: usize) -> impl Strategy<Value = Vec<Extent>> {
    let chunk = CHUNKS[akey];
    let long = if akey == 0 { 100_000 } else { 3 * chunk };
    let begin = prop_oneof![0..40_u64, chunk.saturating_sub(20)..chunk + 20, 2 * chunk - 3..2 * chunk + 3];
    let count = prop_oneof![4 => 1..30_u64, 1 => 1..long.min(5_000), 1 => 1..=long.min(if akey == 0 { long } else { 30 })];
    let one = (begin.clone(), count).prop_map(|(index, count)| vec![Extent { index, count }]);
    let strided = (begin, 1..9_u64, 1..9_u64, 2..40_u64).prop_map(|(index, count, gap, blocks)| {
        (0..blocks).map(|at| Extent { index: index + at * (count + gap), count }).collect()
    });
    let scattered = proptest::collection::vec((0..50_u64, 1..20_u64), 1..6).prop_map(move |steps| {
        let mut index = chunk.saturating_sub(60);
        let place = |(gap, count): (u64, u64)| {
            let recx = Extent { index: index + gap, count };
            index = recx.end();
            recx
        };
        let mut list: Vec<Extent> = steps.into_iter().map(place).collect();
        list.reverse();
        list
    });
    // Few records of the large kind: they take megabytes else.
    let short = move |list: &Vec<Extent>| akey < 2 || list.iter().map(|recx| recx.count).sum::<u64>() <= 40;
    prop_oneof![3 => one, 1 => strided, 1 => scattered].prop_filter("short", short)
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0..DKEYS.len(), prop_oneof![5 => Just(0_usize), 3 => Just(1), 1 => Just(2)]);
    let late = || prop_oneof![3 => Just(None), 1 => (1u64..40).prop_map(Some)];
    let change = place().prop_flat_map(move |(dkey, akey)| {
        let what = prop_oneof![
            10 => recxs(akey).prop_map(What::Write),
            3 => recxs(akey).prop_map(What::Holes),
            1 => (0..50u64).prop_map(|index| What::Holes(vec![Extent { index, count: 1 << 40 }])),
            1 => Just(What::PunchAkey),
            1 => Just(What::PunchDkey),
            1 => Just(What::PunchObject),
        ];
        (what, late()).prop_map(move |(what, late)| Step::Change { dkey, akey, what, late })
    });
    let read = place().prop_flat_map(|(dkey, akey)| {
        (recxs(akey), 0..50u64).prop_map(move |(recxs, back)| Step::Read { dkey, akey, recxs, back })
    });
    let again = place().prop_flat_map(|(dkey, akey)| {
        (recxs(akey), 2..12_usize).prop_map(move |(recxs, times)| Step::Again { dkey, akey, recxs, times })
    });
    prop_oneof![8 => change, 1 => again, 4 => read, 1 => Just(Step::Merge), 1 => Just(Step::Reopen),
        2 => Just(Step::Snapshot), 1 => any::<prop::sample::Index>().prop_map(|which| Step::Rollback { which }),
        1 => (0..3usize, prop_oneof![Just(0), 1..40u64]).prop_map(|(forget, lag)| Step::Aggregate { forget, lag })]
}

#[derive(Debug)]
struct Event {
    version: Version,
    dkey: usize,
    akey: usize,
    what: What,
}

#[derive(Debug, Default)]
struct Model(Vec<Event>, Branches);

impl Model {
    fn floor(&self, at: Version, dkey: usize, akey: usize) -> Version {
        let hides = |event: &&Event| {
            self.1.sees(at, event.version)
                && match event.what {
                    What::PunchObject => true,
                    What::PunchDkey => event.dkey == dkey,
                    What::PunchAkey => (event.dkey, event.akey) == (dkey, akey),
                    _ => false,
                }
        };
        self.0.iter().filter(hides).map(|event| event.version).max().unwrap_or_default()
    }

    /// What was written to an array and counts at a version, the newest first.
    fn writes(&self, at: Version, dkey: usize, akey: usize) -> Vec<&Event> {
        let floor = self.floor(at, dkey, akey);
        let counts = |event: &&Event| {
            (event.dkey, event.akey) == (dkey, akey)
                && self.1.sees(at, event.version)
                && event.version > floor
                && matches!(event.what, What::Write(_) | What::Holes(_))
        };
        let mut writes: Vec<&Event> = self.0.iter().filter(counts).collect();
        writes.sort_by_key(|event| std::cmp::Reverse(event.version));
        writes
    }

    /// The version of a record; `None` where it is a hole.
    fn record(writes: &[&Event], index: u64) -> Option<Version> {
        writes.iter().find_map(|event| {
            let holds = |recxs: &[Extent]| recxs.iter().any(|recx| (recx.index..recx.end()).contains(&index));
            match &event.what {
                What::Write(recxs) if holds(recxs) => Some(Some(event.version)),
                What::Holes(recxs) if holds(recxs) => Some(None),
                _ => None,
            }
        })?
    }
}

/// The bytes of a record written at a version.
fn fill(version: Version, index: u64, out: &mut [u8]) {
    let seed = version.epoch.0.wrapping_mul(31).wrapping_add(index.wrapping_mul(7)) as u8;
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = seed.wrapping_add(at as u8);
    }
}

fn total(recxs: &[Extent]) -> u64 {
    recxs.iter().map(|recx| recx.count).sum()
}

struct World {
    media: Arc<dyn Media>,
    store: Option<Store>,
    shard: ShardNum,
    of: ObjectRef,
    model: Model,
    clock: u64,
    used: BTreeSet<u64>,
    snapshots: BTreeSet<u64>,
    /// Before this only snapshots can be read.
    aggregated: u64,
}

fn options() -> StoreOptions {
    StoreOptions { memtable_count_max: 24, defer_bytes_max: 20_000, ..StoreOptions::default() }
}

fn object(cont: ContNum, kind: ObjectType) -> ObjectRef {
    let oid = ObjectId::generate(kind, 1, 1, 0, 1);
    ObjectRef { cont, oid: UnitOid { oid, shard: ShardIdx(0) } }
}

impl World {
    fn new() -> Self {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::default());
        let (store, shard, cont) = create(Arc::clone(&media), options());
        let of = object(cont, ObjectType::MultiHashed);
        let (model, used) = (Model::default(), BTreeSet::new());
        let snapshots = BTreeSet::new();
        Self { media, store: Some(store), shard, of, model, clock: 100, used, snapshots, aggregated: 0 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn version(&mut self, late: Option<u64>) -> Version {
        self.clock += 2;
        let least = self.aggregated.max(self.model.1.newest()) + 1;
        let mut epoch = (self.clock - late.unwrap_or(0)).max(least);
        while !self.used.insert(epoch) {
            epoch += 1;
            self.clock = self.clock.max(epoch);
        }
        Version::new(Epoch(epoch), 1)
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Change { dkey, akey, what, late } => {
                let version = self.version(*late);
                self.change(*dkey, *akey, what, version);
            }
            Step::Again { dkey, akey, recxs, times } => {
                for _ in 0..*times {
                    let version = self.version(None);
                    self.change(*dkey, *akey, &What::Write(recxs.clone()), version);
                }
            }
            Step::Merge => self.store().merge_all().unwrap(),
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
            Step::Rollback { which } => self.roll_back(*which),
            Step::Read { dkey, akey, recxs, back } => {
                if let Some(at) = self.readable(*back) {
                    self.compare(*dkey, *akey, recxs, at);
                }
            }
        }
        if self.store().merge_wanted() && self.clock.is_multiple_of(3) {
            self.store().merge_step().unwrap();
        }
    }

    /// A version that can still be read: so far back, or at the snapshot before.
    fn readable(&self, back: u64) -> Option<Version> {
        let epoch = self.clock.saturating_sub(back);
        let epoch = if epoch >= self.aggregated {
            Some(epoch)
        } else {
            self.snapshots.range(..=epoch).next_back().copied()
        };
        epoch.map(|epoch| Version::read_at(Epoch(epoch)))
    }

    fn roll_back(&mut self, which: prop::sample::Index) {
        if self.snapshots.is_empty() {
            return;
        }
        let to = *which.get(&self.snapshots.iter().copied().collect::<Vec<_>>());
        self.clock += 2;
        let (store, of) = (self.store.as_ref().unwrap(), (self.shard, self.of.cont));
        self.model.1.roll_back(store, of, (self.clock, to), &self.snapshots, self.aggregated);
        self.compare_keys(Version::read_at(Epoch::MAX));
    }

    fn aggregate(&mut self, forget: usize, lag: u64) {
        while self.snapshots.len() > forget {
            self.snapshots.pop_first();
        }
        self.clock += 2;
        self.aggregated = self.aggregated.max(self.clock - lag);
        aggregate(self.store(), self.shard, self.of.cont, &self.snapshots, self.aggregated);
        for snapshot in self.snapshots.clone() {
            self.compare_keys(Version::read_at(Epoch(snapshot)));
        }
        self.compare_keys(Version::read_at(Epoch::MAX));
    }

    fn change(&mut self, dkey: usize, akey: usize, what: &What, version: Version) {
        let (name, rec_size) = AKEYS[akey];
        let mut data = Vec::new();
        let value = match what {
            What::Write(recxs) => {
                data.resize((total(recxs) * rec_size) as usize, 0);
                let records = recxs.iter().flat_map(|recx| recx.index..recx.end());
                for (record, out) in records.zip(data.chunks_mut(rec_size as usize)) {
                    fill(version, record, out);
                }
                Some(IodValue::Array { rec_size, recxs, data: &data })
            }
            What::Holes(recxs) => Some(IodValue::Holes(recxs)),
            _ => None,
        };
        let store = self.store();
        let position = if let Some(value) = value {
            let iods = [Iod::new(name, value)];
            let staged = store.stage(self.shard, &iods).unwrap();
            let mut tx = store.begin().unwrap();
            tx.update_staged(self.shard, self.of, version, DKEYS[dkey], &iods, Cond::NONE, staged.as_ref())
                .unwrap();
            let position = tx.commit().unwrap();
            if let Some(staged) = staged {
                staged.keep();
            }
            position
        } else {
            let akeys = [name];
            let punched = match what {
                What::PunchObject => Punched::Object,
                What::PunchDkey => Punched::Dkey(DKEYS[dkey]),
                _ => Punched::Akeys(DKEYS[dkey], &akeys),
            };
            let mut tx = store.begin().unwrap();
            tx.punch(self.shard, self.of, version, punched, Cond::NONE).unwrap();
            tx.commit().unwrap()
        };
        let durability = if position.0.is_multiple_of(3) { Durability::Synced } else { Durability::Buffered };
        store.wait(position, durability).unwrap();
        let emptied = matches!(what, What::PunchAkey)
            && (0..AKEYS.len())
                .all(|other| other == akey || self.model.writes(version, dkey, other).is_empty())
            && !self.model.writes(version, dkey, akey).is_empty();
        self.model.0.push(Event { version, dkey, akey, what: what.clone() });
        if emptied {
            self.model.0.push(Event { version, dkey, akey, what: What::PunchDkey });
        }
    }

    fn fetch(&self, dkey: usize, akey: usize, recxs: &[Extent], at: Version) -> (u64, Vec<u8>, Vec<bool>) {
        let (name, rec_size) = AKEYS[akey];
        let mut data = vec![UNREAD; (total(recxs) * rec_size) as usize];
        let view = self.store().view(self.shard).unwrap();
        let array = ArrayFetch::new(recxs, &mut data, rec_size);
        let mut iods = [FetchIod::new(name, FetchValue::Array(array))];
        view.fetch(self.of, DKEYS[dkey], &mut iods, at, Cond::NONE).1.unwrap();
        let FetchValue::Array(array) = &iods[0].value else { panic!("another kind") };
        let mut holes = vec![false; total(recxs) as usize];
        for hole in &array.holes {
            assert!(hole.start < hole.end && hole.start % rec_size as usize == 0);
            holes[hole.start / rec_size as usize..hole.end / rec_size as usize].fill(true);
        }
        assert!(array.holes.windows(2).all(|pair| pair[0].end < pair[1].start));
        (array.rec_size, data, holes)
    }

    fn compare(&self, dkey: usize, akey: usize, recxs: &[Extent], at: Version) {
        let rec_size = AKEYS[akey].1 as usize;
        let writes = self.model.writes(at, dkey, akey);
        let (found, data, holes) = self.fetch(dkey, akey, recxs, at);
        let is_written = writes.iter().any(|event| matches!(event.what, What::Write(_)));
        // Where a late punch took the records away that holes were made in, the size may be kept or not.
        let sizes: &[usize] = if is_written {
            &[rec_size]
        } else if writes.is_empty() {
            &[0]
        } else {
            &[0, rec_size]
        };
        assert!(sizes.contains(&(found as usize)), "records of {found} bytes");
        let records = recxs.iter().flat_map(|recx| recx.index..recx.end());
        let mut expected = vec![0; rec_size];
        for ((record, bytes), hole) in records.zip(data.chunks(rec_size)).zip(holes) {
            match Model::record(&writes, record) {
                Some(version) => fill(version, record, &mut expected),
                None => expected.fill(UNREAD),
            }
            assert!(bytes == expected, "record {record} of {dkey}/{akey} at {at:?}");
            assert_eq!(hole, Model::record(&writes, record).is_none(), "record {record}");
        }
    }

    /// What can be seen of the keys and of the ends of arrays.
    fn compare_keys(&self, at: Version) {
        let view = self.store().view(self.shard).unwrap();
        for (dkey, name) in DKEYS.iter().enumerate() {
            let range = ListRange {
                from: None,
                count_max: 99,
                bytes_max: 1 << 20,
                reverse: at.epoch.0.is_multiple_of(2),
                to: None,
            };
            let listed = view.list(self.of, KeysOf::Dkey(name), at, range).1.unwrap();
            let listed: BTreeSet<&[u8]> = listed.keys.iter().map(Vec::as_slice).collect();
            let alive = |akey: &usize| !self.model.writes(at, dkey, *akey).is_empty();
            let expected = (0..AKEYS.len()).filter(alive).map(|akey| AKEYS[akey].0).collect();
            assert_eq!(listed, expected, "akeys of {dkey} at {at:?}");
            for (akey, (name_of_akey, _)) in AKEYS.iter().enumerate() {
                let writes = self.model.writes(at, dkey, akey);
                let ends = writes.iter().filter_map(|event| match &event.what {
                    What::Write(recxs) => recxs
                        .iter()
                        .map(|recx| (recx.index, recx.end() - 1))
                        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
                    _ => None,
                });
                // Only the records written at all can be the first or the last.
                let span = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                let visible = |index: &u64| Model::record(&writes, *index).is_some();
                let (first, last) = span.map_or((None, None), |(from, to)| {
                    ((from..=to).find(visible), (from..=to).rev().find(visible))
                });
                for greatest in [false, true] {
                    let query = KeyQuery {
                        greatest,
                        dkey: Some(name),
                        akey: AkeyQuery::Given(name_of_akey),
                        recx: true,
                    };
                    let found = view.query_key(self.of, query, at).1.unwrap();
                    let stretch = found.and_then(|found| found.recx);
                    assert!(stretch.is_none_or(|recx| (recx.index..recx.end()).all(|index| visible(&index))));
                    let end = stretch.map(|recx| if greatest { recx.end() - 1 } else { recx.index });
                    assert_eq!(end, if greatest { last } else { first }, "{dkey}/{akey} at {at:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn arrays_are_the_list_of_what_was_written(steps in proptest::collection::vec(step(), 1..50)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        for back in [0, 11, 37] {
            let Some(at) = world.readable(back) else { continue };
            for (akey, chunk) in CHUNKS.iter().enumerate() {
                let near = Extent { index: chunk.saturating_sub(30), count: 60 };
                let recxs = if akey == 2 { vec![Extent { index: 0, count: 26 }] } else { vec![Extent { index: 0, count: 60 }, near] };
                for dkey in 0..DKEYS.len() {
                    world.compare(dkey, akey, &recxs, at);
                }
            }
            world.compare_keys(at);
        }
        // Whatever was stored, dropped and merged: no two entries name one block, and all that they name is there.
        while world.store().census_step().unwrap() {}
    }
}

fn write<'a>(rec_size: u64, recxs: &'a [Extent], data: &'a [u8]) -> [Iod<'a>; 1] {
    [Iod::new(b"a", IodValue::Array { rec_size, recxs, data })]
}

#[test]
fn an_akey_keeps_its_kind_and_record_size_until_it_is_punched() {
    let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
    let of = object(cont, ObjectType::MultiHashed);
    let at = |epoch| Version::new(Epoch(epoch), 1);
    let one = [Extent { index: 0, count: 1 }];
    let single = [Iod::new(b"a", IodValue::Single(b"v"))];
    let holes = [Iod::new(b"a", IodValue::Holes(&one))];
    let update = |epoch, iods: &[Iod<'_>]| {
        let mut tx = store.begin().unwrap();
        tx.update(shard, of, at(epoch), b"d", iods, Cond::NONE)?;
        tx.commit()
    };
    let punch = |epoch| {
        let mut tx = store.begin().unwrap();
        tx.punch(shard, of, at(epoch), Punched::Akeys(b"d", &[b"a"]), Cond::NONE).unwrap();
        tx.commit().unwrap();
    };
    update(10, &write(8, &one, &[1; 8])).unwrap();
    assert!(matches!(update(11, &single), Err(VosError::OtherKind { .. })));
    assert!(matches!(update(12, &write(4, &one, &[1; 4])), Err(VosError::Invalid { .. })));
    punch(13);
    update(14, &single).unwrap();
    for iods in [&write(8, &one, &[1; 8])[..], &holes] {
        assert!(matches!(update(15, iods), Err(VosError::OtherKind { .. })));
    }
    punch(16);
    // Holes alone leave the size open.
    update(17, &holes).unwrap();
    update(18, &write(4, &one, &[2; 4])).unwrap();
    // What arrives late must fit what came after it.
    assert!(matches!(update(9, &write(4, &one, &[2; 4])), Err(VosError::Invalid { .. })));
    update(8, &write(8, &one, &[3; 8])).unwrap();
    let view = store.view(shard).unwrap();
    for (epoch, rec_size, first) in [(8, 8, 3), (10, 8, 1), (13, 0, 0), (17, 0, 0), (18, 4, 2)] {
        let mut data = [0; 8];
        let data = &mut data[..if rec_size == 4 { 4 } else { 8 }];
        let asked = data.len() as u64;
        let array = ArrayFetch::new(&one, data, asked);
        let mut iods = [FetchIod::new(b"a", FetchValue::Array(array))];
        view.fetch(of, b"d", &mut iods, Version::read_at(Epoch(epoch)), Cond::NONE).1.unwrap();
        let FetchValue::Array(array) = &iods[0].value else { panic!("another kind") };
        assert_eq!(
            (array.rec_size, array.data[0], array.holes.len()),
            (rec_size, first, usize::from(rec_size == 0))
        );
    }
    // Read as another size, or as a single value.
    let mut data = [7; 2];
    let array = ArrayFetch::new(&one, &mut data, 2);
    let mut iods = [FetchIod::new(b"a", FetchValue::Array(array))];
    view.fetch(of, b"d", &mut iods, Version::read_at(Epoch::MAX), Cond::NONE).1.unwrap();
    let FetchValue::Array(array) = &iods[0].value else { panic!("another kind") };
    assert_eq!((array.rec_size, array.data[0]), (4, 7));
    let mut value: Vec<u8> = Vec::new();
    let mut iods = [FetchIod::new(b"a", FetchValue::Single(&mut value))];
    let read = view.fetch(of, b"d", &mut iods, Version::read_at(Epoch::MAX), Cond::NONE).1;
    assert!(matches!(read, Err(VosError::OtherKind { .. })));
}

#[test]
fn a_regular_list_is_one_entry() {
    let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
    let of = object(cont, ObjectType::MultiHashed);
    let entries = |epoch, recxs: &[Extent]| {
        let before = store.memtable_load().1;
        let data = vec![1; total(recxs) as usize * 8];
        let mut tx = store.begin().unwrap();
        tx.update(shard, of, Version::new(Epoch(epoch), 1), b"d", &write(8, recxs, &data), Cond::NONE)
            .unwrap();
        tx.commit().unwrap();
        store.memtable_load().1 - before
    };
    entries(1, &[Extent { index: 0, count: 1 }]);
    let regular: Vec<Extent> = (0..1000).map(|at| Extent { index: at * 16, count: 8 }).collect();
    assert_eq!(entries(2, &regular), 1);
    let mut irregular = regular;
    irregular[500].index += 1;
    assert_eq!(entries(3, &irregular), 3);
}

#[test]
fn what_is_staged_is_not_free_to_a_count_that_does_not_see_it() {
    let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
    let of = object(cont, ObjectType::MultiHashed);
    let values = [vec![1_u8; 200_000], vec![2; 200_000]];
    let staged: Vec<_> = values
        .iter()
        .map(|value| {
            let iods = [Iod::new(b"a", IodValue::Single(value))];
            let staged = store.stage(shard, &iods).unwrap();
            // As the background does at any time.
            while store.census_step().unwrap() {}
            staged
        })
        .collect();
    for ((value, staged), dkey) in values.iter().zip(staged).zip(DKEYS) {
        let iods = [Iod::new(b"a", IodValue::Single(value))];
        let mut tx = store.begin().unwrap();
        let version = Version::new(Epoch(5), 1);
        tx.update_staged(shard, of, version, dkey, &iods, Cond::NONE, staged.as_ref()).unwrap();
        tx.commit().unwrap();
        staged.unwrap().keep();
    }
    let view = store.view(shard).unwrap();
    for (value, dkey) in values.iter().zip(DKEYS) {
        let mut found: Vec<u8> = Vec::new();
        let mut iods = [FetchIod::new(b"a", FetchValue::Single(&mut found))];
        view.fetch(of, dkey, &mut iods, Version::read_at(Epoch::MAX), Cond::NONE).1.unwrap();
        assert!(found == *value);
    }
}
