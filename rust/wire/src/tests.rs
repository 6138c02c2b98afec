use crate::samples::{self, Owned};
use crate::*;
use daos_types::{
    ArrayFetch, ChecksumKind, Checksums, Cond, Der, Durability, Epoch, Extent, FetchIod, FetchValue, Iod,
    IodSums, IodValue, KeyFound, ObjectId, Pair, ShardIdx, Sums, UnitOid,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::ops::Range;

fn said(value: &dyn std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Decodes what was encoded, and encodes that again.
fn update_again(message: &Owned) -> Result<(Owned, String), WireError> {
    let payloads = message.payloads();
    let read = ReadUpdate::decode(Durability::Interval, &message.body, &payloads)?;
    Ok(read.with(|update| (Owned::of(update.encode()), said(update))))
}

#[test]
fn an_update_comes_back_and_long_values_travel_beside_it() {
    for (long, payloads) in [(0, 0), (512, 0), (513, 1), (4096, 1), (4097, 2)] {
        let message = samples::update(long);
        assert_eq!(message.payloads.len(), payloads, "{long}");
        let (again, told) = update_again(&message).unwrap();
        assert_eq!(again, message);
        assert!(told.contains("Interval"), "{told}");
    }
}

#[test]
fn requests_come_back() {
    let safe = Durability::Synced;
    for message in samples::punches() {
        let read = ReadPunch::decode(Durability::Buffered, &message.body, &[]).unwrap();
        assert_eq!(Owned::of(read.request().encode()), message);
    }
    for message in samples::queries() {
        let read = Query::decode(safe, &message.body, &[]).unwrap();
        assert_eq!(Owned::of(read.encode()), message);
    }
    for long in [3, 4096, 4097] {
        let message = samples::put_pairs(long);
        assert_eq!(message.payloads.len(), usize::from(long > 4096), "a long value travels beside it");
        let payloads = message.payloads();
        let read = ReadPutPairs::decode(Durability::Interval, &message.body, &payloads).unwrap();
        assert_eq!((read.request().durability, read.request().pairs.len()), (Durability::Interval, 3));
        assert_eq!(Owned::of(read.request().encode()), message);
    }
    let message = samples::get_values();
    let read = ReadGetValues::decode(safe, &message.body, &[]).unwrap();
    assert_eq!(read.request().keys, [&b"a"[..], b"", b"c"]);
    assert_eq!(Owned::of(read.request().encode()), message);
    let list = samples::list();
    let message = Owned::of(list.encode());
    assert_eq!(said(&List::decode(safe, &message.body, &[]).unwrap()), said(&list));
    let message = samples::objects();
    assert_eq!(Owned::of(ReadObjects::decode(safe, &message.body, &[]).unwrap().request().encode()), message);
    let message = samples::diff();
    assert_eq!(Owned::of(Diff::decode(safe, &message.body, &[]).unwrap().encode()), message);
    let message = samples::check();
    let check = Check::decode(safe, &message.body, &[]).unwrap();
    assert_eq!(check.budget, u32::MAX as usize, "more than the field holds is as good as that");
    assert_eq!(Owned::of(check.encode()), message);
    let message = samples::count();
    assert_eq!(Owned::of(Count::decode(safe, &message.body, &[]).unwrap().encode()), message);
}

#[test]
fn replies_come_back() {
    assert_eq!(decode_done(&encode_done().body, &[]), Ok(()));
    for found in [None, Some(samples::found()), Some(KeyFound::default())] {
        let message = Owned::of(encode_found(found.as_ref()));
        assert_eq!(decode_found(&message.body, &[]), Ok(found));
    }
    let keys = samples::keys();
    assert_eq!(ListedKeys::decode(&Owned::of(keys.encode()).body, &[]), Ok(keys));
    let pairs = samples::pairs();
    let message = Owned::of(pairs.encode());
    assert_eq!(message.lens(), [5000]);
    assert_eq!(ListedPairs::decode(&message.body, &message.payloads()), Ok(pairs));
    let got = samples::got_values();
    let message = Owned::of(got.encode());
    assert_eq!(message.lens(), [5000]);
    assert_eq!(GotValues::decode(&message.body, &message.payloads()), Ok(got));
    let objects = samples::listed_objects();
    assert_eq!(ListedObjects::decode(&Owned::of(objects.encode()).body, &[]), Ok(objects));
    let differences = samples::differences();
    assert_eq!(Differences::decode(&Owned::of(differences.encode()).body, &[]), Ok(differences));
    let checked = samples::checked();
    assert_eq!(Checked::decode(&Owned::of(checked.encode()).body, &[]), Ok(checked));
    let counted = samples::counted();
    assert_eq!(Counted::decode(&Owned::of(counted.encode()).body, &[]), Ok(counted));
}

/// What a caller sees of a fetch, as if it had been answered directly, and over messages.
fn fetched(long: usize, by_messages: bool) -> (Vec<u8>, [Vec<u8>; 2], String) {
    let (mut buffer, mut values) = (vec![0x11; samples::BUFFER], <[Vec<u8>; 2]>::default());
    let told = samples::with_iods(&mut buffer, &mut values, |iods| {
        if by_messages {
            let reply = samples::fetch_reply(long);
            let read = ReadFetchReply::decode(&reply.body, &reply.lens(), iods).unwrap();
            for (nth, payload) in reply.payloads.iter().enumerate() {
                let mut rest = &payload[..];
                for room in read.rooms(iods, nth).unwrap() {
                    let (part, behind) = rest.split_at(room.len());
                    room.copy_from_slice(part);
                    rest = behind;
                }
                assert!(rest.is_empty());
            }
            assert!(read.rooms(iods, reply.payloads.len()).is_none());
            read.finish(iods, &mut []);
        } else {
            samples::answer(iods, long);
        }
        let about = iods.iter().map(|iod| match &iod.value {
            FetchValue::Single(_) => said(&iod.sum),
            FetchValue::Array(array) => said(&(array.rec_size, &array.holes, &array.sums)),
        });
        about.collect()
    });
    (buffer, values, told)
}

#[test]
fn a_fetch_over_messages_is_as_a_direct_one() {
    for long in [1, 4096, 4097, 70_000] {
        let (mut direct, values, told) = fetched(long, false);
        // A target may leave anything in a hole; what the caller had there stays.
        direct[0..16].fill(0x11);
        direct[100..samples::BUFFER - 4].fill(0x11);
        assert_eq!(fetched(long, true), (direct, values, told), "{long}");
    }
}

#[test]
fn a_reply_without_room_tells_how_long_it_is() {
    let asked = samples::fetch();
    let payloads = asked.payloads();
    let read = ReadFetch::decode(Durability::Synced, &asked.body, &payloads).unwrap();
    assert_eq!(read.buffers_len(), samples::BUFFER);
    let serve = |bytes_max| {
        read.serve(bytes_max, |_, iods| {
            samples::answer(iods, 5000);
            Ok::<(), ()>(())
        })
    };
    let too_long = |len, max| WireError::TooLong { what: "bytes of the reply", len, max };
    assert_eq!(serve(100).unwrap_err(), too_long(samples::BUFFER, 100));
    assert_eq!(serve(samples::BUFFER + 4999).unwrap_err(), too_long(11_000, samples::BUFFER + 4999));
    let reply = serve(samples::BUFFER + 5000).unwrap().unwrap();
    let encoded = reply.encode().unwrap();
    assert!(!encoded.payloads.is_empty());
    let borrowed =
        (encoded.body.clone(), encoded.payloads.iter().map(|beside| beside.bytes.to_vec().into()).collect());
    assert_eq!(reply.into_message().unwrap(), borrowed);
    assert_eq!(read.serve(1 << 20, |_, _| Err(7)).unwrap().unwrap_err(), 7);
}

#[test]
fn what_is_too_long_is_not_encoded() {
    let key = vec![0; 65_537];
    let (of, durability) = (samples::shard(), Durability::Synced);
    let update = Update { of, dkey: &key, iods: &[], cond: Cond::NONE, durability, origin: None };
    let error = update.encode().unwrap_err();
    assert_eq!(error.der(), daos_types::Der::Key2big);
    assert_eq!(error.to_string(), "bytes of a key: 65537, at most 65536");
    let value = vec![0; 4097];
    let iods = vec![Iod::new(b"a", IodValue::Single(&value)); 4096];
    let error = Update { dkey: b"d", iods: &iods, ..update }.encode().unwrap_err();
    assert_eq!(error, WireError::TooLong { what: "long values of one message", len: 4096, max: 4095 });
    let recxs = vec![Extent { index: 0, count: 1 }; 1 << 20];
    let iods = [Iod::new(b"a", IodValue::Holes(&recxs))];
    let error = Update { dkey: b"d", iods: &iods, ..update }.encode().unwrap_err();
    assert!(matches!(error, WireError::TooLong { what: "bytes of a message's body", .. }));
    assert_eq!(error.der(), daos_types::Der::Overflow);
}

#[test]
fn what_is_not_such_a_message_is_refused_with_its_place() {
    let good = samples::update(5000);
    let refused = |change: &dyn Fn(&mut Owned)| {
        let mut message = good.clone();
        change(&mut message);
        update_again(&message).unwrap_err()
    };
    let why = |change: &dyn Fn(&mut Owned)| refused(change).to_string();
    assert_eq!(refused(&|m| m.body[0] = 9), WireError::Version { version: 9, known: 1 });
    assert!(why(&|m| m.body.push(0)).ends_with("more than its fields"));
    assert!(why(&|m| m.body.truncate(9)).ends_with("in the middle of a field"));
    assert_eq!(refused(&|m| drop(m.payloads.pop())), WireError::Payload { nth: 1, len: 0, named: 40_000 });
    assert_eq!(refused(&|m| m.payloads[0].push(0)), WireError::Payload { nth: 0, len: 5001, named: 5000 });
    assert_eq!(refused(&|m| m.payloads.push(vec![1])), WireError::Payload { nth: 2, len: 1, named: 0 });
    // The count of iods stands behind version, shard, dkey and conditions.
    let count_at = 2 + 36 + 4 + 3 + 8;
    assert_eq!(
        refused(&|m| m.body[count_at + 3] = 0xFF),
        WireError::Malformed { at: count_at + 4, what: "a list that is longer than what is left" }
    );
    let verifies_at = count_at + 4 + 5 + 8 + 1 + 4;
    assert!(why(&|m| m.body[verifies_at] = 2).contains("neither yes (1) nor no (0)"));
    assert!(why(&|m| m.body[verifies_at - 5] = 8).contains("an unknown checksum"));
    assert_eq!(refused(&|m| m.body[0] = 9).der(), daos_types::Der::Proto);
}

#[test]
fn more_pairs_than_go_into_one_change_are_refused() {
    let decoded = |pairs: &[Pair<'_>]| {
        let put = PutPairs { of: samples::shard(), pairs, durability: Durability::Synced, origin: None };
        let message = Owned::of(put.encode());
        let payloads = message.payloads();
        ReadPutPairs::decode(Durability::Synced, &message.body, &payloads)
            .map(|read| read.request().pairs.len())
    };
    let one = Pair::new(b"k", b"v");
    assert_eq!(decoded(&vec![one; limits::PAIRS_MAX]), Ok(limits::PAIRS_MAX));
    assert!(matches!(decoded(&vec![one; limits::PAIRS_MAX + 1]), Err(WireError::Malformed { .. })));
    let long = vec![0; limits::PAIRS_BYTES_MAX - 1];
    assert_eq!(decoded(&[Pair::new(b"k", &long)]), Ok(1));
    assert!(matches!(decoded(&[Pair::new(b"kk", &long)]), Err(WireError::Malformed { .. })));
}

#[test]
fn requests_of_transactions_come_back_and_others_are_refused_in_them() {
    for long in [3, 4200] {
        let (message, inner) = (samples::tx_first(long), samples::update(long));
        let first = TxFirst::decode(&message.body).unwrap();
        assert_eq!(first, TxFirst { number: 77, opcode: Opcode::Update, body: &inner.body });
        assert_eq!(message.payloads, inner.payloads);
    }
    let message = samples::tx_changes();
    let read = TxChanges::decode(&message.body, &[]).unwrap();
    assert_eq!((read.number, read.commits, read.changes.len()), (0, true, 3));
    assert_eq!(
        read.changes[1],
        TxChange { target: 5, opcode: Opcode::Punch, body: &samples::punches()[0].body }
    );
    assert_eq!(Owned::of(read.encode()), message);
    let empty = || Encoded { body: Vec::new(), payloads: Vec::new() };
    for opcode in Opcode::ALL {
        let first = Owned::of(TxFirst::encode(1, opcode, &empty()));
        let changes = vec![TxChange { target: 0, opcode, body: b"" }];
        let changes = Owned::of(TxChanges { number: 0, commits: false, changes }.encode());
        assert_eq!(TxFirst::decode(&first.body).is_ok(), !opcode.is_of_transactions(), "{opcode:?}");
        let is_change = matches!(opcode, Opcode::Update | Opcode::Punch);
        assert_eq!(TxChanges::decode(&changes.body, &[]).is_ok(), is_change, "{opcode:?}");
    }
    let some = |count: usize, body: &[u8]| {
        let changes = vec![TxChange { target: 0, opcode: Opcode::Update, body }; count];
        let message = Owned::of(TxChanges { number: 1, commits: false, changes }.encode());
        TxChanges::decode(&message.body, &[]).map(|read| read.changes.len())
    };
    assert_eq!(some(limits::TX_CHANGES_MAX, b""), Ok(limits::TX_CHANGES_MAX));
    assert!(matches!(some(limits::TX_CHANGES_MAX + 1, b""), Err(WireError::TooLong { .. })));
    assert_eq!(some(1, &vec![0; limits::TX_CHANGES_BYTES_MAX]), Ok(1));
    assert!(matches!(
        some(2, &vec![0; limits::TX_CHANGES_BYTES_MAX / 2 + 1]),
        Err(WireError::TooLong { .. })
    ));
}

#[test]
fn opcodes_have_the_numbers_of_the_page() {
    for (nth, opcode) in Opcode::ALL.into_iter().enumerate() {
        assert_eq!(opcode as u16 as usize, nth + 1);
        assert_eq!(Opcode::from_number(opcode as u16), Some(opcode));
    }
    assert_eq!((Opcode::from_number(0), Opcode::from_number(16)), (None, None));
    let changes: Vec<Opcode> = Opcode::ALL.into_iter().filter(|opcode| opcode.changes()).collect();
    assert_eq!(changes, [Opcode::Update, Opcode::Punch, Opcode::TxChanges, Opcode::PutPairs]);
}

#[derive(Debug, Clone)]
enum Value {
    Single(Vec<u8>),
    NoSingle,
    Array(u64, Vec<Extent>, Vec<u8>),
    Holes(Vec<Extent>),
}

fn extents() -> impl Strategy<Value = Vec<Extent>> {
    vec((0..1_u64 << 40, 1..1_u64 << 20).prop_map(|(index, count)| Extent { index, count }), 0..6)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), (4090_usize..5000).prop_map(|len| vec![3; len])]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        data().prop_map(Value::Single),
        Just(Value::NoSingle),
        (0..1_u64 << 30, extents(), data()).prop_map(|(size, recxs, data)| Value::Array(size, recxs, data)),
        extents().prop_map(Value::Holes),
    ]
}

