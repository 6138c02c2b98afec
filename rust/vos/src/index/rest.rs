//! An index that is put away gives back what only its next batch would need.

use super::page::PAGE;
use super::{IndexError, Result, Tree};

/// Free pages that are given back only when there are at least this many, and a quarter of those in use.
const REST_MIN: u64 = 64;
/// Shorter runs stay: each costs a call, and a piece of the file.
const RUN_MIN: u64 = 16;

impl Tree {
    /// Has both superblock slots hold the current state, so that neither the pages of the one before it are needed any more nor the
    /// log that it lacks, and gives the device what is free of the file. Does nothing where that is little, unless the log waits
    /// for it. Readers go on; the next batch finds its pages anew. Waits for a running batch.
    pub fn rest(&self, log_waits: bool) -> Result<()> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        if let Some(why) = &writer.poisoned {
            return Err(IndexError::Poisoned(why.clone()));
        }
        let current = self.store.current.load().0;
        let live = writer.space.as_ref().map_or(current.page_count, |space| space.live().count());
        let gives = writer.extension.reserved_pages().saturating_sub(live) >= REST_MIN.max(live / 4);
        if !gives && !log_waits {
            return Ok(());
        }
        // As if it had just been opened: whatever the other slot holds is written over.
        writer.previous = None;
        let settled = self.settle_slots(writer, &current)?;
        let oldest = writer.oldest_viewed().unwrap_or(settled);
        if let Some(space) = &mut writer.space {
            self.store.cache.forget(&space.release(settled.min(oldest)));
            if gives {
                self.cut(space, &mut writer.extension);
                for run in space.free_runs(RUN_MIN) {
                    // A hint: what is not given back is only kept.
                    drop(self.store.file.discard(run.page * PAGE as u64, run.count * PAGE as u64));
                }
                writer.extension.measure_holes(&*self.store.file);
            }
        }
        self.draw_outline(writer);
        Ok(())
    }
}
