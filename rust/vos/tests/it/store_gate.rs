//! Answers and the log positions they depend on, and other defects that were found once.

use crate::common::{IDENTITY, create, fetch_single};
use daos_types::{Cond, Durability, Epoch, Lsn, ObjectId, ObjectType, PoolId, ShardIdx, TargetIdx};
use daos_types::{Iod, IodValue, Punched};
use daos_types::{UnitOid, Version};
use daos_vos::index::{Tree, TreeOptions};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{DtxId, KV_AKEY, KeysOf, ListRange, ObjectRef, Seen, ShardNum, Store, StoreOptions, VosError};
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const ID: DtxId = DtxId { uuid: [7; 16], hlc: 1 };

struct World {
    media: Arc<dyn Media>,
    store: Store,
    shard: ShardNum,
    of: ObjectRef,
}

fn iod(value: &[u8]) -> [Iod<'_>; 1] {
    [Iod::new(KV_AKEY, IodValue::Single(value))]
}

impl World {
    fn new(options: StoreOptions) -> Self {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let (store, shard, cont) = create(Arc::clone(&media), options);
        let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1), shard: ShardIdx(0) };
        Self { media, store, shard, of: ObjectRef { cont, oid } }
    }

    fn put(&self, epoch: u64, key: &[u8], value: &[u8]) -> Result<Lsn, VosError> {
        let mut tx = self.store.begin()?;
        tx.update(self.shard, self.of, Version::new(Epoch(epoch), 1), key, &iod(value), Cond::NONE)?;
        tx.commit()
    }

    fn get(&self, store: &Store, key: &[u8]) -> (Seen, Result<Option<Vec<u8>>, VosError>) {
        let view = store.view(self.shard).unwrap();
        fetch_single(&view, self.of, key, KV_AKEY, Version::read_at(Epoch::MAX), Cond::NONE, <[u8]>::to_vec)
    }

    fn prepare(&self, epoch: u64, value: &[u8]) {
        let mut tx = self.store.begin_dtx(ID).unwrap();
        tx.update(self.shard, self.of, Version::new(Epoch(epoch), 1), b"k", &iod(value), Cond::NONE).unwrap();
        self.store.wait(tx.prepare().unwrap(), Durability::Synced).unwrap();
    }
}

#[test]
fn what_is_remembered_of_an_object_depends_on_the_log_as_well() {
    let world = World::new(StoreOptions::default());
    world.put(100, b"k", b"v").unwrap();
    let mut tx = world.store.begin().unwrap();
    tx.punch(world.shard, world.of, Version::new(Epoch(101), 1), Punched::Object, Cond::NONE).unwrap();
    let punched = tx.commit().unwrap();
    for round in 0..3 {
        let (seen, value) = world.get(&world.store, b"k");
        assert_eq!(value.unwrap(), None);
        assert!(seen.0 >= punched, "round {round}: {seen:?}");
    }
}

#[test]
fn an_epoch_that_only_a_row_carries_is_below_the_ceiling_of_the_next_opening() {
    let media = MemoryMedia::new();
    let (store, ..) = create(Arc::new(media.clone()), StoreOptions::default());
    let epoch = Epoch(store.epoch_ceiling().0 + 1000);
    let mut tx = store.begin().unwrap();
    tx.note_epoch(epoch);
    tx.set_service_row(b"snap/x", Some(b"row")).unwrap();
    store.wait(tx.commit().unwrap(), Durability::Synced).unwrap();
    drop(store);
    let (store, _) = Store::open(Arc::new(media), IDENTITY, StoreOptions::default()).unwrap();
    assert!(store.epoch_ceiling() > epoch);
}

