//! Checksums end to end: over a way that changes bits, and against a model.

use crate::{Container, EmbeddedRoute, Options, System};
use daos_client::{Array, ContainerObjects as _, Error, Kv, Result, Route};
use daos_types::{
    ArrayFetch, ChecksumKind, Checksums, Cond, Der, Durability, Extent, FetchIod, FetchValue, Iod, IodValue,
    KeyFound, ObjectId, ObjectType, TargetIdx,
};
use daos_wire::{Fetch, List, ListedKeys, ListedPairs, Punch, Query, Update};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No bit is changed.
const SOUND: usize = usize::MAX;

/// A way to the targets that changes one bit of the data of each request or of each reply.
#[derive(Debug)]
struct Way {
    base: Arc<EmbeddedRoute>,
    out: AtomicUsize,
    back: AtomicUsize,
}

fn flip(data: &mut [u8], bit: &AtomicUsize) {
    let bit = bit.load(Ordering::Relaxed);
    if bit != SOUND && !data.is_empty() {
        let at = bit / 8 % data.len();
        data[at] ^= 1 << (bit % 8);
    }
}

impl Route for Way {
    fn targets(&self) -> u32 {
        self.base.targets()
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        let changed: Vec<Vec<u8>> = request
            .iods
            .iter()
            .map(|iod| match iod.value {
                IodValue::Single(data) | IodValue::Array { data, .. } => {
                    let mut data = data.to_vec();
                    flip(&mut data, &self.out);
                    data
                }
                _ => Vec::new(),
            })
            .collect();
        let iods: Vec<Iod<'_>> = request
            .iods
            .iter()
            .zip(&changed)
            .map(|(iod, data)| {
                let value = match iod.value {
                    IodValue::Single(_) => IodValue::Single(data),
                    IodValue::Array { rec_size, recxs, .. } => IodValue::Array { rec_size, recxs, data },
                    other => other,
                };
                Iod { value, ..*iod }
            })
            .collect();
        self.base.update(target, &Update { iods: &iods, ..*request })
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        for iod in iods {
            match &mut iod.value {
                FetchValue::Single(sink) => {
                    let mut value: Vec<u8> = Vec::new();
                    let mut asked = [FetchIod::new(iod.akey, FetchValue::Single(&mut value))];
                    self.base.fetch(target, request, &mut asked)?;
                    let [FetchIod { sum, .. }] = asked;
                    iod.sum = sum;
                    if sum.get().is_some() || !value.is_empty() {
                        flip(&mut value, &self.back);
                        sink.put(&value);
                    }
                }
                FetchValue::Array(fetch) => {
                    let array = ArrayFetch::new(fetch.recxs, fetch.data, fetch.rec_size);
                    let mut asked = [FetchIod::new(iod.akey, FetchValue::Array(array))];
                    self.base.fetch(target, request, &mut asked)?;
                    let [FetchIod { value: FetchValue::Array(array), .. }] = asked else { continue };
                    (fetch.rec_size, fetch.holes, fetch.sums) = (array.rec_size, array.holes, array.sums);
                    flip(fetch.data, &self.back);
                }
            }
        }
        Ok(())
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        self.base.query(target, request)
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        self.base.punch(target, request)
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        self.base.list(target, request)
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        let mut pairs = self.base.list_pairs(target, request)?;
        let mut values = daos_types::Packed::default();
        for value in pairs.values.iter() {
            let room = values.push_room(value.len());
            room.copy_from_slice(value);
            flip(room, &self.back);
        }
        pairs.values = values;
        Ok(pairs)
    }
}

fn checksums(kind: ChecksumKind, piece_size: u32) -> Checksums {
    Checksums { kind: Some(kind), piece_size, server_verifies: false }
}

struct World {
    system: Arc<System>,
    container: Container,
    way: Arc<Way>,
    /// The container over that way.
    over: Container,
}

impl World {
    fn new(checksums: Checksums) -> Self {
        let options = Options { durability: Durability::Buffered, ..Options::default() };
        let system = System::in_memory(&options).unwrap();
        let pool = system.pool_create("p", b"").unwrap();
        let container = pool.container_create_summed("c", b"", checksums, false).unwrap();
        let base = Arc::clone(&pool.route);
        let way = Arc::new(Way { base, out: AtomicUsize::new(SOUND), back: AtomicUsize::new(SOUND) });
        let by: Arc<dyn Route> = Arc::<Way>::clone(&way);
        Self { over: container.by(by), system, container, way }
    }

    fn merge(&self) {
        self.system.guard.store.merge_all().unwrap();
    }
}

fn kv_oid() -> ObjectId {
    ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)
}

