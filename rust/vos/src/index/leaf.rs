//! Leaf pages: keys with their values, or with references to runs.

use super::page::{Bounds, Edit, Keys, Page, head_of, tail_of};
use super::run::{RUN_REF, RunRef};

/// The longest value that is kept in a leaf.
pub(crate) const INLINE_MAX: usize = 1024;
/// In place of a value's length: the value is a run.
pub(crate) const IS_RUN: usize = 0x8000;

/// A value as a leaf has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Inline(&'a [u8]),
    Run(RunRef),
}

/// A leaf page, read.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a>(pub(crate) Keys<'a, false>);

impl<'a> Leaf<'a> {
    #[inline]
    pub(crate) fn new(page: &'a Page) -> Self {
        Self(Keys::new(page))
    }

    /// Where the value's bytes are, how many there are, and whether they are a run reference.
    #[inline]
    fn load(&self, cell: usize) -> (usize, usize, bool) {
        let tail_len = self.0.suffix_len(cell).saturating_sub(4);
        let len = self.0.page.u16_at(cell + 2);
        let at = cell + Keys::<false>::FIXED + tail_len;
        if len == IS_RUN { (at, RUN_REF, true) } else { (at, len, false) }
    }

    /// The value at `index` as bytes of the page: where, how many, and whether they are a run reference.
    #[inline]
    pub(crate) fn value_place(&self, index: usize) -> (usize, usize, bool) {
        self.load(self.0.cell(index))
    }

    #[inline]
    pub(crate) fn value(&self, index: usize) -> Value<'a> {
        let (at, len, is_run) = self.value_place(index);
        let bytes = self.0.page.bytes(at, len);
        if is_run { Value::Run(RunRef::decode(bytes)) } else { Value::Inline(bytes) }
    }

    /// The length field and the bytes behind the tail of the cell at `index`.
    #[inline]
    pub(crate) fn raw_value(&self, index: usize) -> (usize, &'a [u8]) {
        let (at, len, is_run) = self.value_place(index);
        (if is_run { IS_RUN } else { len }, self.0.page.bytes(at, len))
    }

    /// Whether the page is a leaf that could have been written by us.
    pub(crate) fn verify(&self, bounds: Bounds) -> Result<(), &'static str> {
        if self.0.count == 0 {
            return Err("a leaf without keys");
        }
        self.0.verify(|cell| {
            let (at, len, is_run) = self.load(cell);
            if !is_run {
                return if len <= INLINE_MAX { Ok(len) } else { Err("an inline value that is too long") };
            }
            let run = RunRef::decode(self.0.page.bytes(at, len));
            if run.is_sound() && bounds.admit(run.page, run.pages(), run.generation) {
                Ok(len)
            } else {
                Err("a run reference out of bounds")
            }
        })
    }
}

/// Inserts a key that is not there; `false` where it does not fit or does not begin with the page's prefix.
pub(crate) fn insert(page: &mut Page, index: usize, key: &[u8], len_field: usize, value: &[u8]) -> bool {
    let Some(suffix) = key.strip_prefix(Keys::<false>::new(page).prefix()) else { return false };
    let tail = tail_of(suffix);
    let fixed = Keys::<false>::FIXED;
    let (head, suffix_len) = (head_of(suffix), suffix.len());
    let Some(cell) = Edit::<false>(page).open(index, head, fixed + tail.len() + value.len()) else {
        return false;
    };
    write_cell(page, cell, suffix_len, tail, len_field, value);
    true
}

/// Writes a cell into its place.
pub(crate) fn write_cell(
    page: &mut Page,
    cell: usize,
    suffix_len: usize,
    tail: &[u8],
    len_field: usize,
    value: &[u8],
) {
    let tail_at = cell + Keys::<false>::FIXED;
    page.put_u16(cell, suffix_len);
    page.put_u16(cell + 2, len_field);
    page.put(tail_at, tail);
    page.put(tail_at + tail.len(), value);
}

/// Takes a key out.
pub(crate) fn remove(page: &mut Page, index: usize) {
    let (_, len, _) = Leaf::new(page).value_place(index);
    Edit::<false>(page).remove(index, len);
}

/// Replaces a value; `false` (and the key is gone) where the new one does not fit.
pub(crate) fn replace(page: &mut Page, index: usize, key: &[u8], len_field: usize, value: &[u8]) -> bool {
    let (at, len, is_run) = Leaf::new(page).value_place(index);
    if len == value.len() && is_run == (len_field == IS_RUN) {
        page.put(at, value);
        return true;
    }
    remove(page, index);
    insert(page, index, key, len_field, value)
}
