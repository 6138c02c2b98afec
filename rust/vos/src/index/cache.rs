//! Verified pages in memory: a direct table from page number to frame, a clock over what may be evicted.
//!
//! A look-up takes no lock and touches nothing shared but the frame. A frame lives as long as someone holds it, so
//! eviction is only the table's letting go; views and cursors need no registration.

use super::page::Page;
use super::space::Extent;
use arc_swap::{ArcSwapOption, Guard};
use daos_locks::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

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

/// Memory for pages, shared by the caches of several indexes: each takes what it reads, and the largest gives way.
pub struct CacheBudget {
    frames_max: usize,
    /// In all caches.
    frames: AtomicUsize,
    caches: Mutex<Vec<Weak<Cache>>>,
    /// How many these are.
    sharers: AtomicUsize,
    /// Frames nobody holds, to be filled again: memory that has been touched once is worth keeping.
    spare: Mutex<Vec<Arc<Frame>>>,
}

impl std::fmt::Debug for CacheBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheBudget")
            .field("frames_max", &self.frames_max)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl CacheBudget {
    /// About so many bytes; eight bytes per page of each index file come on top.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            frames_max: (bytes / FRAME_COST).max(FRAMES_MIN) as usize,
            frames: AtomicUsize::new(0),
            caches: Mutex::default(),
            sharers: AtomicUsize::new(0),
            spare: Mutex::default(),
        })
    }

    /// Evicts until the bound holds again. The caller holds no clock.
    fn make_room(&self, own: &Cache, keep: u64) {
        while self.frames.load(Ordering::Relaxed) > self.frames_max {
            let fair = self.frames_max / self.sharers.load(Ordering::Relaxed).max(1);
            // Who has more than its share gives way itself.
            let has_less = own.len() <= fair;
            let evicted = match has_less.then(|| self.largest()).flatten() {
                Some(largest) if !std::ptr::eq(&raw const *largest, own) => largest.evict(None),
                _ => own.evict(Some(keep)),
            };
            if !evicted {
                return;
            }
        }
    }

    fn largest(&self) -> Option<Arc<Cache>> {
        // Whoever lets go of a cache last takes the lock again.
        let caches: Vec<Arc<Cache>> = self.caches.lock().iter().filter_map(Weak::upgrade).collect();
        caches.into_iter().max_by_key(|cache| cache.len())
    }

    /// Keeps a frame that a table has let go of, if nobody else holds it.
    fn recycle(&self, frame: Option<Arc<Frame>>) {
        if let Some(mut frame) = frame
            && Arc::get_mut(&mut frame).is_some()
        {
            let mut spare = self.spare.lock();
            if spare.len() + self.frames.load(Ordering::Relaxed) < self.frames_max {
                spare.push(frame);
            }
        }
    }
}

/// The cache of one index.
pub(crate) struct Cache {
    table: Table,
    clock: Mutex<Clock>,
    budget: Arc<CacheBudget>,
    /// How many are in the clock.
    frames: AtomicUsize,
    misses: AtomicU64,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.budget.frames.fetch_sub(*self.frames.get_mut(), Ordering::Relaxed);
        self.budget.caches.lock().retain(|cache| cache.strong_count() > 0);
        self.budget.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Cache {
    pub(crate) fn new(budget: &Arc<CacheBudget>) -> Arc<Self> {
        let cache = Arc::new(Self {
            table: Table(std::array::from_fn(|_| OnceLock::new())),
            clock: Mutex::default(),
            budget: Arc::clone(budget),
            frames: AtomicUsize::new(0),
            misses: AtomicU64::new(0),
        });
        budget.caches.lock().push(Arc::downgrade(&cache));
        budget.sharers.fetch_add(1, Ordering::Relaxed);
        cache
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
        self.budget.spare.lock().pop().unwrap_or_else(|| Frame::new(Page::zeroed()))
    }

    /// A frame that is not cached, with a copy of `page`.
    pub(crate) fn copy(&self, page: &Page) -> Arc<Frame> {
        let mut frame = self.spare();
        Frame::edit(&mut frame).0.copy_from_slice(&page.0);
        frame
    }

    pub(crate) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }

    /// Caches a page in place of whatever was cached under its number.
    pub(crate) fn put(&self, number: u64, frame: Arc<Frame>) {
        let Some(place) = self.table.get_or_grow(number) else { return };
        let is_leaf = frame.page.is_leaf();
        {
            let mut clock = self.clock.lock();
            match place.swap(Some(frame)) {
                // It is in the clock already; among the others if its kind changed, which costs only a poorer choice.
                Some(_) => return,
                None if is_leaf => clock.leaves.push(number),
                None => clock.inners.push(number),
            }
            self.frames.fetch_add(1, Ordering::Relaxed);
        }
        self.budget.frames.fetch_add(1, Ordering::Relaxed);
        self.budget.make_room(self, number);
    }

