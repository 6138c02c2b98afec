use super::*;
use daos_codec::crc32c;
use daos_types::{Der, Durability, Rank};

fn request() -> Header {
    Header {
        opcode: 2,
        flags: Header::flags_of(Durability::Synced),
        request: 7,
        map_version: 3,
        timeout_us: 1_000_000,
        handle: 11,
        sequence: 12,
        target: 1,
        reply_max: 4096,
        ..Header::new(Kind::Request)
    }
}

fn head_of(bytes: &[u8]) -> Result<Head, FrameError> {
    let header = Header::decode(bytes.first_chunk().unwrap())?;
    Head::decode(header, &bytes[HEADER_LEN..HEADER_LEN + header.rest_len()])
}

pub(super) fn hello() -> Hello {
    Hello {
        versions: (1, 3),
        rank: Some(Rank(4)),
        incarnation: 5,
        session: SessionId([6; 16]),
        frame_bytes: 1 << 20,
        requests: 8,
        idle_ms: 9,
        system: "daos_server".to_owned(),
    }
}

pub(super) fn welcome() -> Welcome {
    let window = Window { requests: 8, bytes: 2 << 20 };
    Welcome { version: 1, rank: Rank(4), incarnation: 5, window, frame_bytes: 1 << 20, idle_ms: 9 }
}

#[test]
fn a_frame_is_drawn_as_on_its_page() {
    let payloads = [Payload { shard: daos_types::ShardIdx(2), ..Payload::new(b"bulk") }, Payload::new(b"")];
    let (bytes, sent) = frame(request(), b"body", &payloads).unwrap();
    assert_eq!(sent, [b"bulk"], "what is empty is not sent");
    assert_eq!(bytes.len(), HEADER_LEN + PLACE_LEN + 4);
    assert_eq!(&bytes[..8], b"DAOF\x01\x03\x02\x00");
    assert_eq!(&bytes[8..16], &[2, 0, 1, 0, 4, 0, 0, 0]);
    assert_eq!(&bytes[16..24], &7_u64.to_le_bytes());
    assert_eq!(&bytes[64..72], &[2, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(&bytes[76..], b"body");
    let head = head_of(&bytes).unwrap();
    assert_eq!(head.header.durability(), Durability::Synced);
    assert_eq!((head.payload_bytes(), head.bytes()), (4, 8));
    assert_eq!(head.places[0].check_sum(crc32c(b"bulk")), Ok(()));
    assert_eq!(head.places[0].check_sum(crc32c(b"bulx")).unwrap_err().der(), Der::Csum);
}

#[test]
fn a_sum_that_is_known_is_not_made() {
    let known = Payload { sum: Some(7), ..Payload::new(b"bulk") };
    let head = head_of(&frame(request(), b"body", &[known]).unwrap().0).unwrap();
    assert_eq!(head.places[0].sum, Some(7));
}

#[test]
fn payloads_whose_sums_are_in_the_body_have_none_in_the_list() {
    let reply = |flags| Header { flags, ..Header::new(Kind::Reply).of(1) };
    let (mut bytes, sent) = frame(reply(BODY_HAS_SUMS), b"sums", &[Payload::new(b"bulk")]).unwrap();
    assert_eq!(sent, [b"bulk"]);
    let head = head_of(&bytes).unwrap();
    assert_eq!(head.places[0].sum, None);
    assert_eq!(head.places[0].check_sum(crc32c(b"others")), Ok(()), "that is for who has the sums");
    bytes[HEADER_LEN + 8] = 1;
    let sum = crc32c(&bytes[HEADER_LEN..]).to_le_bytes();
    bytes[56..60].copy_from_slice(&sum);
    let sum = crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&sum);
    assert!(matches!(head_of(&bytes), Err(FrameError::Malformed { .. })), "a sum that nobody looks at");
    // Where there are no payloads, or the body is one, nothing is said.
    let (bytes, _) = frame(reply(BODY_HAS_SUMS), b"sums", &[Payload::new(b"")]).unwrap();
    assert_eq!(head_of(&bytes).unwrap().header.flags, 0);
    let long = vec![1; crate::limits::INLINE_LEN_MAX + 1];
    let (bytes, _) = frame(reply(BODY_HAS_SUMS), &long, &[Payload::new(b"bulk")]).unwrap();
    let head = head_of(&bytes).unwrap();
    assert_eq!(head.header.flags, BODY_IS_PAYLOAD);
    assert!(head.places.iter().all(|place| place.sum.is_some()));
}

#[test]
fn any_flipped_bit_of_a_head_is_seen() {
    let (bytes, _) = frame(request(), b"body", &[Payload::new(b"bulk")]).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = head_of(&damaged).unwrap_err();
        assert_eq!(error.is_foreign(), bit < HEADER_LEN * 8, "bit {bit}: {error}");
    }
}

