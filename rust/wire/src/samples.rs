//! Messages of every kind, for the tests.

use crate::control::Summing;
use crate::*;
use daos_types::{
    AkeyQuery, ArrayFetch, ChecksumKind, Checksums, Cond, Durability, Epoch, Extent, FetchIod, FetchValue,
    How, Iod, IodSums, IodValue, KeyDifference, KeyFound, KeyQuery, ObjectId, Pair, Punched, ShardIdx, Sums,
    Tally, UnitOid,
};
use serde_bytes::ByteBuf;

/// A message with payloads of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) body: Vec<u8>,
    pub(crate) payloads: Vec<Vec<u8>>,
}

impl Owned {
    pub(crate) fn of(encoded: Result<Encoded<'_>, WireError>) -> Self {
        let Encoded { body, payloads } = encoded.unwrap();
        Self { body, payloads: payloads.into_iter().map(|beside| beside.bytes.to_vec()).collect() }
    }

    pub(crate) fn payloads(&self) -> Vec<&[u8]> {
        self.payloads.iter().map(Vec::as_slice).collect()
    }

    pub(crate) fn lens(&self) -> Vec<usize> {
        self.payloads.iter().map(Vec::len).collect()
    }
}

pub(crate) fn shard() -> ShardRef {
    let oid = ObjectId { hi: 0x0801_FFFF_0000_0007, lo: 9 };
    ShardRef { cont: daos_types::ContainerId([3; 16]), oid: UnitOid { oid, shard: ShardIdx(2) } }
}

pub(crate) const BY: Checksums =
    Checksums { kind: Some(ChecksumKind::Crc32), piece_size: 32 << 10, server_verifies: true };
const RECXS: [Extent; 2] = [Extent { index: 5, count: 10 }, Extent { index: 100, count: 1 }];

/// An update with every kind of value; `long` bytes in two of them.
pub(crate) fn update(long: usize) -> Owned {
    let (value, records) = (vec![7; long], vec![8; long * 8]);
    let iods = [
        Iod { sums: IodSums::new(BY, &[1, 2, 3, 4]), ..Iod::new(b"a", IodValue::Single(&value)) },
        Iod::new(b"", IodValue::NoSingle),
        Iod::new(b"c", IodValue::Array { rec_size: 8, recxs: &RECXS, data: &records }),
        Iod { cond: Cond::AKEY_INSERT, ..Iod::new(b"d", IodValue::Holes(&RECXS)) },
    ];
    let update = Update {
        of: shard(),
        dkey: b"key",
        iods: &iods,
        cond: Cond::PER_AKEY,
        durability: Durability::Interval,
        origin: None,
    };
    Owned::of(update.encode())
}

/// An update that begins a transaction.
pub(crate) fn tx_first(long: usize) -> Owned {
    let Owned { body, payloads } = update(long);
    let beside = payloads.iter().map(|bytes| Beside { bytes, units: &[] }).collect();
    Owned::of(TxFirst::encode(77, Opcode::Update, &Encoded { body, payloads: beside }))
}

/// Changes that end a transaction.
pub(crate) fn tx_changes() -> Owned {
    let (update, punches) = (update(3), punches());
    let bodies = [(Opcode::Update, &update), (Opcode::Punch, &punches[0]), (Opcode::Punch, &punches[2])];
    let change = |(opcode, message): (Opcode, &'_ Owned)| (opcode, message.body.clone());
    let bodies = bodies.map(change);
    let changes =
        bodies.iter().zip(4..).map(|((opcode, body), target)| TxChange { target, opcode: *opcode, body });
    Owned::of(TxChanges { number: 0, commits: true, changes: changes.collect() }.encode())
}

pub(crate) fn punches() -> Vec<Owned> {
    let (of, durability) = (shard(), Durability::Buffered);
    [Punched::Object, Punched::Dkey(b"d"), Punched::Akeys(b"d", &[b"a", b"b"])]
        .map(|what| Owned::of(Punch { of, what, cond: Cond::PUNCH, durability, origin: None }.encode()))
        .to_vec()
}

pub(crate) fn queries() -> Vec<Owned> {
    let (of, durability, epoch) = (shard(), Durability::Synced, Epoch::MAX);
    [AkeyQuery::None, AkeyQuery::Extreme, AkeyQuery::Given(b"0")]
        .map(|akey| KeyQuery { greatest: true, dkey: Some(&[1; 8]), akey, recx: false })
        .map(|what| Owned::of(Query { of, what, epoch, durability }.encode()))
        .to_vec()
}

pub(crate) fn found() -> KeyFound {
    KeyFound { dkey: Some(3), akey: None, recx: Extent::new(4, 5), rec_size: 8 }
}

pub(crate) fn list() -> List<'static> {
    let (of, durability) = (shard(), Durability::Synced);
    let (dkey, from) = (Some(&b"dkey"[..]), Some(&b"from here"[..]));
    List { of, dkey, epoch: Epoch(77), from, count_max: 5, bytes_max: 1 << 20, reverse: true, durability }
}

