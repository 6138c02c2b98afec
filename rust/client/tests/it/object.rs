//! Objects: several shards look like one.

use crate::memory::Memory;
use crate::{CONT, oid};
use daos_client::{Object, Result};
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, Der, Durability, Epoch, Extent, FetchIod, FetchValue, Iod, IodValue,
    KeyQuery, ObjectId, ObjectType, Punched,
};
use std::sync::Arc;

const SHARDS: u16 = 3;

fn open(kind: ObjectType, epoch: Epoch) -> Object<Memory> {
    let route = Arc::new(Memory::new(u32::from(SHARDS)));
    Object::open(route, CONT, oid(kind, SHARDS), Durability::Synced, epoch).unwrap()
}

fn iod<'a>(akey: &'a [u8], value: IodValue<'a>) -> Iod<'a> {
    Iod::new(akey, value)
}

fn single(object: &Object<Memory>, dkey: &[u8], akey: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = Vec::new();
    let mut iods = [FetchIod::new(akey, FetchValue::Single(&mut value))];
    object.fetch(dkey, &mut iods, Cond::NONE).unwrap();
    value
}

fn all(list: impl Fn(Option<&[u8]>) -> Result<daos_client::KeyPage>) -> Vec<Vec<u8>> {
    let (mut found, mut anchor) = (Vec::new(), None);
    loop {
        let page = list(anchor.as_deref()).unwrap();
        found.extend(page.keys);
        anchor = page.anchor;
        if anchor.is_none() {
            return found;
        }
    }
}

#[test]
fn several_akeys_of_a_dkey_at_once() {
    let object = open(ObjectType::MultiHashed, Epoch::MAX);
    let recxs = [Extent { index: 500, count: 3 }];
    let wind = IodValue::Array { rec_size: 2, recxs: &recxs, data: b"aabbcc" };
    object
        .update(b"d", &[iod(b"station", IodValue::Single(b"ABC")), iod(b"wind", wind)], Cond::NONE)
        .unwrap();
    let mut data = [b'.'; 8];
    let mut station: Vec<u8> = Vec::new();
    let asked = [Extent { index: 499, count: 4 }];
    let mut iods = [
        FetchIod::new(b"station", FetchValue::Single(&mut station)),
        FetchIod::new(b"wind", FetchValue::Array(ArrayFetch::new(&asked, &mut data, 2))),
    ];
    object.fetch(b"d", &mut iods, Cond::NONE).unwrap();
    assert_eq!((&station[..], &data), (&b"ABC"[..], b"..aabbcc"));
    object.punch(Punched::Akeys(b"d", &[b"station"]), Cond::PUNCH).unwrap();
    assert_eq!(single(&object, b"d", b"station"), b"");
    assert_eq!(all(|from| object.list_akeys(b"d", from, 1, false)), [b"wind"]);
}

#[test]
fn listings_go_over_all_shards_and_both_ways() {
    let object = open(ObjectType::MultiHashed, Epoch::MAX);
    let names: Vec<Vec<u8>> = (0..40).map(|number| format!("{number:02}").into_bytes()).collect();
    for name in &names {
        object.update(name, &[iod(b"a", IodValue::Single(b"1"))], Cond::NONE).unwrap();
    }
    let forth = all(|from| object.list_dkeys(from, 7, false));
    let mut back = all(|from| object.list_dkeys(from, 3, true));
    back.reverse();
    assert_eq!(forth, back);
    let mut found = forth;
    found.sort_unstable();
    assert_eq!(found, names);
    assert_eq!(object.list_dkeys(Some(b"x"), 1, false).unwrap_err().der, Der::Inval);
}

#[test]
fn a_query_finds_the_extreme_over_all_shards() {
    let object = open(ObjectType::DkeyUint64, Epoch::MAX);
    let asked = |greatest| KeyQuery { greatest, dkey: None, akey: AkeyQuery::None, recx: false };
    assert_eq!(object.query(asked(true)).unwrap(), None);
    for number in [300_u64, 7, 65_536, 90, 1_000_000, 12] {
        object.update(&number.to_le_bytes(), &[iod(b"a", IodValue::Single(b"1"))], Cond::NONE).unwrap();
    }
    let dkey = |greatest| object.query(asked(greatest)).unwrap().unwrap().dkey;
    assert_eq!((dkey(true), dkey(false)), (Some(1_000_000), Some(7)));
    let one = 90_u64.to_le_bytes();
    let given = KeyQuery { greatest: true, dkey: Some(&one), akey: AkeyQuery::Given(b"a"), recx: false };
    assert!(object.query(given).unwrap().is_some());
    assert!(object.query(KeyQuery { akey: AkeyQuery::Given(b"b"), ..given }).unwrap().is_none());
}

#[test]
fn an_object_is_there_if_any_of_its_shards_is() {
    let object = open(ObjectType::MultiHashed, Epoch::MAX);
    assert_eq!(object.punch(Punched::Object, Cond::PUNCH).unwrap_err().der, Der::Nonexist);
    object.punch(Punched::Object, Cond::NONE).unwrap();
    object.update(b"d", &[iod(b"a", IodValue::Single(b"1"))], Cond::NONE).unwrap();
    object.punch(Punched::Object, Cond::PUNCH).unwrap();
    assert_eq!(single(&object, b"d", b"a"), b"");
    assert_eq!(object.punch(Punched::Dkey(b"d"), Cond::PUNCH).unwrap_err().der, Der::Nonexist);
}

#[test]
fn another_epoch_than_now_is_read_only() {
    let object = open(ObjectType::MultiHashed, Epoch(5));
    let denied = [
        object.update(b"d", &[iod(b"a", IodValue::Single(b"1"))], Cond::NONE),
        object.punch(Punched::Dkey(b"d"), Cond::NONE),
        object.update_all(std::iter::empty()),
    ];
    for refused in denied {
        assert_eq!(refused.unwrap_err().der, Der::NoPerm);
    }
    assert_eq!(single(&object, b"d", b"a"), b"");
}

#[test]
fn ids_of_no_such_object_are_refused() {
    let route = Arc::new(Memory::new(1));
    for hi in [1_u64 << 56, 14 << 56, 200 << 56] {
        let opened =
            Object::open(Arc::clone(&route), CONT, ObjectId { hi, lo: 1 }, Durability::Synced, Epoch::MAX);
        assert_eq!(opened.unwrap_err().der, Der::Notype);
    }
}
