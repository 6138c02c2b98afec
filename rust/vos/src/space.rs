//! What changes need at most until a merge has brought them into index and data file: `docs/internals/space.md`.
//!
//! Pure: sizes in, bytes out.

use crate::data::{BLOCK, STORED_MIN};
use crate::index::{INLINE_MAX, Outline, PAGE};
use crate::key;

/// Bytes that an entry takes in a leaf beside key and value.
const ENTRY: u64 = 16;
/// Bytes of the longest entry of a value in the data file.
const REFERENCE_MAX: u64 = 320;
/// Pages of a merge beside those of its entries: new levels, neighbours of what is joined.
const EXTRA_PAGES: u64 = 16;
/// Pages that one page of the bitmap accounts for.
const BITMAP_PAGES: u64 = PAGE as u64 * 8;
/// Levels that a tree of any size has: for a bound that needs no look at the tree.
const HEIGHT_ASSUMED: u64 = 5;

/// What is kept back at least, of a device that is large enough, and the share of it otherwise.
const RESERVE_MIN: u64 = 16 << 20;
const RESERVE_SHARE: u64 = 20;
const RESERVE_SHARE_MAX: u64 = 4;

/// What wants room, by how much of it is kept back from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Purpose {
    /// Removes what nobody can see, or decides what was begun: gives room back at once.
    #[default]
    Reclaim,
    /// Deletes: takes a little room so that more can be given back later.
    Delete,
    /// Everything else.
    Store,
}

/// Bytes kept back from all that stores, of a device with so many.
pub(crate) fn reserve(total: u64) -> u64 {
    (total / RESERVE_SHARE).max(RESERVE_MIN).min(total / RESERVE_SHARE_MAX)
}

impl Purpose {
    /// Whether it is there to give room back.
    fn frees(self) -> bool {
        self != Self::Store
    }

    /// Of what is reserved, what is kept back from it.
    fn kept_back(self, reserve: u64) -> u64 {
        match self {
            Self::Reclaim => 0,
            Self::Delete => reserve / 4,
            Self::Store => reserve,
        }
    }
}

/// What changes bring with them when they are merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Keys.
    pub(crate) entries: u64,
    /// Bytes in leaves.
    pub(crate) leaf_bytes: u64,
    /// Pages of values that are too long for a leaf.
    pub(crate) run_pages: u64,
    /// Blocks of the data file.
    pub(crate) blocks: u64,
}

impl Load {
    /// Of one change.
    pub(crate) fn of(key: &[u8], value: Option<&[u8]>) -> Self {
        let len = value.map_or(0, <[u8]>::len);
        let (mut in_leaf, mut run_pages, mut blocks) = (len as u64, 0, 0);
        // What is this long is a value, not a reference to one.
        if len >= STORED_MIN && key::is_version(key) {
            (in_leaf, blocks) = (REFERENCE_MAX, (len as u64).div_ceil(BLOCK));
        } else if len > INLINE_MAX {
            (in_leaf, run_pages) = (ENTRY, (len as u64).div_ceil(PAGE as u64));
        }
        Self { entries: 1, leaf_bytes: key.len() as u64 + in_leaf + ENTRY, run_pages, blocks }
    }

    /// Both together.
    #[must_use]
    pub(crate) fn and(self, more: Self) -> Self {
        Self {
            entries: self.entries + more.entries,
            leaf_bytes: self.leaf_bytes + more.leaf_bytes,
            run_pages: self.run_pages + more.run_pages,
            blocks: self.blocks + more.blocks,
        }
    }

    /// Pages that it adds to a tree at most: what is new fills pages half at least.
    fn new_pages(self) -> u64 {
        2 * self.leaf_bytes.div_ceil(PAGE as u64) + self.run_pages
    }