#[test]
fn fields_that_mean_nothing_are_refused() {
    let refused = |header: Header| match Header::decode(&header.encode()).unwrap_err() {
        FrameError::Malformed { what } => what,
        other => panic!("{other}"),
    };
    let (new, request) = (Header::new, request());
    assert_eq!(refused(Header { timeout_us: 0, ..request }), "a request that asks nothing, or has no time");
    assert_eq!(refused(Header { opcode: 0, ..request }), "a request that asks nothing, or has no time");
    assert_eq!(refused(request.of(0)), "a request's id that is missing, or means nothing");
    assert_eq!(refused(new(Kind::Hello).of(1)), "a request's id that is missing, or means nothing");
    assert_eq!(refused(new(Kind::Reply)), "a request's id that is missing, or means nothing");
    let asks = "a field of requests in another frame";
    assert_eq!(refused(Header { handle: 1, ..new(Kind::Reply).of(1) }), asks);
    assert_eq!(refused(Header { reply_max: 1, ..new(Kind::Cancel).of(1) }), asks);
    assert_eq!(
        refused(Header { map_version: 1, ..new(Kind::Ping).of(1) }),
        "a map version that means nothing"
    );
    let body = "a body or payloads where there are none";
    assert_eq!(refused(Header { inline_len: 1, ..new(Kind::Ping).of(1) }), body);
    assert_eq!(refused(Header { payloads: 1, ..new(Kind::Error).of(1) }), body);
    assert_eq!(refused(Header { inline_len: 65_537, ..request }), "an inline body of more than 64 KiB");
    assert_eq!(refused(Header { payloads: 4097, ..request }), "more than 4096 payloads");
    for flags in [3, 16, 1 << 15] {
        assert_eq!(refused(Header { flags, ..request }), "unknown flags");
    }
    assert_eq!(refused(Header { flags: 1, ..new(Kind::Reply).of(1) }), "unknown flags");
    assert_eq!(refused(Header { flags: BODY_IS_PAYLOAD, ..request }), "a body that is nowhere, or twice");
    let reply = Header { flags: BODY_HAS_SUMS, payloads: 1, ..new(Kind::Reply).of(1) };
    assert_eq!(Header::decode(&reply.encode()), Ok(reply));
    let none = "sums in a body that has none";
    assert_eq!(refused(Header { flags: BODY_HAS_SUMS, payloads: 1, ..request }), none);
    assert_eq!(refused(Header { payloads: 0, ..reply }), none);
    assert_eq!(refused(Header { flags: BODY_HAS_SUMS | BODY_IS_PAYLOAD, ..reply }), none);
    for kind in Kind::ALL {
        let id = matches!(kind, Kind::Reply | Kind::Error | Kind::Cancel | Kind::Ping | Kind::Pong);
        let header = if kind == Kind::Request { request } else { new(kind).of(u64::from(id)) };
        assert_eq!(Header::decode(&header.encode()), Ok(header), "{kind:?}");
    }
}

#[test]
fn other_versions_are_refused_but_for_first_and_last_words() {
    let of = |kind: Kind, version: u8| {
        let mut bytes = Header::new(kind).encode();
        bytes[4] = version;
        let sum = crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..].copy_from_slice(&sum);
        Header::decode(&bytes)
    };
    assert!(of(Kind::Hello, 2).is_ok() && of(Kind::Goodbye, 9).is_ok());
    assert!(of(Kind::Welcome, 2).unwrap_err().is_foreign());
}

#[test]
fn a_long_body_is_a_payload_and_too_much_is_refused() {
    let long = vec![1; 65_537];
    let (bytes, sent) = frame(request(), &long, &[Payload::new(b"x")]).unwrap();
    let head = head_of(&bytes).unwrap();
    assert_eq!((head.header.flags & BODY_IS_PAYLOAD, head.places.len(), sent.len()), (BODY_IS_PAYLOAD, 2, 2));
    let many = vec![Payload::new(b"x"); 4097];
    assert_eq!(frame(request(), b"", &many).unwrap_err().der(), Der::Overflow);
}

#[test]
fn first_words_and_refusals_come_back() {
    let mut hello = hello();
    assert_eq!(Hello::decode(&hello.encode()), Ok(hello.clone()));
    hello.rank = None;
    assert_eq!(Hello::decode(&hello.encode()), Ok(hello.clone()));
    assert_eq!(hello.encode().len(), 66 + hello.system.len());
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = hello.encode();
        change(&mut bytes);
        Hello::decode(&bytes).unwrap_err().to_string()
    };
    assert!(refused(&|bytes| bytes[0] = 2).contains("unknown version"));
    assert!(refused(&|bytes| bytes[2] = 0).contains("versions from none"));
    assert!(refused(&|bytes| bytes[50] = 1).contains("reserved"));
    assert!(refused(&|bytes| bytes[66] = b' ').contains("letters, digits"));
    assert!(refused(&|bytes| bytes.push(0)).contains("too long"));
    assert!(refused(&|bytes| bytes.truncate(40)).contains("too early"));
    let welcome = welcome();
    assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
    assert_eq!(welcome.encode().len(), 64);
    let narrow = Welcome { window: Window { requests: 1, bytes: 1 << 20 }, ..welcome };
    assert!(Welcome::decode(&narrow.encode()).is_err());
    assert_eq!(Window::decode(&welcome.window.encode(3), 1 << 20), Ok((3, welcome.window)));
    assert_eq!(welcome.window.encode(3).len(), 24);
    let refusal = Refusal { retry_ms: 5, room: 6, ..Refusal::before(Der::Busy, "too many").hint("wait") };
    assert_eq!(Refusal::decode(&refusal.encode()), Ok(refusal));
    // What is too long is cut between characters; a code of a newer peer is not an error.
    let long = Refusal::new(Der::Io, "é".repeat(600)).encode();
    assert_eq!(Refusal::decode(&long).unwrap().message, "é".repeat(512));
    let mut newer = Refusal::new(Der::Io, "").encode();
    newer[4..8].copy_from_slice(&9999_u32.to_le_bytes());
    assert_eq!(Refusal::decode(&newer).unwrap().der, Der::Unknown);
}
