//! The data file: what is damaged is told, what nobody needs any more is used again, and not before.

use crate::common::{CONTAINER, IDENTITY, Kept, create};
use daos_types::{
    Cond, ContainerId, Durability, Epoch, Extent, FetchIod, FetchValue, Iod, IodValue, Landing as _,
    ObjectId, ObjectType, Punched, ShardIdx, UnitOid, Version,
};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{
    ContNum, DtxId, KV_AKEY, ListRange, ObjectRef, Quota, ShardNum, Store, StoreOptions, View, VosError,
};
use std::io::IoSlice;
use std::sync::Arc;

const FILE: &str = "shard-00000001.dat";
const BLOCK: u64 = 4096;

struct World {
    media: Arc<MemoryMedia>,
    store: Store,
    shard: ShardNum,
    cont: ContNum,
}

fn value(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| seed.wrapping_add((at % 251) as u8)).collect()
}

fn of(cont: ContNum) -> ObjectRef {
    let oid = ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1);
    ObjectRef { cont, oid: UnitOid { oid, shard: ShardIdx(0) } }
}

fn single(value: &[u8]) -> [Iod<'_>; 1] {
    [Iod::new(KV_AKEY, IodValue::Single(value))]
}

fn get(view: &View, cont: ContNum, key: &[u8]) -> Result<Option<Vec<u8>>, VosError> {
    let mut kept = Kept::default();
    let mut iods = [FetchIod::new(KV_AKEY, FetchValue::Single(&mut kept))];
    view.fetch(of(cont), key, &mut iods, Version::read_at(Epoch::MAX), Cond::NONE).1?;
    Ok(kept.0)
}

impl World {
    fn new() -> Self {
        let media = Arc::new(MemoryMedia::new());
        let (store, shard, cont) = create(media.clone(), StoreOptions::default());
        Self { media, store, shard, cont }
    }

    fn reopen(self) -> Self {
        let Self { media, store, shard, cont } = self;
        drop(store);
        let store = Store::open(media.clone(), IDENTITY, StoreOptions::default()).unwrap().0;
        Self { media, store, shard, cont }
    }

    fn put(&self, epoch: u64, key: &[u8], value: &[u8], cond: Cond) -> Result<(), VosError> {
        let iods = single(value);
        let staged = self.store.stage(self.shard, &iods)?;
        let mut tx = self.store.begin()?;
        let version = Version::new(Epoch(epoch), 1);
        tx.update_staged(self.shard, of(self.cont), version, key, &iods, cond, staged.as_ref())?;
        let position = tx.commit()?;
        if let Some(staged) = staged {
            staged.keep();
        }
        self.store.wait(position, Durability::Synced)
    }

