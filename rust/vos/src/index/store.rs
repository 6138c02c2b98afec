//! What readers and the writer of one index share: the file, the cache, the newest state.

use super::cache::{Cache, Frame};
use super::inner::Inner;
use super::leaf::Leaf;
use super::page::{Bounds, PAGE, Page, Pointer};
use super::run::RunRef;
use super::superblock::Superblock;
use super::{IndexError, Result};
use crate::media::{MediaError, MediaFile};
use arc_swap::{ArcSwap, Guard};
use daos_codec::crc32c;
use std::ops::Deref;
use std::sync::Arc;

/// One state of the index. Views hold it; the writer sees by that which pages they need.
#[derive(Debug)]
pub(crate) struct State(pub(crate) Superblock);

/// A page in hand: straight from the table, or held on its own.
pub(crate) enum PageRef {
    Cached(Guard<Option<Arc<Frame>>>),
    Held(Arc<Frame>),
}

impl PageRef {
    /// The page for longer than a look-up.
    pub(crate) fn hold(self) -> Option<Arc<Frame>> {
        match self {
            Self::Cached(guard) => Guard::into_inner(guard),
            Self::Held(frame) => Some(frame),
        }
    }
}

static NO_PAGE: Page = Page::zeroed();

impl Deref for PageRef {
    type Target = Page;

    #[inline]
    fn deref(&self) -> &Page {
        match self {
            // A guard is made into a reference only where it holds a frame.
            Self::Cached(guard) => guard.as_ref().map_or(&NO_PAGE, |frame| &frame.page),
            Self::Held(frame) => &frame.page,
        }
    }
}

pub(crate) struct Store {
    pub(crate) file: Arc<dyn MediaFile>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) current: ArcSwap<State>,
}

impl Store {
    pub(crate) fn corrupt(&self, page: u64, why: impl Into<String>) -> IndexError {
        IndexError::Corrupt { file: self.file.name().to_owned(), page, why: why.into() }
    }

    /// The page a pointer of `state` leads to, verified.
    #[inline]
    pub(crate) fn page(&self, state: &Superblock, pointer: Pointer, level: u8) -> Result<PageRef> {
        if let Some(guard) = self.cache.get(pointer.page)
            && let Some(frame) = guard.as_ref()
            && frame.page.generation() == pointer.generation
            && frame.page.is_of_level(level)
        {
            return Ok(PageRef::Cached(guard));
        }
        self.read(state, pointer, level).map(PageRef::Held)
    }

    /// As [`Store::page`], to be held.
    pub(crate) fn frame(&self, state: &Superblock, pointer: Pointer, level: u8) -> Result<Arc<Frame>> {
        let held = self.page(state, pointer, level)?.hold();
        held.ok_or_else(|| self.corrupt(pointer.page, "the cache lost a page it had"))
    }

    #[cold]
    fn read(&self, state: &Superblock, pointer: Pointer, level: u8) -> Result<Arc<Frame>> {
        self.cache.count_miss();
        let mut frame = self.cache.spare();
        self.read_page(state, pointer, level, Frame::edit(&mut frame))?;
        self.cache.put(pointer.page, frame.clone());
        Ok(frame)
    }

    /// Reads and verifies a page without the cache.
    pub(crate) fn read_page(
        &self,
        state: &Superblock,
        pointer: Pointer,
        level: u8,
        page: &mut Page,
    ) -> Result<()> {
        match self.file.read_at(pointer.page * PAGE as u64, &mut page.0) {
            Ok(()) => {}
            Err(MediaError::Short { .. }) => {
                return Err(self.corrupt(pointer.page, "the file ends before it"));
            }
            Err(error) => return Err(error.into()),
        }
        verify(page, state, pointer, level).map_err(|why| self.corrupt(pointer.page, why))
    }

    /// Reads the bytes of a run into `out`.
    pub(crate) fn read_run(&self, run: RunRef, out: &mut Vec<u8>) -> Result<()> {
        run.read(&*self.file, out)
    }
}

/// Whether `page` is what `pointer` of `state` means, and sound.
pub(crate) fn verify(
    page: &Page,
    state: &Superblock,
    pointer: Pointer,
    level: u8,
) -> std::result::Result<(), &'static str> {
    if crc32c(&page.0) != pointer.crc {
        return Err("its checksum is not the pointer's");
    }
    if page.identity() != &state.identity[..8] {
        return Err("it belongs to another index");
    }
    if page.number() != pointer.page {
        return Err("it was written for another place");
    }
    if page.generation() != pointer.generation {
        return Err("it was written at another time");
    }
    if !page.is_of_level(level) {
        return Err("its kind or level is not what its parent says");
    }
    // Nothing in a page is younger than the page.
    let bounds = Bounds { page_count: state.page_count, generation: pointer.generation };
    if level == 0 { Leaf::new(page).verify(bounds) } else { Inner::new(page).verify(bounds) }
}
