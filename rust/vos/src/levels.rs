//! One consistent state of a shard: the memtable being filled, the one being merged, and the base below them.
//!
//! A level higher up hides the same key of a level below. Versions of one node may lie in any level (old epochs may
//! arrive late), so "the newest" is the newest over all of them.

use crate::base::{BaseCursor, BaseView};
use crate::error::Result;
use crate::index::{Cursor as _, IndexView as _};
use crate::memtable::{Found, MemRead, MemTable, Walk};
use daos_types::{Epoch, Lsn};
use std::sync::Arc;

/// The levels of a shard at one moment. Only the active memtable still grows.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    /// Where changes go.
    pub(crate) active: Arc<MemTable>,
    /// What is being merged into the base, if anything is.
    pub(crate) frozen: Option<Arc<MemTable>>,
    /// What was merged.
    pub(crate) base: BaseView,
    /// The greatest epoch in the base.
    pub(crate) base_epoch_max: u64,
}

/// The highest log position a reader depends on: its answer may go out when that is as safe as was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen(pub Lsn);

impl Seen {
    /// What depends on both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    pub(crate) fn add(&mut self, lsn: Lsn) {
        self.0 = self.0.max(lsn);
    }
}

impl Levels {
    /// Whether any of them may hold a version newer than an epoch.
    pub(crate) fn may_be_newer(&self, than: Epoch) -> bool {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.epoch_max());
        self.base_epoch_max.max(self.active.epoch_max()).max(frozen) > than.0
    }

    /// Holds the memtables still and reads, with the changes of an open transaction on top where there are any.
    pub(crate) fn read<R>(&self, overlay: Option<&MemTable>, with: impl FnOnce(&mut Merge<'_>) -> R) -> R {
        let overlay = overlay.map(MemTable::read);
        let active = self.active.read();
        let frozen = self.frozen.as_ref().map(|frozen| frozen.read());
        let mems = [
            overlay.as_ref().map(|read| Side::new(read, u64::MAX)),
            Some(Side::new(&active, self.active.epoch_max())),
            frozen
                .as_ref()
                .map(|read| Side::new(read, self.frozen.as_ref().map_or(0, |mem| mem.epoch_max()))),
        ];
        with(&mut Merge {
            mems,
            base: self.base.cursor(),
            base_view: &self.base,
            base_epoch_max: self.base_epoch_max,
            on: Source::Nowhere,
            base_on: false,
            forward: true,
            seen: Seen::default(),
            #[cfg(test)]
            stood: 0,
        })
    }
}

/// A memtable inside a merged walk.
struct Side<'a> {
    read: &'a MemRead<'a>,
    epoch_max: u64,
    walk: Option<Walk<'a>>,
    head: Option<Found<'a>>,
}

impl<'a> Side<'a> {
    fn new(read: &'a MemRead<'a>, epoch_max: u64) -> Self {
        Self { read, epoch_max, walk: None, head: None }
    }

    fn seek(&mut self, key: &[u8], forward: bool) {
        let mut walk = if forward { self.read.from(key) } else { self.read.before(key) };
        self.head = walk.next();
        self.walk = Some(walk);
    }

    fn step(&mut self) {
        self.head = self.walk.as_mut().and_then(Iterator::next);
    }
}

/// Where a merged walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Nowhere,
    Mem(usize),
    Base,
}

/// A walk over all levels in key order, each key once, removed keys not at all.
pub(crate) struct Merge<'a> {
    /// Newest first: the open transaction's changes, the active memtable, the frozen one.
    mems: [Option<Side<'a>>; 3],
    base: BaseCursor<'a>,
    base_view: &'a BaseView,
    base_epoch_max: u64,
    on: Source,
    base_on: bool,
    forward: bool,
    seen: Seen,
    /// Entries it stood on.
    #[cfg(test)]
    pub(crate) stood: usize,
}

impl<'a> Merge<'a> {
    /// The highest log position of anything it showed or hid.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }

    /// Makes the answer depend on what was read earlier, and remembered.
    pub(crate) fn depend_on(&mut self, lsn: Lsn) {
        self.seen.add(lsn);
    }

    /// Whether any level may hold a version of this epoch or a later one.
    pub(crate) fn may_hold(&self, epoch: Epoch) -> bool {
        self.base_epoch_max >= epoch.0 || self.mems.iter().flatten().any(|side| side.epoch_max >= epoch.0)
    }

    /// Calls `found` with the key's newest bytes.
    pub(crate) fn get<R>(&mut self, key: &[u8], found: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        for side in self.mems.iter().flatten() {
            if let Some(entry) = side.read.get(key) {
                self.seen.add(entry.lsn);
                return Ok(entry.value.map(found));
            }
        }
        Ok(self.base_view.get(key, found)?)
    }

