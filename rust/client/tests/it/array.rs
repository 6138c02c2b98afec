//! Arrays against a plain list of cells, and what requests they become.

use crate::memory::{Asked, Memory};
use crate::{CONT, oid};
use daos_client::array::{CELL_SIZE_MAX, CELLS_MAX, default_chunk_size};
use daos_client::{Array, Error, Object};
use daos_types::{Cond, Der, Durability, Epoch, Extent, Iod, IodValue, ObjectType};
use proptest::prelude::*;
use std::sync::Arc;

const SHARDS: u16 = 3;

fn create(route: &Arc<Memory>, cell_size: u64, chunk_size: u64) -> Result<Array<Memory>, Error> {
    let oid = oid(ObjectType::Array, SHARDS);
    Array::create(Arc::clone(route), CONT, oid, Durability::Synced, cell_size, chunk_size)
}

fn open(route: &Arc<Memory>, epoch: Epoch) -> Result<Array<Memory>, Error> {
    Array::open(Arc::clone(route), CONT, oid(ObjectType::Array, SHARDS), Durability::Synced, epoch)
}

fn made(cell_size: u64, chunk_size: u64) -> (Arc<Memory>, Array<Memory>) {
    let route = Arc::new(Memory::new(u32::from(SHARDS)));
    let array = create(&route, cell_size, chunk_size).unwrap();
    route.asked();
    (route, array)
}

fn bytes(array: &Array<Memory>, start: u64, count: usize) -> Vec<u8> {
    let mut data = vec![b'?'; count];
    array.read(start, &mut data, Some(b".")).unwrap();
    data
}

fn extent(index: u64, count: u64) -> Extent {
    Extent { index, count }
}

#[test]
fn an_array_is_made_once_and_opened_with_what_it_stores() {
    let route = Arc::new(Memory::new(u32::from(SHARDS)));
    assert_eq!(open(&route, Epoch::MAX).unwrap_err().der, Der::Nonexist);
    create(&route, 8, 1000).unwrap();
    assert_eq!(create(&route, 4, 10).unwrap_err().der, Der::Exist);
    let array = open(&route, Epoch::MAX).unwrap();
    assert_eq!((array.cell_size(), array.chunk_size(), array.size().unwrap()), (8, 1000, 0));
    array.write(3, b"12345678").unwrap();
    array.destroy().unwrap();
    assert_eq!(open(&route, Epoch::MAX).unwrap_err().der, Der::Nonexist);
    assert_eq!(create(&route, 1, 10).unwrap().size().unwrap(), 0);
}

#[test]
fn the_stored_sizes_are_those_of_daos() {
    let (route, _) = made(8, 1000);
    let object = Object::open(
        Arc::clone(&route),
        CONT,
        oid(ObjectType::Array, SHARDS),
        Durability::Synced,
        Epoch::MAX,
    )
    .unwrap();
    let akeys = object.list_akeys(&[0; 8], None, 10, false).unwrap().keys;
    assert_eq!(akeys, [b"daos_array_metadata"]);
    let good = b"\xa9\x55\xca\xda\xa9\x55\xca\xda\x08\0\0\0\0\0\0\0\xe8\x03\0\0\0\0\0\0";
    let put = |stored: &[u8]| {
        let iods = [Iod::new(b"daos_array_metadata", IodValue::Single(stored))];
        object.update(&[0; 8], &iods, Cond::NONE).unwrap();
    };
    put(good);
    assert_eq!(open(&route, Epoch::MAX).unwrap().chunk_size(), 1000);
    let mut magic = *good;
    magic[0] = 0;
    let mut cell = *good;
    cell[8] = 0;
    let mut chunk = *good;
    chunk[16..].fill(0xFF);
    for bad in [&good[..23], b"x", &[&good[..], b"x"].concat(), &magic, &cell, &chunk] {
        put(bad);
        assert_eq!(open(&route, Epoch::MAX).unwrap_err().der, Der::NoPerm, "{bad:?}");
    }
}

#[test]
fn arrays_whose_caller_knows_the_sizes_need_no_request() {
    let route = Arc::new(Memory::new(1));
    let attr = |kind, cell, chunk| {
        let oid = oid(kind, 1);
        Array::open_with_attr(Arc::clone(&route), CONT, oid, Durability::Synced, Epoch::MAX, cell, chunk)
    };
    let array = attr(ObjectType::ArrayAttr, 4, 2).unwrap();
    assert_eq!(route.asked(), Asked::default());
    array.write(1, b"aaaabbbb").unwrap();
    assert_eq!(attr(ObjectType::ArrayAttr, 4, 2).unwrap().size().unwrap(), 3);
    let wrong = attr(ObjectType::ArrayAttr, 2, 2).unwrap();
    assert_eq!(wrong.read(1, &mut [0; 2], None).unwrap_err().der, Der::RecSize);
    attr(ObjectType::ArrayByte, 1, 100).unwrap();
    for (kind, cell, chunk) in [
        (ObjectType::ArrayByte, 2, 100),
        (ObjectType::Array, 1, 100),
        (ObjectType::KvHashed, 1, 100),
        (ObjectType::ArrayAttr, 0, 100),
        (ObjectType::ArrayAttr, CELL_SIZE_MAX + 1, 100),
        (ObjectType::ArrayAttr, 1, 0),
        (ObjectType::ArrayAttr, 1, CELLS_MAX + 1),
    ] {
        assert_eq!(attr(kind, cell, chunk).unwrap_err().der, Der::Inval);
    }
}

