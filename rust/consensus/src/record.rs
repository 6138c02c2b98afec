//! Rows that keep a replica: `docs/internals/consensus.md` draws them.

use crate::bytes::{Reader, put_counted};
use crate::entry::Entry;
use crate::error::{ConsensusError, Result};
use crate::group::Hard;
use crate::ids::{GroupId, Members, ReplicaId};
use daos_codec::crc32c_parts;

/// The version of all forms below.
const VERSION: u8 = 1;

/// In front of all rows of all groups.
pub(crate) const PREFIX: &[u8] = b"raft/";

/// What a row's name says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// `h`: the promises, and what belongs to them.
    Head,
    /// `e` and the index: an entry.
    Entry(u64),
    /// `s`, the index and the number: a piece of a snapshot.
    Piece(u64, u32),
}

impl Name {
    /// Behind the prefix and the group.
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Head => b"h".to_vec(),
            Self::Entry(index) => [b"e", &index.to_be_bytes()[..]].concat(),
            Self::Piece(index, nth) => [b"s", &index.to_be_bytes()[..], &nth.to_be_bytes()].concat(),
        }
    }

    /// The whole name.
    pub(crate) fn of(self, group: GroupId) -> Vec<u8> {
        [PREFIX, &group.0, &self.encode()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            b"h" => Some(Self::Head),
            [b'e', index @ ..] => Some(Self::Entry(u64::from_be_bytes(index.try_into().ok()?))),
            [b's', rest @ ..] => {
                let (index, nth) = rest.split_first_chunk()?;
                Some(Self::Piece(u64::from_be_bytes(*index), u32::from_be_bytes(nth.try_into().ok()?)))
            }
            _ => None,
        }
    }
}

/// What the head row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) me: ReplicaId,
    pub(crate) tick_ms: u32,
    pub(crate) hard: Hard,
    pub(crate) start: (u64, u64),
    /// The last entry stored.
    pub(crate) last: u64,
    pub(crate) snapshot: (u64, u64),
    pub(crate) members: Members,
    /// Pieces of the snapshot, and their bytes together.
    pub(crate) pieces: u32,
    pub(crate) snapshot_bytes: u32,
}

impl Head {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let Hard { term, vote, commit } = self.hard;
        for number in [
            self.me.number(),
            term,
            vote,
            commit,
            self.start.0,
            self.start.1,
            self.last,
            self.snapshot.0,
            self.snapshot.1,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for count in [self.tick_ms, self.pieces, self.snapshot_bytes] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        self.members.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let me = ReplicaId::from_number(from.number()?)?;
        let hard = Hard { term: from.number()?, vote: from.number()?, commit: from.number()? };
        let start = (from.number()?, from.number()?);
        let last = from.number()?;
        let snapshot = (from.number()?, from.number()?);
        let (tick_ms, pieces, snapshot_bytes) = (from.count()?, from.count()?, from.count()?);
        let members = Members::decode(&mut from)?;
        from.end()?;
        Some(Self { me, tick_ms, hard, start, last, snapshot, members, pieces, snapshot_bytes })
    }
}

/// A row: version (1), counted (4) content, and the CRC-32C (4) of group, name, version and content, so that a row of another place
/// is none of this one.
pub(crate) fn seal(group: GroupId, name: Name, content: &[u8]) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_counted(&mut out, content);
    let sum = sum(group, name, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn sum(group: GroupId, name: Name, bytes: &[u8]) -> u32 {
    crc32c_parts([&group.0[..], &name.encode(), bytes])
}

/// The content of a row.
pub(crate) fn open(group: GroupId, name: Name, row: &[u8]) -> Result<&[u8]> {
    let damaged = || ConsensusError::Damaged(format!("the row {name:?} is not what was written"));
    let (bytes, crc) = row.split_last_chunk().ok_or_else(damaged)?;
    if u32::from_le_bytes(*crc) != sum(group, name, bytes) {
        return Err(damaged());
    }
    let mut from = Reader(bytes);
    let version = from.byte().ok_or_else(damaged)?;
    if version != VERSION {
        let message = format!("the replica's storage has version {version}; this program knows {VERSION}");
        return Err(ConsensusError::Format(message));
    }
    let content = from.counted(usize::MAX).ok_or_else(damaged)?;
    from.end().ok_or_else(damaged)?;
    Ok(content)
}

/// An entry of a row.
pub(crate) fn entry(index: u64, content: &[u8]) -> Option<Entry> {
    let mut from = Reader(content);
    let entry = Entry::decode(index, &mut from)?;
    from.end()?;
    Some(entry)
}
