//! Verified pages in memory: a direct table from page number to frame, a clock over what may be evicted.
//!
//! A look-up takes no lock and touches nothing shared but the frame. A frame lives as long as someone holds it, so
//! eviction is only the table's letting go; views and cursors need no registration.

use super::page::Page;
use super::space::Extent;
use arc_swap::{ArcSwapOption, Guard};
use daos_locks::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A verified page.
pub(crate) struct Frame {
    pub(crate) page: Page,
    /// Read since the clock's hand last passed.
    used: AtomicBool,
}

impl Frame {
    pub(crate) fn new(page: Page) -> Arc<Self> {
        Arc::new(Self { page, used: AtomicBool::new(true) })
    }

    /// The page of a frame that is not cached yet, to be changed.
    pub(crate) fn edit(frame: &mut Arc<Self>) -> &mut Page {
        &mut Arc::make_mut(frame).page
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        Self { page: self.page.clone(), used: AtomicBool::new(true) }
    }
}

/// Bytes a cached page is counted with: itself, its frame and its place in table and clock.
const FRAME_COST: u64 = size_of::<Frame>() as u64 + 64;
/// Frames a cache has at least: a path through the tree and some leaves.
const FRAMES_MIN: u64 = 64;
/// Log2 of the pages in the table's first part; every further part is twice as long as the one before, so a place
/// is found by two shifts and nothing ever moves.
const FIRST_PART: u32 = 9;
const PARTS: usize = 64 - FIRST_PART as usize;

type Place = ArcSwapOption<Frame>;

struct Table([OnceLock<Box<[Place]>>; PARTS]);

impl Table {
    #[inline]
    fn split(page: u64) -> (usize, usize) {
        let shifted = page + (1 << FIRST_PART);
        let part = shifted.ilog2();
        ((part - FIRST_PART) as usize, (shifted - (1 << part)) as usize)
    }

    #[inline]
    fn get(&self, page: u64) -> Option<&Place> {
        let (part, index) = Self::split(page);
        self.0.get(part)?.get()?.get(index)
    }

    fn get_or_grow(&self, page: u64) -> Option<&Place> {
        let (part, index) = Self::split(page);
        let places = self
            .0
            .get(part)?
            .get_or_init(|| (0..1_usize << (part + FIRST_PART as usize)).map(|_| Place::default()).collect());
        places.get(index)
    }
}

/// What is in the clock.
#[derive(Default)]
struct Clock {
    /// Cached pages that may be evicted.
    leaves: Vec<u64>,
    /// Cached inner pages; evicted only when they alone fill half of the cache.
    inners: Vec<u64>,
    hand: usize,
}

/// The cache of one index.
pub(crate) struct Cache {
    table: Table,
    clock: Mutex<Clock>,
    /// Frames nobody holds, to be filled again: memory that has been touched once is worth keeping.
    spare: Mutex<Vec<Arc<Frame>>>,
    frames_max: usize,
    misses: AtomicU64,
}

impl Cache {
    pub(crate) fn new(bytes: u64) -> Self {
        let frames_max = (bytes / FRAME_COST).max(FRAMES_MIN) as usize;
        Self {
            table: Table(std::array::from_fn(|_| OnceLock::new())),
            clock: Mutex::default(),
            spare: Mutex::default(),
            frames_max,
            misses: AtomicU64::new(0),
        }
    }

    /// The frame of `page`, if it is cached. The caller compares generation and level.
    #[inline]
    pub(crate) fn get(&self, page: u64) -> Option<Guard<Option<Arc<Frame>>>> {
        let guard = self.table.get(page)?.load();
        let frame = guard.as_ref()?;
        if !frame.used.load(Ordering::Relaxed) {
            frame.used.store(true, Ordering::Relaxed);
        }
        Some(guard)
    }

    /// A frame that is not cached, with whatever was in it before.
    pub(crate) fn spare(&self) -> Arc<Frame> {
        self.spare.lock().pop().unwrap_or_else(|| Frame::new(Page::zeroed()))
    }

    /// A frame that is not cached, with a copy of `page`.
    pub(crate) fn copy(&self, page: &Page) -> Arc<Frame> {
        let mut frame = self.spare();
        Frame::edit(&mut frame).0.copy_from_slice(&page.0);
        frame
    }