pub(crate) fn keys() -> ListedKeys {
    ListedKeys { keys: vec![b"a".to_vec(), vec![], vec![9; 300]], next: Some(b"b".to_vec()) }
}

/// Pairs with and without sums, one of them long.
pub(crate) fn pairs() -> ListedPairs {
    let mut pairs = ListedPairs::default();
    let long = vec![6; 5000];
    for (key, value, sum) in
        [(&b"a"[..], &b"one"[..], &[2, 1, 2, 3, 4][..]), (b"b", b"", b""), (b"c", &long, &[1, 8, 9])]
    {
        pairs.keys.push(key);
        pairs.values.push(value);
        pairs.sums.push(sum);
    }
    pairs
}

/// Pairs with and without sums, `long` bytes in one of them.
pub(crate) fn put_pairs(long: usize) -> Owned {
    let value = vec![7; long];
    let sums = IodSums::new(BY, &[1, 2, 3, 4]);
    let pairs = [Pair { sums, ..Pair::new(b"a", &value) }, Pair::new(b"", b""), Pair::new(b"c", b"three")];
    let (of, durability) = (shard(), Durability::Interval);
    Owned::of(PutPairs { of, pairs: &pairs, durability, origin: None }.encode())
}

pub(crate) fn get_values() -> Owned {
    let (of, durability, keys) = (shard(), Durability::Synced, &[&b"a"[..], b"", b"c"]);
    Owned::of(GetValues { of, keys, epoch: Epoch(8), bytes_max: usize::MAX, durability }.encode())
}

/// Values with and without sums, one that is not there, one of 5000 bytes.
pub(crate) fn got_values() -> GotValues {
    let mut got = GotValues::default();
    got.push(true, b"one", Some((ChecksumKind::Crc32, &[1, 2, 3, 4])));
    got.push(false, b"", None);
    got.push(true, &[6; 5000], None);
    got.push(true, b"", Some((ChecksumKind::Crc16, &[8, 9])));
    got
}

pub(crate) fn objects() -> Owned {
    let (after, durability) = (Some(ObjectId { hi: 1, lo: 2 }), Durability::Synced);
    let epochs = &[Epoch(1), Epoch::MAX];
    Owned::of(Objects { cont: shard().cont, epochs, after, count_max: 9, durability }.encode())
}

pub(crate) fn listed_objects() -> ListedObjects {
    ListedObjects { oids: vec![ObjectId { hi: 1, lo: 2 }, ObjectId::default()], next: None }
}

pub(crate) fn diff() -> Owned {
    let (of, durability) = (shard(), Durability::Synced);
    Owned::of(Diff { of, before: Epoch(1), after: Epoch(2), from: None, count_max: 3, durability }.encode())
}

pub(crate) fn differences() -> Differences {
    let key = |how| KeyDifference { dkey: vec![1], akey: vec![], how, records: RECXS.to_vec() };
    Differences { keys: [How::Added, How::Removed, How::Changed].map(key).to_vec(), next: Some(vec![4]) }
}

pub(crate) fn check() -> Owned {
    let durability = Durability::Synced;
    Owned::of(Check { cont: shard().cont, from: Some(b"x"), budget: usize::MAX, durability }.encode())
}

pub(crate) fn checked() -> Checked {
    let damaged =
        vec![(Some(ObjectId { hi: 5, lo: 6 }), "a value is torn".to_owned()), (None, "a page".to_owned())];
    Checked { objects: 1, entries: 2, pages: 3, bytes: 4, damaged, next: None }
}

pub(crate) fn count() -> Owned {
    let durability = Durability::Synced;
    Owned::of(Count { cont: shard().cont, from: None, budget: 7, durability }.encode())
}

pub(crate) fn counted() -> Counted {
    let epochs = Some((Epoch(8), Epoch(9)));
    let tally =
        Tally { objects: 1, dkeys: 2, values: 3, extents: 4, removals: 5, bytes: 6, stored_bytes: 7, epochs };
    Counted { tally, next: Some(vec![4]) }
}

