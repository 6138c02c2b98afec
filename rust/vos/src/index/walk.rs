//! Walks all of a state: to check it, or to learn which pages it uses.

use super::inner::Inner;
use super::leaf::{Leaf, Value};
use super::page::{FIRST_PAGE, PAGE, Page, Pointer};
use super::run::RunRef;
use super::space::Bitmap;
use super::store::Store;
use super::superblock::Superblock;
use super::{IndexError, Result};

/// What a check has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Keys.
    pub entries: u64,
    /// Leaf pages.
    pub leaves: u64,
    /// Inner pages.
    pub inners: u64,
    /// Values in pages of their own.
    pub runs: u64,
    /// Pages of those.
    pub run_pages: u64,
    /// Bytes of leaves that are not in use.
    pub leaf_slack: u64,
}

/// One walk.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    state: &'a Superblock,
    met: Bitmap,
    read_runs: bool,
    run: Vec<u8>,
    last_key: Option<Vec<u8>>,
    checked: Checked,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a Store, state: &'a Superblock) -> Self {
        Self {
            store,
            state,
            met: Bitmap::default(),
            read_runs: false,
            run: Vec::new(),
            last_key: None,
            checked: Checked::default(),
        }
    }

    /// The pages the state uses.
    pub(crate) fn pages(mut self) -> Result<Bitmap> {
        self.all()?;
        Ok(self.met)
    }

    /// Checks everything.
    pub(crate) fn check(mut self, live: &Bitmap) -> Result<Checked> {
        self.read_runs = true;
        self.all()?;
        if self.checked.entries != self.state.entries {
            let (met, told) = (self.checked.entries, self.state.entries);
            return Err(self.store.corrupt(0, format!("{met} keys, the superblock says {told}")));
        }
        for page in 0..self.state.page_count.max(live.end()) {
            if self.met.get(page) != live.get(page) {
                let told = if live.get(page) {
                    "is said to be in use and is not"
                } else {
                    "is in use and said to be free"
                };
                return Err(self.store.corrupt(page, told));
            }
        }
        Ok(self.checked)
    }

    fn all(&mut self) -> Result<()> {
        for page in 0..FIRST_PAGE {
            self.met.set(page);
        }
        self.meet_run(self.state.bitmap_run())?;
        match self.state.height.checked_sub(1) {
            Some(level) => self.node(self.state.root, level, None, None),
            None => Ok(()),
        }
    }

    fn meet(&mut self, page: u64) -> Result<()> {
        if self.met.set(page) { Ok(()) } else { Err(self.store.corrupt(page, "it is used twice")) }
    }

    fn meet_run(&mut self, run: RunRef) -> Result<()> {
        (run.page..run.page + run.pages()).try_for_each(|page| self.meet(page))
    }

    fn node(&mut self, pointer: Pointer, level: u8, low: Option<&[u8]>, high: Option<&[u8]>) -> Result<()> {
        self.meet(pointer.page)?;
        let mut page = Page::zeroed();
        self.store.read_page(self.state, pointer, level, &mut page)?;
        let outside = |key: &[u8]| low.is_some_and(|low| key < low) || high.is_some_and(|high| key >= high);
        let misplaced =
            || -> IndexError { self.store.corrupt(pointer.page, "a key outside the bounds of its page") };
        if level > 0 {
            self.checked.inners += 1;
            let inner = Inner::new(&page);
            let mut seps: Vec<Vec<u8>> = Vec::with_capacity(inner.children());
            for index in 0..inner.0.count {
                let mut key = Vec::new();
                inner.0.push_key(index, &mut key);
                if outside(&key) {
                    return Err(misplaced());
                }
                seps.push(key);
            }
            for child in 0..inner.children() {
                let child_low =
                    child.checked_sub(1).and_then(|index| seps.get(index)).map(Vec::as_slice).or(low);
                let child_high = seps.get(child).map(Vec::as_slice).or(high);
                self.node(inner.child(child), level - 1, child_low, child_high)?;
            }
            return Ok(());
        }
        let leaf = Leaf::new(&page);
        self.checked.leaves += 1;
        self.checked.entries += leaf.0.count as u64;
        self.checked.leaf_slack += (PAGE - leaf.0.used()) as u64;
        for index in 0..leaf.0.count {
            let mut key = Vec::new();
            leaf.0.push_key(index, &mut key);
            if outside(&key) || self.last_key.as_ref().is_some_and(|last| *last >= key) {
                return Err(misplaced());
            }
            self.last_key = Some(key);
            if let Value::Run(run) = leaf.value(index) {
                self.meet_run(run)?;
                self.checked.runs += 1;
                self.checked.run_pages += run.pages();
                if self.read_runs {
                    let mut bytes = std::mem::take(&mut self.run);
                    self.store.read_run(run, &mut bytes)?;
                    self.run = bytes;
                }
            }
        }
        Ok(())
    }
}
