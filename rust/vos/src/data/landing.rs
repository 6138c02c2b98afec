//! Values that are written while they come: to blocks that nobody knows of before an update names them.

use super::stored::blocks_of;
use super::{BLOCK, DataFile, Run, write_blocks};
use crate::error::Result;
use crate::media::MediaFile;
use crate::shard::Shard;
use daos_locks::Mutex;
use daos_types::Landing;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers are of a process, so that one shard's means nothing to another.
static LAST: AtomicU64 = AtomicU64::new(0);

/// The blocks of a value on its way.
#[derive(Debug)]
pub(super) struct Site {
    file: Arc<dyn MediaFile>,
    run: Run,
    len: usize,
    /// Bytes that are there; `None` once something went wrong.
    there: Mutex<Option<usize>>,
}

/// A landing in the data file of a shard.
#[derive(Debug)]
pub struct Landed {
    shard: Arc<Shard>,
    number: u64,
    site: Arc<Site>,
}

impl DataFile {
    /// Blocks for a value of so many bytes.
    fn land(&self, len: usize, room: &mut u64) -> Result<(u64, Arc<Site>)> {
        let (file, run) = self.take(blocks_of(len), room)?;
        let site = Arc::new(Site { file, run, len, there: Mutex::new(Some(0)) });
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.landings.lock().insert(number, Arc::clone(&site));
        Ok((number, site))
    }

    /// Where a value is that has landed whole: its blocks are those of who asks now.
    pub(super) fn landed(&self, number: u64, len: usize) -> Option<(Arc<dyn MediaFile>, Run)> {
        if number == 0 {
            return None;
        }
        let mut landings = self.landings.lock();
        let whole = landings.get(&number).is_some_and(|site| site.len == len && site.is_whole());
        let site = if whole { landings.remove(&number) } else { None }?;
        Some((Arc::clone(&site.file), site.run))
    }

    /// Gives the blocks back of what no update takes, unless it is a whole value of so many bytes: who writes it elsewhere must not
    /// need room for both.
    pub(crate) fn keep_landed(&self, number: u64, len: usize) {
        let is_kept = self.landings.lock().get(&number).is_none_or(|site| site.len == len && site.is_whole());
        if !is_kept {
            self.abandon(number);
        }
    }

    /// Gives the blocks back, unless they are somebody's by now.
    fn abandon(&self, number: u64) {
        let site = self.landings.lock().remove(&number);
        if let Some(site) = site {
            // Nothing is put there from now on.
            *site.there.lock() = None;
            self.give(site.run);
        }
    }
}

impl Site {
    fn is_whole(&self) -> bool {
        *self.there.lock() == Some(self.len)
    }
}

impl Landed {
    /// A place in a shard; the data file may grow by `room` bytes for it.
    pub(crate) fn new(shard: &Arc<Shard>, len: usize, room: &mut u64) -> Result<Self> {
        shard.count_blocks()?;
        let (number, site) = shard.data.land(len, room)?;
        Ok(Self { shard: Arc::clone(shard), number, site })
    }
}

impl Landing for Landed {
    fn number(&self) -> u64 {
        self.number
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        let Site { file, run, len, there } = &*self.site;
        let mut there = there.lock();
        let end = at.saturating_add(bytes.len());
        let follows = *there == Some(at) && end <= *len;
        let whole_blocks = end == *len || bytes.len().is_multiple_of(BLOCK as usize);
        let put =
            follows && whole_blocks && write_blocks(&**file, run.block * BLOCK + at as u64, bytes).is_ok();
        *there = put.then_some(end);
        if put {
            // Somebody will wait until it is durable.
            file.begin_sync();
        }
    }
}

impl Drop for Landed {
    fn drop(&mut self) {
        self.shard.data.abandon(self.number);
    }
}
