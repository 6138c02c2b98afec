//! What was written since the last merge: an ordered map in memory from index keys to their newest bytes.
//!
//! One writer inserts under the store's lock; readers share it. Nothing is ever removed: a deletion is an entry too,
//! because it has to hide what the base holds.

mod arena;
mod tree;

use crate::data::Run;
use crate::key;
use crate::space::Load;
use crate::store::StoreOptions;

use daos_locks::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use daos_types::Lsn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tree::Tree;

pub(crate) use tree::Walk;

/// Removed keys, of which each reader that comes by has to pass all: so many are worth a merge if they are no small part.
const REMOVED_MAX: usize = 16 << 10;

/// One key's newest bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemEntry<'a> {
    /// The record that wrote it.
    pub(crate) lsn: Lsn,
    /// Its bytes; `None` where the key was removed.
    pub(crate) value: Option<&'a [u8]>,
}

/// An ordered map of changes.
#[derive(Debug, Default)]
pub(crate) struct MemTable {
    tree: RwLock<Tree>,
    bytes: AtomicUsize,
    count: AtomicUsize,
    removed: AtomicUsize,
    /// The greatest epoch of any version in it: a reader that found a newer one need not look here.
    epoch_max: AtomicU64,
    /// What a merge of it needs; also of bytes that were replaced since.
    leaf_bytes: AtomicU64,
    run_pages: AtomicU64,
    blocks: AtomicU64,
}

impl MemTable {
    /// Holds it for changes: a reader sees all that is inserted under one hold, or none of it.
    pub(crate) fn write(&self) -> MemWrite<'_> {
        MemWrite { tree: self.tree.write(), table: self }
    }

    /// The greatest epoch in it.
    pub(crate) fn epoch_max(&self) -> u64 {
        self.epoch_max.load(Ordering::Acquire)
    }

    /// Bytes of memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many keys it holds.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether it is `times` as large as it should become.
    pub(crate) fn is_full(&self, options: &StoreOptions, times: usize) -> bool {
        self.bytes() >= times * options.memtable_bytes_max
            || self.count() >= times * options.memtable_count_max
    }

    /// Whether it is to be merged: it is full, or much of it is only in the way.
    pub(crate) fn is_due(&self, options: &StoreOptions) -> bool {
        let removed = self.removed.load(Ordering::Relaxed);
        self.is_full(options, 1) || (removed >= REMOVED_MAX && 4 * removed >= self.count())
    }

    /// What a merge of it needs at most.
    pub(crate) fn load(&self) -> Load {
        Load {
            entries: self.count() as u64,
            leaf_bytes: self.leaf_bytes.load(Ordering::Relaxed),
            run_pages: self.run_pages.load(Ordering::Relaxed),
            blocks: self.blocks.load(Ordering::Relaxed),
        }
    }

    /// Blocks of the data file that nothing in it names any more, and nothing below ever did.
    pub(crate) fn dropped(&self) -> Vec<Run> {
        self.tree.read().dropped.clone()
    }

    /// Forgets them: it is found out otherwise that they are free.
    pub(crate) fn forget_dropped(&self) {
        self.tree.write().dropped.clear();
    }

    /// Holds it still for reading. Short: a writer waits meanwhile.
    pub(crate) fn read(&self) -> MemRead<'_> {
        MemRead { tree: self.tree.read() }
    }
}

/// A memtable held for changes.
pub(crate) struct MemWrite<'a> {
    tree: RwLockWriteGuard<'a, Tree>,
    table: &'a MemTable,
}

impl MemWrite<'_> {
    /// Puts a key's newest bytes in place.
    pub(crate) fn insert(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Lsn) {
        self.tree.insert(key, value, lsn);
        // Nobody else stores these while the tree is held.
        if let Some(epoch) = key::epoch_of(key).filter(|epoch| *epoch > self.table.epoch_max()) {
            self.table.epoch_max.store(epoch, Ordering::Release);
        }
        let load = Load::of(key, value);
        let add = |sum: &AtomicU64, more: u64| {
            if more > 0 {
                sum.store(sum.load(Ordering::Relaxed) + more, Ordering::Relaxed);
            }
        };
        add(&self.table.leaf_bytes, load.leaf_bytes);
        add(&self.table.run_pages, load.run_pages);
        add(&self.table.blocks, load.blocks);
        self.table.bytes.store(self.tree.bytes(), Ordering::Relaxed);
        self.table.count.store(self.tree.count(), Ordering::Relaxed);
        self.table.removed.store(self.tree.removed(), Ordering::Relaxed);
    }
}

/// A memtable held still.
pub(crate) struct MemRead<'a> {
    tree: RwLockReadGuard<'a, Tree>,
}

/// An entry as a reader sees it.
pub(crate) type Found<'a> = (&'a [u8], MemEntry<'a>);

impl MemRead<'_> {
    /// The key's newest bytes.
    pub(crate) fn get(&self, key: &[u8]) -> Option<MemEntry<'_>> {
        self.tree.get(key).map(|(_, entry)| entry)
    }

    /// The first entry at or behind `key`.
    pub(crate) fn at_or_after(&self, key: &[u8]) -> Option<Found<'_>> {
        self.from(key).next()
    }

    /// A walk over the entries at or behind `key`, ascending.
    pub(crate) fn from(&self, key: &[u8]) -> Walk<'_> {
        self.tree.walk(key, true)
    }

    /// A walk over the entries before `key`, descending.
    pub(crate) fn before(&self, key: &[u8]) -> Walk<'_> {
        self.tree.walk(key, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_change_of_a_key_replaces_the_earlier_and_is_counted_once() {
        let mem = MemTable::default();
        mem.write().insert(b"a", Some(b"1234"), Lsn(1));
        let before = mem.bytes();
        mem.write().insert(b"a", Some(b"12"), Lsn(2));
        assert_eq!((mem.count(), mem.bytes()), (1, before));
        mem.write().insert(b"a", None, Lsn(3));
        let read = mem.read();
        let (key, entry) = read.at_or_after(b"").unwrap();
        assert_eq!((key, entry.lsn, entry.value.is_none()), (&b"a"[..], Lsn(3), true));
    }

    #[test]
    fn both_directions_start_where_they_are_told() {
        let mem = MemTable::default();
        for (i, key) in [b"a", b"c", b"e"].into_iter().enumerate() {
            mem.write().insert(key, Some(b""), Lsn(i as u64 + 1));
        }
        let read = mem.read();
        let keys = |found: Vec<Found<'_>>| found.into_iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>();
        assert_eq!(keys(read.from(b"c").collect()), [b"c", b"e"]);
        assert_eq!(keys(read.from(b"b").collect()), [b"c", b"e"]);
        assert_eq!(keys(read.before(b"c").collect()), [b"a"]);
        assert_eq!(keys(read.before(b"z").collect()), [b"e", b"c", b"a"]);
    }
}
