//! A log at rest gives back what it took to grow.

use super::error::Result;
use super::group::BLOCK;
use super::state::Segment;
use super::supply::{self, Making};
use super::{Log, Supply};
use daos_types::Lsn;

/// A log of more than so many fresh segments gives some back: less is soon taken again.
const FRESH_SEGMENTS: u64 = 4;

impl Log {
    /// Whether it has so much more than a fresh log that [`Log::shrink`] is worth it.
    pub fn is_large(&self) -> bool {
        let fresh = FRESH_SEGMENTS * u64::from(self.options.segment_bytes_min);
        let table = self.state.lock().table();
        table.iter().map(|entry| u64::from(entry.blocks) * BLOCK).sum::<u64>() > fresh
    }

    /// Gives back all but two segments of the size that a fresh log has, where every base durably covers the records up to
    /// `covered` and that is all there is. Does nothing where it is not; who writes meanwhile ends it early.
    ///
    /// Each step leaves a whole log, so that it may end anywhere, also by an error; one for want of room means only that less
    /// was given back.
    pub fn shrink(&self, covered: Lsn) -> Result<()> {
        let mut supply = self.supply.lock();
        if !self.state.lock().is_at_rest(covered) {
            return Ok(());
        }
        if let Some(Making { entry, .. }) = supply.making.take() {
            self.media.remove(&supply::segment_name(entry.number))?;
        }
        self.let_go(&mut supply, covered)?;
        self.add_fresh(&mut supply)?;
        if self.state.lock().move_on(covered) {
            self.let_go(&mut supply, covered)?;
            self.add_fresh(&mut supply)?;
        }
        Ok(())
    }

    /// Removes the segments before the current one that every base covers, and the ready ones behind it.
    fn let_go(&self, supply: &mut Supply, covered: Lsn) -> Result<()> {
        self.rotate(supply, covered)?;
        self.drop_ready(supply)
    }

    fn add_fresh(&self, supply: &mut Supply) -> Result<()> {
        let Some(entry) = supply::fresh_segment(&self.options, &supply.superblock.table) else {
            return Ok(());
        };
        let mut making = Making::begin(&*self.media, supply.superblock.identity, entry)?;
        while !making.step(&*self.media)? {}
        self.media.sync_names()?;
        self.update(supply, |superblock| superblock.table.push(entry))?;
        self.state.lock().add_segment(Segment::ready(making.file, entry));
        Ok(())
    }
}
