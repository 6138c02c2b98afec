//! A frozen memtable on its way into the base: large values go to the data file first, decided transactions lose their mark,
//! aborted ones their entries.

use crate::data::{Run, STORED_MIN, Stored};
use crate::dtx::Status;
use crate::entry::{self, Content, DtxNum, Entry};
use crate::error::Result;
use crate::index::Batch;
use crate::key;
use crate::memtable::{MemRead, Walk};
use crate::shard::Shard;
use daos_types::IodSums;
use std::collections::VecDeque;

/// The batch of one merge.
pub(crate) struct MergeBatch<'a> {
    shard: &'a Shard,
    walk: Walk<'a>,
    count: usize,
    /// The references to values that were deferred, in the order of their keys; `None` where it was aborted by then.
    deferred: VecDeque<Option<Box<[u8]>>>,
    buffer: Vec<u8>,
    /// The blocks that the change at hand names.
    names: Option<Run>,
    /// Blocks that were named and are not any more.
    freed: Vec<Run>,
    /// Blocks that this batch took.
    taken: Vec<Run>,
}

/// Whether a value has to leave the index.
fn is_deferred(key: &[u8], value: &[u8]) -> Result<bool> {
    if value.len() < STORED_MIN || !key::is_version(key) {
        return Ok(false);
    }
    let inline = Entry::decode(value)?.change.payload().and_then(|payload| match payload.content {
        Content::Inline(bytes) => Some(bytes.len()),
        Content::Stored(_) => None,
    });
    Ok(inline.is_some_and(|len| len >= STORED_MIN))
}

impl<'a> MergeBatch<'a> {
    /// Stores what was deferred, durably, and readies the rest.
    pub(crate) fn new(shard: &'a Shard, read: &'a MemRead<'a>, count: usize) -> Result<Self> {
        let mut batch = Self {
            shard,
            walk: read.from(&[]),
            count,
            deferred: VecDeque::new(),
            buffer: Vec::new(),
            names: None,
            freed: Vec::new(),
            taken: Vec::new(),
        };
        let stored = batch.store_deferred(read.from(&[]));
        if stored.is_err() {
            batch.give_back();
        }
        stored?;
        // What is durable is known before anything names it.
        shard.data.sync()?;
        Ok(batch)
    }

    fn store_deferred(&mut self, walk: Walk<'_>) -> Result<()> {
        // Whoever frees has to know what is free: a census does not count what a merge is changing.
        if self.shard.data.is_there() {
            self.shard.count_blocks()?;
        }
        for (key, found) in walk {
            let Some(value) = found.value else { continue };
            if !is_deferred(key, value)? {
                continue;
            }
            let entry = Entry::decode(value)?;
            let aborted = self.status(entry.dtx) == Status::Aborted;
            let content = entry.change.payload().filter(|_| !aborted).map(|payload| payload.content);
            let Some(Content::Inline(bytes)) = content else {
                self.deferred.push_back(None);
                continue;
            };
            let mut reference = Vec::new();
            // Room for it was kept when it was admitted.
            let mut room = u64::MAX;
            self.taken.push(self.shard.store_value(bytes, IodSums::default(), &mut reference, &mut room)?);
            self.deferred.push_back(Some(reference.into_boxed_slice()));
        }
        Ok(())
    }

    fn status(&self, dtx: DtxNum) -> Status {
        if dtx == DtxNum::COMMITTED { Status::Committed } else { self.shard.dtx.status(dtx).0 }
    }

    /// Nothing names what it stored.
    pub(crate) fn give_back(&mut self) {
        self.taken.drain(..).for_each(|run| self.shard.data.give(run));
    }

    /// The blocks that its entries took away the last name of.
    pub(crate) fn freed(mut self) -> Vec<Run> {
        self.freed.sort_unstable();
        self.freed.dedup();
        self.freed
    }

    /// The new bytes of an entry, where they are others than the memtable's.
    fn entry(&mut self, key: &[u8], value: &'a [u8]) -> Result<Option<&[u8]>> {
        self.names = None;
        if !key::is_version(key) {
            return Ok(Some(value));
        }
        let status = self.status(entry::dtx_of(value));
        let deferred = if is_deferred(key, value)? { self.deferred.pop_front().flatten() } else { None };
        let stored = deferred.as_deref().and_then(Stored::parse);
        self.names = stored.map_or_else(|| entry::run_of(value), |stored| Ok(Some(stored.run())))?;
        if status == Status::Aborted {
            self.freed.extend(self.names.take());
            return Ok(None);
        }
        self.buffer.clear();
        if let Some(stored) = stored {
            let entry = Entry::decode(value)?;
            let dtx = if status == Status::Committed { DtxNum::COMMITTED } else { entry.dtx };
            let change = entry.change.moved(Content::Stored(stored));
            Entry { dtx, change, ..entry }.encode(&mut self.buffer);
            return Ok(Some(&self.buffer));
        }
        if status == Status::Committed && entry::dtx_of(value) != DtxNum::COMMITTED {
            entry::as_committed(value, &mut self.buffer);
            return Ok(Some(&self.buffer));
        }
        Ok(Some(value))
    }
}

impl Batch for MergeBatch<'_> {
    fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        let (key, found) = self.walk.next()?;
        self.names = None;
        let Some(value) = found.value else { return Some((key, None)) };
        // What has no known form goes on as it is: whoever reads it is told.
        let value = match self.entry(key, value) {
            Ok(value) => value,
            Err(_) => Some(value),
        };
        Some((key, value))
    }

    fn replaced(&mut self, old: &[u8]) {
        // What has no known form names nothing that could be given back.
        if let Ok(Some(run)) = entry::run_of(old)
            && self.names != Some(run)
        {
            self.freed.push(run);
        }
    }

    fn len_hint(&self) -> usize {
        self.count
    }
}
