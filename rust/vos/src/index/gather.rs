//! Sorted entries on their way into new pages.

use super::inner;
use super::leaf;
use super::page::{Edit, Keys, PAGE, POINTER, Page, Pointer, SLOT, common, head_of, tail_of};

/// Where the pages of a split end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// About as full as each other.
    Even,
    /// Full but for the last: what comes later comes behind.
    Full,
}

struct Entry {
    at: usize,
    key_len: usize,
    load_len: usize,
    field: usize,
}

/// Entries of leaves, or children with the lower bounds of their keys (`INNER`).
pub(crate) struct Gather<const INNER: bool> {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl<const INNER: bool> Gather<INNER> {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new() }
    }

    fn push(&mut self, write_key: impl FnOnce(&mut Vec<u8>), field: usize, load: &[u8]) {
        let at = self.bytes.len();
        write_key(&mut self.bytes);
        let key_len = self.bytes.len() - at;
        self.bytes.extend_from_slice(load);
        self.entries.push(Entry { at, key_len, load_len: load.len(), field });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all keys and values.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn key(&self, index: usize) -> &[u8] {
        let place = self.entries.get(index).map_or(0..0, |entry| entry.at..entry.at + entry.key_len);
        self.bytes.get(place).unwrap_or_default()
    }

    fn load(&self, entry: &Entry) -> &[u8] {
        let at = entry.at + entry.key_len;
        self.bytes.get(at..at + entry.load_len).unwrap_or_default()
    }

    /// Forgets the first `count` entries.
    pub(crate) fn drain(&mut self, count: usize) {
        let start = self.entries.get(count).map_or(self.bytes.len(), |entry| entry.at);
        self.bytes.drain(..start);
        self.entries.drain(..count);
        for entry in &mut self.entries {
            entry.at -= start;
        }
    }

    /// Bytes entry `index` takes in a page with this prefix.
    fn cost(&self, index: usize, prefix_len: usize) -> usize {
        self.entries.get(index).map_or(0, |entry| {
            // For an inner page the pointer is the load here and part of FIXED there.
            let fixed = Keys::<INNER>::FIXED - if INNER { POINTER } else { 0 };
            SLOT + fixed + entry.key_len.saturating_sub(prefix_len + 4) + entry.load_len
        })
    }

    /// Bytes that the keys `from..to` take in one page with this prefix.
    fn keys_size(&self, from: usize, to: usize, prefix_len: usize) -> usize {
        Keys::<INNER>::HEADS
            + prefix_len
            + (from..to).map(|index| self.cost(index, prefix_len)).sum::<usize>()
    }

    /// Bytes of a page with the entries `from..to`; more than a page if they do not fit.
    pub(crate) fn page_size(&self, from: usize, to: usize) -> usize {
        let from = from + usize::from(INNER);
        if from >= to {
            return Keys::<INNER>::HEADS;
        }
        self.keys_size(from, to, common(self.key(from), self.key(to - 1)))
    }

    /// Cuts the entries into pages: where each ends.
    pub(crate) fn cut(&self, fill: Fill) -> Vec<usize> {
        let heads = Keys::<INNER>::HEADS;
        let count = self.len();
        let mut ends = Vec::new();
        let mut payload_left = self.page_size(0, count) - heads;
        let mut pages_left = payload_left.div_ceil(PAGE - heads).max(1);
        let mut start = 0;
        while start < count {
            let target = match fill {
                Fill::Even if pages_left > 1 => heads + payload_left / pages_left,
                _ => PAGE,
            };
            let first = start + usize::from(INNER);
            let mut end = (first + 1).min(count);
            let mut prefix_len = self.key(first).len();
            let mut size = self.keys_size(first, end, prefix_len);
            while end < count && size < target {
                let longest = self.key(first).get(..prefix_len).unwrap_or_default();
                let next = self.key(end);
                let (next_len, next_size) = if next.starts_with(longest) {
                    (prefix_len, size + self.cost(end, prefix_len))
                } else {
                    let shorter = common(longest, next);
                    (shorter, self.keys_size(first, end + 1, shorter))
                };
                if next_size > PAGE {
                    break;
                }
                (prefix_len, size) = (next_len, next_size);
                end += 1;
            }
            // No inner page is left with a single child where its neighbour can spare one.
            if INNER && end + 1 == count && end - start > 2 {
                end -= 1;
            }
            ends.push(end);
            payload_left = payload_left.saturating_sub(size - heads);
            pages_left = (pages_left - 1).max(1);
            start = end;
        }
        ends
    }

    /// The prefix of a page with the keys `from..to`.
    fn prefix(&self, from: usize, to: usize) -> &[u8] {
        if from >= to {
            return &[];
        }
        let first = self.key(from);
        first.get(..common(first, self.key(to - 1))).unwrap_or_default()
    }
}

impl Gather<false> {
    pub(crate) fn put(&mut self, key: &[u8], field: usize, value: &[u8]) {
        self.push(|bytes| bytes.extend_from_slice(key), field, value);
    }

    /// Takes the entries `from..to` of a leaf over.
    pub(crate) fn copy(&mut self, leaf: leaf::Leaf<'_>, from: usize, to: usize) {
        for index in from..to {
            let (field, value) = leaf.raw_value(index);
            self.push(|bytes| leaf.0.push_key(index, bytes), field, value);
        }
    }

    /// Makes `page` the leaf with the entries `from..to`, which must fit.
    pub(crate) fn page(&self, from: usize, to: usize, page: &mut Page) {
        let prefix = self.prefix(from, to);
        let mut edit = Edit::<false>(page);
        edit.clear(0, prefix);
        edit.reserve(to - from);
        for (index, entry) in self.entries.iter().enumerate().take(to).skip(from) {
            let suffix = self.key(index).get(prefix.len()..).unwrap_or_default();
            let load = self.load(entry);
            let tail = tail_of(suffix);
            let cell =
                edit.place(index - from, head_of(suffix), Keys::<false>::FIXED + tail.len() + load.len());
            leaf::write_cell(edit.0, cell, suffix.len(), tail, entry.field, load);
        }
    }
}

impl Gather<true> {
    pub(crate) fn put(&mut self, low: &[u8], child: Pointer) {
        self.push(|bytes| bytes.extend_from_slice(low), 0, &child.encode());
    }

    /// Takes all children of an inner page over; `low` bounds the first one.
    pub(crate) fn copy(&mut self, inner: inner::Inner<'_>, low: &[u8]) {
        self.put(low, inner.child(0));
        for index in 1..inner.children() {
            self.push(|bytes| inner.0.push_key(index - 1, bytes), 0, &inner.child(index).encode());
        }
    }

    fn pointer(&self, index: usize) -> Pointer {
        let load = self.entries.get(index).map(|entry| self.load(entry)).unwrap_or_default();
        Pointer::decode(load.first_chunk().copied().unwrap_or_default())
    }

    /// Makes `page` the inner page of `level` with the children `from..to`, which must fit.
    pub(crate) fn page(&self, level: u8, from: usize, to: usize, page: &mut Page) {
        Edit::<true>(page).clear(level, self.prefix(from + 1, to));
        inner::set_child(page, 0, self.pointer(from));
        for index in from + 1..to {
            let fits = inner::push(page, self.key(index), self.pointer(index));
            assert!(fits, "an inner page was cut too large");
        }
    }
}
