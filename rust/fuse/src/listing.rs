//! Directories that are being listed: places in a listing as numbers of 64 bits, and the pages they are in.

use daos_dfs::{Anchor, Dfs, Dir, Result};
use daos_locks::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of a page.
const PAGE: usize = 1024;
/// Pages that are kept, so that a place behind is where it was.
const KEPT_MAX: usize = 64;
/// Bits of a place that tell where in a page it is.
const SHIFT: u32 = 16;
/// `.` and `..` come before all pages.
pub(crate) const DOTS: u64 = 2;

/// A page: its number and its names.
type Page = (usize, Arc<[Vec<u8>]>);

#[derive(Debug, Default)]
struct State {
    /// Where each page begins that was reached.
    anchors: Vec<Anchor>,
    /// Whether the last of them is behind the end.
    ended: bool,
    kept: VecDeque<Page>,
}

/// A directory that is open.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) dir: Dir,
    state: Mutex<State>,
}

/// The place behind an entry of a page.
fn place(page: usize, index: usize) -> u64 {
    DOTS + ((page as u64) << SHIFT | index as u64)
}

impl Listing {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { dir, state: Mutex::default() }
    }

    /// The names from a place on, as far as one page has them, each with the place behind it. Nothing at the end. A place of 0 begins
    /// anew, with what is there by then.
    pub(crate) fn from(&self, dfs: &Dfs, at: u64) -> Result<Vec<(Vec<u8>, u64)>> {
        let mut state = self.state.lock();
        if at == 0 {
            *state = State::default();
        }
        let at = at.saturating_sub(DOTS);
        let (mut page, mut index) = ((at >> SHIFT) as usize, (at & ((1 << SHIFT) - 1)) as usize);
        loop {
            let Some(names) = state.page(dfs, &self.dir, page)? else { return Ok(Vec::new()) };
            if index < names.len() {
                let rest = names.iter().enumerate().skip(index);
                return Ok(rest.map(|(index, name)| (name.clone(), place(page, index + 1))).collect());
            }
            (page, index) = (page + 1, 0);
        }
    }
}

impl State {
    /// A page, listed again if it is not kept; `None` behind the end.
    fn page(&mut self, dfs: &Dfs, dir: &Dir, page: usize) -> Result<Option<Arc<[Vec<u8>]>>> {
        if let Some((_, names)) = self.kept.iter().find(|(number, _)| *number == page) {
            return Ok(Some(Arc::clone(names)));
        }
        if self.anchors.is_empty() {
            self.anchors.push(dfs.first_anchor(dir)?);
        }
        // A place that nobody was told: the way there is listed.
        while self.anchors.len() <= page && !self.ended {
            let last = self.anchors.len() - 1;
            self.list(dfs, dir, last)?;
        }
        if page >= self.anchors.len() {
            return Ok(None);
        }
        self.list(dfs, dir, page).map(Some)
    }

    fn list(&mut self, dfs: &Dfs, dir: &Dir, page: usize) -> Result<Arc<[Vec<u8>]>> {
        let Some(anchor) = self.anchors.get(page) else { return Ok(Arc::from([])) };
        let listed = dfs.readdir(dir, anchor, PAGE, false)?;
        if page + 1 == self.anchors.len() && !self.ended {
            match listed.anchor {
                Some(next) => self.anchors.push(next),
                None => self.ended = true,
            }
        }
        let names: Arc<[Vec<u8>]> = listed.entries.into_iter().map(|entry| entry.name).collect();
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((page, Arc::clone(&names)));
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_tell_page_and_entry() {
        let mut before = DOTS;
        for (page, index) in [(0, 1), (0, PAGE), (1, 1), (1, PAGE), (70_000, 1)] {
            let at = place(page, index);
            assert!(at > before, "they ascend");
            let told = at - DOTS;
            assert_eq!((told >> SHIFT, told & ((1 << SHIFT) - 1)), (page as u64, index as u64));
            before = at;
        }
        const { assert!(PAGE < 1 << SHIFT) };
    }
}
