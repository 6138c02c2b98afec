//! A request that comes as a message does what it does when it is called.

use daos_client::{ContainerService as _, Survey};
use daos_embed::{Container, Options, System};
use daos_host::{Answer, Granted, Refused, Request, serve};
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, ContainerId, Der, Durability, Epoch, Extent, FetchIod, FetchValue, Iod,
    IodValue, KeyQuery, ObjectId, ObjectType, Punched, ShardIdx, TargetIdx, UnitOid,
};
use daos_wire::{
    Beside, Check, Checked, Count, Counted, Encoded, Fetch, List, ListedKeys, ListedObjects, ListedPairs,
    Objects, Opcode, Punch, Query, ReadFetchReply, ShardRef, Update, decode_done, decode_found,
};
use std::sync::Arc;

const ROOM: usize = 1 << 20;
/// Long enough to be staged in the data file.
const LARGE: usize = 300_000;
const TARGET: TargetIdx = TargetIdx(0);

/// A container and what a handle of it grants.
struct World {
    _system: Arc<System>,
    granted: Granted,
    survey: Arc<dyn Survey>,
}

impl World {
    fn new() -> Self {
        let system = System::in_memory(&Options::default()).unwrap();
        let container: Container = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
        let (cont, survey) = (container.uuid(), container.survey());
        let granted = Granted {
            cont,
            route: container.route(),
            survey: Some(container.survey()),
            rights: daos_host::Rights::ALL,
        };
        Self { _system: system, granted, survey }
    }

    fn of(&self, kind: ObjectType) -> ShardRef {
        let oid = UnitOid { oid: ObjectId::generate(kind, 1, 1, 0, 1), shard: ShardIdx(0) };
        ShardRef { cont: self.granted.cont, oid }
    }
}

/// Sends a message to target 0, which must have room for its answer.
fn send(world: &World, opcode: Opcode, message: &Encoded<'_>) -> Result<Answer, Refused> {
    send_with(world, opcode, message, ROOM)
}

fn send_with(
    world: &World,
    opcode: Opcode,
    message: &Encoded<'_>,
    answer_len_max: usize,
) -> Result<Answer, Refused> {
    let payloads: Vec<&[u8]> = message.payloads.iter().map(|beside| beside.bytes).collect();
    let units: Vec<&[u32]> = message.payloads.iter().map(|beside| beside.units).collect();
    let (durability, body) = (Durability::Synced, &message.body);
    let request = Request {
        durability,
        origin: None,
        answer_len_max,
        body,
        payloads: &payloads,
        units: &units,
        landed: 0,
    };
    serve(&world.granted, TARGET, opcode, &request)
}

fn payloads(answer: &Answer) -> Vec<&[u8]> {
    answer.payloads.iter().map(|bytes| &**bytes).collect()
}

