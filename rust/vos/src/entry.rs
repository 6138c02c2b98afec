//! The bytes of one version of a node: `docs/formats/records.md` draws them.

use crate::checksum::{self, ParsedSums};
use crate::data::{Run, Stored};
use crate::error::{Result, VosError};
use daos_types::Sums;

/// The number of an undecided transaction inside a shard; 0 is "committed".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DtxNum(pub u32);

impl DtxNum {
    /// No transaction stands behind it: it is decided.
    pub const COMMITTED: Self = Self(0);
}

/// What happened to a node at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// It came to be; what it holds lies below it.
    Create,
    /// It and all below it went.
    Punch,
    /// It holds this single value from now on.
    Value(Payload<'a>),
    /// It holds no value from now on, but is still there.
    NoValue,
    /// It holds an array of records of this size; 0 while none was written.
    Array(u64),
    /// Of an array: records from the key's index on.
    Records {
        /// How many, at least 1.
        count: u32,
        /// Their bytes.
        payload: Payload<'a>,
    },
    /// Of an array: blocks of records.
    Strided {
        /// Records of a block.
        count: u32,
        /// How many blocks, at least 2.
        blocks: u32,
        /// Records from the beginning of a block to that of the next; more than `count`.
        stride: u32,
        /// The bytes of all blocks.
        payload: Payload<'a>,
    },
    /// Of an array: so many records are there no more.
    Hole(u64),
}

/// The bytes of a value or of an extent, with their sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload<'a> {
    pub(crate) content: Content<'a>,
    /// As the client made them.
    pub(crate) sums: Option<Sums<'a>>,
}

/// Where the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// Here.
    Inline(&'a [u8]),
    /// In the data file.
    Stored(Stored<'a>),
}

impl<'a> Payload<'a> {
    /// How many bytes.
    pub(crate) fn len(&self) -> usize {
        match self.content {
            Content::Inline(bytes) => bytes.len(),
            Content::Stored(stored) => stored.len(),
        }
    }

    /// The same bytes elsewhere.
    fn moved<'b>(self, content: Content<'b>) -> Payload<'b>
    where
        'a: 'b,
    {
        Payload { content, sums: self.sums }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self.content {
            Content::Inline(bytes) => out.extend_from_slice(bytes),
            Content::Stored(stored) => stored.encode(out),
        }
    }

    fn parse(bytes: &'a [u8], stored: bool, sums: Option<ParsedSums<'a>>) -> Option<Self> {
        let content = if stored { Content::Stored(Stored::parse(bytes)?) } else { Content::Inline(bytes) };
        let payload = Self { content, sums: None };
        let sums = match sums {
            Some(sums) => Some(sums.of(payload.len())?),
            None => None,
        };
        Some(Self { sums, ..payload })
    }
}

impl Change<'_> {
    /// The node exists by it.
    pub(crate) const fn is_alive(self) -> bool {
        !matches!(self, Self::Punch)
    }

    /// The bytes it carries.
    pub(crate) const fn payload(&self) -> Option<&Payload<'_>> {
        match self {
            Self::Value(payload) | Self::Records { payload, .. } | Self::Strided { payload, .. } => {
                Some(payload)
            }
            _ => None,
        }
    }

    /// The same with its bytes elsewhere.
    pub(crate) fn moved<'b>(self, content: Content<'b>) -> Change<'b>
    where
        Self: 'b,
    {
        match self {
            Self::Create => Change::Create,
            Self::Punch => Change::Punch,
            Self::Value(payload) => Change::Value(payload.moved(content)),
            Self::NoValue => Change::NoValue,
            Self::Array(rec_size) => Change::Array(rec_size),
            Self::Records { count, payload } => Change::Records { count, payload: payload.moved(content) },
            Self::Strided { count, blocks, stride, payload } => {
                Change::Strided { count, blocks, stride, payload: payload.moved(content) }
            }
            Self::Hole(count) => Change::Hole(count),
        }
    }
}

