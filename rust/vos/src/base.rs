//! The index a shard stands on, and how the store makes and opens it.

use crate::index::{CacheBudget, Result, Tree, TreeCursor, TreeOptions, TreeView};
use crate::media::Media;
use daos_types::Lsn;
use std::sync::Arc;

pub(crate) type Base = Tree;
pub(crate) type BaseView = TreeView;
pub(crate) type BaseCursor<'a> = TreeCursor<'a>;

fn tree_options(cache: &Arc<CacheBudget>) -> TreeOptions {
    TreeOptions { cache: Arc::clone(cache) }
}

/// Makes an empty index that lacks nothing of the log up to `covers`.
pub(crate) fn create(
    media: &Arc<dyn Media>,
    name: &str,
    identity: [u8; 16],
    cache: &Arc<CacheBudget>,
    covers: Lsn,
) -> Result<Base> {
    Tree::create_after(&**media, name, identity, &tree_options(cache), covers)
}

/// Opens an index.
pub(crate) fn open(
    media: &Arc<dyn Media>,
    name: &str,
    identity: [u8; 16],
    cache: &Arc<CacheBudget>,
) -> Result<Base> {
    Tree::open(&**media, name, identity, &tree_options(cache))
}