#[test]
fn a_clean_close_leaves_the_ceiling_at_the_last_epoch_used() {
    let mut world = World::new(StoreOptions::default());
    for round in 1..4_u64 {
        let epoch = round << 40;
        world.put(epoch - 1, b"k", b"v").unwrap();
        world.put(epoch, b"k", b"w").unwrap();
        assert!(world.store.epoch_ceiling() > Epoch(epoch));
        world.store.close().unwrap();
        let (store, _) = Store::open(Arc::clone(&world.media), IDENTITY, StoreOptions::default()).unwrap();
        assert_eq!(store.epoch_ceiling(), Epoch(epoch));
        world.store = store;
    }
}

#[test]
fn what_a_decision_makes_visible_depends_on_the_decision() {
    let world = World::new(StoreOptions::default());
    world.put(100, b"k", b"v").unwrap();
    world.prepare(101, b"w");
    let decided = world.store.dtx_commit(ID).unwrap();
    let (seen, value) = world.get(&world.store, b"k");
    assert_eq!(value.unwrap().as_deref(), Some(&b"w"[..]));
    assert!(seen.0 >= decided);
    assert_eq!(world.store.dtx_commit(ID).unwrap(), decided, "deciding again tells the same");
    let mut again = world.store.begin_dtx(ID).unwrap();
    again.update(world.shard, world.of, Version::new(Epoch(102), 1), b"k", &iod(b"x"), Cond::NONE).unwrap();
    assert!(matches!(again.prepare(), Err(VosError::Exists { .. })), "an identity is prepared once");
}