fn by() -> impl Strategy<Value = Checksums> {
    let some = (1..8_u8, 1..1_u32 << 30, any::<bool>()).prop_map(|(kind, piece_size, server_verifies)| {
        Checksums { kind: daos_types::ChecksumKind::from_number(kind), piece_size, server_verifies }
    });
    prop_oneof![Just(Checksums::default()), some]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_update_comes_back(
        dkey in vec(any::<u8>(), 0..300),
        cond in any::<u64>(),
        oid in any::<[u64; 2]>(),
        values in vec((vec(any::<u8>(), 0..20), any::<u64>(), by(), vec(any::<u8>(), 0..70), value()), 0..8),
    ) {
        let iods: Vec<Iod<'_>> = values.iter().map(|(akey, cond, by, sums, value)| {
            let value = match value {
                Value::Single(data) => IodValue::Single(data),
                Value::NoSingle => IodValue::NoSingle,
                Value::Array(rec_size, recxs, data) => IodValue::Array { rec_size: *rec_size, recxs, data },
                Value::Holes(recxs) => IodValue::Holes(recxs),
            };
            Iod { akey, cond: Cond(*cond), value, sums: IodSums::new(*by, sums) }
        }).collect();
        let mut of = samples::shard();
        of.oid = UnitOid { oid: ObjectId { hi: oid[0], lo: oid[1] }, shard: ShardIdx(cond as u32) };
        let update = Update { of, dkey: &dkey, iods: &iods, cond: Cond(cond), durability: Durability::Interval, origin: None };
        let message = Owned::of(update.encode());
        let (again, told) = update_again(&message).unwrap();
        prop_assert_eq!(again, message);
        prop_assert_eq!(told, said(&update));
    }

    #[test]
    fn any_page_of_pairs_comes_back(
        pairs in vec((vec(any::<u8>(), 0..30), data(), option::of(any::<[u8; 8]>())), 0..20),
        next in option::of(vec(any::<u8>(), 0..30)),
    ) {
        let mut page = ListedPairs { next, ..ListedPairs::default() };
        for (key, value, sum) in &pairs {
            page.keys.push(key);
            page.values.push(value);
            page.sums.push(&sum.map_or(vec![], |sum| [&[3], &sum[..]].concat()));
        }
        let message = Owned::of(page.encode());
        prop_assert_eq!(ListedPairs::decode(&message.body, &message.payloads()).unwrap(), page);
    }

    #[test]
    fn any_listing_comes_back(
        dkey in option::of(vec(any::<u8>(), 0..30)),
        place in option::of(vec(any::<u8>(), 0..30)),
        (epoch, count_max, bytes_max, reverse) in any::<(u64, u32, u32, bool)>(),
    ) {
        let (count_max, bytes_max) = (count_max as usize, bytes_max as usize);
        let (dkey, from) = (dkey.as_deref(), place.as_deref());
        let (of, epoch, durability) = (samples::shard(), Epoch(epoch), Durability::Buffered);
        let list = List { of, dkey, epoch, from, count_max, bytes_max, reverse, durability };
        let message = Owned::of(list.encode());
        prop_assert_eq!(said(&List::decode(durability, &message.body, &[]).unwrap()), said(&list));
    }
}

