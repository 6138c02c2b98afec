//! Merges a batch into the tree: bottom-up, from left to right, every changed page written once.
//!
//! A node's children are finished (placed, summed, written) when the whole node has been gone through, because only
//! then it is known which of them are to be joined with a neighbour.

use super::cache::Frame;
use super::feed::Feed;
use super::gather::{Fill, Gather};
use super::inner::{self, Inner};
use super::leaf::{self, INLINE_MAX, IS_RUN, Leaf, Value};
use super::output::Output;
use super::page::{Edit, HEIGHT_MAX, Keys, PAGE, Page, Pointer, common};
use super::run::{RunRef, pages_of};
use super::space::Space;
use super::store::Store;
use super::superblock::Superblock;
use super::{IndexError, Result};
use daos_codec::crc32c;
use std::sync::Arc;

/// A changed page that uses fewer bytes is joined with a neighbour where both fit into one page.
const SPARSE: usize = PAGE / 3;
/// Bytes a joined page may use, so that it is not split again at once.
const JOINED_MAX: usize = PAGE / 10 * 9;
/// Bytes of entries that are gathered for one leaf before the first of its successors are made.
const GATHERED_MAX: usize = 32 * PAGE;
/// Pages of one parent that are kept back in the hope of joining them.
const UNFINISHED_MAX: usize = 256;

/// A subtree while the level above it is being made.
enum Node {
    /// As it was.
    Old(Pointer),
    /// Made, not yet placed.
    New(Arc<Frame>),
    /// Made by this batch and written.
    Done(Pointer),
}

struct Item {
    /// No key of the subtree is below it.
    low: Vec<u8>,
    node: Node,
}

/// What a batch made.
pub(crate) struct Applied {
    pub(crate) root: Pointer,
    pub(crate) height: u8,
    pub(crate) entries: u64,
}

/// One batch being merged.
pub(crate) struct Applying<'a> {
    store: &'a Store,
    old: &'a Superblock,
    generation: u64,
    space: &'a mut Space,
    out: Output<'a>,
    feed: Feed<'a>,
    entries: u64,
    /// The value of the change at hand as a leaf has it.
    value: Vec<u8>,
}

impl<'a> Applying<'a> {
    pub(crate) fn new(
        store: &'a Store,
        old: &'a Superblock,
        generation: u64,
        space: &'a mut Space,
        out: Output<'a>,
        feed: Feed<'a>,
    ) -> Self {
        Self { store, old, generation, space, out, feed, entries: old.entries, value: Vec::new() }
    }

    /// Merges the whole batch; all pages but the bitmap's are written at return.
    pub(crate) fn run(mut self) -> Result<Applied> {
        let mut items = Vec::new();
        if self.feed.ended() {
            return Ok(Applied { root: self.old.root, height: self.old.height, entries: self.entries });
        }
        if self.old.height == 0 {
            let mut empty = Page::zeroed();
            Edit::<false>(&mut empty).clear(0, &[]);
            self.rebuild(&empty, None, &[], None, &mut items)?;
        } else {
            self.node(self.old.root, self.old.height - 1, &[], None, &mut items)?;
        }
        let mut level = self.old.height.saturating_sub(1);
        loop {
            self.join_sparse(&mut items, level)?;
            if items.len() <= 1 {
                break;
            }
            level += 1;
            if level >= HEIGHT_MAX {
                return Err(self
                    .store
                    .corrupt(self.old.root.page, "the tree is higher than any tree can be"));
            }
            let fill = if self.old.height == 0 { Fill::Full } else { Fill::Even };
            let children = std::mem::take(&mut items);
            self.parents(children, level, fill, &mut items)?;
        }
        let (root, height) = match items.pop() {
            None => (Pointer::default(), 0),
            Some(item) => self.crown(item.node, level)?,
        };
        self.out.flush()?;
        Ok(Applied { root, height, entries: self.entries })
    }

    /// Makes the last remaining node the root, or what is below it where it has only one child.
    fn crown(&mut self, mut node: Node, mut level: u8) -> Result<(Pointer, u8)> {
        loop {
            let only_child = match &node {
                Node::New(frame) if level > 0 && Keys::<true>::new(&frame.page).count == 0 => {
                    Inner::new(&frame.page).child(0)
                }
                Node::Old(pointer) if level > 0 && *pointer != self.old.root => {
                    let page = self.store.page(self.old, *pointer, level)?;
                    let inner = Inner::new(&page);
                    if inner.children() > 1 {
                        return Ok((*pointer, level + 1));
                    }
                    self.space.free(pointer.page, 1);
                    inner.child(0)
                }
                _ => return Ok((self.finish(&mut node)?, level + 1)),
            };
            level -= 1;
            node = if only_child.generation == self.generation {
                Node::Done(only_child)
            } else {
                Node::Old(only_child)
            };
        }
    }

