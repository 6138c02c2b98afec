//! Walks a state: all of it, to check it or to learn which pages it uses, or a slice, to check that.

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
    /// Of a walk over a part.
    slice: Option<Part<'a>>,
    read_runs: bool,
    run: Vec<u8>,
    last_key: Option<Vec<u8>>,
    checked: Checked,
}

/// A part of a walk: from a key on, as far as so many pages reach, past what is damaged.
#[derive(Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) from: &'a [u8],
    pub(super) pages_left: u64,
    /// The pages that were met, each only in the part in which the walk came to it first.
    pub(super) met: Tally,
    pub(super) damaged: Vec<IndexError>,
    /// The key to go on from.
    pub(super) next: Option<Vec<u8>>,
    /// A leaf, or what is damaged, is behind it.
    pub(super) moved: bool,
}

/// How many pages, and a sum by which two sets of as many pages differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) pages: u64,
    pub(super) sum: u64,
}

impl Tally {
    pub(super) fn add(&mut self, page: u64) {
        let mut mixed = page.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.pages += 1;
        self.sum = self.sum.wrapping_add(mixed ^ (mixed >> 31));
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a Store, state: &'a Superblock) -> Self {
        Self {
            store,
            state,
            met: Bitmap::default(),
            slice: None,
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

    /// Checks a part; what is damaged is noted in it.
    pub(super) fn part(mut self, part: Part<'a>) -> (Checked, Part<'a>) {
        self.read_runs = true;
        self.slice = Some(part);
        let walked = self.all();
        let walked = self.pass_over(walked);
        debug_assert!(walked.is_ok(), "what is damaged is noted");
        (self.checked, self.slice.unwrap_or_default())
    }

    fn all(&mut self) -> Result<()> {
        if self.slice.as_ref().is_none_or(|part| part.from.is_empty()) {
            (0..FIRST_PAGE).try_for_each(|page| self.meet(page))?;
            self.meet_run(self.state.bitmap_run())?;
        }
        match self.state.height.checked_sub(1) {
            Some(level) => self.node(self.state.root, level, None, None),
            None => Ok(()),
        }
    }

    fn meet(&mut self, page: u64) -> Result<()> {
        if let Some(part) = &mut self.slice {
            part.met.add(page);
            return Ok(());
        }
        if self.met.set(page) { Ok(()) } else { Err(self.store.corrupt(page, "it is used twice")) }
    }

    /// In a part, what is damaged is passed over.
    fn pass_over(&mut self, walked: Result<()>) -> Result<()> {
        match (&mut self.slice, walked) {
            (Some(part), Err(error)) => {
                part.moved = true;
                part.damaged.push(error);
                Ok(())
            }
            (_, walked) => walked,
        }
    }

    /// Whether the walk comes to what begins with `low` for the first time.
    fn is_new(&self, low: Option<&[u8]>) -> bool {
        self.slice.as_ref().is_none_or(|part| part.from.is_empty() || low.is_some_and(|low| low >= part.from))
    }

    /// Whether a part ends before what begins with `low`.
    fn ends_before(&mut self, low: Option<&[u8]>) -> bool {
        let Some(part) = &mut self.slice else { return false };
        if part.next.is_none()
            && part.moved
            && part.pages_left == 0
            && let Some(low) = low
        {
            part.next = Some(low.to_vec());
        }
        part.next.is_some()
    }

    fn count_read(&mut self, pages: u64) {
        if let Some(part) = &mut self.slice {
            part.pages_left = part.pages_left.saturating_sub(pages);
        }
    }

    fn meet_run(&mut self, run: RunRef) -> Result<()> {
        (run.page..run.page + run.pages()).try_for_each(|page| self.meet(page))
    }

    fn node(&mut self, pointer: Pointer, level: u8, low: Option<&[u8]>, high: Option<&[u8]>) -> Result<()> {
        let walked = self.node_inside(pointer, level, low, high);
        self.pass_over(walked)
    }

    fn node_inside(
        &mut self,
        pointer: Pointer,
        level: u8,
        low: Option<&[u8]>,
        high: Option<&[u8]>,
    ) -> Result<()> {
        let is_new = self.is_new(low);
        if is_new {
            self.meet(pointer.page)?;
        }
        self.count_read(1);
        let mut page = Page::zeroed();
        self.store.read_page(self.state, pointer, level, &mut page)?;
        let outside = |key: &[u8]| low.is_some_and(|low| key < low) || high.is_some_and(|high| key >= high);
        let misplaced =
            || -> IndexError { self.store.corrupt(pointer.page, "a key outside the bounds of its page") };
        if level > 0 {
            self.checked.inners += u64::from(is_new);
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
            let first = match &self.slice {
                Some(part) if !is_new => inner.child_of(part.from),
                _ => 0,
            };
            for child in first..inner.children() {
                let child_low =
                    child.checked_sub(1).and_then(|index| seps.get(index)).map(Vec::as_slice).or(low);
                // Not before the first: this page would be met again.
                if child > first && self.ends_before(child_low) {
                    return Ok(());
                }
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
                self.count_read(run.pages());
                if self.read_runs {
                    let mut bytes = std::mem::take(&mut self.run);
                    let read = self.store.read_run(run, &mut bytes);
                    self.run = bytes;
                    self.pass_over(read)?;
                }
            }
        }
        if let Some(part) = &mut self.slice {
            part.moved = true;
        }
        Ok(())
    }
}