fn put(world: &World, of: ShardRef, dkey: &[u8], iods: &[Iod<'_>], cond: Cond) -> Result<(), Refused> {
    let update = Update { of, dkey, iods, cond, durability: Durability::Synced, origin: None };
    let answer = send(world, Opcode::Update, &update.encode().unwrap())?;
    decode_done(&answer.body, &payloads(&answer)).unwrap();
    Ok(())
}

/// Fetches through a message, into what the iods name.
fn fetch(
    world: &World,
    of: ShardRef,
    dkey: &[u8],
    iods: &mut [FetchIod<'_>],
    room: usize,
) -> Result<(), Refused> {
    let fetch = Fetch { of, dkey, epoch: Epoch::MAX, cond: Cond::NONE, durability: Durability::Synced };
    let message = fetch.encode(iods).unwrap();
    let answer = send_with(world, Opcode::Fetch, &message, room)?;
    let lens: Vec<usize> = answer.payloads.iter().map(|bytes| bytes.len()).collect();
    let reply = ReadFetchReply::decode(&answer.body, &lens, iods).unwrap();
    for (nth, payload) in answer.payloads.iter().enumerate() {
        let mut rest = &**payload;
        for room in reply.rooms(iods, nth).unwrap() {
            let (part, behind) = rest.split_at(room.len());
            room.copy_from_slice(part);
            rest = behind;
        }
        assert!(rest.is_empty());
    }
    reply.finish(iods, &mut []);
    Ok(())
}

#[test]
fn what_is_sent_is_stored_and_comes_back() {
    let world = World::new();
    let of = world.of(ObjectType::DkeyUint64);
    let (dkey, long) = (7_u64.to_le_bytes(), vec![3_u8; LARGE]);
    let recxs = [Extent { index: 10, count: 3_000 }, Extent { index: 5_000, count: 2_000 }];
    let cells: Vec<u8> = (0..5_000_u32 * 2).map(|at| (at % 251) as u8).collect();
    let iods = [
        Iod::new(b"short", IodValue::Single(b"v")),
        Iod::new(b"long", IodValue::Single(&long)),
        Iod::new(b"cells", IodValue::Array { rec_size: 2, recxs: &recxs, data: &cells }),
    ];
    put(&world, of, &dkey, &iods, Cond::NONE).unwrap();
    let refused = put(&world, of, &dkey, &iods, Cond::DKEY_INSERT).unwrap_err();
    assert_eq!((refused.der(), refused.is_before()), (Der::Exist, false));

    let (mut short, mut found, mut none) = (Vec::new(), Vec::new(), Vec::new());
    let wanted = [Extent { index: 0, count: 5_500 }];
    let mut cells_read = vec![9; 11_000];
    let mut iods = [
        FetchIod::new(b"short", FetchValue::Single(&mut short)),
        FetchIod::new(b"long", FetchValue::Single(&mut found)),
        FetchIod::new(b"none", FetchValue::Single(&mut none)),
        FetchIod::new(b"cells", FetchValue::Array(ArrayFetch::new(&wanted, &mut cells_read, 2))),
    ];
    fetch(&world, of, &dkey, &mut iods, ROOM).unwrap();
    let [.., FetchIod { value: FetchValue::Array(array), .. }] = &iods else { panic!("it is an array") };
    assert_eq!(array.holes, [0..20, 6_020..10_000]);
    assert_eq!((short.as_slice(), none.as_slice()), (&b"v"[..], &b""[..]));
    assert_eq!(found, long);
    assert_eq!((&cells_read[20..6_020], &cells_read[10_000..]), (&cells[..6_000], &cells[6_000..7_000]));

    let query = KeyQuery { greatest: true, dkey: None, akey: AkeyQuery::Given(b"cells"), recx: true };
    let query = Query { of, what: query, epoch: Epoch::MAX, durability: Durability::Synced };
    let answer = send(&world, Opcode::Query, &query.encode().unwrap()).unwrap();
    let found = decode_found(&answer.body, &payloads(&answer)).unwrap().unwrap();
    assert_eq!((found.dkey, found.recx.map(Extent::end)), (Some(7), Some(7_000)));

    let durability = Durability::Synced;
    let punch = Punch { of, what: Punched::Dkey(&dkey), cond: Cond::PUNCH, durability, origin: None }
        .encode()
        .unwrap();
    let answer = send(&world, Opcode::Punch, &punch).unwrap();
    decode_done(&answer.body, &payloads(&answer)).unwrap();
    assert_eq!(send(&world, Opcode::Punch, &punch).unwrap_err().der(), Der::Nonexist);
}

#[test]
fn pages_come_as_they_are_called() {
    let world = World::new();
    let of = world.of(ObjectType::KvHashed);
    for number in 0..20_u8 {
        let value = vec![number; 300 * usize::from(number)];
        put(&world, of, &[b'k', number], &[Iod::new(b"0", IodValue::Single(&value))], Cond::NONE).unwrap();
    }
    let durability = Durability::Synced;
    let list = List {
        of,
        dkey: None,
        epoch: Epoch::MAX,
        from: None,
        count_max: 7,
        bytes_max: ROOM,
        reverse: false,
        durability,
    };
    let message = list.encode().unwrap();
    let answer = send(&world, Opcode::List, &message).unwrap();
    let keys = ListedKeys::decode(&answer.body, &payloads(&answer)).unwrap();
    assert_eq!(keys, world.survey.list(TARGET, &list).unwrap());
    assert_eq!(keys.keys.len(), 7);
    let list = List { count_max: 20, ..list };
    let answer = send(&world, Opcode::ListPairs, &list.encode().unwrap()).unwrap();
    let held = payloads(&answer);
    let pairs = ListedPairs::decode(&answer.body, &held).unwrap();
    assert_eq!(pairs, world.survey.list_pairs(TARGET, &list).unwrap());
    assert_eq!((pairs.keys.len(), answer.payloads.len()), (20, 6), "longer than a page: payloads");

    let objects =
        Objects { cont: world.granted.cont, epochs: &[Epoch::MAX], after: None, count_max: 5, durability };
    let answer = send(&world, Opcode::Objects, &objects.encode().unwrap()).unwrap();
    let listed = ListedObjects::decode(&answer.body, &payloads(&answer)).unwrap();
    assert_eq!(listed.oids, [of.oid.oid]);
    let (mut from, mut entries) = (None, 0);
    loop {
        let check = Check { cont: world.granted.cont, from: from.as_deref(), budget: 100, durability };
        let answer = send(&world, Opcode::Check, &check.encode().unwrap()).unwrap();
        let checked = Checked::decode(&answer.body, &payloads(&answer)).unwrap();
        assert_eq!(checked.damaged, []);
        entries += checked.entries;
        from = checked.next;
        if from.is_none() {
            break;
        }
    }
    assert!(entries >= 20);
    let count = Count { cont: world.granted.cont, from: None, budget: 100, durability };
    let answer = send(&world, Opcode::Count, &count.encode().unwrap()).unwrap();
    let counted = Counted::decode(&answer.body, &payloads(&answer)).unwrap();
    assert_eq!(counted, world.survey.count(TARGET, &count).unwrap());
    assert!(counted.tally.dkeys >= 20, "{counted:?}");
}

#[test]
fn what_cannot_be_answered_is_refused_and_changes_nothing() {
    let world = World::new();
    let of = world.of(ObjectType::KvHashed);
    let long = vec![1; LARGE];
    put(&world, of, b"k", &[Iod::new(b"0", IodValue::Single(&long))], Cond::NONE).unwrap();
    let fetched = |room| {
        let mut value = Vec::new();
        let mut iods = [FetchIod::new(b"0", FetchValue::Single(&mut value))];
        fetch(&world, of, b"k", &mut iods, room).map(|()| value)
    };
    assert_eq!(fetched(ROOM).unwrap(), long);
    let Err(Refused::TooLong { len, max: 100 }) = fetched(100) else { panic!("it has no room") };
    assert!(len >= LARGE);
    assert_eq!(fetched(len + 200).unwrap(), long);

    let iods = [Iod::new(b"0", IodValue::Single(b"other"))];
    let update = Update {
        of,
        dkey: b"k",
        iods: &iods,
        cond: Cond::NONE,
        durability: Durability::Synced,
        origin: None,
    };
    let whole = update.encode().unwrap();
    let stranger = ShardRef { cont: ContainerId([9; 16]), ..of };
    let refused = put(&world, stranger, b"k", &iods, Cond::NONE).unwrap_err();
    assert_eq!((refused.der(), refused.is_before()), (Der::NoPerm, true), "another container");
    let count =
        Count { cont: of.cont, from: None, budget: 1, durability: Durability::Synced }.encode().unwrap();
    let (durability, body) = (Durability::Synced, &count.body);
    let request = Request {
        durability,
        origin: None,
        answer_len_max: ROOM,
        body,
        payloads: &[],
        units: &[],
        landed: 0,
    };
    let inside = Granted { survey: None, ..world.granted.clone() };
    let refused = serve(&inside, TARGET, Opcode::Count, &request).unwrap_err();
    assert_eq!(refused.der(), Der::Notsupported, "not a part of transactions");
    for cut in 0..whole.body.len() {
        let message = Encoded { body: whole.body[..cut].to_vec(), payloads: Vec::new() };
        let refused = send(&world, Opcode::Update, &message).unwrap_err();
        assert!(refused.is_before() && refused.der() == Der::Proto, "{cut} bytes: {refused:?}");
    }
    for opcode in Opcode::ALL {
        let message =
            Encoded { body: whole.body.clone(), payloads: vec![Beside { bytes: &long, units: &[] }] };
        assert!(
            send(&world, opcode, &message).unwrap_err().is_before(),
            "{opcode:?} with a payload left over"
        );
    }
    assert_eq!(fetched(ROOM).unwrap(), long);
}
