//! The scrubber: it tells every damage with its place, keeps to its budget, and takes no change for damage.

use crate::common::{CONTAINER, IDENTITY, aggregate, create, small};
use daos_types::{
    Cond, ContainerId, Durability, Epoch, Extent, Iod, IodValue, ObjectId, ObjectType, ShardIdx, UnitOid,
    Version,
};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{
    CheckBudget, KV_AKEY, ObjectRef, SYSTEM_SHARD, Scrub, ScrubDamage, ScrubPart, ShardNum, Store,
    StoreOptions, VosError,
};
use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const SLICE: CheckBudget<'_> = CheckBudget { entries: 100, bytes: 64 << 10, pages: 8, go_on: &|| true };

fn value(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (((seed + 1) * 2_654_435_761 + at * (at + seed) * 40_503) >> 8) as u8).collect()
}

fn oid(kind: ObjectType) -> UnitOid {
    UnitOid { oid: ObjectId::generate(kind, 1, 1, 0, 1), shard: ShardIdx(0) }
}

fn update(store: &Store, shard: ShardNum, cont: ContainerId, epoch: u64, dkey: &[u8], iods: &[Iod<'_>]) {
    let kind = if iods[0].akey == KV_AKEY { ObjectType::KvHashed } else { ObjectType::MultiHashed };
    let staged = store.stage(shard, iods).unwrap();
    let mut tx = store.begin().unwrap();
    let cont = tx.cont_open(shard, cont).unwrap();
    let (of, version) = (ObjectRef { cont, oid: oid(kind) }, Version::new(Epoch(epoch), 1));
    tx.update_staged(shard, of, version, dkey, iods, Cond::NONE, staged.as_ref()).unwrap();
    let position = tx.commit().unwrap();
    if let Some(staged) = staged {
        staged.keep();
    }
    store.wait(position, Durability::Buffered).unwrap();
}

fn put(store: &Store, shard: ShardNum, cont: ContainerId, epoch: u64, dkey: &[u8], value: &[u8]) {
    update(store, shard, cont, epoch, dkey, &[Iod::new(KV_AKEY, IodValue::Single(value))]);
}

/// All slices of a pass: how many, what they came to, and the largest of each count.
fn pass(
    store: &Store,
    shard: ShardNum,
    conts: &[ContainerId],
    budget: CheckBudget<'_>,
) -> (ScrubPart, ScrubPart) {
    let mut scrub = Scrub::new(shard, conts.to_vec());
    let (mut all, mut most) = (ScrubPart::default(), ScrubPart::default());
    while !all.done {
        let part = store.scrub_step(&mut scrub, budget).unwrap();
        (all.pages, most.pages) = (all.pages + part.pages, most.pages.max(part.pages));
        (all.entries, most.entries) = (all.entries + part.entries, most.entries.max(part.entries));
        (all.bytes, most.bytes) = (all.bytes + part.bytes, most.bytes.max(part.bytes));
        all.damaged.extend(part.damaged);
        all.done = part.done;
    }
    (all, most)
}

/// A store with values in the index and in the data file, all merged.
fn filled() -> (Arc<MemoryMedia>, Store, ShardNum) {
    let media = Arc::new(MemoryMedia::new());
    let (store, shard, _) = create(media.clone(), StoreOptions::default());
    for n in 0..3_000 {
        put(&store, shard, CONTAINER, 10 + n, format!("key{n}").as_bytes(), &value(n, 100));
    }
    for n in 0..20 {
        put(&store, shard, CONTAINER, 4_000 + n, format!("long{n}").as_bytes(), &value(n, 10_000));
    }
    let cells = value(99, 70_000);
    let extents = [Extent { index: 5, count: 70_000 }];
    let iod = Iod::new(b"cells", IodValue::Array { rec_size: 1, recxs: &extents, data: &cells });
    update(&store, shard, CONTAINER, 5_000, b"dkey", &[iod]);
    put(&store, shard, ContainerId([3; 16]), 5_001, b"other", &value(55, 20_000));
    store.merge_all().unwrap();
    (media, store, shard)
}

/// Changes a byte of a file, where `part` stands for the first time, and gives the place.
fn damage(media: &MemoryMedia, name: &str, part: &[u8]) -> u64 {
    let file = media.open(name).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let at = bytes.windows(part.len()).position(|window| window == part).unwrap();
    file.write_at(at as u64, &[IoSlice::new(&[bytes[at] ^ 4])]).unwrap();
    at as u64
}

#[test]
fn nothing_is_wrong_and_slices_keep_to_their_budget() {
    let (_media, store, shard) = filled();
    let conts = [CONTAINER, ContainerId([3; 16])];
    let (whole, _) = pass(&store, shard, &conts, CheckBudget::CALL);
    assert_eq!(whole.damaged, []);
    assert!(whole.entries >= 3_022 && whole.bytes >= 20 * 10_000 + 70_000 + 20_000, "{whole:?}");
    let (all, most) = pass(&store, shard, &conts, SLICE);
    assert_eq!(all, whole);
    // A path to the leaf beyond the pages; one value beyond the bytes; entries of one hold beyond the entries.
    assert!(most.pages <= SLICE.pages + 4, "{most:?}");
    assert!(most.bytes < SLICE.bytes + 70_000 && most.entries <= SLICE.entries as u64 + 1_024, "{most:?}");
    assert_eq!(pass(&store, SYSTEM_SHARD, &[], SLICE).0.damaged, []);
}

#[test]
fn damaged_blocks_are_told_with_container_object_and_key() {
    let (media, store, shard) = filled();
    damage(&media, "shard-00000001.dat", &value(7, 10_000)[5_000..5_100]);
    damage(&media, "shard-00000001.dat", &value(99, 70_000)[60_000..60_300]);
    let (all, _) = pass(&store, shard, &[CONTAINER], SLICE);
    let [extent, value] = &all.damaged[..] else { panic!("{all:?}") };
    for (damage, kind, place) in [
        (value, ObjectType::KvHashed, "dkey \"long7\", epoch"),
        (extent, ObjectType::MultiHashed, "dkey \"dkey\", akey \"cells\", epoch"),
    ] {
        assert_eq!((damage.cont, damage.oid), (Some(CONTAINER), Some(oid(kind).oid)));
        assert!(damage.what.starts_with(place) && damage.what.contains("checksum"), "{damage:?}");
    }
    // What is not asked for is not looked at.
    assert_eq!(pass(&store, shard, &[ContainerId([3; 16])], SLICE).0.damaged, []);
}

#[test]
fn a_damaged_page_is_told_and_all_but_what_hangs_on_it_is_checked() {
    let (media, store, shard) = filled();
    let at = damage(&media, "shard-00000001.idx", &value(1_500, 100));
    damage(&media, "shard-00000001.dat", &value(55, 20_000)[..200]);
    drop(store);
    let store = Store::open(media, IDENTITY, StoreOptions::default()).unwrap().0;
    let (all, _) = pass(&store, shard, &[CONTAINER, ContainerId([3; 16])], SLICE);
    let [index, cont, other] = &all.damaged[..] else { panic!("{all:?}") };
    assert_eq!(index.cont, None);
    assert!(index.what.contains(&format!("page {} is corrupt", at / 4096)), "{index:?}");
    assert_eq!((cont.cont, cont.oid), (Some(CONTAINER), None));
    assert!(cont.what.contains(&index.what), "{cont:?}");
    assert_eq!(other.cont, Some(ContainerId([3; 16])));
}

#[test]
fn a_slice_that_is_given_up_says_so_and_changes_nothing() {
    let media = Arc::new(MemoryMedia::new());
    let (store, shard, _) = create(media, StoreOptions::default());
    put(&store, shard, CONTAINER, 10, b"a", &value(1, 3 << 20));
    let mut scrub = Scrub::new(shard, vec![CONTAINER]);
    store.scrub_step(&mut scrub, SLICE).unwrap();
    let given_up = store.scrub_step(&mut scrub, CheckBudget { go_on: &|| false, ..SLICE });
    assert!(matches!(given_up, Err(VosError::Stopped { .. })), "{given_up:?}");
    let part = store.scrub_step(&mut scrub, SLICE).unwrap();
    assert_eq!((part.bytes, part.done), (3 << 20, true));
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn changes_are_no_damage() {
    let (store, shard, cont) =
        create(Arc::new(MemoryMedia::new()), StoreOptions { log: StoreOptions::default().log, ..small(400) });
    let conts = Mutex::new(vec![CONTAINER]);
    let (stop, passes) = (AtomicBool::new(false), AtomicU64::new(0));
    let found: Vec<ScrubDamage> = std::thread::scope(|scope| {
        let scrubber = scope.spawn(|| {
            let mut found = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let conts = conts.lock().unwrap().clone();
                let budget = CheckBudget { entries: 10, bytes: 20_000, pages: 3, go_on: &|| true };
                found.extend(pass(&store, shard, &conts, budget).0.damaged);
                passes.fetch_add(1, Ordering::Relaxed);
            }
            found
        });
        // Also where this thread panics, so that the test fails rather than hangs.
        let _stop = Stop(&stop);
        let mut epoch = 10;
        let mut round = 0_u8;
        while round < 60 || passes.load(Ordering::Relaxed) < 5 {
            round = round.checked_add(1).unwrap();
            let second = ContainerId([100 + round % 100; 16]);
            conts.lock().unwrap().push(second);
            for n in 0..60_usize {
                epoch += 1;
                let len = [10, 700, 5_000, 9_000][n % 4];
                let cont = if n.is_multiple_of(3) { second } else { CONTAINER };
                put(&store, shard, cont, epoch, format!("k{}", n % 40).as_bytes(), &value(epoch, len));
            }
            if round.is_multiple_of(2) {
                store.merge_all().unwrap();
            }
            if round.is_multiple_of(3) {
                aggregate(&store, shard, cont, &BTreeSet::new(), epoch);
            }
            let mut tx = store.begin().unwrap();
            tx.cont_destroy(shard, second).unwrap();
            tx.commit().unwrap();
            while store.collect_step(50).unwrap() {}
            if round.is_multiple_of(4) {
                conts.lock().unwrap().retain(|cont| *cont != second);
            }
        }
        stop.store(true, Ordering::Relaxed);
        scrubber.join().unwrap()
    });
    assert_eq!(found, []);
}