    /// Evicts one page, but not `keep`; false where there is none.
    fn evict(&self, keep: Option<u64>) -> bool {
        let mut clock = self.clock.lock();
        let of_inners = clock.inners.len() > self.budget.frames_max / 2 || clock.leaves.len() < 2;
        let Clock { leaves, inners, hand } = &mut *clock;
        let ring = if of_inners && !inners.is_empty() { inners } else { leaves };
        // Two rounds at most: the first clears every mark.
        for _ in 0..=2 * ring.len() {
            if *hand >= ring.len() {
                *hand = 0;
            }
            let Some(number) = ring.get(*hand).copied() else { break };
            let Some(place) = self.table.get(number) else { break };
            let in_use = place.load().as_ref().is_some_and(|frame| frame.used.swap(false, Ordering::Relaxed));
            if in_use || keep == Some(number) {
                *hand += 1;
                continue;
            }
            let evicted = place.swap(None);
            ring.swap_remove(*hand);
            self.less(1);
            self.budget.recycle(evicted);
            return true;
        }
        false
    }

    /// So many have left the clock.
    fn less(&self, frames: usize) {
        self.frames.fetch_sub(frames, Ordering::Relaxed);
        self.budget.frames.fetch_sub(frames, Ordering::Relaxed);
    }

    /// Forgets pages whose content is about to change or means nothing any more.
    pub(crate) fn forget(&self, extents: &[Extent]) {
        let mut forgotten = Vec::new();
        for extent in extents {
            for page in extent.page..extent.page + extent.count {
                if let Some(place) = self.table.get(page)
                    && place.load().is_some()
                {
                    forgotten.extend(place.swap(None));
                }
            }
        }
        if forgotten.is_empty() {
            return;
        }
        {
            let mut clock = self.clock.lock();
            let before = clock.leaves.len() + clock.inners.len();
            let cached = |page: &u64| self.table.get(*page).is_some_and(|place| place.load().is_some());
            clock.leaves.retain(cached);
            clock.inners.retain(cached);
            self.less(before - clock.leaves.len() - clock.inners.len());
        }
        for frame in forgotten {
            self.budget.recycle(Some(frame));
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
        let cache = Cache::new(&CacheBudget::new(100 * FRAME_COST));
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
    fn caches_of_one_budget_give_way_to_each_other() {
        let budget = CacheBudget::new(100 * FRAME_COST);
        let [first, second] = [(); 2].map(|()| Cache::new(&budget));
        (0..1000).for_each(|number| first.put(number, page(0)));
        assert_eq!((first.len(), second.len()), (100, 0));
        // What is read takes its share from who has more than one.
        (0..50).for_each(|number| second.put(number, page(0)));
        assert_eq!((first.len(), second.len()), (50, 50));
        (50..1000).for_each(|number| second.put(number, page(0)));
        assert_eq!((first.len(), second.len()), (50, 50));
        drop(second);
        (0..1000).for_each(|number| first.put(number, page(0)));
        assert_eq!((first.len(), budget.frames.load(Ordering::Relaxed)), (100, 100));
        first.forget(&[Extent { page: 0, count: 1000 }]);
        assert_eq!((first.len(), budget.frames.load(Ordering::Relaxed)), (0, 0));
        assert!(budget.spare.lock().len() <= 100);
    }

    #[test]
    fn threads_that_share_a_budget_keep_it() {
        let budget = CacheBudget::new(200 * FRAME_COST);
        let caches = [(); 4].map(|()| Cache::new(&budget));
        std::thread::scope(|scope| {
            for cache in &caches {
                scope.spawn(move || {
                    for number in 0..3000 {
                        cache.put(number % 700, page(u8::from(number % 50 == 0)));
                        if number % 97 == 0 {
                            cache.forget(&[Extent { page: number % 700, count: 9 }]);
                        }
                    }
                });
            }
        });
        let lens: usize = caches.iter().map(|cache| cache.len()).sum();
        assert_eq!(lens, budget.frames.load(Ordering::Relaxed));
        assert!(lens <= 200, "{lens}");
    }

    #[test]
    fn forgotten_pages_are_gone_from_table_and_clock() {
        let cache = Cache::new(&CacheBudget::new(0));
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