    fn node(
        &mut self,
        pointer: Pointer,
        level: u8,
        low: &[u8],
        high: Option<&[u8]>,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        if level == 0 {
            self.leaf(pointer, low, high, items)
        } else {
            self.inner(pointer, level, low, high, items)
        }
    }

    /// Merges the changes below `high` into a leaf.
    fn leaf(
        &mut self,
        pointer: Pointer,
        low: &[u8],
        high: Option<&[u8]>,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        let old = self.store.page(self.old, pointer, 0)?;
        let mut copy: Option<Arc<Frame>> = None;
        while self.feed.is_before(high) {
            let page: &Page = copy.as_ref().map_or(&*old, |copy| &copy.page);
            let place = Leaf::new(page).0.find(self.feed.key());
            let (Ok(index) | Err(index)) = place;
            let is_there = place.is_ok();
            let is_put = self.feed.value().is_some();
            if !is_put && !is_there {
                self.feed.advance()?;
                continue;
            }
            if is_there {
                self.replace(Leaf::new(page).value(index))?;
            }
            let page = Frame::edit(copy.get_or_insert_with(|| self.store.cache.copy(&old)));
            if is_put {
                let field = self.take_value()?;
                let key = self.feed.key();
                let fits = if is_there {
                    leaf::replace(page, index, key, field, &self.value)
                } else {
                    leaf::insert(page, index, key, field, &self.value)
                };
                if !fits {
                    // What did not fit is not there now.
                    self.entries = self.entries.saturating_sub(u64::from(is_there));
                    self.space.free(pointer.page, 1);
                    let page: &Page = copy.as_ref().map_or(&*old, |copy| &copy.page);
                    return self.rebuild(page, Some(field), low, high, items);
                }
                self.entries += u64::from(!is_there);
            } else {
                leaf::remove(page, index);
                self.entries = self.entries.saturating_sub(1);
            }
            self.feed.advance()?;
        }
        let Some(copy) = copy else {
            items.push(Item { low: low.to_vec(), node: Node::Old(pointer) });
            return Ok(());
        };
        self.space.free(pointer.page, 1);
        if Leaf::new(&copy.page).0.count > 0 {
            items.push(Item { low: low.to_vec(), node: Node::New(copy) });
        }
        Ok(())
    }

    /// Merges the changes below `high` with the entries of `page` into new leaves. `field` is the length field of
    /// the change at hand where its value has been taken already.
    fn rebuild(
        &mut self,
        page: &Page,
        mut field: Option<usize>,
        low: &[u8],
        high: Option<&[u8]>,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        let old = Leaf::new(page);
        let mut gather = Gather::<false>::new();
        let mut made = Made { low: low.to_vec(), first: items.len() };
        let mut from = 0;
        let mut puts_inside = 0_usize;
        let mut puts_behind = 0_usize;
        while self.feed.is_before(high) {
            let place = old.0.find(self.feed.key());
            let (Ok(index) | Err(index)) = place;
            gather.copy(old, from, index);
            from = index;
            if place.is_ok() {
                self.replace(old.value(index))?;
                self.entries = self.entries.saturating_sub(1);
                from += 1;
            }
            if self.feed.value().is_some() {
                let field = match field.take() {
                    Some(field) => field,
                    None => self.take_value()?,
                };
                gather.put(self.feed.key(), field, &self.value);
                self.entries += 1;
                if index < old.0.count { puts_inside += 1 } else { puts_behind += 1 }
            }
            if gather.size() > GATHERED_MAX {
                let fill = if puts_inside == 0 { Fill::Full } else { Fill::Even };
                self.leaves(&mut gather, fill, true, &mut made, items)?;
            }
            self.feed.advance()?;
        }
        gather.copy(old, from, old.0.count);
        // Entries that were appended will be followed by more. A single one behind the last is no sign of that,
        // unless it is the last of all.
        let appends = puts_inside == 0 && (puts_behind > 1 || high.is_none());
        let fill = if appends { Fill::Full } else { Fill::Even };
        self.leaves(&mut gather, fill, false, &mut made, items)
    }

