//! The extreme keys of objects with integer keys, against a map.

use crate::common::create;
use daos_types::{AkeyQuery, ArrayFetch, Extent, FetchIod, FetchValue, KeyFound, KeyQuery};
use daos_types::{Cond, Durability, Epoch, ObjectId, ObjectType, ShardIdx};
use daos_types::{Iod, IodValue, Punched};
use daos_types::{UnitOid, Version};
use daos_vos::media::MemoryMedia;
use daos_vos::{ObjectRef, StoreOptions, VosError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    Put(u64, u64),
    PunchDkey(u64),
    PunchAkey(u64, u64),
    Merge,
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..6u64, Just(255), Just(256), Just(u64::MAX - 1), Just(u64::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (number(), number()).prop_map(|(dkey, akey)| Step::Put(dkey, akey)),
        2 => number().prop_map(Step::PunchDkey),
        2 => (number(), number()).prop_map(|(dkey, akey)| Step::PunchAkey(dkey, akey)),
        1 => Just(Step::Merge),
    ]
}

fn object(kind: ObjectType) -> UnitOid {
    UnitOid { oid: ObjectId::generate(kind, 1, 1, 0, 1), shard: ShardIdx(0) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_extremes_are_those_of_the_map(steps in proptest::collection::vec(step(), 1..40)) {
        let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
        let of = ObjectRef { cont, oid: object(ObjectType::MultiUint64) };
        let mut model: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (at, step) in steps.iter().enumerate() {
            let version = Version::new(Epoch(100 + at as u64), 1);
            let mut tx = store.begin().unwrap();
            match step {
                Step::Put(dkey, akey) => {
                    let akey_bytes = akey.to_le_bytes();
                    let iods = [Iod::new(&akey_bytes, IodValue::Single(b"x"))];
                    tx.update(shard, of, version, &dkey.to_le_bytes(), &iods, Cond::NONE).unwrap();
                    model.entry(*dkey).or_default().insert(*akey);
                }
                Step::PunchDkey(dkey) => {
                    tx.punch(shard, of, version, Punched::Dkey(&dkey.to_le_bytes()), Cond::NONE).unwrap();
                    model.remove(dkey);
                }
                Step::PunchAkey(dkey, akey) => {
                    let akey_bytes = akey.to_le_bytes();
                    let what = Punched::Akeys(&dkey.to_le_bytes(), &[&akey_bytes]);
                    tx.punch(shard, of, version, what, Cond::NONE).unwrap();
                    if let Some(akeys) = model.get_mut(dkey) {
                        akeys.remove(akey);
                    }
                    model.retain(|_, akeys| !akeys.is_empty());
                }
                Step::Merge => {
                    drop(tx);
                    store.merge_all().unwrap();
                    continue;
                }
            }
            store.wait(tx.commit().unwrap(), Durability::Buffered).unwrap();
        }
        let view = store.view(shard).unwrap();
        let now = Version::read_at(Epoch::MAX);
        for greatest in [false, true] {
            let pick = |set: &BTreeSet<u64>| if greatest { set.last().copied() } else { set.first().copied() };
            let dkey = if greatest { model.last_key_value() } else { model.first_key_value() };
            let query = KeyQuery { greatest, dkey: None, akey: AkeyQuery::Extreme, recx: false };
            let expected = dkey.map(|(dkey, akeys)| KeyFound { dkey: Some(*dkey), akey: pick(akeys), ..KeyFound::default() });
            prop_assert_eq!(view.query_key(of, query, now).1.unwrap(), expected);
            let query = KeyQuery { akey: AkeyQuery::None, ..query };
            let expected = dkey.map(|(dkey, _)| KeyFound { dkey: Some(*dkey), ..KeyFound::default() });
            prop_assert_eq!(view.query_key(of, query, now).1.unwrap(), expected);
            for (dkey, akeys) in &model {
                let query = KeyQuery { greatest, dkey: Some(&dkey.to_le_bytes()), akey: AkeyQuery::Extreme, recx: false };
                let expected = Some(KeyFound { akey: pick(akeys), ..KeyFound::default() });
                prop_assert_eq!(view.query_key(of, query, now).1.unwrap(), expected);
            }
        }
    }
}

#[test]
fn only_integer_keys_have_extremes() {
    let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
    let view = store.view(shard).unwrap();
    let ask = |kind, dkey, akey| {
        let of = ObjectRef { cont, oid: object(kind) };
        view.query_key(of, KeyQuery { greatest: true, dkey, akey, recx: false }, Version::read_at(Epoch::MAX))
            .1
    };
    assert!(matches!(ask(ObjectType::MultiHashed, None, AkeyQuery::None), Err(VosError::Invalid { .. })));
    assert!(matches!(ask(ObjectType::DkeyUint64, None, AkeyQuery::Extreme), Err(VosError::Invalid { .. })));
    assert!(matches!(
        ask(ObjectType::MultiUint64, Some(&[0; 8]), AkeyQuery::None),
        Err(VosError::Invalid { .. })
    ));
    assert_eq!(ask(ObjectType::DkeyUint64, None, AkeyQuery::None).unwrap(), None);
}

#[test]
fn the_extreme_stretch_is_whole_and_found_behind_many_holes() {
    let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
    let of = ObjectRef { cont, oid: object(ObjectType::DkeyUint64) };
    let dkey = 5_u64.to_le_bytes();
    let epochs = std::cell::Cell::new(100);
    let put = |akey: &[u8], index: u64, count: u64, hole: bool| {
        epochs.set(epochs.get() + 1);
        let recxs = [Extent { index, count }];
        let data = vec![7; count as usize];
        let value = if hole {
            IodValue::Holes(&recxs)
        } else {
            IodValue::Array { rec_size: 1, recxs: &recxs, data: &data }
        };
        let mut tx = store.begin().unwrap();
        let version = Version::new(Epoch(epochs.get()), 1);
        tx.update(shard, of, version, &dkey, &[Iod::new(akey, value)], Cond::NONE).unwrap();
        tx.commit().unwrap();
    };
    let extreme = |akey: &[u8], greatest: bool| {
        let query = KeyQuery { greatest, dkey: Some(&dkey), akey: AkeyQuery::Given(akey), recx: true };
        let found = store.view(shard).unwrap().query_key(of, query, Version::read_at(Epoch::MAX)).1.unwrap();
        found.and_then(|found| found.recx).map(|recx| (recx.index, recx.count))
    };
    // One long extent, then many short ones beside it of which nothing is left.
    put(b"long", 10_000, 5_000, false);
    assert_eq!([false, true].map(|greatest| extreme(b"long", greatest)), [Some((10_000, 5_000)); 2]);
    for at in 0..300 {
        put(b"long", 15_000 + 10 * at, 10, false);
        put(b"long", 10 * at, 10, false);
    }
    put(b"long", 15_000, 3_000, true);
    put(b"long", 0, 3_000, true);
    assert_eq!([false, true].map(|greatest| extreme(b"long", greatest)), [Some((10_000, 5_000)); 2]);
    put(b"long", 12_000, 1, true);
    assert_eq!(extreme(b"long", false), Some((10_000, 2_000)));
    assert_eq!(extreme(b"long", true), Some((12_001, 2_999)));
    put(b"long", 10_000, 1_900, true);
    put(b"long", 12_100, 2_900, true);
    assert_eq!(extreme(b"long", false), Some((11_900, 100)));
    assert_eq!(extreme(b"long", true), Some((12_001, 99)));
}

/// A change of an array over several dkeys.
#[derive(Debug, Clone)]
enum Change {
    Write {
        dkey: u64,
        recx: Extent,
    },
    Hole {
        dkey: u64,
        recx: Extent,
    },
    PunchDkey(u64),
    PunchAkey(u64),
    PunchObject,
    /// A single value beside the array.
    Beside(u64),
    Merge,
}

fn change() -> impl Strategy<Value = Change> {
    let recx = || (0..200_u64, 1..80_u64).prop_map(|(index, count)| Extent { index, count });
    let dkey = || 1..5_u64;
    prop_oneof![
        8 => (dkey(), recx()).prop_map(|(dkey, recx)| Change::Write { dkey, recx }),
        3 => (dkey(), recx()).prop_map(|(dkey, recx)| Change::Hole { dkey, recx }),
        2 => dkey().prop_map(Change::PunchDkey),
        1 => dkey().prop_map(Change::PunchAkey),
        1 => Just(Change::PunchObject),
        1 => dkey().prop_map(Change::Beside),
        1 => Just(Change::Merge),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_array_ends_where_the_last_of_its_dkeys_does_that_shows_anything(
        changes in proptest::collection::vec(change(), 1..60)
    ) {
        let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
        let of = ObjectRef { cont, oid: object(ObjectType::DkeyUint64) };
        let mut epoch = 100;
        for change in &changes {
            epoch += 1;
            let version = Version::new(Epoch(epoch), 1);
            let mut tx = store.begin().unwrap();
            let put = |tx: &mut daos_vos::Tx<'_>, dkey: u64, akey: &[u8], value: IodValue<'_>| {
                tx.update(shard, of, version, &dkey.to_le_bytes(), &[Iod::new(akey, value)], Cond::NONE).unwrap();
            };
            match change {
                Change::Write { dkey, recx } => {
                    let data = vec![epoch as u8; recx.count as usize];
                    put(&mut tx, *dkey, b"a", IodValue::Array { rec_size: 1, recxs: &[*recx], data: &data });
                }
                Change::Hole { dkey, recx } => put(&mut tx, *dkey, b"a", IodValue::Holes(&[*recx])),
                Change::Beside(dkey) => put(&mut tx, *dkey, b"b", IodValue::Single(b"x")),
                Change::PunchDkey(dkey) => {
                    tx.punch(shard, of, version, Punched::Dkey(&dkey.to_le_bytes()), Cond::NONE).unwrap();
                }
                Change::PunchAkey(dkey) => {
                    let what = Punched::Akeys(&dkey.to_le_bytes(), &[b"a"]);
                    tx.punch(shard, of, version, what, Cond::NONE).unwrap();
                }
                Change::PunchObject => tx.punch(shard, of, version, Punched::Object, Cond::NONE).unwrap(),
                Change::Merge => {
                    drop(tx);
                    store.merge_all().unwrap();
                    continue;
                }
            }
            tx.commit().unwrap();
        }
        let view = store.view(shard).unwrap();
        let ask = |dkey: Option<&[u8]>, at: u64| {
            let query = KeyQuery { greatest: true, dkey, akey: AkeyQuery::Given(b"a"), recx: true };
            let found = view.query_key(of, query, Version::read_at(Epoch(at))).1.unwrap();
            found.and_then(|found| Some((found.dkey, found.recx?.end(), found.rec_size)))
        };
        for at in (100..=epoch).rev().step_by(7).chain([u64::MAX]) {
            let of_dkey = |dkey: u64| {
                ask(Some(&dkey.to_le_bytes()), at).map(|(_, end, rec_size)| (Some(dkey), end, rec_size))
            };
            prop_assert_eq!(ask(None, at), (1..5).rev().find_map(of_dkey), "at {}", at);
        }
    }
}

#[test]
fn arrays_of_several_akeys_are_read_in_any_order() {
    let (store, shard, cont) = create(Arc::new(MemoryMedia::new()), StoreOptions::default());
    let of = ObjectRef { cont, oid: object(ObjectType::MultiHashed) };
    let akeys: [&[u8]; 3] = [b"a", b"b", b"c"];
    let recxs = [Extent { index: 0, count: 4 }];
    let mut tx = store.begin().unwrap();
    for (nth, akey) in akeys.into_iter().enumerate() {
        let data = [nth as u8 + 1; 4];
        let iods = [Iod::new(akey, IodValue::Array { rec_size: 1, recxs: &recxs, data: &data })];
        tx.update(shard, of, Version::new(Epoch(10), nth as u16 + 1), b"d", &iods, Cond::NONE).unwrap();
    }
    tx.commit().unwrap();
    for is_merged in [false, true] {
        if is_merged {
            store.merge_all().unwrap();
        }
        let view = store.view(shard).unwrap();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 1, 0], [2, 0, 0]] {
            let mut read = [[0; 4]; 3];
            let mut iods: Vec<_> = order
                .iter()
                .zip(&mut read)
                .map(|(nth, data)| {
                    FetchIod::new(akeys[*nth], FetchValue::Array(ArrayFetch::new(&recxs, data, 1)))
                })
                .collect();
            let at = Version::read_at(Epoch(10));
            view.fetch(of, b"d", &mut iods, at, Cond::AKEY_FETCH).1.unwrap();
            drop(iods);
            assert_eq!(read, order.map(|nth| [nth as u8 + 1; 4]), "{order:?}");
        }
    }
}
