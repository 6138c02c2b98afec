//! The index a shard stands on, and how the store makes and opens it.

use crate::index::{Batch, Index as _, Result, Tree, TreeCursor, TreeOptions, TreeView};
use crate::media::Media;
use daos_types::Lsn;
use std::sync::Arc;

pub(crate) type Base = Tree;
pub(crate) type BaseView = TreeView;
pub(crate) type BaseCursor<'a> = TreeCursor<'a>;

/// A batch without changes: it only says that the index lacks nothing of the log.
struct Nothing;

impl Batch for Nothing {
    fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        None
    }
}

fn tree_options(cache_bytes: usize) -> TreeOptions {
    TreeOptions { cache_bytes: cache_bytes as u64 }
}

/// Makes an empty index that lacks nothing of the log up to `covers`.
pub(crate) fn create(
    media: &Arc<dyn Media>,
    name: &str,
    identity: [u8; 16],
    cache_bytes: usize,
    covers: Lsn,
) -> Result<Base> {
    let tree = Tree::create(&**media, name, identity, &tree_options(cache_bytes))?;
    if covers > Lsn::ZERO {
        // Twice, so that the state before the newest needs no older log either.
        tree.apply(&mut Nothing, covers)?;
        tree.apply(&mut Nothing, covers)?;
    }
    Ok(tree)
}

/// Opens an index.
pub(crate) fn open(
    media: &Arc<dyn Media>,
    name: &str,
    identity: [u8; 16],
    cache_bytes: usize,
) -> Result<Base> {
    Tree::open(&**media, name, identity, &tree_options(cache_bytes))
}
