//! What replicas say to each other, and its bytes: `docs/internals/consensus.md`.

use crate::bytes::{Reader, put_counted};
use crate::entry::{Entry, Snapshot};
use crate::ids::ReplicaId;
use crate::limits::APPEND_ENTRIES_MAX;
use raft::eraftpb::{self, MessageType};

/// The version of the form below.
const VERSION: u8 = 1;
/// Bytes of a word that is handed back as it came.
const CONTEXT_LEN_MAX: usize = 64;

/// By their numbers on the wire; what is not in it never travels.
const KINDS: [MessageType; 9] = [
    MessageType::MsgAppend,
    MessageType::MsgAppendResponse,
    MessageType::MsgRequestVote,
    MessageType::MsgRequestVoteResponse,
    MessageType::MsgSnapshot,
    MessageType::MsgHeartbeat,
    MessageType::MsgHeartbeatResponse,
    MessageType::MsgRequestPreVote,
    MessageType::MsgRequestPreVoteResponse,
];

/// A message from one replica to another of its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    from: ReplicaId,
    to: ReplicaId,
    pub(crate) raft: eraftpb::Message,
}

impl Message {
    /// `None` for what is not to travel.
    pub(crate) fn of(raft: eraftpb::Message) -> Option<Self> {
        let (from, to) = (ReplicaId::from_number(raft.from)?, ReplicaId::from_number(raft.to)?);
        KINDS.contains(&raft.get_msg_type()).then_some(Self { from, to, raft })
    }

    /// Who says it.
    pub const fn from(&self) -> ReplicaId {
        self.from
    }

    /// Who is to hear it.
    pub const fn to(&self) -> ReplicaId {
        self.to
    }

    /// About how many bytes it has.
    pub(crate) fn len(&self) -> usize {
        let entries: usize = self.raft.get_entries().iter().map(|entry| entry.data.len() + 16).sum();
        128 + entries + self.raft.get_snapshot().data.len()
    }

    /// Whether it brings a whole state.
    pub fn is_snapshot(&self) -> bool {
        self.raft.get_msg_type() == MessageType::MsgSnapshot
    }

    /// Whether it asks for a vote, or gives one.
    pub fn is_vote(&self) -> bool {
        matches!(self.raft.get_msg_type(), MessageType::MsgRequestVote | MessageType::MsgRequestVoteResponse)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let raft = &self.raft;
        let kind = KINDS.iter().position(|kind| *kind == raft.get_msg_type()).unwrap_or_default();
        let mut out = vec![VERSION, kind as u8, u8::from(raft.reject), 0];
        for number in [
            raft.from,
            raft.to,
            raft.term,
            raft.log_term,
            raft.index,
            raft.commit,
            raft.commit_term,
            raft.reject_hint,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_counted(&mut out, &raft.context);
        out.extend_from_slice(&(raft.entries.len() as u32).to_le_bytes());
        for entry in raft.get_entries() {
            Entry::from_raft(entry).encode(&mut out);
        }
        if self.is_snapshot() {
            Snapshot::from_raft(raft.get_snapshot()).encode(&mut out);
        }
        out
    }

    /// What the bytes say; `None` for what is no message of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let [VERSION, kind, reject @ 0..=1, 0] = *from.bytes(4)? else { return None };
        let mut raft = eraftpb::Message::default();
        raft.set_msg_type(*KINDS.get(usize::from(kind))?);
        raft.reject = reject == 1;
        for field in [
            &mut raft.from,
            &mut raft.to,
            &mut raft.term,
            &mut raft.log_term,
            &mut raft.index,
            &mut raft.commit,
            &mut raft.commit_term,
            &mut raft.reject_hint,
        ] {
            *field = from.number()?;
        }
        raft.context = from.counted(CONTEXT_LEN_MAX)?.to_vec().into();
        let count = from.count()? as usize;
        // A term of 0 is for what a replica says to itself.
        let carries = raft.get_msg_type() == MessageType::MsgAppend || count == 0;
        if !carries || count > APPEND_ENTRIES_MAX || raft.term == 0 {
            return None;
        }
        let mut entries = Vec::new();
        let mut term = raft.log_term;
        for nth in 1..=count as u64 {
            let entry = Entry::decode(raft.index.checked_add(nth)?, &mut from)?;
            // Terms of a log only rise, and none is later than its sender's.
            if entry.term < term || entry.term > raft.term {
                return None;
            }
            term = entry.term;
            entries.push(entry.to_raft());
        }
        raft.set_entries(entries.into());
        let mut message = Self::of(raft)?;
        if message.is_snapshot() {
            let snapshot = Snapshot::decode(&mut from)?;
            if snapshot.index == 0 || snapshot.members.voters.is_empty() {
                return None;
            }
            message.raft.set_snapshot(snapshot.to_raft());
        }
        from.end()?;
        Some(message)
    }
}