    /// Pages that a merge of it writes at most into a tree with so many pages: each change copies its way from the root, but no page
    /// twice.
    fn pages(self, outline: Outline, live_pages: u64) -> u64 {
        if self.entries == 0 {
            return 0;
        }
        let copied = (self.entries * (outline.height + 1)).min(live_pages);
        let new = self.new_pages();
        let bitmap = 2 + (live_pages + outline.usable_pages + copied + new) / BITMAP_PAGES;
        copied + new + bitmap + EXTRA_PAGES
    }
}

/// What merges of a shard's memtables find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// Bytes that its index's file has to grow by, at most.
    pub(crate) index: u64,
    /// Bytes that its data file has to grow by, at most.
    pub(crate) data: u64,
    /// Bytes that its index has more afterwards, at most.
    pub(crate) index_more: u64,
    /// Bytes of blocks that are used afterwards, and are not yet.
    pub(crate) data_more: u64,
    /// Bytes that they write at most: what is promised, and what files have already.
    pub(crate) pending: u64,
    /// Bytes of its index that nothing will need.
    pub(crate) surplus: u64,
    /// Bytes that its index needs to be rewritten: deletes and aggregation can ask for no more at once.
    pub(crate) rewrite: u64,
}

/// What a shard's merges find that bring `loads` into its files, in this order.
pub(crate) fn outlook(loads: &[Load], outline: Outline, tail_blocks: u64) -> Outlook {
    let mut live = outline.live_pages;
    let mut pages = 0;
    let mut blocks = 0;
    for load in loads {
        let more = load.pages(outline, live);
        pages += more;
        live += more;
        blocks += load.blocks;
    }
    let index = pages.saturating_sub(outline.usable_pages) * PAGE as u64;
    Outlook {
        index,
        data: blocks.saturating_sub(tail_blocks) * BLOCK,
        index_more: loads.iter().map(|load| load.new_pages()).sum::<u64>() * PAGE as u64,
        data_more: blocks * BLOCK,
        pending: (pages + blocks) * PAGE as u64,
        surplus: outline.usable_pages.saturating_sub(pages) * PAGE as u64,
        rewrite: (outline.live_pages + 2 * EXTRA_PAGES) * PAGE as u64,
    }
}

impl Outlook {
    /// What of it concerns a volume that has the shard's index, its data file, or both, and whose files grow by so many bytes at least.
    #[must_use]
    pub(crate) fn on(self, has_index: bool, has_data: bool, granule: u64) -> Self {
        let whole = |is_here: bool, bytes: u64| if is_here { bytes.next_multiple_of(granule) } else { 0 };
        let index = |bytes: u64| if has_index { bytes } else { 0 };
        Self {
            index: whole(has_index, self.index),
            data: whole(has_data, self.data),
            surplus: index(self.surplus),
            rewrite: index(self.rewrite),
            ..self
        }
    }
}

/// What the shards of a pool may use on one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of the index; with those of data, where these have no bound of their own.
    pub meta: u64,
    /// Bytes of the data file.
    pub data: Option<u64>,
}

/// What a shard uses, and what merges will add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of pages that its index needs.
    pub(crate) index: u64,
    /// Bytes of blocks that are used.
    pub(crate) data: u64,
    /// What comes.
    pub(crate) index_more: u64,
    /// What comes.
    pub(crate) data_more: u64,
}

impl Quota {
    /// What is left of it, of index and data, for something; `None` where it has more.
    pub(crate) fn left(self, usage: Usage, purpose: Purpose) -> Option<(u64, u64)> {
        if purpose == Purpose::Reclaim {
            return Some((u64::MAX, u64::MAX));
        }
        let (index, data) = (usage.index + usage.index_more, usage.data + usage.data_more);
        let meta = self.meta.saturating_sub(purpose.kept_back(reserve(self.meta)));
        match self.data {
            Some(max) => {
                Some((meta.checked_sub(index)?, max.checked_sub(data).or(purpose.frees().then_some(0))?))
            }
            None => meta.checked_sub(index + data).map(|left| (left, left)),
        }
    }
}