    /// Makes leaves of what was gathered; the last one is left for later where `more` is to come.
    fn leaves(
        &mut self,
        gather: &mut Gather<false>,
        fill: Fill,
        more: bool,
        made: &mut Made,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        let mut ends = gather.cut(fill);
        if more {
            ends.pop();
        }
        let mut start = 0;
        for end in ends {
            let mut frame = self.store.cache.spare();
            gather.page(start, end, Frame::edit(&mut frame));
            let next_low = separator(gather.key(end - 1), gather.key(end));
            items.push(Item { low: std::mem::replace(&mut made.low, next_low), node: Node::New(frame) });
            start = end;
        }
        gather.drain(start);
        if items.len() - made.first > UNFINISHED_MAX {
            let unfinished = items.len() - 1;
            for item in items.iter_mut().take(unfinished).skip(made.first) {
                self.finish(&mut item.node)?;
            }
            made.first = unfinished;
        }
        Ok(())
    }

    /// Merges the changes below `high` into the children of an inner page.
    fn inner(
        &mut self,
        pointer: Pointer,
        level: u8,
        low: &[u8],
        high: Option<&[u8]>,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        let frame = self.store.frame(self.old, pointer, level)?;
        let inner = Inner::new(&frame.page);
        // What the changed children have become, and where those of each child begin.
        let mut made: Vec<Item> = Vec::new();
        let mut changed: Vec<(usize, usize)> = Vec::new();
        let (mut reshaped, mut grown_inside, mut grown_at_end) = (false, false, false);
        let (mut child_low, mut child_high) = (low.to_vec(), Vec::new());
        while self.feed.is_before(high) {
            let child = inner.child_of(self.feed.key());
            if child > 0 {
                child_low.clear();
                inner.0.push_key(child - 1, &mut child_low);
            }
            let is_last = child + 1 == inner.children();
            let bound = if is_last {
                high
            } else {
                child_high.clear();
                inner.0.push_key(child, &mut child_high);
                Some(child_high.as_slice())
            };
            let first = made.len();
            self.node(inner.child(child), level - 1, &child_low, bound, &mut made)?;
            match made.get(first..) {
                Some([Item { node: Node::Old(_), .. }]) => {
                    made.pop();
                    continue;
                }
                Some([Item { node: Node::New(frame), .. }]) => reshaped |= used(&frame.page) < SPARSE,
                Some([_, _, ..]) => {
                    reshaped = true;
                    *(if is_last { &mut grown_at_end } else { &mut grown_inside }) = true;
                }
                _ => reshaped = true,
            }
            changed.push((child, first));
        }
        if changed.is_empty() {
            items.push(Item { low: low.to_vec(), node: Node::Old(pointer) });
            return Ok(());
        }
        self.space.free(pointer.page, 1);
        if !reshaped {
            let mut copy = self.store.cache.copy(&frame.page);
            let page = Frame::edit(&mut copy);
            for ((child, _), mut item) in changed.into_iter().zip(made) {
                inner::set_child(page, child, self.finish(&mut item.node)?);
            }
            items.push(Item { low: low.to_vec(), node: Node::New(copy) });
            return Ok(());
        }
        let mut children = Vec::with_capacity(inner.children() + made.len());
        let mut made = made.into_iter().enumerate().peekable();
        let mut changed = changed.into_iter().peekable();
        for child in 0..inner.children() {
            if changed.next_if(|(at, _)| *at == child).is_some() {
                let end = changed.peek().map_or(usize::MAX, |(_, first)| *first);
                while let Some((_, item)) = made.next_if(|(at, _)| *at < end) {
                    children.push(item);
                }
            } else {
                let mut child_low = Vec::new();
                if child == 0 {
                    child_low.extend_from_slice(low);
                } else {
                    inner.0.push_key(child - 1, &mut child_low);
                }
                children.push(Item { low: child_low, node: Node::Old(inner.child(child)) });
            }
        }
        self.join_sparse(&mut children, level - 1)?;
        let fill = if grown_at_end && !grown_inside && high.is_none() { Fill::Full } else { Fill::Even };
        self.parents(children, level, fill, items)
    }

    /// Makes inner pages of `level` over `children`.
    fn parents(&mut self, children: Vec<Item>, level: u8, fill: Fill, items: &mut Vec<Item>) -> Result<()> {
        let mut gather = Gather::<true>::new();
        for mut item in children {
            gather.put(&item.low, self.finish(&mut item.node)?);
        }
        let mut start = 0;
        for end in gather.cut(fill) {
            let mut frame = self.store.cache.spare();
            gather.page(level, start, end, Frame::edit(&mut frame));
            let node = Node::New(frame);
            items.push(Item { low: gather.key(start).to_vec(), node });
            start = end;
        }
        Ok(())
    }

