//! The log as the library reads it: in memory, from the last compaction on. What is stored is told by [`crate::Write`]s.

use crate::entry::{Entry, Snapshot};
use crate::group::{Hard, Saved};
use crate::ids::ReplicaId;
use raft::eraftpb::{self, HardState};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cell::Cell;
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct MemLog {
    pub(crate) hard: Hard,
    pub(crate) snapshot: Snapshot,
    /// The last entry before those that are kept: its index and term.
    pub(crate) start: (u64, u64),
    entries: VecDeque<eraftpb::Entry>,
    /// A member that the snapshot does not know needs one.
    wanted: Cell<bool>,
}

impl MemLog {
    pub(crate) fn new(saved: &Saved) -> Self {
        let entries = saved.entries.iter().map(Entry::to_raft).collect();
        Self {
            hard: saved.hard,
            snapshot: saved.snapshot.clone(),
            start: saved.start,
            entries,
            wanted: Cell::new(false),
        }
    }

    /// Whether somebody needed a snapshot newer than the one that is here.
    pub(crate) fn take_wanted(&self) -> bool {
        self.wanted.take()
    }

    pub(crate) fn last(&self) -> u64 {
        self.start.0 + self.entries.len() as u64
    }

    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.start.0 {
            return Some(self.start.1);
        }
        let place = index.checked_sub(self.start.0 + 1)?;
        self.entries.get(usize::try_from(place).ok()?).map(|entry| entry.term)
    }

    /// Takes entries over, in place of those that stood there.
    pub(crate) fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(first) = entries.first() else { return };
        let kept = first.index.saturating_sub(self.start.0 + 1);
        self.entries.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.entries.extend(entries.iter().cloned());
    }

    /// A snapshot that came: nothing of the log is known to fit it.
    pub(crate) fn install(&mut self, snapshot: Snapshot) {
        self.entries.clear();
        self.start = (snapshot.index, snapshot.term);
        self.hard.commit = self.hard.commit.max(snapshot.index);
        self.snapshot = snapshot;
    }

    /// A snapshot of our own; entries up to `kept_after` are let go.
    pub(crate) fn compact(&mut self, snapshot: Snapshot, kept_after: u64) {
        self.snapshot = snapshot;
        if let Some(term) = self.term_at(kept_after)
            && kept_after > self.start.0
        {
            self.entries.drain(..(kept_after - self.start.0) as usize);
            self.start = (kept_after, term);
        }
    }
}

impl Storage for MemLog {
    fn initial_state(&self) -> Result<RaftState> {
        let mut hard = HardState::default();
        (hard.term, hard.vote, hard.commit) = (self.hard.term, self.hard.vote, self.hard.commit);
        Ok(RaftState::new(hard, self.snapshot.members.to_raft()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<eraftpb::Entry>> {
        if low <= self.start.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let (from, to) = ((low - self.start.0 - 1) as usize, (high - self.start.0 - 1) as usize);
        let mut entries: Vec<_> = self.entries.range(from..to).cloned().collect();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index < self.start.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_at(index).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.start.0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> Result<eraftpb::Snapshot> {
        // Who is no member of a group as a snapshot has it cannot take that for its state.
        let knows = ReplicaId::from_number(to).is_some_and(|to| self.snapshot.members.all().contains(&to));
        if !knows || self.snapshot.index < request_index {
            self.wanted.set(true);
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.to_raft())
    }
}