/// What is left of a device when promises are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Bytes that files can grow by.
    pub(crate) available: u64,
    /// Bytes of these that merges may need.
    pub(crate) promised: u64,
    /// Bytes to be kept for what gives room back, in the device or inside of the indexes.
    pub(crate) reserve: u64,
    /// Bytes of the indexes that nothing will need.
    pub(crate) surplus: u64,
    /// Bytes that the index which is worst off lacks to be rewritten.
    pub(crate) lack: u64,
}

impl Left {
    /// For shards that look so, on a device with so many bytes in all, and whether their indexes are there: nothing is kept back
    /// where they are not, since blocks of values are promised to the last, and deletes need none.
    pub(crate) fn new(
        available: u64,
        total: u64,
        has_index: bool,
        shards: impl Iterator<Item = Outlook>,
    ) -> Self {
        let reserve = if has_index { reserve(total) } else { 0 };
        let none = Self { available, reserve, ..Self::default() };
        shards.fold(none, |sum, shard| Self {
            promised: sum.promised.saturating_add(shard.index).saturating_add(shard.data),
            surplus: sum.surplus + shard.surplus,
            lack: sum.lack.max(shard.rewrite.min(reserve).saturating_sub(shard.surplus)),
            ..sum
        })
    }

    /// Bytes of the device that something has to leave alone.
    fn kept(&self, purpose: Purpose) -> u64 {
        let reserve = purpose.kept_back(self.reserve).saturating_sub(self.surplus);
        self.promised.saturating_add(reserve.max(purpose.kept_back(self.lack)))
    }

    /// Bytes by which files may grow for something.
    pub(crate) fn room(&self, purpose: Purpose) -> u64 {
        self.available.saturating_sub(self.kept(purpose))
    }

    /// Whether what is promised can be.
    pub(crate) fn suffices(&self, purpose: Purpose) -> bool {
        self.kept(purpose) <= self.available
    }
}