fn array_oid() -> ObjectId {
    ObjectId::generate(ObjectType::Array, 1, 1, 0, 2)
}

fn object_oid() -> ObjectId {
    ObjectId::generate(ObjectType::MultiHashed, 1, 1, 0, 3)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 256) as u8).collect()
}

#[track_caller]
fn assert_mismatch<T: std::fmt::Debug>(result: Result<T>, parts: &[&str]) {
    let Error { der, message, .. } = result.unwrap_err();
    assert_eq!(der, Der::Csum, "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} does not name {part:?}");
    }
}

/// Values that stay in the entry, that are deferred, that are staged.
const LENGTHS: [usize; 4] = [0, 64, 5000, 200_000];

#[test]
fn a_bit_that_changes_on_the_way_back_is_found_by_the_client() {
    for kind in ChecksumKind::ALL {
        let world = World::new(checksums(kind, 4096));
        let (kv, array) = (world.over.kv(kv_oid()).unwrap(), world.over.array_create(array_oid(), 4, None));
        let array = array.unwrap();
        for len in LENGTHS {
            kv.put(format!("{len}").as_bytes(), &bytes(len), Cond::NONE).unwrap();
        }
        array.write(100, &bytes(200_000)).unwrap();
        for is_merged in [false, true] {
            let mut found = Vec::new();
            for len in LENGTHS {
                let key = format!("{len}");
                world.way.back.store(SOUND, Ordering::Relaxed);
                found.clear();
                assert!(kv.get(key.as_bytes(), Cond::NONE, &mut found).unwrap());
                assert_eq!(found, bytes(len), "{kind:?}, {is_merged}");
                world.way.back.store(len * 3 + 1, Ordering::Relaxed);
                let got = kv.get(key.as_bytes(), Cond::NONE, &mut found);
                if len > 0 {
                    let oid = kv_oid().to_string();
                    assert_mismatch(got, &[&oid, &format!("dkey \"{key}\""), "akey \"0\""]);
                }
            }
            assert_mismatch(kv.list_pairs(None, 100, false), &["dkey"]);
            // In part, whole, and behind the end.
            for (start, len) in [(0, 1200), (100, 200_000), (1124, 4096), (1125, 9000), (50_099, 8)] {
                let mut data = vec![0; len];
                world.way.back.store(SOUND, Ordering::Relaxed);
                array.read(start, &mut data, Some(&[0; 4])).unwrap();
                world.way.back.store(8 * len - 1, Ordering::Relaxed);
                let read = array.read(start, &mut data, Some(&[0; 4]));
                if start + len as u64 / 4 > 50_100 {
                    // The last byte is a hole: nothing was answered for it.
                    read.unwrap();
                } else {
                    assert_mismatch(read, &[&array_oid().to_string(), "akey \"0\"", "records from"]);
                }
            }
            world.merge();
        }
    }
}

#[test]
fn bytes_that_rot_before_the_store_seals_them_are_found_whoever_reads_them() {
    let world = World::new(checksums(ChecksumKind::Crc64, 4096));
    let (kv, array) = (world.over.kv(kv_oid()).unwrap(), world.over.array_create(array_oid(), 1, None));
    let array = array.unwrap();
    // Bit 0 of byte 70,000 where there is one.
    world.way.out.store(8 * 70_000, Ordering::Relaxed);
    for len in LENGTHS {
        kv.put(format!("{len}").as_bytes(), &bytes(len), Cond::NONE).unwrap();
    }
    array.write(0, &bytes(200_000)).unwrap();
    world.way.out.store(SOUND, Ordering::Relaxed);
    let (kv, array) =
        (world.container.kv(kv_oid()).unwrap(), world.container.array_open(array_oid()).unwrap());
    for _ in 0..2 {
        for len in LENGTHS.into_iter().filter(|len| *len > 0) {
            let mut found: Vec<u8> = Vec::new();
            assert_mismatch(kv.get(format!("{len}").as_bytes(), Cond::NONE, &mut found), &["akey \"0\""]);
            let tx = world.container.transaction().unwrap();
            let in_tx = tx.container.kv(kv_oid()).unwrap();
            assert_mismatch(in_tx.get(format!("{len}").as_bytes(), Cond::NONE, &mut found), &["akey \"0\""]);
            assert_mismatch(in_tx.list_pairs(None, 100, false), &["dkey"]);
        }
        assert_mismatch(kv.list_pairs(None, 100, false), &["dkey"]);
        let mut data = vec![0; 200_000];
        assert_mismatch(array.read(0, &mut data, None), &["4096 records from 69632 on"]);
        // The same piece, but not the byte: the target would have to make a sum over what it cannot vouch for.
        assert_mismatch(array.read(69_632, &mut data[..100], None), &["object", "records 0 to 199999"]);
        // Its neighbours are as they were.
        array.read(0, &mut data[..69_632], None).unwrap();
        assert_eq!(data[..69_632], bytes(200_000)[..69_632]);
        let index = world.container.check(TargetIdx(0), None, 10_000).unwrap();
        assert_eq!(index.damaged, []);
        let inside = world.container.check(TargetIdx(0), index.next.as_deref(), 10_000).unwrap();
        let damaged = inside.damaged.len();
        assert_eq!(damaged, 4, "three values and an extent");
        array.read(73_728, &mut data[..1000], None).unwrap();
        assert_eq!(data[..1000], bytes(200_000)[73_728..74_728]);
        world.merge();
    }
}