    fn view(&self) -> View {
        self.store.view(self.shard).unwrap()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, VosError> {
        get(&self.view(), self.cont, key)
    }

    /// Bytes of the data file that are used.
    fn used(&self) -> u64 {
        while self.store.census_step().unwrap() {}
        let (end, free) = self.store.data_usage(self.shard).unwrap();
        end - free
    }

    /// A merge, also where nothing changed.
    fn merge(&self, epoch: u64) {
        let mut tx = self.store.begin().unwrap();
        let punched = Punched::Dkey(b"other");
        tx.punch(self.shard, of(self.cont), Version::new(Epoch(epoch), 1), punched, Cond::NONE).unwrap();
        tx.commit().unwrap();
        self.store.merge_all().unwrap();
    }

    /// Takes the container apart; another takes its place.
    fn destroy(&mut self) {
        let mut tx = self.store.begin().unwrap();
        tx.cont_destroy(self.shard, CONTAINER).unwrap();
        self.cont = tx.cont_open(self.shard, ContainerId([9; 16])).unwrap();
        tx.commit().unwrap();
        while self.store.collect_step(1_000).unwrap() {}
    }
}

#[test]
fn values_of_all_lengths_come_back_now_after_a_merge_and_after_opening() {
    let mut world = World::new();
    let lengths = [0, 1, 4095, 4096, 4097, 65_536, 65_537, 262_144, 262_145, 3 << 20];
    for (epoch, len) in (10_u64..).zip(lengths) {
        world.put(epoch, len.to_string().as_bytes(), &value(epoch as u8, len), Cond::NONE).unwrap();
    }
    for round in 0..3 {
        for (epoch, len) in (10_u64..).zip(lengths) {
            let found = world.get(len.to_string().as_bytes()).unwrap();
            assert!(found == Some(value(epoch as u8, len)), "{len} bytes in round {round}");
        }
        if round == 0 {
            world.store.merge_all().unwrap();
        } else {
            world = world.reopen();
        }
    }
}

#[test]
fn a_listing_brings_values_of_all_lengths_in_pages_of_bounded_size() {
    const BYTES_MAX: usize = 100_000;
    let world = World::new();
    let lengths = [0, 1, 4095, 4096, 65_536, 99_990, 99_999, 262_145, 3, 20_000, 20_000, 20_000];
    let expected: Vec<(Vec<u8>, Vec<u8>)> =
        (10_u8..).zip(lengths).map(|(seed, len)| (vec![seed; usize::from(seed)], value(seed, len))).collect();
    for (epoch, (key, value)) in (10..).zip(&expected) {
        world.put(epoch, key, value, Cond::NONE).unwrap();
    }
    for (merged, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
        if merged {
            world.store.merge_all().unwrap();
        }
        let (mut found, mut from, mut pages) = (Vec::new(), None::<Vec<u8>>, 0);
        loop {
            let range =
                ListRange { from: from.as_deref(), count_max: 100, bytes_max: BYTES_MAX, reverse, to: None };
            let version = Version::read_at(Epoch::MAX);
            let page = world.view().list_pairs(of(world.cont), version, range).1.unwrap();
            assert!(page.keys.bytes() + page.values.bytes() <= BYTES_MAX || page.keys.len() == 1);
            found.extend(page.keys.iter().zip(page.values.iter()).map(|(k, v)| (k.to_vec(), v.to_vec())));
            pages += 1;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        if reverse {
            found.reverse();
        }
        assert!(found == expected, "merged {merged}, reverse {reverse}");
        assert!((5..=7).contains(&pages), "{pages} pages");
    }
}

#[test]
fn what_a_failed_operation_stored_is_free_at_once() {
    let world = World::new();
    world.put(10, b"k", &value(1, 100_000), Cond::NONE).unwrap();
    let used = world.used();
    for epoch in 11..20 {
        let again = world.put(epoch, b"k", &value(2, 100_000), Cond::DKEY_INSERT);
        assert!(matches!(again, Err(VosError::Exists { .. })));
    }
    assert_eq!(world.used(), used);
    assert!(world.get(b"k").unwrap() == Some(value(1, 100_000)));
}

#[test]
fn blocks_are_used_again_when_neither_a_reader_nor_a_replay_can_meet_them() {
    let mut world = World::new();
    world.put(10, b"staged", &value(1, 300_000), Cond::NONE).unwrap();
    world.put(11, b"deferred", &value(2, 50_000), Cond::NONE).unwrap();
    world.store.merge_all().unwrap();
    let used = world.used();
    assert!(used >= 350_000);
    let (reader, old) = (world.view(), world.cont);
    // What changes from now on is in a memtable that the reader does not have.
    world.merge(12);
    world.destroy();
    for epoch in 20..23 {
        world.merge(epoch);
        assert_eq!(world.used(), used, "a reader still holds them");
    }
    assert!(get(&reader, old, b"staged").unwrap() == Some(value(1, 300_000)));
    drop(reader);
    world.merge(30);
    assert_eq!(world.used(), 0);
    // The same blocks, and no others, hold what comes next.
    world.put(40, b"next", &value(3, 300_000), Cond::NONE).unwrap();
    assert_eq!(world.store.data_usage(world.shard).unwrap().0, 300_000_u64.next_multiple_of(BLOCK));
    assert!(world.get(b"next").unwrap() == Some(value(3, 300_000)));
}

#[test]
fn blocks_wait_until_both_states_of_the_index_are_without_them() {
    let mut world = World::new();
    world.put(10, b"k", &value(1, 300_000), Cond::NONE).unwrap();
    world.store.merge_all().unwrap();
    world.destroy();
    world.merge(20);
    assert!(world.used() > 0, "the older state names them");
    world.merge(21);
    assert_eq!(world.used(), 0);
}

#[test]
fn blocks_of_an_aborted_transaction_come_back() {
    for merged_before in [false, true] {
        let world = World::new();
        world.put(9, b"stays", &value(9, 100_000), Cond::NONE).unwrap();
        let used = world.used();
        let id = DtxId { uuid: [1; 16], hlc: 1 };
        let value = value(1, 100_000);
        let iods = single(&value);
        let staged = world.store.stage(world.shard, &iods).unwrap();
        let mut tx = world.store.begin_dtx(id).unwrap();
        let version = Version::new(Epoch(10), 1);
        tx.update_staged(world.shard, of(world.cont), version, b"k", &iods, Cond::NONE, staged.as_ref())
            .unwrap();
        tx.prepare().unwrap();
        staged.unwrap().keep();
        if merged_before {
            world.store.merge_all().unwrap();
        }
        assert!(world.used() > used);
        world.store.dtx_abort(id).unwrap();
        for epoch in 20..23 {
            world.merge(epoch);
        }
        assert_eq!(world.used(), used, "merged before: {merged_before}");
        assert!(world.get(b"k").unwrap().is_none());
        assert!(world.get(b"stays").unwrap().is_some());
    }
}

#[test]
fn opening_finds_what_is_free() {
    let mut world = World::new();
    for epoch in 10..30_u64 {
        world.put(epoch, b"k", &value(epoch as u8, 100_000), Cond::NONE).unwrap();
    }
    let used = world.used();
    // Stored, and never named: as after a power cut between the data and its record.
    let lost = value(0, 500_000);
    world.store.stage(world.shard, &single(&lost)).unwrap().unwrap().keep();
    assert!(world.used() > used);
    world = world.reopen();
    assert_eq!(world.used(), used);
    world.put(40, b"next", &lost, Cond::NONE).unwrap();
    assert!(world.get(b"next").unwrap() == Some(lost));
    assert!(world.get(b"k").unwrap() == Some(value(29, 100_000)));
}

/// Each damage, and what is read afterwards.
#[test]
fn damage_is_told_and_never_read() {
    type Damage = fn(&dyn Media);
    let flip: Damage = |media| {
        let file = media.open(FILE).unwrap();
        let mut byte = [0];
        file.read_at(70_000, &mut byte).unwrap();
        file.write_at(70_000, &[IoSlice::new(&[byte[0] ^ 4])]).unwrap();
    };
    let misdirected: Damage = |media| {
        let file = media.open(FILE).unwrap();
        let mut block = [0; BLOCK as usize];
        file.read_at(0, &mut block).unwrap();
        file.write_at(17 * BLOCK, &[IoSlice::new(&block)]).unwrap();
    };
    let lost: Damage = |media| {
        let file = media.open(FILE).unwrap();
        file.write_at(17 * BLOCK, &[IoSlice::new(&[0; BLOCK as usize])]).unwrap();
    };
    let short: Damage = |media| media.open(FILE).unwrap().set_size(80_000).unwrap();
    let missing: Damage = |media| media.remove(FILE).unwrap();
    for (name, damage) in [
        ("a bit flips", flip),
        ("a write goes elsewhere", misdirected),
        ("a write is lost", lost),
        ("the file is short", short),
        ("the file is missing", missing),
    ] {
        let world = World::new();
        world.put(10, b"a", &value(5, 65_537), Cond::NONE).unwrap();
        world.put(11, b"b", &value(6, 65_537), Cond::NONE).unwrap();
        world.store.close().unwrap();
        damage(&*world.media);
        let world = world.reopen();
        let read = world.get(b"b").map(|value| value.is_some());
        assert!(matches!(read, Err(VosError::Corrupt { .. })), "{name}: {read:?}");
        if name.starts_with("the file") {
            // Nothing is written where something may have been.
            let put = world.put(20, b"c", &value(1, 100_000), Cond::NONE);
            assert!(matches!(put, Err(VosError::Corrupt { .. })), "{name}: {put:?}");
            assert!(matches!(world.put(21, b"d", b"small", Cond::NONE), Err(VosError::Io { .. })));
        } else {
            assert!(world.get(b"a").unwrap() == Some(value(5, 65_537)), "{name}");
        }
    }
}

#[test]
fn a_destroyed_shard_takes_its_data_along() {
    let world = World::new();
    world.put(10, b"k", &value(1, 100_000), Cond::NONE).unwrap();
    assert!(world.media.list().unwrap().iter().any(|name| name == FILE));
    world.store.shard_destroy(world.shard).unwrap();
    assert!(!world.media.list().unwrap().iter().any(|name| name == FILE));
    // Also where the destruction was cut short between the two files.
    let media = Arc::clone(&world.media);
    drop(world);
    media.create(FILE).unwrap();
    Store::open(media.clone(), IDENTITY, StoreOptions::default()).unwrap();
    assert!(!media.list().unwrap().iter().any(|name| name == FILE));
}

/// Puts a value by an update that says where it landed.
fn put_landed(world: &World, epoch: u64, key: &[u8], value: &[u8], landed: u64) {
    let mut iods = single(value);
    iods[0].sums.landed = landed;
    let staged = world.store.stage(world.shard, &iods).unwrap();
    let mut tx = world.store.begin().unwrap();
    let version = Version::new(Epoch(epoch), 1);
    tx.update_staged(world.shard, of(world.cont), version, key, &iods, Cond::NONE, staged.as_ref()).unwrap();
    let position = tx.commit().unwrap();
    staged.into_iter().for_each(daos_vos::Staged::keep);
    world.store.wait(position, Durability::Synced).unwrap();
}

#[test]
fn a_value_that_has_landed_is_not_written_again() {
    let world = World::new();
    let put = value(3, (300 << 10) + 5);
    let before = world.used();
    let landing = world.store.land(world.shard, put.len()).unwrap().unwrap();
    let whole = (put.len() as u64).next_multiple_of(BLOCK);
    assert_eq!(world.used(), before + whole, "its blocks are nobody else's");
    let (head, tail) = put.split_at(128 << 10);
    landing.put(0, head);
    landing.put(head.len(), tail);
    put_landed(&world, 10, b"landed", &put, landing.number());
    drop(landing);
    assert_eq!(world.used(), before + whole);
    assert_eq!(world.get(b"landed").unwrap().unwrap(), put);
    let world = world.reopen();
    assert_eq!(world.get(b"landed").unwrap().unwrap(), put);
    assert_eq!(world.used(), before + whole);
}

#[test]
fn what_has_not_landed_whole_is_written_by_its_update() {
    let world = World::new();
    let len = 300 << 10;
    let before = world.used();
    let land = || world.store.land(world.shard, len).unwrap().unwrap();
    // Nothing of it; a part; out of order; a part that ends inside of a block; more than was said; another length; its end alone.
    let pieces: [&[(usize, usize)]; 7] = [
        &[],
        &[(0, 128 << 10)],
        &[(128 << 10, len - (128 << 10)), (0, 128 << 10)],
        &[(0, 5000), (5000, len - 5000)],
        &[(0, len), (len, 4096)],
        &[(0, len)],
        &[(128 << 10, len - (128 << 10))],
    ];
    for (nth, pieces) in pieces.into_iter().enumerate() {
        let put = value(nth as u8, if nth == 5 { len - 1 } else { len });
        let long = value(nth as u8 + 100, len + 4096);
        let landing = land();
        // What landed is not what the update says: it must not be taken.
        for (at, len) in pieces {
            landing.put(*at, &long[*at..*at + *len]);
        }
        put_landed(&world, 10 + nth as u64, &[nth as u8], &put, landing.number());
        drop(landing);
        assert_eq!(world.get(&[nth as u8]).unwrap().unwrap(), put, "{nth}");
    }
    let each = (len as u64).next_multiple_of(BLOCK);
    assert_eq!(world.used(), before + 7 * each, "what was not taken is free again");
    drop(land());
    assert_eq!(world.used(), before + 7 * each);
    // A number means something once, and to one shard.
    let landing = land();
    landing.put(0, &value(77, len));
    put_landed(&world, 20, b"first", &value(77, len), landing.number());
    put_landed(&world, 21, b"second", &value(78, len), landing.number());
    assert_eq!(world.get(b"first").unwrap().unwrap(), value(77, len));
    assert_eq!(world.get(b"second").unwrap().unwrap(), value(78, len));
    assert!(world.store.land(world.shard, 4096).unwrap().is_none(), "it would wait in the log");
}

#[test]
fn a_value_that_is_written_in_parts_does_not_need_room_for_its_landing_too() {
    let world = World::new();
    let len = 1 << 20;
    // The log, and what is merged, are not of it: room for the value once, not twice.
    let quota = Quota { meta: 16 << 20, data: Some(len as u64 * 3 / 2) };
    world.store.set_quota(world.shard, Some(quota)).unwrap();
    let put = value(9, len);
    let landing = world.store.land(world.shard, len).unwrap().unwrap();
    landing.put(0, &put);
    let recxs =
        [Extent { index: 0, count: len as u64 / 2 }, Extent { index: len as u64, count: len as u64 / 2 }];
    let mut iods = [Iod::new(b"a", IodValue::Array { rec_size: 1, recxs: &recxs, data: &put })];
    iods[0].sums.landed = landing.number();
    let staged = world.store.stage(world.shard, &iods).unwrap();
    assert!(staged.is_some());
    // Whoever still puts something there does not put it into blocks of others.
    landing.put(0, &vec![0xEE; len]);
    drop((staged, landing));
    assert_eq!(world.used(), 0);
    // The same where less has come than was said.
    let landing = world.store.land(world.shard, len).unwrap().unwrap();
    landing.put(0, &put[..4096]);
    put_landed(&world, 10, b"k", &put, landing.number());
    drop(landing);
    assert_eq!(world.get(b"k").unwrap().unwrap(), put);
}
