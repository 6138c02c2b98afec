//! The index as its users have it: creation, opening, views, batches.

use super::apply::Applying;
use super::cache::{Cache, CacheBudget};
use super::feed::Feed;
use super::output::{Extension, Output};
use super::page::{FIRST_PAGE, PAGE, Pointer, SLOT_PAGES, U48_END};
use super::run::{RunRef, pages_of};
use super::space::{Bitmap, Space};
use super::store::{State, Store};
use super::superblock::{FORMAT, Slot, Superblock, decode_slot};
use super::view::TreeView;
use super::walk::{Checked, Walk};
use super::{Batch, Index, IndexError, Result};
use crate::media::{Media, MediaError, MediaFile};
use arc_swap::ArcSwap;
use daos_locks::Mutex;
use daos_types::Lsn;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Weak};

/// Free pages at the end of the file that are given back only when there are at least this many, and an eighth of
/// the file.
const TRIM_MIN: u64 = 1024;

/// How an index is run; nothing of it is in the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TreeOptions {
    /// Memory for cached pages, which other indexes may share.
    pub cache: Arc<CacheBudget>,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { cache: CacheBudget::new(64 << 20) }
    }
}

/// What opening found that an undamaged file does not have. None of it made anything readable wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// This superblock slot could not be read. If it was the newest state's, the state before it has been opened:
    /// the log must reach back to its [`Index::covers`].
    pub damaged_slot: Option<u8>,
    /// The other slot holds a state that is not the predecessor of this one: a write of a superblock was lost.
    pub stale_slot: bool,
    /// Copies of the superblock that could not be read though their slot could.
    pub bad_copies: usize,
    /// The account of pages in use could not be read; the first batch walks the tree to make it anew.
    pub damaged_bitmap: bool,
}

/// How large an index is and how its cache does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeStats {
    /// Keys.
    pub entries: u64,
    /// Levels; 0 is an empty tree.
    pub height: u8,
    /// Number of the newest state.
    pub generation: u64,
    /// Pages of the newest state: superblocks, tree, long values, bitmap.
    pub live_pages: u64,
    /// Pages up to the last one that is in use by anyone.
    pub used_pages: u64,
    /// Pages among those that a batch may write now. What is neither live nor free is held for the state before
    /// the newest and for views: a view that is kept long holds every page that was replaced since.
    pub free_pages: u64,
    /// Pages in the cache.
    pub cached_pages: usize,
    /// Pages that had to be read and verified since the index was opened.
    pub cache_misses: u64,
}

/// What a batch that is to come finds: for estimates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Levels of the tree.
    pub(crate) height: u64,
    /// Pages of the newest state.
    pub(crate) live_pages: u64,
    /// Pages of the file that the next batch may write, if no view needs them.
    pub(crate) usable_pages: u64,
}

/// What only the one writer knows.
pub(super) struct Writer {
    /// `None` until the tree has been walked, where the bitmap is damaged.
    pub(super) space: Option<Space>,
    /// The slot that holds the current state.
    pub(super) slot: usize,
    /// Generation of the state in the other slot, `None` until the first batch has made that slot good.
    pub(super) previous: Option<u64>,
    /// What the state in the other slot covers; 0 where that is not known.
    previous_covers: u64,
    /// The last number given to a batch, committed or not.
    generation: u64,
    pub(super) extension: Extension,
    /// States that views may still show, oldest first.
    states: VecDeque<(u64, Weak<State>)>,
    pub(super) poisoned: Option<String>,
}

impl Writer {
    /// The generation of the oldest state before the newest one that a view shows.
    pub(super) fn oldest_viewed(&mut self) -> Option<u64> {
        // No view of an older state can come to be any more: only views of the newest are made, others are cloned.
        while self.states.front().is_some_and(|(_, state)| state.strong_count() == 0) {
            self.states.pop_front();
        }
        self.states.front().map(|(generation, _)| *generation)
    }
}