#[test]
fn a_target_that_verifies_refuses_what_changed_on_its_way_there() {
    let world = World::new(Checksums { server_verifies: true, ..checksums(ChecksumKind::Sha256, 1000) });
    let (kv, array) = (world.over.kv(kv_oid()).unwrap(), world.over.array_create(array_oid(), 8, None));
    let array = array.unwrap();
    world.way.out.store(9, Ordering::Relaxed);
    assert_mismatch(kv.put(b"k", b"value", Cond::NONE), &[&kv_oid().to_string(), "dkey \"k\"", "akey \"0\""]);
    assert_mismatch(kv.put_all(&[(b"k", b"v"), (b"l", b"v")], Cond::NONE), &["dkey \"k\""]);
    assert_mismatch(array.write(7, &bytes(80_000)), &["records 7 to 10006"]);
    world.way.out.store(SOUND, Ordering::Relaxed);
    assert!(!kv.get(b"k", Cond::NONE, &mut Vec::<u8>::new()).unwrap());
    assert_eq!(array.size().unwrap(), 0);
    kv.put(b"k", b"value", Cond::NONE).unwrap();
    array.write(7, &bytes(80_000)).unwrap();
    let tx = world.container.transaction().unwrap();
    tx.container.kv(kv_oid()).unwrap().put(b"k", b"other", Cond::NONE).unwrap();
    tx.end.commit().unwrap();
    let mut found: Vec<u8> = Vec::new();
    assert!(kv.get(b"k", Cond::NONE, &mut found).unwrap());
    assert_eq!(found, b"other");
    kv.put(b"empty", b"", Cond::NONE).unwrap();
    // Several at once go as a batch by the way itself.
    world.container.kv(kv_oid()).unwrap().put_all(&[(b"k", b"v"), (b"l", b"w")], Cond::NONE).unwrap();
    assert_eq!(kv.list_pairs(None, 9, false).unwrap().values.len(), 3);
}

#[test]
fn what_came_without_sums_stays_readable_beside_what_has_them() {
    let world = World::new(checksums(ChecksumKind::Crc32, 64));
    let (base, cont) = (&world.way.base, world.container.uuid());
    let plain = Kv::open(Arc::clone(base), cont, kv_oid(), Durability::Buffered).unwrap();
    plain.put(b"old", b"value", Cond::NONE).unwrap();
    let plain = Array::create(Arc::clone(base), cont, array_oid(), Durability::Buffered, 1, 1 << 20).unwrap();
    plain.write(0, &[1; 10_000]).unwrap();
    world.container.array_open(array_oid()).unwrap().write(4000, &[2; 100]).unwrap();
    let mut found: Vec<u8> = Vec::new();
    for _ in 0..2 {
        assert!(world.over.kv(kv_oid()).unwrap().get(b"old", Cond::NONE, &mut found).unwrap());
        let mut data = [0; 200];
        world.over.array_open(array_oid()).unwrap().read(3950, &mut data, None).unwrap();
        assert_eq!((&data[..50], &data[50..150], &data[150..]), (&[1; 50][..], &[2; 100][..], &[1; 50][..]));
        world.merge();
    }
    assert_eq!(found, b"valuevalue");
}

