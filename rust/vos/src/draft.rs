//! The changes of a transaction that has not committed: private, above the levels, seen by its own reads alone.

use crate::changes::{Changes, ShardNum};
use crate::entry::DtxNum;
use crate::error::{Result, VosError};
use crate::levels::Seen;
use crate::read::{ObjectRef, View};
use crate::stage::Staged;
use crate::store::Store;
use crate::tx::{ObjectNums, Part, Writing};
use daos_types::{Cond, Epoch, Iod, Punched, Version};
use std::collections::HashSet;

/// Numbers of objects that exist in a draft alone: far behind those that are given.
const NUMS: ObjectNums = ObjectNums { next: 1 << 47, end: 1 << 48 };

/// What the operations of a transaction would do, at the epoch at which it reads. Nothing of it is ever stored: at commit the
/// operations are run again, by [`Store::begin`].
pub struct Draft {
    epoch: Epoch,
    parts: Vec<Part>,
    /// Objects whose numbers are among the changes, should they have any.
    numbered: HashSet<(ShardNum, ObjectRef)>,
    changes: Changes,
    /// Bytes of all changes.
    bytes: usize,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("epoch", &self.epoch)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Draft {
    /// A draft that reads at an epoch which no change carries, before which none can come any more.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, parts: Vec::new(), numbered: HashSet::new(), changes: Changes::default(), bytes: 0 }
    }

    /// The epoch at which it reads.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The part of a shard, with its levels as they are now.
    fn part(&mut self, store: &Store, shard: ShardNum) -> Result<&mut Part> {
        let at = self.parts.iter().position(|part| part.shard.num == shard);
        let at = if let Some(at) = at {
            at
        } else {
            let mut part = Part::new(store.shard(shard)?, NUMS);
            part.is_newest = true;
            self.parts.push(part);
            self.parts.len() - 1
        };
        let part = &mut self.parts[at];
        part.shard.check_writable()?;
        part.look_again();
        Ok(part)
    }

    /// Runs one operation; where it fails, it alone has not happened.
    fn operate(
        &mut self,
        store: &Store,
        shard: ShardNum,
        of: ObjectRef,
        minor: u16,
        operation: impl FnOnce(&mut Writing<'_, '_>) -> Result<()>,
    ) -> (Seen, Result<()>) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.clear();
        let mark = changes.mark();
        let (version, before) = (Version::new(self.epoch, minor), self.bytes);
        let is_numbered = self.numbered.contains(&(shard, of));
        let operation = |writing: &mut Writing<'_, '_>| {
            if !is_numbered {
                writing.keep_number()?;
            }
            operation(writing)
        };
        let (seen, result) = match self.part(store, shard) {
            Err(error) => (Seen::default(), Err(error)),
            Ok(part) => {
                let (seen, result) = part.run(of, version, DtxNum::COMMITTED, &mut changes, operation);
                let bytes = before + changes.mark() - mark;
                let result = result
                    .and_then(|()| store.check_record(bytes))
                    .and_then(|()| part.overlay(changes.since(mark)))
                    .map(|()| bytes);
                (seen, result)
            }
        };
        self.changes = changes;
        (
            seen,
            result.map(|bytes| {
                self.numbered.insert((shard, of));
                self.bytes = bytes;
            }),
        )
    }

    /// Puts new values under akeys of one dkey, the `minor`-th change of the transaction.
    #[allow(clippy::too_many_arguments)] // the words of an update
    pub fn update(
        &mut self,
        store: &Store,
        shard: ShardNum,
        of: ObjectRef,
        minor: u16,
        dkey: &[u8],
        iods: &[Iod<'_>],
        cond: Cond,
        staged: Option<&Staged>,
    ) -> (Seen, Result<()>) {
        self.operate(store, shard, of, minor, |writing| writing.update(dkey, iods, cond, staged))
    }

    /// Hides an object, a dkey or akeys, the `minor`-th change of the transaction.
    pub fn punch(
        &mut self,
        store: &Store,
        shard: ShardNum,
        of: ObjectRef,
        minor: u16,
        what: Punched<'_>,
        cond: Cond,
    ) -> (Seen, Result<()>) {
        self.operate(store, shard, of, minor, |writing| writing.punch(what, cond))
    }

    /// A shard's state for reading, with what the transaction did on top.
    pub fn view(&self, store: &Store, shard: ShardNum) -> Result<View> {
        let mut view = store.view(shard)?;
        view.overlay = self.parts.iter().find(|part| part.shard.num == shard).and_then(Part::overlay_shared);
        Ok(view)
    }
}

impl Store {
    /// Refuses a transaction whose record would be too long for the log.
    fn check_record(&self, len: usize) -> Result<()> {
        let max = self.record_bytes_max();
        // Beside the changes that a draft counts a record holds numbers of objects, and little else.
        if len + max / 64 <= max {
            return Ok(());
        }
        Err(VosError::TransactionTooLong { what: "bytes of changes", max })
    }
}
