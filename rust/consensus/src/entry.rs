//! Entries of the replicated log and snapshots: their form in memory, in messages and in records.

use crate::bytes::{Reader, put_counted};
use crate::ids::{Change, Members, ReplicaId};
use crate::limits::{COMMAND_BYTES_MAX, REPLICAS_MAX, SNAPSHOT_BYTES_MAX};
use raft::eraftpb::{self, ConfState, EntryType};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Of a new leader, which commits what its predecessors left.
    Empty,
    /// The application's.
    Command(Vec<u8>),
    /// A member comes or goes: one at a time, so that any two majorities before and after have a voter in common.
    Members(Change),
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// What it says.
    pub kind: EntryKind,
}

const EMPTY: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERS: u8 = 2;

const ADD: u8 = 1;
const PROMOTE: u8 = 2;
const REMOVE: u8 = 3;

impl Entry {
    /// term (8), kind (1), content (4 + n); the index is known from where it stands.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.term.to_le_bytes());
        match &self.kind {
            EntryKind::Empty => {
                out.push(EMPTY);
                put_counted(out, &[]);
            }
            EntryKind::Command(data) => {
                out.push(COMMAND);
                put_counted(out, data);
            }
            EntryKind::Members(change) => {
                out.push(MEMBERS);
                put_counted(out, &encode_change(*change));
            }
        }
    }

    pub(crate) fn decode(index: u64, from: &mut Reader<'_>) -> Option<Self> {
        let term = from.number()?;
        let kind = from.byte()?;
        let content = from.counted(COMMAND_BYTES_MAX)?;
        let kind = match kind {
            EMPTY if content.is_empty() => EntryKind::Empty,
            COMMAND if !content.is_empty() => EntryKind::Command(content.to_vec()),
            MEMBERS => EntryKind::Members(decode_change(content)?),
            _ => return None,
        };
        Some(Self { index, term, kind })
    }

    /// Bytes of its content.
    pub(crate) fn len(&self) -> usize {
        match &self.kind {
            EntryKind::Empty => 0,
            EntryKind::Command(data) => data.len(),
            EntryKind::Members(_) => 9,
        }
    }

    pub(crate) fn to_raft(&self) -> eraftpb::Entry {
        let mut entry = eraftpb::Entry::default();
        (entry.index, entry.term) = (self.index, self.term);
        match &self.kind {
            EntryKind::Empty => {}
            EntryKind::Command(data) => entry.data = data.clone().into(),
            // The library looks at the type alone; what changes is ours.
            EntryKind::Members(change) => {
                entry.set_entry_type(EntryType::EntryConfChangeV2);
                entry.context = encode_change(*change).to_vec().into();
            }
        }
        entry
    }

    pub(crate) fn from_raft(entry: &eraftpb::Entry) -> Self {
        let kind = match entry.get_entry_type() {
            EntryType::EntryNormal if entry.data.is_empty() => EntryKind::Empty,
            EntryType::EntryNormal => EntryKind::Command(entry.data.to_vec()),
            // What stands here was proposed by us, or decoded.
            _ => decode_change(&entry.context).map_or(EntryKind::Empty, EntryKind::Members),
        };
        Self { index: entry.index, term: entry.term, kind }
    }
}

pub(crate) fn encode_change(change: Change) -> [u8; 9] {
    let (kind, id) = match change {
        Change::Add(id) => (ADD, id),
        Change::Promote(id) => (PROMOTE, id),
        Change::Remove(id) => (REMOVE, id),
    };
    let mut out = [kind; 9];
    out[1..].copy_from_slice(&id.number().to_le_bytes());
    out
}

fn decode_change(bytes: &[u8]) -> Option<Change> {
    let mut from = Reader(bytes);
    let kind = from.byte()?;
    let id = ReplicaId::from_number(from.number()?)?;
    from.end()?;
    match kind {
        ADD => Some(Change::Add(id)),
        PROMOTE => Some(Change::Promote(id)),
        REMOVE => Some(Change::Remove(id)),
        _ => None,
    }
}

/// The application's state at a place of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The last entry it holds; 0 where there is none, with a replica that has yet to be told anything.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Who belonged to the group then.
    pub members: Members,
    /// The application's.
    pub data: Arc<Vec<u8>>,
}

impl Members {
    /// voters, learners: each a count (1) and its numbers (8 each).
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for set in [&self.voters, &self.learners] {
            out.push(set.len() as u8);
            for id in set {
                out.extend_from_slice(&id.number().to_le_bytes());
            }
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let mut set = || {
            let count = usize::from(from.byte()?);
            if count > REPLICAS_MAX {
                return None;
            }
            let mut ids = BTreeSet::new();
            let mut last = None;
            for _ in 0..count {
                let id = ReplicaId::from_number(from.number()?)?;
                // In order, so that there is one form.
                if last.replace(id).is_some_and(|last| last >= id) {
                    return None;
                }
                ids.insert(id);
            }
            Some(ids)
        };
        let members = Self { voters: set()?, learners: set()? };
        let learners_vote = !members.learners.is_disjoint(&members.voters);
        let nobody_votes = members.voters.is_empty() && members != Self::default();
        (!learners_vote && !nobody_votes).then_some(members)
    }

    pub(crate) fn to_raft(&self) -> ConfState {
        let numbers = |set: &BTreeSet<ReplicaId>| set.iter().map(|id| id.number()).collect::<Vec<u64>>();
        let mut state = ConfState::default();
        state.set_voters(numbers(&self.voters));
        state.set_learners(numbers(&self.learners));
        state
    }

    pub(crate) fn from_raft(state: &ConfState) -> Self {
        let set =
            |numbers: &[u64]| numbers.iter().filter_map(|number| ReplicaId::from_number(*number)).collect();
        Self { voters: set(state.get_voters()), learners: set(state.get_learners()) }
    }
}

impl Snapshot {
    /// The state that a new group begins with: as if agreed on in an entry of its own, so that whoever joins later gets it.
    pub fn first(members: Members, data: Vec<u8>) -> Self {
        Self { index: 1, term: 1, members, data: Arc::new(data) }
    }

    /// index (8), term (8), members, data (4 + n).
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        self.members.encode(out);
        put_counted(out, &self.data);
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let (index, term) = (from.number()?, from.number()?);
        let members = Members::decode(from)?;
        let data = Arc::new(from.counted(SNAPSHOT_BYTES_MAX)?.to_vec());
        Some(Self { index, term, members, data })
    }

    pub(crate) fn to_raft(&self) -> eraftpb::Snapshot {
        let mut snapshot =
            eraftpb::Snapshot { data: self.data.to_vec().into(), ..eraftpb::Snapshot::default() };
        let meta = snapshot.mut_metadata();
        (meta.index, meta.term) = (self.index, self.term);
        meta.set_conf_state(self.members.to_raft());
        snapshot
    }

    pub(crate) fn from_raft(snapshot: &eraftpb::Snapshot) -> Self {
        let meta = snapshot.get_metadata();
        Self {
            index: meta.index,
            term: meta.term,
            members: Members::from_raft(meta.get_conf_state()),
            data: Arc::new(snapshot.data.to_vec()),
        }
    }
}
