//! Cursors: a path of held pages from the root to a leaf.

use super::cache::Frame;
use super::inner::Inner;
use super::leaf::{Leaf, Value};
use super::page::Pointer;
use super::store::Store;
use super::superblock::Superblock;
use super::{Cursor, Result};
use std::ops::Range;
use std::sync::Arc;

/// A cursor of a [`super::TreeView`]. It holds the pages from the root to where it stands. Where a move answers
/// `false` or fails it stands nowhere, and [`Cursor::next`] and [`Cursor::prev`] answer `false` until it is placed
/// again.
pub struct TreeCursor<'a> {
    store: &'a Store,
    state: &'a Superblock,
    /// The inner pages from the root down, and the child taken in each.
    path: Vec<(Arc<Frame>, usize)>,
    leaf: Option<Arc<Frame>>,
    at: usize,
    key: Vec<u8>,
    prefix_len: usize,
    value: Range<usize>,
    run: Vec<u8>,
    is_run: bool,
}

impl std::fmt::Debug for TreeCursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TreeCursor").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum To<'k> {
    Key(&'k [u8]),
    First,
    Last,
}

impl<'a> TreeCursor<'a> {
    pub(crate) fn new(store: &'a Store, state: &'a Superblock) -> Self {
        Self {
            store,
            state,
            path: Vec::new(),
            leaf: None,
            at: 0,
            key: Vec::new(),
            prefix_len: 0,
            value: 0..0,
            run: Vec::new(),
            is_run: false,
        }
    }

    /// Stands nowhere from now on.
    fn leave(&mut self) {
        self.leaf = None;
        self.path.clear();
        self.key.clear();
        self.value = 0..0;
        self.is_run = false;
    }

    /// From `pointer` down to a leaf.
    fn descend(&mut self, mut pointer: Pointer, mut level: u8, to: To<'_>) -> Result<()> {
        while level > 0 {
            let frame = self.store.frame(self.state, pointer, level)?;
            let inner = Inner::new(&frame.page);
            let child = match to {
                To::Key(key) => inner.child_of(key),
                To::First => 0,
                To::Last => inner.children() - 1,
            };
            pointer = inner.child(child);
            self.path.push((frame, child));
            level -= 1;
        }
        let frame = self.store.frame(self.state, pointer, 0)?;
        let leaf = Leaf::new(&frame.page);
        self.at = match to {
            To::Key(key) => leaf.0.find(key).unwrap_or_else(|at| at),
            To::First => 0,
            To::Last => leaf.0.count.saturating_sub(1),
        };
        let prefix = leaf.0.prefix();
        self.key.clear();
        self.key.extend_from_slice(prefix);
        self.prefix_len = prefix.len();
        self.leaf = Some(frame);
        Ok(())
    }

    /// From the root to a leaf; `false` where the tree is empty.
    fn start(&mut self, to: To<'_>) -> Result<bool> {
        self.leave();
        let Some(level) = self.state.height.checked_sub(1) else { return Ok(false) };
        self.descend(self.state.root, level, to)?;
        Ok(true)
    }

    /// To the leaf before or behind this one; `false` (and nowhere) where there is none.
    fn turn(&mut self, forward: bool) -> Result<bool> {
        let mut level = 0_u8;
        while let Some((frame, child)) = self.path.pop() {
            level += 1;
            let inner = Inner::new(&frame.page);
            let next = if forward { Some(child + 1) } else { child.checked_sub(1) };
            if let Some(next) = next.filter(|next| *next < inner.children()) {
                let pointer = inner.child(next);
                self.path.push((frame, next));
                self.descend(pointer, level - 1, if forward { To::First } else { To::Last })?;
                return Ok(true);
            }
        }
        self.leave();
        Ok(false)
    }

    /// Makes key and value of where it stands.
    #[inline]
    fn load(&mut self) -> Result<bool> {
        let Some(frame) = &self.leaf else { return Ok(false) };
        let leaf = Leaf::new(&frame.page);
        self.key.truncate(self.prefix_len);
        leaf.0.push_suffix(self.at, &mut self.key);
        let (at, len, is_run) = leaf.value_place(self.at);
        self.is_run = is_run;
        if is_run {
            if let Value::Run(run) = leaf.value(self.at)
                && let Err(error) = self.store.read_run(run, &mut self.run)
            {
                self.leave();
                return Err(error);
            }
        } else {
            self.value = at..at + len;
        }
        Ok(true)
    }

    fn count(&self) -> usize {
        self.leaf.as_ref().map_or(0, |frame| Leaf::new(&frame.page).0.count)
    }

    /// Nowhere, if the move failed.
    fn settle(&mut self, moved: Result<bool>) -> Result<bool> {
        if moved.is_err() {
            self.leave();
        }
        moved
    }

    fn seek_inner(&mut self, key: &[u8]) -> Result<bool> {
        if !self.start(To::Key(key))? || (self.at >= self.count() && !self.turn(true)?) {
            return Ok(false);
        }
        self.load()
    }

    fn seek_before_inner(&mut self, key: &[u8]) -> Result<bool> {
        if !self.start(To::Key(key))? {
            return Ok(false);
        }
        if self.at > 0 {
            self.at -= 1;
        } else if !self.turn(false)? {
            return Ok(false);
        }
        self.load()
    }

    fn step(&mut self, forward: bool) -> Result<bool> {
        if self.leaf.is_none() {
            return Ok(false);
        }
        if forward && self.at + 1 < self.count() {
            self.at += 1;
        } else if !forward && self.at > 0 {
            self.at -= 1;
        } else if !self.turn(forward)? {
            return Ok(false);
        }
        self.load()
    }
}

impl Cursor for TreeCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let moved = self.seek_inner(key);
        self.settle(moved)
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<bool> {
        let moved = self.seek_before_inner(key);
        self.settle(moved)
    }

    fn seek_last(&mut self) -> Result<bool> {
        let moved = match self.start(To::Last) {
            Ok(true) => self.load(),
            other => other,
        };
        self.settle(moved)
    }

    fn next(&mut self) -> Result<bool> {
        let moved = self.step(true);
        self.settle(moved)
    }

    fn prev(&mut self) -> Result<bool> {
        let moved = self.step(false);
        self.settle(moved)
    }

    fn key(&self) -> &[u8] {
        if self.leaf.is_some() { &self.key } else { &[] }
    }

    fn value(&self) -> &[u8] {
        match &self.leaf {
            Some(_) if self.is_run => &self.run,
            Some(frame) => frame.page.bytes(self.value.start, self.value.len()),
            None => &[],
        }
    }
}