#[test]
fn chunks_are_a_mebibyte_unless_said() {
    assert_eq!([0, 1, 8, 3, 1 << 20].map(default_chunk_size), [1 << 20, 1 << 20, 1 << 17, 349_525, 1]);
}

#[test]
fn what_is_bad_changes_nothing() {
    let (route, array) = made(4, 10);
    array.write(0, b"aaaa").unwrap();
    route.asked();
    let list = |extents: &[(u64, u64)], bytes| {
        let extents: Vec<Extent> = extents.iter().map(|(index, count)| extent(*index, *count)).collect();
        array.write_list(extents, &vec![0; bytes]).unwrap_err().der
    };
    for (der, expected) in [
        (array.write(0, &[0; 7]).unwrap_err().der, Der::IoInval),
        (array.write(CELLS_MAX, &[0; 4]).unwrap_err().der, Der::Overflow),
        (array.write(u64::MAX, &[0; 4]).unwrap_err().der, Der::Overflow),
        (array.read(CELLS_MAX - 1, &mut [0; 8], None).unwrap_err().der, Der::Overflow),
        (array.read(0, &mut [0; 4], Some(b"abc")).unwrap_err().der, Der::IoInval),
        (array.set_size(CELLS_MAX + 1, &[0; 4]).unwrap_err().der, Der::Overflow),
        (array.set_size(3, &[0; 5]).unwrap_err().der, Der::IoInval),
        (array.punch(5, CELLS_MAX).unwrap_err().der, Der::Overflow),
        (array.strided(0, 0, 8).map(drop).unwrap_err().der, Der::Inval),
        (array.strided(0, 2, 7).map(drop).unwrap_err().der, Der::IoInval),
        (array.strided(5, CELLS_MAX, 8).map(drop).unwrap_err().der, Der::Overflow),
        (array.strided(5, u64::MAX, 12).map(drop).unwrap_err().der, Der::Overflow),
        (list(&[(0, 2), (1, 1)], 12), Der::Inval),
        (list(&[(7, 1), (5, 3)], 16), Der::Inval),
        (list(&[(0, 1), (3, 0)], 4), Der::Inval),
        (list(&[(0, 1), (3, 1)], 4), Der::IoInval),
        (list(&[(0, u64::MAX)], 4), Der::Overflow),
        (list(&[], 4), Der::IoInval),
    ] {
        assert_eq!(der, expected);
    }
    assert_eq!(route.asked(), Asked::default());
    array.write(CELLS_MAX - 1, b"last").unwrap();
    assert_eq!(array.size().unwrap(), CELLS_MAX);
}

#[test]
fn regular_strides_stay_lists() {
    let (route, array) = made(1, 10);
    array.write_list(array.strided(0, 3, 8).unwrap(), b"abcdefgh").unwrap();
    assert_eq!(route.asked().updates, [4, 3, 1]);
    let mut data = [0; 8];
    array.read_list(array.strided(0, 3, 8).unwrap(), &mut data, None).unwrap();
    assert_eq!((&data, route.asked().fetches), (b"abcdefgh", 3));
    assert_eq!(bytes(&array, 0, 24), b"a..b..c..d..e..f..g..h..");
    array.write_list([extent(20, 2), extent(0, 3)], b"XYxyz").unwrap();
    assert_eq!(bytes(&array, 0, 24), b"xyzb..c..d..e..f..g.XY..".as_slice());
}

#[test]
fn holes_are_left_or_filled() {
    let (_, array) = made(3, 4);
    array.write(1, b"aaabbb").unwrap();
    let mut data = *b"------------------";
    array.read(0, &mut data, None).unwrap();
    assert_eq!(&data, b"---aaabbb---------");
    array.read(0, &mut data, Some(b"xyz")).unwrap();
    assert_eq!(&data, b"xyzaaabbbxyzxyzxyz");
}

