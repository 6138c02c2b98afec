//! The base index: an ordered map from byte keys to byte values, changed by sorted batches, read through views.
//!
//! `docs/formats/index.md` describes every byte. [`Index`] is the contract; the conformance suite holds our tree and
//! its oracle to it.

mod apply;
mod cache;
mod cursor;
mod feed;
#[cfg(test)]
mod fuzz;
mod gather;
mod inner;
mod leaf;
mod output;
mod page;
mod rest;
mod run;
mod slice;
mod space;
mod store;
mod superblock;
#[cfg(test)]
mod tests;
mod tree;
mod view;
mod walk;

pub(crate) use leaf::INLINE_MAX;
pub(crate) use page::PAGE;

pub use cache::CacheBudget;
pub use cursor::TreeCursor;
pub(crate) use slice::{IndexPlace, IndexSlice};
pub(crate) use tree::Outline;
pub use tree::{Recovery, Tree, TreeOptions, TreeStats};
pub use view::TreeView;
pub use walk::Checked;

/// Bytes of a page.
pub const PAGE_BYTES: usize = PAGE;

use crate::media::MediaError;
use daos_types::Lsn;

/// Bytes of the longest key.
pub const KEY_LEN_MAX: usize = 512;
/// Bytes of the longest value.
pub const VALUE_LEN_MAX: usize = 4 << 20;

/// Why the index could not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// What was read is not what was written there. Never answered by a wrong value or a missing key.
    #[error("{file}: page {page} is corrupt: {why}")]
    Corrupt {
        /// The index file.
        file: String,
        /// Which page.
        page: u64,
        /// What does not fit.
        why: String,
    },
    /// The file is of a format this program does not know.
    #[error("{file}: {why}")]
    Format {
        /// The index file.
        file: String,
        /// Found and supported.
        why: String,
    },
    /// A key or value of a batch is too long, or the batch is not strictly ascending.
    #[error("bad batch: {0}")]
    Batch(String),
    /// An earlier apply failed half-way through its writes or syncs: the file must be opened anew.
    #[error("the index stopped after an earlier failure: {0}")]
    Poisoned(String),
    /// The device failed.
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// The result of every index call.
pub type Result<T> = std::result::Result<T, IndexError>;

/// A sorted run of changes: keys strictly ascending, `None` removes the key (no error where it is absent).
pub trait Batch {
    /// The next change, `None` at the end.
    fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)>;

    /// Told of the bytes that the change last given out replaces or removes.
    fn replaced(&mut self, _old: &[u8]) {}

    /// About how many changes are to come; used to size buffers.
    fn len_hint(&self) -> usize {
        0
    }
}

/// An ordered map on a device. Readers work on views and never wait for [`Index::apply`].
pub trait Index: Send + Sync {
    /// A consistent state, cheap to clone, unchanged by later batches.
    type View: IndexView;

    /// The newest applied state.
    fn view(&self) -> Self::View;

    /// Merges a batch: at return it is durable together with `covers`, and new views show it; after a crash either
    /// all of it is there with `covers`, or none with the former value. One caller at a time.
    fn apply(&self, batch: &mut dyn Batch, covers: Lsn) -> Result<()>;

    /// The log position of the last durable batch.
    fn covers(&self) -> Lsn;
}

/// One state of an index.
pub trait IndexView: Clone + Send + Sync {
    /// A position in the order of keys.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// Calls `found` with the key's value, or answers `None`.
    fn get<R>(&self, key: &[u8], found: impl FnOnce(&[u8]) -> R) -> Result<Option<R>>;

    /// Calls `found` with key and value of the first entry at or behind `key`, or answers `None`.
    fn at_or_after<R>(&self, key: &[u8], found: impl FnOnce(&[u8], &[u8]) -> R) -> Result<Option<R>> {
        seek_once(self, key, found)
    }

    /// A cursor that stands nowhere yet. Short-lived: while it lives, cache frames it may read are kept.
    fn cursor(&self) -> Self::Cursor<'_>;
}

/// [`IndexView::at_or_after`] by a cursor.
fn seek_once<V: IndexView, R>(
    view: &V,
    key: &[u8],
    found: impl FnOnce(&[u8], &[u8]) -> R,
) -> Result<Option<R>> {
    let mut cursor = view.cursor();
    Ok(if cursor.seek(key)? { Some(found(cursor.key(), cursor.value())) } else { None })
}

/// A place in a sorted sequence of entries. Every move answers whether it now stands on an entry; `key` and `value`
/// may be called only then.
pub trait Cursor {
    /// To the first entry at or behind `key`.
    fn seek(&mut self, key: &[u8]) -> Result<bool>;

    /// To the last entry before `key` (strictly).
    fn seek_before(&mut self, key: &[u8]) -> Result<bool>;

    /// To the last entry of all.
    fn seek_last(&mut self) -> Result<bool>;

    /// One entry on.
    fn next(&mut self) -> Result<bool>;

    /// One entry back.
    fn prev(&mut self) -> Result<bool>;

    /// The entry's key. The slice lives until the next move. Empty where the cursor stands nowhere.
    fn key(&self) -> &[u8];

    /// The entry's value. The slice lives until the next move. Empty where the cursor stands nowhere.
    fn value(&self) -> &[u8];
}
