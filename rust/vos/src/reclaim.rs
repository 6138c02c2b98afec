//! Blocks of the data file that can be used again: `docs/formats/data.md` says when, and why not before.

use crate::data::{BLOCK, Census, Run};
use crate::entry;
use crate::error::{Result, VosError};
use crate::index::{Cursor as _, IndexView as _};
use crate::key::TAG_TREE;
use crate::levels::Levels;
use crate::shard::Shard;
use daos_types::{IodSums, Lsn};
use std::sync::Arc;

/// Entries that a census looks at under one hold of the memtable.
const CENSUS_ENTRIES: usize = 4096;

/// Blocks that no entry names since a merge.
#[derive(Debug)]
pub(crate) struct Freed {
    pub(crate) run: Run,
    /// The log position that this merge brought the base to.
    pub(crate) covers: Lsn,
}

/// A walk over all entries for the blocks they name.
#[derive(Debug)]
pub(crate) struct CensusWalk {
    levels: Arc<Levels>,
    from: Vec<u8>,
    census: Census,
}

impl Shard {
    /// Writes a value to the data file; the reference goes to `out`. The sums of its units may be known, and it may have
    /// landed. The file may grow by `room`
    /// bytes for it.
    pub(crate) fn store_value(
        &self,
        bytes: &[u8],
        sums: IodSums<'_>,
        out: &mut Vec<u8>,
        room: &mut u64,
    ) -> Result<Run> {
        self.count_blocks()?;
        self.data.store(bytes, sums, out, room)
    }

    /// Bytes that are free as soon as merges have moved on.
    pub(crate) fn freed_bytes(&self) -> u64 {
        self.freed.lock().iter().map(|freed| freed.run.count * BLOCK).sum()
    }

    /// Finds out which blocks are free, to the end.
    pub(crate) fn count_blocks(&self) -> Result<()> {
        while self.census_step()? {}
        Ok(())
    }

    /// Looks at some more entries; false when it is known which blocks are free. Two entries that name one block, or one that is
    /// not there, end the changes of the shard: something was lost or overwritten.
    pub(crate) fn census_step(&self) -> Result<bool> {
        if self.data.is_counted() {
            return Ok(false);
        }
        let mut walking = self.census.lock();
        if self.data.is_counted() {
            return Ok(false);
        }
        let walk = walking.get_or_insert_with(|| CensusWalk {
            levels: self.levels(),
            from: vec![TAG_TREE],
            census: self.data.census(),
        });
        match walk.step() {
            Ok(true) => Ok(true),
            Ok(false) => {
                // What goes another way to its freedom is used so far.
                let levels = self.levels();
                let dropped = levels.active.dropped();
                let frozen = levels.frozen.as_ref().map(|frozen| frozen.dropped()).unwrap_or_default();
                let freed: Vec<Run> = self.freed.lock().iter().map(|freed| freed.run).collect();
                for run in dropped.into_iter().chain(frozen).chain(freed) {
                    walk.census.note(run);
                }
                self.data.counted(&walk.census);
                *walking = None;
                Ok(false)
            }
            Err(error) => {
                let error = match error {
                    VosError::Corrupt { why } => {
                        VosError::Corrupt { why: format!("{}: {why}", self.data.name()) }
                    }
                    other => other,
                };
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Lets blocks be used again that neither a reader nor a replay of the log can meet any more.
    pub(crate) fn reuse_freed(&self) -> Result<()> {
        if self.freed.lock().is_empty() || !self.data.is_counted() || self.has_old_readers() {
            return Ok(());
        }
        // Not even the state that the index would fall back to may name them, nor a record that would then be replayed.
        let needed_after = self.log_needed_after();
        let is_free = |freed: &mut Freed| freed.covers <= needed_after;
        let free: Vec<Freed> = self.freed.lock().extract_if(.., is_free).collect();
        for freed in free {
            self.data.give(freed.run);
        }
        self.data.trim()
    }
}

impl CensusWalk {
    /// Looks at some entries of the base; false at its end, with those of the memtables.
    ///
    /// Level by level: what a memtable hides in the base is named there until a merge takes it away, and frees it.
    fn step(&mut self) -> Result<bool> {
        let Self { levels, from, census } = self;
        let mut base = levels.base.cursor();
        let mut on = base.seek(from)?;
        let mut left = CENSUS_ENTRIES;
        while on && base.key().first() == Some(&TAG_TREE) {
            if left == 0 {
                from.clear();
                from.extend_from_slice(base.key());
                return Ok(true);
            }
            left -= 1;
            if let Some(run) = run_inside(base.value(), census)?
                && !census.note(run)
            {
                let Run { block, .. } = run;
                let why = format!("blocks {block} to {} are named by two entries", run.end() - 1);
                return Err(VosError::Corrupt { why });
            }
            on = base.next()?;
        }
        drop(base);
        for mem in levels.frozen.iter().chain([&levels.active]) {
            for (_, entry) in mem.read().from(&[TAG_TREE]) {
                if let Some(run) = entry.value.map(|value| run_inside(value, census)).transpose()?.flatten() {
                    // The base may name it, too, by the same entry before its transaction was decided.
                    census.note(run);
                }
            }
        }
        Ok(false)
    }
}

/// The blocks that an entry names, which lie in the file.
fn run_inside(value: &[u8], census: &Census) -> Result<Option<Run>> {
    let run = entry::run_of(value)?;
    match run.filter(|run| run.end() > census.end()) {
        None => Ok(run),
        Some(run) => {
            let why = format!("blocks {} to {} lie behind the end of the file", run.block, run.end() - 1);
            Err(VosError::Corrupt { why })
        }
    }
}
