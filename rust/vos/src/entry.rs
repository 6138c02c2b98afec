//! The bytes of one version of a node: `docs/formats/records.md` draws them.

use crate::error::{Result, VosError};

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
    Value(&'a [u8]),
    /// It holds no value from now on, but is still there.
    NoValue,
}

impl Change<'_> {
    /// The node exists by it.
    pub(crate) const fn is_alive(self) -> bool {
        !matches!(self, Self::Punch)
    }
}

const KIND_CREATE: u8 = 0;
const KIND_PUNCH: u8 = 1;
const KIND_VALUE: u8 = 2;
const KIND_NO_VALUE: u8 = 3;
const KIND_MASK: u8 = 0x0F;
/// A transaction's number follows.
const HAS_DTX: u8 = 0x10;
/// The whole user key follows: the index key holds only its prefix and hash.
const HAS_KEY: u8 = 0x20;
const UNKNOWN: u8 = !(KIND_MASK | HAS_DTX | HAS_KEY);

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
        let (kind, value): (u8, &[u8]) = match self.change {
            Change::Create => (KIND_CREATE, &[]),
            Change::Punch => (KIND_PUNCH, &[]),
            Change::Value(value) => (KIND_VALUE, value),
            Change::NoValue => (KIND_NO_VALUE, &[]),
        };
        let dtx = if self.dtx == DtxNum::COMMITTED { 0 } else { HAS_DTX };
        let long = if self.long_key.is_some() { HAS_KEY } else { 0 };
        out.push(kind | dtx | long);
        if dtx != 0 {
            out.extend_from_slice(&self.dtx.0.to_le_bytes());
        }
        if let Some(key) = self.long_key {
            out.extend_from_slice(&(key.len() as u32).to_le_bytes());
            out.extend_from_slice(key);
        }
        out.extend_from_slice(value);
    }

    /// Reads what [`Entry::encode`] wrote.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        Self::parse(bytes).ok_or_else(|| VosError::Corrupt {
            why: format!("an entry of {} bytes has no known form", bytes.len()),
        })
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first()?;
        if head & UNKNOWN != 0 {
            return None;
        }
        let mut dtx = DtxNum::COMMITTED;
        if head & HAS_DTX != 0 {
            let (number, tail) = rest.split_first_chunk()?;
            dtx = DtxNum(u32::from_le_bytes(*number));
            rest = tail;
        }
        let mut long_key = None;
        if head & HAS_KEY != 0 {
            let (len, tail) = rest.split_first_chunk()?;
            let (key, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            long_key = Some(key);
            rest = tail;
        }
        let change = match (head & KIND_MASK, rest) {
            (KIND_CREATE, []) => Change::Create,
            (KIND_PUNCH, []) => Change::Punch,
            (KIND_VALUE, value) => Change::Value(value),
            (KIND_NO_VALUE, []) => Change::NoValue,
            _ => return None,
        };
        Some(Self { dtx, long_key, change })
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
            kind in 0..4u8,
            dtx in prop_oneof![Just(0u32), any::<u32>()],
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
            value in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let change = match kind {
                0 => Change::Create,
                1 => Change::Punch,
                2 => Change::Value(&value),
                _ => Change::NoValue,
            };
            let entry = Entry { dtx: DtxNum(dtx), long_key: key.as_deref(), change };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            prop_assert_eq!(Entry::decode(&bytes).unwrap(), entry);
            prop_assert_eq!(dtx_of(&bytes), DtxNum(dtx));
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
