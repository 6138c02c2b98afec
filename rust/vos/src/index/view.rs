//! Reading one state of a tree.

use super::cursor::TreeCursor;
use super::inner::Inner;
use super::leaf::{Leaf, Value};
use super::store::{PageRef, State, Store};
use super::{IndexView, Result};
use daos_types::Lsn;
use std::sync::Arc;

/// One state of a [`super::Tree`].
#[derive(Clone)]
pub struct TreeView {
    pub(crate) store: Arc<Store>,
    pub(crate) state: Arc<State>,
}

impl std::fmt::Debug for TreeView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TreeView").field(&self.state.0).finish()
    }
}

impl TreeView {
    /// How many keys there are.
    pub fn entries(&self) -> u64 {
        self.state.0.entries
    }

    /// The log position this state covers.
    pub fn covers(&self) -> Lsn {
        Lsn(self.state.0.covers)
    }

    /// The leaf where a key would have to be; `None` where the tree is empty.
    #[inline]
    fn leaf_of(&self, key: &[u8]) -> Result<Option<PageRef>> {
        let state = &self.state.0;
        let Some(mut level) = state.height.checked_sub(1) else { return Ok(None) };
        let mut pointer = state.root;
        while level > 0 {
            let page = self.store.page(state, pointer, level)?;
            let inner = Inner::new(&page);
            pointer = inner.child(inner.child_of(key));
            level -= 1;
        }
        self.store.page(state, pointer, 0).map(Some)
    }
}

impl IndexView for TreeView {
    type Cursor<'a> = TreeCursor<'a>;

    fn get<R>(&self, key: &[u8], found: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let Some(page) = self.leaf_of(key)? else { return Ok(None) };
        let leaf = Leaf::new(&page);
        let Ok(index) = leaf.0.find(key) else { return Ok(None) };
        match leaf.value(index) {
            Value::Inline(value) => Ok(Some(found(value))),
            Value::Run(run) => {
                let mut value = Vec::new();
                self.store.read_run(run, &mut value)?;
                Ok(Some(found(&value)))
            }
        }
    }

    fn at_or_after<R>(&self, key: &[u8], found: impl FnOnce(&[u8], &[u8]) -> R) -> Result<Option<R>> {
        let Some(page) = self.leaf_of(key)? else { return Ok(None) };
        let leaf = Leaf::new(&page);
        let index = leaf.0.find(key).unwrap_or_else(|index| index);
        // A cursor holds its pages, which costs more than all the rest: only for what is not in this leaf.
        if index < leaf.0.count
            && let Value::Inline(value) = leaf.value(index)
        {
            let mut whole = [0; super::KEY_LEN_MAX];
            if let Some(own) = leaf.0.write_key(index, &mut whole) {
                return Ok(Some(found(own, value)));
            }
        }
        super::seek_once(self, key, found)
    }

    fn cursor(&self) -> TreeCursor<'_> {
        TreeCursor::new(&self.store, &self.state.0)
    }
}
