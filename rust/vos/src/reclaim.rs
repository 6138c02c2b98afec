//! Blocks of the data file that can be used again: `docs/formats/data.md` says when, and why not before.

use crate::data::{Census, Run};
use crate::entry;
use crate::error::{Result, VosError};
use crate::key::TAG_TREE;
use crate::levels::Levels;
use crate::shard::Shard;
use daos_types::Lsn;
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
    /// Writes a value to the data file; the reference goes to `out`.
    pub(crate) fn store_value(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Run> {
        self.count_blocks()?;
        self.data.store(bytes, out)
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
        self.data.cut()
    }
}

impl CensusWalk {
    fn step(&mut self) -> Result<bool> {
        let Self { levels, from, census } = self;
        levels.read(None, |merge| {
            let mut on = merge.seek(from)?;
            let mut left = CENSUS_ENTRIES;
            while on && merge.key().first() == Some(&TAG_TREE) {
                if left == 0 {
                    from.clear();
                    from.extend_from_slice(merge.key());
                    return Ok(true);
                }
                left -= 1;
                if let Some(run) = entry::run_of(merge.value())? {
                    let corrupt = |why: &str| {
                        let why = format!("blocks {} to {} {why}", run.block, run.end() - 1);
                        Err(VosError::Corrupt { why })
                    };
                    if run.end() > census.end() {
                        return corrupt("are named and lie behind the end of the file");
                    }
                    if !census.note(run) {
                        return corrupt("are named by two entries");
                    }
                }
                on = merge.step()?;
            }
            Ok(false)
        })
    }
}