#[test]
fn a_size_is_exact_whatever_is_at_the_end() {
    let (route, array) = made(1, 10);
    array.set_size(95, b"z").unwrap();
    assert_eq!((array.size().unwrap(), bytes(&array, 90, 7)), (95, b"....z..".to_vec()));
    array.set_size(50, b"z").unwrap();
    assert_eq!((array.size().unwrap(), bytes(&array, 45, 5)), (50, b"....z".to_vec()));
    route.asked();
    array.set_size(50, b"z").unwrap();
    assert_eq!(route.asked(), Asked::default());
    array.set_size(0, b"z").unwrap();
    assert_eq!((array.size().unwrap(), route.dkeys()), (0, 1), "only the sizes are left");
}

#[test]
fn a_sparse_array_is_shortened_by_what_is_there() {
    let (route, array) = made(1, 10);
    for start in [5, 1_000, 1 << 40, 1 << 50, CELLS_MAX - 1] {
        array.write(start, b"x").unwrap();
    }
    route.asked();
    array.set_size(1_003, b"z").unwrap();
    let asked = route.asked();
    assert!(asked.punches == 3 && asked.lists == 3, "{asked:?}");
    assert_eq!(array.size().unwrap(), 1_003);
    assert_eq!(bytes(&array, 998, 5), b"..x.z");
    array.punch(0, 1_000).unwrap();
    assert_eq!(bytes(&array, 5, 1), b".");
    assert_eq!(bytes(&array, 998, 5), b"..x.z");
    array.punch(0, CELLS_MAX).unwrap();
    assert_eq!(array.size().unwrap(), 0);
    array.punch(3, 0).unwrap();
}

#[test]
fn another_epoch_than_now_is_read_only() {
    let (route, _) = made(1, 10);
    let array = open(&route, Epoch(9)).unwrap();
    let denied = [array.write(0, b"x"), array.punch(0, 1), array.set_size(5, b"x"), array.destroy()];
    assert!(denied.into_iter().all(|refused| refused.unwrap_err().der == Der::NoPerm));
    assert_eq!(bytes(&array, 0, 1), b".");
}

/// One thing that is done to an array.
#[derive(Debug, Clone)]
enum Act {
    Write(u64, u64),
    Strided(u64, u64, u64),
    Punch(u64, u64),
    Resize(u64),
    Read(u64, u64),
}

const FAR: u64 = 60;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..FAR, 1..20_u64).prop_map(|(start, count)| Act::Write(start, count)),
        (0..FAR, 1..5_u64, 1..8_u64).prop_map(|(start, step, count)| Act::Strided(start, step, count)),
        (0..FAR, 0..80_u64).prop_map(|(start, count)| Act::Punch(start, count)),
        (0..FAR).prop_map(Act::Resize),
        (0..FAR, 0..40_u64).prop_map(|(start, count)| Act::Read(start, count)),
    ]
}

fn put(model: &mut Vec<Option<[u8; 2]>>, index: u64, cell: [u8; 2]) {
    let index = index as usize;
    model.resize(model.len().max(index + 1), None);
    model[index] = Some(cell);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_array_is_a_list_of_cells(chunk_size in 1..13_u64, acts in prop::collection::vec(act(), 1..30)) {
        let (_, array) = made(2, chunk_size);
        let mut model: Vec<Option<[u8; 2]>> = Vec::new();
        for (nth, act) in acts.into_iter().enumerate() {
            let cell = |n: u64| [nth as u8, n as u8];
            match act {
                Act::Write(start, count) => {
                    array.write(start, &(0..count).flat_map(cell).collect::<Vec<u8>>()).unwrap();
                    (0..count).for_each(|n| put(&mut model, start + n, cell(n)));
                }
                Act::Strided(start, step, count) => {
                    let extents = array.strided(start, step, 2 * count as usize).unwrap();
                    array.write_list(extents, &(0..count).flat_map(cell).collect::<Vec<u8>>()).unwrap();
                    (0..count).for_each(|n| put(&mut model, start + n * step, cell(n)));
                }
                Act::Punch(start, count) => {
                    array.punch(start, count).unwrap();
                    model.iter_mut().skip(start as usize).take(count as usize).for_each(|cell| *cell = None);
                }
                Act::Resize(size) => {
                    array.set_size(size, b"zz").unwrap();
                    let before = model.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
                    model.truncate(size as usize);
                    let end = model.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
                    if size > 0 && end < size as usize && before != size as usize {
                        put(&mut model, size - 1, *b"zz");
                    }
                }
                Act::Read(start, count) => {
                    let mut data = vec![b'?'; 2 * count as usize];
                    array.read(start, &mut data, Some(b"ho")).unwrap();
                    let expected = (start..start + count)
                        .flat_map(|index| model.get(index as usize).copied().flatten().unwrap_or(*b"ho"));
                    prop_assert_eq!(data, expected.collect::<Vec<u8>>());
                }
            }
            let end = model.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            prop_assert_eq!(array.size().unwrap(), end as u64);
        }
    }
}