const KIND_CREATE: u8 = 0;
const KIND_PUNCH: u8 = 1;
const KIND_VALUE: u8 = 2;
const KIND_NO_VALUE: u8 = 3;
const KIND_ARRAY: u8 = 4;
const KIND_RECORDS: u8 = 5;
const KIND_STRIDED: u8 = 6;
const KIND_HOLE: u8 = 7;
const KIND_MASK: u8 = 0x0F;
/// A transaction's number follows.
const HAS_DTX: u8 = 0x10;
/// The whole user key follows: the index key holds only its prefix and hash.
const HAS_KEY: u8 = 0x20;
/// A reference into the data file stands where the bytes would.
const IS_STORED: u8 = 0x40;
/// The sums of the bytes follow.
const HAS_SUMS: u8 = 0x80;

/// One version of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The transaction that wrote it, while that is undecided.
    pub(crate) dtx: DtxNum,
    /// The node's own key, where the index key does not hold all of it.
    pub(crate) long_key: Option<&'a [u8]>,
    /// What happened.
    pub(crate) change: Change<'a>,
}

impl<'a> Entry<'a> {
    /// Appends its bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.change {
            Change::Create => KIND_CREATE,
            Change::Punch => KIND_PUNCH,
            Change::Value(_) => KIND_VALUE,
            Change::NoValue => KIND_NO_VALUE,
            Change::Array(_) => KIND_ARRAY,
            Change::Records { .. } => KIND_RECORDS,
            Change::Strided { .. } => KIND_STRIDED,
            Change::Hole(_) => KIND_HOLE,
        };
        let payload = self.change.payload();
        let stored = match payload {
            Some(Payload { content: Content::Stored(_), .. }) => IS_STORED,
            _ => 0,
        };
        let sums = payload.and_then(|payload| payload.sums);
        let summed = if sums.is_some() { HAS_SUMS } else { 0 };
        let dtx = if self.dtx == DtxNum::COMMITTED { 0 } else { HAS_DTX };
        let long = if self.long_key.is_some() { HAS_KEY } else { 0 };
        out.push(kind | dtx | long | stored | summed);
        if dtx != 0 {
            out.extend_from_slice(&self.dtx.0.to_le_bytes());
        }
        if let Some(key) = self.long_key {
            out.extend_from_slice(&(key.len() as u32).to_le_bytes());
            out.extend_from_slice(key);
        }
        if let Some(sums) = sums {
            checksum::encode(&sums, out);
        }
        match self.change {
            Change::Array(number) | Change::Hole(number) => out.extend_from_slice(&number.to_le_bytes()),
            Change::Records { count, .. } => out.extend_from_slice(&count.to_le_bytes()),
            Change::Strided { count, blocks, stride, .. } => {
                for number in [count, blocks, stride] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
            _ => {}
        }
        if let Some(payload) = payload {
            payload.encode(out);
        }
    }

    /// Reads what [`Entry::encode`] wrote.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        Self::parse(bytes).ok_or_else(|| VosError::Corrupt {
            why: format!("an entry of {} bytes has no known form", bytes.len()),
        })
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first()?;
        let mut dtx = DtxNum::COMMITTED;
        if head & HAS_DTX != 0 {
            let (number, tail) = rest.split_first_chunk()?;
            dtx = DtxNum(u32::from_le_bytes(*number));
            if dtx == DtxNum::COMMITTED {
                return None;
            }
            rest = tail;
        }
        let mut long_key = None;
        if head & HAS_KEY != 0 {
            let (len, tail) = rest.split_first_chunk()?;
            let (key, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            long_key = Some(key);
            rest = tail;
        }
        let mut sums = None;
        if head & HAS_SUMS != 0 {
            let (parsed, tail) = ParsedSums::parse(rest)?;
            sums = Some(parsed);
            rest = tail;
        }
        let stored = head & IS_STORED != 0;
        let change = match (head & KIND_MASK, rest) {
            (KIND_VALUE, value) => Change::Value(Payload::parse(value, stored, sums)?),
            (KIND_RECORDS, rest) => {
                let (count, rest) = number(rest)?;
                let payload = Payload::parse(rest, stored, sums)?;
                let whole = count > 0 && payload.len() > 0 && payload.len() % count as usize == 0;
                whole.then_some(Change::Records { count, payload })?
            }
            (KIND_STRIDED, rest) => {
                let (count, rest) = number(rest)?;
                let (blocks, rest) = number(rest)?;
                let (stride, rest) = number(rest)?;
                let payload = Payload::parse(rest, stored, sums)?;
                let sound = count > 0 && blocks > 1 && stride > count && payload.len() > 0;
                sound.then_some(Change::Strided { count, blocks, stride, payload })?
            }
            _ if stored || sums.is_some() => return None,
            (KIND_CREATE, []) => Change::Create,
            (KIND_PUNCH, []) => Change::Punch,
            (KIND_NO_VALUE, []) => Change::NoValue,
            (KIND_ARRAY, number) => Change::Array(u64::from_le_bytes(number.try_into().ok()?)),
            (KIND_HOLE, number) => {
                let count = u64::from_le_bytes(number.try_into().ok()?);
                (count > 0).then_some(Change::Hole(count))?
            }
            _ => return None,
        };
        Some(Self { dtx, long_key, change })
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// The blocks of the data file that an encoded entry names.
pub(crate) fn run_of(bytes: &[u8]) -> Result<Option<Run>> {
    if bytes.first().is_none_or(|head| head & IS_STORED == 0) {
        return Ok(None);
    }
    match Entry::decode(bytes)?.change.payload() {
        Some(Payload { content: Content::Stored(stored), .. }) => Ok(Some(stored.run())),
        _ => Ok(None),
    }
}

/// The transaction of an encoded entry, without decoding the rest; an entry of no known form has none.
pub(crate) fn dtx_of(bytes: &[u8]) -> DtxNum {
    match bytes {
        [head, a, b, c, d, ..] if head & HAS_DTX != 0 => DtxNum(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => DtxNum::COMMITTED,
    }
}

/// The same entry as if its transaction had never been undecided.
pub(crate) fn as_committed(bytes: &[u8], out: &mut Vec<u8>) {
    out.clear();
    match bytes {
        [head, _, _, _, _, rest @ ..] if head & HAS_DTX != 0 => {
            out.push(head & !HAS_DTX);
            out.extend_from_slice(rest);
        }
        _ => out.extend_from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            kind in 0..9u8,
            dtx in prop_oneof![Just(0u32), any::<u32>()],
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
            value in proptest::collection::vec(any::<u8>(), 0..300),
            summed in proptest::option::of((0..7usize, 1..6000usize)),
        ) {
            let mut reference = Vec::new();
            crate::data::reference(&[1; 16], 7, &[9; 5000], &[], &mut reference);
            let stored = Stored::parse(&reference).unwrap();
            let sum_bytes = vec![7; 64 * 5000];
            let summed = |content| {
                let payload = Payload { content, sums: None };
                let sums = summed.map(|(kind, piece)| {
                    let kind = daos_types::ChecksumKind::ALL[kind];
                    let piece = if payload.len() > piece { piece } else { payload.len().max(1) };
                    let len = Sums::count_of(payload.len(), piece) * kind.sum_len();
                    Sums { kind, piece, bytes: &sum_bytes[..len] }
                });
                Payload { sums, ..payload }
            };
            let change = match kind {
                0 => Change::Create,
                1 => Change::Punch,
                2 => Change::Value(summed(Content::Inline(&value))),
                3 => Change::NoValue,
                4 => Change::Array(dtx.into()),
                5 => Change::Hole(u64::from(dtx) + 1),
                6 => Change::Records { count: 1, payload: summed(Content::Inline(&reference)) },
                7 => Change::Records { count: 2, payload: summed(Content::Stored(stored)) },
                _ => Change::Strided { count: 3, blocks: 2, stride: 4, payload: summed(Content::Stored(stored)) },
            };
            let entry = Entry { dtx: DtxNum(dtx), long_key: key.as_deref(), change };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(Entry::decode(&bytes).unwrap(), entry);
            prop_assert_eq!(dtx_of(&bytes), DtxNum(dtx));
            prop_assert_eq!(run_of(&bytes).unwrap(), (kind > 6).then_some(stored.run()));
            let mut committed = Vec::new();
            as_committed(&bytes, &mut committed);
            prop_assert_eq!(Entry::decode(&committed).unwrap(), Entry { dtx: DtxNum::COMMITTED, ..entry });
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Entry::decode(&bytes);
            let _ = dtx_of(&bytes);
            as_committed(&bytes, &mut Vec::new());
        }
    }
}
