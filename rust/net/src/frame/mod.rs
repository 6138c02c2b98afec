//! Frames, byte by byte: `docs/formats/frames.md`. Pure.

mod control;
mod error;
mod fields;
mod header;
mod hello;
mod refusal;

pub use control::{Window, control};
pub use error::FrameError;
pub use header::{BODY_HAS_SUMS, BODY_IS_PAYLOAD, HEADER_LEN, Header, Kind};
pub use hello::{ANY_INCARNATION, ANY_RANK, Hello, SessionId, Welcome, check_system_name};
pub use refusal::Refusal;

use crate::limits::{INLINE_LEN_MAX, PAYLOADS_MAX};
use daos_codec::crc32c;
use daos_types::ShardIdx;

/// The version of the format that this release speaks.
pub const FRAME_VERSION: u8 = 1;
/// Bytes of one place of the payload list.
pub const PLACE_LEN: usize = 12;
/// Bytes of the longest head: header, payload list, inline body.
pub const HEAD_LEN_MAX: usize = HEADER_LEN + PAYLOADS_MAX * PLACE_LEN + INLINE_LEN_MAX;

/// A payload as the list tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose part it is; 0 where nothing is divided.
    pub shard: ShardIdx,
    /// Its bytes, at least 1.
    pub len: u32,
    /// Their sum; `None` where the body tells it.
    pub sum: Option<u32>,
}

impl Place {
    /// Checks the sum of the bytes that came for it.
    pub fn check_sum(&self, sum: u32) -> Result<(), FrameError> {
        if self.sum.is_none_or(|wanted| wanted == sum) {
            Ok(())
        } else {
            Err(FrameError::Sum { of: "a payload" })
        }
    }
}

/// A payload to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// Whose part it is; 0 where nothing is divided.
    pub shard: ShardIdx,
    /// Its bytes; one without any is not sent.
    pub bytes: &'a [u8],
    /// Their sum, if it is known.
    pub sum: Option<u32>,
}

impl<'a> Payload<'a> {
    /// One that is not divided.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { shard: ShardIdx(0), bytes, sum: None }
    }
}

/// All of a frame but its payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The header.
    pub header: Header,
    /// The payload list.
    pub places: Vec<Place>,
    /// The inline body.
    pub body: Vec<u8>,
}

impl Head {
    /// The head behind a header, of bytes of just that length.
    pub fn decode(header: Header, rest: &[u8]) -> Result<Self, FrameError> {
        if crc32c(rest) != header.rest_sum {
            return Err(FrameError::Sum { of: "a frame's head" });
        }
        let list_len = usize::from(header.payloads) * PLACE_LEN;
        let (list, body) = rest.split_at_checked(list_len).unwrap_or_default();
        let (places, left) = list.as_chunks::<PLACE_LEN>();
        if body.len() != header.inline_len as usize || !left.is_empty() {
            return Err(FrameError::Malformed { what: "a head of another length" });
        }
        let summed = header.flags & BODY_HAS_SUMS != 0;
        let places: Vec<Place> = places.iter().map(|place| Self::place(place, summed)).collect();
        if summed && list.as_chunks::<PLACE_LEN>().0.iter().any(|place| !place.ends_with(&[0; 4])) {
            return Err(FrameError::Malformed { what: "a sum of a payload that the body has the sums of" });
        }
        if places.iter().any(|place| place.len == 0) {
            return Err(FrameError::Malformed { what: "a payload without bytes" });
        }
        Ok(Self { header, places, body: body.to_vec() })
    }

    fn place(bytes: &[u8; PLACE_LEN], summed: bool) -> Place {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        let (shard, len, sum) = ([a, b, c, d], [e, f, g, h], [i, j, k, l]);
        let shard = ShardIdx(u32::from_le_bytes(shard));
        Place { shard, len: u32::from_le_bytes(len), sum: (!summed).then(|| u32::from_le_bytes(sum)) }
    }

    /// Bytes of all payloads.
    pub fn payload_bytes(&self) -> u64 {
        self.places.iter().map(|place| u64::from(place.len)).sum()
    }

    /// Bytes of body and payloads.
    pub fn bytes(&self) -> u64 {
        self.body.len() as u64 + self.payload_bytes()
    }
}

/// The head of a frame of a body and payloads, as it is sent, and the payloads that follow it. A body that is too long to stand in the
/// frame becomes the first of them. Under the flag [`BODY_HAS_SUMS`] the payloads have none in the list, and the body stands in the frame.
pub fn frame<'a>(
    header: Header,
    body: &'a [u8],
    payloads: &[Payload<'a>],
) -> Result<(Vec<u8>, Vec<&'a [u8]>), FrameError> {
    let summed = header.flags & BODY_HAS_SUMS != 0;
    let long = body.len() > INLINE_LEN_MAX;
    if summed && long {
        // Nobody would have the sums of the body itself.
        return frame(Header { flags: header.flags & !BODY_HAS_SUMS, ..header }, body, payloads);
    }
    let body_payload = long.then_some(Payload::new(body));
    let inline = if long { &[][..] } else { body };
    let payloads = || body_payload.iter().chain(payloads).filter(|payload| !payload.bytes.is_empty());
    let count = payloads().count();
    if count > PAYLOADS_MAX {
        return Err(FrameError::TooLarge {
            what: "payloads of a frame",
            len: count as u64,
            max: PAYLOADS_MAX as u64,
        });
    }
    let mut bytes = Vec::with_capacity(HEADER_LEN + count * PLACE_LEN + inline.len());
    bytes.resize(HEADER_LEN, 0);
    for payload in payloads() {
        let max = u64::from(u32::MAX);
        let too_large =
            |_| FrameError::TooLarge { what: "bytes of a payload", len: payload.bytes.len() as u64, max };
        let len = u32::try_from(payload.bytes.len()).map_err(too_large)?;
        let sum = if summed { 0 } else { payload.sum.unwrap_or_else(|| crc32c(payload.bytes)) };
        for number in [payload.shard.0, len, sum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    bytes.extend_from_slice(inline);
    let no_sums = if count == 0 { BODY_HAS_SUMS } else { 0 };
    let header = Header {
        flags: header.flags & !no_sums | if long { BODY_IS_PAYLOAD } else { 0 },
        payloads: count as u16,
        inline_len: inline.len() as u32,
        rest_sum: crc32c(bytes.get(HEADER_LEN..).unwrap_or_default()),
        ..header
    };
    for (place, byte) in bytes.iter_mut().zip(header.encode()) {
        *place = byte;
    }
    Ok((bytes, payloads().map(|payload| payload.bytes).collect()))
}

#[cfg(test)]
mod tests;
