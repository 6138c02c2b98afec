//! Large values on their way into the data file: written to free blocks before the operation that names them begins.

use crate::array::{check_len, check_recxs};
use crate::data::{Run, STORED_MIN, Stored};
use crate::entry::Content;
use crate::error::Result;
use crate::shard::Shard;
use daos_types::part::parts;
use daos_types::{Iod, IodSums, IodValue};
use std::sync::Arc;

/// The values of one update that are in the data file already. Dropped without [`Staged::keep`] their blocks are free again.
#[derive(Debug)]
pub struct Staged {
    shard: Arc<Shard>,
    iods: Vec<StagedIod>,
    runs: Vec<Run>,
}

/// The references to what is staged of one iod: one for each part.
#[derive(Debug, Default)]
pub(crate) struct StagedIod {
    parts: Vec<Option<Box<[u8]>>>,
}

impl StagedIod {
    /// What an entry holds of a part: the reference where it is staged, else the bytes.
    pub(crate) fn content<'a>(staged: Option<&'a Self>, at: usize, bytes: &'a [u8]) -> Content<'a> {
        let reference = staged.and_then(|staged| staged.parts.get(at)?.as_deref());
        reference.and_then(Stored::parse).map_or(Content::Inline(bytes), Content::Stored)
    }
}

impl Staged {
    /// Whether nothing of an update is longer than `defer_max`, not even all of it.
    pub(crate) fn is_small(iods: &[Iod<'_>], defer_max: usize) -> bool {
        total(iods) <= defer_max
    }

    /// Lets go of the places of values that will be written elsewhere: in parts, or as they are not there whole.
    pub(crate) fn keep_landed(shard: &Shard, iods: &[Iod<'_>]) -> Result<()> {
        for iod in iods.iter().filter(|iod| iod.sums.landed != 0) {
            let mut len = 0;
            each_part(iod, |bytes, sums| {
                len = if sums.landed == 0 { 0 } else { bytes.len() };
                Ok(())
            })?;
            shard.data.keep_landed(iod.sums.landed, len);
        }
        Ok(())
    }

    /// Writes what is large of an update, longer than `defer_max`. Not durable yet. A record of the
    /// log has room for `inline_max` bytes of the rest, and the data file may grow by `room` bytes.
    pub(crate) fn write(
        shard: &Arc<Shard>,
        iods: &[Iod<'_>],
        defer_max: usize,
        inline_max: usize,
        room: &mut u64,
    ) -> Result<Self> {
        // Many small parts may together be too much for a record.
        let stays = if total(iods) <= inline_max { defer_max } else { STORED_MIN - 1 };
        let mut staged = Self { shard: Arc::clone(shard), iods: Vec::new(), runs: Vec::new() };
        for iod in iods {
            let mut parts = Vec::new();
            each_part(iod, |bytes, sums| {
                parts.push(if bytes.len() <= stays { None } else { Some(staged.store(bytes, sums, room)?) });
                Ok(())
            })?;
            staged.iods.push(StagedIod { parts });
        }
        Ok(staged)
    }

    fn store(&mut self, bytes: &[u8], sums: IodSums<'_>, room: &mut u64) -> Result<Box<[u8]>> {
        let mut reference = Vec::new();
        self.runs.push(self.shard.store_value(bytes, sums, &mut reference, room)?);
        Ok(reference.into_boxed_slice())
    }

    /// What is staged of an iod.
    pub(crate) fn iod(&self, at: usize) -> Option<&StagedIod> {
        self.iods.get(at)
    }

    /// The blocks are named from now on, or may be.
    pub fn keep(mut self) {
        self.runs.clear();
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nobody ever saw them.
        self.runs.drain(..).for_each(|run| self.shard.data.give(run));
    }
}

/// Bytes of an update's values.
fn total(iods: &[Iod<'_>]) -> usize {
    let len = |iod: &Iod<'_>| match iod.value {
        IodValue::Single(data) | IodValue::Array { data, .. } => data.len(),
        _ => 0,
    };
    iods.iter().map(len).sum()
}

/// Shows the parts into which an iod's data is divided, and of one that is all of it what is known of its bytes.
fn each_part(iod: &Iod<'_>, mut show: impl FnMut(&[u8], IodSums<'_>) -> Result<()>) -> Result<()> {
    match iod.value {
        IodValue::Single(data) => show(data, iod.sums),
        IodValue::Array { rec_size, recxs, data } => {
            // What is wrong is refused before anything is written.
            check_len(rec_size, check_recxs(recxs)?, data.len())?;
            for part in parts(rec_size, recxs) {
                let bytes = part.bytes(rec_size, data);
                let known = if bytes.len() == data.len() { iod.sums } else { IodSums::default() };
                show(bytes, known)?;
            }
            Ok(())
        }
        IodValue::NoSingle | IodValue::Holes(_) => Ok(()),
    }
}