    /// Keeps a frame the table has let go of, if nobody else holds it.
    fn recycle(&self, frame: Option<Arc<Frame>>, cached: usize) {
        if let Some(mut frame) = frame
            && Arc::get_mut(&mut frame).is_some()
        {
            let mut spare = self.spare.lock();
            if spare.len() + cached < self.frames_max {
                spare.push(frame);
            }
        }
    }

    pub(crate) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        let clock = self.clock.lock();
        clock.leaves.len() + clock.inners.len()
    }

    /// Caches a page in place of whatever was cached under its number.
    pub(crate) fn put(&self, number: u64, frame: Arc<Frame>) {
        let Some(place) = self.table.get_or_grow(number) else { return };
        let is_leaf = frame.page.is_leaf();
        let mut clock = self.clock.lock();
        match place.swap(Some(frame)) {
            // It is in the clock already; among the others if its kind changed, which costs only a poorer choice.
            Some(_) => return,
            None if is_leaf => clock.leaves.push(number),
            None => clock.inners.push(number),
        }
        self.shrink(&mut clock, number);
    }

    fn shrink(&self, clock: &mut Clock, keep: u64) {
        while clock.leaves.len() + clock.inners.len() > self.frames_max {
            let of_inners = clock.inners.len() > self.frames_max / 2 || clock.leaves.len() < 2;
            let Clock { leaves, inners, hand } = &mut *clock;
            let ring = if of_inners { inners } else { leaves };
            // Two rounds at most: the first clears every mark.
            for _ in 0..2 * ring.len() {
                if *hand >= ring.len() {
                    *hand = 0;
                }
                let Some(number) = ring.get(*hand).copied() else { break };
                let Some(place) = self.table.get(number) else { break };
                let in_use =
                    place.load().as_ref().is_some_and(|frame| frame.used.swap(false, Ordering::Relaxed));
                if in_use || number == keep {
                    *hand += 1;
                    continue;
                }
                let evicted = place.swap(None);
                ring.swap_remove(*hand);
                self.recycle(evicted, self.frames_max);
                break;
            }
        }
    }

    /// Forgets pages whose content is about to change or means nothing any more.
    pub(crate) fn forget(&self, extents: &[Extent]) {
        let mut forgotten = false;
        let mut cached = self.len();
        for extent in extents {
            for page in extent.page..extent.page + extent.count {
                if let Some(place) = self.table.get(page)
                    && place.load().is_some()
                {
                    let frame = place.swap(None);
                    self.recycle(frame, cached);
                    cached = cached.saturating_sub(1);
                    forgotten = true;
                }
            }
        }
        if forgotten {
            let mut clock = self.clock.lock();
            let cached = |page: &u64| self.table.get(*page).is_some_and(|place| place.load().is_some());
            clock.leaves.retain(cached);
            clock.inners.retain(cached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(level: u8) -> Arc<Frame> {
        let mut page = Page::zeroed();
        page.set_kind(level);
        Frame::new(page)
    }

    #[test]
    fn the_bound_holds_and_inner_pages_stay() {
        let cache = Cache::new(100 * FRAME_COST);
        for number in 0..20 {
            cache.put(number, page(1));
        }
        for number in 20..5000 {
            cache.put(number, page(0));
            assert!(cache.get(number).is_some());
            assert!(cache.len() <= 100);
        }
        assert!((0..20).all(|number| cache.get(number).is_some()));
        assert_eq!((20..5000).filter(|number| cache.get(*number).is_some()).count(), 80);
        for number in 5000..6000 {
            cache.put(number, page(1));
            assert!(cache.len() <= 100);
        }
    }

    #[test]
    fn forgotten_pages_are_gone_from_table_and_clock() {
        let cache = Cache::new(0);
        for number in 0..50 {
            cache.put(number, page(0));
        }
        cache.forget(&[Extent { page: 10, count: 20 }, Extent { page: 1000, count: 3 }]);
        assert_eq!(cache.len(), 30);
        assert!(cache.get(29).is_none() && cache.get(30).is_some());
        cache.put(10, page(0));
        assert_eq!(cache.len(), 31);
    }

    #[test]
    fn parts_of_the_table_meet() {
        assert_eq!(Table::split(0), (0, 0));
        assert_eq!(Table::split(511), (0, 511));
        assert_eq!(Table::split(512), (1, 0));
        assert_eq!(Table::split(1535), (1, 1023));
        assert_eq!(Table::split(1536), (2, 0));
    }
}
