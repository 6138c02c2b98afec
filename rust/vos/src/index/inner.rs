//! Inner pages: separators and the children between them.

use super::page::{Bounds, Edit, Keys, POINTER, Page, Pointer, head_of, tail_of};

/// Where the child before the first key is.
const FIRST: usize = 32;

/// An inner page, read. Children are numbered from 0; child *i* + 1 follows key *i*.
#[derive(Clone, Copy)]
pub(crate) struct Inner<'a>(pub(crate) Keys<'a, true>);

impl<'a> Inner<'a> {
    #[inline]
    pub(crate) fn new(page: &'a Page) -> Self {
        Self(Keys::new(page))
    }

    /// How many children there are.
    pub(crate) fn children(&self) -> usize {
        self.0.count + 1
    }

    /// The child that leads to `key`.
    #[inline]
    pub(crate) fn child_of(&self, key: &[u8]) -> usize {
        match self.0.find(key) {
            Ok(index) => index + 1,
            Err(index) => index,
        }
    }

    #[inline]
    fn pointer_at(&self, child: usize) -> usize {
        if child == 0 { FIRST } else { self.0.cell(child - 1) }
    }

    #[inline]
    pub(crate) fn child(&self, child: usize) -> Pointer {
        let bytes = self.0.page.bytes(self.pointer_at(child), POINTER);
        Pointer::decode(bytes.first_chunk().copied().unwrap_or_default())
    }

    /// Whether the page is an inner page that could have been written by us.
    pub(crate) fn verify(&self, bounds: Bounds) -> Result<(), &'static str> {
        self.0.verify(|_| Ok(0))?;
        for child in 0..self.children() {
            let pointer = self.child(child);
            if !bounds.admit(pointer.page, 1, pointer.generation) {
                return Err("a child pointer out of bounds");
            }
        }
        Ok(())
    }
}

/// Lets a child's pointer lead to its new writing.
pub(crate) fn set_child(page: &mut Page, child: usize, pointer: Pointer) {
    let at = Inner::new(page).pointer_at(child);
    page.put(at, &pointer.encode());
}

/// Adds a key and the child behind it at the end; `false` where it does not fit or has another prefix.
pub(crate) fn push(page: &mut Page, key: &[u8], child: Pointer) -> bool {
    let keys = Keys::<true>::new(page);
    let Some(suffix) = key.strip_prefix(keys.prefix()) else { return false };
    let (count, tail) = (keys.count, tail_of(suffix));
    let (head, suffix_len, fixed) = (head_of(suffix), suffix.len(), Keys::<true>::FIXED);
    let Some(cell) = Edit::<true>(page).open(count, head, fixed + tail.len()) else { return false };
    page.put(cell, &child.encode());
    page.put_u16(cell + POINTER, suffix_len);
    page.put(cell + fixed, tail);
    true
}
