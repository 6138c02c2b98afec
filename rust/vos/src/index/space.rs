//! Which pages are in use, and which may be written.

use super::page::FIRST_PAGE;
use std::collections::VecDeque;

/// Contiguous pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) page: u64,
    pub(crate) count: u64,
}

/// One bit a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bitmap(Vec<u64>);

impl Bitmap {
    /// From its stored form; bits from `page_count` on must be zero.
    pub(crate) fn decode(bytes: &[u8], page_count: u64) -> Option<Self> {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let bitmap = Self(words.collect());
        (bitmap.end() <= page_count && (0..FIRST_PAGE).all(|page| bitmap.get(page))).then_some(bitmap)
    }

    /// Its stored form, zeros behind the last page that is set.
    pub(crate) fn encode(&self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(len, 0);
        bytes
    }

    pub(crate) fn get(&self, page: u64) -> bool {
        self.0.get((page / 64) as usize).is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Sets a bit; says whether it was clear.
    pub(crate) fn set(&mut self, page: u64) -> bool {
        let index = (page / 64) as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        let fresh = !self.get(page);
        self.0[index] |= 1 << (page % 64);
        fresh
    }

    pub(crate) fn clear(&mut self, page: u64) {
        if let Some(word) = self.0.get_mut((page / 64) as usize) {
            *word &= !(1 << (page % 64));
        }
    }

    fn set_all(&mut self, extent: Extent) {
        for page in extent.page..extent.page + extent.count {
            self.set(page);
        }
    }

    fn clear_all(&mut self, extent: Extent) {
        for page in extent.page..extent.page + extent.count {
            self.clear(page);
        }
    }

    /// One more than the last page that is set.
    pub(crate) fn end(&self) -> u64 {
        let last = self.0.iter().rposition(|word| *word != 0);
        last.map_or(0, |index| {
            index as u64 * 64 + 64 - u64::from(self.0.get(index).map_or(0, |word| word.leading_zeros()))
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The first clear page at or behind `from`.
    fn next_clear(&self, from: u64) -> u64 {
        let mut index = (from / 64) as usize;
        let mut skip = !0 << (from % 64);
        while let Some(word) = self.0.get(index) {
            let clear = !word & skip;
            if clear != 0 {
                return index as u64 * 64 + u64::from(clear.trailing_zeros());
            }
            skip = !0;
            index += 1;
        }
        from.max(self.0.len() as u64 * 64)
    }

    /// The first page at or behind `from` that is set, if any.
    fn next_set(&self, from: u64) -> Option<u64> {
        let mut index = (from / 64) as usize;
        let mut skip = !0 << (from % 64);
        while let Some(word) = self.0.get(index) {
            let set = word & skip;
            if set != 0 {
                return Some(index as u64 * 64 + u64::from(set.trailing_zeros()));
            }
            skip = !0;
            index += 1;
        }
        None
    }
}

/// Appends an extent, joining it to the last one where they touch.
fn add(extents: &mut Vec<Extent>, extent: Extent) {
    match extents.last_mut() {
        Some(last) if last.page + last.count == extent.page => last.count += extent.count,
        _ => extents.push(extent),
    }
}

/// The writer's account of the file's pages. Rule and argument: chapter 6 of the format.
#[derive(Debug)]
pub(crate) struct Space {
    /// Pages of the current state.
    live: Bitmap,
    /// Pages that may not be written: of the current or previous state, of a view, or taken by the running batch.
    busy: Bitmap,
    /// What each generation stopped using, oldest first, as long as it is in `busy`.
    pending: VecDeque<(u64, Vec<Extent>)>,
    /// Where the search for single pages goes on; the running batch has no free page before it.
    cursor: u64,
    /// A run of this many pages was not found in the running batch.
    run_missing: u64,
    taken: Vec<Extent>,
    freed: Vec<Extent>,
}

impl Space {
    /// For a file whose current state uses `live`; no other state or view needs more.
    pub(crate) fn new(live: Bitmap) -> Self {
        Self {
            busy: live.clone(),
            live,
            pending: VecDeque::new(),
            cursor: FIRST_PAGE,
            run_missing: u64::MAX,
            taken: Vec::new(),
            freed: Vec::new(),
        }
    }

    /// Lets pages be written again that no state up to `generation` stopped using later; answers them.
    pub(crate) fn release(&mut self, generation: u64) -> Vec<Extent> {
        let mut released = Vec::new();
        while self.pending.front().is_some_and(|(freed_by, _)| *freed_by <= generation) {
            let Some((_, extents)) = self.pending.pop_front() else { break };
            for extent in &extents {
                self.busy.clear_all(*extent);
            }
            released.extend(extents);
        }
        released
    }

    /// Takes `count` contiguous pages for the running batch.
    pub(crate) fn take(&mut self, count: u64) -> u64 {
        let page = if count == 1 { self.busy.next_clear(self.cursor) } else { self.find_run(count) };
        if count == 1 {
            self.cursor = page + 1;
        }
        let extent = Extent { page, count };
        self.busy.set_all(extent);
        add(&mut self.taken, extent);
        page
    }

    fn find_run(&mut self, count: u64) -> u64 {
        let end = self.busy.end();
        if count >= self.run_missing {
            return end;
        }
        let mut page = self.busy.next_clear(self.cursor);
        while page < end {
            match self.busy.next_set(page) {
                Some(set) if set - page < count => page = self.busy.next_clear(set),
                _ => return page,
            }
        }
        self.run_missing = count;
        end
    }

    /// Says that the state the running batch builds does not use these pages of the current one.
    pub(crate) fn free(&mut self, page: u64, count: u64) {
        add(&mut self.freed, Extent { page, count });
    }

    /// What will be live when the running batch is committed.
    pub(crate) fn next_live(&self) -> Bitmap {
        let mut live = self.live.clone();
        for extent in &self.freed {
            live.clear_all(*extent);
        }
        for extent in &self.taken {
            live.set_all(*extent);
        }
        live
    }

    /// The running batch has become the current state `generation`, using `live`.
    pub(crate) fn commit(&mut self, generation: u64, live: Bitmap) {
        self.live = live;
        let freed = std::mem::take(&mut self.freed);
        if !freed.is_empty() {
            self.pending.push_back((generation, freed));
        }
        self.taken.clear();
        self.start_over();
    }

    /// The running batch failed: what it took is free again. Answers that.
    pub(crate) fn abort(&mut self) -> Vec<Extent> {
        let taken = std::mem::take(&mut self.taken);
        for extent in &taken {
            self.busy.clear_all(*extent);
        }
        self.freed.clear();
        self.start_over();
        taken
    }

    fn start_over(&mut self) {
        self.cursor = FIRST_PAGE;
        self.run_missing = u64::MAX;
    }

    /// What the last committed batch stopped using, if any.
    pub(crate) fn last_freed(&self) -> &[Extent] {
        self.pending.back().map_or(&[], |(_, extents)| extents)
    }

    /// Pages that states behind `generation` stopped using and which are still kept.
    pub(crate) fn freed_since(&self, generation: u64) -> u64 {
        let since = self.pending.iter().filter(|(freed_by, _)| *freed_by > generation);
        since.flat_map(|(_, extents)| extents).map(|extent| extent.count).sum()
    }

    /// Pages of the current state.
    pub(crate) fn live(&self) -> &Bitmap {
        &self.live
    }

    /// Runs of at least so many pages below [`Space::end`] that may be written.
    pub(crate) fn free_runs(&self, count_min: u64) -> Vec<Extent> {
        let mut runs = Vec::new();
        let mut page = self.busy.next_clear(FIRST_PAGE);
        while let Some(set) = self.busy.next_set(page) {
            if set - page >= count_min {
                runs.push(Extent { page, count: set - page });
            }
            page = self.busy.next_clear(set);
        }
        runs
    }

    /// One more than the last page that may not be written.
    pub(crate) fn end(&self) -> u64 {
        self.busy.end()
    }

    /// Pages below [`Space::end`] that may be written.
    pub(crate) fn free_count(&self) -> u64 {
        self.busy.end() - self.busy.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(pages: impl IntoIterator<Item = u64>) -> Bitmap {
        let mut bitmap = Bitmap::default();
        for page in pages {
            assert!(bitmap.set(page));
        }
        bitmap
    }

    #[test]
    fn a_bitmap_is_read_as_it_was_written() {
        let bitmap = bits((0..17).chain([25, 63, 64, 130]));
        assert_eq!((bitmap.end(), bitmap.count()), (131, 21));
        let stored = bitmap.encode(17);
        assert_eq!(stored.len(), 17);
        assert_eq!(Bitmap::decode(&stored, 131), Some(bitmap.clone()));
        assert_eq!(Bitmap::decode(&stored, 130), None, "a bit behind the last page");
        assert_eq!(Bitmap::decode(&bits([0, 2]).encode(1), 3), None, "a slot not in use");
    }

    #[test]
    fn pages_are_written_again_when_nothing_needs_them() {
        let mut space = Space::new(bits((0..20).filter(|page| *page != 18)));
        assert_eq!((space.take(1), space.take(1), space.take(3)), (18, 20, 21));
        space.free(19, 1);
        let live = space.next_live();
        assert_eq!(live, bits((0..24).filter(|page| *page != 19)));
        space.commit(8, live);
        assert_eq!(space.release(7), []);
        assert_eq!(space.take(1), 24, "19 was freed by 8");
        space.free(18, 1);
        assert_eq!(space.abort(), [Extent { page: 24, count: 1 }]);
        assert_eq!(space.release(8), [Extent { page: 19, count: 1 }]);
        assert_eq!((space.take(2), space.take(1), space.take(1)), (24, 19, 26));
        let live = space.next_live();
        assert_eq!(live, bits(0..27));
        assert_eq!((space.end(), space.free_count()), (27, 0));
    }

    #[test]
    fn free_runs_lie_between_pages_in_use() {
        let space = Space::new(bits((0..20).chain([24, 25, 200, 202])));
        let run = |page, count| Extent { page, count };
        assert_eq!(space.free_runs(1), [run(20, 4), run(26, 174), run(201, 1)]);
        assert_eq!(space.free_runs(4), [run(20, 4), run(26, 174)]);
        assert_eq!(space.free_runs(175), []);
    }
}
