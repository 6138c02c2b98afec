//! The header of a frame.

use super::{FRAME_VERSION, FrameError, PLACE_LEN, fields::Fields};
use crate::limits::{INLINE_LEN_MAX, PAYLOADS_MAX};
use daos_codec::crc32c;
use daos_types::Durability;

/// Bytes of a header.
pub const HEADER_LEN: usize = 64;
const MAGIC: [u8; 4] = *b"DAOF";
/// Where the header's sum stands: behind what it covers.
const SUM_AT: usize = 60;

/// The bits of the flags that tell the durability.
const DURABILITY: u16 = 0b11;
/// The flag of a frame whose body is its first payload.
pub const BODY_IS_PAYLOAD: u16 = 1 << 2;
/// The flag of a reply whose body has sums of all bytes of its payloads: the list has none, and who reads it compares those.
pub const BODY_HAS_SUMS: u16 = 1 << 3;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A client's first word.
    Hello = 1,
    /// The server's answer to it.
    Welcome = 2,
    /// What is asked.
    Request = 3,
    /// What is answered.
    Reply = 4,
    /// Instead of a reply.
    Error = 5,
    /// A new window, or that it was seen.
    Credit = 6,
    /// Are you there?
    Ping = 7,
    /// I am.
    Pong = 8,
    /// A request is not waited for any more.
    Cancel = 9,
    /// The last word.
    Goodbye = 10,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Hello,
        Self::Welcome,
        Self::Request,
        Self::Reply,
        Self::Error,
        Self::Credit,
        Self::Ping,
        Self::Pong,
        Self::Cancel,
        Self::Goodbye,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }
}

/// A header. Which fields mean something depends on the kind; the others are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// What is asked.
    pub opcode: u16,
    /// Durability, whether the body is a payload, and whether it has the payloads' sums.
    pub flags: u16,
    /// How many payloads there are.
    pub payloads: u16,
    /// Bytes of the inline body.
    pub inline_len: u32,
    /// The request's id on its connection.
    pub request: u64,
    /// The sender's version of the pool map.
    pub map_version: u32,
    /// Microseconds that are left for the request.
    pub timeout_us: u32,
    /// The open handle.
    pub handle: u64,
    /// The change's number in its session.
    pub sequence: u64,
    /// The target.
    pub target: u32,
    /// Bytes that the reply may have.
    pub reply_max: u32,
    /// The sum of what follows the header, without payloads.
    pub rest_sum: u32,
}

impl Header {
    /// A header of a kind, with nothing in it.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            opcode: 0,
            flags: 0,
            payloads: 0,
            inline_len: 0,
            request: 0,
            map_version: 0,
            timeout_us: 0,
            handle: 0,
            sequence: 0,
            target: 0,
            reply_max: 0,
            rest_sum: 0,
        }
    }

    /// The same with a request's id.
    #[must_use]
    pub const fn of(self, request: u64) -> Self {
        Self { request, ..self }
    }

    /// The durability that a request asks for.
    pub fn durability(&self) -> Durability {
        Durability::from_number((self.flags & DURABILITY) as u8).unwrap_or_default()
    }

    /// The flags of a durability.
    pub const fn flags_of(durability: Durability) -> u16 {
        durability as u16
    }

    /// Bytes of payload list and inline body.
    pub fn rest_len(&self) -> usize {
        usize::from(self.payloads) * PLACE_LEN + self.inline_len as usize
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[FRAME_VERSION, self.kind as u8]);
        for number in [self.opcode, self.flags, self.payloads] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.inline_len.to_le_bytes());
        bytes.extend_from_slice(&self.request.to_le_bytes());
        bytes.extend_from_slice(&self.map_version.to_le_bytes());
        bytes.extend_from_slice(&self.timeout_us.to_le_bytes());
        bytes.extend_from_slice(&self.handle.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        for number in [self.target, self.reply_max, self.rest_sum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&bytes);
        header
    }

    /// The header of its bytes.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let mut from = Fields(bytes);
        let foreign = |what| Err(FrameError::Foreign { what });
        if from.array()? != MAGIC {
            return foreign("it does not begin as one");
        }
        let (covered, sum) = bytes.split_at(SUM_AT);
        if crc32c(covered).to_le_bytes() != *sum {
            return foreign("the checksum of its header is wrong");
        }
        let (version, kind) = (from.u8()?, from.u8()?);
        let kind = Kind::from_number(kind).ok_or(FrameError::Malformed { what: "an unknown kind" })?;
        if version != FRAME_VERSION && !matches!(kind, Kind::Hello | Kind::Goodbye) {
            return foreign("it is of another version");
        }
        let header = Self {
            kind,
            opcode: from.u16()?,
            flags: from.u16()?,
            payloads: from.u16()?,
            inline_len: from.u32()?,
            request: from.u64()?,
            map_version: from.u32()?,
            timeout_us: from.u32()?,
            handle: from.u64()?,
            sequence: from.u64()?,
            target: from.u32()?,
            reply_max: from.u32()?,
            rest_sum: from.u32()?,
        };
        header.check()?;
        Ok(header)
    }

    /// Each field is in its bounds, and 0 where it means nothing.
    fn check(&self) -> Result<(), FrameError> {
        let wrong = |what| Err(FrameError::Malformed { what });
        let request = self.kind == Kind::Request;
        let answer = matches!(self.kind, Kind::Reply | Kind::Error);
        let beside = matches!(self.kind, Kind::Cancel | Kind::Ping | Kind::Pong);
        let has_body = !beside;
        let has_payloads = matches!(self.kind, Kind::Request | Kind::Reply);
        let asks = [
            self.opcode != 0,
            self.timeout_us != 0,
            self.handle != 0 || self.sequence != 0 || self.target != 0 || self.reply_max != 0,
        ];
        if request && !(asks[0] && asks[1]) {
            return wrong("a request that asks nothing, or has no time");
        }
        if !request && asks != [false; 3] {
            return wrong("a field of requests in another frame");
        }
        if (self.request != 0) != (request || answer || beside) {
            return wrong("a request's id that is missing, or means nothing");
        }
        if self.map_version != 0 && !(request || answer) {
            return wrong("a map version that means nothing");
        }
        if !has_body && self.inline_len != 0 || !has_payloads && self.payloads != 0 {
            return wrong("a body or payloads where there are none");
        }
        if self.inline_len as usize > INLINE_LEN_MAX {
            return wrong("an inline body of more than 64 KiB");
        }
        if usize::from(self.payloads) > PAYLOADS_MAX {
            return wrong("more than 4096 payloads");
        }
        let body_is_payload = self.flags & BODY_IS_PAYLOAD != 0;
        if body_is_payload && (self.payloads == 0 || self.inline_len != 0) {
            return wrong("a body that is nowhere, or twice");
        }
        let body_has_sums = self.flags & BODY_HAS_SUMS != 0;
        if body_has_sums && (self.kind != Kind::Reply || self.payloads == 0 || body_is_payload) {
            return wrong("sums in a body that has none");
        }
        let durability = self.flags & DURABILITY;
        let unknown = self.flags & !(DURABILITY | BODY_IS_PAYLOAD | BODY_HAS_SUMS);
        if unknown != 0
            || durability != 0 && !request
            || durability == DURABILITY
            || body_is_payload && !has_payloads
        {
            return wrong("unknown flags");
        }
        Ok(())
    }
}
