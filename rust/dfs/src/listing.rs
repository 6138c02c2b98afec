//! Listing directories.

use crate::attr::Attr;
use crate::errno::{Errno, Error, Result};
use crate::mount::{Dfs, Dir};

/// Entries of one page.
pub const PAGE_MAX: usize = 64 << 10;
/// Entries that are looked up at once.
const LOOKS_MAX: usize = 1024;

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The shard of the directory, and the one where it ends.
    shard: usize,
    end: usize,
    /// Where in the shard; opaque.
    from: Option<Vec<u8>>,
}

/// An entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Vec<u8>,
    /// What is known of it, where that was asked for and its record is not damaged.
    pub attr: Option<Attr>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries.
    pub entries: Vec<Listed>,
    /// Where it goes on; `None` at the end.
    pub anchor: Option<Anchor>,
}

impl Dfs {
    /// Where a listing of all of a directory begins.
    pub fn first_anchor(&self, dir: &Dir) -> Result<Anchor> {
        let shards = self.shards(dir)?;
        Ok(Anchor { shard: 0, end: shards, from: None })
    }

    /// Where parts of a listing begin that can be listed at the same time: each entry is in one of them.
    pub fn split_anchors(&self, dir: &Dir) -> Result<Vec<Anchor>> {
        let shards = self.shards(dir)?;
        Ok((0..shards).map(|shard| Anchor { shard, end: shard + 1, from: None }).collect())
    }

    fn shards(&self, dir: &Dir) -> Result<usize> {
        self.shared.check()?;
        Ok(self.shared.plain().object(dir.node.oid)?.targets().count())
    }

    /// Entries from an anchor on, at most `count` of them, with what is known of each if that is wanted. What is there from the
    /// beginning of the listing to its end is told once; what comes or goes meanwhile, once or not at all.
    pub fn readdir(&self, dir: &Dir, anchor: &Anchor, count: usize, with_attr: bool) -> Result<Page> {
        let shared = &*self.shared;
        shared.check()?;
        let work = shared.plain();
        let object = work.object(dir.node.oid)?;
        let count = count.clamp(1, PAGE_MAX);
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut at = anchor.clone();
        if at.end > object.targets().count() {
            return Err(Error::new(Errno::EINVAL, "an anchor of another directory"));
        }
        while at.shard < at.end && names.len() < count {
            let page = object.list_shard_dkeys(at.shard, at.from.as_deref(), count - names.len())?;
            names.extend(page.keys);
            at.shard += usize::from(page.anchor.is_none());
            at.from = page.anchor;
        }
        let anchor = (at.shard < at.end).then_some(at);
        if !with_attr {
            let entries = names.into_iter().map(|name| Listed { name, attr: None }).collect();
            return Ok(Page { entries, anchor });
        }
        let mut entries = Vec::with_capacity(names.len());
        for names in names.chunks(LOOKS_MAX) {
            let looks: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
            let attrs = shared.attrs(&work, &work.find_all(dir.node.oid, &looks));
            for (name, attr) in names.iter().zip(attrs) {
                let attr = match attr {
                    Ok(Some(attr)) => Some(attr),
                    // What went since it was listed is left out.
                    Ok(None) => continue,
                    Err(error) if error.is_damage() => None,
                    Err(error) => return Err(error),
                };
                entries.push(Listed { name: name.clone(), attr });
            }
        }
        Ok(Page { entries, anchor })
    }

    /// All names of a directory, in no order.
    pub fn names(&self, dir: &Dir) -> Result<Vec<Vec<u8>>> {
        let (mut names, mut anchor) = (Vec::new(), Some(self.first_anchor(dir)?));
        while let Some(from) = anchor {
            let page = self.readdir(dir, &from, PAGE_MAX, false)?;
            names.extend(page.entries.into_iter().map(|entry| entry.name));
            anchor = page.anchor;
        }
        Ok(names)
    }
}