/// A bound of what a record adds to what is promised, without a look at any tree: of so many changes in so many bytes.
pub(crate) fn bound(changes: u64, bytes: u64) -> u64 {
    changes * (HEIGHT_ASSUMED + 1) * PAGE as u64 + (EXTRA_PAGES + 2) * PAGE as u64 + 4 * bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::TAG_TREE;

    #[test]
    fn a_twentieth_or_sixteen_mebibytes_stay_back_of_a_small_device_a_quarter() {
        assert_eq!(reserve(1 << 40), (1 << 40) / 20);
        assert_eq!(reserve(200 << 20), 16 << 20);
        assert_eq!(reserve(16 << 20), 4 << 20);
    }

    #[test]
    fn what_frees_may_take_more_than_what_stores_and_free_pages_of_an_index_count() {
        let total = 1 << 30;
        let reserve = reserve(total);
        let shard = Outlook { index: 600, data: 400, pending: 1000, rewrite: 10_000, ..Outlook::default() };
        let left = |available, shard| Left::new(available, total, true, [shard].into_iter());
        let room = |available, shard, purpose| left(available, shard).room(purpose);
        assert_eq!(room(total, shard, Purpose::Store), total - reserve - 1000);
        assert_eq!(room(reserve, shard, Purpose::Store), 0);
        assert_eq!(room(reserve, shard, Purpose::Delete), reserve - reserve / 4 - 1000);
        assert_eq!(room(reserve, shard, Purpose::Reclaim), reserve - 1000);
        assert!(left(1000, shard).suffices(Purpose::Reclaim) && !left(999, shard).suffices(Purpose::Reclaim));
        let roomy = Outlook { surplus: reserve, ..shard };
        assert_eq!(room(5000, roomy, Purpose::Store), 4000);
        // What one index has does not help another.
        let two = Left::new(5000, total, true, [roomy, shard].into_iter());
        assert_eq!((two.room(Purpose::Store), two.room(Purpose::Delete)), (0, 5000 - 2000 - 2500));
    }

    #[test]
    fn a_volume_is_asked_for_what_lies_there_in_whole_granules_and_without_indexes_keeps_nothing_back() {
        let shard = Outlook { index: 600, data: 5000, surplus: 7, rewrite: 8, ..Outlook::default() };
        let on = |has_index, has_data, granule| {
            let there = shard.on(has_index, has_data, granule);
            (there.index, there.data, there.surplus, there.rewrite)
        };
        assert_eq!(on(true, true, 1), (600, 5000, 7, 8));
        assert_eq!(on(true, false, 4096), (4096, 0, 7, 8));
        assert_eq!(on(false, true, 4096), (0, 8192, 0, 0));
        let left = Left::new(10_000, 1 << 30, false, [shard.on(false, true, 4096)].into_iter());
        assert_eq!(left.room(Purpose::Store), 10_000 - 8192);
    }

    #[test]
    fn a_quota_keeps_some_back_for_deletes_and_counts_what_merges_bring() {
        let usage = Usage { index: 100, data: 1000, index_more: 10, data_more: 50 };
        let both = Quota { meta: 4000, data: None };
        assert_eq!(both.left(usage, Purpose::Store), Some((3000 - 1160, 3000 - 1160)));
        assert_eq!(both.left(usage, Purpose::Delete), Some((3750 - 1160, 3750 - 1160)));
        let full = Usage { data: 3000, ..usage };
        assert_eq!(both.left(full, Purpose::Store), None);
        assert!(both.left(full, Purpose::Delete).is_some());
        assert!(both.left(Usage { data: 1 << 30, ..usage }, Purpose::Reclaim).is_some());
        let apart = Quota { meta: 4000, data: Some(1050) };
        assert_eq!(apart.left(usage, Purpose::Store), Some((2890, 0)));
        assert_eq!(apart.left(full, Purpose::Store), None);
        assert_eq!(apart.left(full, Purpose::Delete), Some((3640, 0)), "it stores nothing");
        assert_eq!(
            Quota { meta: 100, data: Some(0) }.left(Usage { index: 90, ..Usage::default() }, Purpose::Store),
            None
        );
    }

    #[test]
    fn a_value_counts_where_the_merge_puts_it() {
        let version = [TAG_TREE, 1, 2];
        let of = |key: &[u8], len: usize| Load::of(key, Some(&vec![0; len]));
        assert_eq!(of(&version, 100), Load { entries: 1, leaf_bytes: 119, run_pages: 0, blocks: 0 });
        assert_eq!(of(&version, 4095).run_pages, 1);
        assert_eq!((of(&version, 4097).blocks, of(&version, 4097).run_pages), (2, 0));
        assert_eq!((of(&[1], 4097).blocks, of(&[1], 4097).run_pages), (0, 2), "a row stays in the index");
        assert_eq!(Load::of(&version, None).leaf_bytes, 19);
    }

    #[test]
    fn a_promise_is_never_less_for_more_and_no_page_is_copied_twice() {
        let outline = Outline { height: 3, live_pages: 1000, usable_pages: 0 };
        let load = |entries| Load { entries, leaf_bytes: 100 * entries, run_pages: 0, blocks: entries };
        let promised = |loads: &[Load], outline, tail| {
            let outlook = outlook(loads, outline, tail);
            outlook.index + outlook.data
        };
        let promise = |entries| promised(&[load(entries)], outline, 0);
        assert_eq!(promised(&[Load::default(); 2], outline, 0), 0);
        for entries in 0..2000 {
            assert!(promise(entries + 1) > promise(entries));
            assert!(promise(entries + 1) - promise(entries) <= bound(1, 4096 + 100));
        }
        assert!(promise(10_000) < (1000 + 10_000 * 3) * 4096 / 2 + 10_000 * 4096);
        let usable = Outline { usable_pages: 5000, ..outline };
        assert_eq!(promised(&[load(10)], usable, 10), 0);
        assert_eq!(promised(&[load(10)], usable, 9), BLOCK);
    }
}
