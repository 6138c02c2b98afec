//! Fuzzers of the frames.

use crate::frame::{
    BODY_HAS_SUMS, FrameError, HEADER_LEN, Head, Header, Hello, Kind, Payload, Refusal, Welcome, Window,
    frame,
};
use crate::intake::Intake;
use daos_codec::crc32c;
use daos_fuzz::{Meter, fuzz, unsealed};
use daos_types::{Der, Rank, ShardIdx};

#[global_allocator]
static METER: Meter = Meter;

fn encoded(head: &Head) -> Vec<u8> {
    let mut bytes = head.header.encode().to_vec();
    for place in &head.places {
        for number in [place.shard.0, place.len, place.sum.unwrap_or_default()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    bytes.extend_from_slice(&head.body);
    bytes
}

/// Makes the sums of a head right, as far as there is one.
fn seal(bytes: &mut [u8]) {
    if let Some((header, rest)) = bytes.split_at_mut_checked(HEADER_LEN) {
        let sum = crc32c(rest).to_le_bytes();
        header[56..60].copy_from_slice(&sum);
        let sum = crc32c(&header[..60]).to_le_bytes();
        header[60..].copy_from_slice(&sum);
    }
}

#[test]
fn heads() {
    let header = Header { opcode: 1, timeout_us: 9, request: 3, handle: 4, ..Header::new(Kind::Request) };
    let payloads = [Payload { shard: ShardIdx(1), ..Payload::new(b"bulk") }, Payload::new(b"more")];
    let corpus = [
        frame(header, b"a body", &payloads).unwrap().0,
        frame(Header::new(Kind::Reply).of(3), b"", &payloads).unwrap().0,
        frame(Header { flags: BODY_HAS_SUMS, ..Header::new(Kind::Reply).of(3) }, b"sums", &payloads)
            .unwrap()
            .0,
        frame(Header::new(Kind::Ping).of(3), b"", &[]).unwrap().0,
    ];
    fuzz("frame head", &corpus, &seal, |bytes| {
        let mut intake = Intake::default();
        for piece in bytes.chunks(4096) {
            intake.room()[..piece.len()].copy_from_slice(piece);
            intake.filled(piece.len());
            match intake.next_head() {
                Ok(None) => {}
                Ok(Some(head)) if !intake.is_inside() => {
                    assert_eq!(encoded(&head), bytes, "one content has one form");
                    return true;
                }
                _ => return false,
            }
        }
        false
    });
}

fn body<T>(
    name: &str,
    one: &[u8],
    again: impl Fn(&[u8]) -> Result<T, FrameError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    fuzz(name, &[one.to_vec()], &unsealed, |bytes| {
        let Ok(decoded) = again(bytes) else { return false };
        assert_eq!(encode(&decoded), bytes, "one content has one form");
        true
    });
}

#[test]
fn bodies() {
    let window = Window { requests: 4, bytes: 1 << 20 };
    let hello = Hello {
        versions: (1, 1),
        rank: Some(Rank(1)),
        incarnation: 2,
        session: crate::frame::SessionId([3; 16]),
        frame_bytes: 4,
        requests: 5,
        idle_ms: 6,
        system: "daos".to_owned(),
    };
    body("frame hello", &hello.encode(), Hello::decode, Hello::encode);
    let welcome = Welcome { version: 1, rank: Rank(1), incarnation: 2, window, frame_bytes: 4, idle_ms: 5 };
    body("frame welcome", &welcome.encode(), Welcome::decode, Welcome::encode);
    body(
        "frame credit",
        &window.encode(1),
        |bytes| Window::decode(bytes, 4),
        |(serial, window)| window.encode(*serial),
    );
    let refusal = Refusal::before(Der::Busy, "a message").hint("a hint").encode();
    // Numbers of codes that are not in the table are one.
    fuzz("frame error", &[refusal], &unsealed, |bytes| {
        let Ok(decoded) = Refusal::decode(bytes) else { return false };
        assert_eq!(Refusal::decode(&decoded.encode()), Ok(decoded));
        true
    });
}