#[test]
fn control_requests_come_back_as_other_languages_write_them() {
    for request in samples::controls() {
        let body = encode_control(&request).unwrap();
        assert_eq!(decode_control::<Control>(&body).unwrap(), request);
    }
    // {"type": "container_open", "container": "c"}, by hand.
    let mut body = vec![1, 0, 0x82, 0xA4];
    body.extend_from_slice(b"type\xAEcontainer_open\xA9container\xA1c");
    let request = Control::ContainerOpen { container: "c".to_owned() };
    assert_eq!(encode_control(&request).unwrap(), body);
    assert_eq!(decode_control::<Control>(&body).unwrap(), request);

    for (wrong, why) in [
        (&[1, 0][..], "nothing"),
        (&[2, 0, 0xC0], "another version"),
        (&[1, 0, 0x81, 0xA4, b't', b'y', b'p', b'e', 0xA1, b'x'], "an unknown type"),
        (&[1, 0, 0xDD, 0xFF, 0xFF, 0xFF, 0xFF], "a long list of nothing"),
        (&[1, 0, 0x91, 0x91, 0x91, 0x91, 0x91], "lists that do not end"),
    ] {
        assert_eq!(decode_control::<Control>(wrong).unwrap_err().der(), Der::Proto, "{why}");
    }
    body.push(0);
    assert_eq!(
        decode_control::<Control>(&body).unwrap_err().to_string(),
        "a control message: more than one value"
    );
    let deep: Vec<u8> = [&[1, 0][..], &[0x91; 10_000], &[0xC0]].concat();
    assert_eq!(decode_control::<Control>(&deep).unwrap_err().der(), Der::Proto);
    let unknown = encode_control(&("type", "pool_list")).unwrap();
    assert!(decode_control::<Control>(&unknown).is_err(), "a list is no request");
}