#[test]
fn how_a_container_sums_is_kept_and_what_is_impossible_refused() {
    let world = World::new(checksums(ChecksumKind::Adler32, 512));
    let again = world.system.pool_open("p").unwrap().container_open("c").unwrap();
    assert_eq!(again.checksums, checksums(ChecksumKind::Adler32, 512));
    for piece_size in [0, (1 << 30) + 1] {
        let summed = checksums(ChecksumKind::Crc32, piece_size);
        let refused = again.pool.container_create_summed("d", b"", summed, false).unwrap_err();
        assert_eq!((refused.der, refused.hint.is_some()), (Der::Inval, true));
    }
    // An update whose sums are not as many as its bytes ask for.
    let target = &world.way.base.targets[0];
    let of = daos_wire::ShardRef {
        cont: again.uuid(),
        oid: daos_types::UnitOid { oid: kv_oid(), ..daos_types::UnitOid::default() },
    };
    let by = checksums(ChecksumKind::Adler32, 512);
    for sums in [&[0; 3][..], &[0; 5], &[]] {
        let sums = daos_types::IodSums::new(by, sums);
        let iods = [Iod { sums, ..Iod::new(b"0", IodValue::Single(b"value")) }];
        let request = Update {
            of,
            dkey: b"k",
            iods: &iods,
            cond: Cond::NONE,
            durability: Durability::Buffered,
            origin: None,
        };
        assert_eq!(target.update(&request).1.unwrap_err().der(), Der::Inval);
        let pair = daos_types::Pair { key: b"k", value: b"value", sums };
        let put =
            daos_wire::PutPairs { of, pairs: &[pair, pair], durability: Durability::Buffered, origin: None };
        assert_eq!(target.put_pairs(&put).1.unwrap_err().der(), Der::Inval);
    }
}

/// A source of numbers, the same for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Extents that ascend, close to each other.
    fn extents(&mut self, span: u64) -> Vec<Extent> {
        let mut index = self.below(span);
        let (count, even) = (1 + self.below(12), self.below(2) == 0);
        let (gap, len) = (1 + self.below(40), 1 + self.below(span / 8));
        (0..count)
            .map(|_| {
                let (gap, len) = if even { (gap, len) } else { (self.below(40), 1 + self.below(span / 8)) };
                let extent = Extent { index, count: len };
                index = extent.end() + gap;
                extent
            })
            .collect()
    }
}

/// Writes, holes and reads of all forms in one akey of records, against a plain list; no read is ever refused.
#[test]
fn arrays_with_sums_read_as_they_were_written() {
    let sizes = [(1, 1), (1, 100), (3, 7), (8, 4096), (5000, 32 << 10), (40, 32 << 10)];
    for (seed, kind) in ChecksumKind::ALL.into_iter().enumerate() {
        for (rec_size, piece_size) in sizes {
            let verifies = seed % 2 == 0;
            let world = World::new(Checksums { server_verifies: verifies, ..checksums(kind, piece_size) });
            let object = world.container.object(object_oid()).unwrap();
            let mut random = Random(seed as u64 * 1000 + rec_size);
            // Some reach over chunks, whatever a record has.
            let span = (24_000 / rec_size).max(40);
            let first = daos_types::part::chunk_records(rec_size) - span / 2;
            let shift = |extents: Vec<Extent>| -> Vec<Extent> {
                extents.into_iter().map(|e| Extent { index: e.index + first, ..e }).collect()
            };
            let size = rec_size as usize;
            let mut model = vec![0_u8; 20 * span as usize * size];
            for step in 0..30 {
                let recxs = shift(random.extents(span));
                let places = recxs.iter().flat_map(|recx| recx.index..recx.end());
                let places: Vec<usize> = places.map(|record| (record - first) as usize * size).collect();
                match random.below(5) {
                    0..=1 => {
                        let data: Vec<u8> =
                            (0..places.len() * size).map(|_| random.below(256) as u8).collect();
                        for (place, record) in places.iter().zip(data.chunks(size)) {
                            model[*place..place + size].copy_from_slice(record);
                        }
                        let value = IodValue::Array { rec_size, recxs: &recxs, data: &data };
                        object.update(b"d", &[Iod::new(b"a", value)], Cond::NONE).unwrap();
                    }
                    2 => {
                        for place in &places {
                            model[*place..place + size].fill(0);
                        }
                        let iods = [Iod::new(b"a", IodValue::Holes(&recxs))];
                        object.update(b"d", &iods, Cond::NONE).unwrap();
                    }
                    _ => {
                        let mut data = vec![0; places.len() * size];
                        let fetch = ArrayFetch::new(&recxs, &mut data, rec_size);
                        let mut iods = [FetchIod::new(b"a", FetchValue::Array(fetch))];
                        object.fetch(b"d", &mut iods, Cond::NONE).unwrap();
                        let expected: Vec<u8> =
                            places.iter().flat_map(|place| model[*place..place + size].to_vec()).collect();
                        assert!(data == expected, "{kind:?}, records of {rec_size}, step {step}");
                    }
                }
                if random.below(8) == 0 {
                    world.merge();
                }
            }
        }
    }
}