    /// The first entry at or behind `key`, provided it starts with `prefix`, where `epoch_of` tells an entry's epoch:
    /// levels that hold nothing newer than what was found are not asked. Leaves the walk standing nowhere.
    ///
    /// Answers through `found`; `None` from it means that the entry did not settle the matter, and the caller has to
    /// walk.
    pub(crate) fn first_version<R>(
        &mut self,
        key: &[u8],
        prefix_len: usize,
        epoch_of: impl Fn(&[u8]) -> u64,
        mut found: impl FnOnce(&[u8], &[u8]) -> Option<R>,
    ) -> Result<First<R>> {
        let prefix = &key[..prefix_len];
        let mut best: Option<Found<'_>> = None;
        let mut best_epoch = 0;
        for side in self.mems.iter().flatten() {
            if best.is_some() && side.epoch_max < best_epoch {
                continue;
            }
            let Some(head) = side.read.at_or_after(key).filter(|(key, _)| key.starts_with(prefix)) else {
                continue;
            };
            if head.1.value.is_none() {
                return Ok(First::Walk);
            }
            if best.is_none_or(|(key, _)| head.0 < key) {
                best_epoch = epoch_of(head.0);
                best = Some(head);
            }
        }
        if best.is_none() || self.base_epoch_max >= best_epoch {
            let mut asked = Some(found);
            let in_base = self.base_view.at_or_after(key, |own, value| {
                let first = own.starts_with(prefix) && best.is_none_or(|(key, _)| own < key);
                asked.take_if(|_| first).map(|found| found(own, value))
            })?;
            if let Some(settled) = in_base.flatten() {
                return Ok(settled.map_or(First::Walk, First::Found));
            }
            let Some(again) = asked else { return Ok(First::Nothing) };
            found = again;
        }
        Ok(match best {
            None => First::Nothing,
            Some((key, entry)) => {
                self.seen.add(entry.lsn);
                found(key, entry.value.unwrap_or_default()).map_or(First::Walk, First::Found)
            }
        })
    }

    /// To the first entry at or behind `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.forward = true;
        for side in self.mems.iter_mut().flatten() {
            side.seek(key, true);
        }
        self.base_on = self.base.seek(key)?;
        self.settle()
    }

    /// To the first entry at or behind `key`, from before it: the caller knows that nothing lies between `key` and where the walk
    /// stands, unless it stands before `key`. By steps while they are few, else by a search.
    pub(crate) fn advance(&mut self, key: &[u8]) -> Result<bool> {
        /// Steps that cost less than a search.
        const STEPS_MAX: usize = 3;
        for _ in 0..STEPS_MAX {
            if !self.forward || self.on == Source::Nowhere {
                break;
            }
            if self.key() >= key {
                return Ok(true);
            }
            self.step()?;
        }
        self.seek(key)
    }

    /// To the last entry before `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) -> Result<bool> {
        self.forward = false;
        for side in self.mems.iter_mut().flatten() {
            side.seek(key, false);
        }
        self.base_on = self.base.seek_before(key)?;
        self.settle()
    }

    /// One entry further in the direction of the last seek.
    pub(crate) fn step(&mut self) -> Result<bool> {
        match self.on {
            Source::Nowhere => return Ok(false),
            Source::Mem(at) => {
                if let Some((key, _)) = self.mems[at].as_ref().and_then(|side| side.head) {
                    self.pass(key)?;
                }
            }
            Source::Base => self.step_base()?,
        }
        self.settle()
    }

    fn step_base(&mut self) -> Result<()> {
        self.base_on = if self.forward { self.base.next()? } else { self.base.prev()? };
        Ok(())
    }

    /// Steps every level that stands on `key`: the highest has spoken for it.
    fn pass(&mut self, key: &'a [u8]) -> Result<()> {
        for side in self.mems.iter_mut().flatten() {
            if side.head.is_some_and(|(other, _)| other == key) {
                side.step();
            }
        }
        if self.base_on && self.base.key() == key {
            self.step_base()?;
        }
        Ok(())
    }

    /// Stands on the next entry of all levels, past removed keys.
    fn settle(&mut self) -> Result<bool> {
        loop {
            #[cfg(test)]
            {
                self.stood += 1;
            }
            let mut best: Option<(usize, Found<'a>)> = None;
            for (at, side) in self.mems.iter().enumerate() {
                let Some(head) = side.as_ref().and_then(|side| side.head) else { continue };
                let wins =
                    best.is_none_or(|(_, (key, _))| if self.forward { head.0 < key } else { head.0 > key });
                if wins {
                    best = Some((at, head));
                }
            }
            let Some((at, (key, entry))) = best else {
                self.on = if self.base_on { Source::Base } else { Source::Nowhere };
                return Ok(self.base_on);
            };
            if self.base_on {
                let base = self.base.key();
                if if self.forward { base < key } else { base > key } {
                    self.on = Source::Base;
                    return Ok(true);
                }
            }
            self.seen.add(entry.lsn);
            if entry.value.is_some() {
                self.on = Source::Mem(at);
                return Ok(true);
            }
            self.pass(key)?;
        }
    }

    /// The entry's key; empty where the walk stands nowhere.
    pub(crate) fn key(&self) -> &[u8] {
        match self.on {
            Source::Nowhere => &[],
            Source::Mem(at) => self.mems[at].as_ref().and_then(|side| side.head).map_or(&[], |(key, _)| key),
            Source::Base => self.base.key(),
        }
    }

    /// The entry's bytes; empty where the walk stands nowhere.
    pub(crate) fn value(&self) -> &[u8] {
        match self.on {
            Source::Nowhere => &[],
            Source::Mem(at) => self.mems[at]
                .as_ref()
                .and_then(|side| side.head)
                .and_then(|(_, entry)| entry.value)
                .unwrap_or_default(),
            Source::Base => self.base.value(),
        }
    }
}

/// What [`Merge::first_version`] found.
pub(crate) enum First<R> {
    /// No entry of the node at or before the version.
    Nothing,
    /// It was settled.
    Found(R),
    /// A removed or undecided entry is in the way: walk.
    Walk,
}