#[test]
fn what_changes_nothing_may_be_asked_again() {
    let changing = samples::controls().into_iter().filter(Control::changes).count();
    assert_eq!(changing, 13, "opening and looking are no changes");
    assert!(Control::ContainerAggregate.is_long() && !Control::PoolList.is_long());
}

/// A reply to a fetch of one array, with such sums over such stretches, and holes: whether it says that it has all, at both ends.
fn says_that_all_is_summed(
    kind: ChecksumKind,
    stretches: &[Range<usize>],
    holes: &[Range<usize>],
) -> [bool; 2] {
    const LEN: usize = 10_000;
    let of = samples::shard();
    let recxs = [Extent { index: 0, count: LEN as u64 }];
    let (cond, durability) = (Cond::NONE, Durability::Buffered);
    let mut buffer = vec![0; LEN];
    let mut iods = [FetchIod::new(b"a", FetchValue::Array(ArrayFetch::new(&recxs, &mut buffer, 1)))];
    let request = Fetch { of, dkey: b"d", epoch: Epoch(8), cond, durability };
    let asked = Owned::of(request.encode(&iods));
    let payloads = asked.payloads();
    let read = ReadFetch::decode(durability, &asked.body, &payloads).unwrap();
    let served = read.serve(1 << 20, |_, iods| {
        let FetchValue::Array(array) = &mut iods[0].value else { panic!("an array") };
        array.holes = holes.to_vec();
        let sums = vec![1; kind.sum_len()];
        array.sums.push(Sums { kind, piece: LEN, bytes: &sums }, stretches.iter().cloned());
        Ok::<(), ()>(())
    });
    let reply = served.unwrap().unwrap();
    let said = reply.has_sums();
    let reply = Owned::of(reply.encode());
    let heard = ReadFetchReply::decode(&reply.body, &reply.lens(), &iods).unwrap().has_sums(&iods);
    // A payload at this end, whatever there is of it, has its place in the buffer.
    assert!(reply.payloads.len() < 2);
    ReadFetchReply::decode(&reply.body, &reply.lens(), &iods).unwrap().finish(&mut iods, &mut []);
    [said, heard]
}