#[test]
fn an_aborted_value_stays_hidden_from_a_view_that_was_taken_before() {
    let world = World::new(StoreOptions::default());
    world.put(100, b"k", b"v").unwrap();
    world.prepare(101, b"ABORTED");
    let view = world.store.view(world.shard).unwrap();
    world.store.dtx_abort(ID).unwrap();
    for _ in 0..3 {
        world.store.merge_all().unwrap();
    }
    let at = Version::read_at(Epoch::MAX);
    let (_, value) = fetch_single(&view, world.of, b"k", KV_AKEY, at, Cond::NONE, <[u8]>::to_vec);
    assert_eq!(value.unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn an_aborted_value_stays_hidden_when_an_index_falls_back() {
    for merges in 1..4 {
        let world = World::new(StoreOptions::default());
        world.put(100, b"k", b"v").unwrap();
        world.prepare(101, b"ABORTED");
        world.store.dtx_abort(ID).unwrap();
        for _ in 0..merges {
            world.store.merge_all().unwrap();
        }
        world.store.sync().unwrap();
        for slot_page in [0, 16] {
            let copy: Arc<dyn Media> = Arc::new(MemoryMedia::copy_of(&*world.media).unwrap());
            let file = copy.open(&format!("shard-{:08x}.idx", world.shard.0)).unwrap();
            file.write_at(slot_page * 4096, &[IoSlice::new(&[0; 4096])]).unwrap();
            let (store, _) = Store::open(copy, IDENTITY, StoreOptions::default()).unwrap();
            let (_, value) = world.get(&store, b"k");
            assert_eq!(
                value.unwrap().as_deref(),
                Some(&b"v"[..]),
                "{merges} merges, slot at page {slot_page} lost"
            );
        }
    }
}

/// A log of small segments, of which the first have been given up.
fn recycled() -> (World, StoreOptions) {
    let mut options = StoreOptions::default();
    options.log.segment_bytes_min = 64 << 10;
    let world = World::new(options.clone());
    for epoch in 0..ENTRIES {
        let position = world.put(100 + epoch, &epoch.to_le_bytes(), &[1; 500]).unwrap();
        world.store.wait(position, Durability::Buffered).unwrap();
        if epoch % 200 == 0 {
            world.store.merge_all().unwrap();
        }
    }
    (world, options)
}

const ENTRIES: u64 = 1500;

#[test]
fn the_log_keeps_what_the_older_state_of_an_index_lacks() {
    let (world, options) = recycled();
    world.store.close().unwrap();
    for shard in [0, world.shard.0] {
        for slot_page in [0, 16] {
            let copy: Arc<dyn Media> = Arc::new(MemoryMedia::copy_of(&*world.media).unwrap());
            let file = copy.open(&format!("shard-{shard:08x}.idx")).unwrap();
            file.write_at(slot_page * 4096, &[IoSlice::new(&[0; 4096])]).unwrap();
            let (store, _) = Store::open(copy, IDENTITY, options.clone())
                .unwrap_or_else(|error| panic!("shard {shard}, slot at page {slot_page} lost: {error}"));
            let missing =
                (0..ENTRIES).find(|epoch| world.get(&store, &epoch.to_le_bytes()).1.unwrap().is_none());
            assert_eq!(missing, None, "shard {shard}, slot at page {slot_page} lost");
        }
    }
}

#[test]
fn a_new_shard_lacks_nothing_of_a_log_that_was_there_before() {
    let (world, options) = recycled();
    world.store.merge_all().unwrap();
    world.store.merge_all().unwrap();
    let shard = world.store.shard_create(PoolId([9; 16]), TargetIdx(0)).unwrap();
    let (store, _) = Store::open(Arc::clone(&world.media), IDENTITY, options).unwrap();
    assert!(store.shard_list().unwrap().iter().any(|(num, ..)| *num == shard));
}

#[test]
fn a_shard_that_was_never_finished_does_not_keep_the_store_from_opening() {
    let (world, options) = recycled();
    for _ in 0..3 {
        world.store.merge_all().unwrap();
    }
    // As a creation leaves it that ends before its row.
    let number = 77_u32;
    let mut identity = IDENTITY;
    for (byte, part) in identity.iter_mut().rev().zip(number.to_le_bytes()) {
        *byte ^= part;
    }
    let name = format!("shard-{number:08x}.idx");
    let covers = Lsn(world.put(5_000, b"last", b"").unwrap().0);
    world.store.sync().unwrap();
    drop(Tree::create_after(&*world.media, &name, identity, &TreeOptions::default(), covers).unwrap());
    let (store, _) = Store::open(Arc::clone(&world.media), IDENTITY, options).unwrap();
    assert!(world.get(&store, b"last").1.unwrap().is_some());
    assert!(!world.media.list().unwrap().contains(&name), "what was not finished is removed");
}

#[test]
fn two_long_keys_with_one_hash_are_never_taken_for_each_other() {
    let world = World::new(StoreOptions::default());
    // XXH3 multiplies the halves of each lane after adding its public secret: where one factor is 0, the other does
    // not matter, and what is added to the other accumulator cancels out.
    let mut one = vec![1_u8; 512];
    one[64..68].copy_from_slice(&[0x7c, 0x01, 0x81, 0x2c]);
    one[128..132].copy_from_slice(&[0xde, 0xd4, 0x6d, 0xe9]);
    let mut two = one.clone();
    two[68] += 1;
    two[132] -= 1;
    world.put(100, &one, b"value of one").unwrap();
    assert!(matches!(world.get(&world.store, &two).1, Err(VosError::KeyShape { .. })));
    assert!(matches!(world.put(101, &two, b"value of two"), Err(VosError::KeyShape { .. })));
    assert_eq!(world.get(&world.store, &one).1.unwrap().as_deref(), Some(&b"value of one"[..]));
    // Nor inside of a batch, whose pairs no level knows yet; one key twice is no trouble.
    let world = World::new(StoreOptions::default());
    let batch = |epoch, pairs: &[(&[u8], &[u8])]| {
        let mut tx = world.store.begin().unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| daos_vos::Pair::new(key, value)).collect();
        let put = tx.update_batch(world.shard, world.of, Version::new(Epoch(epoch), 1), &pairs);
        put.and_then(|()| tx.commit()).map(drop)
    };
    assert!(matches!(batch(100, &[(&one, b"1"), (&two, b"2")]), Err(VosError::KeyShape { .. })));
    assert_eq!(world.get(&world.store, &one).1.unwrap(), None);
    batch(101, &[(&one, b"1"), (&one, b"2")]).unwrap();
    assert!(matches!(batch(102, &[(b"k", b"1"), (&two, b"2")]), Err(VosError::KeyShape { .. })));
    assert_eq!(world.get(&world.store, b"k").1.unwrap(), None);
    assert_eq!(world.get(&world.store, &one).1.unwrap().as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_listing_over_many_removed_keys_comes_in_bounded_pages() {
    let world = World::new(StoreOptions::default());
    for number in 0..10_000_u32 {
        world.put(100 + u64::from(number), &number.to_be_bytes(), b"v").unwrap();
    }
    for number in (0..10_000_u32).filter(|number| *number != 9_000) {
        let mut tx = world.store.begin().unwrap();
        let version = Version::new(Epoch(50_000 + u64::from(number)), 1);
        tx.punch(world.shard, world.of, version, Punched::Dkey(&number.to_be_bytes()), Cond::NONE).unwrap();
        tx.commit().unwrap();
    }
    for reverse in [false, true] {
        let (mut pages, mut keys, mut from) = (0, Vec::new(), None::<Vec<u8>>);
        loop {
            let view = world.store.view(world.shard).unwrap();
            let range =
                ListRange { from: from.as_deref(), count_max: 10, bytes_max: 1 << 20, reverse, to: None };
            let page = view.list(world.of, KeysOf::Object, Version::read_at(Epoch::MAX), range).1.unwrap();
            keys.extend(page.keys);
            pages += 1;
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        assert_eq!(keys, [9_000_u32.to_be_bytes()]);
        assert!((3..10).contains(&pages), "{pages} pages");
    }
}

#[test]
fn a_row_that_no_index_takes_is_refused_before_it_is_logged() {
    let world = World::new(StoreOptions::default());
    let mut tx = world.store.begin().unwrap();
    tx.set_service_row(b"row", Some(&vec![0; 5 << 20])).unwrap();
    assert!(matches!(tx.commit(), Err(VosError::ValueTooLong { .. })));
    world.store.merge_all().unwrap();
}

#[test]
fn a_panic_between_log_and_memtable_stops_the_store_and_the_next_opening_has_the_change() {
    let world = World::new(StoreOptions::default());
    let begin = || {
        let mut tx = world.store.begin().unwrap();
        tx.update(world.shard, world.of, Version::new(Epoch(9), 1), b"k", &iod(b"v"), Cond::NONE).unwrap();
        tx
    };
    let panic = |run: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    panic(&|| {
        let _tx = begin();
        panic!("nothing is logged yet");
    });
    assert_eq!(world.get(&world.store, b"k").1.unwrap(), None);
    panic(&|| drop(begin().commit_then(|| panic!("logged, and not yet told"))));
    assert!(matches!(world.store.begin(), Err(VosError::Stopped { .. })));
    world.store.sync().unwrap();
    drop(world.store.close());
    let (again, _) = Store::open(Arc::clone(&world.media), IDENTITY, StoreOptions::default()).unwrap();
    assert_eq!(world.get(&again, b"k").1.unwrap(), Some(b"v".to_vec()));
}

#[test]
fn what_an_older_look_finds_of_an_object_is_not_kept_for_later_ones() {
    let world = World::new(StoreOptions::default());
    world.put(100, b"k", b"v").unwrap();
    let older = world.store.view(world.shard).unwrap();
    // What comes now lies in a memtable that the older view does not have.
    world.store.merge_all().unwrap();
    let mut tx = world.store.begin().unwrap();
    tx.punch(world.shard, world.of, Version::new(Epoch(101), 1), Punched::Object, Cond::NONE).unwrap();
    tx.commit().unwrap();
    let (_, there) = older.exists(world.of, KeysOf::Object, Version::read_at(Epoch::MAX));
    assert!(there.unwrap());
    assert_eq!(world.get(&world.store, b"k").1.unwrap(), None);
}
