//! The bytes of a memtable's entries, one behind the other in a few large pieces: an entry is no allocation of its own,
//! and letting a memtable go costs little.

use super::{Found, MemEntry};
use daos_types::Lsn;

/// Log position, length of the key, length of the value.
const HEADER: usize = 16;
/// In place of a value's length: the key was removed.
const REMOVED: u32 = u32::MAX;
/// Bytes of the first piece; each is twice the one before.
const PIECE_MIN: usize = 4 << 10;
/// Bytes of the largest piece, unless one entry is larger.
const PIECE_MAX: usize = 1 << 20;

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    piece: u32,
    offset: u32,
}

impl Place {
    /// Of no meaning, where a place must be given.
    pub(super) const ZERO: Self = Self { piece: 0, offset: 0 };
}

/// Entries by their place. A place and its key stay as they are.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pieces: Vec<Vec<u8>>,
}

fn header(key: &[u8], value: Option<&[u8]>, lsn: Lsn) -> [u8; HEADER] {
    let value_len = value.map_or(REMOVED, |value| value.len() as u32);
    (u128::from(lsn.0) | (key.len() as u128) << 64 | u128::from(value_len) << 96).to_le_bytes()
}

impl Arena {
    /// Bytes that an entry takes.
    pub(super) fn len_of(key: &[u8], value: Option<&[u8]>) -> usize {
        HEADER + key.len() + value.map_or(0, <[u8]>::len)
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Lsn) -> Place {
        let len = Self::len_of(key, value);
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < len) {
            let double = self.pieces.last().map_or(PIECE_MIN, |piece| 2 * piece.capacity());
            self.pieces.push(Vec::with_capacity(double.min(PIECE_MAX).max(len)));
        }
        let piece = self.pieces.len() - 1;
        let bytes = &mut self.pieces[piece];
        let offset = bytes.len();
        bytes.extend_from_slice(&header(key, value, lsn));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.unwrap_or_default());
        Place { piece: piece as u32, offset: offset as u32 }
    }

    /// Puts other bytes in place of an entry's value; false where they need more room than it had.
    pub(super) fn replace(&mut self, at: Place, value: Option<&[u8]>, lsn: Lsn) -> bool {
        let (key, old) = self.entry(at);
        if value.is_some_and(|value| old.value.map_or(0, <[u8]>::len) < value.len()) {
            return false;
        }
        let header = header(key, value, lsn);
        let from = at.offset as usize + HEADER + key.len();
        let bytes = &mut self.pieces[at.piece as usize];
        bytes[at.offset as usize..][..HEADER].copy_from_slice(&header);
        if let Some(value) = value {
            bytes[from..from + value.len()].copy_from_slice(value);
        }
        true
    }

    /// The entry at a place.
    pub(super) fn entry(&self, at: Place) -> Found<'_> {
        let (lsn, key_len, value_len, rest) = self.parts(at);
        let (key, rest) = rest.split_at(key_len);
        let value = (value_len != REMOVED).then(|| &rest[..value_len as usize]);
        (key, MemEntry { lsn, value })
    }

    /// The key of the entry at a place.
    pub(super) fn key(&self, at: Place) -> &[u8] {
        let (_, key_len, _, rest) = self.parts(at);
        &rest[..key_len]
    }

    fn parts(&self, at: Place) -> (Lsn, usize, u32, &[u8]) {
        let bytes = &self.pieces[at.piece as usize][at.offset as usize..];
        let mut header = [0; HEADER];
        let (head, rest) = bytes.split_at(HEADER);
        header.copy_from_slice(head);
        let header = u128::from_le_bytes(header);
        (Lsn(header as u64), (header >> 64) as u32 as usize, (header >> 96) as u32, rest)
    }
}