#[test]
fn a_reply_has_the_sums_of_all_its_bytes_or_does_not_say_so() {
    let (crc, one) = (ChecksumKind::Crc32, std::slice::from_ref);
    let all = |kind, stretches: &[Range<usize>]| says_that_all_is_summed(kind, stretches, &[]);
    assert_eq!(all(crc, one(&(0..10_000))), [true; 2]);
    assert_eq!(all(crc, &[5000..10_000, 0..5000]), [true; 2], "in any order");
    assert_eq!(all(crc, &[0..4999, 5000..10_000]), [false; 2], "one byte has none");
    assert_eq!(all(crc, one(&(0..9999))), [false; 2]);
    assert_eq!(all(crc, one(&(1..10_000))), [false; 2]);
    assert_eq!(all(ChecksumKind::Crc16, one(&(0..10_000))), [false; 2], "too weak");
    assert_eq!(
        says_that_all_is_summed(crc, &[0..10, 20..10_000], one(&(10..20))),
        [true; 2],
        "a hole needs none"
    );
    assert_eq!(says_that_all_is_summed(crc, &[0..10, 21..10_000], one(&(10..20))), [false; 2]);
    // Nothing beside the body: one end has nothing to say, the other nothing to doubt.
    assert_eq!(says_that_all_is_summed(crc, one(&(0..10)), one(&(10..10_000))), [false, true]);
}