/// A copy-on-write B+tree in one file of a media.
pub struct Tree {
    pub(super) store: Arc<Store>,
    pub(super) writer: Mutex<Writer>,
    /// Beside the writer, so that asking does not wait for a batch.
    outline: Mutex<Outline>,
    recovery: Recovery,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree")
            .field("file", &self.store.file.name())
            .field("state", &self.store.current.load().0)
            .finish_non_exhaustive()
    }
}

impl Tree {
    /// Makes an empty index under a name that must be free, durable at return. `identity` is asked for at every
    /// opening, so that a file brought in from elsewhere is refused.
    pub fn create(media: &dyn Media, name: &str, identity: [u8; 16], options: &TreeOptions) -> Result<Self> {
        Self::create_after(media, name, identity, options, Lsn::ZERO)
    }

    /// As [`Tree::create`], of an index that lacks nothing of the log up to `covers`, in both its states, from the moment
    /// its name exists.
    pub fn create_after(
        media: &dyn Media,
        name: &str,
        identity: [u8; 16],
        options: &TreeOptions,
        covers: Lsn,
    ) -> Result<Self> {
        match media.open(name) {
            Err(MediaError::NotFound { .. }) => {}
            Ok(_) => return Err(MediaError::Exists { name: name.to_owned() }.into()),
            Err(error) => return Err(error.into()),
        }
        let temporary = format!("{name}.new");
        match media.remove(&temporary) {
            Ok(()) | Err(MediaError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let file = media.create(&temporary)?;
        let mut live = Bitmap::default();
        for page in 0..=FIRST_PAGE {
            live.set(page);
        }
        let bytes = live.encode(PAGE);
        let run = RunRef::of(FIRST_PAGE, 1, &bytes);
        let superblock = Superblock {
            identity,
            height: 0,
            generation: 1,
            previous: 0,
            covers: covers.0,
            page_count: FIRST_PAGE + 1,
            entries: 0,
            root: Pointer::default(),
            bitmap: Pointer { page: run.page, generation: run.generation, crc: run.crc },
            bitmap_len: PAGE as u64,
        };
        for (slot, page) in SLOT_PAGES.into_iter().enumerate() {
            file.write_at(page * PAGE as u64, &[IoSlice::new(&*superblock.encode(slot))])?;
        }
        file.write_at(FIRST_PAGE * PAGE as u64, &[IoSlice::new(&bytes)])?;
        file.sync()?;
        media.rename(&temporary, name)?;
        media.sync_names()?;
        drop(file);
        Self::open(media, name, identity, options)
    }

    /// Opens an index: the newest state that can be read. Writes nothing.
    ///
    /// The newest state may be lost with its slot. So before anything is served the caller must see that its log
    /// begins at or before the record behind [`Index::covers`]. No view of an earlier instance may be alive.
    pub fn open(media: &dyn Media, name: &str, identity: [u8; 16], options: &TreeOptions) -> Result<Self> {
        let file = media.open(name)?;
        let corrupt =
            |page, why: &str| IndexError::Corrupt { file: name.to_owned(), page, why: why.to_owned() };
        let mut recovery = Recovery::default();
        let mut found: Vec<(usize, Superblock)> = Vec::new();
        let mut foreign = false;
        for (number, page) in SLOT_PAGES.into_iter().enumerate() {
            match decode_slot(&read_slot(&*file, page), number, identity) {
                Slot::Damaged => recovery.damaged_slot = Some(number as u8),
                Slot::Foreign => {
                    foreign = true;
                    recovery.damaged_slot = Some(number as u8);
                }
                Slot::Unknown(format) => {
                    let why =
                        format!("format {format}, this program knows {FORMAT} with pages of {PAGE} bytes");
                    return Err(IndexError::Format { file: name.to_owned(), why });
                }
                Slot::Nonsense => return Err(corrupt(page, "a superblock that makes no sense")),
                Slot::Valid(superblock, bad_copies) => {
                    recovery.bad_copies += bad_copies;
                    found.push((number, superblock));
                }
            }
        }
        // Of two equal ones the first slot's is current.
        found.sort_by_key(|(_, superblock)| std::cmp::Reverse(superblock.generation));
        let mut found = found.into_iter();
        let Some((slot, current)) = found.next() else {
            return Err(corrupt(
                0,
                if foreign { "the file belongs to another index" } else { "no superblock can be read" },
            ));
        };
        let other = found.next().map(|(_, other)| other);
        if other.is_some_and(|other| other.generation == current.generation && other != current) {
            return Err(corrupt(0, "the superblocks of one state differ"));
        }
        recovery.stale_slot =
            other.is_some_and(|other| other.generation != current.previous && other != current);
        let extension = Extension::of(&*file)?;
        if extension.end < current.page_count * PAGE as u64 {
            return Err(corrupt(current.page_count, "the file ends before its last page"));
        }
        file.sync()?;
        let store = Arc::new(Store {
            file,
            cache: Cache::new(&options.cache),
            current: ArcSwap::from_pointee(State(current)),
        });
        // The first batch makes the other slot a copy of this one, so its pages need no protection.
        let space = read_bitmap(&store, &current)?.map(Space::new);
        recovery.damaged_bitmap = space.is_none();
        let writer = Writer {
            space,
            slot,
            previous: None,
            previous_covers: other.map_or(0, |other| other.covers),
            generation: current.generation,
            extension,
            states: VecDeque::new(),
            poisoned: None,
        };
        let tree = Self { store, outline: Mutex::default(), writer: Mutex::new(writer), recovery };
        tree.draw_outline(&tree.writer.lock());
        Ok(tree)
    }

    /// What opening found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The log must keep every record behind this one: should the newest state be lost with its slot, the state in
    /// the other slot opens, and covers no more. An index at rest lets go of its log by [`Tree::rest`], or by two batches without changes.
    /// Waits for a running batch.
    pub fn log_needed_after(&self) -> Lsn {
        let writer = self.writer.lock();
        Lsn(writer.previous_covers.min(self.store.current.load().0.covers))
    }

    /// What the next batch finds, as the last one left it. Waits for nobody.
    pub(crate) fn outline(&self) -> Outline {
        *self.outline.lock()
    }

    pub(super) fn draw_outline(&self, writer: &Writer) {
        let superblock = self.store.current.load().0;
        let outline = match &writer.space {
            Some(space) => {
                let kept = space.live().count() + space.freed_since(superblock.previous);
                Outline {
                    height: superblock.height.into(),
                    live_pages: space.live().count(),
                    usable_pages: writer.extension.reserved_pages().saturating_sub(kept),
                }
            }
            None => Outline {
                height: superblock.height.into(),
                live_pages: superblock.page_count,
                usable_pages: 0,
            },
        };
        *self.outline.lock() = outline;
    }

    /// Sizes and counts. Waits for a running batch.
    pub fn stats(&self) -> TreeStats {
        let writer = self.writer.lock();
        let superblock = self.store.current.load().0;
        let space = writer.space.as_ref();
        TreeStats {
            entries: superblock.entries,
            height: superblock.height,
            generation: superblock.generation,
            live_pages: space.map_or(0, |space| space.live().count()),
            used_pages: space.map_or(superblock.page_count, Space::end),
            free_pages: space.map_or(0, Space::free_count),
            cached_pages: self.store.cache.len(),
            cache_misses: self.store.cache.misses(),
        }
    }

    /// Reads everything the newest state refers to, past the cache, and checks all that the format promises:
    /// checksums, order within and between pages, that no page is used twice, that the account of pages in use is
    /// exact. Waits for a running batch.
    pub fn check(&self) -> Result<Checked> {
        let writer = self.writer.lock();
        let superblock = self.store.current.load().0;
        let Some(space) = &writer.space else {
            return Err(self.store.corrupt(superblock.bitmap.page, "the account of pages in use is damaged"));
        };
        Walk::new(&self.store, &superblock).check(space.live())
    }

    /// Writes everything but the slot; answers the new state and the pages it uses.
    fn build(
        &self,
        space: &mut Space,
        extension: &mut Extension,
        (old, generation): (&Superblock, u64),
        batch: &mut dyn Batch,
        covers: u64,
    ) -> Result<(Superblock, Bitmap)> {
        let feed = Feed::new(batch)?;
        let out = Output::new(&*self.store.file, extension);
        let applied = Applying::new(&self.store, old, generation, space, out, feed).run()?;
        let mut new = Superblock {
            height: applied.height,
            root: applied.root,
            entries: applied.entries,
            generation,
            previous: old.generation,
            covers,
            ..*old
        };
        if applied.root == old.root && applied.height == old.height {
            return Ok((new, space.live().clone()));
        }
        let old_run = old.bitmap_run();
        space.free(old_run.page, old_run.pages());
        // Enough for the bitmap's own pages, wherever they come to lie.
        let end = space.end();
        let pages = pages_of((end / 8 + 1) as usize);
        let pages = pages_of(((end + pages) / 8 + 1) as usize);
        let page = space.take(pages);
        let live = space.next_live();
        let bytes = live.encode(pages as usize * PAGE);
        let run = RunRef::of(page, generation, &bytes);
        let mut out = Output::new(&*self.store.file, extension);
        out.run(page, &bytes)?;
        out.flush()?;
        new.page_count = live.end();
        new.bitmap = Pointer { page: run.page, generation: run.generation, crc: run.crc };
        new.bitmap_len = bytes.len() as u64;
        if !new.is_sound() {
            return Err(self.store.corrupt(0, "the file has reached the limits of its format"));
        }
        Ok((new, live))
    }

    /// Writes a superblock, durable at return.
    fn write_slot(&self, superblock: &Superblock, slot: usize) -> Result<()> {
        let page = superblock.encode(slot);
        let at = if slot == 0 { SLOT_PAGES[0] } else { SLOT_PAGES[1] } * PAGE as u64;
        Ok(self.store.file.write_at_durable(at, &[IoSlice::new(&*page)])?)
    }

    /// Before the first batch: whatever the other slot holds, or seems to hold, it is a copy of the current state
    /// from here on, and durable, so the current state is.
    pub(super) fn settle_slots(&self, writer: &mut Writer, current: &Superblock) -> Result<u64> {
        if let Some(previous) = writer.previous {
            return Ok(previous);
        }
        if let Err(error) = self.write_slot(current, 1 - writer.slot) {
            // Whatever a full device left there, the next attempt writes again, before anything depends on it.
            if !is_no_space(&error) {
                writer.poisoned = Some(error.to_string());
            }
            return Err(error);
        }
        writer.previous = Some(current.generation);
        writer.previous_covers = current.covers;
        // The other slot may have held, or may yet come to show, the state that follows: its number is not used.
        writer.generation = writer.generation.max(current.generation + 1);
        Ok(current.generation)
    }

    fn apply_in(
        &self,
        writer: &mut Writer,
        space: &mut Space,
        old: &Superblock,
        batch: &mut dyn Batch,
        covers: u64,
    ) -> Result<Superblock> {
        let previous = self.settle_slots(writer, old)?;
        // A number is used once, also where the batch fails.
        writer.generation += 1;
        let generation = writer.generation;
        if generation >= U48_END {
            return Err(self.store.corrupt(0, "no generation is left"));
        }
        let oldest = writer.oldest_viewed().unwrap_or(old.generation);
        self.store.cache.forget(&space.release(previous.min(oldest)));
        let built = self.build(space, &mut writer.extension, (old, generation), batch, covers);
        let (new, live) = match built {
            Ok(built) => built,
            Err(error) => {
                self.store.cache.forget(&space.abort());
                writer.poisoned = writer.extension.failed.take().map(|error| error.to_string());
                return Err(error);
            }
        };
        if let Err(error) = self.store.file.sync() {
            return Err(poison(writer, error.into()));
        }
        if let Err(error) = self.write_slot(&new, 1 - writer.slot) {
            // Where the former state can be put over it, whatever a full device left there of the new one, the batch did not happen.
            if !is_no_space(&error) || self.write_slot(old, 1 - writer.slot).is_err() {
                return Err(poison(writer, error));
            }
            (writer.previous, writer.previous_covers) = (Some(old.generation), old.covers);
            self.store.cache.forget(&space.abort());
            return Err(error);
        }
        writer.slot = 1 - writer.slot;
        writer.previous = Some(old.generation);
        writer.previous_covers = old.covers;
        space.commit(generation, live);
        Ok(new)
    }

    /// Gives the end of the file back where much of it is free.
    fn trim(&self, space: &Space, extension: &mut Extension) {
        let (end, pages) = (space.end(), extension.end / PAGE as u64);
        if pages >= end + TRIM_MIN.max(pages / 8) {
            self.cut(space, extension);
        }
    }

    /// Cuts the file behind its last page in use.
    pub(super) fn cut(&self, space: &Space, extension: &mut Extension) {
        let end = space.end() * PAGE as u64;
        // Nothing depends on it: a file that stays long is only long.
        if end < extension.end && self.store.file.set_size(end).is_ok() {
            extension.end = end;
        }
    }
}

impl Index for Tree {
    type View = TreeView;

    fn view(&self) -> TreeView {
        TreeView { store: self.store.clone(), state: self.store.current.load_full() }
    }

    fn apply(&self, batch: &mut dyn Batch, covers: Lsn) -> Result<()> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        if let Some(why) = &writer.poisoned {
            return Err(IndexError::Poisoned(why.clone()));
        }
        let old_state = self.store.current.load_full();
        let old = old_state.0;
        if covers.0 < old.covers {
            return Err(IndexError::Batch(format!("it covers {covers}, the index {} already", old.covers)));
        }
        let mut space = match writer.space.take() {
            Some(space) => space,
            None => Space::new(Walk::new(&self.store, &old).pages()?),
        };
        let applied = self.apply_in(writer, &mut space, &old, batch, covers.0);
        if let Ok(new) = applied {
            writer.states.push_back((old.generation, Arc::downgrade(&old_state)));
            self.store.current.store(Arc::new(State(new)));
            if Arc::strong_count(&old_state) == 1 && new.root != old.root {
                // Nobody looks at the former state: its frames are of more use to the next batch.
                self.store.cache.forget(space.last_freed());
            }
            drop(old_state);
            self.trim(&space, &mut writer.extension);
            if writer.extension.holes > 0 {
                writer.extension.measure_holes(&*self.store.file);
            }
        }
        writer.space = Some(space);
        self.draw_outline(writer);
        applied.map(drop)
    }

    fn covers(&self) -> Lsn {
        Lsn(self.store.current.load().0.covers)
    }
}

/// After a failure that leaves it open which state the device has. Not told as want of room, after which a batch is tried again.
fn poison(writer: &mut Writer, error: IndexError) -> IndexError {
    let why = error.to_string();
    writer.poisoned = Some(why.clone());
    if is_no_space(&error) { IndexError::Poisoned(why) } else { error }
}

fn is_no_space(error: &IndexError) -> bool {
    matches!(error, IndexError::Media(MediaError::NoSpace { .. }))
}

/// A slot's page; zeros where it cannot be read.
pub(super) fn read_slot(file: &dyn MediaFile, page: u64) -> Box<[u8; PAGE]> {
    let mut bytes = Box::new([0; PAGE]);
    let at = page * PAGE as u64;
    if file.read_at(at, &mut *bytes).is_err() {
        bytes.fill(0);
        // One bad sector need not cost all copies.
        for (number, sector) in (0..).zip(bytes.chunks_mut(512)) {
            if file.read_at(at + number * 512, sector).is_err() {
                sector.fill(0);
            }
        }
    }
    bytes
}

/// The bitmap of a state, `None` where it is damaged.
pub(super) fn read_bitmap(store: &Store, superblock: &Superblock) -> Result<Option<Bitmap>> {
    let mut bytes = Vec::new();
    if superblock.bitmap_len > store.file.size()? {
        return Ok(None);
    }
    match store.read_run(superblock.bitmap_run(), &mut bytes) {
        Ok(()) => Ok(Bitmap::decode(&bytes, superblock.page_count)),
        Err(IndexError::Corrupt { .. } | IndexError::Media(MediaError::Io { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
