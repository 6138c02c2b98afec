//! A log record of the store: the index changes of one operation or transaction, over one or more shards.
//!
//! What recovery replays is what the operation itself applied, by the same code. `docs/formats/records.md` draws the
//! bytes.

use crate::error::{Result, VosError};
use crate::index;

/// A pool shard's number inside its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ShardNum(pub u32);

/// The kind of record: index changes.
const KIND_CHANGES: u8 = 1;
/// In place of a value's length: the key is removed.
const REMOVED: u32 = u32::MAX;

/// Bytes in front of the first change: kind, flags, and two for what a later version needs.
pub(crate) const HEAD_LEN: usize = 4;

/// One change of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OneChange<'a> {
    pub(crate) shard: ShardNum,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

/// A record being written.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    buffer: Vec<u8>,
    /// The shard of the first change, and whether there may be others.
    first: Option<ShardNum>,
    several: bool,
    too_long: Option<usize>,
    count: u64,
}

impl Changes {
    /// Begins a record, keeping the buffer's memory.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[KIND_CHANGES, 0, 0, 0]);
        self.first = None;
        self.several = false;
        self.too_long = None;
        self.count = 0;
    }

    /// The length of a value that no index takes, if there is one.
    pub(crate) fn too_long(&self) -> Option<usize> {
        self.too_long
    }

    /// How many changes were put; those that were taken back count, too.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// No change yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.len() <= HEAD_LEN
    }

    /// The one shard that all changes are of, where that is known.
    pub(crate) fn only_shard(&self) -> Option<ShardNum> {
        self.first.filter(|_| !self.several)
    }

    /// Bytes so far: a mark for [`Changes::since`] and [`Changes::truncate`].
    pub(crate) fn mark(&self) -> usize {
        self.buffer.len()
    }

    /// Takes back what was put since a mark.
    pub(crate) fn truncate(&mut self, mark: usize) {
        self.buffer.truncate(mark);
    }

    /// Puts a key's new bytes, written by `write`.
    pub(crate) fn put(&mut self, shard: ShardNum, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.head(shard, key, 0);
        let at = self.buffer.len();
        self.buffer.extend_from_slice(key);
        let value = self.buffer.len();
        write(&mut self.buffer);
        let len = (self.buffer.len() - value) as u32;
        if len as usize > index::VALUE_LEN_MAX {
            self.too_long = Some(len as usize);
        }
        self.buffer[at - 4..at].copy_from_slice(&len.to_le_bytes());
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, shard: ShardNum, key: &[u8]) {
        self.head(shard, key, REMOVED);
        self.buffer.extend_from_slice(key);
    }

    fn head(&mut self, shard: ShardNum, key: &[u8], len: u32) {
        self.count += 1;
        self.several |= *self.first.get_or_insert(shard) != shard;
        self.buffer.extend_from_slice(&shard.0.to_le_bytes());
        self.buffer.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.buffer.extend_from_slice(&len.to_le_bytes());
    }

    /// The record's bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    /// The changes put since a mark.
    pub(crate) fn since(&self, mark: usize) -> Iter<'_> {
        Iter { rest: self.buffer.get(mark..).unwrap_or_default() }
    }
}

/// The changes of a record's bytes.
pub(crate) fn decode(record: &[u8]) -> Result<Iter<'_>> {
    match record {
        [KIND_CHANGES, 0, 0, 0, rest @ ..] => Ok(Iter { rest }),
        [kind, flags, ..] => Err(VosError::Format {
            why: format!("a log record of kind {kind}, flags {flags:#x}: a newer program wrote it"),
        }),
        _ => Err(VosError::Corrupt { why: format!("a log record of {} bytes", record.len()) }),
    }
}

/// The changes of a record, one by one.
#[derive(Debug, Clone)]
pub(crate) struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    fn parse(&mut self) -> Option<OneChange<'a>> {
        let (shard, rest) = self.rest.split_first_chunk()?;
        let (key_len, rest) = rest.split_first_chunk()?;
        let (value_len, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key_len)))?;
        let value_len = u32::from_le_bytes(*value_len);
        let (value, rest) = if value_len == REMOVED {
            (None, rest)
        } else {
            let (value, rest) = rest.split_at_checked(value_len as usize)?;
            (Some(value), rest)
        };
        self.rest = rest;
        Some(OneChange { shard: ShardNum(u32::from_le_bytes(*shard)), key, value })
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<OneChange<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = self.parse();
        if parsed.is_none() {
            self.rest = &[];
        }
        Some(parsed.ok_or_else(|| VosError::Corrupt { why: "a log record ends inside a change".to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (u32, Vec<u8>, Option<Vec<u8>>);

    fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..max)
    }

    proptest! {
        #[test]
        fn what_is_put_comes_back(rows in proptest::collection::vec((any::<u32>(), bytes(20), proptest::option::of(bytes(20))), 0..9)) {
            let mut changes = Changes::default();
            changes.clear();
            for (shard, key, value) in &rows {
                match value {
                    Some(value) => changes.put(ShardNum(*shard), key, |out| out.extend_from_slice(value)),
                    None => changes.remove(ShardNum(*shard), key),
                }
            }
            prop_assert_eq!(changes.is_empty(), rows.is_empty());
            let back: Vec<Row> = decode(changes.as_slice()).unwrap().map(|change| {
                let change = change.unwrap();
                (change.shard.0, change.key.to_vec(), change.value.map(<[u8]>::to_vec))
            }).collect();
            prop_assert_eq!(back, rows);
        }

        #[test]
        fn foreign_bytes_never_panic_nor_run_on(mut record in bytes(80)) {
            if let Ok(changes) = decode(&record) {
                prop_assert!(changes.count() <= 80);
            }
            record.splice(0..0, [KIND_CHANGES, 0, 0, 0]);
            prop_assert!(decode(&record).unwrap().count() <= 80);
        }
    }

    #[test]
    fn a_newer_record_is_named_as_such() {
        assert!(matches!(decode(&[2, 0, 0, 0]), Err(VosError::Format { .. })));
        assert!(matches!(decode(&[1]), Err(VosError::Corrupt { .. })));
    }
}