    /// Joins pages that have become sparse with a neighbour.
    fn join_sparse(&mut self, items: &mut Vec<Item>, level: u8) -> Result<()> {
        let mut at = 0;
        while at < items.len() && items.len() > 1 {
            let is_sparse = matches!(items.get(at), Some(Item { node: Node::New(frame), .. }) if used(&frame.page) < SPARSE);
            if is_sparse {
                if at > 0 && self.join(items, at - 1, level)? {
                    at -= 1;
                    continue;
                }
                if self.join(items, at, level)? {
                    continue;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Joins the nodes at `at` and behind it, if both are at hand and fit into one page.
    fn join(&mut self, items: &mut Vec<Item>, at: usize, level: u8) -> Result<bool> {
        let Some([left, right]) = items.get(at..at + 2) else { return Ok(false) };
        let (Some(a), Some(b)) = (self.at_hand(&left.node, level)?, self.at_hand(&right.node, level)?) else {
            return Ok(false);
        };
        if used(&a.page) + used(&b.page) > PAGE + PAGE / 8 {
            return Ok(false);
        }
        let mut frame = self.store.cache.spare();
        if level == 0 {
            let mut gather = Gather::<false>::new();
            for page in [&a.page, &b.page] {
                let leaf = Leaf::new(page);
                gather.copy(leaf, 0, leaf.0.count);
            }
            let count = gather.len();
            if gather.page_size(0, count) > JOINED_MAX {
                return Ok(false);
            }
            gather.page(0, count, Frame::edit(&mut frame));
        } else {
            let mut gather = Gather::<true>::new();
            gather.copy(Inner::new(&a.page), &left.low);
            gather.copy(Inner::new(&b.page), &right.low);
            let count = gather.len();
            if gather.page_size(0, count) > JOINED_MAX {
                return Ok(false);
            }
            gather.page(level, 0, count, Frame::edit(&mut frame));
        }
        for item in [left, right] {
            if let Node::Old(pointer) = item.node {
                self.space.free(pointer.page, 1);
            }
        }
        items.remove(at + 1);
        if let Some(item) = items.get_mut(at) {
            item.node = Node::New(frame);
        }
        Ok(true)
    }

    /// The page of a node, unless it has been written by this batch.
    fn at_hand(&self, node: &Node, level: u8) -> Result<Option<Arc<Frame>>> {
        match node {
            Node::Old(pointer) => self.store.frame(self.old, *pointer, level).map(Some),
            Node::New(frame) => Ok(Some(frame.clone())),
            Node::Done(_) => Ok(None),
        }
    }

    /// Gives a new page its place, sums it up, writes and caches it.
    fn finish(&mut self, node: &mut Node) -> Result<Pointer> {
        let pointer = match node {
            Node::Old(pointer) | Node::Done(pointer) => return Ok(*pointer),
            Node::New(frame) => {
                let number = self.space.take(1);
                let page = Frame::edit(frame);
                page.set_place(number, self.generation, self.old.identity);
                let crc = crc32c(&page.0);
                self.store.cache.put(number, frame.clone());
                self.out.page(number, frame.clone())?;
                Pointer { page: number, generation: self.generation, crc }
            }
        };
        *node = Node::Done(pointer);
        Ok(pointer)
    }

    /// Brings the value of the change at hand into the form a leaf has it in, answers its length field.
    fn take_value(&mut self) -> Result<usize> {
        self.value.clear();
        let Some(value) = self.feed.value() else { return Ok(0) };
        if value.len() <= INLINE_MAX {
            self.value.extend_from_slice(value);
            return Ok(value.len());
        }
        let page = self.space.take(pages_of(value.len()));
        self.out.run(page, value)?;
        self.value.extend_from_slice(&RunRef::of(page, self.generation, value).encode());
        Ok(IS_RUN)
    }

    /// The change at hand takes the place of this value.
    fn replace(&mut self, value: Value<'_>) -> Result<()> {
        match value {
            Value::Inline(bytes) => self.feed.replaces(bytes),
            Value::Run(run) => {
                let mut bytes = Vec::new();
                match self.store.read_run(run, &mut bytes) {
                    Ok(()) => self.feed.replaces(&bytes),
                    // What is damaged can still be removed.
                    Err(IndexError::Corrupt { .. }) => {}
                    Err(error) => return Err(error),
                }
                self.space.free(run.page, run.pages());
            }
        }
        Ok(())
    }
}

/// How far the leaves that replace one have come.
struct Made {
    /// Lower bound of the next leaf.
    low: Vec<u8>,
    /// The first of them that may not be finished.
    first: usize,
}

/// Bytes in use of a page.
fn used(page: &Page) -> usize {
    if page.is_leaf() { Keys::<false>::new(page).used() } else { Keys::<true>::new(page).used() }
}

/// The shortest key above `left` and not above `right`.
fn separator(left: &[u8], right: &[u8]) -> Vec<u8> {
    right.get(..=common(left, right)).unwrap_or(right).to_vec()
}