/// What a caller of the fetch below brings.
pub(crate) fn with_iods<R>(
    buffer: &mut [u8],
    values: &mut [Vec<u8>; 2],
    run: impl FnOnce(&mut [FetchIod<'_>]) -> R,
) -> R {
    let [first, second] = values;
    let mut iods = [
        FetchIod::new(b"a", FetchValue::Single(first)),
        FetchIod::new(b"none", FetchValue::Single(second)),
        FetchIod::new(b"c", FetchValue::Array(ArrayFetch::new(&RECXS, buffer, 8))),
        FetchIod::new(b"d", FetchValue::Array(ArrayFetch::new(&[], &mut [], 3))),
    ];
    run(&mut iods)
}

/// Bytes of the buffer of the fetch below.
pub(crate) const BUFFER: usize = 6000;

pub(crate) fn fetch() -> Owned {
    with_iods(&mut vec![0; BUFFER], &mut Default::default(), |iods| {
        let (of, durability) = (shard(), Durability::Synced);
        Owned::of(
            Fetch { of, dkey: b"key", epoch: Epoch(8), cond: Cond::AKEY_FETCH, durability }.encode(iods),
        )
    })
}

/// A target's answer to it: a value of so many bytes, an array with holes, one whose records have another size.
pub(crate) fn answer(iods: &mut [FetchIod<'_>], long: usize) {
    let [first, _, third, fourth] = iods else { panic!("other iods") };
    let FetchValue::Single(sink) = &mut first.value else { panic!("a value") };
    sink.put(&vec![7; long]);
    first.sum.set(Some(Sums { kind: ChecksumKind::Crc32, piece: long, bytes: &[1, 2, 3, 4] }), long);
    let FetchValue::Array(array) = &mut third.value else { panic!("an array") };
    array.data.fill(0xAA);
    array.holes = vec![0..16, 100..BUFFER - 4];
    for hole in array.holes.clone() {
        array.data[hole].fill(0xEE);
    }
    array.sums.push(Sums { kind: ChecksumKind::Crc16, piece: 84, bytes: &[1, 2] }, std::iter::once(16..100));
    array.sums.push(
        Sums { kind: ChecksumKind::Crc64, piece: 4, bytes: &[9; 8] },
        std::iter::once(BUFFER - 4..BUFFER),
    );
    let FetchValue::Array(array) = &mut fourth.value else { panic!("an array") };
    array.rec_size = 4;
}

pub(crate) fn fetch_reply(long: usize) -> Owned {
    let asked = fetch();
    let payloads = asked.payloads();
    let read = ReadFetch::decode(Durability::Synced, &asked.body, &payloads).unwrap();
    let served = read.serve(1 << 20, |_, iods| {
        answer(iods, long);
        Ok::<(), ()>(())
    });
    Owned::of(served.unwrap().unwrap().encode())
}

/// A control request of each kind.
pub(crate) fn controls() -> Vec<Control> {
    let text = || "a label".to_owned();
    let bytes = || ByteBuf::from(vec![0x80, 7]);
    vec![
        Control::SystemTargets,
        Control::SystemSpace,
        Control::ChangeSettle { sequence: 9 },
        Control::PoolList,
        Control::PoolCreate { label: text(), props: bytes() },
        Control::PoolConnect { pool: text() },
        Control::PoolDestroy { pool: text() },
        Control::PoolChange {
            label: Some(text()),
            scrub_mode: None,
            scrub_freq: Some(60),
            scrub_thresh: None,
        },
        Control::PoolScrubStatus,
        Control::ContainerList,
        Control::ContainerCreate {
            label: text(),
            props: bytes(),
            checksums: Summing { kind: 3, piece_size: 32 << 10, server_verifies: true },
            scrub_disabled: false,
        },
        Control::ContainerOpen { container: text() },
        Control::ContainerDestroy { container: text() },
        Control::ContainerSetLabel { label: text() },
        Control::ContainerAllocOids { count: u64::MAX },
        Control::ContainerAggregate,
        Control::SnapshotCreate { name: Some(text()) },
        Control::SnapshotList,
        Control::SnapshotCheck { epoch: 1 << 60 },
        Control::SnapshotDestroy { first: 1, last: 2 },
        Control::SnapshotRollback { epoch: 5 },
        Control::AttributeSet { items: vec![(text(), bytes())] },
        Control::AttributeGet { names: vec![text(), text()] },
        Control::AttributeList,
        Control::AttributeRemove { names: vec![text()] },
    ]
}
